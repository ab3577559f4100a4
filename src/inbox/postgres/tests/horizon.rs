//! How far events are complete while transactions are open.

use super::*;
use crate::event::Seq;
use crate::inbox::conformance::follow::{all_there, followed};
use crate::inbox::conformance::{event, offer};
use crate::inbox::postgres::session::{COMMIT, Call};

async fn opened(database: &str) -> PostgresInbox {
    PostgresInbox::open(options(database)).await.unwrap()
}

/// Enters a transaction that draws a position, as an admitting one does.
async fn draw(inbox: &PostgresInbox) -> (Session, Seq) {
    let mut session = inbox.session().await.unwrap();
    session.begin(SHORT).await.unwrap();
    let numbered = Call::new("SELECT pg_current_xact_id()::text");
    session.one(numbered).await.unwrap();
    let drawn = session.one(Call::new("SELECT nextval('positions')")).await;
    let drawn: i64 = drawn.unwrap()[0].get(0);
    (session, Seq(drawn))
}

#[tokio::test]
async fn a_transaction_that_has_drawn_a_position_holds_back_what_comes_behind_it() {
    let database = database().await;
    let inbox = opened(&database).await;
    let first = offer(&inbox, event("a")).await.seq;
    assert_eq!(all_there(&inbox).await.complete, first);

    let (mut open, drawn) = draw(&inbox).await;
    // Nothing has ended since it began.
    let horizon = inbox.horizon().await.unwrap();
    assert_eq!((horizon.complete, horizon.drawn), (first, drawn));
    let behind = offer(&inbox, event("b")).await.seq;
    // One that never knew better, and one that did.
    let other = opened(&database).await;
    for inbox in [&inbox, &other, &inbox, &other] {
        let horizon = inbox.horizon().await.unwrap();
        assert!(horizon.complete <= first, "{horizon:?}");
        assert_eq!(horizon.drawn, behind);
    }
    open.end(COMMIT).await.unwrap();
    for inbox in [&inbox, &other] {
        assert_eq!(all_there(inbox).await.complete, behind);
    }
}

#[tokio::test]
async fn what_two_receivers_store_at_once_is_followed_at_a_third_without_a_gap() {
    let database = database().await;
    let (one, two, third) = tokio::join!(opened(&database), opened(&database), opened(&database));
    let store = async |inbox: &PostgresInbox, prefix: &str| {
        for turn in 0..40 {
            let id: &'static str = format!("{prefix}{turn}").leak();
            offer(inbox, event(id).alone()).await;
        }
    };
    let follow = followed(&third, 80, 7);
    let all = async { tokio::join!(store(&one, "a"), store(&two, "b"), follow) };
    let done = tokio::time::timeout(Duration::from_secs(60), all).await;
    let ((), (), seen) = done.expect("the follower has missed an event");
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}
