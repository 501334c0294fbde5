//! `bus lock renew`

use clap::Args;

use super::acquire::sentence;
use super::{WhichArgs, all_leased_json};
use crate::bus::ops;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::Output;

pub(super) const EXAMPLES: &str = "\
Examples:
  bus lock renew              the only lease that you hold here
  bus lock renew L-7f3k9mq
  bus lock renew --all

It lives as long again as it was taken for.
Exit status: 0 it goes on; 3 it is somebody else's; 4 you hold none; 7 the fleet's remote did not answer; 8 you had lost it.";

#[derive(Debug, Args)]
pub(super) struct RenewArgs {
    #[command(flatten)]
    which: WhichArgs,
}

pub(super) fn run(context: &Context, args: &RenewArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("lock renew", output)?;
    let agent = context.writer(&ws, output)?;
    let leased = ops::renew_leases(&ws, &agent, &args.which.get(&ws)?)?;
    output.document(&all_leased_json(&leased));
    leased.iter().for_each(|leased| output.line(&sentence(leased)));
    Ok(0)
}
