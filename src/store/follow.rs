//! Follows the log as it grows: every event once, whatever becomes of the files (docs/design.md,
//! section 4).
//!
//! Files are read by position. A file that was replaced is read again from its start, and what was
//! seen before is left out; so is a line that turns up in another file. What stood in the log
//! before the following began is learned when it is first needed: reading all of it would make a
//! start on a long log slow.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::backward::BackwardLines;
use super::forward::ForwardLines;
use super::growing::{Growing, There, open, stands_at};
use super::known::{Known, Verdict};
use super::union::{BadLine, Direction, Entry, RawLine, Source, Union, clash, is_of_clone};
use super::{Clones, Elsewhere, Error, Verb};
use crate::record::json::MAX_LINE;
use crate::record::{Event, Fault, Timestamp};

/// How much one look reads, in bytes, before what was found is given out.
const MAX_LOOK: u64 = 4 * 1024 * 1024;

/// How old a line may be to count as just written, when the following begins.
const JUST_NOW: Duration = Duration::from_secs(5);

/// What a look found.
#[derive(Debug, Default)]
pub struct Fresh {
    /// Events that were not seen before, merged as readers merge files.
    pub entries: Vec<Entry>,
    /// Lines that are no events.
    pub bad: Vec<Bad>,
    /// Files that could not be read.
    pub unreadable: Vec<Error>,
    /// There is more to read at once.
    pub more: bool,
}

/// A line that is no event.
#[derive(Debug)]
pub struct Bad {
    /// The line.
    pub line: BadLine,
    /// What it is known by when it turns up again: its bytes, or where they are too many, its
    /// place.
    pub(super) known_by: Vec<u8>,
}

/// Follows log files.
#[derive(Debug)]
pub struct Follow {
    clones: Clones,
    files: BTreeMap<PathBuf, Growing>,
    /// What was read and not yet given out, and whether that file has more.
    pending: BTreeMap<PathBuf, (VecDeque<Entry>, bool)>,
    known: Known,
    /// Whether `known` has all that stands before the positions.
    learned: bool,
    /// Since when `known` has every line in any case.
    recent: Timestamp,
}

impl Follow {
    /// Follows `paths`, among them those of other `clones`, from where they end now.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read.
    pub fn from_end(
        paths: impl IntoIterator<Item = PathBuf>,
        now: Timestamp,
        clones: Clones,
    ) -> Result<Self, Error> {
        let recent = now.before(JUST_NOW);
        let mut follow = Self { learned: false, recent, ..Self::from_known(Known::new(), clones) };
        for path in paths {
            // One that cannot be read is found, and said, by the first look.
            if let Ok(Some((file, metadata))) = open(&path) {
                let growing =
                    Growing::from_end(file, &metadata).map_err(Error::io(Verb::Read, &path))?;
                follow.files.insert(path, growing);
            }
        }
        let mut just_now = follow.backlog()?;
        while let Some(entry) = just_now.next_event()?.filter(|entry| entry.event.ts >= recent) {
            follow.known.see(&entry.line);
        }
        Ok(follow)
    }

    /// Follows files from their start, but for what is `known`.
    pub(super) fn from_known(known: Known, clones: Clones) -> Self {
        let recent = Timestamp::from_unix(0);
        Self {
            clones,
            files: BTreeMap::new(),
            pending: BTreeMap::new(),
            known,
            learned: true,
            recent,
        }
    }

    /// What stood in the files when the following began, newest first.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read.
    pub fn backlog(&self) -> Result<Union, Error> {
        let source = |(path, followed): (&PathBuf, &Growing)| {
            let lines = followed
                .file
                .try_clone()
                .and_then(|file| BackwardLines::up_to(file, followed.position.offset));
            Ok(Source::new(path.clone(), &self.clones, lines.map_err(Error::io(Verb::Read, path))?))
        };
        Union::of(self.files.iter().map(source).collect::<Result<_, _>>()?, Direction::Backward)
    }

