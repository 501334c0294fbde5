//! Who may hold which paths: pure decisions over the table of live leases (`_bus/README.md`).

use crate::bus::Who;
use crate::record::{ClaimId, Fold, LeaseBrief, LeaseRow, Mode, Pattern, PatternFault, Scope, TaskId};

/// What a lease is wanted for.
pub(super) struct Wanted<'a> {
    pub(super) scope: &'a Scope,
    pub(super) mode: Mode,
    pub(super) task: Option<&'a TaskId>,
    /// The claim that it shall live and die with.
    pub(super) claim: Option<&'a ClaimId>,
}

/// A row of the table that shares a path with what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    /// Which row.
    pub(super) row: usize,
    /// A path of both.
    pub(super) path: String,
}

/// How a lease is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// The caller has this very lease already: the row.
    Keep(usize),
    /// Nobody is in the way. These rows were, and are void: the claim that they lived with is gone.
    Take(Vec<usize>),
}

/// Why a lease is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Others hold paths of it.
    Held(Vec<Shared>),
    /// This row has a pattern that means nothing, so nobody knows what it holds.
    Unreadable(usize, PatternFault),
}

/// The scope of a row.
pub(super) fn scope_of(scope: &[String], deny: &[String]) -> Result<Scope, PatternFault> {
    let parse = |texts: &[String]| texts.iter().map(|text| Pattern::parse(text)).collect::<Result<Vec<_>, _>>();
    Ok(Scope::new(parse(scope)?, parse(deny)?))
}

/// Decides whether `who` gets what is `wanted`, all of it or nothing. `is_void` is asked of rows in the way alone.
///
/// Leases of one agent at one place are not in each other's way, nor are shared ones. One that is stale or expired still is.
pub(super) fn acquire(
    rows: &[LeaseRow],
    wanted: &Wanted<'_>,
    who: &Who,
    fold: Fold,
    is_void: impl Fn(&LeaseBrief) -> bool,
) -> Result<Grant, Refusal> {
    let is_it = |brief: &LeaseBrief| is_mine(brief, who) && is_same(brief, wanted) && !is_void(brief);
    if let Some(row) = rows.iter().position(|row| is_it(&row.brief)) {
        return Ok(Grant::Keep(row));
    }
    let (mut held, mut void) = (Vec::new(), Vec::new());
    for (row, brief) in rows.iter().map(|row| &row.brief).enumerate() {
        let harmless = is_mine(brief, who) || (brief.mode == Mode::Shared && wanted.mode == Mode::Shared);
        // What is harmless and bound to a claim may still be void, and is then swept.
        if harmless && brief.claim_id.is_none() {
            continue;
        }
        let scope = scope_of(&brief.scope, &brief.deny).map_err(|fault| Refusal::Unreadable(row, fault))?;
        match wanted.scope.overlap(&scope, fold) {
            Some(_) if is_void(brief) => void.push(row),
            Some(path) if !harmless => held.push(Shared { row, path }),
            _ => {}
        }
    }
    if held.is_empty() { Ok(Grant::Take(void)) } else { Err(Refusal::Held(held)) }
}

/// Whether a lease is the caller's, taken here.
pub(super) fn is_mine(brief: &LeaseBrief, who: &Who) -> bool {
    who.is(&brief.owner, brief.origin.as_ref())
}

/// Whether a lease is what is wanted, the patterns in any order.
fn is_same(brief: &LeaseBrief, wanted: &Wanted<'_>) -> bool {
    let same = |texts: &[String], patterns: &[Pattern]| {
        let has = |pattern: &Pattern| texts.iter().any(|text| text == pattern.as_str());
        texts.len() == patterns.len() && patterns.iter().all(has)
    };
    brief.mode == wanted.mode
        && brief.task_id.as_ref() == wanted.task
        && brief.claim_id.as_ref() == wanted.claim
        && same(&brief.scope, wanted.scope.patterns())
        && same(&brief.deny, wanted.scope.deny())
}
