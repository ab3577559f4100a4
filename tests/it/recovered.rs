//! What is recovered of pushes that say neither which event they are nor when it happened.

use std::path::Path;

use serde_json::Value;

use crate::fake::{FakeServer, Reply};
use crate::receiver::Receiver;
use crate::sender::Sender;

/// What a look back of three hours found.
fn recover(receiver: &Receiver) -> Value {
    let told = receiver.told(&["recover", "--since", "3h", "--json"]);
    serde_json::from_str(&told).unwrap()
}

/// As a kill in the middle of a page does: what was offered is there, and no record of it is remembered.
fn forget_the_records(folder: &Path) {
    let inbox = rusqlite::Connection::open(folder.join("data/inbox.db")).unwrap();
    assert!(inbox.execute("DELETE FROM recovered", []).unwrap() > 0);
}

#[test]
fn what_nothing_tells_apart_is_recovered_once_and_no_command_of_long_ago_is_carried_out() {
    let sender = Sender::new();
    let hook = FakeServer::new(|_, _| Reply::new(200, ""));
    let (event, command) = (r#"{"event_type":"i_new"}"#, r#"{"event_type":"i_custom"}"#);
    sender.back(2);
    for body in [event, event, command] {
        sender.missed(body);
    }
    sender.back(0);
    sender.missed(command);
    let tables = sender.tables("interval = \"0s\"\nrate = \"1000/1s\"\ncommands = true");
    let tables = tables + &hook.sink("hook", "");
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start_in(folder.path(), &tables);
    assert_eq!(recover(&receiver)["accepted"], 4);
    let mut types: Vec<Value> = hook
        .wait_for(3)
        .iter()
        .map(|push| push.json()["event_type"].clone())
        .collect();
    types.sort_by_key(ToString::to_string);
    assert_eq!(types, ["i_custom", "i_new", "i_new"]);
    assert_eq!(receiver.stop().code(), Some(0));

    forget_the_records(folder.path());
    let receiver = Receiver::start_in(folder.path(), &tables);
    let again = recover(&receiver);
    assert_eq!(
        (&again["accepted"], &again["duplicate"]),
        (&0.into(), &4.into()),
        "{again}"
    );
    assert_eq!(receiver.rows("events").len(), 4);
    assert_eq!(hook.received().len(), 3);
}
