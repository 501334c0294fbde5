//! `bus doctor`

use anstyle::AnsiColor;
use clap::Args;
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::Finding;

const EXAMPLES: &str = "\
Examples:
  bus doctor         find what a crash or a hand edit left; change nothing
  bus doctor --fix   mend it; what a person must decide is left and shown

It writes this clone's own records and refs only, and keeps what it replaces in the git common dir, under bus/broken/.
Exit status: 0 nothing is wrong, or everything is mended; 1 something is.";

/// Find what a crash or a hand edit left, and mend it with --fix.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DoctorArgs {
    /// Mend what can be mended
    #[arg(long)]
    fix: bool,
}

pub(super) fn run(context: &Context, args: &DoctorArgs, output: &mut Output) -> Result<u8, Failure> {
    let bus = context.open("doctor", output)?;
    let found = bus.examine()?;
    let left = if args.fix && !found.is_empty() { bus.mend(found.clone())? } else { found.clone() };
    let still = |finding: &Finding| left.iter().any(|other| other.name == finding.name && other.place == finding.place);
    let mended = |finding: &Finding| args.fix && !still(finding);
    let list = found.iter().map(|finding| {
        words::object([
            ("name", Value::from(finding.name)),
            ("place", Value::from(finding.place.as_str())),
            ("message", Value::from(finding.what.as_str())),
            ("mend", finding.mend.map_or(Value::Null, Value::from)),
            ("advice", finding.advice.as_deref().map_or(Value::Null, Value::from)),
            ("mended", Value::from(mended(finding))),
        ])
    });
    output.document(&words::object([("findings", Value::Array(list.collect())), ("left", Value::from(left.len()))]));
    for finding in &found {
        let (word, colour) = if mended(finding) { ("mended", AnsiColor::Green) } else { ("found", AnsiColor::Yellow) };
        output.styled(colour, &format!("{word} {}: {}: {}", finding.name, finding.place, finding.what));
        match finding.mend {
            Some(mend) if !mended(finding) => output.line(&format!("  `bus doctor --fix` would {mend}")),
            None => {
                let advice = finding.advice.as_deref().unwrap_or("a person must decide this");
                output.line(&format!("  {advice}"));
            }
            Some(_) => {}
        }
    }
    match (found.len(), left.len()) {
        (0, _) => output.line("nothing is wrong"),
        (_, 0) => output.line("everything is mended"),
        (_, left) => output.line(&format!("{left} left")),
    }
    Ok(u8::from(!left.is_empty()))
}
