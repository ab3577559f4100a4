//! The one place where commands write: results to standard output, remarks to standard error.
//!
//! Values from pushes are hostile: control characters reach a terminal escaped only, except through
//! [`Printer::bytes`], whose caller asked for exact bytes.

use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use serde::Serialize;

/// Why nothing more was printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// Whoever read the output has seen enough, as `head` does: stop, without complaint.
    #[error("the output was closed")]
    Closed,
    /// It cannot be written.
    #[error("cannot write the output")]
    Failed(#[source] io::Error),
}

impl From<io::Error> for PrintError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(error),
        }
    }
}

/// Writes for people or, with `--json`, for scripts: one object a line.
pub struct Printer {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    json: bool,
    /// Whether a person reads remarks, and can be asked.
    person: bool,
    /// Whether words may be coloured.
    colours: bool,
}

/// How a word is shown where there are colours, by its number among the terminal's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Paint {
    Plain = 0,
    Faint = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Blue = 34,
}

/// One of the words of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What it says, whatever that is.
    pub text: String,
    /// It is filled up with blanks to so many characters.
    pub width: usize,
    /// How it is shown.
    pub paint: Paint,
}

impl Printer {
    /// Writes to the process's own streams.
    pub fn standard(json: bool) -> Self {
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            json,
            person: io::stdin().is_terminal() && io::stderr().is_terminal(),
            colours: io::stdout().is_terminal() && colours_are_welcome(),
        }
    }

    /// Writes wherever it is told.
    pub fn to(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, json: bool) -> Self {
        Self {
            out,
            err,
            json,
            person: false,
            colours: false,
        }
    }

    /// The same in colours, as on a terminal.
    #[must_use]
    pub fn in_colours(mut self) -> Self {
        self.colours = true;
        self
    }

    /// Whether scripts are reading.
    pub fn json(&self) -> bool {
        self.json
    }

    /// A result, as one or more lines.
    pub fn line(&mut self, text: &str) -> Result<(), PrintError> {
        writeln!(self.out, "{}", Escaped(text).to_text())?;
        self.out.flush()?;
        Ok(())
    }

    /// A result as one line of words, whatever they hold.
    pub fn words(&mut self, words: &[Word]) -> Result<(), PrintError> {
        let mut text = String::new();
        for word in words {
            if !text.is_empty() {
                text.push_str("  ");
            }
            let cell = Escaped(&word.text).to_cell();
            let blanks = word.width.saturating_sub(cell.chars().count());
            // Writing to a String cannot fail.
            let _infallible = match word.paint {
                paint if self.colours && paint != Paint::Plain => {
                    write!(text, "\u{1b}[{}m{cell}\u{1b}[0m", paint as u8)
                }
                _ => write!(text, "{cell}"),
            };
            text.extend(std::iter::repeat_n(' ', blanks));
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
        self.bytes(text.as_bytes())
    }

    /// A remark beside the result.
    pub fn note(&mut self, text: &str) -> Result<(), PrintError> {
        writeln!(self.err, "{}", Escaped(text).to_text())?;
        Ok(())
    }

    /// How far something is, on the line of the word before; only where a person watches.
    pub fn progress(&mut self, text: &str) -> Result<(), PrintError> {
        if self.person {
            write!(self.err, "\r{}\u{1b}[K", Escaped(text).to_cell())?;
            self.err.flush()?;
        }
        Ok(())
    }

    /// The line of [`Printer::progress`] is done with.
    pub fn progress_ends(&mut self) -> Result<(), PrintError> {
        if self.person {
            writeln!(self.err)?;
        }
        Ok(())
    }

    /// Asks a person to agree; `None` where nobody can be asked.
    pub fn agrees(&mut self, question: &str) -> Result<Option<bool>, PrintError> {
        if !self.person {
            return Ok(None);
        }
        write!(self.err, "{} [y/N] ", Escaped(question).to_text())?;
        self.err.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        let answer = answer.trim();
        Ok(Some(
            answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"),
        ))
    }

    /// A result as one line of JSON.
    pub fn object<T: Serialize>(&mut self, value: &T) -> Result<(), PrintError> {
        let mut line = serde_json::to_vec(value).map_err(io::Error::from)?;
        line.push(b'\n');
        self.bytes(&line)
    }

    /// Exact bytes, and nothing else.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), PrintError> {
        self.out.write_all(bytes)?;
        self.out.flush()?;
        Ok(())
    }

    /// Rows under their headings, in columns as wide as their widest cell.
    pub fn table<const N: usize>(
        &mut self,
        headings: [&str; N],
        rows: &[[String; N]],
    ) -> Result<(), PrintError> {
        let rows: Vec<[String; N]> = rows
            .iter()
            .map(|row| row.each_ref().map(|cell| Escaped(cell).to_cell()))
            .collect();
        let mut widths = headings.map(|heading| heading.chars().count());
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        push_row(&mut text, headings.into_iter(), &widths);
        for row in &rows {
            push_row(&mut text, row.iter().map(String::as_str), &widths);
        }
        self.bytes(text.as_bytes())
    }
}

