//! The one place where commands write: results to standard output, remarks to standard error.
//!
//! Values from pushes are hostile: control characters reach a terminal escaped only, except through
//! [`Printer::bytes`], whose caller asked for exact bytes.

use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal as _, Write};

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
}

impl Printer {
    /// Writes to the process's own streams.
    pub fn standard(json: bool) -> Self {
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            json,
            person: io::stdin().is_terminal() && io::stderr().is_terminal(),
        }
    }

    /// Writes wherever it is told.
    pub fn to(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, json: bool) -> Self {
        Self {
            out,
            err,
            json,
            person: false,
        }
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

/// Control characters, and those that turn the direction of writing.
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
    fn lines_keep_their_ends_and_bytes_keep_everything() {
        let (mut printer, out, err) = captured(true);
        printer.line("a\nb\x07").unwrap();
        printer.bytes(b"\0\r\n").unwrap();
        printer.note("n").unwrap();
        assert_eq!(out.text(), "a\nb\\u{7}\n\0\r\n");
        assert_eq!(err.text(), "n\n");
    }
}
