//! Whoever ends a command ends the `git` that talks to a remote for it, too.

use std::fs;
use std::process::Child;

use nix::sys::signal::SigSet;
use rustix::process::{Pid, Signal, kill_process};

use super::rig::{Fleet, path_with_git, until};
use super::server::Transport;
use crate::harness::Ran;

/// A command, and what it has `git` do at some time.
const HANGS: [(&[&str], &str); 4] = [
    (&["claim", "T-1"], "push"),
    (&["sync"], "ls-remote"),
    (&["sync"], "fetch"),
    (&["session", "start"], "fetch"),
];

/// Starts a command whose `git` does not come back from `verb`. Once that hangs, returns the
/// command, and the `git`'s process id.
fn hanging(fleet: &Fleet, command: &[&str], verb: &str) -> (Child, i32) {
    let clone = &fleet.clones[0];
    let (noted, aside) = (clone.beside("pid"), clone.beside("pid.new"));
    let hang = format!(
        "echo $$ > '{0}'; mv '{0}' '{1}'; exec sleep 600",
        aside.display(),
        noted.display()
    );
    let path = path_with_git(
        clone,
        &format!("case \" $* \" in *' {verb} '*) {hang};; esac\nexec \"$git\" \"$@\"\n"),
    );
    let started = fleet.by(0, "a", command).env("PATH", &path).start();
    until(|| noted.exists());
    let id = fs::read_to_string(&noted).unwrap().trim().parse().unwrap();
    fs::remove_file(noted).unwrap();
    (started, id)
}

fn send(id: i32, signal: Signal) {
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}

/// Whether a process has ended; one that nobody has waited for yet has.
fn has_ended(id: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"));
    stat.map_or(true, |stat| stat.rsplit(") ").next().is_some_and(|state| state.starts_with('Z')))
}

#[test]
fn a_signal_ends_the_git_too() {
    let fleet = Fleet::new(Transport::File, 2);
    for (command, verb) in HANGS {
        fleet.by(1, "b", &["event", "log", "--event", "note", "--summary", verb]).ok();
        fleet.by(1, "b", &["sync"]).ok();
        for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
            let (started, git) = hanging(&fleet, command, verb);
            send(i32::try_from(started.id()).unwrap(), signal);
            let ran = Ran::of(started);
            assert!(has_ended(git), "{command:?} {verb} {signal:?}: {}", ran.transcript);
            assert_eq!(ran.status, Some(7), "{command:?} {verb} {signal:?}: {}", ran.transcript);
            for (said, is_said) in [
                ("interrupted", true),
                ("did not answer", false),
                ("too long", false),
                ("outcome unknown", verb == "push"),
            ] {
                assert_eq!(
                    ran.stderr.contains(said),
                    is_said,
                    "{said}: {command:?} {verb} {signal:?}: {}",
                    ran.transcript
                );
            }
            assert!(
                ran.stderr.contains("run the same command again"),
                "{signal:?}: {}",
                ran.transcript
            );
        }
    }
    fleet.by(0, "a", &["claim", "T-1"]).ok();
}

#[test]
fn a_signal_that_the_parent_has_blocked_ends_the_git_too() {
    let fleet = Fleet::new(Transport::File, 1);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let blocked = nix::sys::signal::Signal::try_from(signal.as_raw()).unwrap();
        let blocked = SigSet::from(blocked);
        blocked.thread_block().unwrap();
        let (started, git) = hanging(&fleet, &["claim", "T-1"], "push");
        blocked.thread_unblock().unwrap();
        send(i32::try_from(started.id()).unwrap(), signal);
        until(|| has_ended(git));
        let ran = Ran::of(started);
        assert!(ran.stderr.contains("interrupted"), "{signal:?}: {}", ran.transcript);
    }
}

#[test]
fn git_runs_although_the_parent_ignores_the_end_of_children() {
    let fleet = Fleet::new(Transport::File, 1);
    let script = "trap '' CHLD; exec \"$0\" claim T-1";
    let started = fleet.clones[0].other("bash", &["-c", script, env!("CARGO_BIN_EXE_bus")]);
    started.env("BUS_AGENT", "a").ok();
}

#[test]
fn what_an_interrupted_sync_had_sent_is_unknown() {
    let fleet = Fleet::new(Transport::File, 1);
    fleet.by(0, "a", &["event", "log", "--event", "note", "--summary", "x"]).ok();
    let (started, git) = hanging(&fleet, &["sync", "--json"], "push");
    send(i32::try_from(started.id()).unwrap(), Signal::INT);
    assert_eq!(Ran::of(started).json()["error"]["code"], "outcome-unknown");
    assert!(has_ended(git));
    let (started, _) = hanging(&fleet, &["sync", "--json"], "ls-remote");
    send(i32::try_from(started.id()).unwrap(), Signal::INT);
    assert_eq!(Ran::of(started).json()["error"]["code"], "interrupted");
    fleet.by(0, "a", &["sync"]).ok();
}

#[test]
fn a_signal_ends_who_waits_while_it_looks_at_the_remote() {
    let fleet = Fleet::new(Transport::File, 1);
    let (started, git) = hanging(&fleet, &["wait", "T-1", "--until", "claimed"], "ls-remote");
    send(i32::try_from(started.id()).unwrap(), Signal::TERM);
    assert_eq!(Ran::of(started).status, None, "the signal itself ends it");
    assert!(has_ended(git));
}

#[cfg(target_os = "linux")]
#[test]
fn a_command_that_is_killed_takes_its_git_with_it() {
    let fleet = Fleet::new(Transport::File, 2);
    for (command, verb) in HANGS {
        fleet.by(1, "b", &["event", "log", "--event", "note", "--summary", verb]).ok();
        fleet.by(1, "b", &["sync"]).ok();
        let (started, git) = hanging(&fleet, command, verb);
        send(i32::try_from(started.id()).unwrap(), Signal::KILL);
        assert_eq!(Ran::of(started).status, None);
        until(|| has_ended(git));
    }
    fleet.by(0, "a", &["claim", "T-1"]).ok();
}
