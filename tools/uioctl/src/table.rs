//! Plain tables: [`Table`] aligns [`Cell`]s in columns with two blanks between, no boxes.
//!
//! Cells hold what the kernel and the daemons say, and that is not trusted: control characters, which would
//! reach the terminal, are shown as escapes.

use std::borrow::Cow;
use std::fmt::Write as _;

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// How a cell looks where there is colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Plain,
    Bold,
    Dim,
    Good,
    Warn,
    Bad,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "31",
        }
    }

    /// The text in this look, if `color`.
    pub(crate) fn apply(self, text: &str, color: bool) -> String {
        if color && self != Self::Plain && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", self.code())
        } else {
            text.to_owned()
        }
    }
}

/// One field of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    paint: Paint,
}

impl Cell {
    pub(crate) fn painted(text: impl AsRef<str>, paint: Paint) -> Self {
        Self { text: printable(text.as_ref()).into_owned(), paint }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::painted(text, Paint::Plain)
    }
}

/// Rows of cells under a header.
#[derive(Debug)]
pub(crate) struct Table {
    indent: usize,
    aligns: Vec<Align>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns; an empty title is a column without one.
    pub(crate) fn new<T: AsRef<str>>(columns: impl IntoIterator<Item = (T, Align)>) -> Self {
        let (header, aligns) = columns
            .into_iter()
            .map(|(title, align)| (Cell::painted(title, Paint::Bold), align))
            .unzip();
        Self { indent: 0, aligns, rows: vec![header] }
    }

    pub(crate) fn indented(mut self, indent: usize) -> Self {
        self.indent = indent;
        self
    }

    /// Adds a row. Cells that it lacks stay empty.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert!(cells.len() <= self.aligns.len(), "a row has no more cells than the header");
        self.rows.push(cells);
    }

    /// Whether it is a header alone.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// How wide each column is.
    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.aligns.len()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        widths
    }

    /// How wide the table is without its last column, which is the one that may grow.
    pub(crate) fn fixed_width(&self) -> usize {
        let widths = self.widths();
        let fixed = &widths[..widths.len().saturating_sub(1)];
        self.indent + fixed.iter().map(|width| width + 2).sum::<usize>()
    }

    /// The lines, header first, cut at `limit` characters if there is one.
    pub(crate) fn render(&self, color: bool, limit: Option<usize>) -> Vec<String> {
        let widths = self.widths();
        let limit = limit.unwrap_or(usize::MAX);
        self.rows.iter().map(|row| self.render_row(row, &widths, color, limit)).collect()
    }

    fn render_row(&self, row: &[Cell], widths: &[usize], color: bool, limit: usize) -> String {
        let mut line = " ".repeat(self.indent);
        let mut column = self.indent;
        // Blanks are owed until something follows them, so that no line ends in one.
        let mut owed = 0;
        for ((cell, &width), &align) in row.iter().zip(widths).zip(&self.aligns) {
            if cell.text.is_empty() {
                owed += width + 2;
                continue;
            }
            let pad = width - cell.width();
            let before = owed + if align == Align::Right { pad } else { 0 };
            let room = limit.saturating_sub(column + before);
            if room == 0 {
                break;
            }
            let end = cell.text.char_indices().nth(room).map_or(cell.text.len(), |(end, _)| end);
            // Writing to a string does not fail.
            let _ = write!(line, "{:before$}{}", "", cell.paint.apply(&cell.text[..end], color));
            column += before + cell.width();
            owed = if align == Align::Right { 2 } else { pad + 2 };
        }
        line
    }
}

/// The text with its control characters as escapes: one line that leaves a terminal alone.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    text.chars()
        .fold(String::with_capacity(text.len()), |mut shown, c| {
            if c.is_control() {
                shown.extend(c.escape_default());
            } else {
                shown.push(c);
            }
            shown
        })
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table =
            Table::new([("NAME", Align::Left), ("COUNT", Align::Right), ("", Align::Left)]);
        table.row(vec!["a".into(), "7".into(), "first".into()]);
        table.row(vec!["longer".into(), "1234567".into()]);
        table.row(vec!["".into(), "".into(), Cell::painted("red", Paint::Bad)]);
        table
    }

    #[test]
    fn columns_align_and_no_line_ends_in_blanks() {
        assert_eq!(
            sample().render(false, None),
            [
                "NAME      COUNT",
                "a             7  first",
                "longer  1234567",
                "                 red",
            ]
        );
    }

    #[test]
    fn colour_surrounds_the_text_and_not_the_blanks() {
        let lines = sample().render(true, None);
        assert_eq!(lines[0], "\u{1b}[1mNAME\u{1b}[0m      \u{1b}[1mCOUNT\u{1b}[0m");
        assert_eq!(lines[3], "                 \u{1b}[31mred\u{1b}[0m");
    }

    #[test]
    fn a_limit_cuts_lines_between_characters() {
        for line in sample().render(false, Some(19)) {
            assert!(line.chars().count() <= 19, "{line:?}");
        }
        let mut table = Table::new([("", Align::Left)]);
        table.row(vec!["\u{e4}\u{f6}\u{fc}".into()]);
        assert_eq!(table.render(false, Some(2))[1], "\u{e4}\u{f6}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
    }
}
