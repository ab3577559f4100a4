//! Text that a terminal shows and does not obey.
//!
//! What comes from a push may hold anything. Whatever a terminal would act on, or would show in another
//! order than it was written in, is written as an escape.

use std::fmt::Write as _;

/// Text whose control characters are shown rather than obeyed.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl Escaped<'_> {
    /// Line ends and tabs stay.
    pub(super) fn to_text(&self) -> String {
        self.escape(|c| matches!(c, '\n' | '\t'))
    }

    /// One line, whatever it holds.
    pub(super) fn to_line(&self) -> String {
        self.escape(|_| false)
    }

    /// One line; an empty one is a dash, so that columns can be counted.
    pub(super) fn to_cell(&self) -> String {
        if self.0.is_empty() {
            return "-".to_owned();
        }
        self.to_line()
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

/// A line of JSON with the same meaning. Its own control characters JSON escapes already, but those
/// behind ASCII it lets stand; in a line they stand in strings only.
pub(super) fn json(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        if is_obeyed(c) {
            // Writing to a String cannot fail. All of them have four digits.
            let _infallible = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// Control characters, those that end a line elsewhere, those that turn the direction of writing, and
/// those that nobody sees at all.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[2J\u{9b}31m\u{7f}\r\n\t\u{61c}\u{200b}\u{200f}\u{202e}\u{2066}\u{feff}\u{fffb}磁盘";

    #[test]
    fn whatever_a_terminal_obeys_is_shown() {
        let shown = r"a\u{1b}[2J\u{9b}31m\u{7f}\r\n\t\u{61c}\u{200b}\u{200f}\u{202e}\u{2066}\u{feff}\u{fffb}磁盘";
        assert_eq!(Escaped(HOSTILE).to_line(), shown);
        assert_eq!(Escaped("a\nb\t\r").to_text(), "a\nb\t\\r");
        assert_eq!(Escaped("").to_line(), "");
        assert_eq!(Escaped("").to_cell(), "-");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let line = serde_json::to_string(HOSTILE).unwrap();
        let shown = json(&line);
        assert!(!shown.contains(is_obeyed), "{shown}");
        assert!(shown.contains("磁盘"), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), HOSTILE);
    }
}
