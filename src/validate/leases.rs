//! The rules of path leases: patterns that mean something, leases that keep out of each other's way, and paths that an agent's
//! branch may change.

use std::collections::{BTreeMap, HashSet};

use super::base::{Base, Commit};
use super::files::Kind;
use super::finding::Findings;
use super::logs::Author;
use super::rule::Rule;
use super::{Changes, Error, Run, records};
use crate::git::{ObjectId, RefName, Tip};
use crate::record::json::MAX_RECORD;
use crate::record::{
    AgentId, Claim, Config, Fold, Lease, LeaseTable, LockId, LockPolicy, Mode, Needed, Pattern, Scope, ScopeIndex, is_of_bus,
};

/// How many states of the table of leases are looked through for the end of one lease.
const MAX_STATES: usize = 2000;

/// A lease whose patterns mean something, and the file that it was read from; none where it stands in the table alone.
struct Held {
    lease: Lease,
    scope: Scope,
    path: Option<String>,
}

impl Held {
    fn new(lease: Lease, path: Option<&str>) -> Option<Self> {
        let parse = |texts: &[String]| texts.iter().map(|text| Pattern::parse(text)).collect::<Result<Vec<_>, _>>();
        let scope = Scope::new(parse(&lease.scope).ok()?, parse(&lease.deny).ok()?);
        Some(Self { lease, scope, path: path.map(str::to_owned) })
    }

    /// Whether both may stand at a time, whatever paths they hold.
    fn is_harmless_to(&self, other: &Self) -> bool {
        let (one, two) = (&self.lease, &other.lease);
        let same_place = one.origin.is_none() || two.origin.is_none() || one.origin == two.origin;
        one.lock_id == two.lock_id
            || (one.mode == Mode::Shared && two.mode == Mode::Shared)
            || (is_of(one, &two.owner) && same_place)
    }
}

/// What the leases here come to.
struct Leases<'a> {
    run: &'a Run<'a>,
    fold: Fold,
    /// The table of this clone, where there is one that can be read, and the commit that holds it.
    table: Option<(ObjectId, LeaseTable)>,
    /// The leases of the tree.
    here: Vec<Held>,
}

impl Run<'_> {
    /// Checks the leases of the tree against each other and those of the base and of other branches; and on an agent's branch its
    /// changed paths against all of them, and against the policy.
    pub(super) fn check_leases(
        &self,
        findings: &mut Findings,
        changes: &Changes<'_>,
        author: &Author,
        others: &BTreeMap<String, ObjectId>,
    ) -> Result<(), Error> {
        if self.query.plans.is_some() {
            return Ok(());
        }
        let leases = Leases::new(self)?;
        let live: Vec<&Held> = leases.live(&leases.here)?;
        let is_news = |held: &Held| held.path.as_ref().is_some_and(|path| changes.news.contains(path.as_str()));
        for (number, one) in live.iter().enumerate() {
            // Of two that are news the later is told of.
            for two in live[number + 1..].iter().filter(|two| is_news(one) || is_news(two)) {
                let in_order = one.lease.start_time <= two.lease.start_time;
                let (early, late) = if is_news(two) && (in_order || !is_news(one)) { (one, two) } else { (two, one) };
                leases.check_pair(findings, late, early, "here");
            }
        }
        let news: Vec<&Held> = live.into_iter().filter(|held| is_news(held)).collect();
        let beside = self.base.and_then(|base| base.beside.as_ref()).map(|commit| Ok(("the base", self.leases_of(commit)?)));
        let others = others.iter().map(|(name, id)| {
            let commit = Commit::claims(self.history, *id)?;
            Ok((name.as_str(), self.leases_of(&commit)?))
        });
        let elsewhere = beside.into_iter().chain(others).collect::<Result<Vec<_>, Error>>()?;
        for (name, theirs) in &elsewhere {
            let ids: HashSet<&LockId> = leases.here.iter().map(|held| &held.lease.lock_id).collect();
            for theirs in leases.live(theirs)?.into_iter().filter(|theirs| !ids.contains(&theirs.lease.lock_id)) {
                news.iter().for_each(|held| leases.check_pair(findings, held, theirs, name));
            }
        }
        match (self.base, author) {
            (Some(base), Some(author)) => leases.check_changed(findings, base, author, is_news),
            _ => Ok(()),
        }
    }

    fn leases_of(&self, commit: &Commit) -> Result<Vec<Held>, Error> {
        let mut leases = Vec::new();
        for (path, (kind, file)) in &commit.files {
            let fits = || self.history.size(file.id).is_some_and(|size| size <= MAX_RECORD as u64);
            if *kind == Kind::Lease && file.is_regular && fits() {
                let lease = Lease::parse(&self.history.read(file.id)?).ok();
                leases.extend(lease.and_then(|lease| Held::new(lease, Some(path))));
            }
        }
        Ok(leases)
    }
}

