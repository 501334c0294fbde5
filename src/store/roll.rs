//! Which lines a log has: of each 16 bytes, in a file of this clone's own that only grows.
//!
//! It is never held in memory as a whole: the few lines that are asked for are, and the file is passed over.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::known::{Hashes, Namer, RECORD, hashes, record};
use super::{Error, Lock, Place, Stream, Verb};

/// How many lines that are not in the file yet are held in memory.
const MAX_FRESH: usize = 64 * 1024;

/// How much is read at a time, in bytes.
const CHUNK: usize = 4096 * RECORD;

/// Which lines this clone has published, and which it has from other clones.
#[derive(Debug)]
pub struct Rolls {
    pub(super) namer: Namer,
    /// Of each stream.
    pub(super) own: [Roll; 2],
    pub(super) others: [Roll; 2],
}

impl Rolls {
    /// Those of `lines` that no log has yet, each once; they count as published from now on.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a roll cannot be read or written.
    pub fn take_unpublished<T>(
        &mut self,
        held: &Lock,
        stream: Stream,
        lines: Vec<(T, Vec<u8>)>,
    ) -> Result<Vec<(T, Vec<u8>)>, Error> {
        let named: Vec<(Hashes, (T, Vec<u8>))> =
            lines.into_iter().map(|(from, line)| (self.namer.hashes(&line), (from, line))).collect();
        let mut new: HashSet<Hashes> = named.iter().map(|(name, _)| *name).collect();
        let (own, others) = (&mut self.own[stream as usize], &self.others[stream as usize]);
        own.strike(&mut new)?;
        others.strike(&mut new)?;
        let mut taken = Vec::new();
        for (name, line) in named {
            if new.remove(&name) {
                own.add(held, name)?;
                taken.push(line);
            }
        }
        Ok(taken)
    }

    /// Those of `lines`, which another clone has published, that this clone has not published itself, each once.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a roll cannot be read or written.
    pub fn take_foreign(&mut self, held: &Lock, stream: Stream, lines: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Error> {
        let named: Vec<(Hashes, Vec<u8>)> = lines.into_iter().map(|line| (self.namer.hashes(&line), line)).collect();
        let mut new: HashSet<Hashes> = named.iter().map(|(name, _)| *name).collect();
        new.iter().try_for_each(|name| self.others[stream as usize].add(held, *name))?;
        self.own[stream as usize].strike(&mut new)?;
        Ok(named.into_iter().filter(|(name, _)| new.remove(name)).map(|(_, line)| line).collect())
    }

    /// Notes that this clone's log has `line`.
    pub(super) fn learn_own(&mut self, held: &Lock, stream: Stream, line: &[u8]) -> Result<(), Error> {
        self.own[stream as usize].add(held, self.namer.hashes(line))
    }

    /// Notes that another clone's log has `line`.
    pub(super) fn learn_others(&mut self, held: &Lock, stream: Stream, line: &[u8]) -> Result<(), Error> {
        self.others[stream as usize].add(held, self.namer.hashes(line))
    }

    /// All of them.
    pub(super) fn all(&mut self) -> [&mut Roll; 4] {
        let ([events, messages], [others_events, others_messages]) = (&mut self.own, &mut self.others);
        [events, messages, others_events, others_messages]
    }
}

/// The lines of a log.
#[derive(Debug)]
pub(super) struct Roll {
    place: Place,
    /// How many lines the file has that count: what stands behind them, a killed process has left.
    lines: u64,
    fresh: HashSet<Hashes>,
}

impl Roll {
    /// The roll in the file at `place`, which has so many lines; none where it has fewer.
    pub(super) fn open(place: Place, lines: u64) -> Result<Option<Self>, Error> {
        let length = place.inspect()?.map_or(0, |metadata| metadata.len());
        let whole = length / RECORD as u64 >= lines;
        Ok(whole.then(|| Self { place, lines, fresh: HashSet::new() }))
    }

    /// How many lines the file has.
    pub(super) const fn lines(&self) -> u64 {
        self.lines
    }

    /// Takes out of `wanted` what the log has.
    pub(super) fn strike(&self, wanted: &mut HashSet<Hashes>) -> Result<(), Error> {
        wanted.retain(|line| !self.fresh.contains(line));
        if wanted.is_empty() || self.lines == 0 {
            return Ok(());
        }
        let path = self.place.path();
        self.pass_over(wanted).map_err(Error::io(Verb::Read, &path))
    }

    fn pass_over(&self, wanted: &mut HashSet<Hashes>) -> io::Result<()> {
        let mut file = File::open(self.place.path())?.take(self.lines * RECORD as u64);
        let mut chunk = Vec::with_capacity(CHUNK);
        while !wanted.is_empty() {
            chunk.clear();
            if file.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)? == 0 {
                break;
            }
            for line in chunk.chunks_exact(RECORD) {
                wanted.remove(&hashes(line));
            }
        }
        Ok(())
    }

    /// Notes that the log has a line.
    pub(super) fn add(&mut self, held: &Lock, line: Hashes) -> Result<(), Error> {
        self.fresh.insert(line);
        if self.fresh.len() >= MAX_FRESH { self.save(held) } else { Ok(()) }
    }

    /// Writes what was noted.
    pub(super) fn save(&mut self, _held: &Lock) -> Result<(), Error> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        self.place.make_folders()?;
        self.place.inspect()?;
        let path = self.place.path();
        let bytes: Vec<u8> = self.fresh.iter().copied().flat_map(record).collect();
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
            file.set_len(self.lines * RECORD as u64)?;
            file.seek(SeekFrom::End(0))?;
            file.write_all(&bytes)
        };
        write().map_err(Error::io(Verb::Write, &path))?;
        self.lines += self.fresh.len() as u64;
        self.fresh.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_roll_knows_its_lines_and_forgets_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| Place::new(folder.path(), name);
        let lock = Lock::acquire(&place("lock"), "test", Duration::ZERO, |_| {}).unwrap();
        let has = |roll: &Roll, line: u64| {
            let mut wanted = HashSet::from([(line, line)]);
            roll.strike(&mut wanted).unwrap();
            wanted.is_empty()
        };
        let mut roll = Roll::open(place("roll"), 0).unwrap().unwrap();
        (0..5000).for_each(|line| roll.add(&lock, (line, line)).unwrap());
        assert!(has(&roll, 4999) && !has(&roll, 5000));
        roll.save(&lock).unwrap();
        roll.add(&lock, (5000, 5000)).unwrap();
        roll.save(&lock).unwrap();
        assert_eq!(roll.lines(), 5001);
        assert!((0..5001).all(|line| has(&roll, line)));
        let mut roll = Roll::open(place("roll"), 5000).unwrap().unwrap();
        assert!(has(&roll, 4999) && !has(&roll, 5000));
        roll.add(&lock, (7, 8)).unwrap();
        roll.save(&lock).unwrap();
        assert_eq!(place("roll").inspect().unwrap().unwrap().len(), 5001 * RECORD as u64);
        assert!(Roll::open(place("roll"), 5002).unwrap().is_none(), "a roll that lacks lines is none");
    }
}
