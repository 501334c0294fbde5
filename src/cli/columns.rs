//! A table as text: a line a row, each column as wide as its widest cell.

use anstyle::AnsiColor;
use unicode_width::UnicodeWidthStr;

use super::output::{Output, Width};

/// How many characters of a cell are shown.
const MAX_CELL: usize = 60;

/// A line of a table.
pub(super) struct Row<const N: usize> {
    colour: Option<AnsiColor>,
    /// Safe to show.
    cells: [String; N],
}

impl<const N: usize> Row<N> {
    /// A row whose cells leave room for each other.
    pub(super) fn new(colour: Option<AnsiColor>, cells: [String; N]) -> Self {
        Self { colour, cells: cells.map(|cell| cut(&cell)) }
    }
}

/// Shows a table without the column `hidden`.
pub(super) fn print<const N: usize>(header: [&str; N], rows: &[Row<N>], hidden: Option<&str>, output: &mut Output) {
    let head = Row { colour: None, cells: header.map(str::to_owned) };
    let all = || [&head].into_iter().chain(rows);
    let widths: [usize; N] = std::array::from_fn(|column| all().map(|row| row.cells[column].width()).max().unwrap_or(0));
    for row in all() {
        let cells = row.cells.iter().zip(widths).zip(header).filter(|(_, name)| Some(*name) != hidden).map(|(cell, _)| cell);
        let padded = cells.map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.width())));
        let line = padded.collect::<Vec<_>>().join("  ");
        output.row(row.colour, line.trim_end(), Width::Terminal);
    }
}

fn cut(text: &str) -> String {
    let safe = super::escape::terminal(text);
    match safe.char_indices().nth(MAX_CELL) {
        Some((place, _)) => format!("{}…", &safe[..place]),
        None => safe.into_owned(),
    }
}
