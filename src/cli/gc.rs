//! `bus gc`

use clap::Args;
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::fleet;

const EXAMPLES: &str = "\
Examples:
  bus gc            show which ended claims can be archived; changes nothing
  bus gc --apply    archive them

A claim is archived if it has ended, and the default branch has its work or there is none. Its record and its history stay in \
`refs/bus/archive`, where every command finds them. In a fleet the remote decides, and its refs are removed as well.

Exit status: 0 done; 7 the fleet's remote did not answer, or lets no ref be removed.";

/// Archive ended claims, so that pushes and looks stay fast. A live claim is never touched.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct GcArgs {
    /// Do it, not only say what would be done
    #[arg(long)]
    apply: bool,
}

pub(super) fn run(context: &Context, args: &GcArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("gc", output)?;
    let agent = context.writer(&ws, output)?;
    let put_away =
        output.patiently("looking at ended claims", || fleet::gc(&ws, &agent, args.apply))?;
    let tasks = put_away.tasks.iter().map(|task| Value::from(task.as_str())).collect();
    let kept = put_away.kept.iter().map(|(task, why)| {
        words::object([("task_id", Value::from(task.as_str())), ("reason", Value::from(*why))])
    });
    output.document(&words::object([
        ("applied", Value::from(args.apply)),
        ("tasks", Value::Array(tasks)),
        ("kept", Value::Array(kept.collect())),
    ]));
    let verb = if args.apply { "archived" } else { "would archive" };
    put_away.tasks.iter().for_each(|task| output.line(&format!("{verb} {task}")));
    put_away.kept.iter().for_each(|(task, why)| output.line(&format!("keeps {task}: {why}")));
    if put_away.tasks.is_empty() {
        output.line("nothing to archive");
    } else if !args.apply {
        output.note("nothing was changed; do it with `bus gc --apply`");
    }
    Ok(0)
}
