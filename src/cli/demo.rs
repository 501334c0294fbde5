//! `bus demo`
use clap::Args;
use super::{exit::Failure, output::Output};
#[derive(Debug, Args)]
pub(super) struct DemoArgs {}
pub(super) fn run(_args: &DemoArgs, _output: &mut Output) -> Result<u8, Failure> { Ok(0) }
