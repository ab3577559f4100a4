//! Rows under their headings. On a terminal they take no more columns than it has: what matters least
//! is left out, and long texts are cut. Elsewhere nothing is.

use serde::Serialize;

use super::escape::Escaped;
use super::terminal::Terminal;
use super::{Paint, PrintError, Printer, width};

/// Between two columns.
const GAP: usize = 2;

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    heading: &'static str,
    /// Where not all fit, those with the highest are left out first; 0 always stays.
    spare: u8,
    /// What it is cut to, at least, where not all fit.
    least: Option<usize>,
    /// Only for people: it tells what another one says, as they like it.
    aside: bool,
    paint: fn(&str) -> Paint,
}

impl Column {
    /// One that is always shown whole.
    pub const fn new(heading: &'static str) -> Self {
        Self {
            heading,
            spare: 0,
            least: None,
            aside: false,
            paint: plain,
        }
    }

    /// It may be left out; the higher, the sooner.
    #[must_use]
    pub const fn spare(mut self, spare: u8) -> Self {
        self.spare = spare;
        self
    }

    /// It may be cut, to no fewer columns of the terminal than these.
    #[must_use]
    pub const fn least(mut self, least: usize) -> Self {
        self.least = Some(least);
        self
    }

    /// It is shown on a terminal only.
    #[must_use]
    pub const fn aside(mut self) -> Self {
        self.aside = true;
        self
    }

    /// What it says decides its colour.
    #[must_use]
    pub const fn painted(mut self, paint: fn(&str) -> Paint) -> Self {
        self.paint = paint;
        self
    }
}

impl Printer {
    /// The newest `rows`, of which no more than `limit` were asked for: a table of their `cells`, or an
    /// object each.
    pub fn list<T: Serialize, const N: usize>(
        &mut self,
        rows: &[T],
        limit: usize,
        columns: &[Column; N],
        cells: impl Fn(&T, &Self) -> [String; N],
    ) -> Result<(), PrintError> {
        if self.json() {
            return rows.iter().try_for_each(|row| self.object(row));
        }
        let shown: Vec<_> = rows.iter().map(|row| cells(row, self)).collect();
        self.table(columns, &shown)?;
        self.hint_of_more(rows.len(), limit)
    }

    /// Rows under their headings, in columns as wide as their widest cell.
    pub fn table<const N: usize>(
        &mut self,
        columns: &[Column; N],
        rows: &[[String; N]],
    ) -> Result<(), PrintError> {
        let layout = Layout::new(columns, rows, self.terminal);
        self.write(&layout.to_text(self.colours))?;
        if rows.is_empty() {
            self.hint("nothing matches")?;
        }
        if !layout.left_out.is_empty() {
            self.hint(&format!(
                "no room for {}: a wider terminal, a pipe or --json shows all",
                layout.left_out.join(", ")
            ))?;
        }
        Ok(())
    }

    /// That there may be more than the newest `limit`, for whoever would take these for all.
    pub(super) fn hint_of_more(&mut self, shown: usize, limit: usize) -> Result<(), PrintError> {
        match shown < limit || shown == 0 {
            true => Ok(()),
            false => self.hint(&format!(
                "these are the newest {shown}; if there are more, --limit N shows them"
            )),
        }
    }
}

fn plain(_text: &str) -> Paint {
    Paint::Plain
}

/// A column as it is shown.
struct Shown {
    at: usize,
    width: usize,
}

/// A table, laid out.
struct Layout<'a, const N: usize> {
    columns: &'a [Column; N],
    rows: Vec<[String; N]>,
    shown: Vec<Shown>,
    /// The headings of what has no room.
    left_out: Vec<&'static str>,
}

impl<'a, const N: usize> Layout<'a, N> {
    fn new(columns: &'a [Column; N], rows: &[[String; N]], terminal: Option<Terminal>) -> Self {
        let rows: Vec<[String; N]> = rows
            .iter()
            .map(|row| row.each_ref().map(|cell| Escaped(cell).to_cell()))
            .collect();
        let widest = |at: usize| {
            let cells = rows.iter().map(|row| width::columns(&row[at]));
            cells.max().unwrap_or(0).max(columns[at].heading.len())
        };
        let shown = (0..N)
            .filter(|at| terminal.is_some() || !columns[*at].aside)
            .map(|at| Shown {
                at,
                width: widest(at),
            })
            .collect();
        let mut layout = Self {
            columns,
            rows,
            shown,
            left_out: Vec::new(),
        };
        if let Some(terminal) = terminal {
            layout.fit(terminal.columns);
        }
        layout
    }

