//! `bus init`

use clap::Args;
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::AGENTS_MD;

const EXAMPLES: &str = "\
Examples:
  bus init                              lay out a bus here; then commit what it prints
  bus init --agents-md >> AGENTS.md     tell your agents how to use it

Run twice, it changes nothing. `bus deinit` takes exactly this out again.";

/// Lay out a bus in this repository. No file that stands is overwritten.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InitArgs {
    /// Print an instruction block for AGENTS.md, and change nothing
    #[arg(long)]
    agents_md: bool,
}

pub(super) fn run(context: &Context, args: &InitArgs, output: &mut Output) -> Result<u8, Failure> {
    if args.agents_md {
        output.document(&words::object([("agents_md", Value::from(AGENTS_MD))]));
        output.text(AGENTS_MD);
        return Ok(0);
    }
    let bus = context.open_repository("init", output)?;
    let laid = bus.init()?;
    let written = laid.iter().map(|laid| {
        let lines = laid.lines.iter().map(|line| Value::from(line.as_str())).collect();
        words::object([("path", Value::from(laid.path.as_str())), ("lines", Value::Array(lines))])
    });
    output.document(&words::object([
        ("root", Value::from(bus.root().display().to_string())),
        ("written", Value::Array(written.collect())),
    ]));
    for laid in &laid {
        if laid.lines.is_empty() {
            output.line(&format!("wrote {}", laid.path));
        }
        laid.lines.iter().for_each(|line| output.line(&format!("added to {}: {line}", laid.path)));
    }
    if laid.is_empty() {
        output.line("nothing to do: the bus is laid out");
    } else {
        output.note("commit these files; then take a task: `bus claim QUEUE-001 --agent YOUR-ID`");
    }
    Ok(0)
}
