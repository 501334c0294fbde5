//! Counts the log on all cores, in the order that suits: how much each agent logged, and where the
//! last word on each task stands. A million events take less than a second.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use super::forward::ForwardLines;
use super::known::Namer;
use super::scan::{Line, scan};
use super::{Clones, Entry, Error};
use crate::record::{AgentId, Event, Glance, TaskId, Timestamp};

/// The types of events that `bus` logs by itself: they are no words about the work.
pub const PROTOCOL: [&str; 5] = ["claim", "release", "reclaim", "update", "handshake"];

/// The type of event that say that somebody went on where `bus check` said no.
const OVERRIDE: &str = "override";

/// Which events are counted.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Not those before this time; all if there is none.
    pub since: Option<Timestamp>,
    /// Not those after this time.
    pub until: Timestamp,
}

impl Window {
    /// Whether `time` lies within.
    #[must_use]
    pub fn has(&self, time: Timestamp) -> bool {
        time <= self.until && self.since.is_none_or(|since| time >= since)
    }
}

/// What an agent has logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentTally {
    /// How many events within the window.
    pub events: usize,
    /// Of each sort.
    pub kinds: BTreeMap<String, usize>,
    /// The last one of all, within the window or before.
    pub last: Option<Timestamp>,
}

/// The log, counted.
#[derive(Debug, Default)]
pub struct LogTally {
    /// By agent.
    pub agents: BTreeMap<AgentId, AgentTally>,
    files: Vec<PathBuf>,
    clones: Clones,
    words: HashMap<(TaskId, AgentId), Word>,
    overrides: Vec<Word>,
}

/// Where an event stands. Of two in one second the one with the higher id is the later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Word {
    ts: Timestamp,
    id: String,
    file: usize,
    offset: u64,
}

/// What a thread has counted; names are numbers.
#[derive(Debug, Default)]
struct Part {
    names: Names,
    /// The hash of each counted event's name, its agent and its sort.
    rows: Vec<(u64, u32, u32)>,
    last: HashMap<u32, Timestamp>,
    /// By task and agent.
    words: HashMap<(u32, u32), Word>,
    /// Those of the sort within the window.
    overrides: Vec<Word>,
}

/// Texts as numbers.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<String, u32>,
    texts: Vec<String>,
}

impl Names {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }
}

impl LogTally {
    /// Counts the events of `files`, those of other `clones` last, within `window`, each once
    /// however many files have it. Lines that are no events are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read.
    pub fn of(files: Vec<PathBuf>, clones: Clones, window: Window) -> Result<Self, Error> {
        let namer = Namer::random();
        let look = |part: &mut Part, line: &Line<'_>| {
            if line.ended && !line.is_blank() && !line.is_too_long() {
                part.take(line, window, namer);
            }
        };
        let (parts, _) = scan(&files, Part::default, look)?;
        let mut all = Part::default();
        parts.into_iter().for_each(|part| all.join(part));
        all.rows.sort_unstable();
        all.rows.dedup_by_key(|(name, ..)| *name);
        Ok(LogTally { clones, ..all.tally(files) })
    }

    /// The last word of `agent` on `task`, beside what its commands log by themselves.
    #[must_use]
    pub fn last_word(&self, task: &TaskId, agent: &AgentId) -> Option<Entry> {
        self.read(self.words.get(&(task.clone(), agent.clone()))?)
    }

    /// The events within the window that say that somebody changed what was not theirs, the latest
    /// first.
    pub fn overrides(&self) -> impl Iterator<Item = Event> {
        self.overrides.iter().rev().filter_map(|word| Some(self.read(word)?.event))
    }

    fn read(&self, word: &Word) -> Option<Entry> {
        let path = &self.files[word.file];
        let mut file = BufReader::new(File::open(path).ok()?);
        file.seek(SeekFrom::Start(word.offset)).ok()?;
        let line = ForwardLines::new(file.take(2 * crate::record::json::MAX_LINE as u64))
            .next()
            .ok()??;
        let (elsewhere, own) = (self.clones.of(path), self.clones.is_own(path));
        Some(Entry { event: Event::parse(&line.bytes).ok()?, line: line.bytes, elsewhere, own })
    }
}

impl Part {
    fn take(&mut self, line: &Line<'_>, window: Window, namer: Namer) {
        let event;
        let glance = match Glance::at(line.bytes) {
            Some(glance) => glance,
            None => match Event::parse(line.bytes) {
                Ok(parsed) => {
                    event = parsed;
                    glance_of(&event)
                }
                Err(_) => return,
            },
        };
        if glance.ts > window.until {
            return;
        }
        let agent = self.names.number(&glance.agent_id);
        self.last.entry(agent).and_modify(|last| *last = glance.ts.max(*last)).or_insert(glance.ts);
        if window.has(glance.ts) {
            let kind = self.names.number(&glance.event);
            self.rows.push((namer.name(glance.id.as_deref(), line.bytes), agent, kind));
        }
        if window.has(glance.ts) && glance.event == OVERRIDE {
            let id = glance.id.as_ref().map_or_else(String::new, |id| id.clone().into_owned());
            self.overrides.push(Word { ts: glance.ts, id, file: line.file, offset: line.offset });
        }
        if let Some(task) = glance.task_id.filter(|_| !PROTOCOL.contains(&&*glance.event)) {
            let task = self.names.number(&task);
            let id = glance.id.map_or_else(String::new, Cow::into_owned);
            self.keep(
                (task, agent),
                Word { ts: glance.ts, id, file: line.file, offset: line.offset },
            );
        }
    }

