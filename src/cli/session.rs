//! `bus session start` and `bus session end`

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::args::{Summary, Text};
use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::{args, completions, exit, session_overview as overview, words};
use crate::bus::session::{OpenSession, Overview, Role, SessionEnd, SessionRequest, SessionStart};
use crate::bus::workspace::{ManifestState, Workspace};
use crate::bus::{Error, session};
use crate::git::Fetch;
use crate::record::json::Object;
use crate::record::{AgentId, ManifestName, Timestamp};

const START_EXAMPLES: &str = "\
Examples:
  bus session start --agent codex-1      what you hold, what is next
  bus session start --focus 'the parser' --role engineer
  bus session start --manifest codex-2   as AGENT_MANIFEST.codex-2.json
  bus session start --no-fetch --json    without the remote

It writes AGENT_MANIFEST.json if there is none, logs a `handshake`, and fetches (it merges nothing and touches no file of \
yours). Set $BUS_SESSION as it prints: claims and events then name the session, and a second one with your id is noticed.
Exit status: 0 it has begun, whatever the remote said; 4 no such manifest; 5 a file cannot be read.";

const END_EXAMPLES: &str = "\
Examples:
  bus session end --summary 'the parser is done, the lexer is next'
  bus session end --json   what you still hold

Your claims go on: it lists them. It ends the session that $BUS_SESSION names, else those that you began in this worktree.
Exit status: 0 it has ended, whether you still hold something or not.";

/// Of how many worktrees it is told that the same agent is at work there.
const MAX_TOLD: usize = 3;

/// Begin or end a session: who you are, what you hold, what is next
#[derive(Debug, Args)]
pub(super) struct SessionArgs {
    #[command(subcommand)]
    command: SessionCommand,
}

#[derive(Debug, Subcommand)]
enum SessionCommand {
    /// Say that you are here, and see what you hold, what was said, who else is at work and what is
    /// next
    #[command(after_help = START_EXAMPLES, mut_group("Summary", |group| group.required(false)))]
    Start(StartArgs),
    /// Say that you stop, and see what you still hold
    #[command(after_help = END_EXAMPLES, mut_group("Summary", |group| group.required(false)))]
    End(EndArgs),
}

#[derive(Debug, Args)]
struct StartArgs {
    #[command(flatten)]
    summary: Option<Summary>,
    /// What you will look at; `-` reads it from standard input
    #[arg(long, value_name = "TEXT", value_parser = args::text, allow_hyphen_values = true)]
    focus: Option<Text>,
    /// What you are here for: engineer, manager
    #[arg(long, value_name = "ROLE", value_parser = PossibleValuesParser::new(Role::ALL.map(Role::as_str)).map(|word| role(&word)))]
    role: Option<Role>,
    /// Put `AGENT_MANIFEST.NAME.json` in the place of `AGENT_MANIFEST.json` first
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(completions::manifests))]
    manifest: Option<ManifestName>,
    /// Do not ask the remote
    #[arg(long)]
    no_fetch: bool,
    /// Show each line and each list whole
    #[arg(long)]
    full: bool,
}

#[derive(Debug, Args)]
struct EndArgs {
    #[command(flatten)]
    summary: Option<Summary>,
}

/// The role that a word names: clap sees to it that it names one.
fn role(word: &str) -> Role {
    Role::ALL.into_iter().find(|role| role.as_str() == word).unwrap_or(Role::Engineer)
}

pub(super) fn run(
    context: &Context,
    args: &SessionArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    match &args.command {
        SessionCommand::Start(args) => start(context, args, output),
        SessionCommand::End(args) => end(context, args, output),
    }
}

fn start(context: &Context, args: &StartArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("session start", output)?;
    if let Some(name) = &args.manifest {
        ws.swap_manifest(name)?;
        if !ws.ignores_manifest() {
            output.warn(
                "git does not ignore AGENT_MANIFEST.json; `bus init` adds the line to .gitignore",
            );
        }
    }
    // Not yet a heartbeat: that of another session with this id must be seen first.
    let agent = context.addressee(&ws)?;
    let request = SessionRequest {
        summary: args.summary.as_ref().map(|summary| context.summary(summary)).transpose()?,
        focus: context.text_if("--focus", args.focus.as_ref())?,
        role: args.role,
    };
    let start = session::session_start(&ws, &agent, &request)?;
    tell_of_manifest(&start.manifest, &agent, output);
    let now = context.clock.now();
    tell_of_others(&start, now, output);
    let fetched = match args.no_fetch {
        true => None,
        false => Some(fetch(&ws, output)),
    };
    // Whoever ended the fetch wants the command to end.
    if let Some(Err(Error::Git(crate::git::Error::Interrupted))) = fetched {
        return Err(Error::Git(crate::git::Error::Interrupted).into());
    }
    let overview = session::overview(&ws, &agent)?;
    // Of thousands of claims it is much, and for people it is not read.
    if output.is_json() {
        output.document(&document(&agent, &ws, &start, fetched.as_ref(), &overview));
    }
    if args.full {
        output.show_whole();
    }
    output.line(&greeting(&agent, args.role, &overview));
    output.line(&format!("export BUS_SESSION={}", start.session));
    overview::show(&agent, &overview, output);
    Ok(0)
}

