//! What the terminal can show, and what the person before it wishes.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use jiff::{SignedDuration, Timestamp};

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

/// A terminal that results are shown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// How many characters stand beside each other.
    pub columns: usize,
    /// When the command began: ages are told as of then.
    pub now: Timestamp,
}

impl Terminal {
    /// How long ago something was, in one number: `90s`, `5m`, `3h`, `2d`; `in 5m` what is to come.
    pub fn age(&self, at: Timestamp) -> String {
        let age = self.now.duration_since(at);
        match age.is_negative() {
            true => format!("in {}", in_one_number(-age)),
            false => in_one_number(age),
        }
    }

    /// The same for a sentence: `5m ago`.
    pub fn ago(&self, at: Timestamp) -> String {
        let age = self.age(at);
        if age.starts_with("in ") {
            return age;
        }
        age + " ago"
    }
}

fn in_one_number(age: SignedDuration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// What the environment says of terminals.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    no_color: Option<OsString>,
    clicolor: Option<OsString>,
    clicolor_force: Option<OsString>,
    term: Option<OsString>,
    columns: Option<OsString>,
}

impl Wishes {
    #[expect(
        clippy::disallowed_methods,
        reason = "wishes of the person at the terminal, and no configuration of the receiver"
    )]
    pub(super) fn of_process() -> Self {
        Self {
            no_color: std::env::var_os("NO_COLOR"),
            clicolor: std::env::var_os("CLICOLOR"),
            clicolor_force: std::env::var_os("CLICOLOR_FORCE"),
            term: std::env::var_os("TERM"),
            columns: std::env::var_os("COLUMNS"),
        }
    }

    /// Whether what goes to a terminal, or elsewhere, is coloured: as <https://no-color.org> and
    /// <https://bixense.com/clicolors> say.
    pub(super) fn colours(&self, is_terminal: bool) -> bool {
        let is_zero = |wish: &Option<OsString>| wish.as_ref().is_some_and(|wish| wish == "0");
        if self.no_color.as_ref().is_some_and(|wish| !wish.is_empty()) {
            return false;
        }
        if self.clicolor_force.is_some() && !is_zero(&self.clicolor_force) {
            return true;
        }
        is_terminal && !is_zero(&self.clicolor) && self.moves()
    }

    /// Whether the terminal goes back on a line when it is told to.
    pub(super) fn moves(&self) -> bool {
        self.term.as_ref().is_none_or(|term| term != "dumb")
    }

    /// The columns of a stream that is a terminal.
    pub(super) fn columns(&self, stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
        stream.is_terminal().then(|| {
            let size = rustix::termios::tcgetwinsize(stream).ok();
            self.columns_beside(size.map(|size| size.ws_col))
        })
    }

    /// What is wished counts more than what the terminal says.
    fn columns_beside(&self, said: Option<u16>) -> usize {
        let wished = self.columns.as_ref().and_then(|wish| wish.to_str());
        let wished: Option<usize> = wished.and_then(|wish| wish.trim().parse().ok());
        let wished = wished.filter(|columns| *columns > 0);
        let said = said.filter(|columns| *columns > 0).map(usize::from);
        wished.or(said).unwrap_or(COLUMNS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_shown_where_they_are_seen_and_welcome() {
        // NO_COLOR, CLICOLOR, CLICOLOR_FORCE, TERM; on a terminal, elsewhere.
        for (wishes, on_terminal, elsewhere) in [
            (["-", "-", "-", "xterm"], true, false),
            (["-", "-", "-", "-"], true, false),
            (["1", "-", "-", "xterm"], false, false),
            (["", "-", "-", "xterm"], true, false),
            (["-", "0", "-", "xterm"], false, false),
            (["-", "1", "-", "xterm"], true, false),
            (["-", "-", "1", "dumb"], true, true),
            (["-", "-", "0", "xterm"], true, false),
            (["1", "-", "1", "xterm"], false, false),
            (["-", "-", "-", "dumb"], false, false),
        ] {
            let wish = |at: usize| (wishes[at] != "-").then(|| OsString::from(wishes[at]));
            let read = Wishes {
                no_color: wish(0),
                clicolor: wish(1),
                clicolor_force: wish(2),
                term: wish(3),
                columns: None,
            };
            assert_eq!(read.colours(true), on_terminal, "{wishes:?}");
            assert_eq!(read.colours(false), elsewhere, "{wishes:?}");
        }
    }

    #[test]
    fn a_terminal_is_as_wide_as_is_wished_or_as_it_says() {
        for (wish, said, columns) in [
            (None, Some(132), 132),
            (Some("100"), Some(132), 100),
            (Some("0"), Some(132), 132),
            (Some("wide"), Some(132), 132),
            (None, Some(0), 80),
            (None, None, 80),
        ] {
            let wishes = Wishes {
                columns: wish.map(OsString::from),
                ..Wishes::default()
            };
            assert_eq!(wishes.columns_beside(said), columns, "{wish:?} {said:?}");
        }
    }

    #[test]
    fn an_age_is_one_number() {
        let now: Timestamp = "2026-05-04T10:00:00Z".parse().unwrap();
        let terminal = Terminal { columns: 80, now };
        for (at, age, ago) in [
            ("2026-05-04T09:59:59.2Z", "0s", "0s ago"),
            ("2026-05-04T09:58:30Z", "90s", "90s ago"),
            ("2026-05-04T09:55:00Z", "5m", "5m ago"),
            ("2026-05-04T07:00:00Z", "3h", "3h ago"),
            ("2026-05-02T09:00:00Z", "2d", "2d ago"),
            ("2026-05-04T10:05:00Z", "in 5m", "in 5m"),
        ] {
            let at = at.parse().unwrap();
            assert_eq!(terminal.age(at), age);
            assert_eq!(terminal.ago(at), ago);
        }
    }
}
