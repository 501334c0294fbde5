//! Who may hold which paths: pure decisions over the table of live leases (`_bus/README.md`).

use crate::bus::workspace::Who;
use crate::record::{
    Budget, ClaimId, Fold, LeaseBrief, LeaseMode, LeaseRow, Pattern, PatternFault, Scope, Spent,
    TaskId,
};

/// How much is compared at most to see whether one lease shares a path with what is wanted, in
/// steps: those of ordinary patterns need some dozens.
const MAX_STEPS_PER_LEASE: u64 = 250_000;

/// The same for all leases of the table.
const MAX_STEPS: u64 = 1_000_000;

/// What a lease is wanted for.
pub(in crate::bus) struct Wanted<'a> {
    pub(in crate::bus) scope: &'a Scope,
    pub(in crate::bus) mode: LeaseMode,
    pub(in crate::bus) task: Option<&'a TaskId>,
    /// The claim that it shall live and die with.
    pub(in crate::bus) claim: Option<&'a ClaimId>,
}

/// A row of the table that shares a path with what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::bus) struct Shared {
    /// Which row.
    pub(in crate::bus) row: usize,
    /// A path of both.
    pub(in crate::bus) path: String,
}

/// How a lease is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::bus) enum LeaseGrant {
    /// The caller has this very lease already: the row.
    Keep(usize),
    /// Nobody is in the way. These rows were, and are void: the claim that they lived with is gone.
    Take(Vec<usize>),
}

/// Why a lease is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::bus) enum LeaseRefusal {
    /// Others hold paths of it.
    Held(Vec<Shared>),
    /// This row has a pattern that means nothing, so nobody knows what it holds.
    Unreadable(usize, PatternFault),
}

/// The scope of a row.
pub(super) fn scope_of(scope: &[String], deny: &[String]) -> Result<Scope, PatternFault> {
    let parse = |texts: &[String]| {
        texts.iter().map(|text| Pattern::parse(text)).collect::<Result<Vec<_>, _>>()
    };
    Ok(Scope::new(parse(scope)?, parse(deny)?))
}

/// Decides whether `who` gets what is `wanted`, all of it or nothing. `is_void` is asked of rows in
/// the way alone.
///
/// Leases of one agent at one place are not in each other's way, nor are shared ones. One that is
/// stale or expired still is, and so is one whose patterns are so entangled that it cannot be told
/// within bounds.
pub(super) fn acquire(
    rows: &[LeaseRow],
    wanted: &Wanted<'_>,
    who: &Who,
    fold: Fold,
    is_void: impl Fn(&LeaseBrief) -> bool,
) -> Result<LeaseGrant, LeaseRefusal> {
    let is_it =
        |brief: &LeaseBrief| is_mine(brief, who) && is_same(brief, wanted) && !is_void(brief);
    if let Some(row) = rows.iter().position(|row| is_it(&row.brief)) {
        return Ok(LeaseGrant::Keep(row));
    }
    let (mut held, mut void) = (Vec::new(), Vec::new());
    let places: Option<Vec<&str>> =
        wanted.scope.patterns().iter().map(|pattern| first_name(pattern.as_str())).collect();
    let mut left = MAX_STEPS;
    for (row, brief) in rows.iter().map(|row| &row.brief).enumerate() {
        let harmless = is_mine(brief, who)
            || (brief.mode == LeaseMode::Shared && wanted.mode == LeaseMode::Shared);
        // What is harmless and bound to a claim may still be void, and is then swept.
        if (harmless && brief.claim_id.is_none()) || is_elsewhere(brief, &places) {
            continue;
        }
        let scope = scope_of(&brief.scope, &brief.deny)
            .map_err(|fault| LeaseRefusal::Unreadable(row, fault))?;
        let given = left.min(MAX_STEPS_PER_LEASE);
        let mut budget = Budget::new(given);
        let told = wanted.scope.overlap_within(&scope, fold, &mut budget);
        left -= given - budget.left();
        match told.unwrap_or_else(|Spent| brief.scope.first().cloned()) {
            Some(_) if is_void(brief) => void.push(row),
            Some(path) if !harmless => held.push(Shared { row, path }),
            _ => {}
        }
    }
    if held.is_empty() { Ok(LeaseGrant::Take(void)) } else { Err(LeaseRefusal::Held(held)) }
}

/// Whether a lease is below other names of the root than those that are wanted: most are, and to
/// see that costs a tenth of reading its patterns.
fn is_elsewhere(brief: &LeaseBrief, places: &Option<Vec<&str>>) -> bool {
    let Some(places) = places else { return false };
    let is_apart = |name: &str| !places.iter().any(|place| place.eq_ignore_ascii_case(name));
    brief.scope.iter().all(|pattern| first_name(pattern).is_some_and(is_apart))
}

