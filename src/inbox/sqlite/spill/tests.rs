//! The spill's file: what it keeps, who may have it, and what it gives back.

use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::event::{Event, Key, Origin, Route};
use crate::inbox::Offer;
use crate::inbox::conformance::{at, event};
use crate::inbox::spill::Contents;

fn open(folder: &TempDir) -> SqliteSpill {
    SqliteSpill::open(&path(folder), Duration::ZERO).unwrap()
}

fn path(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("spill.db")
}

fn batch(offers: impl IntoIterator<Item = Offer>) -> Arc<Batch> {
    Arc::new(Batch {
        offers: offers.into_iter().collect(),
        ..Batch::default()
    })
}

fn bounds(count: usize) -> UnreadableBounds {
    UnreadableBounds {
        count,
        bytes: 1 << 20,
    }
}

fn unreadable(body: &'static str) -> Unreadable {
    Unreadable {
        received_at: Timestamp::from_microsecond(1_700_000_000_123_456).unwrap(),
        reason: "line 1, column 1: no JSON".to_owned(),
        route: Route {
            tag: Some("team-a".into()),
            query: Some("x=1".into()),
        },
        source_ip: Some("2001:db8::1".parse().unwrap()),
        peer_ip: None,
        body: body.into(),
    }
}

async fn ids(spill: &SqliteSpill) -> Vec<String> {
    let rows = spill.oldest(100, usize::MAX).await.unwrap();
    let id = |row: &Spilled| row.event.event_id.as_ref().map(ToString::to_string);
    rows.iter().filter_map(id).collect()
}

#[tokio::test]
async fn an_event_comes_back_as_it_went_in_also_from_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let full = Event {
        route: Route {
            tag: Some("team-a".into()),
            query: Some("x=1&y=%00".into()),
        },
        command: true,
        source_ip: Some("2001:db8::1".parse().unwrap()),
        origin: Origin::Recovered,
        received_at: Timestamp::from_microsecond(1_700_000_000_123_456).unwrap(),
        trace_parent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        ..Event::sample(&b"{\"a\":\"\xff\0\"}\r\n"[..])
    };
    let bare = Event {
        event_id: None,
        event_time: None,
        subject: None,
        ..Event::sample("{}")
    };
    let offer = |event: Event, key, moves_mark| Offer {
        event: Arc::new(event),
        key,
        moves_mark,
        wanted: Arc::default(),
    };
    let offers = [
        offer(full, Some(Key([7; 16])), false),
        offer(bare, None, true),
    ];
    let spill = open(&folder);
    spill.keep(batch(offers.clone())).await.unwrap();
    spill.close().await.unwrap();
    let spill = open(&folder);
    assert_eq!(spill.waiting(), 2);
    let rows = spill.oldest(10, usize::MAX).await.unwrap();
    for (row, offer) in rows.iter().zip(&offers) {
        let back = row.offer(Arc::default());
        assert_eq!(format!("{back:?}"), format!("{offer:?}"));
    }
    spill.close().await.unwrap();
}

#[tokio::test]
async fn what_came_first_goes_first_and_goes_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let spill = open(&folder);
    let offers = ["a", "b", "c"].map(|id| event(id).offer());
    spill.keep(batch(offers)).await.unwrap();
    let rows = spill.oldest(2, usize::MAX).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        spill.oldest(9, 1).await.unwrap().len(),
        1,
        "bounded in bytes"
    );
    spill.keep(batch([event("d").offer()])).await.unwrap();
    spill.remove(rows[1].id).await.unwrap();
    assert_eq!(ids(&spill).await, ["c", "d"]);
    spill.remove(rows[1].id).await.unwrap();
    assert_eq!(spill.waiting(), 2, "removed twice");
    spill.close().await.unwrap();
}

#[tokio::test]
async fn no_number_is_given_twice_so_removing_late_takes_nothing_newer() {
    let folder = tempfile::tempdir().unwrap();
    let spill = open(&folder);
    let offers = ["a", "b"].map(|id| event(id).offer());
    spill.keep(batch(offers)).await.unwrap();
    let read = spill.oldest(2, usize::MAX).await.unwrap();
    spill.remove(read[1].id).await.unwrap();
    assert_eq!(spill.waiting(), 0);
    spill.keep(batch([event("c").offer()])).await.unwrap();
    spill.remove(read[1].id).await.unwrap();
    assert_eq!(ids(&spill).await, ["c"]);
    spill.close().await.unwrap();
    // The next process goes on behind what is left.
    let spill = open(&folder);
    spill.keep(batch([event("d").offer()])).await.unwrap();
    assert_eq!(ids(&spill).await, ["c", "d"]);
    spill.close().await.unwrap();
}

#[tokio::test]
async fn what_is_set_aside_stays_and_lets_others_pass() {
    let folder = tempfile::tempdir().unwrap();
    let spill = open(&folder);
    let offers = ["a", "b"].map(|id| event(id).offer());
    spill.keep(batch(offers)).await.unwrap();
    let rows = spill.oldest(2, usize::MAX).await.unwrap();
    spill.set_aside(rows[0].id).await.unwrap();
    assert_eq!(ids(&spill).await, ["b"]);
    spill.remove(rows[1].id).await.unwrap();
    assert_eq!(spill.waiting(), 0);
    let contents = look(&path(&folder)).unwrap();
    assert_eq!((contents.events, contents.set_aside), (0, 1));
    spill.close().await.unwrap();
}

