//! `bus validate`

use anstyle::AnsiColor;
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCompleter;
use glob::Pattern;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::{completions, exit};
use crate::git::Repository;
use crate::record::{PlanId, Records};
use crate::validate::{
    About, Against, FleetSight, LooksAt, Query, Report, Rule, Selection, Severity, annotation,
    audit, validate,
};

const EXAMPLES: &str = "\
Examples:
  bus validate                         is this worktree sound?
  bus validate --base origin/main      and is nothing rewritten, lost or taken twice?
  bus validate --explain append-only   what a rule wants, with a bad and a good example
  bus validate --base origin/main --refs 'origin/agent/*'   and does no open branch hold its tasks?
  bus validate --fleet                 is all sound in the refs of the fleet that are here?
  bus validate --format sarif > bus.sarif

With a base only changes are judged, so that old faults stop nobody: the tree is compared with the merge base of REV and HEAD. \
Who holds a task on REV itself counts as well. Without a base, everything is judged. It reads this worktree, committed or not; \
it writes nothing.

In GitHub Actions ($GITHUB_ACTIONS) the format is `github`, and the base the first parent of a merge commit, else \
$GITHUB_BASE_REF or the default branch. `--base ''` asks for no base there. A fork's branch belongs to no agent, as with `--branch ''`.

Exit status: 0 sound, or warnings only; 1 findings; 2 usage; 4 no bus, no such revision.";

/// The form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line a finding
    Text,
    /// One document, as with --json
    Json,
    /// Annotations of a GitHub workflow
    Github,
    /// SARIF 2.1.0
    Sarif,
}

/// How what is found is told.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The form of the report [default: text; github in GitHub Actions]
    #[arg(long, value_name = "FORM")]
    format: Option<Format>,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
}

/// Check that the bus is sound: records, logs and, with a base, that nothing was rewritten or taken
/// twice.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ValidateArgs {
    /// Judge what changed since the merge base of REV and HEAD; REV is origin/main, say
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// Also refuse a task that is held on one of these branches: 'origin/agent/*' (repeatable)
    #[arg(long, value_name = "GLOB", num_args = 1..)]
    refs: Vec<Pattern>,
    /// The branch that is judged [default: $GITHUB_HEAD_REF in GitHub Actions, else the one that is
    /// checked out]
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// The fleet's refs could not be fetched, for this reason: rules that need them say
    /// `not-judged`
    #[arg(long, value_name = "WHY")]
    unread: Option<String>,
    /// Audit the refs of the fleet that are here: claims, leases, logs
    #[arg(long, conflicts_with_all = ["base", "refs", "branch", "unread", "list_rules", "explain"])]
    fleet: bool,
    #[command(flatten)]
    report: ReportArgs,
    /// Only this rule (repeatable, or separated by commas)
    #[arg(long = "rule", value_name = "RULE", value_delimiter = ',', add = ArgValueCompleter::new(completions::rules))]
    only: Vec<Rule>,
    /// Not this rule (repeatable, or separated by commas)
    #[arg(long, value_name = "RULE", value_delimiter = ',', add = ArgValueCompleter::new(completions::rules))]
    skip: Vec<Rule>,
    /// List the rules
    #[arg(long, conflicts_with_all = ["base", "refs", "explain"])]
    list_rules: bool,
    /// Explain a rule
    #[arg(long, value_name = "RULE", conflicts_with_all = ["base", "refs"], add = ArgValueCompleter::new(completions::rules))]
    explain: Option<Rule>,
}

pub(super) fn run(
    context: &Context,
    args: &ValidateArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let format = form(context, &args.report, output)?;
    if args.list_rules || args.explain.is_some() {
        return tell_of_rules(args, output);
    }
    let judged =
        if args.fleet { audit_fleet(context, args, output) } else { judge(context, args, output) };
    conclude(judged, format, args.report.strict, output)
}

/// Checks the files of plans: those that are named, or all.
pub(super) fn check_plans(
    context: &Context,
    plans: Vec<PlanId>,
    args: &ReportArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let format = form(context, args, output)?;
    let repo = context.repository(output)?;
    let query = Query { plans: Some(plans), ..Query::default() };
    conclude(validate(&repo, &query).map_err(Failure::from), format, args.strict, output)
}

