//! `bus lock release`

use clap::Args;

use super::{WhichArgs, all_leased_json};
use crate::bus::lease::LeaseOutcome;
use crate::bus::ops;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::Output;

pub(super) const EXAMPLES: &str = "\
Examples:
  bus lock release              the only lease that you hold here
  bus lock release L-7f3k9mq
  bus lock release --all

A lease that was taken with a task, by `bus claim --lock`, ends with the claim.
Exit status: 0 it has ended; 3 it is somebody else's; 4 you hold none; 7 the fleet's remote did not answer; 8 you had lost it.";

#[derive(Debug, Args)]
pub(super) struct ReleaseArgs {
    #[command(flatten)]
    which: WhichArgs,
}

pub(super) fn run(
    context: &Context,
    args: &ReleaseArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let ws = context.open("lock release", output)?;
    let agent = context.writer(&ws, output)?;
    let leased = ops::release_leases(&ws, &agent, &args.which.get(&ws)?)?;
    output.document(&all_leased_json(&leased));
    for leased in &leased {
        let (id, patterns) = (&leased.lease.lease_id, leased.lease.patterns());
        match leased.outcome {
            LeaseOutcome::Unchanged => {
                output.line(&format!("{id} is already released: {patterns}; nothing to do"))
            }
            _ => output.line(&format!("released {id}: {patterns}")),
        }
    }
    Ok(0)
}