    /// How much of the files stood there when the following began, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.files.values().map(|file| file.position.offset).sum()
    }

    /// Remembers a line that was given out as a part of the backlog.
    pub fn remember(&mut self, line: &[u8]) {
        self.known.see(line);
    }

    /// Learns all that stood in the files when the following began, so that it is known again
    /// wherever it turns up.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read.
    pub fn learn(&mut self) -> Result<(), Error> {
        if self.learned {
            return Ok(());
        }
        for (path, followed) in &self.files {
            let mut lines =
                ForwardLines::new(followed.before().map_err(Error::io(Verb::Read, path))?);
            while let Some(line) = lines.next().map_err(Error::io(Verb::Read, path))? {
                self.known.see(&line.bytes);
            }
        }
        self.learned = true;
        Ok(())
    }

    /// What is known so far.
    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// Looks at the files `paths`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read.
    pub fn look(&mut self, paths: &BTreeSet<PathBuf>) -> Result<Fresh, Error> {
        self.look_without(paths, &[])
    }

    /// Looks at `paths`, and takes the last look at those that are `gone`.
    fn look_without(
        &mut self,
        paths: &BTreeSet<PathBuf>,
        gone: &[PathBuf],
    ) -> Result<Fresh, Error> {
        let mut look = Look {
            bad: Vec::new(),
            copies: HashMap::new(),
            own: HashSet::new(),
            left: MAX_LOOK,
            cut_short: false,
        };
        let mut unreadable = Vec::new();
        gone.iter().try_for_each(|path| self.look_at(path, There::Nothing, &mut look))?;
        for path in paths {
            match stands_at(path, self.files.get(path)) {
                Ok(there) => self.look_at(path, there, &mut look)?,
                // One file that cannot be read hides no other, and what was opened before can still
                // be read.
                Err(error) => {
                    self.read_on(path, &mut look)?;
                    unreadable.push(error);
                }
            }
        }
        let mut entries = self.merge();
        for entry in entries.iter_mut().filter(|entry| !entry.own) {
            if look.own.contains(&entry.line) {
                (entry.own, entry.elsewhere) = (true, None);
            } else if !is_of_clone(entry.elsewhere.as_ref())
                && let Some(clone) = look.copies.get(&entry.line)
            {
                entry.elsewhere = Some(clone.clone());
            }
        }
        let more = look.cut_short || self.pending.values().any(|(_, more)| *more);
        Ok(Fresh { entries, bad: look.bad, unreadable, more })
    }

    /// Looks at `all` files of the log. Those that are followed and not among them are gone.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read.
    pub fn look_everywhere(&mut self, all: &BTreeSet<PathBuf>) -> Result<Fresh, Error> {
        let gone: Vec<PathBuf> =
            self.files.keys().filter(|path| !all.contains(*path)).cloned().collect();
        self.look_without(all, &gone)
    }

    /// Looks at one file, at whose path now stands `there`.
    fn look_at(&mut self, path: &Path, there: There, look: &mut Look) -> Result<(), Error> {
        // What is left of the old file comes first.
        if !self.read_on(path, look)? {
            return Ok(());
        }
        let followed = self.files.contains_key(path);
        match there {
            There::Same => Ok(()),
            There::Nothing if !followed => Ok(()),
            There::Nothing => {
                self.learn()?;
                self.files.remove(path);
                Ok(())
            }
            There::Other(growing) => {
                if followed {
                    self.learn()?;
                }
                self.files.insert(path.to_owned(), growing);
                self.read_on(path, look).map(drop)
            }
        }
    }

    /// Reads what was added to a file, one chunk of it; says whether that was all.
    fn read_on(&mut self, path: &Path, look: &mut Look) -> Result<bool, Error> {
        let Some(followed) = self.files.get_mut(path) else { return Ok(true) };
        if self.pending.get(path).is_some_and(|(entries, more)| *more && !entries.is_empty()) {
            return Ok(false);
        }
        if look.left == 0 {
            look.cut_short = true;
            return Ok(false);
        }
        let mut chunk = followed.read().map_err(Error::io(Verb::Read, path))?;
        if chunk.is_none() {
            // It was written anew in place: what stood there is not there to be learned any more.
            followed.position = super::growing::Position::default();
            chunk = followed.read().map_err(Error::io(Verb::Read, path))?;
            self.learn()?;
        }
        let Some(chunk) = chunk else { return Ok(true) };
        look.left = look.left.saturating_sub(chunk.size);
        let (elsewhere, own) = (self.clones.of(path), self.clones.is_own(path));
        let mut entries = VecDeque::new();
        for line in chunk.lines {
            match (self.accept(path, &line)?, &elsewhere) {
                (None, None) if own => drop(look.own.insert(line.bytes)),
                (None, Some(clone)) if clone.is_clone() => {
                    drop(look.copies.insert(line.bytes, clone.clone()))
                }
                (None, _) => {}
                (Some(Ok(event)), _) => {
                    entries.push_back(Entry {
                        event,
                        line: line.bytes,
                        elsewhere: elsewhere.clone(),
                        own,
                    });
                }
                (Some(Err(what)), _) => {
                    let known_by = known_by(path, &line).into_owned();
                    look.bad.push(Bad { line: BadLine::new(path, line.offset, what), known_by });
                }
            }
        }
        if let Some(followed) = self.files.get_mut(path) {
            followed.position = chunk.position;
        }
        if !entries.is_empty() || !chunk.at_end || self.pending.contains_key(path) {
            let pending = self.pending.entry(path.to_owned()).or_default();
            pending.0.append(&mut entries);
            pending.1 = !chunk.at_end;
        }
        Ok(chunk.at_end)
    }

    /// The event of a line that was not seen before, or why it is none.
    fn accept(
        &mut self,
        path: &Path,
        line: &RawLine,
    ) -> Result<Option<Result<Event, String>>, Error> {
        if line.too_long {
            let new = self.known.see(&known_by(path, line)) == Verdict::New;
            let what = Fault::TooLong { limit: MAX_LINE }.to_string();
            return Ok(new.then_some(Err(what)));
        }
        let blank = line.bytes.iter().all(u8::is_ascii_whitespace);
        if blank || (self.learned && self.known.has(&line.bytes)) {
            return Ok(None);
        }
        let event = match Event::parse(&line.bytes) {
            Ok(event) => event,
            Err(fault) if self.known.see(&line.bytes) == Verdict::New => {
                return Ok(Some(Err(fault.to_string())));
            }
            Err(_) => return Ok(None),
        };
        if event.ts < self.recent {
            self.learn()?;
        }
        Ok(match self.known.see(&line.bytes) {
            Verdict::New => Some(Ok(event)),
            Verdict::Seen => None,
            Verdict::Clash => Some(Err(clash("event", event.id.as_deref()))),
        })
    }

    /// Gives out what is pending, merged by time, then id, as far as every file that has more has
    /// something pending.
    fn merge(&mut self) -> Vec<Entry> {
        let mut merged = Vec::new();
        while !self.pending.values().any(|(entries, more)| *more && entries.is_empty()) {
            let key = |entry: &Entry| (entry.event.ts, entry.event.id.clone());
            let heads = self.pending.values_mut().filter(|(entries, _)| !entries.is_empty());
            let Some((entries, _)) = heads.min_by_key(|(entries, _)| entries.front().map(key))
            else {
                break;
            };
            merged.extend(entries.pop_front());
        }
        self.pending.retain(|_, (entries, more)| *more || !entries.is_empty());
        merged
    }
}