/// Shows what was found, and says whether that is a failure.
fn conclude(
    judged: Result<Report, Failure>,
    format: Format,
    strict: bool,
    output: &mut Output,
) -> Result<u8, Failure> {
    if let (Err(failure), Format::Github) = (&judged, format) {
        output.line(&annotation(&exit::words(failure)));
    }
    let report = judged?;
    show(&report, format, output);
    let warned = strict && report.count(Severity::Warning) > 0;
    if warned && report.count(Severity::Error) == 0 {
        output.note("warnings are errors: `--strict`");
    }
    Ok(u8::from(warned || report.count(Severity::Error) > 0))
}

fn judge(context: &Context, args: &ValidateArgs, output: &mut Output) -> Result<Report, Failure> {
    let repo = context.repository(output)?;
    let in_github = in_github(context);
    let github = |name: &str| context.variable(name).filter(|_| in_github);
    let base = match args.base.as_deref() {
        Some("") => Against::Nothing,
        Some(revision) => Against::Revision(revision.to_owned()),
        None if in_github => {
            let is_trial = is_trial(context, &repo);
            Against::PullRequest { into: github("GITHUB_BASE_REF"), is_trial }
        }
        None => Against::Nothing,
    };
    let branch = args
        .branch
        .clone()
        .or_else(|| github("GITHUB_HEAD_REF").map(|branch| judged_branch(context, branch)));
    let looks_at = if base == Against::Nothing {
        &[LooksAt::Files][..]
    } else {
        &[LooksAt::Files, LooksAt::Change]
    };
    let rules =
        selection(args, looks_at, "none of the rules that are left can be checked without a base")?;
    let (refs, unread) = (args.refs.clone(), args.unread.clone());
    let query =
        Query { base, refs, branch, unread, rules, plans: None, now: Some(context.clock.now()) };
    let report = validate(&repo, &query)?;
    tell_of_limits(&report, &query, output);
    Ok(report)
}

/// The rules that are looked at; `what` is said if none of them looks at any of these.
fn selection(args: &ValidateArgs, looks_at: &[LooksAt], what: &str) -> Result<Selection, Failure> {
    let rules = Selection { only: args.only.clone(), skip: args.skip.clone() };
    if rules.is_empty_of(looks_at) {
        let hint =
            "change `--rule` and `--skip`, or name a base: `--base origin/main`; see `bus validate --list-rules`".to_owned();
        return Err(Failure::Usage { what: what.to_owned(), hint });
    }
    Ok(rules)
}

fn audit_fleet(
    context: &Context,
    args: &ValidateArgs,
    output: &mut Output,
) -> Result<Report, Failure> {
    let repo = context.repository(output)?;
    // The refs are chains, tables and logs, in which lines and leases are judged as they are in
    // files.
    let rules =
        selection(args, &[LooksAt::Files, LooksAt::Change, LooksAt::Fleet], "no rule is left")?;
    Ok(audit(&repo, &rules)?)
}

/// Says what was not looked for, and why.
fn tell_of_limits(report: &Report, query: &Query, output: &mut Output) {
    if report.refs.is_empty() && !query.refs.is_empty() {
        output.note("`--refs` names no other branch that is here: `git fetch` brings a remote's");
    }
    match (&report.base, &report.branch) {
        (None, _) => {
            output.note("history was not compared: name what this grew from with `--base`")
        }
        (Some(_), None) if query.branch.is_some() => {
            output.note("the branch is nobody's, so what an agent may change was not looked at")
        }
        _ => {}
    }
    if report.records == Some(Records::Untracked) && report.fleet == FleetSight::None {
        output.note(
            "the bus is untracked and has no fleet, so that only work files were judged: queue, plans, receipts and policy",
        );
    }
}

/// The branch of a pull request; that of a fork is nobody's, whatever it is called.
fn judged_branch(context: &Context, branch: String) -> String {
    let event = context.variable("GITHUB_EVENT_PATH").and_then(|path| std::fs::read(path).ok());
    let event: Option<Value> = event.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let is_fork = event.is_some_and(|event| {
        let pull = &event["pull_request"];
        pull.is_object() && pull["head"]["repo"]["full_name"] != pull["base"]["repo"]["full_name"]
    });
    if is_fork { String::new() } else { branch }
}

