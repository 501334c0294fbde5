//! The one door to stdout and stderr. Text from the bus is escaped here, once.

use std::borrow::Cow;
use std::io;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::ColorChoice;
use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{escape, exit, words};
use crate::bus::workspace::Notes;

/// How many warnings of one sort are shown.
const MAX_WARNINGS: usize = 20;

/// For how long nothing is said of what is going on.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where a command's words go.
pub(super) struct Output {
    stdout: Vec<u8>,
    json: bool,
    quiet: bool,
    colour: bool,
    colour_err: bool,
    /// The first write to stdout that failed.
    failed: Option<io::Error>,
    closed: bool,
    /// Each JSON document is a line.
    streaming: bool,
    /// Lines and lists are shown whole, however long they are.
    full: bool,
    notes: Notes,
}

/// How long a line may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// As long as it is.
    Whole,
    /// As wide as the terminal; without one as long as people and agents read.
    Bounded,
}

/// How many columns a line has that nobody asked to see whole.
const MAX_COLUMNS: usize = 300;

impl Output {
    /// How much is gathered before it is written, in bytes.
    const BUFFER: usize = 64 * 1024;

    pub(super) fn new(json: bool, quiet: bool, colour: ColorChoice) -> Self {
        let wanted = |terminal: bool| match colour {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        let (colour, colour_err) =
            (wanted(io::stdout().is_terminal()), wanted(io::stderr().is_terminal()));
        Self {
            stdout: Vec::new(),
            json,
            quiet,
            colour,
            colour_err,
            failed: None,
            closed: false,
            streaming: false,
            full: false,
            notes: Notes::default(),
        }
    }

    /// Where what is to be mentioned beside the answer is gathered.
    pub(super) fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// The exit status of a look at something that could perhaps not be read as a whole: the answer
    /// may lack what was asked for.
    pub(super) fn status_of_look(&self) -> u8 {
        if self.notes.unreadable().is_empty() { 0 } else { exit::SYSTEM }
    }

    /// Whether stdout is JSON.
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether only what is wrong shall be said.
    pub(super) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// From here on stdout is JSON.
    pub(super) const fn speak_json(&mut self) {
        self.json = true;
    }

    /// Whether nobody can read what is still to come.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed || self.failed.is_some()
    }

    /// From here on JSON is one document a line, an error, too.
    pub(super) const fn stream(&mut self) {
        self.streaming = true;
    }

    /// From now on lines and lists are shown whole.
    pub(super) fn show_whole(&mut self) {
        self.full = true;
    }

    /// How many of `count` lines are shown if nobody asked to see all, `most` at most.
    pub(super) fn shown_of(&self, count: usize, most: usize) -> usize {
        if self.full { count } else { count.min(most) }
    }

    /// A line of text on stdout, or `None` if stdout is JSON.
    pub(super) fn line(&mut self, text: &str) {
        if !self.json {
            let safe = escape::terminal(text).into_owned();
            self.write(safe.as_bytes());
            self.write(b"\n");
        }
    }

    /// A line in a colour.
    pub(super) fn styled(&mut self, colour: AnsiColor, text: &str) {
        if !self.colour {
            return self.line(text);
        }
        if !self.json {
            let style = Style::new().fg_color(Some(colour.into()));
            let line = format!("{style}{}{style:#}\n", escape::terminal(text));
            self.write(line.as_bytes());
        }
    }

