//! What `bus doctor` finds of a fleet, and of refs that something else destroyed.

use super::deinit::remove;
use super::doctor::{Cure, Finding, finding};
use super::view::View;
use super::{Bus, Error};
use crate::git::RefName;
use crate::record::json::MAX_RECORD;
use crate::record::{Claim, Origin, TaskId};
use crate::store::{Lock, last_touched, replace};

impl Bus {
    /// The note of the fleet, what git's settings would do to refs of the bus, and refs whose objects are gone.
    pub(super) fn examine_fleet(&self, findings: &mut Vec<Finding>) -> Result<(), Error> {
        if self.config().is_ok()
            && let Err(error) = self.fleet()
        {
            let found = self.of_error("fleet", error)?;
            // A note of version 0.1 may have come from a branch alone; what was confirmed is not forgotten.
            let is_unproved = self.private.fleet().path().exists() && last_touched(&self.private.fleet_seen()).is_none();
            findings.push(match is_unproved {
                true => finding("fleet", found.place, found.what, Some(Cure::ForgetFleet)),
                false => found,
            });
        }
        self.examine_rewritten(findings)?;
        self.examine_odd_refs(findings)?;
        for (key, value) in self.repo.remotes()?.greedy {
            let what = format!("`{value}` lets git remove or overwrite refs of the bus when it fetches or pushes");
            let advice = "have it name branches only: `+refs/heads/*:refs/remotes/NAME/*`; a mirror is no place for a bus";
            findings.push(finding("greedy-remote", key, what, None).advise(advice));
        }
        let archive = RefName::archive();
        if let Some(id) = self.repo.id_of(&archive)?
            && let Err(error) = self.repo.archive(id)
        {
            let cure = Some(Cure::DropRef(archive.clone()));
            findings.push(finding("unreadable-ref", archive.as_str().to_owned(), error.to_string(), cure));
        }
        let prefixes = ["refs/bus-remote/", "refs/bus/lost/", "refs/bus/log/"];
        for prefix in prefixes {
            for name in self.repo.broken_below(prefix)? {
                let what = "its object is not here: that breaks `git fetch`".to_owned();
                findings.push(finding("unreadable-ref", name.as_str().to_owned(), what, Some(Cure::DropRef(name))));
            }
        }
        Ok(())
    }

    /// A claim that was made in this clone, and whose ref is gone: a mirror or a careless prune has removed it.
    pub(super) fn examine_missing_ref(&self, view: &View) -> Result<Option<Finding>, Error> {
        let is_whole = view.stand_in.is_none() && (view.ref_id.is_some() || self.archived_id(&view.task)?.is_some());
        if is_whole || view.unreadable.is_some() {
            return Ok(None);
        }
        let own = self.known_clone_id()?;
        let made_here = |claim: &Claim| own.is_some() && claim.origin.as_ref().map(Origin::clone_id) == own.as_deref();
        let gone = view.claim().is_some_and(made_here);
        Ok(gone.then(|| {
            let how = if view.ref_id.is_some() { "has a ref that was set back" } else { "has lost its ref" };
            let what = format!("a claim of this clone {how}");
            finding("missing-ref", view.name.as_str().to_owned(), what, Some(Cure::Rebuild(view.task.clone())))
        }))
    }

    /// Keeps the files of a claim that was not the first aside: what the ref says takes the place of the record's, what the last commit has
    /// that of this worktree's, unless that is the same claim.
    pub(super) fn give_up(&self, task: &TaskId) -> Result<(), Error> {
        let is_lost =
            |bytes: &[u8]| Claim::parse(bytes).is_ok_and(|claim| self.lost_claim(&claim).is_ok_and(|lost| lost.is_some()));
        for layout in [&self.record, &self.layout] {
            let place = layout.claim(task);
            if !place.read(MAX_RECORD)?.is_some_and(|bytes| is_lost(&bytes)) {
                continue;
            }
            self.keep_aside(task.as_str(), &place)?;
            let instead = match layout.root() == self.record.root() {
                true => self.tip(task)?.map(|tip| tip.link.body),
                false => self.repo.committed_file(place.relative()).filter(|bytes| !is_lost(bytes)),
            };
            match instead {
                Some(bytes) => replace(&place, &bytes)?,
                None => remove(&place.path())?,
            }
        }
        Ok(())
    }

    /// Makes the ref of a task anew: what the fleet's remote was seen to have, or what the record knows beyond that.
    pub(super) fn rebuild(&self, lock: &mut Lock, task: &TaskId) -> Result<(), Error> {
        let view = self.view(task)?;
        let tip = match (&view.tip, &view.stand_in) {
            (_, Some(file)) => self.import_claim(&view, file, &file.claim.agent_id)?,
            (Some(tip), None) if view.ref_id.is_none() => tip.link.id,
            _ => return Ok(()),
        };
        lock.about_to_write(view.name.as_str())?;
        self.repo.swap(&view.name, view.ref_id, tip)?;
        Ok(())
    }
}
