//! exec sinks: that a push starts one program and nothing else, and what the incident is told.

use serde_json::{Value, json};

use crate::delivery::wait_until_settled;
use crate::fake::{FakeServer, Reply};
use crate::receiver::{Receiver, count, soak_line};
use crate::strace::Tracer;

const KEY: &str = "key-of-the-account-3f9c";

fn exec(command: &str, keys: &str) -> String {
    format!("\n[sink.run]\ntype = \"exec\"\ncommand = {command}\nconcurrency = 4\n{keys}\n")
}

/// What `text` can be in a push, it is here.
fn push_of(id: &str, text: &str) -> String {
    json!({"event_id": id, "event_type": "i_custom", "incident": {
        "incident_id": id, "title": text, "incident_severity": text, "progress": text,
        "channel_name": text, "detail_url": text, "labels": {"k": text, text: "v"},
    }, "person": {"person_id": 7, "person_name": text, "email": text}})
    .to_string()
}

#[test]
fn whatever_a_push_says_one_program_is_run_for_it_and_no_other() {
    let strings: Vec<String> = serde_json::from_str(include_str!("../naughty.json")).unwrap();
    let strings = &strings[..count(60, 500)];
    let mut receiver = Receiver::start(&exec("[\"cat\", \"-\"]", ""));
    let tracer = Tracer::of_programs(&receiver);
    let mut client = receiver.client();
    for (number, text) in strings.iter().enumerate() {
        let body = push_of(&format!("e-{number}"), text);
        let answer = client.push("/webhook", body.as_bytes()).unwrap();
        assert_eq!(answer.outcome(), "accepted", "{text:?}");
    }
    wait_until_settled(&receiver);
    let delivered = receiver.rows_of("deliveries?sink=run&state=delivered");
    assert_eq!(delivered.len(), strings.len());
    assert_eq!(receiver.stop().code(), Some(0));
    let trace = tracer.finish();
    assert_eq!(trace.processes(), strings.len());
    let mut run = 0;
    for program in trace.programs() {
        // Where it is looked for, in the order of PATH.
        let places = ["/usr/local/bin", "/usr/bin", "/bin"]
            .map(|folder| format!(r#"execve("{folder}/cat", ["cat", "-"]"#));
        assert!(places.iter().any(|place| place == program), "{program}");
        run += 1;
    }
    assert!(run >= strings.len(), "{run} calls of execve");
    soak_line(
        7,
        "exec, seen by strace",
        &format!(
            "{} pushes of naughty strings, {} processes, none of another program",
            strings.len(),
            trace.processes()
        ),
    );
}

/// A receiver that runs `command` and comments, with the sender's API at `api`.
fn commenting(api: &FakeServer, command: &str) -> Receiver {
    let account = format!(
        "\n[flashduty]\napp_key = \"{KEY}\"\nbase_url = \"{}\"\n[recover]\ninterval = \"0s\"\n",
        api.url("")
    );
    Receiver::start(&format!("{account}{}", exec(command, "comment = true")))
}

fn press(receiver: &Receiver) -> Value {
    let answer = receiver.push(&push_of("pressed", "disk"));
    assert_eq!(answer.outcome(), "accepted");
    let seq = answer.json()["seq"].clone();
    wait_until_settled(receiver);
    seq
}

#[test]
fn who_pressed_the_button_reads_on_the_timeline_what_came_of_it() {
    let api = FakeServer::new(|_, _| Reply::new(200, r#"{"request_id":"1","data":{}}"#));
    let receiver = commenting(&api, r#"["sh", "-c", "echo restarted; exit 3"]"#);
    press(&receiver);
    let request = api.only();
    assert_eq!(request.method, "POST");
    assert_eq!(request.target, format!("/incident/comment?app_key={KEY}"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let said = "sh: exited with status 3\nrestarted";
    let expected = json!({"incident_ids": ["pressed"], "comment": said});
    assert_eq!(request.json(), expected);
    let dead = receiver.rows_of("deliveries?sink=run&state=dead");
    assert_eq!(dead.len(), 1);
}

#[test]
fn a_timeline_that_cannot_be_written_to_changes_nothing_and_shows_no_key() {
    let refusal =
        json!({"error": {"code": "AccessDenied", "message": format!("no access with {KEY}")}});
    let replies = [
        Reply::new(403, refusal.to_string()),
        Reply::new(500, format!("<html>{KEY}</html>")),
        Reply::new(302, "").with("Location", "http://127.0.0.1:9/"),
        Reply::Reset,
        Reply::Garbage,
    ];
    for reply in replies {
        let shown = format!("{reply:?}");
        let api = FakeServer::scripted(vec![reply]);
        let receiver = commenting(&api, r#"["true"]"#);
        let seq = press(&receiver);
        receiver.wait_for_state(&seq, "run", "delivered");
        assert!(api.requests() > 0, "{shown}");
        let line = receiver.lines.wait("what went wrong", |line| {
            let message = line["message"].as_str().unwrap_or_default();
            message.starts_with("the incident's timeline does not show")
        });
        assert_eq!(line["incident"], "pressed", "{shown}");
        let all = format!("{:?}", receiver.lines.all());
        assert!(!all.contains(KEY), "{shown}: {line}");
    }
}
