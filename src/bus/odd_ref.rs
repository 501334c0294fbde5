//! Refs that are none of the bus's where those of the bus are: anybody who may push can make them. Each stops at most itself.
//!
//! git cannot keep `refs/bus/locks/x` beside `refs/bus/locks`, and a blob is no claim. Below `refs/bus/`, which is the bus's alone, what is
//! in the way of a change is moved aside on the remote, and is not lost. Where refs of the bus are branches it may be somebody's work: there
//! a person decides.

use std::collections::{BTreeMap, BTreeSet};

use super::deinit::remove;
use super::doctor::{Cure, Finding, finding};
use super::error::odd_ref_advice;
use super::notes::Note;
use super::sync::{is_log, shared, task_of};
use super::{Bus, Error, FleetFault};
use crate::git::{Archive, MAX_PUSH, ObjectId, RefName, Remote, Sight, Swap};
use crate::record::{Fleet, OWN_PREFIX, TaskId};
use crate::store::replace_copy;

/// How many odd refs are shown.
const MAX_SHOWN: usize = 20;

/// How many refs are moved aside at once: the system limits how long a command line may be.
const MAX_MOVED: usize = MAX_PUSH / 10;

/// How much of the note of odd refs is read, in bytes.
const MAX_NOTE: usize = 64 * 1024;

impl Bus {
    /// The error that a ref of the fleet's remote is not what it should be.
    pub(super) fn odd_ref(&self, name: &RefName, what: &str) -> Error {
        let fleet = self.fleet().ok().flatten();
        let prefix = fleet.map_or(OWN_PREFIX, |fleet| &fleet.prefix);
        let remote = fleet.map_or("origin", |fleet| &fleet.remote).to_owned();
        Error::OddRef { name: format!("{prefix}{}", name.rest()), remote, what: what.to_owned() }
    }

    /// What follows the archive that the remote was `seen` to have, if it is one, else this clone's: a remote that has lost it gets it back.
    pub(super) fn archive_for(&self, seen: Option<ObjectId>) -> Result<ObjectId, Error> {
        let ours = self.repo.id_of(&RefName::archive())?.filter(|ours| self.repo.archive(*ours).is_ok());
        match seen {
            Some(seen) if ours == Some(seen) || self.repo.is_archive(seen)? => Ok(seen),
            _ => Ok(ours.map_or_else(|| self.repo.archive_root(), Ok)?),
        }
    }

    /// The archive that the fleet's remote was last seen to have, if it can be read.
    pub(super) fn seen_archive(&self) -> Option<Archive> {
        let fleet = self.fleet().ok().flatten()?;
        let seen = RefName::archive().seen_on(&fleet.remote)?;
        let seen = self.repo.id_of(&seen).ok().flatten()?;
        self.repo.archive(seen).ok()
    }

    /// Moves aside what is in the way of these refs on the remote, if that is why a change of them has failed.
    ///
    /// # Errors
    ///
    /// `error` if nothing is in the way; [`Error::OddRef`] if it cannot be moved.
    pub(super) fn make_way(&self, fleet: &Fleet, remote: &Remote, names: &[RefName], error: Error) -> Result<(), Error> {
        if !matches!(error, Error::Fleet(FleetFault::Refused { .. }) | Error::OddRef { .. }) {
            return Err(error);
        }
        let sight = self.repo.look_at(remote, &[])?;
        let odd = self.in_the_way(remote, names, &sight)?;
        let Some(first) = odd.keys().next() else { return Err(error) };
        let blocked = names.iter().find(|name| first.excludes(name));
        let what = blocked.map_or_else(
            || "is no commit, so it is none of the bus's".to_owned(),
            |name| format!("is none of the bus's, and git cannot have `{}` beside it", name.rest()),
        );
        let fault = self.odd_ref(first, &what);
        if fleet.prefix != OWN_PREFIX || odd.len() > MAX_MOVED {
            return Err(fault);
        }
        let kept: BTreeSet<ObjectId> = odd.values().copied().collect();
        let kept: BTreeMap<RefName, ObjectId> = kept.into_iter().filter_map(|id| Some((kept_as(id)?, id))).collect();
        let to_keep = kept.into_iter().filter(|(name, _)| !sight.contains_key(name));
        let keeping = to_keep.map(|(name, id)| Swap { name, expected: None, new: Some(id) });
        let removing = odd.iter().map(|(name, id)| Swap { name: name.clone(), expected: Some(*id), new: None });
        self.repo.push(remote, &keeping.chain(removing).collect::<Vec<_>>(), true)?;
        let now = self.repo.look_at(remote, &[])?;
        if odd.iter().any(|(name, id)| now.get(name) == Some(id)) {
            return Err(fault);
        }
        for (name, id) in &odd {
            let kept = kept_as(*id).map_or_else(String::new, |kept| format!("; it is kept there as `{}`", kept.as_str()));
            let found = self.odd_ref(name, "was none of the bus's, and in the way");
            self.notes.add(Note::Warning(format!("{found}{kept}; {}", odd_ref_advice(remote.name()))));
        }
        Ok(())
    }

