//! The rules of path leases: patterns that mean something, leases that keep out of each other's
//! way, and paths that an agent's branch may change.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashSet};

use super::base::{Base, Commit};
use super::bus_refs::Table;
use super::files::Kind;
use super::finding::Findings;
use super::logs::Author;
use super::rule::Rule;
use super::{Changes, Error, Run, records};
use crate::git::Repository;
use crate::record::json::MAX_RECORD;
use crate::record::{
    AgentId, Budget, Claim, Fold, Lease, LeaseId, LeaseMode, LeasePolicy, LeaseTable, Needed,
    Pattern, Scope, ScopeIndex, Spent, Timestamp, is_own_file,
};

/// How many states of the table of leases are looked through for the end of one lease.
/// `ci/validate.sh` fetches as many.
pub(super) const MAX_STATES: usize = 2000;

/// How many bytes these have at most, all together.
const MAX_STATE_BYTES: usize = 64 * 1024 * 1024;

/// How many files of leases are looked at: those here, and those of other branches.
const MAX_LEASES: usize = 2000;

/// How many steps all comparisons of patterns take, in one look at all leases.
pub(super) const MAX_STEPS: u64 = 4_000_000;

/// A lease whose patterns mean something, and the file that it was read from, or `None` if it
/// stands in the table alone.
pub(super) struct Held {
    lease: Lease,
    scope: Scope,
    path: Option<String>,
}

impl Held {
    pub(super) fn new(lease: Lease, path: Option<&str>) -> Option<Self> {
        let parse = |texts: &[String]| {
            texts.iter().map(|text| Pattern::parse(text)).collect::<Result<Vec<_>, _>>()
        };
        let scope = Scope::new(parse(&lease.scope).ok()?, parse(&lease.deny).ok()?);
        Some(Self { lease, scope, path: path.map(str::to_owned) })
    }

    /// The lease.
    pub(super) const fn lease(&self) -> &Lease {
        &self.lease
    }

    /// A path that is in both, as an example, as far as it can be told within `budget`.
    pub(super) fn overlaps(
        &self,
        other: &Self,
        fold: Fold,
        budget: &mut Budget,
    ) -> Result<Option<String>, Spent> {
        self.scope.overlap_within(&other.scope, fold, budget)
    }

    /// Whether both may stand at a time, whatever paths they hold.
    pub(super) fn is_harmless_to(&self, other: &Self) -> bool {
        let (one, two) = (&self.lease, &other.lease);
        let same_place = one.origin.is_none() || two.origin.is_none() || one.origin == two.origin;
        one.lease_id == two.lease_id
            || (one.mode == LeaseMode::Shared && two.mode == LeaseMode::Shared)
            || (is_of(one, &two.owner) && same_place)
    }
}

/// What the leases here come to.
struct Leases<'a, 'r> {
    run: &'a Run<'r>,
    fold: Fold,
    /// The newest table that is here.
    table: Option<Table>,
    /// The leases of the tree.
    here: Vec<Held>,
    /// The first file of a lease of the tree that is not looked at, since there are too many.
    left_out: Option<String>,
    /// What is left for comparisons of patterns.
    budget: RefCell<Budget>,
    /// What the states of the table changed, the newest first, with the time of each, once somebody
    /// asks.
    changed: OnceCell<Vec<(Timestamp, Vec<Lease>)>>,
}