/// What a line is known by.
fn known_by<'a>(path: &Path, line: &'a RawLine) -> Cow<'a, [u8]> {
    if line.too_long {
        return format!("{} {}", path.display(), line.offset).into_bytes().into();
    }
    Cow::Borrowed(&line.bytes)
}

/// Lets this process open as many files as the system allows: one is held open for each file of the
/// log.
pub fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        // Where it cannot be raised, a file that cannot be opened is named.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// What one look does on its way.
struct Look {
    bad: Vec<Bad>,
    /// Lines of other clones' logs that were known already, perhaps because a worktree has them,
    /// too.
    copies: HashMap<Vec<u8>, Elsewhere>,
    /// Lines of the record that were known already, perhaps because another clone's log has them,
    /// too.
    own: HashSet<Vec<u8>>,
    /// How many bytes may still be read.
    left: u64,
    /// A file was not read because of that.
    cut_short: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs::{self, File};
    use std::io::Write;

    /// What may happen to the files of a log.
    #[derive(Clone, Debug)]
    enum Step {
        /// A line is appended, or a part of one that the next line of that file completes.
        Append {
            file: usize,
            whole: bool,
        },
        /// git replaces a file: it keeps every line but those at these places, and brings lines of
        /// other files.
        Replace {
            file: usize,
            without: Vec<prop::sample::Index>,
            with: usize,
        },
        /// An editor writes a file anew in place.
        Rewrite {
            file: usize,
        },
        Remove {
            file: usize,
        },
        Look,
    }

    fn step() -> impl Strategy<Value = Step> {
        let without = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
        prop_oneof![
            6 => (0..3_usize, prop::bool::weighted(0.8)).prop_map(|(file, whole)| Step::Append { file, whole }),
            2 => (0..3_usize, without, 0..3_usize).prop_map(|(file, without, with)| Step::Replace { file, without, with }),
            1 => (0..3_usize).prop_map(|file| Step::Rewrite { file }),
            1 => (0..3_usize).prop_map(|file| Step::Remove { file }),
            4 => Just(Step::Look),
        ]
    }

    struct Log {
        folder: tempfile::TempDir,
        lines: usize,
    }

    impl Log {
        fn paths(&self) -> BTreeSet<PathBuf> {
            (0..3).map(|file| self.path(file)).collect()
        }

        fn path(&self, file: usize) -> PathBuf {
            self.folder.path().join(format!("{file}.jsonl"))
        }

        fn text(&self, file: usize) -> String {
            fs::read_to_string(self.path(file)).unwrap_or_default()
        }

