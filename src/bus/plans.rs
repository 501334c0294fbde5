//! The plans of the clone, the same from every worktree.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Bus, Error};
use crate::record::json::MAX_RECORD;
use crate::record::{Fault, PlanId, PlanRecord, Progress};
use crate::store::{Layout, Place};

/// How the file of a plan ends.
const END: &str = ".plan.json";

/// A plan, and where it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundPlan {
    /// The plan.
    pub plan: PlanRecord,
    /// Its file. The receipts that it names are below the same root.
    pub place: Place,
    /// Whether that is this worktree's.
    pub here: bool,
}

/// The plans of the clone.
#[derive(Debug, Default)]
pub struct Plans {
    /// Each plan once, by id. Where several worktrees have it, the one that has come furthest.
    pub found: Vec<FoundPlan>,
    /// Why other files are none.
    pub faults: Vec<Error>,
}

impl Bus {
    /// The plans of all worktrees. Of a plan that several have, the copy counts that has come furthest: done before not done, then
    /// more steps done, more steps begun, more written; this worktree's where they are even.
    #[must_use]
    pub fn plans(&self) -> Plans {
        let mut plans = Plans::default();
        let mut furthest: BTreeMap<PlanId, FoundPlan> = BTreeMap::new();
        for (index, layout) in self.layouts().enumerate() {
            for plan in plan_ids(layout, |_| true) {
                let found = match self.plan_in(layout, &plan) {
                    Ok(Some((place, plan))) => FoundPlan { plan, place, here: index == 0 },
                    Ok(None) => continue,
                    Err(error) => {
                        plans.faults.push(error);
                        continue;
                    }
                };
                let known = furthest.get(&found.plan.plan_id);
                if known.is_none_or(|known| rank(&found.plan) > rank(&known.plan)) {
                    furthest.insert(found.plan.plan_id.clone(), found);
                }
            }
        }
        plans.found = furthest.into_values().collect();
        plans
    }

    /// The plan `plan` of a worktree, where it has it.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] where its file is no plan, or another one's.
    pub(super) fn plan_in(&self, layout: &Layout, plan: &PlanId) -> Result<Option<(Place, PlanRecord)>, Error> {
        let place = layout.plan(plan);
        let Some(bytes) = place.read(MAX_RECORD)? else { return Ok(None) };
        let right = |found: PlanRecord| match found.plan_id == *plan {
            true => Ok(found),
            false => Err(Fault::WrongPlan { found: found.plan_id.to_string() }),
        };
        let read = PlanRecord::parse(&bytes).and_then(right).map_err(Error::malformed(self.show(&place), &bytes))?;
        Ok(Some((place, read)))
    }
}

impl FoundPlan {
    /// The root of the worktree that it was found in.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.place.root()
    }
}

/// The ids of the plans that have a file in a worktree, of those whose names are wanted.
pub(super) fn plan_ids(layout: &Layout, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = PlanId> {
    let entries = std::fs::read_dir(layout.plans()).into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let name = entry.file_name();
        PlanId::new(name.to_str()?.strip_suffix(END).filter(|id| wanted(id))?).ok()
    })
}

/// How far a plan has come: what is done, what is begun, how much is written. Each of them only grows.
fn rank(plan: &PlanRecord) -> (bool, usize, usize, usize) {
    let begun = plan.steps.iter().filter(|step| step.status != Progress::Queued).count();
    (plan.status == Progress::Done, plan.tally().done, begun, plan.to_bytes().len())
}
