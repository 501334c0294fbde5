//! Makes a git repository of a case. One repository serves many cases, one after the other: to make
//! one takes longer than to validate it.

use std::collections::BTreeMap;
use std::fs::{self, File as Opened};
use std::path::Path;

use serde_json::Value;

use super::case::{Case, File, Place, What};
use crate::harness::Repo;

/// Where the case's tree is committed, until the branch is set to it.
const COMMITTED: &str = "refs/case/committed";

/// A repository whose refs and files are those of one case.
pub(crate) struct Stage {
    repo: Repo,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let repo = Repo::bare_of_bus();
        // Nothing here has to outlive a power loss.
        repo.git(&["config", "core.fsync", "none"]);
        Self { repo }
    }

    pub(crate) fn repo(&self) -> &Repo {
        &self.repo
    }

    /// Whether the file system takes two names that differ by case for two.
    pub(crate) fn tells_letter_case(&self) -> bool {
        !self.repo.path(".GIT").exists()
    }

    /// Makes base, branches and refs, checks the branch out, and writes the tree.
    pub(crate) fn lay_out(&self, case: &Case) {
        self.clear();
        if case.files.iter().any(|file| file.place != Place::Tree) {
            let stream = self.repo.beside("stream");
            fs::write(&stream, stream_of(case)).unwrap();
            self.repo
                .git_reads(&["fast-import", "--quiet", "--force"], Opened::open(stream).unwrap());
        }
        fs::write(self.repo.path(".git/HEAD"), format!("ref: refs/heads/{}\n", branch(case)))
            .unwrap();
        let mut tree = BTreeMap::from([("_bus/README.md", What::Bytes(b"A bus.\n".to_vec()))]);
        for place in [Place::Base, Place::Tree] {
            for file in case.files_of(&place) {
                let below = format!("{}/", file.path);
                tree.retain(|path, _| !path.starts_with(&below));
                tree.insert(&file.path, file.what.clone());
            }
        }
        tree.into_iter().for_each(|(path, what)| self.put(path, &what));
    }

    /// Commits the tree on the branch.
    pub(crate) fn commit(&self, case: &Case) {
        let commit = fs::read(self.repo.path(".git").join(COMMITTED)).unwrap();
        fs::write(self.repo.path(".git/refs/heads").join(branch(case)), commit).unwrap();
        self.repo.git(&["reset", "--quiet"]);
    }

    /// Takes away what the case before has left; its objects may stay.
    fn clear(&self) {
        for entry in fs::read_dir(self.repo.root()).unwrap().map(|entry| entry.unwrap().path()) {
            if !entry.ends_with(".git") {
                remove(&entry);
            }
        }
        for name in ["refs", "index", "packed-refs", "logs"] {
            remove(&self.repo.path(".git").join(name));
        }
        fs::create_dir_all(self.repo.path(".git/refs/heads")).unwrap();
    }

    fn put(&self, path: &str, what: &What) {
        match what {
            What::Bytes(bytes) | What::Unended(bytes) => self.repo.write(path, bytes),
            What::Link(target) => {
                let path = self.repo.path(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::os::unix::fs::symlink(target, path).unwrap();
            }
            What::Gone => {}
        }
    }
}

fn branch(case: &Case) -> &str {
    case.branch.as_deref().unwrap_or("work")
}

fn remove(path: &Path) {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// Everything that a case has in commits, as git-fast-import(1) reads it.
fn stream_of(case: &Case) -> Vec<u8> {
    let base = "refs/heads/main";
    let readme = File {
        place: Place::Base,
        path: "_bus/README.md".to_owned(),
        what: What::Bytes(b"A bus.\n".to_vec()),
    };
    let mut stream = Vec::new();
    add_commit(
        &mut stream,
        base,
        None,
        "test",
        "base",
        std::iter::once(&readme).chain(case.files_of(&Place::Base)),
    );
    let work = format!("refs/heads/{}", branch(case));
    stream.extend(format!("reset {work}\nfrom {base}\n\n").bytes());
    for name in case.branches() {
        let files = case.files_of(&Place::Branch(name.to_owned()));
        add_commit(&mut stream, &format!("refs/heads/{name}"), Some(&work), "test", name, files);
    }
    add_commit(&mut stream, COMMITTED, Some(&work), "test", "work", case.files_of(&Place::Tree));
    let later = case.files_of(&Place::Later);
    if !later.is_empty() {
        add_commit(&mut stream, base, None, "test", "later", later);
    }
    for file in &case.files {
        match &file.place {
            Place::Ref { by } => {
                let (What::Bytes(body) | What::Unended(body)) = &file.what else {
                    panic!("{case}: a state has text")
                };
                let author = by.clone().unwrap_or_else(|| owner_of(body));
                // The root of a fleet says in its first line which one it is.
                let head = if file.path.ends_with("/fleet") { "" } else { "claim\n\n" };
                let message = format!("{head}{}", String::from_utf8_lossy(body));
                add_commit(&mut stream, &file.path, None, &author, &message, []);
            }
            Place::Log(name) => add_commit(&mut stream, name, None, "test", "log", [file]),
            _ => {}
        }
    }
    stream
}

/// Who would write a state of a record: its owner.
fn owner_of(body: &[u8]) -> String {
    let record: Value = serde_json::from_slice(body).unwrap_or_default();
    record["agent_id"].as_str().unwrap_or("test").to_owned()
}

/// Adds a commit to `name`, which grows from `parent`, else from what the ref has.
fn add_commit<'a>(
    stream: &mut Vec<u8>,
    name: &str,
    parent: Option<&str>,
    author: &str,
    message: &str,
    files: impl IntoIterator<Item = &'a File>,
) {
    stream.extend(
        format!("commit {name}\nauthor {author} <{author}@example.invalid> 1767225600 +0000\n")
            .bytes(),
    );
    stream.extend(b"committer test <test@example.invalid> 1767225600 +0000\n");
    stream.extend(format!("data {}\n{message}\n", message.len()).bytes());
    stream.extend(parent.map(|parent| format!("from {parent}\n")).unwrap_or_default().bytes());
    for File { path, what, .. } in files {
        let (mode, bytes) = match what {
            What::Bytes(bytes) | What::Unended(bytes) => ("100644", bytes.as_slice()),
            What::Link(target) => ("120000", target.as_bytes()),
            What::Gone => {
                stream.extend(format!("D {path}\n").bytes());
                continue;
            }
        };
        stream.extend(format!("M {mode} inline {path}\ndata {}\n", bytes.len()).bytes());
        stream.extend(bytes);
        stream.push(b'\n');
    }
    stream.push(b'\n');
}
