//! Draining, step by step.

use tempfile::TempDir;

use super::*;
use crate::cli::printer::tests::on_terminal;
use crate::cli::tests::fake::Fake;
use crate::event::Id;
use crate::inbox::{Batch, Offer};

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