impl Run<'_> {
    /// Checks the leases of the tree against each other and those of the base and of other
    /// branches; and on an agent's branch its changed paths against all of them, and against the
    /// policy.
    pub(super) fn check_leases(
        &self,
        findings: &mut Findings,
        changes: &Changes<'_>,
        author: &Author,
        others: &BTreeMap<String, Commit>,
    ) -> Result<(), Error> {
        if self.query.plans.is_some() {
            return Ok(());
        }
        let leases = Leases::new(self, changes)?;
        if let Some(path) = &leases.left_out {
            let words =
                || format!("it and those after it are not looked at: of leases {MAX_LEASES} are");
            findings.add(Rule::TooMuch, path, None, words);
        }
        let live: Vec<&Held> = leases.live(&leases.here)?;
        let is_news = |held: &Held| {
            held.path.as_ref().is_some_and(|path| changes.news.contains(path.as_str()))
        };
        for (number, one) in live.iter().enumerate() {
            // Of two that are news the later is told of.
            for two in live[number + 1..].iter().filter(|two| is_news(one) || is_news(two)) {
                let in_order = one.lease.start_time <= two.lease.start_time;
                let (early, late) = if is_news(two) && (in_order || !is_news(one)) {
                    (one, two)
                } else {
                    (two, one)
                };
                if leases.check_pair(findings, late, early, "here").is_err() {
                    return Ok(());
                }
            }
        }
        let news: Vec<&Held> = live.into_iter().filter(|held| is_news(held)).collect();
        let beside = self
            .base
            .and_then(|base| base.beside.as_ref())
            .map(|commit| Ok(("the base", self.leases_of(commit)?)));
        let others =
            others.iter().map(|(name, commit)| Ok((name.as_str(), self.leases_of(commit)?)));
        let elsewhere = beside.into_iter().chain(others).collect::<Result<Vec<_>, Error>>()?;
        for (name, theirs) in &elsewhere {
            let ids: HashSet<&LeaseId> =
                leases.here.iter().map(|held| &held.lease.lease_id).collect();
            for theirs in leases
                .live(theirs)?
                .into_iter()
                .filter(|theirs| !ids.contains(&theirs.lease.lease_id))
            {
                for held in &news {
                    if leases.check_pair(findings, held, theirs, name).is_err() {
                        return Ok(());
                    }
                }
            }
        }
        match (self.base, author) {
            (Some(base), Some(author)) => leases.check_changed(findings, base, author, is_news),
            _ => Ok(()),
        }
    }

    fn leases_of(&self, commit: &Commit) -> Result<Vec<Held>, Error> {
        let mut leases = Vec::new();
        for (path, file) in commit.leases().take(MAX_LEASES) {
            if self.history.size(file.id).is_some_and(|size| size <= MAX_RECORD as u64) {
                let lease = Lease::parse(&self.history.read(file.id)?).ok();
                leases.extend(lease.and_then(|lease| Held::new(lease, Some(path))));
            }
        }
        Ok(leases)
    }
}

impl<'a, 'r> Leases<'a, 'r> {
    fn new(run: &'a Run<'r>, changes: &Changes<'_>) -> Result<Self, Error> {
        let table = run.refs()?.newest_table()?;
        let is_old = run.policy.records.is_none();
        let all: HashSet<&str> = run.found.iter().map(|found| found.path.as_str()).collect();
        let (mut here, mut left_out, mut count) = (Vec::new(), None, 0);
        for (path, _) in run.readable(&all).filter(|(_, kind)| *kind == Kind::Lease) {
            count += 1;
            if count > MAX_LEASES {
                left_out = Some(path.to_owned());
                break;
            }
            // Files that the base has are of version 0.1; once there is a table nobody reads them
            // (docs/design.md, section 1.1).
            if is_old || table.is_none() || changes.news.contains(path) {
                let lease = Lease::parse(&records::read(&run.root.join(path))?).ok();
                here.extend(lease.and_then(|lease| Held::new(lease, Some(path))));
            }
        }
        let (budget, changed) = (RefCell::new(Budget::new(MAX_STEPS)), OnceCell::new());
        Ok(Self { run, fold: fold_of(run.repo), table, here, left_out, budget, changed })
    }

    /// The leases that commits of the base have in files, as version 0.1 wrote them.
    fn before(&self, base: &Base) -> Result<Vec<Held>, Error> {
        let mut leases = Vec::new();
        if self.run.policy.records.is_none() || self.table.is_none() {
            for commit in base.newest_first() {
                leases.extend(self.run.leases_of(commit)?);
            }
        }
        Ok(leases)
    }