    /// Whether somebody reads on a terminal what is said on stderr.
    pub(super) fn is_watched(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// How many columns the terminal has that stdout goes to.
    pub(super) fn columns(&self) -> Option<usize> {
        terminal_size::terminal_size_of(io::stdout()).map(|(columns, _)| usize::from(columns.0))
    }

    /// A line of many, perhaps in a colour, perhaps cut to the width of the terminal.
    pub(super) fn row(&mut self, colour: Option<AnsiColor>, text: &str, width: Width) {
        let columns = match width {
            Width::Bounded if !self.full => Some(self.columns().unwrap_or(MAX_COLUMNS)),
            _ => None,
        };
        let safe = escape::terminal(text);
        let safe = columns.map_or_else(|| safe.clone(), |columns| cut(&safe, columns));
        match colour {
            Some(colour) => self.styled(colour, &safe),
            None => self.line(&safe),
        }
    }

    /// Text of our own that goes out as it is.
    pub(super) fn text(&mut self, text: &str) {
        if !self.json {
            self.write(text.as_bytes());
        }
    }

    /// A JSON document on stdout, or `None` if stdout is text.
    pub(super) fn document(&mut self, value: &Value) {
        if self.json {
            let value = &self.with_unreadable(value);
            let text = if self.streaming { format!("{value}\n") } else { format!("{value:#}\n") };
            self.write(escape::json(&text).into_owned().as_bytes());
        }
    }

    /// A document that also says what could not be read, if anything: the answer may lack
    /// something.
    fn with_unreadable<'v>(&self, value: &'v Value) -> Cow<'v, Value> {
        let unreadable = self.notes.unreadable();
        let (Value::Object(fields), false) = (value, unreadable.is_empty()) else {
            return Cow::Borrowed(value);
        };
        let mut fields = fields.clone();
        let said = unreadable.into_iter().map(|what| words::object([("what", Value::from(what))]));
        if let Value::Array(known) =
            fields.entry("unreadable").or_insert_with(|| Value::Array(Vec::new()))
        {
            known.extend(said);
        }
        Cow::Owned(Value::Object(fields))
    }

    /// A line of NDJSON on stdout, or `None` if stdout is text.
    pub(super) fn ndjson(&mut self, value: &Value) {
        if self.json {
            let text = format!("{value}\n");
            self.write(escape::json(&text).into_owned().as_bytes());
        }
    }

    /// A note on stderr.
    pub(super) fn note(&mut self, text: &str) {
        if !self.quiet {
            self.complain("note", AnsiColor::Cyan, text);
        }
    }

    /// A warning on stderr.
    pub(super) fn warn(&mut self, text: &str) {
        if !self.quiet {
            self.complain("warning", AnsiColor::Yellow, text);
        }
    }

    /// Warnings of one sort, of which there may be many: the first, and how many more there are.
    pub(super) fn warn_each(&mut self, texts: impl Iterator<Item = String>) {
        let mut texts = texts;
        texts.by_ref().take(MAX_WARNINGS).for_each(|text| self.warn(&text));
        let more = texts.count();
        if more > 0 {
            self.warn(&format!("and {more} more like that"));
        }
    }

    /// A hint below an error on stderr.
    pub(super) fn hint(&mut self, text: &str) {
        self.complain("  hint", AnsiColor::Cyan, text);
    }

    /// An error on stderr.
    pub(super) fn error(&mut self, text: &str) {
        self.complain("error", AnsiColor::Red, text);
    }

    /// Does something that may take long; on a terminal it is said what, when it takes longer than
    /// half a second.
    pub(super) fn patiently<T>(&self, what: &str, work: impl FnOnce() -> T) -> T {
        if self.quiet || !io::stderr().is_terminal() {
            return work();
        }
        std::thread::scope(|scope| {
            let (working, ended) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || {
                if ended
                    .recv_timeout(PATIENCE)
                    .is_err_and(|error| error == RecvTimeoutError::Timeout)
                {
                    // Where stderr is gone, nobody waits.
                    let _ = write!(io::stderr(), "{what} …");
                    let _ = ended.recv();
                    let _ = write!(io::stderr(), "\r\x1b[K");
                }
            });
            let done = work();
            drop(working);
            done
        })
    }

    /// Help or usage, as clap has laid it out: to stdout where it was asked for.
    pub(super) fn help(&mut self, text: &clap::builder::StyledStr, asked_for: bool) {
        let (colour, out) = if asked_for { (self.colour, true) } else { (self.colour_err, false) };
        let plain = text.to_string();
        let is_dangerous =
            !out && plain.lines().any(|line| matches!(escape::terminal(line), Cow::Owned(_)));
        let text = match (is_dangerous, colour) {
            (true, _) => {
                plain.lines().map(|line| format!("{}\n", escape::terminal(line))).collect()
            }
            (false, true) => text.ansi().to_string(),
            (false, false) => plain,
        };
        if out {
            self.write(text.as_bytes());
        } else {
            // Where stderr is gone, the exit status still tells.
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }

    /// Writes out what is gathered, and turns `status` into the process's: a closed pipe is no
    /// failure, a full disk is.
    pub(super) fn finish(mut self, status: u8) -> ExitCode {
        self.flush();
        match self.failed.take() {
            None => ExitCode::from(status),
            Some(error) => {
                self.error(&format!("cannot write to stdout: {error}"));
                ExitCode::from(if status == 0 { exit::SYSTEM } else { status })
            }
        }
    }

    /// Writes out what is gathered.
    pub(super) fn flush(&mut self) {
        let gathered = std::mem::take(&mut self.stdout);
        if self.is_closed() || gathered.is_empty() {
            return;
        }
        let mut stdout = io::stdout().lock();
        match stdout.write_all(&gathered).and_then(|()| stdout.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
            Err(error) => self.failed = Some(error),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stdout.extend_from_slice(bytes);
        if self.stdout.len() >= Self::BUFFER {
            self.flush();
        }
    }

    fn complain(&mut self, word: &str, colour: AnsiColor, text: &str) {
        let style = if self.colour_err {
            Style::new().bold().fg_color(Some(colour.into()))
        } else {
            Style::new()
        };
        let line = format!("{style}{word}{style:#}: {}\n", escape::terminal(text));
        // Where stderr is gone, the exit status still tells.
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

/// `text`, in at most so many columns of a terminal.
fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let mut used = 1;
    let fits = |(_, character): &(usize, char)| {
        used += character.width().unwrap_or(0);
        used <= columns
    };
    let end = text
        .char_indices()
        .take_while(fits)
        .last()
        .map_or(0, |(start, character)| start + character.len_utf8());
    Cow::Owned(format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_columns_not_by_letters() {
        for (text, columns, shown) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("abc", 0, "…"),
        ] {
            assert_eq!(cut(text, columns), shown, "{columns}");
        }
    }
}
