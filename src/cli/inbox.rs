//! `bus inbox`

use clap::Args;
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::output::{Output, Width};
use super::{exit, words};
use crate::bus::log;
use crate::bus::log::Inbox;
use crate::bus::workspace::Workspace;
use crate::record::AgentId;
use crate::store::{Letter, Stream};

const EXAMPLES: &str = "\
Examples:
  bus inbox                    what was said to you and is unread
  bus inbox --mark-read        and remember that you have read it
  bus inbox --limit 5 --json   the last five; `unread` counts all

What you have read is remembered in this clone. Reading changes nothing that git tracks.
Exit status: 0 whether there are messages or not; 2 it is not known who you are.";

/// Show what was said to you and is unread.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InboxArgs {
    /// Remember that the messages that are shown are read
    #[arg(long)]
    mark_read: bool,
    /// Only the last N [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(super) fn run(context: &Context, args: &InboxArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("inbox", output)?;
    let agent = context.addressee(&ws)?;
    context.note_reader(&ws);
    let inbox = log::inbox(&ws, &agent, args.limit)?;
    let now = context.clock.now();
    let json =
        |letter: &Letter| words::message_json(&letter.message, letter.elsewhere.as_ref(), now);
    let messages = inbox.letters.iter().map(json).collect();
    output.document(&words::object([
        ("unread", Value::from(inbox.unread)),
        ("messages", Value::Array(messages)),
    ]));
    inbox.letters.iter().for_each(|letter| {
        words::show_message(&letter.message, letter.elsewhere.as_ref(), now, Width::Whole, output)
    });
    if inbox.unread == 0 && output.status_of_look() == 0 {
        output.line("no unread messages");
    }
    match inbox.older() {
        0 => {}
        1 => output.note("an older unread message is not shown"),
        older => output.note(&format!("{older} older unread messages are not shown")),
    }
    words::warn_of_bad_lines(Stream::Channels, &inbox.faults, ws.root(), output);
    let marked = if args.mark_read { mark_read(&ws, &agent, &inbox, output) } else { 0 };
    Ok(if marked == 0 { output.status_of_look() } else { marked })
}

/// Marks what was shown as read; returns the exit status.
fn mark_read(ws: &Workspace, agent: &AgentId, inbox: &Inbox, output: &mut Output) -> u8 {
    output.flush();
    // What nobody could see is not read.
    if output.is_closed() {
        return 0;
    }
    let Err(error) = log::mark_read(ws, agent, inbox) else { return 0 };
    // Stdout has its one document already.
    output.error(&format!("the messages are not marked as read: {}", exit::story(&error)));
    output.hint(&error.hint());
    error.code().status()
}
