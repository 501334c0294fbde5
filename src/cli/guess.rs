//! Commands that do not exist, and the ones that do what is meant.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What people and agents type, per command whose subcommand it would be (`""`: of `bus` itself),
/// and the commands that do it. No guess leads to a take-over.
const MEANINGS: &[(&str, &[&str], &[&str])] = &[
    (
        "",
        &["unclaim", "abandon", "drop", "giveup", "give-up", "return"],
        &["bus release TASK --status released"],
    ),
    (
        "",
        &["done", "complete", "finish", "finished", "submit", "close", "deliver", "handoff"],
        &["bus release TASK"],
    ),
    ("", &["pause"], &["bus release TASK --status paused"]),
    ("", &["resume", "continue"], &["bus claim TASK --status active"]),
    ("", &["ready"], &["bus queue ready", "bus claim --next"]),
    ("", &["next", "work", "pop"], &["bus claim --next"]),
    ("", &["take", "grab", "pick", "own", "acquire"], &["bus claim TASK", "bus lock acquire"]),
    ("", &["list", "ls", "tasks", "task"], &["bus status", "bus queue list"]),
    ("", &["who", "whoami", "ps", "board", "overview", "claims"], &["bus status"]),
    ("", &["add", "new", "create", "todo", "backlog", "issue"], &["bus queue add TITLE"]),
    ("", &["log", "note", "comment", "update", "progress", "logs"], &["bus event log"]),
    ("", &["events", "history", "feed"], &["bus event list", "bus watch"]),
    ("", &["tail", "follow"], &["bus watch --follow"]),
    (
        "",
        &["send", "tell", "say", "post", "ask", "reply", "notify", "msg", "mail"],
        &["bus message send"],
    ),
    ("", &["messages", "read", "chat"], &["bus inbox", "bus message list"]),
    ("", &["unlock", "unlease", "free"], &["bus lock release"]),
    ("", &["lease", "hold", "reserve"], &["bus lock acquire"]),
    ("", &["leases", "locks"], &["bus lock list"]),
    ("", &["start", "begin"], &["bus session start", "bus claim TASK"]),
    ("", &["join", "login", "register", "hello"], &["bus session start"]),
    ("", &["stop", "end", "leave", "logout", "exit", "quit", "bye"], &["bus session end"]),
    ("", &["delegate", "dispatch", "give"], &["bus assign TASK --to AGENT"]),
    ("", &["beat", "ping", "renew", "keepalive", "keep-alive", "touch"], &["bus heartbeat TASK"]),
    ("", &["steps", "step", "plans"], &["bus plan"]),
    ("", &["evidence", "artifact", "attach", "proof"], &["bus receipt"]),
    ("", &["merge", "land", "integrate"], &["bus report"]),
    ("", &["summary", "ledger"], &["bus report"]),
    ("", &["brief", "info", "describe", "view"], &["bus show TASK"]),
    ("", &["block", "sleep", "until"], &["bus wait"]),
    ("", &["lint", "verify"], &["bus validate"]),
    ("", &["fsck", "fix", "repair", "health"], &["bus doctor"]),
    ("", &["fetch", "pull", "push", "publish", "remote"], &["bus sync"]),
    ("", &["setup", "install"], &["bus init"]),
    ("", &["uninstall"], &["bus deinit"]),
    ("queue", &["next", "pop", "claim", "take"], &["bus claim --next"]),
    ("queue", &["done", "complete", "finish", "close", "release"], &["bus release TASK"]),
    ("queue", &["new", "create", "push", "append"], &["bus queue add TITLE"]),
    ("queue", &["ls", "status", "all"], &["bus queue list"]),
    ("queue", &["get", "view", "info"], &["bus show TASK"]),
    ("lock", &["take", "add", "new", "get", "claim", "on", "create"], &["bus lock acquire"]),
    ("lock", &["unlock", "free", "drop", "remove", "rm", "off", "delete"], &["bus lock release"]),
    ("lock", &["ls", "status"], &["bus lock list"]),
    ("lock", &["extend", "refresh", "heartbeat", "keep"], &["bus lock renew"]),
    ("lock", &["check", "test"], &["bus check --paths"]),
    ("event", &["add", "new", "write", "append", "post", "emit", "create"], &["bus event log"]),
    ("event", &["ls", "show", "tail", "read"], &["bus event list"]),
    ("event", &["follow", "watch"], &["bus watch --follow"]),
    ("message", &["write", "post", "new", "reply", "tell", "add", "create"], &["bus message send"]),
    ("message", &["read", "inbox", "unread", "show"], &["bus inbox", "bus message list"]),
    ("message", &["ls"], &["bus message list"]),
    ("plan", &["add", "create", "init", "start"], &["bus plan new"]),
    ("plan", &["done", "tick", "complete", "finish", "update", "check"], &["bus plan step"]),
    ("plan", &["ls"], &["bus plan list"]),
    ("plan", &["get", "view"], &["bus plan show"]),
    ("session", &["begin", "open", "new", "join", "create"], &["bus session start"]),
    ("session", &["stop", "close", "finish", "quit", "leave"], &["bus session end"]),
    ("session", &["list", "ls", "show", "status"], &["bus status"]),
];

