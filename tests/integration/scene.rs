//! A sound bus to which one thing is done, and then undone.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Map, Value};

use super::dice::Dice;
use super::harness::Repo;
use super::sound_bus::files;

/// A bus and what was done to it.
pub(crate) struct Scene<'a> {
    pub(crate) repo: &'a Repo,
    pub(crate) dice: Dice,
    /// Whether it will be compared with a base.
    pub(crate) has_base: bool,
    /// The files as they were.
    sound: BTreeMap<String, Vec<u8>>,
    /// The paths that were touched.
    pub(crate) touched: Vec<String>,
    /// Other files of which the rule may speak.
    pub(crate) meant: Vec<String>,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(repo: &'a Repo, dice: Dice) -> Self {
        let sound = files(repo).into_iter().collect();
        Self { repo, dice, has_base: false, sound, touched: Vec::new(), meant: Vec::new() }
    }

    /// The paths of the files whose names begin and end so.
    pub(crate) fn paths(&self, begin: &str, end: &str) -> Vec<String> {
        self.sound
            .keys()
            .filter(|path| path.starts_with(begin) && path.ends_with(end))
            .cloned()
            .collect()
    }

    /// A file whose name begins and ends so.
    pub(crate) fn path(&mut self, begin: &str, end: &str) -> String {
        let paths = self.paths(begin, end);
        self.dice.pick(&paths).clone()
    }

    /// A file of lines.
    pub(crate) fn lines_path(&mut self) -> String {
        self.path("_", ".jsonl")
    }

    /// A claim, an assignment or a plan.
    pub(crate) fn record_path(&mut self) -> String {
        let kind = *self.dice.pick(&["_bus/claims/", "_bus/assignments/", "_plans/"]);
        self.path(kind, ".json")
    }

    /// A claim file that has one of these texts.
    pub(crate) fn claim_with(&mut self, texts: &[&str]) -> String {
        let mut paths = self.paths("_bus/claims/", ".json");
        paths.retain(|path| texts.iter().any(|text| self.text(path).contains(text)));
        self.dice.pick(&paths).clone()
    }

    pub(crate) fn text(&self, path: &str) -> String {
        String::from_utf8(self.sound[path].clone()).unwrap()
    }

    pub(crate) fn lines(&self, path: &str) -> Vec<String> {
        self.text(path).lines().map(str::to_owned).collect()
    }

    pub(crate) fn object(&self, path: &str) -> Map<String, Value> {
        serde_json::from_slice(&self.sound[path]).unwrap()
    }

    fn touch(&mut self, path: &str) {
        self.touched.push(path.to_owned());
    }

    pub(crate) fn write(&mut self, path: &str, bytes: impl AsRef<[u8]>) {
        self.touch(path);
        self.repo.write(path, bytes);
    }

    pub(crate) fn write_lines(&mut self, path: &str, lines: &[impl AsRef<[u8]>]) {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend_from_slice(line.as_ref());
            bytes.push(b'\n');
        }
        self.write(path, bytes);
    }

    pub(crate) fn write_object(&mut self, path: &str, object: &Map<String, Value>) {
        let text = serde_json::to_string_pretty(object).unwrap();
        self.write(path, text + "\n");
    }

    /// Changes fields of a record.
    pub(crate) fn edit(&mut self, path: &str, change: impl FnOnce(&mut Map<String, Value>)) {
        let mut object = self.object(path);
        change(&mut object);
        self.write_object(path, &object);
    }

    /// Adds a line that says `bytes` to the file, or puts it into the place of another.
    pub(crate) fn put_line(&mut self, path: &str, bytes: Vec<u8>) {
        let mut lines: Vec<Vec<u8>> =
            self.lines(path).into_iter().map(String::into_bytes).collect();
        let place = self.dice.below(lines.len() + 2);
        if place < lines.len() {
            lines[place] = bytes
        } else {
            lines.push(bytes)
        }
        self.write_lines(path, &lines);
    }

    /// A line of the file, as an object.
    pub(crate) fn line(&mut self, path: &str) -> Map<String, Value> {
        let lines = self.lines(path);
        let line: &String = self.dice.pick(&lines);
        serde_json::from_str(line).unwrap()
    }

    /// Puts a changed copy of one of the file's lines into it.
    pub(crate) fn edit_line(&mut self, path: &str, change: impl FnOnce(&mut Map<String, Value>)) {
        let mut object = self.line(path);
        object.remove("id");
        change(&mut object);
        self.put_line(path, serde_json::to_vec(&object).unwrap());
    }

    /// Changes the fields of a record, or of a line.
    pub(crate) fn edit_any(&mut self, path: &str, change: impl FnOnce(&mut Map<String, Value>)) {
        if path.ends_with(".jsonl") {
            self.edit_line(path, change)
        } else {
            self.edit(path, change)
        }
    }

    /// Changes the bytes of a record, or of a line.
    pub(crate) fn edit_bytes(
        &mut self,
        path: &str,
        change: impl FnOnce(&mut Dice, String) -> Vec<u8>,
    ) {
        if path.ends_with(".jsonl") {
            let lines = self.lines(path);
            let line = self.dice.pick(&lines).clone();
            let line = change(&mut self.dice, line);
            self.put_line(path, line);
        } else {
            let text = self.text(path).trim_end().to_owned();
            let mut bytes = change(&mut self.dice, text);
            bytes.push(b'\n');
            self.write(path, bytes);
        }
    }

    pub(crate) fn remove(&mut self, path: &str) {
        self.touch(path);
        fs::remove_file(self.repo.path(path)).unwrap();
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        let bytes = self.sound[from].clone();
        self.remove(from);
        self.write(to, bytes);
    }

    /// Puts everything back.
    pub(crate) fn restore(&mut self) {
        for path in std::mem::take(&mut self.touched) {
            let place = self.repo.path(&path);
            match place.symlink_metadata() {
                Ok(found) if found.is_dir() => fs::remove_dir_all(&place).unwrap(),
                Ok(_) => fs::remove_file(&place).unwrap(),
                Err(_) => {}
            }
            if let Some(bytes) = self.sound.get(&path) {
                self.repo.write(&path, bytes);
            }
        }
        self.meant.clear();
    }
}
