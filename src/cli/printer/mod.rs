//! The one place where commands write: results to standard output, remarks to standard error.
//!
//! Values from pushes are hostile: no control character of theirs reaches a terminal. Exact bytes go
//! through [`Printer::exact`], to whatever is no terminal.

mod escape;
mod table;
mod terminal;
#[cfg(test)]
pub(crate) mod tests;
mod width;

use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec};
use serde::Serialize;

use self::escape::Escaped;
pub use self::table::Column;
pub use self::terminal::Terminal;
use self::terminal::Wishes;
use super::interrupt::Interrupt;
use crate::clock::{Clock as _, SystemClock};

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
    /// Whether a person can be asked.
    asks: bool,
    /// The columns of the terminal on which a person sees remarks as they come.
    watched: Option<usize>,
    /// Where results are shown, when that is a terminal.
    terminal: Option<Terminal>,
    /// Whether words may be coloured.
    colours: bool,
    /// A line of [`Printer::progress`] stands where the next one goes.
    progressing: bool,
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

impl Paint {
    fn push(self, text: &mut String, said: &str, colours: bool) {
        // Writing to a String cannot fail.
        let _infallible = match self {
            paint if colours && paint != Self::Plain => {
                write!(text, "\u{1b}[{}m{said}\u{1b}[0m", paint as u8)
            }
            _ => write!(text, "{said}"),
        };
    }
}

/// One of the words of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What it says, whatever that is.
    pub text: String,
    /// It is filled up with blanks to so many columns.
    pub width: usize,
    /// It is cut, to so many columns at least, where the line would not fit.
    pub least: Option<usize>,
    /// How it is shown.
    pub paint: Paint,
}

impl Printer {
    /// Writes to the process's own streams.
    pub fn standard(json: bool) -> Self {
        let wishes = Wishes::of_process();
        let (out, err) = (io::stdout(), io::stderr());
        let now = SystemClock.now();
        let columns = wishes.columns(&out);
        Self {
            json,
            asks: io::stdin().is_terminal() && err.is_terminal(),
            watched: wishes.columns(&err).filter(|_| wishes.moves()),
            terminal: columns.map(|columns| Terminal { columns, now }),
            colours: wishes.colours(out.is_terminal()),
            progressing: false,
            out: Box::new(out),
            err: Box::new(err),
        }
    }

    /// Writes wherever it is told.
    pub fn to(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, json: bool) -> Self {
        Self {
            out,
            err,
            json,
            asks: false,
            watched: None,
            terminal: None,
            colours: false,
            progressing: false,
        }
    }

    /// The same in colours, as on a terminal.
    #[must_use]
    pub fn in_colours(mut self) -> Self {
        self.colours = true;
        self
    }

    /// The same for a person before a terminal so wide, who cannot be asked.
    #[must_use]
    pub fn on_terminal(mut self, columns: usize, now: Timestamp) -> Self {
        self.terminal = Some(Terminal { columns, now });
        self.watched = Some(columns);
        self
    }

    /// Whether scripts are reading.
    pub fn json(&self) -> bool {
        self.json
    }

    /// How long ago something was, for a person at a terminal; else nothing.
    pub fn age(&self, at: Timestamp) -> String {
        let age = self.terminal.map(|terminal| terminal.age(at));
        age.filter(|_| !self.json).unwrap_or_default()
    }

    /// The same behind a time in a sentence: ` (5m ago)`.
    pub fn aside(&self, at: Timestamp) -> String {
        let ago = self.terminal.filter(|_| !self.json);
        let ago = ago.map(|terminal| format!(" ({})", terminal.ago(at)));
        ago.unwrap_or_default()
    }

    /// A result, as one or more lines.
    pub fn line(&mut self, text: &str) -> Result<(), PrintError> {
        self.write(&(Escaped(text).to_text() + "\n"))
    }

    /// A result as one line, whatever it holds.
    pub fn one_line(&mut self, text: &str) -> Result<(), PrintError> {
        self.write(&(Escaped(text).to_line() + "\n"))
    }

    /// A result as one line of pieces, each in its colour, whatever they hold.
    pub fn pieces(&mut self, pieces: &[(&str, Paint)]) -> Result<(), PrintError> {
        let mut text = String::new();
        for (said, paint) in pieces {
            paint.push(&mut text, &Escaped(said).to_line(), self.colours);
        }
        text.push('\n');
        self.write(&text)
    }

