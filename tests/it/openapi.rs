//! The API against its own description: schemathesis asks the running receiver whatever that allows,
//! and what it does not, and looks at each answer.

use std::path::Path;
use std::process::{Command, Output};

use crate::aloud::say_aloud;
use crate::receiver::{Receiver, count, soak_line};

/// What must be so of each answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,negative_data_rejection,\
    unsupported_method,allow_header_conformance";

/// A receiver with something of everything that is listed.
fn filled() -> Receiver {
    let receiver = Receiver::start("");
    for sample in [
        "i_new",
        "i_ack",
        "i_custom",
        "i_rslv",
        "a_new",
        "no_event_id",
    ] {
        let path = format!("{}/tests/samples/{sample}.json", env!("CARGO_MANIFEST_DIR"));
        let body = std::fs::read_to_string(path).unwrap();
        assert_eq!(receiver.push(&body).status, 200, "{sample}");
    }
    for body in ["{", "[]", r#"{"event": "i_ack"}"#] {
        let refused = receiver.push(body);
        assert!([400, 422].contains(&refused.status), "{refused:?}");
    }
    let dropped = receiver.post("/api/v1/unreadable/1/drop", r#"{"reason": "a test"}"#);
    assert_eq!(dropped.status, 200, "{dropped:?}");
    receiver
}

/// What schemathesis says after so many examples of each operation; `None` where it is not installed.
fn checked(receiver: &Receiver, examples: usize) -> Option<Output> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut check = Command::new(target.join("api-tools/bin/schemathesis"));
    let base = format!("http://{}", receiver.admin);
    check
        .args(["run", &format!("{base}/api/v1/openapi.json")])
        .args(["--url", &base, "--checks", CHECKS])
        .args(["--max-examples", &examples.to_string()])
        .args(["--phases", "examples,coverage,fuzzing"])
        // The stream does not end, and tests of its own follow it.
        .args(["--exclude-path", "/api/v1/stream"])
        .args(["--seed", "1", "--warnings", "off", "--no-color"])
        // Where it keeps what it found.
        .current_dir(&receiver.folder);
    check.output().ok()
}

#[test]
fn no_answer_of_the_api_is_other_than_described() {
    let receiver = filled();
    let examples = count(10, 300);
    let Some(output) = checked(&receiver, examples) else {
        say_aloud("schemathesis is not here, so the API was not held against its description");
        return;
    };
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{errors}");
    // It asked, and was answered.
    assert!(receiver.api("/api/v1/events?limit=1").json()["items"].is_array());
    soak_line(
        80,
        "openapi.json against the running API",
        &format!("{examples} examples of each operation, no unexpected answer"),
    );
}
