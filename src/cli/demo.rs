//! `bus demo`: real processes race, crash and recover in a throwaway repository, and each promise
//! is checked.

mod stage;

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use stage::{Ran, Stage};

use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::claim::ClaimRequest;
use crate::bus::ops;
use crate::record::{AgentId, TaskId};

const EXAMPLES: &str = "\
Examples:
  bus demo   it takes some seconds, and leaves nothing behind

Exit status: 0 every promise held; 1 one did not.";

/// The agents, each in a worktree of its own.
const AGENTS: [&str; 4] = ["codex-1", "codex-2", "claude-1", "claude-2"];

/// The tasks that they race for.
const TASKS: [&str; 3] = ["QUEUE-001", "QUEUE-002", "QUEUE-003"];

/// The task of the agent that is killed.
const DOOMED: &str = "QUEUE-004";

/// How long anything may take before the demonstration gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Show what bus does, in a throwaway repository: agents race, are refused, crash and are
/// succeeded.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DemoArgs {
    /// Be an agent that claims this task and sends heartbeats until it is killed
    #[arg(long, hide = true, value_name = "TASK")]
    act: Option<TaskId>,
}

pub(super) fn run(
    context: &super::context::Context,
    args: &DemoArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    match &args.act {
        Some(task) => act(context, task, output),
        None => demonstrate(output),
    }
}

/// The agent that is killed: it works as an agent would, for as long as it lives.
fn act(
    context: &super::context::Context,
    task: &TaskId,
    output: &mut Output,
) -> Result<u8, Failure> {
    let ws = context.open("demo", output)?;
    let agent: AgentId = context.writer(&ws, output)?;
    let ttl = Some(crate::record::Span::new(Duration::from_secs(1)));
    ops::claim(&ws, &agent, task, &ClaimRequest { ttl, ..Default::default() })?;
    let born = std::time::Instant::now();
    while born.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
        ops::heartbeat(&ws, &agent, task)?;
    }
    Ok(0)
}

fn demonstrate(output: &mut Output) -> Result<u8, Failure> {
    let mut stage = Stage::set(output)?;
    race(&mut stage)?;
    let owner = speak(&mut stage)?;
    crash(&mut stage)?;
    finish(&mut stage, owner)?;
    report(&mut stage)?;
    let (checks, broken) = stage.strike();
    let document = checks.iter().map(|(what, holds)| {
        words::object([("promise", Value::from(what.as_str())), ("holds", Value::from(*holds))])
    });
    if broken.is_empty() {
        output.document(&words::object([("checks", Value::Array(document.collect()))]));
        output.line(&format!(
            "All {} checks hold. Try it in your own repository: `bus init`.",
            checks.len()
        ));
        return Ok(0);
    }
    Err(Failure::PromiseBroken(broken.join("; ")))
}

/// All agents go for each task at once.
fn race(stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.scene("Four agents in four worktrees race for three tasks: twelve processes at once.");
    let claims: Vec<(usize, &str)> =
        TASKS.iter().flat_map(|task| (0..AGENTS.len()).map(move |agent| (agent, *task))).collect();
    let calls: Vec<(usize, Vec<&str>)> =
        claims.iter().map(|(agent, task)| (*agent, vec!["claim", task])).collect();
    let ran = stage.all_at_once(&calls)?;
    for task in TASKS {
        let mine: Vec<(&str, &Ran)> = claims
            .iter()
            .zip(&ran)
            .filter(|((_, raced), _)| *raced == task)
            .map(|((agent, _), ran)| (AGENTS[*agent], ran))
            .collect();
        let winners: Vec<&str> =
            mine.iter().filter(|(_, ran)| ran.status == Some(0)).map(|(agent, _)| *agent).collect();
        mine.iter().for_each(|(agent, ran)| stage.show_short(agent, &format!("claim {task}"), ran));
        let winner = winners.first().copied().unwrap_or("nobody");
        stage.check(
            &format!("{task}: exactly one of {} won ({winner})", mine.len()),
            winners.len() == 1,
        );
        let told = mine
            .iter()
            .filter(|(_, ran)| ran.status == Some(3) && ran.said.contains(winner))
            .count();
        stage.check(
            &format!(
                "{task}: the {} others were refused (exit 3), with the name of its owner",
                mine.len() - 1
            ),
            told == mine.len() - 1,
        );
    }
    Ok(())
}