/// So many of something: `1 delivery`, `2 deliveries`.
pub fn counted<N>(count: N, one: &str, many: &str) -> String
where
    N: Display + From<u8> + PartialEq,
{
    let noun = if count == N::from(1_u8) { one } else { many };
    format!("{count} {noun}")
}

fn push_row<'a>(text: &mut String, cells: impl Iterator<Item = &'a str>, widths: &[usize]) {
    let start = text.len();
    for (cell, width) in cells.zip(widths) {
        if text.len() > start {
            text.push_str("  ");
        }
        text.push_str(cell);
        for _ in cell.chars().count()..*width {
            text.push(' ');
        }
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

/// Text whose control characters are shown rather than obeyed.
struct Escaped<'a>(&'a str);

impl Escaped<'_> {
    /// Line ends and tabs stay.
    fn to_text(&self) -> String {
        self.escape(|c| matches!(c, '\n' | '\t'))
    }

    /// One line, whatever it holds; an empty one is a dash, so that columns can be counted.
    fn to_cell(&self) -> String {
        if self.0.is_empty() {
            return "-".to_owned();
        }
        self.escape(|_| false)
    }

    fn escape(&self, keep: impl Fn(char) -> bool) -> String {
        let mut text = String::with_capacity(self.0.len());
        for c in self.0.chars() {
            if is_obeyed(c) && !keep(c) {
                // Writing to a String cannot fail.
                let _infallible = write!(text, "{}", c.escape_default());
            } else {
                text.push(c);
            }
        }
        text
    }
}

/// Control characters, those that end a line elsewhere, and those that turn the direction of writing.
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Unless the environment says otherwise (<https://no-color.org>).
#[expect(
    clippy::disallowed_methods,
    reason = "a wish of the person at the terminal, and no configuration of the receiver"
)]
fn colours_are_welcome() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns once nobody reads standard output any more: a pipe tells that only to who asks, or writes.
pub async fn nobody_reads() {
    loop {
        let out = rustix::stdio::stdout();
        let mut asked = [PollFd::new(&out, PollFlags::empty())];
        let at_once = Timespec::default();
        let told = rustix::event::poll(&mut asked, Some(&at_once));
        if told.is_ok() && asked[0].revents().contains(PollFlags::ERR) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[cfg(test)]
pub(crate) mod tests {
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
        printer.table(["SEQ", "TYPE"], &rows).unwrap();
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
    fn lines_keep_their_ends_and_bytes_keep_everything() {
        let (mut printer, out, err) = captured(true);
        printer.line("a\nb\x07").unwrap();
        printer.bytes(b"\0\r\n").unwrap();
        printer.note("n").unwrap();
        assert_eq!(out.text(), "a\nb\\u{7}\n\0\r\n");
        assert_eq!(err.text(), "n\n");
    }
}
