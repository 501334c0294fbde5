//! Brings this clone's log up to date, which other clones fetch: what its worktrees logged, said and assigned (design,
//! section 4). No branch, no index and no file of a worktree is touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::messaging::Channel;
use super::{Bus, Error};
use crate::git::{self, LogTree, ObjectId, RefName};
use crate::record::{AgentId, Assignment, CloneId, Event, Glance, Message};
use crate::store::{Exchange, Lock, Rolls, Stream, crash_point};

/// How much of the record is read while the lock is held, in bytes: others wait for it.
const ROUND: u64 = 32 * 1024 * 1024;

/// How much of it is in memory at a time, in bytes.
const BATCH: usize = 4 * 1024 * 1024;

/// The folder of assignments.
pub(super) const ASSIGNMENTS: &str = "assignments";

/// The file of the log for lines of files whose names are no ids: whose name it is means nothing to readers of the log.
const NAMELESS: &str = "events.jsonl";

/// What was added to the log.
#[derive(Default)]
struct Added {
    lines: [usize; 2],
    assignments: usize,
    /// There is more to be read.
    more: bool,
}

impl Bus {
    /// Publishes what this clone logged, said and assigned, and no fetched log of another clone has, in
    /// `refs/bus/log/<clone id>`. Returns the ref and what it is at; none where there is nothing.
    ///
    /// Only whole lines that are events or messages are published, and a line may have 64 KiB. The lock is given back in between.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] or [`Error::Git`] where the system refuses: what was published stays.
    pub fn publish_log(&self) -> Result<Option<(RefName, ObjectId)>, Error> {
        loop {
            let mut lock = self.lock()?;
            let clone = CloneId::new(&self.clone_id()?).ok_or_else(|| self.no_clone_id())?;
            let name = RefName::log(clone.as_str()).expect("a clone's id is a word for a ref");
            let (tip, more) = match self.publish_some(&mut lock, &clone, &name) {
                Err(Error::Git(git::Error::Damaged { .. })) => {
                    self.mend_log(&mut lock, &name)?;
                    self.publish_some(&mut lock, &clone, &name)?
                }
                published => published?,
            };
            if !more {
                return Ok(tip.map(|tip| (name, tip)));
            }
        }
    }

    /// Publishes as much as may be done under one lock; says whether there is more.
    fn publish_some(&self, lock: &mut Lock, clone: &CloneId, name: &RefName) -> Result<(Option<ObjectId>, bool), Error> {
        let tip = self.own_tip(name)?;
        let base = match tip {
            Some(tip) => Some(tip),
            // A ref that was destroyed goes on from what a remote has.
            None => self.seen_log(name)?,
        };
        let root = base.map(|base| self.own_tree(base)).transpose()?;
        let mut exchange = self.exchange(lock, base.zip(root))?;
        let mut tree = self.repo.log_tree(root)?;
        let added = self.add_lines(lock, &mut exchange, &mut tree)?;
        let added = Added { assignments: self.add_assignments(&mut tree)?, ..added };
        let new = match tree.write()? {
            Some(root) => Some(self.repo.write_log(base, root, clone, self.clock.now(), added.describe())?),
            None => base,
        };
        crash_point("log-written");
        if let Some(new) = new.filter(|new| Some(*new) != tip) {
            lock.about_to_write(name.as_str())?;
            if !self.repo.swap(name, tip, new)? {
                return Err(refused("write", name.as_str(), "it was changed meanwhile, and not by `bus`"));
            }
        }
        crash_point("log-published");
        exchange.tip = new.map(|new| new.to_string());
        if new != base || exchange.is_new || exchange.tails.is_changed() {
            exchange.save(lock)?;
        }
        Ok((new, added.more))
    }

    /// The error of an id that somebody has written by hand.
    fn no_clone_id(&self) -> Error {
        refused("use", &self.private.clone_id().path().display().to_string(), "it holds no id of a clone: 1 to 64 of `0-9 a-z`")
    }