    /// The remote's refs beside which git cannot have one of `names`, and those of `names` that are no commits. Their objects are here.
    fn in_the_way(&self, remote: &Remote, names: &[RefName], sight: &Sight) -> Result<Sight, Error> {
        let candidates = sight.iter().filter(|(there, _)| names.iter().any(|name| name == *there || name.excludes(there)));
        let mut odd: Sight = candidates.map(|(name, id)| (name.clone(), *id)).collect();
        self.repo.fetch_objects(remote, &odd.keys().cloned().collect::<Vec<_>>())?;
        let mut sound = Vec::new();
        for (name, id) in odd.iter().filter(|(name, _)| names.contains(name)) {
            if !self.repo.is_no_commit(*id)? {
                sound.push(name.clone());
            }
        }
        odd.retain(|name, _| !sound.contains(name));
        Ok(odd)
    }

    /// Notes for `bus doctor` which of the remote's refs are none of the bus's, or cannot be read.
    pub(super) fn note_odd_refs(&self, sight: &Sight, faults: &[Error]) -> Result<(), Error> {
        let unknown =
            sight.keys().filter(|name| !is_known(name)).map(|name| self.odd_ref(name, "is no ref of the bus").to_string());
        let odd = faults.iter().filter(|fault| matches!(fault, Error::OddRef { .. })).map(ToString::to_string);
        let mut odd = unknown.chain(odd);
        let mut lines: Vec<String> = odd.by_ref().take(MAX_SHOWN).collect();
        let more = odd.count();
        lines.extend((more > 0).then(|| format!("{more} more refs of the remote are none of the bus's, or cannot be read")));
        let place = self.private.odd_refs();
        if !lines.is_empty() {
            return Ok(replace_copy(&place, format!("{}\n", lines.join("\n")).as_bytes())?);
        }
        if place.inspect()?.is_some() { remove(&place.path()) } else { Ok(()) }
    }

    /// Refs that are none of the bus's: here, among what was seen on a remote, and on the remote when it was last looked at.
    pub(super) fn examine_odd_refs(&self, findings: &mut Vec<Finding>) -> Result<(), Error> {
        let remotes = self.repo.remote_addresses().into_iter().map(|(name, _)| RefName::all_seen_on(&name));
        let mut odd = Vec::new();
        for prefix in [RefName::ALL_OWN.to_owned()].into_iter().chain(remotes) {
            let names = self.repo.names_below(&prefix)?.into_iter();
            let unknown = names.filter(|name| RefName::own(name).is_some_and(|name| !is_known(&name)));
            odd.extend(unknown.filter_map(|name| RefName::parse(&format!("{prefix}{name}"))));
        }
        for name in odd.into_iter().take(MAX_SHOWN) {
            let what = "it is no ref of the bus".to_owned();
            findings.push(finding("odd-ref", name.as_str().to_owned(), what, Some(Cure::DropRef(name))));
        }
        let Some(fleet) = self.fleet().ok().flatten() else { return Ok(()) };
        let note = self.private.odd_refs().read(MAX_NOTE)?.unwrap_or_default();
        for line in String::from_utf8_lossy(&note).lines() {
            let found = finding("odd-ref", fleet.remote.clone(), line.to_owned(), None);
            findings.push(found.advise(odd_ref_advice(&fleet.remote)));
        }
        Ok(())
    }
}

/// Where what is moved aside is kept on the remote: beside nothing, and called after what it is at.
fn kept_as(id: ObjectId) -> Option<RefName> {
    RefName::own(&format!("odd/{id}"))
}

/// Whether this version knows what a ref is for.
fn is_known(name: &RefName) -> bool {
    let is_one = [RefName::archive(), RefName::fleet()].contains(name) || shared().contains(name);
    // Nobody reads a claim under another spelling than these.
    let is_claim = |task: TaskId| RefName::claim(&task) == *name || RefName::other_claims(&task).contains(name);
    is_one || is_log(name) || task_of(name).is_some_and(is_claim) || name.rest().starts_with("lost/")
}