    /// Those that keep others out.
    fn live<'b>(&self, leases: impl IntoIterator<Item = &'b Held>) -> Result<Vec<&'b Held>, Error> {
        let mut live = Vec::new();
        for held in leases.into_iter().filter(|held| held.lease.is_live()) {
            if self.is_live(&held.lease)? {
                live.push(held);
            }
        }
        Ok(live)
    }

    /// Whether a lease whose record has no end has none. The clone's own table knows; of what it
    /// does not know the time tells.
    fn is_live(&self, lease: &Lease) -> Result<bool, Error> {
        if !self.has_claim(lease)? {
            return Ok(false);
        }
        if self.table.as_ref().is_some_and(|table| table.leases.row(&lease.lease_id).is_some()) {
            return Ok(true);
        }
        let mut changed = self.changed_since(lease.start_time)?;
        if changed.any(|changed| changed.lease_id == lease.lease_id && !changed.is_live()) {
            return Ok(false);
        }
        Ok(self.run.query.now.is_none_or(|now| now <= lease.expires_at))
    }

    /// The leases that the states of the table made, renewed or ended since a time, the newest
    /// first.
    fn changed_since(&self, time: Timestamp) -> Result<impl Iterator<Item = &Lease>, Error> {
        let states = match self.changed.get() {
            Some(states) => states,
            None => {
                let states = self.states()?;
                self.changed.get_or_init(|| states)
            }
        };
        // The first that is older is looked at, too: its time is when it was written.
        let young = states
            .iter()
            .position(|(written, _)| *written < time)
            .map_or(states.len(), |first| first + 1);
        Ok(states[..young].iter().flat_map(|(_, changed)| changed))
    }

    /// What the last states of the table changed, each with its time.
    fn states(&self) -> Result<Vec<(Timestamp, Vec<Lease>)>, Error> {
        let (mut states, mut bytes) = (Vec::new(), 0);
        let mut next = self.table.as_ref().map(|table| table.id);
        for _ in 0..MAX_STATES {
            // In a shallow clone the older states are not here.
            let Some(Ok(link)) = next.map(|id| self.run.repo.link(id)).transpose()? else { break };
            bytes += link.body.len();
            if bytes > MAX_STATE_BYTES {
                break;
            }
            states.push((link.time, LeaseTable::parse(&link.body).unwrap_or_default().changed));
            next = link.parent;
        }
        Ok(states)
    }

    /// The leases of `author` that ended since the base: what was changed under them was changed
    /// rightly. In an older bus the branch brings their records along.
    fn ended_since(&self, base: &Base, author: &AgentId) -> Result<Vec<Held>, Error> {
        if self.run.policy.records.is_none() {
            return Ok(Vec::new());
        }
        let times = base
            .commits
            .iter()
            .map(|commit| self.run.history.time_of(commit.id))
            .collect::<Result<Vec<_>, _>>()?;
        let begun = Timestamp::from_unix(times.into_iter().min().unwrap_or_default());
        let changed = self.changed_since(begun)?.cloned();
        let ended = changed.filter(|lease| {
            is_of(lease, author) && lease.released_at.is_some_and(|ended| ended >= begun)
        });
        Ok(ended.filter_map(|lease| Held::new(lease, None)).collect())
    }

    /// Whether the claim still stands that the lease lives and dies with, as far as that is known.
    fn has_claim(&self, lease: &Lease) -> Result<bool, Error> {
        let (Some(task), Some(id)) = (&lease.task_id, &lease.claim_id) else { return Ok(true) };
        let mut newest: Option<Claim> = None;
        for chain in self.run.refs()?.chains_of(task)? {
            let claim =
                self.run.repo.link(chain.tip)?.ok().and_then(|link| Claim::parse(&link.body).ok());
            newest = newest.into_iter().chain(claim).max_by_key(|claim| claim.revision);
        }
        // A file in the tree of an untracked bus says nothing.
        let (root, path) = (self.run.root, format!("_bus/claims/{task}.json"));
        if newest.is_none() && !self.run.is_untracked() && records::is_plain(root, &path) {
            newest = Claim::parse(&records::read(&root.join(&path))?).ok();
        }
        Ok(newest.is_none_or(|claim| claim.status.is_live() && claim.claim_id.as_ref() == Some(id)))
    }

    /// Compares two leases.
    ///
    /// # Errors
    ///
    /// [`Spent`] if nothing is left for comparisons, which is told.
    fn check_pair(
        &self,
        findings: &mut Findings,
        held: &Held,
        other: &Held,
        name: &str,
    ) -> Result<(), Spent> {
        let budget = &mut *self.budget.borrow_mut();
        let theirs = &other.lease;
        let Some(file) = &held.path else { return Ok(()) };
        let told = match budget.spend(1) {
            Ok(()) if held.is_harmless_to(other) => return Ok(()),
            Ok(()) => held.overlaps(other, self.fold, budget),
            Err(spent) => Err(spent),
        };
        match told {
            Ok(None) => {}
            Ok(Some(path)) => findings.add(Rule::LeaseOverlap, file, None, || {
                format!(
                    "`{path}` is also in `{}`, which is {}'s {name}: {}",
                    theirs.lease_id, theirs.owner, theirs.objective
                )
            }),
            Err(spent) => {
                let id = &held.lease.lease_id;
                let words = || {
                    format!(
                        "`{id}` and `{}` were not compared to the end, nor those after them: their patterns take too long",
                        theirs.lease_id
                    )
                };
                findings.add(Rule::TooMuch, file, None, words);
                return Err(spent);
            }
        }
        Ok(())
    }

    /// Checks the paths that the branch of `author` has changed.
    fn check_changed(
        &self,
        findings: &mut Findings,
        base: &Base,
        author: &AgentId,
        is_news: impl Fn(&Held) -> bool,
    ) -> Result<(), Error> {
        let policy = &self.run.policy.leases;
        let before = self.before(base)?;
        let rows = self
            .table
            .iter()
            .flat_map(|table| &table.leases.rows)
            .filter_map(|row| row.lease().ok());
        let rows: Vec<Held> = rows.filter_map(|lease| Held::new(lease, None)).collect();
        // What the tree says of a lease is newer than what the base does; what the table says is
        // newest.
        let all = before.iter().chain(&self.here).chain(&rows);
        let known: BTreeMap<&LeaseId, &Held> =
            all.map(|held| (&held.lease.lease_id, held)).collect();
        let live = self.live(known.into_values())?;
        // A lease that this branch took, and gave back when the work was done, was one.
        let taken = self.here.iter().filter(|held| is_of(&held.lease, author) && is_news(held));
        let mut own: Vec<&Scope> = taken.map(|held| &held.scope).collect();
        let (mine, theirs): (Vec<&Held>, Vec<&Held>) =
            live.into_iter().partition(|held| is_of(&held.lease, author));
        own.extend(mine.into_iter().map(|held| &held.scope));
        let theirs: Vec<&Held> =
            theirs.into_iter().filter(|held| held.lease.mode == LeaseMode::Exclusive).collect();
        if theirs.is_empty() && *policy == LeasePolicy::default() {
            return Ok(());
        }
        let ended = self.ended_since(base, author)?;
        own.extend(ended.iter().map(|held| &held.scope));
        let mut own = ScopeIndex::new(own, self.fold);
        let mut index = ScopeIndex::new(theirs.iter().map(|held| &held.scope), self.fold);
        for path in self.run.changed_paths(base)? {
            if is_own_file(path, self.fold) {
                continue;
            }
            if let Some(held) = index.containing(path).first().map(|place| &theirs[*place].lease) {
                let (lock, owner, objective) = (&held.lease_id, &held.owner, &held.objective);
                let words = || {
                    format!(
                        "it is in `{lock}`, which is {owner}'s ({objective}), and was changed on a branch of `{author}`"
                    )
                };
                findings.add(Rule::PathLeased, path, None, words);
            } else if let Some(needed) =
                policy.needed(path, self.fold).filter(|_| own.containing(path).is_empty())
            {
                let words = || match needed {
                    Needed::Hotspot(pattern) => {
                        format!(
                            "it is a hotspot (`{pattern}`), and `{author}` changed it without a lease"
                        )
                    }
                    Needed::All => format!("`{author}` changed it without a lease"),
                };
                findings.add(Rule::PathUnleased, path, None, words);
            }
        }
        Ok(())
    }
}

/// Whether paths that differ by case are one here.
pub(super) fn fold_of(repo: &Repository) -> Fold {
    if repo.ignores_case() { Fold::On } else { Fold::Off }
}

/// Whether an agent holds a lease, wherever it was taken.
fn is_of(lease: &Lease, agent: &AgentId) -> bool {
    lease.owner == *agent
}
