//! What is acknowledged is on disk: the order of writes, syncs and renames, seen from beneath the program.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;

use super::harness::Repo;

/// Notes each call that changes a file of the bus, or stdout, in the file that `CALLS` names.
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
    const char *name = strstr(path, "/_bus/");
    if (!name && strcmp(path, "stdout")) return;
    char line[4200];
    int size = snprintf(line, sizeof line, "%s %s\n", call, name ? name + 1 : path);
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

/// The calls that a command makes on files of the bus and on stdout, in order.
fn calls(repo: &Repo, command: &[&str]) -> Vec<String> {
    let (source, shim, calls) = (repo.beside("shim.c"), repo.beside("shim.so"), repo.beside("calls"));
    fs::write(&source, SHIM).unwrap();
    let built = Command::new("gcc").args(["-shared", "-fPIC", "-o"]).args([&shim, &source]).arg("-ldl").status().unwrap();
    assert!(built.success());
    let _ = fs::remove_file(&calls);
    repo.by("a", command).env("LD_PRELOAD", shim.to_str().unwrap()).env("CALLS", calls.to_str().unwrap()).ok();
    fs::read_to_string(calls).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn an_event_is_synced_before_it_is_acknowledged() {
    let repo = Repo::new();
    let log = ["event", "log", "--event", "note", "--summary", "x"];
    let first = calls(&repo, &log);
    assert_eq!(first, ["write _bus/events/a.jsonl", "sync _bus/events/a.jsonl", "sync _bus/events", "write stdout"]);
    assert_eq!(calls(&repo, &log), ["write _bus/events/a.jsonl", "sync _bus/events/a.jsonl", "write stdout"]);
}

#[test]
fn a_claims_event_and_file_are_synced_before_it_is_acknowledged() {
    let repo = Repo::new();
    let expected = [
        "write _bus/events/a.jsonl",
        "sync _bus/events/a.jsonl",
        "sync _bus/events",
        "write _bus/claims/.T-1.json.tmp",
        "sync _bus/claims/.T-1.json.tmp",
        "rename _bus/claims/T-1.json",
        "sync _bus/claims",
        "write stdout",
    ];
    assert_eq!(calls(&repo, &["claim", "T-1"]), expected);
}
