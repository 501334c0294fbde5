//! Text in columns.

use anstyle::AnsiColor;
use unicode_width::UnicodeWidthStr;

use super::escape;
use super::output::{Output, Width};

/// How many characters of a cell are shown.
const MAX_CELL: usize = 60;

/// A line of a table; its cells are safe to show.
pub(super) struct Row<const N: usize> {
    colour: Option<AnsiColor>,
    cells: [String; N],
}

impl<const N: usize> Row<N> {
    /// A line of these cells; what is too long is cut, so that each leaves room for the others.
    pub(super) fn new(colour: Option<AnsiColor>, cells: [String; N]) -> Self {
        Self { colour, cells: cells.map(|cell| cut(&cell)) }
    }
}

fn cut(text: &str) -> String {
    let safe = escape::terminal(text);
    match safe.char_indices().nth(MAX_CELL) {
        Some((place, _)) => format!("{}…", &safe[..place]),
        None => safe.into_owned(),
    }
}

/// Shows the columns that are `wanted` by their heads.
pub(super) fn print<const N: usize>(
    head: [&str; N],
    rows: &[Row<N>],
    wanted: impl Fn(&str) -> bool,
    output: &mut Output,
) {
    let header = Row { colour: None, cells: head.map(str::to_owned) };
    let all = || [&header].into_iter().chain(rows);
    let widths: [usize; N] =
        std::array::from_fn(|column| all().map(|row| row.cells[column].width()).max().unwrap_or(0));
    for row in all() {
        let cells = row.cells.iter().zip(widths).zip(head).filter(|(_, head)| wanted(head));
        let padded =
            cells.map(|((cell, width), _)| format!("{cell}{}", " ".repeat(width - cell.width())));
        let line = padded.collect::<Vec<_>>().join("  ");
        output.row(row.colour, line.trim_end(), Width::Bounded);
    }
}
