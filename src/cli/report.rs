//! `bus report`

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::args::When;
use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::{completions, words};
use crate::bus::workspace::Workspace;
use crate::bus::{Error as BusError, survey};
use crate::git::Repository;
use crate::record::{AgentId, Timestamp};
use crate::report::{Report, Request, Validated, is_of, json, markdown};
use crate::store::{Place, replace};
use crate::validate::{Against, Query, Rule, Selection, Severity, validate};

/// How many findings are told with the report.
const FINDINGS: usize = 3;

const EXAMPLES: &str = "\
Examples:
  bus report --manager boss         write it below _report/manager
  bus report --stdout | less        read it, and write nothing
  bus report --since 2d --post      cover two days, and post it
  bus report --json | jq '.needs[]' the same facts; nothing is written

It shows who does what, what needs the manager now, and what git shows of each branch: whether it exists, is pushed, and has \
landed, also after a squash merge. Diagrams are Mermaid, which GitHub renders. The same bus at the same time gives the same bytes. \
It covers the time since the manager's last report, in all worktrees, unless `--since` says otherwise; what needs the manager \
stays in it until it is resolved.
Exit status: 0 it is written; 2 it is not known whose report it is.";

/// Write the manager's report: who does what, what is stuck, what is really finished.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReportArgs {
    /// Whose report it is [default: you]
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(completions::agents))]
    manager: Option<AgentId>,
    /// Since when work counts: a time, or 30s, 10m, 4h, 2d ago, or `last`: since the manager's last
    /// report, if there is one
    #[arg(long, value_name = "WHEN", default_value = "last")]
    since: Since,
    /// Print it in the place of writing it
    #[arg(long, conflicts_with_all = ["output", "post"])]
    stdout: bool,
    /// Write it to this file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with = "post")]
    output: Option<PathBuf>,
    /// Post it: a message in the channel `manager-report`, and an event
    #[arg(long)]
    post: bool,
    /// The time from which it looks back [default: now]; the bus is as it is
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
}

/// Since when work counts.
#[derive(Clone, Copy, Debug)]
enum Since {
    Last,
    Given(When),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "last" { Ok(Self::Last) } else { text.parse().map(Self::Given) }
    }
}

pub(super) fn run(
    context: &Context,
    args: &ReportArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    // The time that is looked back from is no time at which anybody was at work.
    let ws = context.open("report", output)?;
    context.note_reader(&ws);
    let files = !args.stdout && args.output.is_none() && (args.post || !output.is_json());
    let manager = manager(context, args, &ws, files, output)?;
    let view = context.open_at(args.now, "report", output)?;
    let since = match args.since {
        Since::Last => survey::last_report(&view, |beginning| {
            manager.as_ref().is_none_or(|manager| is_of(manager, beginning))
        }),
        Since::Given(when) => Some(when.resolve(view.clock().now())),
    };
    let report = output.patiently("looking at the bus", || {
        look(&view, Request { manager: manager.clone(), since })
    })?;
    let text = markdown(&report);
    let path = match &args.output {
        Some(path) => Some(write(&ws, path, &text)?),
        None if files => Some(survey::file_report(&ws, report.now, &text)?),
        None => None,
    };
    if let (true, Some(path), Some(manager)) = (args.post, &path, &manager) {
        survey::post_report(&ws, manager, path, &summary(&report))?;
        output.note("it is posted in the channel `manager-report`: `bus message list --task manager-report`");
    }
    let written = path.as_ref().map_or(Value::Null, |path| Value::from(path.as_str()));
    output.document(&words::merge(json(&report), [("path", written)]));
    match path {
        Some(path) => output.line(&path),
        None => output.text(&text),
    }
    Ok(0)
}

/// Whose report it is; what is written to the bus needs an author.
fn manager(
    context: &Context,
    args: &ReportArgs,
    ws: &Workspace,
    files: bool,
    output: &mut Output,
) -> Result<Option<AgentId>, Failure> {
    match &args.manager {
        Some(manager) => Ok(Some(manager.clone())),
        None if files => context.writer(ws, output).map(Some),
        None => Ok(context.addressee(ws).ok()),
    }
}