        fn line(&mut self) -> String {
            self.lines += 1;
            let number = self.lines;
            format!(
                "{{\"agent_id\":\"a\",\"event\":\"note\",\"id\":\"{number}\",\"summary\":\"s{number}\",\"ts\":\"2026-03-01T12:00:{:02}Z\"}}\n",
                number % 60
            )
        }

        fn put(&self, file: usize, text: &str) {
            let mut options = fs::File::options();
            options
                .write(true)
                .create(true)
                .truncate(true)
                .open(self.path(file))
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
        }

        fn apply(&mut self, step: &Step) {
            match step {
                Step::Append { file, whole } => {
                    let text = self.text(*file);
                    // A part that stands at the end is completed; what completes it was made with
                    // it.
                    let torn = text.rsplit('\n').next().unwrap_or_default().to_owned();
                    let line = if torn.is_empty() { self.line() } else { rest_of(&torn) };
                    let part = if *whole || !torn.is_empty() {
                        &line[..]
                    } else {
                        &line[..line.len() / 2]
                    };
                    let mut log = fs::File::options()
                        .append(true)
                        .create(true)
                        .open(self.path(*file))
                        .unwrap();
                    log.write_all(part.as_bytes()).unwrap();
                }
                Step::Replace { file, without, with } => {
                    let mut lines: Vec<String> =
                        self.text(*file).lines().map(str::to_owned).collect();
                    without.iter().for_each(|index| {
                        if !lines.is_empty() {
                            lines.remove(index.index(lines.len()));
                        }
                    });
                    lines.extend(self.text(*with).lines().map(str::to_owned));
                    let text: String = lines
                        .iter()
                        .filter(|line| line.ends_with('}'))
                        .map(|line| format!("{line}\n"))
                        .collect();
                    let aside = self.folder.path().join("aside");
                    File::create(&aside).unwrap().write_all(text.as_bytes()).unwrap();
                    fs::rename(aside, self.path(*file)).unwrap();
                }
                Step::Rewrite { file } => {
                    let new = self.line();
                    let text: String = self
                        .text(*file)
                        .lines()
                        .skip(1)
                        .filter(|line| line.ends_with('}'))
                        .map(|line| format!("{line}\n"))
                        .collect();
                    self.put(*file, &format!("{text}{new}"));
                }
                Step::Remove { file } => drop(fs::remove_file(self.path(*file))),
                Step::Look => {}
            }
        }

        /// The whole lines that stand in the files now.
        fn visible(&self) -> BTreeSet<String> {
            let texts = (0..3).map(|file| self.text(file)).collect::<String>();
            texts
                .lines()
                .filter_map(|line| Some(Event::parse(line.as_bytes()).ok()?.summary))
                .collect()
        }
    }

    /// What is missing of a line of which a part stands there.
    fn rest_of(torn: &str) -> String {
        let number = torn
            .split("\"id\":\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap_or_default();
        let number: usize = number.parse().unwrap_or(0);
        let mut log = Log { folder: tempfile::tempdir().unwrap(), lines: number.saturating_sub(1) };
        log.line().split_off(torn.len())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// Whatever becomes of the files: each event that stood there at a look is given out once,
        /// and none that stood there before.
        #[test]
        fn each_event_comes_once(before in 0..4_usize, steps in prop::collection::vec(step(), 1..24), learned in any::<bool>()) {
            let mut log = Log { folder: tempfile::tempdir().unwrap(), lines: 0 };
            (0..before).for_each(|file| log.apply(&Step::Append { file: file % 3, whole: true }));
            let old = log.visible();
            let mut follow = Follow::from_end(log.paths(), "2026-03-02T00:00:00Z".parse().unwrap(), Clones::none()).unwrap();
            if learned {
                follow.learn().unwrap();
            }
            let mut given = Vec::new();
            let mut must = BTreeSet::new();
            for step in steps.iter().chain([&Step::Look]) {
                log.apply(step);
                // An editor that writes a file anew takes along what was not read yet, and what was
                // never learned.
                if matches!(step, Step::Look | Step::Rewrite { .. } | Step::Remove { .. }) {
                    must.extend(log.visible());
                    let fresh = follow.look_everywhere(&log.paths()).unwrap();
                    prop_assert!(!fresh.more && fresh.unreadable.is_empty());
                    given.extend(fresh.entries.into_iter().map(|entry| entry.event.summary));
                }
            }
            let once: BTreeSet<String> = given.iter().cloned().collect();
            prop_assert_eq!(once.len(), given.len(), "twice: {:?}", given);
            let missing: Vec<&String> = must.iter().filter(|line| !once.contains(*line) && !old.contains(*line)).collect();
            prop_assert!(missing.is_empty(), "missing: {:?}", missing);
            if learned {
                prop_assert!(once.is_disjoint(&old), "again: {:?}", once.intersection(&old).collect::<Vec<_>>());
            }
        }
    }
}