    fn keep(&mut self, key: (u32, u32), word: Word) {
        match self.words.get_mut(&key) {
            Some(last) if *last >= word => {}
            Some(last) => *last = word,
            None => drop(self.words.insert(key, word)),
        }
    }

    /// Takes over what another thread has counted.
    fn join(&mut self, other: Self) {
        let numbers: Vec<u32> =
            other.names.texts.iter().map(|text| self.names.number(text)).collect();
        let number = |old: u32| numbers[old as usize];
        self.rows.extend(
            other.rows.into_iter().map(|(name, agent, kind)| (name, number(agent), number(kind))),
        );
        for (agent, time) in other.last {
            self.last
                .entry(number(agent))
                .and_modify(|last| *last = time.max(*last))
                .or_insert(time);
        }
        self.overrides.extend(other.overrides);
        for ((task, agent), word) in other.words {
            self.keep((number(task), number(agent)), word);
        }
    }

    fn tally(self, files: Vec<PathBuf>) -> LogTally {
        let texts = &self.names.texts;
        let agent_of = |number: u32| AgentId::new(&texts[number as usize]).ok();
        let mut counted: HashMap<u32, AgentTally> = HashMap::new();
        let mut kinds: HashMap<(u32, u32), usize> = HashMap::new();
        for (agent, last) in self.last {
            counted.entry(agent).or_default().last = Some(last);
        }
        for (_, agent, kind) in self.rows {
            *kinds.entry((agent, kind)).or_default() += 1;
        }
        for ((agent, kind), count) in kinds {
            let counted = counted.entry(agent).or_default();
            counted.events += count;
            *counted.kinds.entry(texts[kind as usize].clone()).or_default() += count;
        }
        let mut agents: BTreeMap<AgentId, AgentTally> = BTreeMap::new();
        for (number, tally) in counted {
            agent_of(number)
                .into_iter()
                .for_each(|agent| agents.entry(agent).or_default().add(&tally));
        }
        let mut words: HashMap<(TaskId, AgentId), Word> = HashMap::new();
        for ((task, agent), word) in self.words {
            let Some((task, agent)) = TaskId::new(&texts[task as usize]).ok().zip(agent_of(agent))
            else {
                continue;
            };
            let last = words.entry((task, agent)).or_insert_with(|| word.clone());
            *last = word.max(last.clone());
        }
        let mut overrides = self.overrides;
        overrides.sort_unstable();
        overrides.dedup_by(|one, other| !one.id.is_empty() && one.id == other.id);
        LogTally { agents, files, clones: Clones::none(), words, overrides }
    }
}

impl AgentTally {
    /// Adds what the same agent has logged under another spelling of its name.
    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.last = self.last.max(other.last);
        other
            .kinds
            .iter()
            .for_each(|(kind, count)| *self.kinds.entry(kind.clone()).or_default() += count);
    }
}

fn glance_of(event: &Event) -> Glance<'_> {
    Glance {
        id: event.id.as_deref().map(Cow::Borrowed),
        agent_id: event.agent_id.as_str().into(),
        ts: event.ts,
        event: event.event.as_str().into(),
        task_id: event.task_id.as_ref().map(|task| task.as_str().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_counts_once_and_the_last_word_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let line = |id: &str, agent: &str, event: &str, minute: u8, extra: &str| {
            format!(
                r#"{{"agent_id":"{agent}","event":"{event}","id":"{id}","summary":"{id}","task_id":"Q-1","ts":"2026-03-01T12:{minute:02}:00Z"{extra}}}"#
            ) + "\n"
        };
        let lines = [
            line("a", "x", "note", 1, ""),
            line("b", "x", "status", 5, r#","meta":{"deep":[1]}"#),
            line("d", "x", "status", 5, ""),
            line("c", "x", "claim", 9, ""),
            line("e", "y", "note", 3, ""),
            line("f", "X", "note", 2, ""),
            line("g", "y", "override", 1, ""),
            line("h", "y", "override", 4, ""),
            line("i", "y", "override", 6, r#","paths":["a"]"#),
            line("late", "y", "note", 40, ""),
        ];
        let files = ["one", "two"].map(|name| folder.path().join(name));
        let write = |file: &PathBuf, text: String| {
            std::io::Write::write_all(&mut File::create(file).unwrap(), text.as_bytes())
        };
        write(&files[0], format!("{}no event\n\n", lines.concat())).unwrap();
        write(&files[1], format!("{}{}{}{{\"cut", lines[0], lines[4], lines[7])).unwrap();
        let at =
            |minute: u8| format!("2026-03-01T12:{minute:02}:00Z").parse::<Timestamp>().unwrap();
        let window = Window { since: Some(at(2)), until: at(30) };
        let tally = LogTally::of(files.to_vec(), Clones::none(), window).unwrap();
        let [x, y] = ["x", "y"].map(|agent| AgentId::new(agent).unwrap());
        let kinds =
            |agent: &AgentId| tally.agents[agent].kinds.clone().into_iter().collect::<Vec<_>>();
        assert_eq!(
            kinds(&x),
            [("claim".to_owned(), 1), ("note".to_owned(), 1), ("status".to_owned(), 2)]
        );
        assert_eq!(
            (kinds(&y), tally.agents[&y].last),
            (vec![("note".to_owned(), 1), ("override".to_owned(), 2)], Some(at(6)))
        );
        assert_eq!(tally.overrides().map(|event| event.summary).collect::<Vec<_>>(), ["i", "h"]);
        let task = TaskId::new("q-1").unwrap();
        assert_eq!(tally.last_word(&task, &x).unwrap().event.summary, "d");
        assert_eq!(tally.last_word(&task, &y).unwrap().event.summary, "i");
        assert!(tally.last_word(&task, &AgentId::new("z").unwrap()).is_none());
    }
}
