//! `bus init`

use clap::Args;
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::{AGENTS_MD, Bus, Laid};

const EXAMPLES: &str = "\
Examples:
  bus init                            lay out a bus; commit what it prints
  bus init --agents-md >> AGENTS.md   tell your agents how to use it
  bus init --hooks                    `bus validate` before commits and pushes

Hooks that stand are run first, under the name <hook>.before-bus. Whoever clones the repository has no hooks until they run \
`bus init --hooks`, too: what must hold for all belongs into CI.

Run twice, it changes nothing. `bus deinit` takes exactly this out again.

Exit status: 0 done; 3 git looks for its hooks elsewhere (`core.hooksPath`).";

/// Lay out a bus in this repository. No file that stands is overwritten.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InitArgs {
    /// Print an instruction block for AGENTS.md, and change nothing
    #[arg(long)]
    agents_md: bool,
    /// Also put in the hooks pre-commit and pre-push, for all worktrees
    #[arg(long, conflicts_with = "agents_md")]
    hooks: bool,
}

pub(super) fn run(context: &Context, args: &InitArgs, output: &mut Output) -> Result<u8, Failure> {
    if args.agents_md {
        output.document(&words::object([("agents_md", Value::from(AGENTS_MD))]));
        output.text(AGENTS_MD);
        return Ok(0);
    }
    let bus = context.open_repository("init", output)?;
    let laid = bus.init(args.hooks)?;
    show(&bus, &laid, output);
    Ok(0)
}

fn show(bus: &Bus, laid: &[Laid], output: &mut Output) {
    let written = laid.iter().map(|laid| {
        let lines = laid.lines.iter().map(|line| Value::from(line.as_str())).collect();
        let mut file = words::object([("path", Value::from(laid.path.as_str())), ("lines", Value::Array(lines))]);
        if let Some(earlier) = &laid.earlier {
            file["earlier"] = Value::from(earlier.as_str());
        }
        file
    });
    output.document(&words::object([
        ("root", Value::from(bus.root().display().to_string())),
        ("written", Value::Array(written.collect())),
    ]));
    for laid in laid {
        if laid.lines.is_empty() {
            output.line(&format!("wrote {}", laid.path));
        }
        laid.earlier.iter().for_each(|earlier| output.line(&format!("moved what stood there to {earlier}: it runs first")));
        laid.lines.iter().for_each(|line| output.line(&format!("added to {}: {line}", laid.path)));
    }
    if laid.is_empty() {
        output.line("nothing to do: the bus is laid out");
    } else if laid.iter().any(|laid| !laid.private) {
        let add = if bus.known_tasks().is_ok_and(|tasks| tasks.is_empty()) {
            "say what is to be done, `bus queue add TITLE`, and "
        } else {
            ""
        };
        output.note(&format!("commit these files; then {add}take a task: `bus claim --next --agent YOUR-ID`"));
    }
}
