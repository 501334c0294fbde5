//! `bus export`

use clap::Args;
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::log;
use crate::bus::workspace::Mode;

const EXAMPLES: &str = "\
Examples:
  bus export   write what you logged and said since the last time into files of this branch

Only a tracked bus (`bus init --tracked`) has such files: batches below _bus/events/ and _bus/messages/. `bus release` and \
`bus session end` also write them. Commit them with your work; a batch that is in a commit never changes.

Exit status: 0 done, or nothing to do; 2 no identity; 9 the system refused.";

/// Write what you logged and said since the last time into files of this branch
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExportArgs {}

pub(super) fn run(
    context: &Context,
    _args: &ExportArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let ws = context.open("export", output)?;
    let agent = context.writer(&ws, output)?;
    let mode = ws.mode()?;
    let exported = log::export(&ws, &agent)?;
    output.document(&words::object([
        ("mode", Value::from(mode.as_str())),
        ("events", Value::from(exported.events)),
        ("messages", Value::from(exported.messages)),
        ("files", exported.files.iter().map(|file| Value::from(file.as_str())).collect()),
    ]));
    exported.files.iter().for_each(|file| output.line(&format!("wrote {file}")));
    if exported.files.is_empty() {
        output.line("nothing to export");
    }
    if mode != Mode::Tracked {
        output.note(
            "only a bus that `bus init --tracked` has made keeps records in files of branches",
        );
    }
    Ok(0)
}