impl<'a> Leases<'a> {
    fn new(run: &'a Run<'a>) -> Result<Self, Error> {
        let all: HashSet<&str> = run.found.iter().map(|found| found.path.as_str()).collect();
        let mut here = Vec::new();
        for (path, _) in run.readable(&all).filter(|(_, kind)| *kind == Kind::Lease) {
            let lease = Lease::parse(&records::read(&run.repo.root().join(path))?).ok();
            here.extend(lease.and_then(|lease| Held::new(lease, Some(path))));
        }
        let table = match run.repo.tip(&RefName::locks())? {
            Tip::At(link) => LeaseTable::parse(&link.body).ok().map(|table| (link.id, table)),
            Tip::Missing | Tip::Unreadable { .. } => None,
        };
        let fold = if run.repo.ignores_case() { Fold::On } else { Fold::Off };
        Ok(Self { run, fold, table, here })
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

    /// Whether a lease whose record has no end has none. The clone's own table knows; of what it does not know the time tells.
    fn is_live(&self, lease: &Lease) -> Result<bool, Error> {
        if !self.has_claim(lease)? {
            return Ok(false);
        }
        let mut state = None;
        if let Some((id, table)) = &self.table {
            if table.row(&lease.lock_id).is_some() {
                return Ok(true);
            }
            state = Some(*id);
        }
        for _ in 0..MAX_STATES {
            let Some(Ok(link)) = state.map(|id| self.run.repo.link(id)).transpose()? else { break };
            let changed = LeaseTable::parse(&link.body).unwrap_or_default().changed;
            if changed.iter().any(|changed| changed.lock_id == lease.lock_id && !changed.is_live()) {
                return Ok(false);
            }
            state = link.parent.filter(|_| link.time >= lease.start_time);
        }
        Ok(self.run.query.now.is_none_or(|now| now <= lease.expires_at))
    }

    /// Whether the claim still stands that the lease lives and dies with, as far as that is known.
    fn has_claim(&self, lease: &Lease) -> Result<bool, Error> {
        let (Some(task), Some(id)) = (&lease.task_id, &lease.claim_id) else { return Ok(true) };
        let body = match self.run.repo.tip(&RefName::claim(task))? {
            Tip::At(link) => Some(link.body),
            Tip::Missing | Tip::Unreadable { .. } => {
                let path = self.run.repo.root().join(format!("_bus/claims/{task}.json"));
                path.is_file().then(|| records::read(&path)).transpose()?
            }
        };
        let claim = body.and_then(|body| Claim::parse(&body).ok());
        Ok(claim.is_none_or(|claim| claim.status.is_live() && claim.claim_id.as_ref() == Some(id)))
    }

    fn check_pair(&self, findings: &mut Findings, held: &Held, other: &Held, name: &str) {
        if held.is_harmless_to(other) {
            return;
        }
        let (Some(file), Some(path)) = (&held.path, held.scope.overlap(&other.scope, self.fold)) else { return };
        let theirs = &other.lease;
        findings.add(Rule::LeaseOverlap, file, None, || {
            format!("`{path}` is in `{}`, too, which is {}'s {name}: {}", theirs.lock_id, theirs.owner, theirs.objective)
        });
    }

    /// Checks the paths that the branch of `author` has changed.
    fn check_changed(
        &self,
        findings: &mut Findings,
        base: &Base,
        author: &AgentId,
        is_news: impl Fn(&Held) -> bool,
    ) -> Result<(), Error> {
        let policy = self.policy(base)?;
        let commits = base.beside.iter().chain(&base.commits);
        let before = commits.map(|commit| self.run.leases_of(commit)).collect::<Result<Vec<_>, _>>()?;
        let rows = self.table.iter().flat_map(|(_, table)| &table.rows).filter_map(|row| row.lease().ok());
        let rows: Vec<Held> = rows.filter_map(|lease| Held::new(lease, None)).collect();
        // What the tree says of a lease is newer than what the base does; what the table says is newest.
        let all = before.iter().flatten().chain(&self.here).chain(&rows);
        let known: BTreeMap<&LockId, &Held> = all.map(|held| (&held.lease.lock_id, held)).collect();
        let live = self.live(known.into_values())?;
        // A lease that this branch took, and gave back when the work was done, was one.
        let taken = self.here.iter().filter(|held| is_of(&held.lease, author) && is_news(held));
        let mut own: Vec<&Scope> = taken.map(|held| &held.scope).collect();
        let (mine, theirs): (Vec<&Held>, Vec<&Held>) = live.into_iter().partition(|held| is_of(&held.lease, author));
        own.extend(mine.into_iter().map(|held| &held.scope));
        let theirs: Vec<&Held> = theirs.into_iter().filter(|held| held.lease.mode == Mode::Exclusive).collect();
        if theirs.is_empty() && policy == LockPolicy::default() {
            return Ok(());
        }
        let commits: Vec<ObjectId> = base.commits.iter().chain(&base.beside).map(|commit| commit.id).collect();
        let mut own = ScopeIndex::new(own, self.fold);
        let mut index = ScopeIndex::new(theirs.iter().map(|held| &held.scope), self.fold);
        for bytes in self.run.repo.changed_from_all(&commits)? {
            let path = String::from_utf8_lossy(&bytes);
            if is_of_bus(&path, self.fold) {
                continue;
            }
            if let Some(held) = index.containing(&path).first().map(|place| &theirs[*place].lease) {
                let (lock, owner, objective) = (&held.lock_id, &held.owner, &held.objective);
                let words =
                    || format!("it is in `{lock}`, which is {owner}'s ({objective}), and was changed on a branch of `{author}`");
                findings.add(Rule::PathLeased, &path, None, words);
            } else if let Some(needed) = policy.needed(&path, self.fold).filter(|_| own.containing(&path).is_empty()) {
                let words = || match needed {
                    Needed::Hotspot(pattern) => {
                        format!("it is a hotspot (`{pattern}`), and `{author}` changed it without a lease")
                    }
                    Needed::All => format!("`{author}` changed it without a lease"),
                };
                findings.add(Rule::PathUnleased, &path, None, words);
            }
        }
        Ok(())
    }

    /// What the base says that needs a lease: what a branch says of itself does not count.
    fn policy(&self, base: &Base) -> Result<LockPolicy, Error> {
        for commit in base.beside.iter().chain(&base.commits) {
            if let Some((_, file)) = commit.files.get("_bus/config.toml") {
                let text = String::from_utf8(self.run.history.read(file.id)?).unwrap_or_default();
                return Ok(Config::parse(&text).unwrap_or_default().locks);
            }
        }
        Ok(LockPolicy::default())
    }
}

/// Whether an agent holds a lease, wherever it was taken.
fn is_of(lease: &Lease, agent: &AgentId) -> bool {
    lease.owner == *agent
}
