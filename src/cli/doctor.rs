//! `bus doctor`

use anstyle::AnsiColor;
use clap::Args;
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::doctor::Finding;
use crate::bus::workspace::Workspace;
use crate::bus::{doctor, fleet};
use crate::record::CloneId;

const EXAMPLES: &str = "\
Examples:
  bus doctor         find what a crash or a hand edit left; change nothing
  bus doctor --fix   fix it; what a person must decide is left and shown
  bus doctor --accept-log k3f9   this clone's log was rewritten on the remote, and that is right

It writes this clone's own records and refs only, and keeps what it replaces in the git common dir, under bus/broken/.
Exit status: 0 nothing is wrong, or everything is fixed; 1 something is wrong.";

/// Find what a crash or a hand edit left, and fix it with --fix.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DoctorArgs {
    /// Fix what can be fixed
    #[arg(long)]
    fix: bool,
    /// Accept that this clone's log was rewritten on the fleet's remote: it is reported no more
    #[arg(long, value_name = "CLONE", conflicts_with = "fix", value_parser = clone_id)]
    accept_log: Option<CloneId>,
}

fn clone_id(text: &str) -> Result<CloneId, String> {
    CloneId::new(text).ok_or_else(|| "it is no id of a clone: 1 to 64 of `0-9 a-z`".to_owned())
}

pub(super) fn run(
    context: &Context,
    args: &DoctorArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let ws = context.open("doctor", output)?;
    if let Some(clone) = &args.accept_log {
        return accept(&ws, clone, output);
    }
    let found = doctor::examine(&ws)?;
    let left = if args.fix && !found.is_empty() {
        doctor::fix(&ws, found.clone())?
    } else {
        found.clone()
    };
    let still = |finding: &Finding| {
        left.iter().any(|other| other.name == finding.name && other.place == finding.place)
    };
    let fixed = |finding: &Finding| args.fix && !still(finding);
    let list = found.iter().map(|finding| {
        words::object([
            ("name", Value::from(finding.name)),
            ("place", Value::from(finding.place.as_str())),
            ("message", Value::from(finding.what.as_str())),
            ("mend", finding.fix.map_or(Value::Null, Value::from)),
            ("advice", finding.advice.as_deref().map_or(Value::Null, Value::from)),
            ("mended", Value::from(fixed(finding))),
        ])
    });
    output.document(&words::object([
        ("findings", Value::Array(list.collect())),
        ("left", Value::from(left.len())),
    ]));
    for finding in &found {
        let (word, colour) =
            if fixed(finding) { ("fixed", AnsiColor::Green) } else { ("found", AnsiColor::Yellow) };
        output.styled(
            colour,
            &format!("{word} {}: {}: {}", finding.name, finding.place, finding.what),
        );
        match finding.fix {
            Some(fix) if !fixed(finding) => {
                output.line(&format!("  `bus doctor --fix` would {fix}"))
            }
            None => {
                let advice = finding.advice.as_deref().unwrap_or("a person must decide this");
                output.line(&format!("  {advice}"));
            }
            Some(_) => {}
        }
    }
    match (found.len(), left.len()) {
        (0, _) => output.line("nothing is wrong"),
        (_, 0) => output.line("everything is fixed"),
        (_, left) => output.line(&format!("{left} left")),
    }
    Ok(u8::from(!left.is_empty()))
}

fn accept(ws: &Workspace, clone: &CloneId, output: &mut Output) -> Result<u8, Failure> {
    let was_noted = fleet::accept_log(ws, clone)?;
    output.document(&words::object([
        ("clone", Value::from(clone.as_str())),
        ("accepted", Value::from(was_noted)),
    ]));
    output.line(&if was_noted {
        format!("the log of {clone} is accepted as it is now")
    } else {
        format!("nothing is known of a rewritten log of {clone}; nothing to do")
    });
    Ok(0)
}
