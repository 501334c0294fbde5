//! A bare remote, clones of it, and what can go wrong between them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::server::{Server, Transport};
use crate::harness::{Bus, Repo, alone};

/// After how long something that must happen is given up.
const LONG: Duration = Duration::from_secs(120);

/// A bare repository, served to others.
pub(crate) struct Remote {
    pub(crate) server: Server,
    folder: TempDir,
}

impl Remote {
    /// An empty one.
    pub(crate) fn new(transport: Transport) -> Self {
        let folder = crate::harness::scratch();
        let remote = Self { server: Server::new(transport, folder.path()), folder };
        let run = |arguments: &[&str]| {
            let done = alone("git", remote.folder.path(), remote.folder.path())
                .args(arguments)
                .output()
                .unwrap();
            assert!(
                done.status.success(),
                "{arguments:?}: {}",
                String::from_utf8_lossy(&done.stderr)
            );
        };
        run(&["init", "--quiet", "--bare", "--initial-branch=main", "remote.git"]);
        run(&["-C", "remote.git", "config", "http.receivePack", "true"]);
        // Each push would start two processes more.
        run(&["-C", "remote.git", "config", "receive.autogc", "false"]);
        remote
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("remote.git")
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join("remote.git").join(relative)
    }

    /// Runs git in it; it must work.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let done =
            alone("git", &self.path(""), self.folder.path()).args(arguments).output().unwrap();
        assert!(
            done.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap()
    }

    /// What a ref is at; empty if there is none.
    pub(crate) fn at(&self, name: &str) -> String {
        self.git(&["for-each-ref", "--format=%(objectname)", name]).trim().to_owned()
    }

    /// All of its refs.
    pub(crate) fn refs(&self) -> String {
        self.git(&["for-each-ref"])
    }

    /// Gives it a hook, a shell script.
    pub(crate) fn hook(&self, name: &str, text: &str) {
        program(&self.path("hooks").join(name), text);
    }

    pub(crate) fn without_hook(&self, name: &str) {
        fs::remove_file(self.path("hooks").join(name)).unwrap();
    }

    /// From now on each push waits, once it has arrived, until [`Remote::go_on`].
    pub(crate) fn delays(&self) {
        let (flag, here) = (self.path("wait"), self.path("arrived"));
        fs::write(&flag, "").unwrap();
        let wait = format!(
            ": > '{}'\nwhile [ -e '{}' ]; do sleep 0.01; done\n",
            here.display(),
            flag.display()
        );
        self.hook("pre-receive", &wait);
    }

    /// Blocks until a push has arrived at a remote that delays.
    pub(crate) fn wait_for_push(&self) {
        until(|| self.path("arrived").exists());
    }

    /// Lets go of what waits.
    pub(crate) fn go_on(&self) {
        self.without_hook("pre-receive");
        fs::remove_file(self.path("wait")).unwrap();
    }

    /// From now on it refuses every ref below `prefix`.
    pub(crate) fn refuses(&self, prefix: &str) {
        let text = format!(
            "while read -r old new name; do case $name in {prefix}*) echo 'not here' >&2; exit 1;; esac; done\n"
        );
        self.hook("pre-receive", &text);
    }

    /// From now on `git receive-pack` is killed when it runs the hook called `name`.
    pub(crate) fn dies_in(&self, name: &str) {
        self.hook(name, "cat > /dev/null\nkill -9 $PPID\n");
    }

    /// As if a push changed this ref, or had been killed while it did.
    pub(crate) fn locks(&self, name: &str) {
        let lock = self.path(&format!("{name}.lock"));
        fs::create_dir_all(lock.parent().unwrap()).unwrap();
        fs::write(lock, "").unwrap();
    }

    pub(crate) fn unlocks(&self, name: &str) {
        fs::remove_file(self.path(&format!("{name}.lock"))).unwrap();
    }

    /// It loses all clones' logs.
    pub(crate) fn lose_logs(&self) {
        for name in self.git(&["for-each-ref", "--format=%(refname)", "refs/bus/log"]).lines() {
            self.git(&["update-ref", "-d", name]);
        }
    }

    /// It is not there for a while.
    pub(crate) fn goes_away(&self) {
        fs::rename(self.path(""), self.folder.path().join("away")).unwrap();
    }

    pub(crate) fn comes_back(&self) {
        fs::rename(self.folder.path().join("away"), self.path("")).unwrap();
    }
}

/// Clones of one remote that are one fleet.
pub(crate) struct Fleet {
    pub(crate) remote: Remote,
    pub(crate) clones: Vec<Repo>,
}

impl Fleet {
    /// A fleet over `transport`.
    pub(crate) fn new(transport: Transport, clones: usize) -> Self {
        Self::founded(Remote::new(transport), clones, &[])
    }

    /// A fleet over a remote that stands; `more` is said to `bus init`.
    pub(crate) fn founded(remote: Remote, clones: usize, more: &[&str]) -> Self {
        let founder = Repo::new();
        founder.git(&["remote", "add", "origin", &remote.url()]);
        founder.bus(&[&["init", "--remote", "origin"], more].concat()).ok();
        founder.commit_all("fleet");
        founder.git(&["push", "--quiet", "--set-upstream", "origin", "main"]);
        let mut fleet = Self { remote, clones: vec![founder] };
        (1..clones).for_each(|_| fleet.grow());
        fleet
    }

    /// One more clone.
    pub(crate) fn grow(&mut self) {
        self.clones.push(Repo::clone_of(&self.remote.url()));
    }

    /// A command of an agent in a clone.
    pub(crate) fn by(&self, clone: usize, agent: &str, arguments: &[&str]) -> Bus<'_> {
        self.clones[clone].by(agent, arguments)
    }

    /// Exchanges everything once, and asserts that every clone then sees the remote's claim of
    /// `task`.
    pub(crate) fn assert_agreed(&self, task: &str) {
        let name = format!("refs/bus/claims/{task}");
        let truth = self.remote.at(&name);
        assert!(!truth.is_empty(), "the remote knows nothing of {task}");
        for (number, clone) in self.clones.iter().enumerate() {
            clone.by("observer", &["sync"]).ok();
            let here = clone.git(&["for-each-ref", "--format=%(objectname)", &name]);
            assert_eq!(here.trim(), truth, "clone {number} sees another claim of {task}");
        }
        assert_eq!(self.remote.at(&name), truth, "a sync has changed the claim of {task}");
    }
}

/// Writes a program, a shell script.
pub(crate) fn program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // By rename: another process may run the old one.
    let aside = path.with_extension("new");
    fs::write(&aside, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(aside, path).unwrap();
}

/// A PATH on which `git` is a shell script that has the real one as `$git`.
pub(crate) fn path_with_git(repo: &Repo, text: &str) -> String {
    let path = std::env::var_os("PATH").unwrap();
    let git = std::env::split_paths(&path)
        .map(|folder| folder.join("git"))
        .find(|path| path.exists())
        .unwrap();
    program(&repo.beside("tools/git"), &format!("git='{}'\n{text}", git.display()));
    let folders = [repo.beside("tools")].into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap().into_string().unwrap()
}

/// Blocks until something is so.
pub(crate) fn until(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "it does not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}
