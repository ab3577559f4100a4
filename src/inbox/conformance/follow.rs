//! Following the events: each once and in order, however they are committed.

use futures_util::future::join_all;

use super::*;
use crate::inbox::query::EventRow;

const WRITERS: usize = 6;
/// Transactions of each writer.
const EACH: usize = 12;
/// Nothing here takes this long unless it is broken.
const BROKEN: Duration = Duration::from_secs(60);

fn everything(limit: usize) -> EventFilter {
    EventFilter {
        limit,
        ..EventFilter::default()
    }
}

/// An event of its own, with a subject that others have as well, or without one.
fn numbered(writer: usize, turn: usize) -> Offer {
    let id: &'static str = format!("{writer}-{turn}").leak();
    let given = match turn % 3 {
        0 => event(id).of("incident:shared"),
        1 => event(id).of(format!("incident:{writer}").leak()),
        _ => event(id).alone(),
    };
    given.offer()
}

/// Waits until nothing is held back: transactions of other tests may hold it up on a server.
pub(in crate::inbox) async fn all_there(inbox: &dyn Inbox) -> Horizon {
    loop {
        let horizon = inbox.horizon().await.unwrap();
        if !horizon.waits() {
            return horizon;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Follows from the beginning, in stretches of `limit`, until `wanted` events have come.
pub(in crate::inbox) async fn followed(inbox: &dyn Inbox, wanted: usize, limit: usize) -> Vec<Seq> {
    let (mut after, mut seen) = (Seq(0), Vec::new());
    while seen.len() < wanted {
        let upto = inbox.horizon().await.unwrap().complete;
        let stretch = Stretch { after, upto };
        let followed = inbox.follow(stretch, everything(limit)).await.unwrap();
        assert!(followed.upto >= after, "it went back");
        assert!(followed.items.len() <= limit);
        after = followed.upto;
        seen.extend(followed.items.iter().map(|row| row.seq));
        tokio::task::yield_now().await;
    }
    seen
}

pub(in crate::inbox) async fn a_follower_of_concurrent_commits_sees_each_event_once_and_in_order(
    inbox: &dyn Inbox,
) {
    let writers = (0..WRITERS).map(|writer| async move {
        let mut stored = Vec::new();
        for turn in 0..EACH {
            // Some transactions are larger, and so take longer.
            let offers = (0..=turn % 4).map(|part| numbered(writer, turn + part * EACH));
            let batch = Batch {
                offers: offers.collect(),
                ..Batch::default()
            };
            let committed = inbox.commit(Arc::new(batch), at(0)).await.unwrap();
            stored.extend(committed.offered.iter().map(|offered| offered.seq));
        }
        stored
    });
    let wanted = WRITERS * (0..EACH).map(|turn| turn % 4 + 1).sum::<usize>();
    let all = async {
        tokio::join!(
            join_all(writers),
            followed(inbox, wanted, 500),
            followed(inbox, wanted, 3),
        )
    };
    let done = tokio::time::timeout(BROKEN, all).await;
    let (stored, at_once, piecemeal) = done.expect("a follower has missed an event");
    let mut stored: Vec<Seq> = stored.into_iter().flatten().collect();
    stored.sort_unstable();
    assert_eq!(at_once, stored);
    assert_eq!(piecemeal, stored);
}

pub(in crate::inbox) async fn what_is_followed_is_what_the_filter_selects_however_it_is_cut(
    inbox: &dyn Inbox,
) {
    offer_all(
        inbox,
        vec![
            event("a").time(5).received(1),
            event("b").time(4).received(2),
            event("c").of("alert:1").received(3),
            event("d").command().received(4),
            event("e").alone().received(5),
        ],
    )
    .await;
    let upto = all_there(inbox).await.complete;
    let ids = |rows: &[EventRow]| -> String {
        let ids = rows.iter().filter_map(|row| row.event_id.as_deref());
        ids.collect()
    };
    let filter = |change: fn(&mut EventFilter)| {
        let mut filter = everything(10);
        change(&mut filter);
        filter
    };
    for (filter, wanted) in [
        (everything(10), "abcde"),
        (filter(|f| f.outcome = Some(Outcome::Stale)), "b"),
        (filter(|f| f.event_type = Some("i_custom".to_owned())), "d"),
        (filter(|f| f.subject = Subject::parse("alert:1")), "c"),
        (filter(|f| f.event_id = Some("e".to_owned())), "e"),
        (filter(|f| f.route = Some(Route::default())), "abcde"),
        (filter(|f| f.since = Some(at(3))), "cde"),
        (
            filter(|f| {
                f.route = Some(Route {
                    tag: Some("ops".into()),
                    query: None,
                });
            }),
            "",
        ),
    ] {
        let after = Seq(0);
        let stretch = Stretch { after, upto };
        let whole = inbox.follow(stretch, filter.clone()).await.unwrap();
        assert_eq!(ids(&whole.items), wanted, "{filter:?}");
        assert_eq!(whole.upto, upto, "{filter:?}");
        let (mut after, mut found) = (after, String::new());
        while after < upto {
            let limit = 1;
            let filter = EventFilter {
                limit,
                ..filter.clone()
            };
            let stretch = Stretch { after, upto };
            let piece = inbox.follow(stretch, filter).await.unwrap();
            assert!(piece.upto > after, "it stands still");
            after = piece.upto;
            found += &ids(&piece.items);
        }
        assert_eq!(found, wanted, "piece by piece: {filter:?}");
    }
    let behind = Stretch {
        after: upto,
        upto: Seq(0),
    };
    let none = inbox.follow(behind, everything(10)).await.unwrap();
    assert_eq!((none.items.len(), none.upto), (0, upto));
}

pub(in crate::inbox) async fn a_follower_hears_of_the_last_event_that_was_removed(
    inbox: &dyn Inbox,
) {
    let sink = inbox.sink("s").await.unwrap();
    let before = inbox.horizon().await.unwrap();
    assert_eq!((before.complete, before.drawn), (Seq(0), Seq(0)));
    let given = vec![event("a").to(sink), event("b"), event("c")];
    let stored = offer_all(inbox, given).await;
    let prune = Prune {
        what: PruneWhat::Aged,
        now: at(2000),
        retention: Duration::from_secs(1000),
        after: Seq(0),
        wanted_bytes: 0,
    };
    let stretch = Stretch {
        after: Seq(0),
        upto: all_there(inbox).await.complete,
    };
    let whole = inbox.follow(stretch, everything(10)).await.unwrap();
    assert_eq!((whole.items.len(), whole.pruned), (3, Seq(0)));
    assert_eq!(inbox.prune(prune).await.unwrap().events, 2);
    let rest = inbox.follow(stretch, everything(10)).await.unwrap();
    let seqs: Vec<Seq> = rest.items.iter().map(|row| row.seq).collect();
    assert_eq!(seqs, [stored[0].seq], "it waits for its sink");
    assert_eq!(rest.pruned, stored[2].seq);
    assert_eq!(rest.upto, stretch.upto);
    let horizon = all_there(inbox).await;
    assert_eq!(horizon.complete, stretch.upto, "nothing takes it back");
}