fn document(
    agent: &AgentId,
    ws: &Workspace,
    start: &SessionStart,
    fetched: Option<&Result<Fetch, Error>>,
    overview: &Overview,
) -> Value {
    let own = [
        ("agent_id", Value::from(agent.as_str())),
        ("session_id", Value::from(start.session.as_str())),
        ("worktree", Value::from(ws.root().display().to_string())),
        ("manifest", Value::from(manifest_word(&start.manifest))),
        ("event", words::event_json(&start.event, None, overview.generated_at)),
        ("other_sessions", start.others.iter().map(other_json).collect()),
        ("fetch", fetch_json(fetched)),
    ];
    words::merge(Object::new(), own.into_iter().chain(overview::fields(overview)))
}

/// Who begins where: `codex-1 (engineer) on main: 2 commits behind origin/main`.
fn greeting(agent: &AgentId, role: Option<Role>, overview: &Overview) -> String {
    let role = role.map_or_else(String::new, |role| format!(" ({role})"));
    format!("{agent}{role} {}", overview::whereabouts(overview))
}

fn tell_of_manifest(manifest: &ManifestState, agent: &AgentId, output: &mut Output) {
    match manifest {
        ManifestState::Stands => {}
        ManifestState::Written => output.note(&format!("AGENT_MANIFEST.json now says that {agent} works in this worktree")),
        ManifestState::Another(other) => output.warn(&format!(
            "AGENT_MANIFEST.json names {other} and is left alone: keep `BUS_AGENT={agent}` set, or you will be {other}"
        )),
        ManifestState::NotIgnored => output
            .note("AGENT_MANIFEST.json is not written, because git does not ignore it: `bus init` adds the line to .gitignore"),
        ManifestState::Unreadable(error) => output.warn(&format!("{}; it is left alone", exit::story(error))),
    }
}

const fn manifest_word(manifest: &ManifestState) -> &'static str {
    match manifest {
        ManifestState::Stands => "stands",
        ManifestState::Written => "written",
        ManifestState::Another(_) => "another",
        ManifestState::NotIgnored => "not-ignored",
        ManifestState::Unreadable(_) => "unreadable",
    }
}

/// The latest session of each worktree is told, of few worktrees.
fn tell_of_others(start: &SessionStart, now: Timestamp, output: &mut Output) {
    let mut latest: Vec<&OpenSession> = Vec::new();
    for other in start.others.iter().rev() {
        if !latest.iter().any(|told| told.mark.worktree == other.mark.worktree) {
            latest.push(other);
        }
    }
    latest.iter().take(MAX_TOLD).for_each(|other| tell_of_other(other, now, output));
    match latest.len().saturating_sub(MAX_TOLD) {
        0 => {}
        more => output.warn(&format!(
            "and others in {more} more worktrees; `bus session start --json` names all of them"
        )),
    }
    match &start.replaced[..] {
        [] => {}
        [old] => output.note(&format!(
            "it takes the place of {}, which was begun in this worktree",
            old.mark.session_id
        )),
        many => output.note(&format!(
            "it takes the place of {} earlier sessions in this worktree",
            many.len()
        )),
    }
}

fn tell_of_other(other: &OpenSession, now: Timestamp, output: &mut Output) {
    let mark = &other.mark;
    output.warn(&format!(
        "{} has another session, {}, since {} in `{}`, last seen {}: nobody can tell two sessions with one id apart; if it is over, \
         `BUS_SESSION={} bus session end`, else take another id",
        mark.agent_id,
        mark.session_id,
        words::ago(mark.since, now),
        mark.worktree,
        words::ago(other.last_seen, now),
        mark.session_id
    ));
}