/// The owner of the first task logs; another agent may not speak for it.
fn speak(stage: &mut Stage<'_>) -> Result<usize, Failure> {
    stage.scene("An owner says how it goes. Nobody else may say so for it.");
    let owner = stage.owner_of(TASKS[0])?;
    let other = (owner + 1) % AGENTS.len();
    let status =
        ["event", "log", "--event", "status", "--task", TASKS[0], "--summary", "tests pass"];
    let ran = stage.call(owner, &status)?;
    stage.check("the owner's status is logged", ran.status == Some(0));
    let ran = stage.call(other, &status)?;
    stage.check(
        "another agent's status on the same task is refused (exit 3)",
        ran.status == Some(3),
    );
    Ok(owner)
}

/// An agent is killed; its claim expires; another takes it over; the dead one comes back.
fn crash(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let (dead, heir) = (0, 1);
    stage
        .scene("An agent works with `--ttl 1s` and sends heartbeats. It is killed with `kill -9`.");
    let mut agent = stage.start(dead, &["demo", "--act", DOOMED])?;
    stage.wait_for(PATIENCE, |stage| stage.owner_of(DOOMED).is_ok());
    let ran = stage.call(heir, &["reclaim", DOOMED, "--note", "I want it"])?;
    stage.check("a living agent's task cannot be taken over (exit 3)", ran.status == Some(3));
    let killed = agent.kill();
    stage.remark(&format!("kill -9 {}", agent.id()));
    stage.check("the agent is dead", killed.is_ok() && agent.wait().is_ok());
    let expired = stage.wait_for(PATIENCE, |stage| stage.is_expired(DOOMED));
    stage.check("its claim expires by itself", expired);
    let ran = stage.call(heir, &["claim", DOOMED])?;
    stage.check(
        "an expired claim is not simply free: `claim` says how to take it over",
        ran.status == Some(3),
    );
    let ran = stage.call(heir, &["reclaim", DOOMED, "--note", "its owner was killed"])?;
    stage.check(
        "`reclaim` takes it over at once: the dead process holds no lock any more",
        ran.status == Some(0),
    );
    let ran = stage.call(dead, &["release", DOOMED])?;
    stage.check(
        "the owner who comes back learns that it lost the task (exit 8)",
        ran.status == Some(8),
    );
    Ok(())
}

/// The task is finished, and what everybody sees in the end.
fn finish(stage: &mut Stage<'_>, owner: usize) -> Result<(), Failure> {
    stage.scene("Finished work does not look free.");
    let ran = stage.call(owner, &["release", TASKS[0], "--notes", "merged"])?;
    stage.check("the owner gives its task back, done", ran.status == Some(0));
    let ran = stage.call((owner + 1) % AGENTS.len(), &["claim", TASKS[0]])?;
    stage.check("another agent does not do it twice (exit 3)", ran.status == Some(3));
    stage.scene("What everybody sees, from any worktree:");
    let views: Result<Vec<Ran>, Failure> =
        (0..AGENTS.len()).map(|agent| stage.silent(agent, &["status", "--json"])).collect();
    let claims: Vec<Value> = views?.iter().map(Ran::claims).collect();
    stage.call(0, &["status", "--limit", "8"])?;
    stage.check(
        "all worktrees see the same claims",
        claims.windows(2).all(|pair| pair[0] == pair[1]),
    );
    Ok(())
}

/// The manager's report compares what is said with what git shows.
fn report(stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.scene("The manager asks what is really finished.");
    let ran = stage.silent(0, &["report", "--stdout"])?;
    let needs = ran.section("Needs you");
    stage.show_only("report --stdout", &ran, &needs);
    let noticed = needs.iter().any(|need| need.contains("not-seen") && need.contains(TASKS[0]));
    stage.check("its report notices that the finished task has no commit to show for it", noticed);
    Ok(())
}
