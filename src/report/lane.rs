//! How the work flows: how long tasks take, how much is done again, how long it waits, how often
//! agents are refused.

use std::time::Duration;

use super::facts::TaskFacts;
use crate::record::{Assignment, Ended, Timestamp};

/// How some lengths of time are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spread {
    /// How many there are.
    pub(crate) count: usize,
    /// The middle one; of an even number the lower of both.
    pub(crate) median: Duration,
    /// The longest.
    pub(crate) longest: Duration,
}

/// How many of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// So many.
    pub(crate) some: usize,
    /// Of so many.
    pub(crate) all: usize,
}

/// How the work flows in the time that a report is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lane {
    /// From the claim to the end, of what was finished.
    pub(crate) cycle: Spread,
    /// The tasks that were reopened or taken over, of those that were claimed.
    pub(crate) rework: Share,
    /// From the assignment to the claim.
    pub(crate) wait: Spread,
    /// The actions that were refused, of all that were logged or refused.
    pub(crate) refused: Share,
}

impl Spread {
    /// How `lengths` are spread.
    #[must_use]
    pub(crate) fn of(mut lengths: Vec<Duration>) -> Self {
        lengths.sort_unstable();
        let median = lengths.get(lengths.len().saturating_sub(1) / 2).copied().unwrap_or_default();
        Self { count: lengths.len(), median, longest: lengths.last().copied().unwrap_or_default() }
    }
}

/// The lane of `tasks`, as far as it lies after `since`.
pub(super) fn lane(
    tasks: &[TaskFacts],
    assignments: &[Assignment],
    since: Option<Timestamp>,
    refused: Share,
) -> Lane {
    let recent = |time: Timestamp| since.is_none_or(|since| time >= since);
    let claims = || tasks.iter().filter_map(|task| task.claim.as_ref().map(|claim| (task, claim)));
    let cycle = claims().filter(|(task, _)| task.state.is_done()).filter_map(|(_, claim)| {
        let end = claim.released_at.filter(|end| recent(*end))?;
        Some(end.since(claim.claimed_at))
    });
    let current: Vec<_> = claims()
        .map(|(_, claim)| claim)
        .filter(|claim| {
            claim.status.is_live() || recent(claim.released_at.unwrap_or(claim.claimed_at))
        })
        .collect();
    let again = |ended: Ended| matches!(ended, Ended::Done | Ended::Reclaimed);
    let rework =
        current.iter().filter(|claim| claim.lineage.iter().any(|past| again(past.ended))).count();
    let wait = claims().filter_map(|(_, claim)| {
        let assigned = assignments
            .binary_search_by(|assignment| assignment.task_id.cmp(&claim.task_id))
            .ok()?;
        let assignment = &assignments[assigned];
        let waited = assignment.engineer.as_ref() == Some(&claim.agent_id)
            && claim.claimed_at >= assignment.assigned_at;
        (waited && recent(claim.claimed_at)).then(|| claim.claimed_at.since(assignment.assigned_at))
    });
    Lane {
        cycle: Spread::of(cycle.collect()),
        rework: Share { some: rework, all: current.len() },
        wait: Spread::of(wait.collect()),
        refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let spread = |seconds: &[u64]| {
            Spread::of(seconds.iter().map(|seconds| Duration::from_secs(*seconds)).collect())
        };
        assert_eq!(spread(&[]), Spread::default());
        assert_eq!(
            (spread(&[9, 1, 5]).median, spread(&[9, 1, 5]).longest),
            (Duration::from_secs(5), Duration::from_secs(9))
        );
        assert_eq!((spread(&[4, 2]).median, spread(&[4, 2]).count), (Duration::from_secs(2), 2));
    }
}
