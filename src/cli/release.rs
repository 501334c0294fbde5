//! `bus release`

use clap::{Args, ValueEnum};

use super::args::{OwnTaskArg, Text};
use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::{args, words};
use crate::bus::claim::{Outcome, ReleaseRequest};
use crate::bus::{Error, ops};
use crate::record::Status;

const EXAMPLES: &str = "\
Examples:
  bus release                                                your task here is done
  bus release QUEUE-001                                      the same, if you hold several
  bus release QUEUE-001 --status released --notes 'stuck'    others may take it
  bus release QUEUE-001 --status paused                      you will be back
  bus release QUEUE-001 --agent boss --force --note 'gone'   as a manager

Exit status: 0 it has ended; 3 it is somebody else's; 4 nobody holds it; 7 the fleet's remote did not answer or refused; 8 you had lost it.";

/// How many files that are not committed are named.
const MAX_NAMED: usize = 5;

/// Give a task back. Releasing what you do not hold is never a success.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReleaseArgs {
    #[command(flatten)]
    task: OwnTaskArg,
    /// What becomes of it [default: done; with --force: released]
    #[arg(long, value_enum, value_name = "STATUS")]
    status: Option<EndStatus>,
    /// Notes, for everybody to read; `-` reads them from standard input
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    notes: Option<Text>,
    /// End a claim that is not yours, as a manager
    #[arg(long, requires = "note")]
    force: bool,
    /// Why you end somebody else's claim; `-` reads it from standard input
    #[arg(long, value_name = "TEXT", requires = "force", value_parser = args::text, allow_hyphen_values = true)]
    note: Option<Text>,
    /// In a fleet: do not ask the remote; `bus sync` publishes it later
    #[arg(long)]
    offline: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EndStatus {
    /// Finished
    Done,
    /// Not finished, and free for others
    Released,
    /// Not finished, and still yours
    Paused,
}

pub(super) fn run(
    context: &Context,
    args: &ReleaseArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let ws = context.open("release", output)?;
    let agent = context.writer(&ws, output)?;
    let status = match args.status {
        // Who ends somebody else's claim does not say that the work is finished.
        None if args.force => Status::Released,
        None | Some(EndStatus::Done) => Status::Done,
        Some(EndStatus::Released) => Status::Released,
        Some(EndStatus::Paused) => Status::Paused,
    };
    let request = ReleaseRequest {
        status,
        notes: context.text_if("--notes", args.notes.as_ref())?,
        force: context.text_if("--note", args.note.as_ref())?,
        offline: args.offline,
    };
    let task = context.own_task(&ws, &args.task, &agent)?;
    let changed = ops::release(&ws, &agent, &task, &request)?;
    let typed = args.task.typed();
    typed.iter().for_each(|typed| Context::note_spelling(typed, &changed.claim.task_id, output));
    output.document(&words::changed_json(&changed));
    let (task, status) = (&changed.claim.task_id, changed.claim.status);
    if changed.outcome == Outcome::Unchanged {
        if request.notes.is_some() && request.notes != changed.claim.notes {
            output.warn("the claim had ended before, so its notes stay as they are");
        }
        output.line(&format!("{task} is already {status}; nothing to do"));
    } else if status == Status::Paused {
        output.line(&format!("paused {task}; it is still claimed by {}", changed.claim.agent_id));
    } else {
        let (owner, since) = (&changed.claim.agent_id, changed.claim.claimed_at);
        output.line(&match status {
            Status::Done => format!("{task} is done; {owner} held it since {since}"),
            _ => format!("released {task}, so others may claim it; {owner} held it since {since}"),
        });
    }
    words::note_unconfirmed(&changed.claim, output);
    if !status.is_live() && request.force.is_none() {
        warn_of_uncommitted(ops::uncommitted_work(&ws), output);
    }
    Ok(0)
}

/// Says which files are in no commit, so that they are not part of what was done.
fn warn_of_uncommitted(files: Result<Vec<String>, Error>, output: &mut Output) {
    let files = match files {
        Ok(files) => files,
        Err(error) => {
            return output.warn(&format!("it is not known whether all work is committed: {error}"));
        }
    };
    let named = files.iter().take(MAX_NAMED).map(|file| format!("`{file}`"));
    let named = named.collect::<Vec<_>>().join(", ");
    match files.len() {
        0 => {}
        1 => output.warn(&format!("1 file is not committed: {named}")),
        count @ 2..=MAX_NAMED => output.warn(&format!("{count} files are not committed: {named}")),
        count => output.warn(&format!("{count} files are not committed: {named}, …")),
    }
}
