//! The command line: one file a command, with its arguments, its run and its rendering. No rules of
//! the domain.

mod args;
mod assign;
mod check;
mod claim;
mod columns;
mod commands;
mod completions;
mod context;
mod deinit;
mod demo;
mod doctor;
mod escape;
mod event;
mod exit;
mod export;
mod gc;
mod guess;
mod heartbeat;
mod inbox;
mod init;
mod lease;
mod man;
mod message;
mod output;
mod plan;
mod queue;
mod receipt;
mod reclaim;
mod release;
mod report;
mod session;
mod session_overview;
mod show;
mod signals;
mod status;
mod sync;
mod validate;
mod wait;
mod watch;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use args::Global;
use clap::{Args, CommandFactory, FromArgMatches, Parser};
use commands::Command;
use context::Context;
use exit::Failure;
use output::Output;

use crate::bus::workspace::Note;

const LONG_ABOUT: &str = "\
Lets many coding agents work in one git repository: one owner per task, one log, nothing but git.

State is files beside the branches (<git common dir>/bus/) and git refs (refs/bus/). There is no daemon, no database and no server.";

const AFTER: &str = "\
Examples:
  bus init                              lay out a bus in this repository
  bus claim QUEUE-001 --agent codex-1   take a task; exit 3 if somebody has it
  bus event log --event status --task QUEUE-001 --summary 'tests pass'
  bus release QUEUE-001                 end the claim: it is done
  bus status                            who does what

Exit status: 0 done, 1 the answer is no, 2 usage, 3 conflict, 4 not found, 5 malformed, 6 timed out, 7 the remote, 8 lost, 9 system.
Environment: BUS_AGENT (who you are), BUS_SESSION (your session, as `bus session start` names it), \
BUS_OVERRIDE (why `bus check` lets what you commit pass), BUS_NOW (a fixed clock, for \
reproducible runs), NO_COLOR.";

/// The command line of `bus`.
#[derive(Debug, Parser)]
#[command(
    name = "bus",
    version = concat!("(agent-bus) ", env!("CARGO_PKG_VERSION")),
    about = "Lets many coding agents work in one git repository",
    long_about = LONG_ABOUT,
    after_help = AFTER,
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The commands that people use, in groups. clap knows no groups; a test compares the words.
const GROUPS: &str = "\
Start:
  init         Lay out a bus in this repository
  session      Begin or end a session: who you are, what you hold, what is next
  doctor       Find what a crash or a hand edit left, and fix it

Work:
  claim        Claim a task: exactly one agent owns it
  show         Show one task: what it is, how far it is, who has it
  release      End or pause your claim: done, released or paused
  reclaim      Take over a task whose owner is gone
  lock         Hold paths, so that nobody else edits them
  check        See whether changed paths are yours to change

Plan, talk:
  queue        Add tasks, and see which may be claimed now
  plan         Plan a task in steps, and say what proves each
  assign       Say who shall do a task
  message      Write to a task's channel or to an agent, or read what was written
  inbox        Show what was said to you and is unread
  event        Write or read the log

See:
  status       Show who does what, and the latest events
  watch        Show the feed, live with --follow
  wait         Block until a task is in a state, an event is logged or a message comes
  report       Write the manager's report: who does what, what is stuck, what is finished

Fleet, CI:
  validate     Check that the bus is sound, as CI does
  sync         Exchange claims and logs with the fleet's remote";

/// The other commands.
const MORE: &str = "\
More:
  receipt      Store evidence, for others to look at
  heartbeat    Send a heartbeat for a task
  export       Write your part of the log into files of this branch, in a tracked bus
  gc           Archive ended claims
  deinit       Remove what `bus init` made
  completions  Print the script that makes a shell complete bus
  man          Write the man pages, one per command
  demo         Show what bus does, in a throwaway repository, in a few seconds";

const HEAD: &str = "{about-with-newline}\n{usage-heading} {usage}\n\n";
const TAIL: &str = "\n\nOptions:\n{options}{after-help}";

/// The command line. Its own help shows the commands in groups, and with `all` every one.
fn command_line(all: bool) -> clap::Command {
    let more = if all { MORE } else { "`bus help --all` shows more commands." };
    Cli::command().help_template(format!("{HEAD}{GROUPS}\n\n{more}{TAIL}"))
}