/// Names the commands that do what the unknown one means, and never a take-over that nobody asked
/// for. Returns them as a hint, or `None` if the guess has no known meaning.
pub(super) fn name_the_command(error: &mut clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(guess)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let guess = guess.to_ascii_lowercase().replace('_', "-");
    let commands = meaning(&of_what(error), &guess);
    // `reclaim` is spelled like several of them, and takes a task from somebody who may be at work.
    let is_wanted =
        |name: &str| commands.is_none() && (name != "reclaim" || guess.starts_with("rec"));
    keep_suggestions(error, is_wanted);
    let commands: Vec<String> = commands?.iter().map(|command| format!("`{command}`")).collect();
    Some(format!("use {}", commands.join(" or ")))
}

/// The commands that do what `guess` means as a subcommand of `parent`.
fn meaning(parent: &str, guess: &str) -> Option<&'static [&'static str]> {
    let known = MEANINGS.iter().find(|(of, guesses, _)| *of == parent && guesses.contains(&guess));
    known.map(|(.., commands)| *commands)
}

/// The command that has no such subcommand, without `bus`, as clap's usage names it:
/// `Usage: bus queue [OPTIONS] <COMMAND>`.
fn of_what(error: &clap::Error) -> String {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else {
        return String::new();
    };
    let usage = usage.to_string();
    let words = usage.split_whitespace().skip_while(|word| *word != "bus").skip(1);
    let command: Vec<&str> = words.take_while(|word| !word.starts_with(['[', '<'])).collect();
    command.join(" ")
}

/// Drops the suggestions that are not `wanted`.
fn keep_suggestions(error: &mut clap::Error, wanted: impl Fn(&str) -> bool) {
    match error.remove(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(mut names)) => {
            names.retain(|name| wanted(name));
            if !names.is_empty() {
                error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(names));
            }
        }
        Some(ContextValue::String(name)) if wanted(&name) => {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::String(name));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_guess_is_no_command_and_has_one_meaning_that_is_one() {
        let mut bus = super::super::command_line(false);
        bus.build();
        let find = |words: &str| {
            words.split_whitespace().try_fold(&bus, |command, word| command.find_subcommand(word))
        };
        let mut seen = BTreeSet::new();
        for (parent, guesses, commands) in MEANINGS {
            let parent_command = find(parent).expect("a command");
            for guess in *guesses {
                assert!(parent_command.find_subcommand(guess).is_none(), "{parent} {guess}");
                assert!(seen.insert((parent, guess)), "{parent} {guess} has two meanings");
            }
            for command in *commands {
                let words = command.strip_prefix("bus ").expect("a command of bus").split(' ');
                let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
                let name: Vec<&str> = words.take_while(is_name).collect();
                assert!(find(&name.join(" ")).is_some(), "{command}");
                assert_ne!(name, ["reclaim"]);
            }
        }
    }
}