/// The name of the root that all paths of a pattern begin with, where it is spelled out in letters
/// whose case is plain.
fn first_name(pattern: &str) -> Option<&str> {
    let name = pattern.split('/').next().filter(|name| !name.is_empty())?;
    let is_plain = |byte: u8| byte.is_ascii() && !br"*?[]{},!\".contains(&byte);
    name.bytes().all(is_plain).then_some(name)
}

/// Whether a lease is the caller's, taken here.
pub(in crate::bus) fn is_mine(brief: &LeaseBrief, who: &Who) -> bool {
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

#[cfg(test)]
mod tests {
    use super::Shared as LeaseConflict;
    use super::*;
    use crate::record::{AgentId, Lease, Origin};

    const HERE: &str = "aaaa";

    fn me() -> Who {
        Who { agent: AgentId::new("me").unwrap(), origin: Origin::new(HERE, None) }
    }

    /// A clone, and perhaps a linked worktree.
    type Place = (&'static str, Option<&'static str>);

    /// Who holds what stands: the caller, the caller's name elsewhere, somebody else, another
    /// tool's record of the caller.
    const HOLDERS: [(&str, Option<Place>, bool); 5] = [
        ("me", Some((HERE, None)), true),
        ("ME", None, true),
        ("me", Some((HERE, Some("wt"))), false),
        ("me", Some(("bbbb", None)), false),
        ("you", Some((HERE, None)), false),
    ];

    fn row(id: &str, owner: &str, origin: Option<Place>, scope: &str, mode: LeaseMode) -> LeaseRow {
        let text = format!(
            r#"{{"expires_at":"2026-03-01T12:50:00Z","heartbeat":"2026-03-01T12:00:00Z","lock_id":"{id}","mode":"{mode}","objective":"x",
            "owner":"{owner}","scope":["{scope}"],"start_time":"2026-03-01T12:00:00Z"}}"#
        );
        let mut lease = Lease::parse(text.as_bytes()).unwrap();
        lease.origin = origin.map(|(clone, worktree)| Origin::new(clone, worktree));
        LeaseRow::new(&lease)
    }

    fn bound(row: LeaseRow) -> LeaseRow {
        let mut lease = row.lease().unwrap();
        lease.task_id = Some(TaskId::new("T-1").unwrap());
        lease.claim_id = Some(ClaimId::unique());
        LeaseRow::new(&lease)
    }

    fn scope(patterns: &[&str], deny: &[&str]) -> Scope {
        let texts =
            |patterns: &[&str]| patterns.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        scope_of(&texts(patterns), &texts(deny)).unwrap()
    }

    fn decide(
        rows: &[LeaseRow],
        scope: &Scope,
        mode: LeaseMode,
        void: bool,
    ) -> Result<LeaseGrant, LeaseRefusal> {
        let wanted = Wanted { scope, mode, task: None, claim: None };
        acquire(rows, &wanted, &me(), Fold::Off, |brief| void && brief.claim_id.is_some())
    }

    #[test]
    fn the_table_of_leases() {
        use LeaseMode::{Exclusive, Shared};
        for (owner, origin, mine) in HOLDERS {
            for (stands, wanted) in
                [(Exclusive, Exclusive), (Exclusive, Shared), (Shared, Exclusive), (Shared, Shared)]
            {
                for (pattern, overlaps) in
                    [("src/app.py", true), ("src/**", true), ("docs/**", false)]
                {
                    let rows = [row("L-1", owner, origin, pattern, stands)];
                    let asked = scope(&["src/**"], &[]);
                    let expected = match (mine, overlaps) {
                        (true, _) if pattern == "src/**" && stands == wanted => {
                            Ok(LeaseGrant::Keep(0))
                        }
                        (false, true) if (stands, wanted) != (Shared, Shared) => {
                            let path = if pattern == "src/**" { "src/a" } else { "src/app.py" };
                            Err(LeaseRefusal::Held(vec![LeaseConflict {
                                row: 0,
                                path: path.to_owned(),
                            }]))
                        }
                        _ => Ok(LeaseGrant::Take(Vec::new())),
                    };
                    let case = format!("{owner} {origin:?} {stands} {wanted} {pattern}");
                    assert_eq!(decide(&rows, &asked, wanted, false), expected, "{case}");
                }
            }
        }
    }

    #[test]
    fn all_that_is_in_the_way_is_named_and_one_row_is_enough_to_refuse_all() {
        let rows = [
            row("L-1", "you", None, "docs/**", LeaseMode::Exclusive),
            row("L-2", "them", None, "src/gen/*", LeaseMode::Exclusive),
            row("L-3", "us", None, "src/lib.rs", LeaseMode::Shared),
        ];
        let Err(LeaseRefusal::Held(held)) =
            decide(&rows, &scope(&["src/**", "*.toml"], &[]), LeaseMode::Exclusive, false)
        else {
            panic!()
        };
        assert_eq!(held.iter().map(|shared| shared.row).collect::<Vec<_>>(), [1, 2]);
        let apart = scope(&["src/**"], &["src/gen/", "src/lib.rs"]);
        assert_eq!(
            decide(&rows, &apart, LeaseMode::Exclusive, false),
            Ok(LeaseGrant::Take(Vec::new()))
        );
    }

    #[test]
    fn what_is_void_is_in_nobodys_way_and_is_swept_where_it_was() {
        let rows = [
            bound(row("L-1", "you", None, "src/**", LeaseMode::Exclusive)),
            bound(row("L-2", "me", Some((HERE, None)), "src/x", LeaseMode::Exclusive)),
            bound(row("L-3", "you", None, "docs/**", LeaseMode::Exclusive)),
            row("L-4", "me", Some((HERE, None)), "src/**", LeaseMode::Exclusive),
        ];
        assert_eq!(
            decide(&rows[..3], &scope(&["src/**"], &[]), LeaseMode::Exclusive, true),
            Ok(LeaseGrant::Take(vec![0, 1]))
        );
        assert!(matches!(
            decide(&rows[..3], &scope(&["src/**"], &[]), LeaseMode::Exclusive, false),
            Err(LeaseRefusal::Held(_))
        ));
        assert_eq!(
            decide(&rows, &scope(&["src/**"], &[]), LeaseMode::Exclusive, true),
            Ok(LeaseGrant::Keep(3))
        );
    }

    #[test]
    fn a_lease_is_the_same_in_any_order_and_not_with_another_task_or_claim() {
        let stands = bound(row("L-1", "me", Some((HERE, None)), "a", LeaseMode::Exclusive));
        let rows = [stands.clone()];
        let asked = scope(&["a"], &[]);
        let (task, claim) = (stands.brief.task_id.as_ref(), stands.brief.claim_id.as_ref());
        let wish = |task, claim| {
            acquire(
                &rows,
                &Wanted { scope: &asked, mode: LeaseMode::Exclusive, task, claim },
                &me(),
                Fold::Off,
                |_| false,
            )
        };
        assert_eq!(wish(task, claim), Ok(LeaseGrant::Keep(0)));
        for (task, claim) in [(None, claim), (task, None), (task, Some(&ClaimId::unique()))] {
            assert_eq!(wish(task, claim), Ok(LeaseGrant::Take(Vec::new())));
        }
    }

    #[test]
    fn what_begins_with_another_name_is_told_apart_without_a_closer_look() {
        let apart = |asked: &[&str], stands: &str| {
            let places: Option<Vec<&str>> = asked.iter().map(|text| first_name(text)).collect();
            is_elsewhere(&row("L-1", "you", None, stands, LeaseMode::Exclusive).brief, &places)
        };
        assert!(
            apart(&["src/**", "Cargo.toml"], "docs/x")
                && apart(&["a"], "b")
                && apart(&["a/**/b"], "b/a/**")
        );
        for (asked, stands) in [
            ("src/a", "SRC/b"),
            ("src/a", "s*"),
            ("**", "a"),
            ("{a/b,c}", "a/b"),
            ("a", "\\\\a"),
            ("é/a", "É/a"),
            ("a", "[!b]"),
        ] {
            assert!(!apart(&[asked], stands), "{asked} {stands}");
        }
    }

    #[test]
    fn what_cannot_be_told_apart_within_bounds_is_in_the_way() {
        // One is longer than the other, which shows only at the end.
        let pattern = |length| format!("a{}z", "?".repeat(length));
        let stands = row("L-1", "you", None, &pattern(60), LeaseMode::Exclusive);
        let asked = scope(&[pattern(61).as_str(); 100], &[]);
        let rows = vec![stands; 400];
        assert_eq!(
            decide(&rows[..1], &asked, LeaseMode::Exclusive, false),
            Ok(LeaseGrant::Take(Vec::new()))
        );
        let Err(LeaseRefusal::Held(held)) = decide(&rows, &asked, LeaseMode::Exclusive, false)
        else {
            panic!()
        };
        assert!(held[0].row > 0 && held[0].path == rows[0].brief.scope[0], "{:?}", held[0]);
    }

    #[test]
    fn a_pattern_that_means_nothing_leaves_no_path_free() {
        let rows = [row("L-1", "you", None, "a[", LeaseMode::Exclusive)];
        assert!(matches!(
            decide(&rows, &scope(&["b"], &[]), LeaseMode::Exclusive, false),
            Err(LeaseRefusal::Unreadable(0, _))
        ));
    }
}
