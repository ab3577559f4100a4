//! Draining, step by step.

use tempfile::TempDir;

use super::*;
use crate::cli::printer::tests::on_terminal;
use crate::cli::tests::fake::Fake;
use crate::event::{Id, Key};
use crate::inbox::faulty::FaultyInbox;
use crate::inbox::query::UnreadableFilter;
use crate::inbox::sqlite::SqliteInbox;
use crate::inbox::{Batch, InboxError, Offer};

const FIRST: &str = r#"{"accepted":256,"stale":0,"duplicate":0,"unreadable":0}"#;
const REST: &str = r#"{"accepted":44,"stale":0,"duplicate":0,"unreadable":0}"#;

/// A spill with 300 events: more than go in one step.
async fn left_behind(folder: &TempDir) -> SqliteSpill {
    let offers = (0..300).map(|number| {
        let event = Event {
            event_id: Some(Id::new(&format!("e{number}"))),
            ..Event::sample("{}")
        };
        Offer {
            event: Arc::new(event),
            key: None,
            moves_mark: true,
            wanted: Arc::default(),
        }
    });
    let batch = Batch {
        offers: offers.collect(),
        ..Batch::default()
    };
    let path = folder.path().join("spill.db");
    let spill = SqliteSpill::open(&path, Duration::ZERO).unwrap();
    spill.keep(Arc::new(batch)).await.unwrap();
    spill
}

fn draining<'a>(spill: &'a SqliteSpill, reader: &'a Reader, interrupt: Interrupt) -> Draining<'a> {
    let Reader::Api(api) = reader else {
        panic!("a fake receiver is asked");
    };
    Draining {
        spill,
        taker: Taker::Receiver(api),
        whole: 300,
        drained: Drained::default(),
        interrupt,
    }
}

#[tokio::test]
async fn an_interrupted_drain_ends_its_step_and_leaves_the_rest_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let spill = left_behind(&folder).await;
    let (fake, reader) = Fake::start().await;
    let (mut printer, out, err) = on_terminal(80, true);
    let interrupt = Interrupt::when(std::future::ready(()));
    let (exit, _) = tokio::join!(
        draining(&spill, &reader, interrupt).run(&mut printer),
        fake.answer("POST /api/v1/spilled", &[FIRST])
    );
    assert_eq!(exit.unwrap(), Exit::Failed);
    assert_eq!(out.text().trim(), FIRST);
    let told = err.text();
    assert!(
        told.contains("interrupted: 256 of 300 are drained"),
        "{told}"
    );
    assert_eq!(spill.oldest(1000, 1 << 20).await.unwrap().len(), 44);
    spill.close().await.unwrap();
}

#[tokio::test]
async fn a_drain_shows_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let spill = left_behind(&folder).await;
    let (fake, reader) = Fake::start().await;
    let (mut printer, out, err) = on_terminal(80, true);
    let interrupt = Interrupt::when(std::future::pending());
    let (exit, asked) = tokio::join!(
        draining(&spill, &reader, interrupt).run(&mut printer),
        fake.answer("POST /api/v1/spilled", &[FIRST, REST])
    );
    assert_eq!(exit.unwrap(), Exit::Done);
    assert_eq!(asked[1]["events"].as_array().unwrap().len(), 44);
    assert!(out.text().contains(r#""accepted":300"#), "{}", out.text());
    assert_eq!(
        err.text(),
        "\r256 of 300 drained\u{1b}[K\r300 of 300 drained\u{1b}[K\r\u{1b}[K"
    );
    spill.close().await.unwrap();
}

#[tokio::test]
async fn a_duplicate_that_differs_is_kept_once_though_its_step_is_made_again_for_want_of_a_line() {
    let inbox = FaultyInbox::new(SqliteInbox::in_memory());
    let direct = Direct {
        inbox: &inbox,
        routing: Routing::new(Vec::new()),
        bounds: UnreadableBounds {
            count: 10,
            bytes: 100,
        },
        recovered_commands: false,
    };
    let spilled = |body| Spilled {
        id: 1,
        event: Arc::new(Event::sample(body)),
        key: Some(Key([7; 16])),
        moves_mark: true,
    };
    direct.admit(&[spilled("{}")]).await.unwrap();
    let differs = [spilled("{ }")];
    // The commit ends well, and the line behind it does not.
    let away = InboxError::Away("the network is down".to_owned());
    inbox.fail_next([None, Some(away)]);
    assert!(direct.admit(&differs).await.is_err());
    let drained = direct.admit(&differs).await.unwrap();
    assert_eq!(drained.duplicate, 1);
    let kept = inbox.unreadables(UnreadableFilter::newest(10)).await;
    assert_eq!(kept.unwrap().items.len(), 1);
}
