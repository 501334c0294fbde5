//! What this clone remembers of the exchange of logs: what it has published, and what it has of other clones.
//!
//! All of it is a cache that stands for the log at one commit. Where it is lost, damaged, or of another commit, it is begun
//! anew, from the logs themselves: so a process may be killed anywhere, and nothing is lost or doubled.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};

use serde::{Deserialize, Serialize};

use super::forward::ForwardLines;
use super::known::Namer;
use super::roll::{Roll, Rolls};
use super::tail::{FileMark, Tails};
use super::{Error, Lock, Place, PrivateLayout, Stream, Verb, replace};

/// The form of the file.
const VERSION: u32 = 1;

/// The longest file that is read, in bytes.
const MAX_MARKS: usize = 64 * 1024 * 1024;

/// How far the copy of another clone's log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloneMark {
    /// The tree that was taken in as a whole; none where something of it is left.
    pub tree: Option<String>,
    /// The assignments that were taken in: their tree.
    pub assignments: Option<String>,
    /// The log files, by folder and name.
    pub files: BTreeMap<String, CopyMark>,
}

/// How far the copy of a log file goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyMark {
    /// The tree of its segments.
    pub tree: String,
    /// How many of them were taken in, where some are left.
    pub cut_at: Option<usize>,
    /// How long the copy is.
    pub length: u64,
}

/// The file, as it is on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    version: u32,
    keys: [u64; 2],
    tip: Option<String>,
    rolls: [u64; 4],
    files: BTreeMap<String, FileMark>,
    clones: BTreeMap<String, CloneMark>,
}

/// What this clone remembers of the exchange of logs.
#[derive(Debug)]
pub struct Exchange {
    place: Place,
    /// The commit of this clone's log that it is about.
    pub tip: Option<String>,
    /// How far the worktrees' files were read.
    pub tails: Tails,
    /// Which lines are published.
    pub rolls: Rolls,
    /// How far the copies go, by clone.
    pub clones: BTreeMap<String, CloneMark>,
    /// Whether it knows nothing yet of this clone's own log, and must be told.
    pub is_new: bool,
}

impl Exchange {
    /// What is remembered, where this clone's log is at the commit `tip`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::WrongKind`] where a file of it cannot be used.
    pub fn open(held: &Lock, private: &PrivateLayout, tip: Option<&str>) -> Result<Self, Error> {
        let place = private.exchange("marks.json");
        let written = place.inspect()?.and_then(|metadata| metadata.modified().ok());
        let bytes = place.read(MAX_MARKS)?.unwrap_or_default();
        let saved = serde_json::from_slice::<Saved>(&bytes).ok().filter(|saved| saved.version == VERSION);
        let current = saved.as_ref().filter(|saved| saved.tip.as_deref() == tip);
        if let Some(rolls) = current.map_or(Ok(None), |saved| open_rolls(private, saved.keys, saved.rolls))? {
            let (files, clones) = saved.map(|saved| (saved.files, saved.clones)).unwrap_or_default();
            let tails = Tails { marks: files, namer: rolls.namer, written, changed: false };
            return Ok(Self { place, tip: tip.map(str::to_owned), tails, rolls, clones, is_new: false });
        }
        let clones = saved.map(|saved| saved.clones).unwrap_or_default();
        Self::begin(held, private, place, tip, clones)
    }

    /// Begins anew. The copies are there, and are read again.
    fn begin(
        held: &Lock,
        private: &PrivateLayout,
        place: Place,
        tip: Option<&str>,
        clones: BTreeMap<String, CloneMark>,
    ) -> Result<Self, Error> {
        let path = place.path();
        if place.inspect()?.is_some() {
            // The rolls are about to be of other keys.
            fs::remove_file(&path).map_err(Error::io(Verb::Remove, &path))?;
        }
        let rolls = open_rolls(private, Namer::random().keys, [0; 4])?;
        let mut rolls = rolls.expect("every file has no lines at least");
        for (_, layout) in private.clones().layouts() {
            for stream in Stream::ALL {
                let entries = fs::read_dir(layout.folder(stream)).into_iter().flatten().flatten();
                let names: BTreeSet<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
                for name in names.into_iter().filter(|name| name.ends_with(".jsonl")) {
                    let copy = layout.file(stream, &name);
                    if copy.inspect()?.is_none() {
                        continue;
                    }
                    let refused = |error| Error::io(Verb::Read, &copy.path())(error);
                    let mut lines = ForwardLines::new(File::open(copy.path()).map_err(refused)?);
                    while let Some(line) = lines.next().map_err(refused)? {
                        rolls.learn_others(held, stream, &line.bytes)?;
                    }
                }
            }
        }
        let tails = Tails { marks: BTreeMap::new(), namer: rolls.namer, written: None, changed: true };
        Ok(Self { place, tip: tip.map(str::to_owned), tails, rolls, clones, is_new: tip.is_some() })
    }

    /// Notes lines that stand in this clone's own log.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where they cannot be noted.
    pub fn learn_own(&mut self, held: &Lock, stream: Stream, segment: &[u8]) -> Result<(), Error> {
        let lines = segment.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.into_iter().try_for_each(|line| self.rolls.learn_own(held, stream, line))
    }

    /// Remembers all of it, for the log at `tip`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the disk refuses.
    pub fn save(mut self, held: &Lock) -> Result<(), Error> {
        self.rolls.all().into_iter().try_for_each(|roll| roll.save(held))?;
        let saved = Saved {
            version: VERSION,
            keys: self.rolls.namer.keys,
            tip: self.tip,
            rolls: self.rolls.all().map(|roll| roll.lines()),
            files: self.tails.marks,
            clones: self.clones,
        };
        let bytes = serde_json::to_vec(&saved).map_err(|error| Error::io(Verb::Write, &self.place.path())(error.into()))?;
        replace(&self.place, &bytes)
    }
}

/// The rolls, with so many lines each; none where one has fewer.
fn open_rolls(private: &PrivateLayout, keys: [u64; 2], lines: [u64; 4]) -> Result<Option<Rolls>, Error> {
    let roll = |name: &str, lines| Roll::open(private.exchange(name), lines);
    let [events, messages, others_events, others_messages] = lines;
    let own = (roll("own-events", events)?, roll("own-messages", messages)?);
    let others = (roll("others-events", others_events)?, roll("others-messages", others_messages)?);
    let ((Some(own_events), Some(own_messages)), (Some(others_events), Some(others_messages))) = (own, others) else {
        return Ok(None);
    };
    let namer = Namer { keys };
    Ok(Some(Rolls { namer, own: [own_events, own_messages], others: [others_events, others_messages] }))
}
