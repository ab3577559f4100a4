//! However much is stored, whoever looks at the console waits for nothing.

use crate::pages::{Answered, fill};
use crate::receiver::{Receiver, count, soak_line};
use crate::setup::with_inbox;

#[test]
fn with_a_million_events_every_request_of_the_console_is_answered_soon() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let stored = count(2_000, 1_000_000);
    with_inbox(&folder.path().join("data/inbox.db"), async |inbox| {
        fill(inbox, stored).await;
    });
    let receiver = Receiver::start_in(folder.path(), "");
    let answered = Answered::by(&receiver);
    soak_line(
        81,
        "the console's requests on SQLite",
        &format!("{stored} events: {}", answered.are_soon()),
    );
}
