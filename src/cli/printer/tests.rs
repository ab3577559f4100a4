//! What a printer writes, captured.

use std::sync::{Arc, Mutex};

use super::*;

/// What a printer wrote, to be looked at.
#[derive(Clone, Default)]
pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A printer, what it prints, and what it remarks.
pub(crate) fn captured(json: bool) -> (Printer, Captured, Captured) {
    let (out, err) = (Captured::default(), Captured::default());
    let printer = Printer::to(Box::new(out.clone()), Box::new(err.clone()), json);
    (printer, out, err)
}

#[test]
fn a_table_lines_up_and_shows_control_characters() {
    let (mut printer, out, _) = captured(false);
    let rows = [
        ["1".to_owned(), "i_new".to_owned()],
        ["1000".to_owned(), "\x1b[2J\u{202e}a\nb".to_owned()],
        ["3".to_owned(), String::new()],
    ];
    let columns = [Column::new("SEQ"), Column::new("TYPE")];
    printer.table(&columns, &rows).unwrap();
    insta::assert_snapshot!(out.text(), @r"
    SEQ   TYPE
    1     i_new
    1000  \u{1b}[2J\u{202e}a\nb
    3     -
    ");
}

#[test]
fn one_of_something_is_not_counted_as_many() {
    let told = [0_u64, 1, 2].map(|count| counted(count, "delivery", "deliveries"));
    assert_eq!(told, ["0 deliveries", "1 delivery", "2 deliveries"]);
}

#[test]
fn words_stand_in_one_line_and_only_our_own_colours_are_obeyed() {
    let word = |text: &str, width, paint| Word {
        text: text.to_owned(),
        width,
        least: None,
        paint,
    };
    let words = [
        word("Critical", 10, Paint::Red),
        word("a\u{1b}[2J\nb\u{2028}\u{85}", 0, Paint::Plain),
        word("", 4, Paint::Faint),
    ];
    let (mut plain, out, _) = captured(false);
    plain.words(&words).unwrap();
    assert_eq!(
        out.text(),
        "Critical    a\\u{1b}[2J\\nb\\u{2028}\\u{85}  -\n"
    );
    let (colours, out, _) = captured(false);
    colours.in_colours().words(&words).unwrap();
    assert_eq!(
        out.text(),
        "\u{1b}[31mCritical\u{1b}[0m    a\\u{1b}[2J\\nb\\u{2028}\\u{85}  \
         \u{1b}[2m-\u{1b}[0m\n"
    );
}

#[test]
fn lines_keep_their_ends_and_exact_bytes_keep_everything() {
    let (mut printer, out, err) = captured(true);
    printer.line("a\nb\x07").unwrap();
    printer.exact(b"\0\r\n").unwrap();
    printer.note("n").unwrap();
    assert_eq!(out.text(), "a\nb\\u{7}\n\0\r\n");
    assert_eq!(err.text(), "n\n");
}

/// A printer before a terminal, five minutes after the times that are used here.
pub(crate) fn on_terminal(columns: usize, json: bool) -> (Printer, Captured, Captured) {
    let (printer, out, err) = captured(json);
    let now = "2026-05-04T10:05:00Z".parse().unwrap();
    (printer.on_terminal(columns, now), out, err)
}

#[test]
fn a_line_of_words_is_cut_where_the_terminal_ends() {
    let word = |text: &str, least| Word {
        text: text.to_owned(),
        width: 6,
        least,
        paint: Paint::Plain,
    };
    let words = [
        word("i_ack", None),
        word("磁盘使用率超过 90%", Some(8)),
        word("incident:664af", None),
    ];
    let printed = |columns| {
        let (mut printer, out, _) = on_terminal(columns, false);
        printer.words(&words).unwrap();
        out.text()
    };
    assert_eq!(printed(60), "i_ack   磁盘使用率超过 90%  incident:664af\n");
    assert_eq!(printed(36), "i_ack   磁盘使用率…  incident:664af\n");
    assert_eq!(printed(20), "i_ack   磁盘使…  incident:664af\n");
}

#[test]
fn progress_gives_way_to_what_comes_next_and_is_seen_on_a_terminal_only() {
    let (mut printer, out, err) = on_terminal(10, false);
    printer.progress("500 of 1200 replayed").unwrap();
    printer.line("done").unwrap();
    printer.progress("1").unwrap();
    printer.progress_ends().unwrap();
    printer.note("n").unwrap();
    assert_eq!(out.text(), "done\n");
    assert_eq!(err.text(), "\r500 of 1…\u{1b}[K\r\u{1b}[K\r1\u{1b}[K\nn\n");
    let (mut printer, _, err) = captured(false);
    printer.progress("1").unwrap();
    printer.progress_ends().unwrap();
    assert_eq!(err.text(), "");
}

#[test]
fn pieces_stand_close_in_one_line_and_only_our_own_colours_are_obeyed() {
    let pieces = [
        ("log: ", Paint::Plain),
        ("dead", Paint::Red),
        (", no\n\u{1b}[2J", Paint::Plain),
    ];
    let (mut plain, out, _) = captured(false);
    plain.pieces(&pieces).unwrap();
    assert_eq!(out.text(), "log: dead, no\\n\\u{1b}[2J\n");
    let (colours, out, _) = captured(false);
    colours.in_colours().pieces(&pieces).unwrap();
    assert_eq!(
        out.text(),
        "log: \u{1b}[31mdead\u{1b}[0m, no\\n\\u{1b}[2J\n"
    );
}

#[test]
fn ages_are_for_people_and_json_has_none() {
    let at = "2026-05-04T10:00:00Z".parse().unwrap();
    let told = |printer: &Printer| (printer.age(at), printer.aside(at));
    let (person, ..) = on_terminal(80, false);
    assert_eq!(told(&person), ("5m".to_owned(), " (5m ago)".to_owned()));
    let (script, ..) = on_terminal(80, true);
    assert_eq!(told(&script), (String::new(), String::new()));
    let (pipe, ..) = captured(false);
    assert_eq!(told(&pipe), (String::new(), String::new()));
}

#[test]
fn a_listing_that_may_have_been_cut_short_says_so_on_a_terminal() {
    for (shown, limit, is_told) in [(50, 50, true), (49, 50, false), (0, 0, false)] {
        let (mut printer, _, err) = on_terminal(80, false);
        printer.hint_of_more(shown, limit).unwrap();
        assert_eq!(err.text().contains("--limit"), is_told, "{shown}");
        let (mut printer, _, err) = captured(false);
        printer.hint_of_more(shown, limit).unwrap();
        assert_eq!(err.text(), "");
    }
}

#[test]
fn a_body_is_shown_on_a_terminal_and_exact_elsewhere() {
    let body = b"{\"title\":\"\x1b]0;x\x07\"}\xff";
    let (mut printer, out, err) = on_terminal(80, false);
    printer.exact(body).unwrap();
    assert_eq!(out.text(), "{\"title\":\"\\u{1b}]0;x\\u{7}\"}\u{fffd}\n");
    assert!(err.text().contains("exact bytes"), "{}", err.text());
    let (mut printer, out, err) = on_terminal(80, false);
    printer.exact(b"{}\n").unwrap();
    assert_eq!((out.text(), err.text()), ("{}\n".to_owned(), String::new()));
}

#[test]
fn json_never_holds_what_a_terminal_obeys() {
    let (mut printer, out, _) = captured(true);
    printer.object(&"\u{9b}31m\u{7f}").unwrap();
    printer.object_text("{\"a\":\"\u{202e}\"}").unwrap();
    assert_eq!(out.text(), "\"\\u009b31m\\u007f\"\n{\"a\":\"\\u202e\"}\n");
}

#[test]
fn a_person_is_told_that_nothing_matches_and_what_has_no_room() {
    let columns = [Column::new("SEQ"), Column::new("EVENT ID").spare(1)];
    let (mut printer, out, err) = on_terminal(80, false);
    printer.table(&columns, &[]).unwrap();
    assert_eq!(out.text(), "SEQ  EVENT ID\n");
    assert_eq!(err.text(), "nothing matches\n");
    let (mut printer, out, err) = on_terminal(12, false);
    let rows = [["1".to_owned(), "8d6f".to_owned()]];
    printer.table(&columns, &rows).unwrap();
    assert_eq!(out.text(), "SEQ\n1\n");
    assert!(
        err.text().starts_with("no room for EVENT ID"),
        "{}",
        err.text()
    );
    let (mut printer, _, err) = captured(false);
    printer.table(&columns, &[]).unwrap();
    assert_eq!(err.text(), "");
}
