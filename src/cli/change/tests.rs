//! What a change by hand asks of a receiver, and what a person learns of it.

use super::*;
use crate::cli::printer::tests::{captured, on_terminal};
use crate::cli::tests::fake::Fake;

#[test]
fn a_pause_keeps_the_rate_and_what_changes_nothing_costs_none() {
    let rate = |count, seconds| Rate {
        count,
        window: Duration::from_secs(seconds),
    };
    assert_eq!(pause(rate(20, 1), 20), Duration::from_secs(1));
    assert_eq!(pause(rate(2000, 1), 500), Duration::from_millis(250));
    assert_eq!(pause(rate(20, 60), 0), Duration::ZERO);
}

#[test]
fn a_person_is_asked_about_one_delivery_as_about_one_and_about_many_as_about_many() {
    let told = [(1, 1), (5, 1), (5, 2)].map(|(changed, commands)| {
        again(&Total {
            changed,
            commands,
            ..Total::default()
        })
    });
    insta::assert_snapshot!(told.join("\n"), @r"
    1 delivery is replayed, and it is a command: what it asks for is done again
    5 deliveries are replayed, and 1 of them is a command: what it asks for is done again
    5 deliveries are replayed, and 2 of them are commands: what they ask for is done again
    ");
}

const FIRST: &str =
    r#"{"changed":500,"skipped":{},"commands":0,"items":[],"upto":900,"next_cursor":"501"}"#;
const LAST: &str = r#"{"changed":20,"skipped":{"running":1},"commands":0,"items":[],"upto":900}"#;

fn replay(reader: &Reader, interrupt: Interrupt) -> Run<'_> {
    Run {
        reader,
        action: Action::Replay,
        request: ChangeRequest {
            sink: Some("tickets".to_owned()),
            state: Some(DeliveryState::Dead),
            ..ChangeRequest::default()
        },
        rate: None,
        interrupt,
    }
}

fn never() -> Interrupt {
    Interrupt::when(std::future::pending())
}

fn at_once() -> Interrupt {
    Interrupt::when(std::future::ready(()))
}

#[tokio::test]
async fn a_person_sees_how_far_a_replay_is_of_what_was_counted() {
    let (fake, reader) = Fake::start().await;
    let (mut printer, out, err) = on_terminal(80, false);
    let mut run = replay(&reader, never());
    let (exit, asked) = tokio::join!(
        run.replay(false, &mut printer),
        fake.answer("POST /api/v1/replay", &[FIRST, LAST, FIRST, LAST])
    );
    assert_eq!(exit.unwrap(), Exit::Done);
    let dry: Vec<_> = asked.iter().map(|body| body["dry_run"] == true).collect();
    assert_eq!(dry, [true, true, false, false]);
    assert_eq!(out.text(), "520 replayed; left alone: 1 running\n");
    assert_eq!(
        err.text(),
        "\rcounting: 500 so far\u{1b}[K\r500 replayed of 520\u{1b}[K\r\u{1b}[K"
    );
}

#[tokio::test]
async fn an_interrupted_change_ends_its_step_and_says_how_far_it_came() {
    let (fake, reader) = Fake::start().await;
    let (mut printer, out, err) = captured(false);
    let mut run = replay(&reader, at_once());
    let (exit, _) = tokio::join!(
        run.replay(true, &mut printer),
        fake.answer("POST /api/v1/replay", &[FIRST])
    );
    assert_eq!(exit.unwrap(), Exit::Failed);
    assert_eq!(
        out.text(),
        "500 replayed; interrupted: the rest is as it was; the same again goes on\n"
    );
    assert_eq!(err.text(), "", "no progress where nobody watches");

    let (fake, reader) = Fake::start().await;
    let (mut printer, out, err) = captured(false);
    let mut run = replay(&reader, at_once());
    let (exit, _) = tokio::join!(
        run.replay(false, &mut printer),
        fake.answer("POST /api/v1/replay", &[FIRST])
    );
    assert_eq!(exit.unwrap(), Exit::Failed);
    assert_eq!(out.text(), "");
    assert_eq!(err.text(), "interrupted: nothing was replayed\n");
}

#[tokio::test]
async fn a_last_step_that_is_taken_is_not_interrupted() {
    let (fake, reader) = Fake::start().await;
    let (mut printer, ..) = captured(false);
    let mut run = replay(&reader, at_once());
    let (exit, _) = tokio::join!(
        run.replay(true, &mut printer),
        fake.answer("POST /api/v1/replay", &[LAST])
    );
    assert_eq!(exit.unwrap(), Exit::Done);
}

#[tokio::test]
async fn a_receiver_that_goes_away_in_the_middle_leaves_a_number() {
    let (fake, reader) = Fake::start().await;
    let (mut printer, ..) = captured(false);
    let mut run = replay(&reader, never());
    let (exit, _) = tokio::join!(
        run.replay(true, &mut printer),
        fake.answer("POST /api/v1/replay", &[FIRST])
    );
    let error = format!("{:#}", exit.unwrap_err());
    assert!(error.starts_with("500 replayed before this: "), "{error}");
}