/// Parses `arguments`, runs one command, and picks the exit status.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    signals::take_as_usual();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(failed) = crate::git::become_git(&arguments) {
        return failed;
    }
    if completions::answer(&arguments, Cli::command) {
        return ExitCode::SUCCESS;
    }
    if arguments.len() == 3 && arguments[1] == "help" && arguments[2] == "--all" {
        let mut output = Output::new(false, false, clap::ColorChoice::Auto);
        output.help(&command_line(true).render_long_help(), true);
        return output.finish(0);
    }
    let outcome = match parse(&arguments) {
        Ok(cli) => {
            let mut output = Output::new(cli.global.json, cli.global.quiet, cli.global.color);
            let done = dispatch(cli, &mut output);
            (output, done)
        }
        Err(error) => {
            let json = arguments.iter().any(|argument| argument == "--json");
            let mut output = Output::new(json, false, clap::ColorChoice::Auto);
            // What was typed stands in what clap says, as it is.
            let mut error =
                harmless(&arguments).and_then(|arguments| parse(&arguments).err()).unwrap_or(error);
            let hint = guess::name_the_command(&mut error);
            let done = exit::usage(&mut error, hint, &commands::named(&arguments), &mut output);
            (output, done)
        }
    };
    let (mut output, done) = outcome;
    let status = match done {
        Ok(status) => status,
        Err(failure) => exit::report(&failure, &mut output),
    };
    output.finish(status)
}

fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    // clap hands the options that every command takes on to all commands, which costs a sixth of a
    // `bus event log`.
    if let Some(command) = commands::typed_alone(arguments) {
        let mut command = Global::augment_args(command);
        let parsed = command
            .try_get_matches_from_mut(arguments)
            .and_then(|matches| Cli::from_arg_matches(&matches));
        std::mem::forget(command);
        if parsed.is_ok() {
            return parsed;
        }
    }
    let mut command = command_line(false);
    let parsed = command
        .try_get_matches_from_mut(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let parsed = parsed.map_err(|error| error.format(&mut command));
    // The process is about to end, and taking this tree apart costs a twelfth of a `bus event log`.
    std::mem::forget(command);
    parsed
}

/// The arguments with what a terminal would heed or hide escaped; `None` if there is nothing of the
/// kind in them.
fn harmless(arguments: &[OsString]) -> Option<Vec<OsString>> {
    let escape = |argument: &OsString| {
        OsString::from(escape::terminal(&argument.to_string_lossy()).into_owned())
    };
    let escaped: Vec<OsString> = arguments.iter().map(escape).collect();
    (escaped != arguments).then_some(escaped)
}

fn dispatch(cli: Cli, output: &mut Output) -> Result<u8, Failure> {
    let verbose = cli.global.verbose;
    let context = Context::new(cli.global, output.notes())?;
    let done = cli.command.run(&context, Cli::command, output);
    mention(output, verbose);
    done
}

/// Says what was gathered to be mentioned while the command ran.
fn mention(output: &mut Output, verbose: bool) {
    for note in output.notes().take() {
        match note {
            Note::Unreadable(error) => {
                output.warn(&format!("the answer may lack something: {}", exit::story(&error)));
                output.hint(&error.hint());
            }
            Note::Advice(text) => output.note(&text),
            Note::Warning(text) => output.warn(&text),
            Note::WentBack(remote, task) => output.warn(&format!(
                "the remote `{remote}` went back: it has less of the claim of {task} than it had, as one that is restored from a backup; \
                 it gets back what this clone has"
            )),
            Note::Unsent(why) => output.note(&format!("not sent yet: what this clone has logged ({why}); `bus sync` sends it")),
            Note::Detail(text) if verbose => output.note(&text),
            Note::Detail(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_in_one_group_with_its_own_words() {
        let lines: Vec<&str> = GROUPS.lines().chain(MORE.lines()).collect();
        let command = Cli::command();
        let commands: Vec<_> = command
            .get_subcommands()
            .filter(|command| command.get_name() != "help" && !command.is_hide_set())
            .collect();
        for command in &commands {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let line = format!("  {:<11}  {about}", command.get_name());
            assert_eq!(lines.iter().filter(|known| **known == line).count(), 1, "{line}");
        }
        let listed = lines.iter().filter(|line| line.starts_with("  ")).count();
        assert_eq!(listed, commands.len());
    }
}
