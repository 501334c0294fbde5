//! What is acknowledged is on disk: the order of writes, syncs and renames, seen from beneath the
//! program.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;

use super::harness::{Kept, Repo};

/// Notes each call that changes a file below the folder that `ROOT` names, or stdout, in the file
/// that `CALLS` names.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void note(const char *call, const char *path) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    const char *root = getenv("ROOT");
    int below = !strncmp(path, root, strlen(root));
    if (!below && strcmp(path, "stdout")) return;
    char line[4200];
    int size = snprintf(line, sizeof line, "%s %s\n", call, below ? path + strlen(root) : path);
    int calls = open(getenv("CALLS"), O_WRONLY | O_APPEND | O_CREAT, 0644);
    real(calls, line, size);
    close(calls);
}

static void note_fd(const char *call, int fd) {
    char link[64], path[4096];
    if (fd == 1) { note(call, "stdout"); return; }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size > 0) { path[size] = 0; note(call, path); }
}

ssize_t write(int fd, const void *bytes, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    note_fd("write", fd);
    return real(fd, bytes, size);
}

int fdatasync(int fd) { note_fd("sync", fd); return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd); }
int fsync(int fd) { note_fd("sync", fd); return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd); }
int rename(const char *from, const char *to) {
    note("rename", to);
    return ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename"))(from, to);
}
"#;

