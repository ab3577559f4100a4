//! Every kind of event is taken, stored byte for byte and shown.

use std::collections::BTreeMap;

use crate::receiver::{Receiver, soak_line};

/// The types the sender documents, those of its timeline API too.
const DOCUMENTED: [&str; 30] = [
    "i_new",
    "i_assign",
    "i_a_rspd",
    "i_snooze",
    "i_wake",
    "i_ack",
    "i_unack",
    "i_storm",
    "i_custom",
    "i_rslv",
    "i_reopen",
    "i_merge",
    "i_comm",
    "i_r_title",
    "i_r_desc",
    "i_r_impact",
    "i_r_rc",
    "i_r_rsltn",
    "i_r_severity",
    "i_r_field",
    "i_notify",
    "i_m_flapping",
    "i_m_reply",
    "i_wr_create",
    "i_wr_delete",
    "i_auto_refresh",
    "a_new",
    "a_update",
    "a_merge",
    "a_close",
];

/// Bodies that need a configuration of their own.
const RESHAPED: &str = "custom_body";

/// Name and bytes of every sample.
fn samples() -> BTreeMap<String, Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples");
    let mut samples = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            samples.insert(name, std::fs::read(path).unwrap());
        }
    }
    samples
}

#[test]
fn every_sample_is_accepted_delivered_and_given_back_byte_for_byte() {
    // The samples are old: the command among them would expire.
    let receiver = Receiver::start("[admission]\ncommands = [\"i_none\"]\n");
    let mut client = receiver.client();
    let samples = samples();
    let plain = samples
        .iter()
        .filter(|(name, _)| !name.starts_with(RESHAPED));
    let mut seqs = BTreeMap::new();
    for (name, body) in plain {
        // A route for each: they would outdate one another.
        let answer = client.push(&format!("/webhook/{name}"), body).unwrap();
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert_eq!(answer.outcome(), "accepted", "{name}: {answer:?}");
        seqs.insert(name.as_str(), answer.json()["seq"].as_i64().unwrap());
    }
    for (name, seq) in &seqs {
        let shown = receiver.cli(&["events", "show", &seq.to_string(), "--body"]);
        assert!(shown.status.success(), "{name}: {shown:?}");
        assert_eq!(shown.stdout, samples[*name], "{name}");
        let line = receiver.lines.wait(name, |line| line["seq"] == *seq);
        assert_eq!(line["target"], "flashduty::event", "{name}");
        assert_eq!(line["tag"], *name);
    }
    for event_type in DOCUMENTED {
        let seq = seqs
            .get(event_type)
            .unwrap_or_else(|| panic!("{event_type} has no sample"));
        let line = receiver.lines.wait(event_type, |line| line["seq"] == *seq);
        assert_eq!(line["event_type"], event_type);
        let kind = if event_type.starts_with("a_") {
            "alert:"
        } else {
            "incident:"
        };
        assert!(
            line["subject"].as_str().unwrap().starts_with(kind),
            "{line}"
        );
    }
    assert_eq!(receiver.pushes("accepted"), seqs.len() as f64);
    assert_eq!(receiver.rows("unreadable").len(), 0);
    soak_line(
        1,
        "documented, unknown and odd events",
        &format!(
            "{} bodies: all 200, delivered, given back byte for byte",
            seqs.len()
        ),
    );
}

#[test]
fn what_stands_in_a_body_is_read_as_documented() {
    let receiver = Receiver::start("[admission]\ncommands = [\"i_none\"]\n");
    let mut client = receiver.client();
    let samples = samples();
    let mut line_of = |name: &str| {
        let answer = client
            .push(&format!("/webhook/{name}"), &samples[name])
            .unwrap();
        let seq = answer.json()["seq"].clone();
        receiver.lines.wait(name, |line| line["seq"] == seq)
    };

    let custom = line_of("i_custom");
    assert!(
        custom["event_id"].is_string(),
        "from inside the incident: {custom}"
    );
    assert_eq!(line_of("unknown_type")["target"], "flashduty::event");
    assert_eq!(
        line_of("large_integers")["person"]["id"],
        9_007_199_254_740_993_i64
    );
    let numeric = line_of("numeric_ids");
    assert_eq!(numeric["event_id"], "123456789012345678901234567890");
    assert_eq!(numeric["subject"], "incident:9007199254740993");
    assert_eq!(numeric["event_time"], 1_775_980_804_000_i64);
    let nul = line_of("nul");
    assert!(
        nul["event_id"].as_str().unwrap().starts_with("sha256:"),
        "{nul}"
    );
    assert!(
        nul["title"].as_str().unwrap().starts_with("NUL \0"),
        "{nul}"
    );
    let repeated = line_of("duplicate_keys");
    assert_eq!(
        repeated["event_type"], "i_ack",
        "the last of equal keys counts"
    );
    assert_eq!(repeated["event_id"], "last");
    assert!(line_of("byte_order_mark")["event_id"].is_string());
    assert!(line_of("no_event_id")["event_id"].is_null());
}

#[test]
fn a_body_that_the_user_reshaped_takes_two_lines_of_configuration() {
    let receiver =
        Receiver::start("[envelope]\nevent_type = [\"/event\"]\nincident_id = [\"/content/id\"]\n");
    let samples = samples();
    let body = &samples["custom_body"];
    let answer = receiver.client().push("/webhook", body).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.json(),
        serde_json::json!({"outcome": "accepted", "event_id": null, "seq": 1})
    );
    let line = receiver.lines.wait("its line", |line| line["seq"] == 1);
    assert_eq!(line["event_type"], "i_ack");
    assert_eq!(line["subject"], "incident:69db5a40c1f04e7a9d2b8c11");
    let shown = receiver.cli(&["events", "show", "1", "--body"]);
    assert_eq!(&shown.stdout, body);
    soak_line(1, "custom body", "received with two lines of configuration");
}

#[test]
fn a_placeholder_that_was_not_filled_counts_as_absent_and_warns() {
    let receiver = Receiver::start(
        "[envelope]\nevent_type = [\"/event\"]\nevent_id = [\"/id\"]\nevent_time = [\"/at\"]\n\
         incident_id = [\"/content/id\"]\n",
    );
    let body = samples().remove("custom_body_placeholders").unwrap();
    let mut client = receiver.client();
    let answer = client.push("/webhook", &body).unwrap();
    assert_eq!(answer.outcome(), "accepted", "{answer:?}");
    assert!(answer.json()["event_id"].is_null());
    let warning = receiver.lines.wait("the warning", |line| {
        line["level"] == "WARN" && line["fields"].to_string().contains("incident_id")
    });
    assert!(
        warning["fields"].to_string().contains("event_id"),
        "{warning}"
    );
    // There is a time, so the body stands for the id.
    assert_eq!(
        client.push("/webhook", &body).unwrap().outcome(),
        "duplicate"
    );
}
