//! `bus check`

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::claim::why_free;
use crate::bus::lease;
use crate::bus::lease::{CheckOf, Denial, DeniedPath, LeaseConflict, PathCheck};
use crate::bus::workspace::Workspace;
use crate::git::ChangesOf;
use crate::record::{AgentId, Needed};

/// The variable that says why a commit is made although paths in it are somebody else's.
const OVERRIDE: &str = "BUS_OVERRIDE";

const EXAMPLES: &str = "\
Examples:
  bus check                       what is staged, as the pre-commit hook asks
  bus check --worktree --agent codex-1
  bus check --base origin/main    what this branch has changed since it left main
  bus check --paths src/app.rs Cargo.toml --json

A path is denied if somebody else has an exclusive lease on it (`bus lock list`), or if `[locks] require` in config.toml \
wants a lease that you do not have. The bus's own files never need one: _bus/**, queue/<number>-*.md, \
_plans/*.plan.json, _report/agent/** and _report/manager/**. For a renamed file both names are checked; for a merge, \
only changes that come from neither parent. Without an agent id every lease is somebody else's, and you need none. Set \
BUS_OVERRIDE=<reason> to commit a denied change anyway; the override is logged.
Exit status: 0 allowed; 1 denied, with path, lease, owner and what to do; 2 usage; 5 it could not be checked.";

/// See whether changed paths are yours to change
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    /// What is staged for the next commit [default]
    #[arg(long)]
    staged: bool,
    /// What is staged, changed or new in the worktree
    #[arg(long, conflicts_with = "staged")]
    worktree: bool,
    /// What HEAD has changed since its history left that of REV
    #[arg(long, value_name = "REV", conflicts_with_all = ["staged", "worktree"])]
    base: Option<String>,
    /// These files, whether changed or not
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["staged", "worktree", "base"])]
    paths: Vec<PathBuf>,
}

pub(super) fn run(context: &Context, args: &CheckArgs, output: &mut Output) -> Result<u8, Failure> {
    let (ws, check) = checked(context, args, output).map_err(unsure)?;
    let which = args.which();
    if check.denied.is_empty() {
        output.document(&document(&check, which, Value::Null));
        if !output.is_quiet() {
            output.line(&format!("allowed: {}", counted(check.paths, which)));
        }
        return Ok(0);
    }
    let reason = context.variable(OVERRIDE).filter(|reason| !reason.trim().is_empty());
    if let (Some(reason), Some(agent)) = (&reason, &check.agent) {
        words::check_length(OVERRIDE, Some(reason))?;
        let event = lease::log_override(&ws, agent, &check.denied, reason)?;
        let denied: Value =
            check.denied.iter().map(|denied| denied_json(denied, check.agent.as_ref())).collect();
        output.document(&document(
            &check,
            which,
            json!({"reason": reason, "event": event.id, "denied": denied}),
        ));
        check.denied.iter().for_each(|denied| output.warn(&sentence(denied)));
        if !output.is_quiet() {
            output.line(&format!("allowed by {OVERRIDE}, which is logged: {reason}"));
        }
        return Ok(0);
    }
    check.denied.iter().for_each(|denied| output.line(&sentence(denied)));
    Err(refusal(&check, which, reason.is_some()))
}

fn checked(
    context: &Context,
    args: &CheckArgs,
    output: &mut Output,
) -> Result<(Workspace, PathCheck), Failure> {
    let ws = context.open("check", output)?;
    let agent = context.agent(&ws)?;
    agent.iter().for_each(|agent| ws.note_presence(agent));
    let standing = context.standing()?;
    let named = lease::files_named(&ws, &standing, &args.paths)?;
    named.outside.iter().for_each(|path| {
        output.note(&format!("`{}` is in no worktree of this clone", path.display()));
    });
    let of = match &args.base {
        Some(base) => CheckOf::Changes(ChangesOf::Since(base)),
        None if args.worktree => CheckOf::Changes(ChangesOf::Worktree),
        None if !args.paths.is_empty() => CheckOf::Paths(&named.files),
        None => CheckOf::Changes(ChangesOf::Staged),
    };
    let check = lease::check_paths(&ws, agent.as_ref(), of)?;
    Ok((ws, check))
}

/// That it could not be checked is neither yes nor no, whatever the cause.
fn unsure(failure: Failure) -> Failure {
    match failure {
        Failure::Bus(error) => Failure::Unsure(error),
        failure => failure,
    }
}

impl CheckArgs {
    /// The word for what is looked at.
    const fn which(&self) -> &'static str {
        match (&self.base, self.worktree, self.paths.is_empty()) {
            (Some(_), ..) => "base",
            (None, true, _) => "worktree",
            (None, false, true) => "staged",
            (None, false, false) => "paths",
        }
    }
}

