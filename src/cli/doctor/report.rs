//! What was found: checks, their findings, and how they are shown.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::build;
use crate::cli::Exit;
use crate::cli::printer::{Paint, PrintError, Printer, Word, counted};

/// How a check ended; the worst of its findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    Warning,
    Failure,
}

impl Status {
    fn word(self) -> Word {
        let (text, paint) = match self {
            Self::Ok => ("ok", Paint::Green),
            Self::Warning => ("warning", Paint::Yellow),
            Self::Failure => ("failure", Paint::Red),
        };
        Word {
            text: text.to_owned(),
            width: STATUS,
            least: None,
            paint,
        }
    }
}

/// Characters of the longest status.
const STATUS: usize = 7;

/// Something that is not as it should be.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    status: Status,
    what: String,
    advice: String,
    /// How the command ends for it.
    #[serde(skip)]
    exit: Exit,
}

/// One of the things that were looked at.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    check: String,
    status: Status,
    /// What there is to say although nothing is wrong; may be empty.
    detail: String,
    findings: Vec<Finding>,
    took_ms: u64,
    #[serde(skip)]
    readings: Vec<Reading>,
}

/// Somebody else's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// Whose it is, with the key that leads there.
    pub(super) whose: String,
    /// How far this machine's is ahead of it.
    pub(super) ahead: SignedDuration,
}

impl Check {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self {
            check: name.into(),
            status: Status::Ok,
            detail: String::new(),
            findings: Vec::new(),
            took_ms: 0,
            readings: Vec::new(),
        }
    }

    /// Says what there is to say anyway.
    pub(super) fn tell(&mut self, detail: impl Into<String>) {
        self.detail = detail.into();
    }

    /// Something that a person should look at, although it works.
    pub(super) fn warn(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        self.find(Status::Warning, (what.into(), advice.into()), Exit::Done);
    }

    /// Something that does not work.
    pub(super) fn fail(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        self.find(Status::Failure, (what.into(), advice.into()), Exit::Failed);
    }

    /// Something that is wrong with the configuration.
    pub(super) fn misuse(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        self.find(Status::Failure, (what.into(), advice.into()), Exit::Usage);
    }

    /// A disk that fails.
    pub(super) fn broken(&mut self, what: impl Into<String>, advice: impl Into<String>) {
        self.find(Status::Failure, (what.into(), advice.into()), Exit::StoreIo);
    }

    fn find(&mut self, status: Status, (what, advice): (String, String), exit: Exit) {
        self.status = self.status.max(status);
        self.findings.push(Finding {
            status,
            what,
            advice,
            exit,
        });
    }

    /// Notes what time it was just now where `whose` is.
    pub(super) fn read_clock(
        &mut self,
        whose: impl Into<String>,
        there: Timestamp,
        here: Timestamp,
    ) {
        self.readings.push(Reading {
            whose: whose.into(),
            ahead: here.duration_since(there),
        });
    }

    pub(super) fn readings(&self) -> &[Reading] {
        &self.readings
    }

    pub(super) fn took(&mut self, took: Duration) {
        self.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    }

    #[cfg(test)]
    pub(super) fn found(&self) -> Vec<(Status, &str, &str)> {
        let found = self.findings.iter();
        found
            .map(|finding| (finding.status, &*finding.what, &*finding.advice))
            .collect()
    }
}

/// All that was looked at.
pub(super) struct Report {
    checks: Vec<Check>,
    /// Whether all was looked at that there is to look at.
    complete: bool,
}

/// The whole of it, for scripts.
#[derive(Serialize)]
struct Document<'a> {
    status: Status,
    version: &'static str,
    complete: bool,
    warnings: usize,
    failures: usize,
    checks: &'a [Check],
}

impl Report {
    pub(super) fn new(checks: Vec<Check>, complete: bool) -> Self {
        Self { checks, complete }
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.checks.iter().flat_map(|check| &check.findings)
    }

    fn count(&self, status: Status) -> usize {
        self.findings()
            .filter(|finding| finding.status == status)
            .count()
    }

    /// How the command ends; with `strict`, warnings count, too.
    pub(super) fn exit(&self, strict: bool) -> Exit {
        for exit in [Exit::Usage, Exit::StoreIo, Exit::Failed] {
            if self.findings().any(|finding| finding.exit == exit) {
                return exit;
            }
        }
        match strict && self.count(Status::Warning) > 0 {
            true => Exit::Failed,
            false => Exit::Done,
        }
    }

    pub(super) fn print(&self, printer: &mut Printer) -> Result<(), PrintError> {
        let (warnings, failures) = (self.count(Status::Warning), self.count(Status::Failure));
        if printer.json() {
            let worst = self.checks.iter().map(|check| check.status).max();
            return printer.object(&Document {
                status: worst.unwrap_or(Status::Ok),
                version: build::VERSION,
                complete: self.complete,
                warnings,
                failures,
                checks: &self.checks,
            });
        }
        let names = self.checks.iter().map(|check| check.check.chars().count());
        let width = names.max().unwrap_or_default();
        for check in &self.checks {
            print_check(check, width, printer)?;
        }
        let checks = counted(
            u64::try_from(self.checks.len()).unwrap_or(u64::MAX),
            "check",
            "checks",
        );
        printer.line(&format!(
            "\n{checks}: {}, {}",
            told(warnings, "warning"),
            told(failures, "failure")
        ))?;
        if !self.complete {
            printer.note("nothing else was looked at: all of it depends on the configuration")?;
        }
        Ok(())
    }
}

