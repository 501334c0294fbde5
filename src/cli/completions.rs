//! `bus completions`, and the answers to what a shell asks while somebody types.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use serde_json::Value;

use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::workspace::{Notes, Options, Workspace};
use crate::bus::{lease, ops, plan};
use crate::store::Clock;
use crate::validate::Rule;

const EXAMPLES: &str = "\
Examples:
  bus completions bash   print the script for bash

To install it:
  bash        echo 'source <(bus completions bash)' >> ~/.bashrc
  zsh         echo 'autoload -Uz compinit; compinit; source <(bus completions zsh)' >> ~/.zshrc
  fish        echo 'bus completions fish | source' >> ~/.config/fish/config.fish
  elvish      echo 'eval (bus completions elvish | slurp)' >> ~/.elvish/rc.elv
  powershell  bus completions powershell >> $PROFILE";

/// The variable by which a shell asks for completions.
const VARIABLE: &str = "COMPLETE";

/// Print what makes a shell complete `bus`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}

pub(super) fn run(args: &CompletionsArgs, output: &mut Output) -> Result<u8, Failure> {
    let name = args
        .shell
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned());
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let written = shells
        .completer(&name)
        .map(|shell| shell.write_registration(VARIABLE, "bus", "bus", "bus", &mut script));
    if !matches!(written, Some(Ok(()))) {
        let what = format!("there are no completions for {name}");
        return Err(Failure::Usage { what, hint: "see `bus completions --help`".to_owned() });
    }
    let script = String::from_utf8_lossy(&script).into_owned();
    output.document(&words::object([
        ("shell", Value::from(name)),
        ("script", Value::from(script.as_str())),
    ]));
    output.text(&script);
    Ok(0)
}

/// Answers a shell that asks for completions; `false` where none does.
pub(super) fn answer(arguments: &[OsString], bus: fn() -> clap::Command) -> bool {
    if std::env::var_os(VARIABLE).is_none() {
        return false;
    }
    let folder = std::env::current_dir().ok();
    let answered =
        CompleteEnv::with_factory(bus).var(VARIABLE).try_complete(arguments, folder.as_deref());
    // A completion that fails shows nothing; the shell has no place for an error.
    answered.unwrap_or(true)
}

/// The tasks that begin with what is typed.
pub(super) fn tasks(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(typed, |ws| {
        ops::known_tasks(ws).unwrap_or_default().iter().map(ToString::to_string).collect()
    })
}

/// The leases that begin with what is typed.
pub(super) fn locks(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(typed, |ws| lease::known_leases(ws).iter().map(ToString::to_string).collect())
}

/// The agents that begin with what is typed.
pub(super) fn agents(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(typed, |ws| ops::known_agents(ws).iter().map(ToString::to_string).collect())
}

/// The plans that begin with what is typed.
pub(super) fn plans(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(typed, |ws| plan::known_plans(ws).iter().map(ToString::to_string).collect())
}

/// The manifests that may be swapped in that begin with what is typed.
pub(super) fn manifests(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(typed, |ws| ws.spare_manifests().iter().map(ToString::to_string).collect())
}

/// The rules of the validator that begin with what is typed.
pub(super) fn rules(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let fitting = Rule::all().filter(|rule| rule.name().starts_with(&*typed));
    fitting
        .map(|rule| CompletionCandidate::new(rule.name()).help(Some(rule.about().summary.into())))
        .collect()
}

/// The folder that is typed after `-C` or `--repo`, so far.
fn typed_folder() -> Option<PathBuf> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let after = words
        .windows(2)
        .find(|pair| pair[0] == "-C" || pair[0] == "--repo")
        .map(|pair| PathBuf::from(&pair[1]));
    let joined = || {
        words.iter().find_map(|word| Some(PathBuf::from(word.to_str()?.strip_prefix("--repo=")?)))
    };
    after.or_else(joined)
}

fn candidates(typed: &OsStr, list: impl Fn(&Workspace) -> Vec<String>) -> Vec<CompletionCandidate> {
    let start = typed_folder().unwrap_or_else(|| PathBuf::from("."));
    let (clock, patience, notes) = (Clock::new(None), Duration::ZERO, Notes::default());
    let options = Options {
        start,
        clock,
        patience,
        remote_patience: patience,
        command: "completions",
        session: None,
        notes,
    };
    let words = Workspace::open(options).map(|ws| list(&ws)).unwrap_or_default();
    let typed = typed.to_string_lossy().to_ascii_lowercase();
    words
        .into_iter()
        .filter(|word| word.to_ascii_lowercase().starts_with(&typed))
        .map(CompletionCandidate::new)
        .collect()
}