/// How many paths were looked at, in words.
fn counted(paths: usize, which: &str) -> String {
    let paths = match paths {
        0 => "no path".to_owned(),
        1 => "1 path".to_owned(),
        paths => format!("{paths} paths"),
    };
    match which {
        "staged" => format!("{paths} staged"),
        "worktree" => format!("{paths} changed in the worktree"),
        "base" => format!("{paths} changed on this branch"),
        _ => paths,
    }
}

fn document(check: &PathCheck, which: &str, overridden: Value) -> Value {
    let agent = check.agent.as_ref().map(AgentId::as_str);
    json!({"allowed": true, "agent": agent, "of": which, "paths": check.paths, "override": overridden})
}

/// Why a path is denied, in a line.
fn sentence(denied: &DeniedPath) -> String {
    let path = &denied.path;
    match &denied.why {
        Denial::Held(held) => {
            let LeaseConflict { lease, owner, objective, expires_at, .. } = &**held;
            let state = held.reclaimable.map_or_else(String::new, |why| format!(", {why}"));
            let place = if held.elsewhere { " in another worktree or clone" } else { "" };
            format!(
                "`{path}` is in `{lease}`, {owner}'s{place} until {expires_at}{state}: {objective}"
            )
        }
        Denial::NoLease(Needed::Hotspot(pattern)) => {
            format!("`{path}` is a hotspot (`{pattern}`), and in no lease of yours")
        }
        Denial::NoLease(Needed::All) => format!("`{path}` is in no lease of yours"),
    }
}

/// What to do about a denied path.
fn next(denied: &DeniedPath) -> String {
    match &denied.why {
        Denial::Held(held) => match held.reclaimable {
            Some(why) => format!(
                "{}: take it over with `bus lock reclaim {} --note WHY`",
                why_free(why).replacen("it is", "the lease is", 1),
                held.lease
            ),
            None if held.elsewhere => {
                "change it in the worktree or clone of the lease, or release the lease there"
                    .to_owned()
            }
            None => format!(
                "leave it to its owner, or ask: `bus message send --to {} --type request --summary WHY`",
                held.owner
            ),
        },
        Denial::NoLease(_) => {
            "take a lease on it: `bus lock acquire PATTERN --objective WHY`".to_owned()
        }
    }
}

fn denied_json(denied: &DeniedPath, agent: Option<&AgentId>) -> Value {
    let mut object = json!({"path": denied.path, "hint": next(denied)});
    let more = match &denied.why {
        Denial::Held(held) => json!({
            "reason": "held",
            "lock_id": held.lease.as_str(),
            "owner": held.owner.as_str(),
            "patterns": held.patterns,
            "objective": held.objective,
            "expires_at": held.expires_at.to_string(),
            "reclaimable": held.reclaimable,
        }),
        Denial::NoLease(Needed::Hotspot(pattern)) => {
            json!({"reason": "hotspot", "pattern": pattern, "agent": agent.map(AgentId::as_str)})
        }
        Denial::NoLease(Needed::All) => {
            json!({"reason": "no-lease", "agent": agent.map(AgentId::as_str)})
        }
    };
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

/// The answer that is no.
fn refusal(check: &PathCheck, which: &str, has_reason: bool) -> Failure {
    let agent = check.agent.as_ref();
    let whose = agent
        .map_or_else(|| "somebody else's".to_owned(), |agent| format!("not {agent}'s to change"));
    let are = if check.denied.len() == 1 { "is" } else { "are" };
    let all = counted(check.paths, which);
    let what = match check.denied.len() {
        denied if denied == check.paths => format!("{all} {are} {whose}"),
        denied => format!("{denied} of {all} {are} {whose}"),
    };
    let mut hint = check.denied.first().map(next).unwrap_or_default();
    hint.push_str(match (agent, has_reason) {
        (None, true) => "; BUS_OVERRIDE is logged, so also say who you are: `BUS_AGENT=ID`",
        (None, false) => "; if it is your own lease, say who you are: `BUS_AGENT=ID`",
        (Some(_), _) => "; to go on all the same, which is logged: `BUS_OVERRIDE=WHY git commit`",
    });
    let denied = check.denied.iter().map(|denied| denied_json(denied, agent)).collect();
    let facts = vec![
        ("agent", Value::from(agent.map(AgentId::as_str))),
        ("of", Value::from(which)),
        ("paths", Value::from(check.paths)),
        ("denied", denied),
    ];
    Failure::Denied { what, hint, facts }
}
