//! `bus init`

use clap::Args;
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::fleet::Founded;
use crate::bus::setup::{AGENTS_MD, Laid, LaidOut};
use crate::bus::workspace::Workspace;
use crate::bus::{fleet, ops, setup};
use crate::record::{BRANCH_PREFIX, OWN_PREFIX, Records};

const EXAMPLES: &str = "\
Examples:
  bus init                            lay out a bus; commit what it prints
  bus init --agents-md >> AGENTS.md   instructions for your agents
  bus init --hooks                    `bus validate` before commits and pushes
  bus init --tracked                  keep records in files of the branches as well
  bus init --untracked                take the records of an older bus out of the branches
  bus init --remote origin            one owner per task in all clones of this remote

Existing hooks are run first, under the name <hook>.before-bus. A new clone has no hooks until somebody runs \
`bus init --hooks` there: what must hold for everybody belongs in CI.

With `--remote` the clone founds a fleet, or joins the one that the remote serves: from then on the remote decides who owns a \
task. Commit `_bus/config.toml`; every clone that has it joins the fleet. `bus sync` publishes claims from before.

A second run changes nothing. `bus deinit` removes exactly what it made.

Exit status: 0 done; 3 git looks for its hooks elsewhere (`core.hooksPath`); 5 the clone belongs to another fleet; 7 the remote did \
not answer or refused.";

/// Lay out a bus in this repository. No existing file is overwritten.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InitArgs {
    /// Print an instruction block for AGENTS.md, and change nothing
    #[arg(long)]
    agents_md: bool,
    /// Also put in the hooks pre-commit and pre-push, for all worktrees
    #[arg(long, conflicts_with = "agents_md")]
    hooks: bool,
    /// Keep records beside the branches, in each clone (what a new bus does)
    #[arg(long, conflicts_with_all = ["tracked", "agents_md"])]
    untracked: bool,
    /// Keep records in files of the branches as well
    #[arg(long, conflicts_with = "agents_md")]
    tracked: bool,
    /// Make all clones that share this remote one fleet
    #[arg(long, value_name = "NAME", conflicts_with = "agents_md")]
    remote: Option<String>,
    /// Where the refs of the bus are on the remote: refs/bus/, or refs/heads/bus/ if it takes
    /// only branches
    #[arg(long, value_name = "PREFIX", requires = "remote", value_parser = [OWN_PREFIX, BRANCH_PREFIX])]
    prefix: Option<String>,
}

pub(super) fn run(context: &Context, args: &InitArgs, output: &mut Output) -> Result<u8, Failure> {
    if args.agents_md {
        output.document(&words::object([("agents_md", Value::from(AGENTS_MD))]));
        output.text(AGENTS_MD);
        return Ok(0);
    }
    let ws = context.open_repository("init", output)?;
    // The remote first: where it refuses, nothing is laid out.
    let mut founded = match &args.remote {
        Some(remote) => Some(output.patiently("asking the remote", || {
            fleet::init_fleet(&ws, remote, args.prefix.as_deref())
        })?),
        None => None,
    };
    if let Some(founded) = founded.as_ref().filter(|_| fleet::waits_for_pull(&ws)) {
        show(&ws, None, Some(founded), output);
        output.note(&format!(
            "`git pull` brings the files of its bus: {} has them",
            founded.fleet.remote
        ));
        return Ok(0);
    }
    let wanted = match (args.tracked, args.untracked) {
        (true, _) => Some(Records::Tracked),
        (_, true) => Some(Records::Untracked),
        _ => None,
    };
    let laid = setup::init(&ws, args.hooks, wanted)?;
    if let Some(founded) = &mut founded {
        founded.written = fleet::write_fleet_section(&ws, &founded.fleet)?;
    }
    show(&ws, Some(&laid), founded.as_ref(), output);
    Ok(0)
}

fn records_json(laid_out: &LaidOut) -> Value {
    words::object([
        ("mode", Value::from(laid_out.mode.as_str())),
        ("why", Value::from(laid_out.why)),
        ("moved", Value::from(laid_out.is_moved)),
    ])
}

fn show_records(laid_out: &LaidOut, output: &mut Output) {
    output.line(&format!("records: {} ({})", laid_out.mode.as_str(), laid_out.why));
    if laid_out.is_moved {
        output.note(
            "update `bus` in CI before you push this: version 0.1 refuses a policy with [records]",
        );
    }
    if laid_out.has_frozen {
        output.note("records that are committed stay and are still read; from now on they do not change. `bus doctor` says when they can go");
    }
}

fn show_fleet(founded: &Founded, output: &mut Output) {
    let Founded { fleet, joined, is_new, written } = founded;
    let what = if !*is_new {
        "already in"
    } else if *joined {
        "joined"
    } else {
        "founded"
    };
    output.line(&format!("{what} the fleet {} on {} ({})", fleet.id, fleet.remote, fleet.prefix));
    if *written {
        let lines = fleet.section();
        lines
            .lines()
            .filter(|line| !line.starts_with('#'))
            .for_each(|line| output.line(&format!("added to _bus/config.toml: {line}")));
        output.note("commit _bus/config.toml and push it, so that the other clones join; `bus sync` publishes what is claimed here");
    }
}

fn show(
    ws: &Workspace,
    laid_out: Option<&LaidOut>,
    founded: Option<&Founded>,
    output: &mut Output,
) {
    let laid: &[Laid] = laid_out.map_or(&[], |laid_out| &laid_out.files);
    let written = laid.iter().map(|laid| {
        let lines = laid.lines.iter().map(|line| Value::from(line.as_str())).collect();
        let mut file = words::object([
            ("path", Value::from(laid.path.as_str())),
            ("lines", Value::Array(lines)),
        ]);
        if let Some(earlier) = &laid.earlier {
            file["earlier"] = Value::from(earlier.as_str());
        }
        file
    });
    let fleet = founded.map_or(Value::Null, |founded| {
        words::object([
            ("id", Value::from(founded.fleet.id.as_str())),
            ("remote", Value::from(founded.fleet.remote.as_str())),
            ("prefix", Value::from(founded.fleet.prefix.as_str())),
            ("joined", Value::from(founded.joined)),
            ("written", Value::from(founded.written)),
        ])
    });
    output.document(&words::object([
        ("root", Value::from(ws.root().display().to_string())),
        ("written", Value::Array(written.collect())),
        ("records", laid_out.map_or(Value::Null, records_json)),
        ("fleet", fleet),
    ]));
    for laid in laid {
        if laid.lines.is_empty() {
            output.line(&format!("wrote {}", laid.path));
        }
        laid.earlier.iter().for_each(|earlier| {
            output.line(&format!("moved what stood there to {earlier}: it runs first"))
        });
        laid.lines.iter().for_each(|line| output.line(&format!("added to {}: {line}", laid.path)));
    }
    laid_out.iter().for_each(|laid_out| show_records(laid_out, output));
    founded.iter().for_each(|founded| show_fleet(founded, output));
    if laid.is_empty() && founded.is_some() {
        return;
    }
    if laid.is_empty() {
        output.line("nothing to do: the bus is laid out");
    } else if laid.iter().any(|laid| !laid.private) {
        let add = if ops::known_tasks(ws).is_ok_and(|tasks| tasks.is_empty()) {
            "add a task, `bus queue add TITLE`, and "
        } else {
            ""
        };
        output.note(&format!(
            "commit these files; then {add}take a task: `bus claim --next --agent YOUR-ID`"
        ));
    }
}
