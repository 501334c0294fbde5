//! `bus deinit`

use clap::Args;
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::setup;
use crate::bus::setup::{Purged, Taken};

const EXAMPLES: &str = "\
Examples:
  bus deinit                      remove what `bus init` made, and list what stays
  bus deinit --purge              list everything else that is this clone's: its record and its refs
  bus deinit --purge --yes        remove it
  bus deinit --purge-remote       list what the fleet's remote has, with its owners

It also removes the hooks of `bus init --hooks`, for all worktrees, and restores the hooks that were there before.

Exit status: 0 done; 3 a claim is live, or the log of another clone is not here; 7 the remote did not answer or refused.";

/// Remove what `bus init` made. Records, refs and files that were changed since stay, and are
/// listed; --purge --yes removes what is this clone's alone.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DeinitArgs {
    /// Also list what is this clone's alone: the log of record, marks and the refs of the bus
    #[arg(long)]
    purge: bool,
    /// List the refs of the bus on the fleet's remote
    #[arg(long, conflicts_with = "purge")]
    purge_remote: bool,
    /// Remove what --purge or --purge-remote lists
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(
    context: &Context,
    args: &DeinitArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let ws = context.open_repository("deinit", output)?;
    if args.yes && !args.purge && !args.purge_remote {
        let hint = "say what is to be removed: `--purge` or `--purge-remote`".to_owned();
        return Err(Failure::Usage { what: "`--yes` alone removes nothing".to_owned(), hint });
    }
    if args.purge_remote {
        let purged =
            output.patiently("asking the remote", || setup::purge_remote(&ws, args.yes))?;
        output.document(&words::object([("remote", purged_json(&purged))]));
        show_purged(&purged, "--purge-remote", output);
        return Ok(0);
    }
    let taken = setup::deinit(&ws)?;
    let purged = if args.purge { Some(setup::purge(&ws, args.yes)?) } else { None };
    let list = |items: &[String]| {
        Value::Array(items.iter().map(|item| Value::from(item.as_str())).collect())
    };
    output.document(&words::object([
        ("removed", list(&taken.removed)),
        ("restored", list(&taken.restored)),
        ("kept", list(&taken.kept)),
        ("purged", purged.as_ref().map_or(Value::Null, purged_json)),
    ]));
    for item in &taken.removed {
        let stays = ws.root().join(item).exists();
        output.line(&if stays {
            format!("took its lines out of {item}")
        } else {
            format!("took out {item}")
        });
    }
    taken.restored.iter().for_each(|item| {
        output.line(&format!("took out {item}, and put back what stood there before"))
    });
    taken.kept.iter().for_each(|item| output.line(&format!("kept {item}")));
    if taken == Taken::default() {
        output.line("nothing to do: there is no bus here");
    }
    match &purged {
        Some(purged) => show_purged(purged, "--purge", output),
        None if !taken.kept.is_empty() => {
            output.note("what is kept is yours: `bus deinit --purge` lists what this clone has beside the branches, `git rm -r --cached _bus` takes committed files of it out, and `bus deinit --purge-remote`, run before, lists what a fleet's remote has");
        }
        None => {}
    }
    Ok(0)
}

fn purged_json(purged: &Purged) -> Value {
    let items = purged.items.iter().map(|item| Value::from(item.as_str())).collect();
    words::object([("items", Value::Array(items)), ("done", Value::from(purged.is_done))])
}

fn show_purged(purged: &Purged, option: &str, output: &mut Output) {
    let word = if purged.is_done { "removed" } else { "would remove" };
    purged.items.iter().for_each(|item| output.line(&format!("{word} {item}")));
    if !purged.is_done && !purged.items.is_empty() {
        output.note(&format!("nothing of this was removed: `{option} --yes` does it"));
    }
}
