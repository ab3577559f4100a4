//! One event in one line, for people.

use crate::cli::events::{of_outcome, of_severity, route, title};
use crate::cli::printer::{Paint, Word};
use crate::inbox::query::EventRow;

/// The line's words.
pub(super) fn words(row: &EventRow) -> Vec<Word> {
    let severity = row.severity.as_deref().unwrap_or_default();
    let outcome = row.outcome.as_str();
    let word = |text: &str, width, paint| Word {
        text: text.to_owned(),
        width,
        least: None,
        paint,
    };
    vec![
        word(&format!("{:.3}", row.received_at), 24, Paint::Faint),
        word(outcome, 8, of_outcome(outcome)),
        word(&row.event_type, 8, Paint::Plain),
        word(severity, 8, of_severity(severity)),
        Word {
            least: Some(24),
            ..word(&title(row), 0, Paint::Plain)
        },
        word(row.subject.as_deref().unwrap_or_default(), 0, Paint::Faint),
        word(
            &route(row.tag.as_deref(), row.query.as_deref()),
            0,
            Paint::Faint,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::events::LONGEST_TITLE;
    use crate::cli::printer::tests::captured;

    const ROW: &str = r#"{"seq":42,"event_id":"8d6f","event_type":"i_ack","subject":"incident:664af","outcome":"accepted","command":false,"tag":"ops","query":"team=a","received_at":"2026-05-04T10:00:00.25Z","origin":"push","body_bytes":7}"#;

    fn printed(title: Option<&str>, severity: Option<&str>) -> String {
        let mut row: EventRow = serde_json::from_str(ROW).unwrap();
        row.title = title.map(str::to_owned);
        row.severity = severity.map(str::to_owned);
        let (mut printer, out, _) = captured(false);
        printer.words(&words(&row)).unwrap();
        out.text()
    }

    #[test]
    fn an_event_is_one_line_whatever_its_title_holds() {
        let title = "disk\u{1b}[2J\nfull \u{202e}";
        insta::assert_snapshot!(printed(Some(title), Some("Critical")), @r"2026-05-04T10:00:00.250Z  accepted  i_ack     Critical  disk\u{1b}[2J\nfull \u{202e}  incident:664af  /ops?team=a");
        insta::assert_snapshot!(printed(None, None), @"2026-05-04T10:00:00.250Z  accepted  i_ack     -         -  incident:664af  /ops?team=a");
    }

    #[test]
    fn a_title_is_cut_where_it_would_fill_the_screen() {
        let title = "é".repeat(LONGEST_TITLE + 1);
        let line = printed(Some(&title), None);
        assert_eq!(line.matches('é').count(), LONGEST_TITLE);
        assert!(line.contains("é…  incident"), "{line}");
    }
}
