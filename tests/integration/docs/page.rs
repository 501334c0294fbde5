//! A page of the documents, and a scene in which its commands run.

use std::fs;
use std::path::Path;

use super::super::harness::Repo;

pub(super) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A page, by its path below the root.
pub(super) struct Page {
    pub(super) path: String,
    pub(super) text: String,
}

/// A block of code: its language, its first line in the page, and its text.
pub(super) struct Block<'a> {
    pub(super) language: &'a str,
    pub(super) line: usize,
    pub(super) text: &'a str,
}

/// A command that a page shows.
pub(super) struct Typed<'a> {
    pub(super) command: &'a str,
    /// The status that it must exit with.
    pub(super) status: i32,
    /// The output that is shown below it.
    pub(super) shown: Vec<&'a str>,
}

impl Page {
    pub(super) fn read(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: fs::read_to_string(Path::new(ROOT).join(path)).unwrap(),
        }
    }

    /// All pages.
    pub(super) fn all() -> Vec<Self> {
        let found = walkdir::WalkDir::new(Path::new(ROOT).join("docs")).sort_by_file_name();
        let found =
            found.into_iter().map(|entry| entry.unwrap().into_path()).filter(|path| path.is_file());
        let found = found.map(|path| path.strip_prefix(ROOT).unwrap().to_str().unwrap().to_owned());
        ["README.md".to_owned(), "CONTRIBUTING.md".to_owned()]
            .into_iter()
            .chain(found)
            .map(|path| Self::read(&path))
            .collect()
    }

    pub(super) fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut rest = self.text.as_str();
        while let Some((before, after)) = rest.split_once("\n```") {
            let (language, after) = after.split_once('\n').unwrap();
            let line = self.text[..self.text.len() - rest.len() + before.len()].lines().count() + 1;
            // The end of an empty block follows its beginning at once.
            let (text, after) = if let Some(after) = after.strip_prefix("```") {
                ("", after)
            } else {
                after.split_once("\n```").unwrap()
            };
            blocks.push(Block { language, line, text });
            rest = after;
        }
        blocks
    }

    /// The commands of all blocks that are `console`.
    pub(super) fn commands(&self) -> Vec<Typed<'_>> {
        self.blocks()
            .iter()
            .filter(|block| block.language == "console")
            .flat_map(|block| typed(block.text))
            .collect()
    }

    /// Runs commands in one shell, in a repository with a remote; the bus is laid out unless the
    /// first of them does that. Each must exit as it says, and print the lines that are shown, or
    /// lines that go on after them. Returns what each printed to stdout.
    pub(super) fn play(&self, commands: &[Typed<'_>]) -> Vec<String> {
        let Some(first) = commands.first() else { return Vec::new() };
        let lays_out = first.command.starts_with("bus init") && !first.command.contains("--remote");
        let repo = if lays_out { Repo::bare_of_bus() } else { Repo::new() };
        repo.git(&["init", "--quiet", "--bare", "--initial-branch=main", "../origin.git"]);
        repo.git(&["remote", "add", "origin", "../origin.git"]);
        repo.git(&["push", "--quiet", "--set-upstream", "origin", "main"]);
        let printed = |number: usize, stream: &str| repo.beside(&format!("{number}.{stream}"));
        let mut script = String::new();
        for (number, typed) in commands.iter().enumerate() {
            let (out, err) = (printed(number, "out"), printed(number, "err"));
            script += &format!(
                "{{ {}\n}} >{} 2>{}\necho $? >>../statuses\n",
                typed.command,
                out.display(),
                err.display()
            );
        }
        let binaries = Path::new(env!("CARGO_BIN_EXE_bus")).parent().unwrap();
        let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
        let mut shell =
            repo.other("sh", &["-c", &script]).env("PATH", &path).env("BUS_AGENT", "codex-1");
        for role in ["AUTHOR", "COMMITTER"] {
            shell = shell
                .env(&format!("GIT_{role}_NAME"), "test")
                .env(&format!("GIT_{role}_EMAIL"), "test@example.invalid");
        }
        shell.run();
        let statuses = repo.read("../statuses");
        let statuses: Vec<i32> = statuses.lines().map(|line| line.parse().unwrap()).collect();
        let mut all = Vec::new();
        for (number, typed) in commands.iter().enumerate() {
            let read = |stream| fs::read_to_string(printed(number, stream)).unwrap_or_default();
            let (out, err) = (read("out"), read("err"));
            let place = format!("{}: $ {}", self.path, typed.command);
            assert_eq!(statuses.get(number), Some(&typed.status), "{place}\n{out}{err}");
            let printed: Vec<String> = out.lines().chain(err.lines()).map(settled).collect();
            for line in typed.shown.iter().map(|line| settled(line)).filter(|line| !line.is_empty())
            {
                assert!(
                    printed.iter().any(|whole| whole.starts_with(&line)),
                    "{place}\nshown: {line}\nprinted:\n{out}{err}"
                );
            }
            all.push(out);
        }
        all
    }
}

/// The commands of a block, with the status that a comment names.
pub(super) fn typed(block: &str) -> Vec<Typed<'_>> {
    let mut commands: Vec<Typed<'_>> = Vec::new();
    for line in block.lines() {
        if let Some(line) = line.strip_prefix("$ ") {
            let (command, comment) = line.split_once("  # ").unwrap_or((line, ""));
            let status = comment
                .split_once("exit status ")
                .map_or(0, |(_, number)| number[..1].parse().unwrap());
            commands.push(Typed { command: command.trim_end(), status, shown: Vec::new() });
        } else if let Some(last) = commands.last_mut() {
            last.shown.push(line);
        }
    }
    commands
}

/// A line in which what chance makes is the same: ids of leases and sessions, object ids, lengths
/// of time.
fn settled(line: &str) -> String {
    let words =
        line.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-').map(|word| {
            let name = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            let is_object = name.len() >= 12 && name.chars().all(|c| c.is_ascii_hexdigit());
            let is_random = is_object
                || (name.starts_with("L-") && name.len() == 9)
                || (name.contains("T12") && name.contains("Z-"));
            if is_random { format!("*{}", &word[name.len()..]) } else { word.to_owned() }
        });
    words.collect::<String>().trim_end().to_owned()
}