fn told(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// One line, or two for each finding.
fn print_check(check: &Check, width: usize, printer: &mut Printer) -> Result<(), PrintError> {
    let line = |status: Status, what: &str| {
        let plain = |text: &str, width| Word {
            text: text.to_owned(),
            width,
            least: None,
            paint: Paint::Plain,
        };
        [status.word(), plain(&check.check, width), plain(what, 0)]
    };
    if check.findings.is_empty() {
        return printer.words(&line(Status::Ok, &check.detail));
    }
    let indent = STATUS + 2 + width + 2;
    for finding in &check.findings {
        printer.words(&line(finding.status, &finding.what))?;
        printer.line(&format!("{:indent$}-> {}", "", finding.advice))?;
    }
    Ok(())
}

/// What a message says, and what it advises behind its last semicolon, or else `otherwise`.
pub(super) fn parted(message: &str, otherwise: &str) -> (String, String) {
    match message.rsplit_once("; ") {
        Some((what, advice)) => (what.to_owned(), advice.to_owned()),
        None => (message.to_owned(), otherwise.to_owned()),
    }
}

/// Bytes as people say them.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, scale) in UNITS {
        if bytes >= scale {
            let tenths = u128::from(bytes) * 10 / u128::from(scale);
            return match (tenths / 10, tenths % 10) {
                (whole, 0) => format!("{whole} {unit}"),
                (whole, rest) => format!("{whole}.{rest} {unit}"),
            };
        }
    }
    format!("{bytes} bytes")
}

/// A length of time in milliseconds.
pub(super) fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::printer::tests::captured;

    fn report() -> Report {
        let mut good = Check::new("names");
        good.tell("2 names resolve");
        let mut bad = Check::new("sink tickets");
        bad.warn("it is slow", "make it faster");
        bad.fail("it is\x1b[2J gone", "bring it back");
        Report::new(vec![good, bad], true)
    }

    #[test]
    fn people_read_a_line_for_each_check_and_what_to_do_below_each_finding() {
        let (mut printer, out, _) = captured(false);
        report().print(&mut printer).unwrap();
        let expected = [
            "ok       names         2 names resolve",
            "warning  sink tickets  it is slow",
            "                       -> make it faster",
            "failure  sink tickets  it is\\u{1b}[2J gone",
            "                       -> bring it back",
            "",
            "2 checks: 1 warning, 1 failure",
            "",
        ];
        assert_eq!(out.text(), expected.join("\n"));
    }

    #[test]
    fn scripts_read_one_document() {
        let (mut printer, out, _) = captured(true);
        report().print(&mut printer).unwrap();
        let read: serde_json::Value = serde_json::from_str(&out.text()).unwrap();
        let expected = serde_json::json!({
            "status": "failure",
            "version": build::VERSION,
            "complete": true,
            "warnings": 1,
            "failures": 1,
            "checks": [
                {"check": "names", "status": "ok", "detail": "2 names resolve", "findings": [],
                    "took_ms": 0},
                {"check": "sink tickets", "status": "failure", "detail": "", "findings": [
                    {"status": "warning", "what": "it is slow", "advice": "make it faster"},
                    {"status": "failure", "what": "it is\u{1b}[2J gone", "advice": "bring it back"},
                ], "took_ms": 0},
            ],
        });
        assert_eq!(read, expected);
        assert_eq!(out.text().lines().count(), 1);
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst_and_warnings_count_when_they_should() {
        let of = |finding: fn(&mut Check)| {
            let mut check = Check::new("c");
            finding(&mut check);
            let report = Report::new(vec![check], true);
            (report.exit(false), report.exit(true))
        };
        assert_eq!(of(|_| {}), (Exit::Done, Exit::Done));
        let warned = of(|check| check.warn("w", "a"));
        assert_eq!(warned, (Exit::Done, Exit::Failed));
        assert_eq!(of(|check| check.fail("w", "a")).0, Exit::Failed);
        let broken = |check: &mut Check| {
            check.fail("w", "a");
            check.broken("w", "a");
        };
        assert_eq!(of(broken).0, Exit::StoreIo);
        assert_eq!(of(|check| check.misuse("w", "a")).0, Exit::Usage);
    }

    #[test]
    fn numbers_are_said_as_people_say_them() {
        let said = [0, 1023, 1024, 1_600_000, 3 << 30].map(size);
        assert_eq!(said, ["0 bytes", "1023 bytes", "1 KiB", "1.5 MiB", "3 GiB"]);
        assert_eq!(millis(Duration::from_micros(1234)), "1.2 ms");
    }

    #[test]
    fn a_message_is_parted_at_its_last_semicolon() {
        let parts = |message| parted(message, "see to it");
        let (what, advice) = parts("it is full; old; make room");
        assert_eq!((&*what, &*advice), ("it is full; old", "make room"));
        let (what, advice) = parts("it is full");
        assert_eq!((&*what, &*advice), ("it is full", "see to it"));
    }
}
