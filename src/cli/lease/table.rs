//! `bus lock table`

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::status_json;
use crate::bus::{lease, survey};
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::cli::words;
use crate::report::lease_table;

pub(super) const EXAMPLES: &str = "\
Examples:
  bus lock table
  bus lock table --write docs/worklog.md

The file keeps the table between two lines of its own, `<!-- bus:locks -->` and `<!-- /bus:locks -->`; nothing else in it is \
changed. Put them there first.
Exit status: 0 it is printed, or written; 4 it is no file of the repository, or lacks the two lines.";

#[derive(Debug, Args)]
pub(super) struct TableArgs {
    /// A file that has the two lines
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    write: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: &TableArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("lock table", output)?;
    context.note_reader(&ws);
    let now = ws.clock().now();
    let leases = lease::leases(&ws)?;
    let table = lease_table(&leases);
    let written = match &args.write {
        None => None,
        Some(path) => {
            Some(survey::write_between(&ws, &context.standing()?.join(path), "bus:locks", &table)?)
        }
    };
    output.document(&words::object([
        ("leases", leases.iter().map(|status| status_json(status, now)).collect()),
        ("table", Value::from(table.as_str())),
        ("written", written.map_or(Value::Null, Value::from)),
    ]));
    match (&args.write, written) {
        (Some(path), Some(true)) => {
            output.line(&format!("wrote {} leases to {}", leases.len(), path.display()))
        }
        (Some(path), _) => output.line(&format!("{} is up to date", path.display())),
        (None, _) => output.text(&table),
    }
    Ok(0)
}
