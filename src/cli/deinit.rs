//! `bus deinit`

use clap::Args;
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::Taken;

const EXAMPLES: &str = "\
Examples:
  bus deinit   take out what `bus init` laid out, and list what stays

Hooks that `bus init --hooks` put in go, too, for all worktrees, and what stood in their place comes back.

Exit status: 0 done; 3 a claim is live.";

/// Take out what `bus init` laid out. Records, refs and files that were changed since stay, and are listed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DeinitArgs {}

pub(super) fn run(context: &Context, _args: &DeinitArgs, output: &mut Output) -> Result<u8, Failure> {
    let bus = context.open_repository("deinit", output)?;
    let taken = bus.deinit()?;
    let list = |items: &[String]| Value::Array(items.iter().map(|item| Value::from(item.as_str())).collect());
    output.document(&words::object([
        ("removed", list(&taken.removed)),
        ("restored", list(&taken.restored)),
        ("kept", list(&taken.kept)),
    ]));
    for item in &taken.removed {
        let stays = bus.root().join(item).exists();
        output.line(&if stays { format!("took its lines out of {item}") } else { format!("took out {item}") });
    }
    taken.restored.iter().for_each(|item| output.line(&format!("took out {item}, and put back what stood there before")));
    taken.kept.iter().for_each(|item| output.line(&format!("kept {item}")));
    if taken == Taken::default() {
        output.line("nothing to do: there is no bus here");
    }
    Ok(0)
}