    /// A result as one line of words, whatever they hold.
    pub fn words(&mut self, words: &[Word]) -> Result<(), PrintError> {
        const GAP: usize = 2;
        let cells: Vec<String> = words
            .iter()
            .map(|word| Escaped(&word.text).to_cell())
            .collect();
        let taken = |(cell, word): (&String, &Word)| width::columns(cell).max(word.width) + GAP;
        let taken: usize = cells.iter().zip(words).map(taken).sum();
        let room = self
            .terminal
            .map_or(usize::MAX, |terminal| terminal.columns);
        let mut excess = taken.saturating_sub(GAP).saturating_sub(room);
        let (mut text, mut blanks) = (String::new(), 0);
        for (cell, word) in cells.iter().zip(words) {
            if !text.is_empty() {
                text.extend(std::iter::repeat_n(' ', blanks + GAP));
            }
            let whole = width::columns(cell);
            let least = word.least.unwrap_or(whole);
            let cut = excess.min(whole.saturating_sub(least));
            excess -= cut;
            let cell = width::cut(cell, whole - cut);
            word.paint.push(&mut text, &cell, self.colours);
            blanks = word.width.saturating_sub(width::columns(&cell));
        }
        text.push('\n');
        self.write(&text)
    }

    /// A remark beside the result.
    pub fn note(&mut self, text: &str) -> Result<(), PrintError> {
        self.clear()?;
        writeln!(self.err, "{}", Escaped(text).to_text())?;
        Ok(())
    }

    /// A remark for a person who looks at results on a terminal.
    pub fn hint(&mut self, text: &str) -> Result<(), PrintError> {
        match self.terminal.is_some() && !self.json {
            true => self.note(text),
            false => Ok(()),
        }
    }

    /// How far something is, on the line of the word before; only where a person watches.
    pub fn progress(&mut self, text: &str) -> Result<(), PrintError> {
        if let Some(columns) = self.watched {
            let text = Escaped(text).to_cell();
            // On the last column a terminal may begin another line, which is not gone back over.
            let text = width::cut(&text, columns.saturating_sub(1));
            write!(self.err, "\r{text}\u{1b}[K")?;
            self.err.flush()?;
            self.progressing = true;
        }
        Ok(())
    }

    /// The line of [`Printer::progress`] stays as it is. Without this, what comes next takes its place.
    pub fn progress_ends(&mut self) -> Result<(), PrintError> {
        if std::mem::take(&mut self.progressing) {
            writeln!(self.err)?;
        }
        Ok(())
    }

    /// The line of [`Printer::progress`] is taken away, though nothing comes next.
    pub fn progress_is_over(&mut self) -> Result<(), PrintError> {
        self.clear()
    }

    /// Asks a person to agree; `None` where nobody can be asked. Whoever interrupts does not.
    pub async fn agrees(
        &mut self,
        question: &str,
        interrupt: &mut Interrupt,
    ) -> Result<Option<bool>, PrintError> {
        self.clear()?;
        if !self.asks {
            return Ok(None);
        }
        write!(self.err, "{} [y/N] ", Escaped(question).to_text())?;
        self.err.flush()?;
        // A read that waits would not be ended by Ctrl-C, for which somebody listens.
        while !is_answered() {
            interrupt.or_after(Duration::from_millis(50)).await;
            if interrupt.came() {
                writeln!(self.err)?;
                return Ok(Some(false));
            }
        }
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        let answer = answer.trim();
        Ok(Some(
            answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"),
        ))
    }

    /// A result as one line of JSON.
    pub fn object<T: Serialize>(&mut self, value: &T) -> Result<(), PrintError> {
        let line = serde_json::to_string(value).map_err(io::Error::from)?;
        self.object_text(&line)
    }

    /// A result that is one line of JSON already.
    pub fn object_text(&mut self, line: &str) -> Result<(), PrintError> {
        self.write(&(escape::json(line) + "\n"))
    }

    /// Exact bytes, and nothing else; on a terminal, what it can show of them.
    pub fn exact(&mut self, bytes: &[u8]) -> Result<(), PrintError> {
        if self.terminal.is_none() {
            self.clear()?;
            self.out.write_all(bytes)?;
            self.out.flush()?;
            return Ok(());
        }
        let text = String::from_utf8_lossy(bytes);
        let shown = Escaped(&text).to_text();
        let end = if shown.ends_with('\n') { "" } else { "\n" };
        self.write(&format!("{shown}{end}"))?;
        if shown.as_bytes() != bytes {
            self.hint(
                "what a terminal would obey is shown as an escape; a pipe or a file gets the exact \
                 bytes",
            )?;
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), PrintError> {
        self.clear()?;
        self.out.write_all(text.as_bytes())?;
        self.out.flush()?;
        Ok(())
    }

    /// Takes the line of [`Printer::progress`] away.
    fn clear(&mut self) -> Result<(), PrintError> {
        if std::mem::take(&mut self.progressing) {
            write!(self.err, "\r\u{1b}[K")?;
            self.err.flush()?;
        }
        Ok(())
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

/// Whether standard input can be read without waiting. What cannot be asked says so when it is read.
fn is_answered() -> bool {
    let input = rustix::stdio::stdin();
    let mut asked = [PollFd::new(&input, PollFlags::IN)];
    let at_once = Timespec::default();
    !matches!(rustix::event::poll(&mut asked, Some(&at_once)), Ok(0))
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
