//! The plans of the clone, the same from every worktree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::plan_fault::PlanFault;
use crate::bus::Error;
use crate::bus::workspace::Workspace;
use crate::record::json::MAX_RECORD;
use crate::record::{Fault, PlanId, PlanRecord, Progress, TaskId};
use crate::store::{Layout, Place};

/// How the file of a plan ends.
const END: &str = ".plan.json";

/// How many plans are looked into for the one of a task.
const LOOKED_INTO: usize = 16;

/// A plan, and where it was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FoundPlan {
    /// The plan.
    pub(crate) plan: PlanRecord,
    /// Its file. The receipts that it names are below the same root.
    pub(crate) place: Place,
    /// Whether that is this worktree's.
    pub(crate) here: bool,
}

/// The plans of the clone.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    /// Each plan once, by id. Where several worktrees have it, the one that has come furthest.
    pub(crate) found: Vec<FoundPlan>,
    /// Why other files are none.
    pub(crate) faults: Vec<Error>,
}

/// The plans of all worktrees. Of a plan that several have, the copy counts that has come furthest:
/// done before not done, then more steps done, more steps begun, more written; this worktree's
/// where they are even.
#[must_use]
pub(crate) fn plans(ws: &Workspace) -> Plans {
    ws.warn_if_left_out("_plans");
    let mut plans = Plans::default();
    let mut furthest: BTreeMap<PlanId, FoundPlan> = BTreeMap::new();
    for (index, layout) in ws.layouts().enumerate() {
        for plan in plan_ids(layout) {
            let found = match plan_in(ws, layout, &plan) {
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

/// The plan that is called `asked`, by its id or a part of it: of several worktrees' copies the one
/// that has come furthest.
///
/// # Errors
///
/// [`PlanFault::NoPlan`] or [`PlanFault::Ambiguous`] if it is not one plan; [`Error::Malformed`]
/// where it cannot be read.
pub(crate) fn plan(ws: &Workspace, asked: &str) -> Result<FoundPlan, Error> {
    let id = plan_called(ws, asked)?;
    copies(ws, &id)?.ok_or_else(|| PlanFault::NoPlan { asked: asked.to_owned() }.into())
}

/// The id of the one plan in any worktree that has `asked` in its id, or is called so.
///
/// # Errors
///
/// [`PlanFault::NoPlan`], [`PlanFault::Ambiguous`].
pub(in crate::bus) fn plan_called(ws: &Workspace, asked: &str) -> Result<PlanId, Error> {
    one_of(asked, ws.layouts().flat_map(plan_ids))
}

/// As [`plan_called`], in this worktree alone.
///
/// # Errors
///
/// [`PlanFault::NoPlan`], [`PlanFault::Ambiguous`].
pub(crate) fn plan_called_here(ws: &Workspace, asked: &str) -> Result<PlanId, Error> {
    one_of(asked, plan_ids(&ws.layout).into_iter())
}

/// The ids of all plans of the clone.
#[must_use]
pub(crate) fn known_plans(ws: &Workspace) -> BTreeSet<PlanId> {
    ws.layouts().flat_map(plan_ids).collect()
}

/// The copy of the plan `plan` that has come furthest. One that cannot be read hides no other.
pub(in crate::bus) fn copies(ws: &Workspace, plan: &PlanId) -> Result<Option<FoundPlan>, Error> {
    let mut furthest: Option<FoundPlan> = None;
    let mut fault = None;
    for (index, layout) in ws.layouts().enumerate() {
        match spelled_plan_in(ws, layout, plan) {
            Ok(Some((place, plan)))
                if furthest.as_ref().is_none_or(|known| rank(&plan) > rank(&known.plan)) =>
            {
                furthest = Some(FoundPlan { plan, place, here: index == 0 });
            }
            Ok(_) => {}
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    match (furthest, fault) {
        (None, Some(fault)) => Err(fault),
        (furthest, _) => Ok(furthest),
    }
}

/// This worktree's copy of the plan `plan`.
pub(super) fn plan_here(ws: &Workspace, plan: &PlanId) -> Result<Option<FoundPlan>, Error> {
    let found = spelled_plan_in(ws, &ws.layout, plan)?;
    Ok(found.map(|(place, plan)| FoundPlan { plan, place, here: true }))
}

/// The plan in a worktree that is called `plan` in whatever letter case.
fn spelled_plan_in(
    ws: &Workspace,
    layout: &Layout,
    plan: &PlanId,
) -> Result<Option<(Place, PlanRecord)>, Error> {
    let spelled =
        plan_ids(layout).into_iter().filter(|known| known == plan).min_by_key(PlanId::to_string);
    spelled.map_or(Ok(None), |spelled| plan_in(ws, layout, &spelled))
}

/// The newest plan that is linked to the claim of `task` and is not done.
///
/// A claim must cost the same however many plans there are. So plans are chosen by their names
/// alone, those with the task's id in them first, then the newest, and only a few are looked into.
pub(in crate::bus) fn plan_of(ws: &Workspace, task: &TaskId) -> Option<PlanId> {
    let mut chosen: Vec<((bool, bool), String, &Layout)> = Vec::with_capacity(LOOKED_INTO + 1);
    let spellings = spellings_of(task);
    for layout in ws.layouts() {
        for_each_name(layout, |name| {
            // A name without a date says nothing of its age.
            let is_dated = name.starts_with(|first: char| first.is_ascii_digit());
            let key = ((names_one_of(name.as_bytes(), &spellings), is_dated), name);
            let place = chosen.partition_point(|(sort, known, _)| (*sort, known.as_str()) > key);
            let is_known = chosen.get(place).is_some_and(|(_, known, _)| known == name);
            if place < LOOKED_INTO && !is_known {
                chosen.insert(place, (key.0, name.to_owned(), layout));
                chosen.truncate(LOOKED_INTO);
            }
        });
    }
    let linked = chosen
        .into_iter()
        .filter_map(|(_, name, layout)| linked_plan(ws, layout, &PlanId::new(name).ok()?, task));
    linked
        .max_by(|one, other| (one.created, &one.plan_id).cmp(&(other.created, &other.plan_id)))
        .map(|plan| plan.plan_id)
}

/// The plan `plan` of a worktree, where it is linked to the claim of `task` and not done. One of
/// the future would come before all others for good.
fn linked_plan(
    ws: &Workspace,
    layout: &Layout,
    plan: &PlanId,
    task: &TaskId,
) -> Option<PlanRecord> {
    let bytes = layout.plan(plan).read(MAX_RECORD).ok()??;
    // Most plans are another task's: their text tells sooner than their records.
    if !names_one_of(&bytes, &spellings_of(task)) {
        return None;
    }
    let found = PlanRecord::parse(&bytes).ok()?;
    let is_open = found.status != Progress::Done && found.created <= ws.clock.now();
    (found.plan_id == *plan && is_open && found.tasks().any(|linked| linked == *task))
        .then_some(found)
}

/// The plan `plan` of a worktree, where it has it.
///
/// # Errors
///
/// [`Error::Malformed`] if its file is no plan, or another one's.
fn plan_in(
    ws: &Workspace,
    layout: &Layout,
    plan: &PlanId,
) -> Result<Option<(Place, PlanRecord)>, Error> {
    let place = layout.plan(plan);
    let Some(bytes) = place.read(MAX_RECORD)? else { return Ok(None) };
    let right = |found: PlanRecord| match found.plan_id == *plan {
        true => Ok(found),
        false => Err(Fault::WrongPlan { found: found.plan_id.to_string() }),
    };
    let read = PlanRecord::parse(&bytes)
        .and_then(right)
        .map_err(Error::malformed(ws.show(&place), &bytes))?;
    Ok(Some((place, read)))
}

impl FoundPlan {
    /// The root of the worktree that it was found in.
    #[must_use]
    pub(crate) fn root(&self) -> &Path {
        self.place.root()
    }
}

/// The one of `plans` that `asked` means, as git takes a part of an object id.
fn one_of(asked: &str, plans: impl Iterator<Item = PlanId>) -> Result<PlanId, Error> {
    let wanted = asked.to_ascii_lowercase();
    let mut found: BTreeSet<PlanId> =
        plans.filter(|plan| plan.as_str().to_ascii_lowercase().contains(&wanted)).collect();
    if let Some(exact) = found.iter().find(|plan| plan.as_str().eq_ignore_ascii_case(asked)) {
        return Ok(exact.clone());
    }
    match found.pop_first() {
        Some(only) if found.is_empty() => Ok(only),
        None => Err(PlanFault::NoPlan { asked: asked.to_owned() }.into()),
        Some(first) => Err(PlanFault::Ambiguous {
            asked: asked.to_owned(),
            plans: std::iter::once(first).chain(found).collect(),
        }
        .into()),
    }
}

/// The ids of the plans that have a file in a worktree.
fn plan_ids(layout: &Layout) -> Vec<PlanId> {
    let mut ids = Vec::new();
    for_each_name(layout, |name| ids.extend(PlanId::new(name)));
    ids
}

/// Calls `look` with the name of each plan's file in a worktree, without its end.
fn for_each_name(layout: &Layout, mut look: impl FnMut(&str)) {
    for entry in std::fs::read_dir(layout.plans()).into_iter().flatten().flatten() {
        if let Some(name) = entry.file_name().to_str().and_then(|name| name.strip_suffix(END)) {
            look(name);
        }
    }
}

/// How a text may spell a task: its number may have more zeros or fewer.
fn spellings_of(task: &TaskId) -> Vec<String> {
    [task.as_str().to_owned(), task.key()].into_iter().chain(task.other_keys()).collect()
}

/// Whether `text` has one of `words` in it, in whatever letter case.
fn names_one_of(text: &[u8], words: &[String]) -> bool {
    words.iter().any(|word| has_in_it(text, word))
}

/// Whether `text` has `word` in it, in whatever letter case.
fn has_in_it(text: &[u8], word: &str) -> bool {
    let Some((first, _)) = word.as_bytes().split_first() else { return true };
    let (small, large) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    let begins = |start: &usize| {
        text.get(*start..start + word.len())
            .is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    memchr::memchr2_iter(small, large, text).any(|start| begins(&start))
}

/// How far a plan has come: what is done, what is begun, how much is written. Each of them only
/// grows.
fn rank(plan: &PlanRecord) -> (bool, usize, usize, usize) {
    let begun = plan.steps.iter().filter(|step| step.status != Progress::Queued).count();
    (plan.status == Progress::Done, plan.tally().done, begun, plan.to_bytes().len())
}