/// The calls that a command makes on files of the repository and on stdout, in order. Names that
/// are made by chance are left out, as are marks that a power loss may take.
fn calls(repo: &Repo, command: &[&str]) -> Vec<String> {
    let (source, shim, calls) =
        (repo.beside("shim.c"), repo.beside("shim.so"), repo.beside("calls"));
    if !shim.exists() {
        fs::write(&source, SHIM).unwrap();
        let built = Command::new("gcc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&shim, &source])
            .arg("-ldl")
            .status()
            .unwrap();
        assert!(built.success());
    }
    let _ = fs::remove_file(&calls);
    let root = format!("{}/", fs::canonicalize(repo.root()).unwrap().display());
    let preloaded = repo.by("a", command).env("LD_PRELOAD", shim.to_str().unwrap());
    preloaded.env("CALLS", calls.to_str().unwrap()).env("ROOT", &root).ok();
    let text = fs::read_to_string(calls).unwrap();
    let marks = [".git/bus/lock", ".git/bus/presence"];
    let lines = text.lines().filter(|line| !marks.iter().any(|mark| line.contains(mark)));
    let mut lines: Vec<String> = lines
        .map(|line| match line.split_once(" .git/objects/") {
            Some((call, _)) => format!("{call} object"),
            None => {
                line.replace(".git/bus/log/_bus/", "record/").replace(".git/bus/log/", "record/")
            }
        })
        .collect();
    // A small object comes out of the compressor in several writes.
    lines.dedup();
    lines
}

const LOG: [&str; 6] = ["event", "log", "--event", "note", "--summary", "x"];

/// A bus in which `a` has all folders and files that it appends to.
fn warm(kept: Kept) -> Repo {
    let repo = Repo::keeping(kept);
    repo.by("a", &["claim", "W-1"]).ok();
    repo.by("a", &["lock", "acquire", "w", "--objective", "x"]).ok();
    repo.by("a", &["message", "send", "--to", "b", "--summary", "x"]).ok();
    repo
}

#[test]
fn the_names_of_new_folders_are_on_disk_before_the_first_line() {
    let repo = Repo::new();
    let folders = ["record/events", "record/_bus", ".git/bus/log", ".git/bus", ".git"];
    let line = [
        "write record/events/a.jsonl",
        "sync record/events/a.jsonl",
        "write _bus/events/a.jsonl",
        "write stdout",
    ];
    let expected: Vec<String> = folders
        .iter()
        .map(|folder| format!("sync {folder}"))
        .chain(line.map(str::to_owned))
        .collect();
    assert_eq!(calls(&repo, &LOG), expected);
    assert_eq!(calls(&repo, &LOG), line);
}

#[test]
fn lines_are_on_disk_before_they_are_acknowledged() {
    for kept in Kept::ALL {
        let repo = warm(kept);
        let send = ["message", "send", "--to", "b", "--summary", "x"];
        for (command, file, has_copy) in [
            (&LOG[..], "events/a.jsonl", kept != Kept::Tracked),
            (&send, "messages/agent-b.jsonl", kept == Kept::Older),
        ] {
            let copy = has_copy.then(|| format!("write _bus/{file}"));
            let expected = [format!("write record/{file}"), format!("sync record/{file}")]
                .into_iter()
                .chain(copy);
            assert_eq!(
                calls(&repo, command),
                expected.chain(["write stdout".to_owned()]).collect::<Vec<_>>(),
                "{kept:?}"
            );
        }
    }
}

/// Object and ref, each on disk before the next step; the event's sync commits their names, too.
const STATE: [&str; 4] =
    ["write object", "sync object", "write .git/refs/bus/REF.lock", "sync .git/refs/bus/REF.lock"];
const EVENT: [&str; 2] = ["write record/events/a.jsonl", "sync record/events/a.jsonl"];

fn state(name: &str) -> Vec<String> {
    STATE.iter().map(|call| call.replace("REF", name)).collect()
}

fn owned(calls: &[&str]) -> Vec<String> {
    calls.iter().map(|call| (*call).to_owned()).collect()
}

#[test]
fn a_change_of_a_claim_waits_three_times_for_the_disk_and_a_heartbeat_twice() {
    let noted = ["write record/claims/.T-1.json.tmp", "rename record/claims/T-1.json"];
    for kept in Kept::ALL {
        let repo = warm(kept);
        let log_copy: &[&str] =
            if kept == Kept::Tracked { &[] } else { &["write _bus/events/a.jsonl"] };
        // What a branch has is on disk, too; a copy need not be.
        let file: &[&str] = if kept == Kept::Untracked {
            &["write _bus/claims/.T-1.json.tmp", "rename _bus/claims/T-1.json"]
        } else {
            &[
                "write _bus/claims/.T-1.json.tmp",
                "sync _bus/claims/.T-1.json.tmp",
                "rename _bus/claims/T-1.json",
                "sync _bus/claims",
            ]
        };
        let expected = [
            state("claims/T-1"),
            owned(&EVENT),
            owned(log_copy),
            owned(&noted),
            owned(file),
            owned(&["write stdout"]),
        ];
        assert_eq!(calls(&repo, &["claim", "T-1"]), expected.concat(), "{kept:?}");
        let copy = if kept == Kept::Untracked { owned(file) } else { Vec::new() };
        let expected = [state("claims/T-1"), owned(&noted), copy, owned(&["write stdout"])];
        assert_eq!(calls(&repo, &["heartbeat", "T-1"]), expected.concat(), "{kept:?}");
    }
}

#[test]
fn a_lease_is_on_disk_like_a_claim() {
    for kept in Kept::ALL {
        let log_copy: &[&str] =
            if kept == Kept::Tracked { &[] } else { &["write _bus/events/a.jsonl"] };
        let noted = ["write record/.locks.json.tmp", "rename record/locks.json", "write stdout"];
        let expected = [state("locks"), owned(&EVENT), owned(log_copy), owned(&noted)];
        assert_eq!(
            calls(&warm(kept), &["lock", "acquire", "x", "--objective", "x"]),
            expected.concat(),
            "{kept:?}"
        );
    }
}

#[test]
fn an_assignment_is_on_disk_before_the_message_that_tells_of_it() {
    let repo = warm(Kept::Untracked);
    repo.by("a", &["assign", "T-1", "--engineer", "b"]).ok();
    let expected = [
        "write record/assignments/.T-1.json.tmp",
        "sync record/assignments/.T-1.json.tmp",
        "rename record/assignments/T-1.json",
        "sync record/assignments",
        "write record/messages/T-1.jsonl",
        "sync record/messages/T-1.jsonl",
        "write stdout",
    ];
    assert_eq!(calls(&repo, &["assign", "T-1", "--engineer", "c"]), expected);
}