/// Whether what is checked out may be the merge that GitHub made of a pull request: anybody can
/// make a merge commit, and its first parent may be anything.
fn is_trial(context: &Context, repo: &Repository) -> bool {
    let event = context
        .variable("GITHUB_EVENT_NAME")
        .is_none_or(|event| event.starts_with("pull_request") || event == "merge_group");
    let head = repo.head().map(|head| head.to_string());
    event && context.variable("GITHUB_SHA").is_none_or(|sha| Some(sha) == head)
}

fn in_github(context: &Context) -> bool {
    context.variable("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// The form that is asked for; JSON is what `--json` means, too.
fn form(context: &Context, args: &ReportArgs, output: &mut Output) -> Result<Format, Failure> {
    let format = match args.format {
        Some(format) if output.is_json() && format != Format::Json => {
            let what = "`--json` and `--format` ask for different forms".to_owned();
            return Err(Failure::Usage { what, hint: "give one of them".to_owned() });
        }
        Some(format) => format,
        None if output.is_json() => Format::Json,
        None if in_github(context) => Format::Github,
        None => Format::Text,
    };
    if matches!(format, Format::Json | Format::Sarif) {
        output.speak_json();
    }
    Ok(format)
}

fn show(report: &Report, format: Format, output: &mut Output) {
    match format {
        Format::Json => output.document(&report.to_json()),
        Format::Sarif => output.document(&report.to_sarif()),
        Format::Github => {
            report.to_annotations().iter().for_each(|line| output.line(line));
            output.line(&report.summary());
        }
        Format::Text => show_text(report, output),
    }
}

/// A line a finding, and how to repair it below the first of each rule.
fn show_text(report: &Report, output: &mut Output) {
    let mut told = Vec::new();
    for finding in &report.findings {
        let colour = if finding.rule.severity() == Severity::Error {
            AnsiColor::Red
        } else {
            AnsiColor::Yellow
        };
        output.styled(colour, &finding.to_line());
        if !told.contains(&finding.rule) {
            told.push(finding.rule);
            output.line(&format!("  to fix it: {}", finding.rule.about().fix));
        }
    }
    if report.total() > 0 || !output.is_quiet() {
        output.line(&report.summary());
    }
}

/// Lists the rules, or explains one; neither is a report.
fn tell_of_rules(args: &ValidateArgs, output: &mut Output) -> Result<u8, Failure> {
    if matches!(args.report.format, Some(Format::Github | Format::Sarif)) {
        let what = "rules are listed and explained as text or JSON only".to_owned();
        return Err(Failure::Usage {
            what,
            hint: "give `--format text` or `--format json`".to_owned(),
        });
    }
    match args.explain {
        Some(rule) => explain(rule.about(), output),
        None => list(output),
    }
    Ok(0)
}

fn list(output: &mut Output) {
    let rules: Vec<Value> = Rule::all().map(|rule| to_json(rule.about())).collect();
    output.document(&json!({ "rules": rules }));
    for rule in Rule::all() {
        let about = rule.about();
        output.line(&format!("{:<24}{:<9}{}", about.name, about.severity, about.summary));
    }
}

fn explain(about: &About, output: &mut Output) {
    output.document(&to_json(about));
    output.line(&format!("{} ({}): {}", about.name, about.severity, about.summary));
    output.line(&format!("  bad:        {}", about.bad));
    output.line(&format!("  good:       {}", about.good));
    output.line(&format!("  to fix it: {}", about.fix));
    match about.rule.looks_at() {
        LooksAt::Files => {}
        LooksAt::Change => {
            output.line("  It compares with a base: `bus validate --base origin/main`.")
        }
        LooksAt::Fleet => output.line("  It looks at the refs of a fleet: `bus validate --fleet`."),
    }
}

fn to_json(about: &About) -> Value {
    json!({
        "bad": about.bad,
        "good": about.good,
        "history": about.rule.is_history(),
        "mend": about.fix,
        "name": about.name,
        "severity": about.severity.as_str(),
        "summary": about.summary,
    })
}
