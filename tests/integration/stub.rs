//! A `bus` that is first on the PATH, notes how it is called, and ends as it is told.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use super::harness::{Bus, Repo};

/// What hooks and scripts may use beside git.
const TOOLS: [&str; 6] = ["cat", "dirname", "git", "grep", "sed", "sh"];

pub(crate) struct Stub<'a> {
    repo: &'a Repo,
    status: Cell<i32>,
}

impl<'a> Stub<'a> {
    /// A PATH with git, a shell, its helpers and the stub; whatever else is installed, another
    /// `bus` above all, is not on it.
    pub(crate) fn new(repo: &'a Repo) -> Self {
        let folder = repo.beside("tools");
        fs::create_dir(&folder).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        for tool in TOOLS {
            let found = std::env::split_paths(&path)
                .map(|folder| folder.join(tool))
                .find(|path| path.exists())
                .unwrap();
            std::os::unix::fs::symlink(found, folder.join(tool)).unwrap();
        }
        let stub = Self { repo, status: Cell::new(0) };
        // `bus check` says yes, so that the rest of a hook runs.
        let ends =
            "case \"$1\" in check) exit \"${STUB_CHECK:-0}\" ;; *) exit \"$STUB_STATUS\" ;; esac\n";
        stub.program("bus", &format!("echo \"$* in $PWD\" >> \"$STUB_CALLS\"\n{ends}"));
        stub
    }

    /// Another program on the PATH.
    pub(crate) fn program(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.repo.beside("tools").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Takes the stub away.
    pub(crate) fn without_bus(self) -> Self {
        fs::remove_file(self.repo.beside("tools/bus")).unwrap();
        self
    }

    /// The stub ends with `status` from now on.
    pub(crate) fn ends_with(&self, status: i32) {
        self.status.set(status);
    }

    /// Runs git in a folder, as a user who has the stub.
    pub(crate) fn git(&self, folder: &Path, arguments: &[&str]) -> Bus<'a> {
        let user = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"];
        self.run("git", folder, &[&user, arguments].concat())
    }

    /// Runs a program in a folder, as a user who has the stub.
    pub(crate) fn run(&self, program: &str, folder: &Path, arguments: &[&str]) -> Bus<'a> {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let command = self
            .repo
            .other(program, arguments)
            .within(folder)
            .env("PATH", &text(self.repo.beside("tools")));
        command
            .env("STUB_CALLS", &text(self.repo.beside("calls")))
            .env("STUB_STATUS", &self.status.get().to_string())
    }

    /// How the stub was called since the last look: arguments and folder.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.repo.beside("calls")).unwrap_or_default();
        let _ = fs::remove_file(self.repo.beside("calls"));
        calls.lines().map(str::to_owned).collect()
    }
}