fn other_json(other: &OpenSession) -> Value {
    words::object([
        ("session_id", Value::from(other.mark.session_id.as_str())),
        ("worktree", Value::from(other.mark.worktree.as_str())),
        ("since", Value::from(other.mark.since.to_string())),
        ("last_seen", Value::from(other.last_seen.to_string())),
    ])
}

/// Asks the remote. That it does not answer stops nobody.
fn fetch(ws: &Workspace, output: &mut Output) -> Result<Fetch, Error> {
    let fetched = session::fetch(ws);
    match &fetched {
        Ok(Fetch::Done { .. } | Fetch::NoRemote) => {}
        Ok(Fetch::NoDefault) => {
            output.note("nothing was fetched: there are several remotes, and this branch follows none of them")
        }
        Ok(Fetch::Unsafe { remote, refspec }) => output.note(&format!(
            "nothing was fetched from {remote}: its refspec `{refspec}` would write elsewhere than to remote-tracking branches"
        )),
        Ok(Fetch::Group { remote, members }) => output.note(&format!(
            "nothing was fetched from {remote}: git's `remotes.{remote}` makes it a group ({members}); \
             `git config --unset-all remotes.{remote}` makes it one remote again"
        )),
        Ok(Fetch::Refused { remote, what }) => {
            output.warn(&format!("{remote} could not be fetched: {what}; what is shown of it is old"))
        }
        Ok(Fetch::TimedOut { remote, patience }) => {
            output.warn(&format!("{remote} did not answer in {} s; what is shown of it is old", patience.as_secs()));
        }
        Err(error) => output.warn(&format!("nothing was fetched: {}", exit::story(error))),
    }
    fetched
}

fn fetch_json(fetched: Option<&Result<Fetch, Error>>) -> Value {
    let (outcome, remote, what) = match fetched {
        None => ("off", None, None),
        Some(Err(error)) => ("failed", None, Some(exit::story(error))),
        Some(Ok(Fetch::Done { remote })) => ("fetched", Some(remote), None),
        Some(Ok(Fetch::NoRemote)) => ("no-remote", None, None),
        Some(Ok(Fetch::NoDefault)) => ("no-default", None, None),
        Some(Ok(Fetch::Unsafe { remote, refspec })) => {
            ("unsafe", Some(remote), Some(refspec.clone()))
        }
        Some(Ok(Fetch::Group { remote, members })) => {
            ("unsafe", Some(remote), Some(format!("remotes.{remote} = {members}")))
        }
        Some(Ok(Fetch::Refused { remote, what })) => ("failed", Some(remote), Some(what.clone())),
        Some(Ok(Fetch::TimedOut { remote, .. })) => ("timed-out", Some(remote), None),
    };
    let text = |text: Option<String>| text.map_or(Value::Null, Value::from);
    words::object([
        ("outcome", Value::from(outcome)),
        ("remote", text(remote.cloned())),
        ("message", text(what)),
    ])
}

fn end(context: &Context, args: &EndArgs, output: &mut Output) -> Result<u8, Failure> {
    let ws = context.open("session end", output)?;
    let agent = context.writer(&ws, output)?;
    let summary = args.summary.as_ref().map(|summary| context.summary(summary)).transpose()?;
    let end = session::session_end(&ws, &agent, summary.as_deref())?;
    let now = context.clock.now();
    output.document(&words::object([
        ("agent_id", Value::from(agent.as_str())),
        (
            "session_id",
            end.session.as_ref().map_or(Value::Null, |session| Value::from(session.as_str())),
        ),
        ("outcome", Value::from(if end.event.is_some() { "ended" } else { "unchanged" })),
        (
            "event",
            end.event.as_ref().map_or(Value::Null, |event| words::event_json(event, None, now)),
        ),
        ("claims", end.claims.iter().map(overview::claim_json).collect()),
    ]));
    output.line(&ending(&agent, &end));
    if !end.claims.is_empty() {
        output.line("");
        output.line("Still claimed");
        overview::claims(&agent, &end.claims, now).for_each(|line| output.line(&line));
        output.line("");
        output.line("Release what you will not come back to: `bus release TASK --status released`");
    }
    Ok(0)
}

fn ending(agent: &AgentId, end: &SessionEnd) -> String {
    match (&end.session, &end.event) {
        (Some(session), Some(_)) => format!("ended session {session} of {agent}"),
        (Some(session), None) => {
            format!("session {session} of {agent} has ended already; nothing to do")
        }
        (None, Some(_)) => {
            format!("{agent} says that it stops; it had begun no session in this worktree")
        }
        (None, None) => format!(
            "{agent} has said that it stops, and has begun no session in this worktree; nothing to do"
        ),
    }
}
