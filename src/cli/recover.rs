//! `recover`: fetches from the sender's history, by hand.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::access::AccessArgs;
use super::filter;
use super::interrupt::Interrupt;
use super::printer::{Column, Printer};
use super::reader::Reader;
use super::{Exit, finish};
use crate::admin::recovery::RecoverRequest;
use crate::recover::Progress;

/// Between two looks at how it goes.
const LOOK: Duration = Duration::from_millis(250);
/// Cells of the bar.
const BAR: u32 = 20;

/// Since when, and how.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    #[command(flatten)]
    access: AccessArgs,
    /// Events since then: a time, or how long ago (2h, 7d); the sender keeps seven days
    #[arg(long, value_name = "TIME", value_parser = filter::moment)]
    since: Timestamp,
    /// Store nothing, and say what would be stored
    #[arg(long)]
    dry_run: bool,
    /// Also look at pushes that went well, to prove that nothing is missing
    #[arg(long)]
    all: bool,
}

/// Shown below `recover --help`.
pub const EXAMPLES: &str = "\
The running receiver asks the sender which pushes failed, and takes those it does not have. It \
goes on when this command is interrupted. Needs flashduty.app_key, and recover.integrations or \
recover.endpoint beside it.

Examples:
  What was missed in the last two hours, if anything:
    flashduty-receiver recover --since 2h --dry-run
  Fetch it:
    flashduty-receiver recover --since 2h
  Prove that everything of this week is here:
    flashduty-receiver recover --since 7d --all";

/// Has the receiver recover, and follows it to its end.
///
/// # Errors
/// When no receiver runs, or it does not recover.
pub async fn run(
    args: RecoverArgs,
    config: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let reader = args.access.open(config).await?;
    let request = RecoverRequest {
        since: args.since.to_string(),
        dry_run: args.dry_run,
        all: args.all,
    };
    let done = follow(&request, &reader, Interrupt::listen(), printer).await;
    finish(reader, done).await
}

async fn follow(
    request: &RecoverRequest,
    reader: &Reader,
    mut interrupt: Interrupt,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let mut now = reader.recover(request).await?;
    while now.running {
        printer.progress(&bar(&now))?;
        interrupt.or_after(LOOK).await;
        if interrupt.came() {
            printer.note(&format!(
                "{}; interrupted: the receiver goes on without this command",
                bar(&now)
            ))?;
            return Ok(Exit::Failed);
        }
        now = reader.recovered().await?;
    }
    printer.progress(&bar(&now))?;
    printer.progress_ends()?;
    tell(&now, printer)
}

/// How far it is, on one line.
fn bar(now: &Progress) -> String {
    let (Some(since), Some(until), Some(at)) = (now.since, now.until, now.at) else {
        return "waiting for the look that is under way".to_owned();
    };
    let whole = until.duration_since(since).as_secs_f64().max(1.0);
    let part = (at.duration_since(since).as_secs_f64() / whole).clamp(0.0, 1.0);
    let part = if now.running { part } else { 1.0 };
    let cells: String = (0..BAR)
        .map(|cell| match f64::from(cell) < part * f64::from(BAR) {
            true => '#',
            false => '.',
        })
        .collect();
    let new = now.accepted + now.stale;
    format!(
        "[{cells}] {:.0}%  {} looked at, {new} new",
        part * 100.0,
        now.records
    )
}