    /// Adds the new lines of the record, as many as may be read under one lock.
    fn add_lines(&self, lock: &Lock, exchange: &mut Exchange, tree: &mut LogTree<'_>) -> Result<Added, Error> {
        let mut added = Added::default();
        let files = Stream::ALL.map(|stream| (stream, self.line_files(&self.record, stream)));
        exchange.tails.keep_only(files.iter().flat_map(|(_, files)| files));
        let mut budget = ROUND;
        for (stream, files) in files {
            let mut named: Vec<(String, PathBuf)> =
                files.into_iter().filter_map(|path| Some((published_name(stream, &path)?, path))).collect();
            named.sort();
            let (mut batch, mut size) = (Vec::new(), 0);
            let mut settle = |rolls: &mut Rolls, batch: &mut Vec<(usize, Vec<u8>)>| {
                for (from, line) in rolls.take_unpublished(lock, stream, std::mem::take(batch))? {
                    let file = tree.spelled(stream.folder(), &named[from].0)?;
                    tree.append(stream.folder(), &file, &line)?;
                    added.lines[stream as usize] += 1;
                }
                Ok::<_, Error>(())
            };
            for (from, (_, path)) in named.iter().enumerate() {
                let rolls = &mut exchange.rolls;
                exchange.tails.read(path, &mut budget, |line| {
                    if is_sound(stream, &line) {
                        size += line.len();
                        batch.push((from, line));
                    }
                    if size < BATCH {
                        return Ok(());
                    }
                    size = 0;
                    settle(rolls, &mut batch)
                })?;
            }
            settle(&mut exchange.rolls, &mut batch)?;
        }
        added.more = budget == 0;
        Ok(added)
    }

    /// Adds the assignments that are later than those that were published; returns how many.
    fn add_assignments(&self, tree: &mut LogTree<'_>) -> Result<usize, Error> {
        let mut latest: BTreeMap<_, Assignment> = BTreeMap::new();
        for task in self.ids_in(&self.record.assignments()) {
            // One that cannot be read is an error for whoever asks for it; it keeps no other one back.
            let Ok(Some(found)) = self.assignment_in(&self.record, &task) else { continue };
            latest.insert(task, found);
        }
        let mut added = 0;
        for (task, assignment) in latest {
            let file = tree.spelled(ASSIGNMENTS, &format!("{task}.json"))?;
            let published = match tree.file(ASSIGNMENTS, &file)? {
                Some(blob) => self.repo.blob(blob, usize::MAX)?.ok().and_then(|bytes| Assignment::parse(&bytes).ok()),
                None => None,
            };
            if published.is_none_or(|published| assignment.is_later_than(&published)) {
                tree.put(ASSIGNMENTS, &file, &assignment.to_bytes())?;
                added += 1;
            }
        }
        Ok(added)
    }
}

impl Added {
    fn describe(&self) -> String {
        let [events, messages] = self.lines;
        format!("log: {events} events, {messages} messages, {} assignments\n", self.assignments)
    }
}

fn refused(verb: &'static str, name: &str, what: &str) -> Error {
    git::Error::Store { verb, name: name.to_owned(), what: what.to_owned(), kind: None }.into()
}

/// Whether `line` is one of `stream`: an event, or a message.
pub(super) fn is_sound(stream: Stream, line: &[u8]) -> bool {
    match stream {
        Stream::Log => Glance::at(line).is_some() || Event::parse(line).is_ok(),
        Stream::Channels => Message::parse(line).is_ok(),
    }
}

/// Whether `name` is that of a file of `stream`, as other clones take it.
pub(super) fn is_published_name(stream: Stream, name: &str) -> bool {
    let is_id = name.strip_suffix(".jsonl").is_some_and(|stem| AgentId::new(stem).is_ok());
    is_id && (stream == Stream::Log || Channel::at(Path::new(name)).is_some())
}

/// The name under which the lines of the file at `path` are published; none for a file that is no channel.
fn published_name(stream: Stream, path: &Path) -> Option<String> {
    let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_published_name(stream, name));
    name.or((stream == Stream::Log).then_some(NAMELESS)).map(str::to_owned)
}