/// Gathers the report while the validator looks at this worktree.
fn look(ws: &Workspace, request: Request) -> Result<Report, Failure> {
    let root = Some(ws.root()).filter(|_| ws.is_here());
    std::thread::scope(|scope| {
        let validating =
            scope.spawn(move || root.map_or_else(|| Ok(Validated::default()), validated));
        let report = Report::gather(ws, request)?;
        let validated =
            validating.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(report.with_findings(&validated))
    })
}

/// What `bus validate` says of a worktree.
fn validated(root: &Path) -> Result<Validated, Failure> {
    let repo = Repository::discover(root).map_err(BusError::from)?;
    let mut found = validate(&repo, &Query::default())?;
    // What the remote's default branch has tells more: a task that two hold, a log that was
    // rewritten.
    let remote = repo
        .history()
        .map_err(BusError::from)?
        .default_branch()
        .filter(|name| name.starts_with("refs/remotes/"));
    let history = remote.map(|remote| {
        let only = Rule::all().filter(|rule| rule.is_history()).collect();
        let rules = Selection { only, skip: Vec::new() };
        validate(&repo, &Query { base: Against::Revision(remote), rules, ..Query::default() })
    });
    // A history that cannot be compared hides nothing else.
    if let Some(Ok(history)) = history {
        found.findings.extend(history.findings);
        found.raised.extend(history.raised);
        history
            .counts
            .into_iter()
            .for_each(|(rule, count)| *found.counts.entry(rule).or_default() += count);
    }
    let line = |place: Option<crate::validate::Place>| {
        place.map_or_else(String::new, |place| format!(" line {}", place.line))
    };
    let first = found.findings.iter().take(FINDINGS);
    Ok(Validated {
        errors: found.count(Severity::Error),
        warnings: found.count(Severity::Warning),
        first: first
            .map(|finding| {
                format!("`{}`{}: {}", finding.path, line(finding.place), finding.message)
            })
            .collect(),
    })
}

/// Writes the report to a file of the user's choice, and returns its path.
fn write(ws: &Workspace, path: &Path, text: &str) -> Result<String, Failure> {
    let name = path.file_name().ok_or_else(|| Failure::Usage {
        what: format!("`{}` is no file", path.display()),
        hint: "name a file: `--output report.md`".to_owned(),
    })?;
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let goes_up = path.is_relative() && path.components().any(|part| part == Component::ParentDir);
    if !is_without_links(folder) || (goes_up && !whole.starts_with(ws.root())) {
        return Err(Failure::Usage {
            what: format!("`{}` leads out of this worktree, or through a link", path.display()),
            hint: "name a file in this worktree, or the whole path of another place".to_owned(),
        });
    }
    if [ws.common_dir(), &ws.root().join("_bus")].into_iter().any(|ours| whole.starts_with(ours)) {
        return Err(Failure::Usage {
            what: format!("`{}` is no place for a report", path.display()),
            hint: "write it outside of `_bus` and of git's own folder".to_owned(),
        });
    }
    replace(&Place::new(folder, name), text.as_bytes()).map_err(BusError::from)?;
    Ok(path.display().to_string())
}

/// Whether no folder on the way to `folder` is a link that the user may not know of. A path that
/// begins at the root is the user's own word down to its last folder.
fn is_without_links(folder: &Path) -> bool {
    match folder.is_absolute() {
        true => !folder.is_symlink(),
        false => folder.ancestors().all(|part| part.as_os_str().is_empty() || !part.is_symlink()),
    }
}

/// A report in a line.
fn summary(report: &Report) -> String {
    let live = report.tasks.iter().filter(|task| task.state.is_live()).count();
    format!(
        "Report: {live} tasks held, {} finished, {} things need the manager",
        report.finished().len(),
        report.needs.len()
    )
}