fn tell(done: &Progress, printer: &mut Printer) -> anyhow::Result<Exit> {
    if printer.json() {
        printer.object(done)?;
    } else {
        let rows = [
            (
                "accepted",
                done.accepted,
                "new, and on the way to the sinks",
            ),
            (
                "  of them commands",
                done.commands,
                "not carried out unless recover.commands is true",
            ),
            ("stale", done.stale, "new, but overtaken by what came later"),
            ("duplicate", done.duplicate, "here already"),
            (
                "  that differ",
                done.differs,
                "with another body than the one that is here",
            ),
            ("known", done.known, "recovered before"),
            ("unreadable", done.unreadable, "see the command unreadable"),
            (
                "misrouted",
                done.misrouted,
                "to a URL that is no webhook of this receiver",
            ),
            ("missing", done.missing, "listed, but not to be had"),
            ("all", done.records, "looked at"),
            (
                "elsewhere",
                done.elsewhere,
                "none of ours: to other URLs than recover.endpoint",
            ),
        ];
        let rows =
            rows.map(|(what, count, means)| [what.to_owned(), count.to_string(), means.to_owned()]);
        let columns = ["OUTCOME", "PUSHES", "MEANING"].map(Column::new);
        printer.table(&columns, &rows)?;
        if let Some(late) = done.most_late_seconds {
            printer.line(&format!("the latest came {late:.0} s after its event"))?;
        }
    }
    if done.dry_run {
        printer.note("nothing was stored: this was a dry run")?;
    }
    if done.is_all_elsewhere() {
        printer.note(
            "everything that was found went elsewhere: if that is not so, recover.endpoint is wrong",
        )?;
    }
    match &done.error {
        None => Ok(Exit::Done),
        Some(error) => {
            printer.note(&format!("it ended early: {error}"))?;
            Ok(Exit::Failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::printer::tests::captured;
    use super::super::tests::fake::Fake;
    use super::*;

    fn done() -> Progress {
        let at = |text: &str| text.parse().ok();
        Progress {
            since: at("2026-05-04T10:00:00Z"),
            until: at("2026-05-04T12:00:00Z"),
            at: at("2026-05-04T10:30:00Z"),
            records: 14,
            accepted: 5,
            commands: 1,
            duplicate: 7,
            stale: 2,
            most_late_seconds: Some(1800.4),
            ..Progress::default()
        }
    }

    #[test]
    fn a_bar_shows_how_far_it_is() {
        let mut now = done();
        now.running = true;
        insta::assert_snapshot!(bar(&now), @"[#####...............] 25%  14 looked at, 7 new");
        insta::assert_snapshot!(bar(&done()), @"[####################] 100%  14 looked at, 7 new");
        insta::assert_snapshot!(bar(&Progress::default()), @"waiting for the look that is under way");
    }

    #[tokio::test]
    async fn whoever_does_not_wait_learns_how_far_it_is_and_that_it_goes_on() {
        let (fake, reader) = Fake::start().await;
        let (mut printer, out, err) = captured(false);
        let running = Progress {
            running: true,
            ..done()
        };
        let running = serde_json::to_string(&running).unwrap();
        let request = RecoverRequest {
            since: "2026-05-04T10:00:00Z".to_owned(),
            dry_run: false,
            all: false,
        };
        let interrupt = Interrupt::when(std::future::ready(()));
        let answers = [running.as_str()];
        let (exit, _) = tokio::join!(
            follow(&request, &reader, interrupt, &mut printer),
            fake.answer("POST /api/v1/recover", &answers)
        );
        assert_eq!(exit.unwrap(), Exit::Failed);
        assert_eq!(out.text(), "");
        assert_eq!(
            err.text(),
            "[#####...............] 25%  14 looked at, 7 new; interrupted: the receiver goes on \
             without this command\n"
        );
    }

    #[test]
    fn people_read_a_table_of_what_was_found() {
        let (mut printer, out, err) = captured(false);
        assert_eq!(tell(&done(), &mut printer).unwrap(), Exit::Done);
        insta::assert_snapshot!(out.text());
        assert_eq!(err.text(), "");
    }

    #[test]
    fn a_person_is_told_when_nothing_was_ours() {
        for (records, elsewhere, is_told) in [(0, 7, true), (0, 0, false), (1, 7, false)] {
            let (mut printer, out, err) = captured(false);
            let found = Progress {
                records,
                elsewhere,
                ..Progress::default()
            };
            assert_eq!(tell(&found, &mut printer).unwrap(), Exit::Done);
            assert!(out.text().contains("elsewhere"), "{}", out.text());
            assert_eq!(err.text().contains("recover.endpoint"), is_told);
        }
    }

    #[test]
    fn what_ended_early_is_a_failure_that_says_why() {
        let (mut printer, out, err) = captured(true);
        let failed = Progress {
            error: Some("the API answered 500".to_owned()),
            dry_run: true,
            ..done()
        };
        assert_eq!(tell(&failed, &mut printer).unwrap(), Exit::Failed);
        let read: Progress = serde_json::from_str(&out.text()).unwrap();
        assert_eq!(read, failed);
        let notes =
            "nothing was stored: this was a dry run\nit ended early: the API answered 500\n";
        assert_eq!(err.text(), notes);
    }
}