    fn fit(&mut self, room: usize) {
        while self.taken(true) > room {
            let spare = |shown: &Shown| self.columns[shown.at].spare;
            let most = self.shown.iter().map(spare).max().unwrap_or(0);
            let last = self.shown.iter().rposition(|shown| spare(shown) == most);
            let Some(last) = last.filter(|_| most > 0) else {
                break;
            };
            let out = self.shown.remove(last);
            self.left_out.push(self.columns[out.at].heading);
        }
        let mut excess = self.taken(false).saturating_sub(room);
        for shown in self.shown.iter_mut().rev() {
            if let Some(least) = self.columns[shown.at].least {
                let cut = excess.min(shown.width.saturating_sub(least));
                shown.width -= cut;
                excess -= cut;
            }
        }
    }

    /// The columns of the terminal that a row takes, as it is or cut as far as it may be.
    fn taken(&self, cut: bool) -> usize {
        let widths = self.shown.iter().map(|shown| {
            let least = self.columns[shown.at].least.filter(|_| cut);
            least.map_or(shown.width, |least| shown.width.min(least))
        });
        widths.sum::<usize>() + GAP * self.shown.len().saturating_sub(1)
    }

    fn to_text(&self, colours: bool) -> String {
        let mut text = String::new();
        let headings = |at: usize| (self.columns[at].heading, Paint::Faint);
        self.push(&mut text, headings, colours);
        for row in &self.rows {
            let cells = |at: usize| (row[at].as_str(), (self.columns[at].paint)(&row[at]));
            self.push(&mut text, cells, colours);
        }
        text
    }

    fn push<'c>(&self, text: &mut String, cell: impl Fn(usize) -> (&'c str, Paint), colours: bool) {
        let mut blanks = 0;
        for (place, shown) in self.shown.iter().enumerate() {
            if place > 0 {
                text.extend(std::iter::repeat_n(' ', blanks + GAP));
            }
            let (said, paint) = cell(shown.at);
            let said = width::cut(said, shown.width);
            blanks = shown.width.saturating_sub(width::columns(&said));
            paint.push(text, &said, colours);
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    const COLUMNS: [Column; 5] = [
        Column::new("SEQ"),
        Column::new("AGE").aside(),
        Column::new("STATE").painted(|text| match text {
            "dead" => Paint::Red,
            _ => Paint::Plain,
        }),
        Column::new("ID").spare(1),
        Column::new("TITLE").least(8),
    ];

    fn laid_out(columns: Option<usize>, colours: bool) -> (String, Vec<&'static str>) {
        let row = |cells: [&str; 5]| cells.map(str::to_owned);
        let rows = [
            row(["1", "5m", "dead", "8d6f4a2e", "磁盘使用率超过 90%"]),
            row(["1000", "2d", "delivered", "", "a\u{1b}[2Jb\nc"]),
        ];
        let now = Timestamp::UNIX_EPOCH;
        let terminal = columns.map(|columns| Terminal { columns, now });
        let layout = Layout::new(&COLUMNS, &rows, terminal);
        (layout.to_text(colours), layout.left_out)
    }

    #[test]
    fn wide_characters_line_up_and_control_characters_are_shown() {
        insta::assert_snapshot!(laid_out(None, false).0, @r"
        SEQ   STATE      ID        TITLE
        1     dead       8d6f4a2e  磁盘使用率超过 90%
        1000  delivered  -         a\u{1b}[2Jb\nc
        ");
        let (text, left_out) = laid_out(Some(80), false);
        insta::assert_snapshot!(text, @r"
        SEQ   AGE  STATE      ID        TITLE
        1     5m   dead       8d6f4a2e  磁盘使用率超过 90%
        1000  2d   delivered  -         a\u{1b}[2Jb\nc
        ");
        assert!(left_out.is_empty());
    }

    #[test]
    fn on_a_narrow_terminal_texts_are_cut_first_and_what_can_be_spared_goes_then() {
        let (text, left_out) = laid_out(Some(44), false);
        insta::assert_snapshot!(text, @r"
        SEQ   AGE  STATE      ID        TITLE
        1     5m   dead       8d6f4a2e  磁盘使用率…
        1000  2d   delivered  -         a\u{1b}[2Jb…
        ");
        assert!(left_out.is_empty());
        let (text, left_out) = laid_out(Some(38), false);
        insta::assert_snapshot!(text, @r"
        SEQ   AGE  STATE      TITLE
        1     5m   dead       磁盘使用率超过…
        1000  2d   delivered  a\u{1b}[2Jb\nc
        ");
        assert_eq!(left_out, ["ID"]);
        for columns in 33..80 {
            let (text, _) = laid_out(Some(columns), false);
            let widest = text.lines().map(width::columns).max().unwrap();
            assert!(widest <= columns, "{widest} of {columns}:\n{text}");
        }
    }

    #[test]
    fn colours_change_no_column() {
        let (text, _) = laid_out(Some(40), true);
        assert!(text.contains("\u{1b}[31mdead\u{1b}[0m"), "{text}");
        let codes = ["\u{1b}[31m", "\u{1b}[2m", "\u{1b}[0m"];
        let bare = codes.iter().fold(text, |text, code| text.replace(code, ""));
        assert_eq!(bare, laid_out(Some(40), false).0);
    }
}