#[tokio::test]
async fn a_person_may_look_while_somebody_has_it_and_nobody_else_may_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let spill = open(&folder);
    let offers = [("a", 5), ("b", 9)].map(|(id, at)| event(id).received(at).offer());
    spill.keep(batch(offers)).await.unwrap();
    let expected = Contents {
        events: 2,
        set_aside: 0,
        unreadable: 0,
        bytes: 4,
        oldest: Some(at(5)),
        newest: Some(at(9)),
    };
    assert_eq!(look(&path(&folder)).unwrap(), expected);
    let (contents, found) = spill.look(Some(Id::new("b"))).await.unwrap();
    assert_eq!((contents, found.len()), (expected.clone(), 1));
    assert_eq!((found[0].received_at, found[0].set_aside), (at(9), false));
    let (_, none) = spill.look(Some(Id::new("c"))).await.unwrap();
    assert!(none.is_empty());
    let refused = SqliteSpill::open(&path(&folder), Duration::ZERO);
    assert!(matches!(refused.err(), Some(OpenError::Held { .. })));
    spill.close().await.unwrap();
    assert_eq!(look(&path(&folder)).unwrap(), expected);
}

#[tokio::test]
async fn pushes_that_could_not_be_used_are_kept_within_bounds_and_for_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let spill = open(&folder);
    let three = ["a", "b", "c"].map(unreadable);
    spill
        .keep_unreadable(three.to_vec(), bounds(2))
        .await
        .unwrap();
    assert_eq!((spill.unreadable(), spill.waiting()), (2, 0));
    spill.close().await.unwrap();
    let spill = open(&folder);
    assert_eq!(spill.unreadable(), 2);
    let rows = spill.oldest_unreadable(9, usize::MAX).await.unwrap();
    for (row, kept) in rows.iter().zip(&three[1..]) {
        assert_eq!(format!("{:?}", row.push), format!("{kept:?}"));
    }
    let few = spill.oldest_unreadable(9, 1).await.unwrap();
    assert_eq!(few.len(), 1, "bounded in bytes");
    assert_eq!(look(&path(&folder)).unwrap().unreadable, 2);
    spill.remove_unreadable(rows[0].id).await.unwrap();
    assert_eq!(spill.unreadable(), 1);
    spill.close().await.unwrap();
}

#[tokio::test]
async fn the_file_of_an_earlier_version_is_brought_up_to_date_and_that_of_a_later_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let old = Connection::open(path(&folder)).unwrap();
    old.execute_batch(LAYOUT.migrations[0]).unwrap();
    old.pragma_update(None, "application_id", LAYOUT.application_id)
        .unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute_batch(
        "INSERT INTO spilled (moves_mark, event_id, event_type, command, origin, received, body) \
         VALUES (1, 'a', 'i_ack', 0, 0, 1000000, x'7b7d')",
    )
    .unwrap();
    drop(old);
    let contents = look(&path(&folder)).unwrap();
    assert_eq!((contents.events, contents.unreadable), (1, 0));
    let spill = open(&folder);
    let push = vec![unreadable("b")];
    spill.keep_unreadable(push, bounds(2)).await.unwrap();
    assert_eq!(ids(&spill).await, ["a"]);
    assert_eq!(spill.unreadable(), 1);
    spill.close().await.unwrap();

    let later = Connection::open(path(&folder)).unwrap();
    let version = LAYOUT.migrations.len() + 1;
    later.pragma_update(None, "user_version", version).unwrap();
    drop(later);
    let refused = SqliteSpill::open(&path(&folder), Duration::ZERO);
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains("by a later version"), "{refused}");
    assert!(look(&path(&folder)).is_err());
}

#[tokio::test]
async fn the_file_of_an_inbox_is_no_spill() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = super::super::SqliteInbox::open(SqliteOptions {
        location: Location::File(path(&folder)),
        lock_wait: Duration::ZERO,
        max_size: 0,
    })
    .unwrap();
    crate::inbox::Inbox::close(&inbox).await.unwrap();
    let refused = SqliteSpill::open(&path(&folder), Duration::ZERO)
        .err()
        .unwrap();
    assert!(refused.to_string().contains("store.spill"), "{refused}");
    assert!(look(&path(&folder)).is_err());
    assert!(look(&folder.path().join("none.db")).is_err());
}

#[tokio::test]
async fn a_file_that_was_long_is_short_again_once_it_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let spill = open(&folder);
    let large: &'static str = Box::leak("x".repeat(1 << 20).into_boxed_str());
    for _ in 0..32 {
        let offer = event("a").body(large).offer();
        spill.keep(batch([offer])).await.unwrap();
    }
    let length = || std::fs::metadata(path(&folder)).unwrap().len();
    assert!(length() > 16 << 20, "{}", length());
    let rows = spill.oldest(100, usize::MAX).await.unwrap();
    spill.remove(rows[31].id).await.unwrap();
    // What the file gives back it gives back after the answer.
    spill.probe().await.unwrap();
    assert!(length() < 1 << 20, "{}", length());
    spill.close().await.unwrap();
}

#[tokio::test]
async fn a_link_leads_to_the_same_lock() {
    let folder = tempfile::tempdir().unwrap();
    let spill = open(&folder);
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink("spill.db", &link).unwrap();
    let held = SqliteSpill::open(&link, Duration::ZERO).err().unwrap();
    assert!(matches!(held, OpenError::Held { .. }), "{held}");
    spill.close().await.unwrap();
    // So does one that was made before the file.
    let early = folder.path().join("early.db");
    std::os::unix::fs::symlink("elsewhere.db", &early).unwrap();
    let spill = SqliteSpill::open(&early, Duration::ZERO).unwrap();
    for path in [early, folder.path().join("elsewhere.db")] {
        let held = SqliteSpill::open(&path, Duration::ZERO).err().unwrap();
        assert!(matches!(held, OpenError::Held { .. }), "{held}");
    }
    spill.close().await.unwrap();
}
