//! The rules that compare a tree with its base and with other branches.

use std::collections::{BTreeMap, HashSet};

use super::base::{Base, Commit, Delta};
use super::files::{Kind, Stands, name_of, stem_of};
use super::finding::Findings;
use super::handover::{Claims, Held, Judge};
use super::logs::{Author, LineFile};
use super::policy::{CONFIG, Policy};
use super::rule::Rule;
use super::{Changes, Error, Run, plans, policy, records};
use crate::git::ObjectId;
use crate::record::json::MAX_RECORD;
use crate::record::{AgentId, Claim, QueueItem, TaskId};

/// How many other branches are looked at, and how many files of claims and leases of theirs.
const MAX_OTHERS: usize = 1000;
const MAX_OTHER_FILES: usize = 200_000;

/// How many claims of a change are held against the base and the claims' histories.
const MAX_CLAIMS: usize = 5000;

impl Run<'_> {
    /// Compares with the base and with other branches; notes in `files` which of their lines are
    /// known.
    pub(super) fn check_history(
        &self,
        findings: &mut Findings,
        changes: &Changes<'_>,
        author: &Author,
        files: &mut [LineFile],
        others: &BTreeMap<String, Commit>,
    ) -> Result<(), Error> {
        if self.base.is_none() && others.is_empty() {
            return Ok(());
        }
        let touched = &changes.touched;
        let ours = self.claims_here(findings, touched)?;
        let judge = Judge::new(self.repo, self.refs()?, author);
        if let Some(base) = self.base {
            self.check_gone(findings, base);
            self.check_policy(findings, base, author)?;
            self.check_stored(findings, base, author);
            self.check_plans(findings, base, touched)?;
            self.check_receipts(findings, base, &changes.news)?;
            self.check_lines(findings, base, files)?;
            self.check_claims(findings, &judge, base, &ours, changes)?;
            if let Some(beside) = &base.beside {
                self.check_beside(findings, &judge, &ours, beside, "the base")?;
            }
        }
        for (name, commit) in others {
            self.check_beside(findings, &judge, &ours, commit, name)?;
        }
        Ok(())
    }

    /// Compares each claim with what each commit of the base has of it; the first that tells
    /// something is enough.
    fn check_claims(
        &self,
        findings: &mut Findings,
        judge: &Judge<'_>,
        base: &Base,
        ours: &Claims,
        changes: &Changes<'_>,
    ) -> Result<(), Error> {
        let wanted = |path: &str| changes.touched.contains(path) || !self.stands(path);
        let befores = base
            .commits
            .iter()
            .map(|commit| self.claims_of(commit, wanted))
            .collect::<Result<Vec<_>, _>>()?;
        for now in ours.values() {
            let is_news = changes.news.contains(now.path.as_str());
            let total = findings.total();
            for before in &befores {
                judge.changed(findings, before.get(&now.claim.task_id), now, is_news)?;
                if findings.total() > total {
                    break;
                }
            }
        }
        Ok(())
    }

    fn check_beside(
        &self,
        findings: &mut Findings,
        judge: &Judge<'_>,
        ours: &Claims,
        commit: &Commit,
        name: &str,
    ) -> Result<(), Error> {
        let wanted =
            |path: &str| TaskId::new(stem_of(path)).is_ok_and(|task| ours.contains_key(&task));
        let theirs = self.claims_of(commit, wanted)?;
        for now in ours.values() {
            if let Some(theirs) = theirs.get(&now.claim.task_id) {
                judge.beside(findings, now, theirs, name)?;
            }
        }
        Ok(())
    }

    /// The managers that the base names: what a branch says of itself does not count.
    pub(super) fn managers(&self, base: &Base) -> Result<Vec<AgentId>, Error> {
        let mut managers = Vec::new();
        for commit in &base.commits {
            managers.extend(
                policy::of_commit(self.history, commit)?
                    .into_iter()
                    .flat_map(|policy| policy.managers),
            );
        }
        Ok(managers)
    }

    /// The policy is the base's: an agent changes none of it on a branch of its own.
    fn check_policy(
        &self,
        findings: &mut Findings,
        base: &Base,
        author: &Author,
    ) -> Result<(), Error> {
        // Who brings the first bus brings its policy.
        let Some(author) =
            author.as_ref().filter(|_| base.newest_first().any(|commit| commit.has_folder("_bus")))
        else {
            return Ok(());
        };
        let now = self.policy_here(base)?;
        let mut changed: Option<Vec<&str>> = None;
        for commit in base.newest_first() {
            let file = commit.at(CONFIG).filter(|file| file.is_regular);
            let before = match file {
                Some(file) => Policy::of(&self.history.read(file.id)?),
                None => Policy::Missing,
            };
            let parts = now.changed_since(&before);
            if parts.is_empty() {
                return Ok(());
            }
            changed.get_or_insert(parts);
        }
        if let Some(parts) = changed {
            let words =
                || format!("it was changed on a branch of `{author}`: {}", parts.join(", "));
            findings.add(Rule::PolicyChanged, CONFIG, None, words);
        }
        Ok(())
    }

    /// The policy that the next commit would have, which a sparse checkout may not show.
    fn policy_here(&self, base: &Base) -> Result<Policy, Error> {
        let committed = self.committed_files(&self.history.indexed())?.get(CONFIG).copied();
        let is_old = base.newest_first().any(|commit| commit.at(CONFIG).is_some());
        let root = self.root;
        match committed {
            Some(file) if !file.is_regular => Ok(Policy::Missing),
            None if is_old => Ok(Policy::Missing),
            _ if records::is_plain(root, CONFIG) => {
                Ok(Policy::of(&records::read(&root.join(CONFIG))?))
            }
            Some(file) if self.history.indexed().skips(CONFIG) => {
                match self.history.size(file.id) {
                    Some(size) if size <= MAX_RECORD as u64 => {
                        Ok(Policy::of(&self.history.read(file.id)?))
                    }
                    _ => Ok(Policy::Unreadable),
                }
            }
            _ => Ok(Policy::Missing),
        }
    }

    /// What another agent stored proves its work, and is its own.
    fn check_stored(&self, findings: &mut Findings, base: &Base, author: &Author) {
        let Some(author) = author else { return };
        let delta =
            Delta { root: self.root, history: self.history, indexed: self.history.indexed() };
        for (path, owner) in delta.spoiled(base, author) {
            let words = || {
                format!("what `{owner}` stored was changed or removed on a branch of `{author}`")
            };
            findings.add(Rule::Tampering, path, None, words);
        }
    }

    /// The claims in this tree at these paths. What is no claim is told of elsewhere.
    fn claims_here(&self, findings: &mut Findings, paths: &HashSet<&str>) -> Result<Claims, Error> {
        let mut claims = Claims::new();
        for (number, (path, _)) in
            self.readable(paths).filter(|(_, kind)| *kind == Kind::Claim).enumerate()
        {
            if number == MAX_CLAIMS {
                let words = || {
                    format!(
                        "it and those after it are not held against their histories: of claims {MAX_CLAIMS} are"
                    )
                };
                findings.add(Rule::TooMuch, path, None, words);
                break;
            }
            let bytes = records::read(&self.root.join(path))?;
            hold(&mut claims, path, bytes);
        }
        Ok(claims)
    }

    /// The claims of a commit whose paths are wanted.
    fn claims_of(&self, commit: &Commit, wanted: impl Fn(&str) -> bool) -> Result<Claims, Error> {
        let mut claims = Claims::new();
        for (path, (kind, file)) in &commit.files {
            // What is longer is no claim, and is not read for that.
            let fits = || self.history.size(file.id).is_some_and(|size| size <= MAX_RECORD as u64);
            if *kind == Kind::Claim && file.is_regular && wanted(path) && fits() {
                hold(&mut claims, path, self.history.read(file.id)?);
            }
        }
        Ok(claims)
    }

    fn stands(&self, path: &str) -> bool {
        self.found.binary_search_by(|found| found.path.as_str().cmp(path)).is_ok()
    }

    /// Records of the base that are not here any more, under whatever name.
    fn check_gone(&self, findings: &mut Findings, base: &Base) {
        let here: HashSet<(Kind, String)> = self
            .found
            .iter()
            .filter_map(|found| Some((found.kind?, subject(found.kind?, &found.path))))
            .collect();
        for (commit, path, kind, _) in base.gone(self.found) {
            // Lines are compared one by one, and the policy is nobody's record.
            if kind.is_lines()
                || matches!(kind, Kind::Registry | Kind::Config)
                || here.contains(&(kind, subject(kind, path)))
            {
                continue;
            }
            let words = || {
                let whole = commit
                    .spell(path)
                    .map_or_else(String::new, |spelled| format!(": `git show {spelled}`"));
                format!("the file is in the base, but not here{whole}")
            };
            findings.add(Rule::RecordGone, path, None, words);
        }
    }

    /// Receipts of the base that are gone or changed, where a plan names them that is itself as it
    /// was.
    fn check_receipts(
        &self,
        findings: &mut Findings,
        base: &Base,
        news: &HashSet<&str>,
    ) -> Result<(), Error> {
        let root = self.root;
        let before = plans::Before::new(root, self.history, base);
        let plans = self
            .found
            .iter()
            .filter(|found| found.kind == Some(Kind::Plan) && found.stands == Stands::Rightly);
        for plan in plans.filter(|plan| !news.contains(plan.path.as_str())) {
            before.find_spoiled(findings, &plan.path, &records::read(&root.join(&plan.path))?)?;
        }
        Ok(())
    }

    fn check_plans(
        &self,
        findings: &mut Findings,
        base: &Base,
        touched: &HashSet<&str>,
    ) -> Result<(), Error> {
        for (path, _) in self.readable(touched).filter(|(_, kind)| *kind == Kind::Plan) {
            for before in base.commits.iter().filter_map(|commit| commit.record(Kind::Plan, path)) {
                let before = self.history.read(before.id)?;
                plans::compare(findings, path, &before, &records::read(&self.root.join(path))?);
            }
        }
        Ok(())
    }

    /// The branches that `--refs` names, but for this one.
    pub(super) fn other_branches(
        &self,
        findings: &mut Findings,
    ) -> Result<BTreeMap<String, Commit>, Error> {
        let names = self.names_of_others()?;
        let (mut branches, mut left) = (BTreeMap::new(), MAX_OTHER_FILES);
        for (number, (name, id)) in names.into_iter().enumerate() {
            let commit =
                if number < MAX_OTHERS { Commit::claims(self.history, id, left)? } else { None };
            let Some(commit) = commit else {
                let words = || {
                    format!(
                        "it and the branches after it are not looked at: {MAX_OTHERS} are, and {MAX_OTHER_FILES} claims of theirs"
                    )
                };
                findings.add(Rule::TooMuch, &format!("refs/heads/{name}"), None, words);
                break;
            };
            left -= commit.count();
            branches.insert(name, commit);
        }
        Ok(branches)
    }

    fn names_of_others(&self) -> Result<BTreeMap<String, ObjectId>, Error> {
        let mut branches = BTreeMap::new();
        if self.query.refs.is_empty() {
            return Ok(branches);
        }
        let refs = self.history.refs()?;
        let short = |name: &str| {
            let starts = ["refs/heads/", "refs/remotes/"];
            starts.iter().find_map(|start| name.strip_prefix(start)).unwrap_or(name).to_owned()
        };
        for pattern in &self.query.refs {
            let fits = |name: &str| pattern.matches(name) || pattern.matches(&short(name));
            branches.extend(
                refs.iter().filter(|(name, _)| fits(name)).map(|(name, id)| (short(name), *id)),
            );
        }
        let head = self.history.head();
        branches.retain(|_, id| Some(*id) != head);
        Ok(branches)
    }
}

/// Adds what `bytes` hold, if that is a claim.
fn hold(claims: &mut Claims, path: &str, bytes: Vec<u8>) {
    if let Ok(claim) = Claim::parse(&bytes) {
        claims.insert(claim.task_id.clone(), Held { claim, bytes, path: path.to_owned() });
    }
}

/// What a record file is about, whatever letter case and slug its name has.
fn subject(kind: Kind, path: &str) -> String {
    let item = (kind == Kind::QueueItem).then(|| QueueItem::task(name_of(path))).flatten();
    item.map_or_else(|| stem_of(path).to_owned(), |task| task.to_string()).to_ascii_lowercase()
}
