//! `bus lock reclaim`

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::acquire::sentence;
use super::leased_json;
use crate::bus::lease::{self, LeaseOutcome};
use crate::bus::ops;
use crate::cli::args::TakeOver;
use crate::cli::completions;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::record::LeaseId;

pub(super) const EXAMPLES: &str = "\
Examples:
  bus lock reclaim L-7f3k9mq --note 'codex-2 crashed, silent since noon'

The lease ends, and you get one of your own on the same paths, under a new id. If the holder comes back, its commands exit with 8.
Exit status: 0 the paths are yours; 3 their holder is alive; 4 nobody holds it; 7 the fleet's remote did not answer.";

#[derive(Debug, Args)]
pub(super) struct ReclaimArgs {
    /// The lease, or the beginning of its id
    #[arg(value_name = "LOCK", add = ArgValueCompleter::new(completions::locks))]
    lock: LeaseId,
    #[command(flatten)]
    take_over: TakeOver,
}

pub(super) fn run(
    context: &Context,
    args: &ReclaimArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let note = context.text("--note", &args.take_over.note)?;
    let ws = context.open("lock reclaim", output)?;
    let agent = context.writer(&ws, output)?;
    let lock = lease::meant_lease(&ws, &args.lock)?;
    let leased = ops::reclaim_lease(&ws, &agent, &lock, &note, args.take_over.force)?;
    output.document(&leased_json(&leased));
    match (&leased.previous, leased.outcome) {
        (Some(previous), LeaseOutcome::Reclaimed) => {
            output.line(&format!(
                "{}; {} was {}'s",
                sentence(&leased),
                previous.lease_id,
                previous.owner
            ));
        }
        _ => output.line(&sentence(&leased)),
    }
    Ok(0)
}
