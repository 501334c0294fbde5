//! The validator: reads a bus and what it grew from, and tells what is not sound. It never writes
//! (docs/design.md, section 5).

mod append_only;
mod audit;
mod base;
mod batches;
mod bus_refs;
mod claimed;
mod error;
mod faults;
mod files;
mod finding;
mod format;
mod handover;
mod hashes;
mod history;
mod leases;
mod logs;
mod plans;
mod policy;
mod queue;
mod records;
mod rewrites;
mod rule;
mod sparse;
mod tree;
mod untracked;

use std::cell::OnceCell;
use std::collections::HashSet;
use std::path::Path;
use std::sync::OnceLock;

use base::{ALTERING, Attributes, Base, Change, Commit, Delta, folders_above};
use bus_refs::BusRefs;
use files::{ATTRIBUTES, Found, Kind, Stands, is_record_file};
use finding::Findings;
use hashes::Secret;
use logs::{Author, Known, LineCheck, LineFile};
use records::Surroundings;
use sparse::JudgedFiles;

use crate::git::{Error as GitError, History, ObjectId, Repository};
use crate::record::json::MAX_RECORD;
use crate::record::{AgentId, Config, PlanId, Records, Timestamp};
use crate::store::{Error as StoreError, Verb, on_all_cores};

pub use audit::audit;
pub use error::Error;
pub use finding::{Finding, FleetSight, Place, Report, SHOWN, Selection};
pub use format::annotation;
pub use rule::{About, LooksAt, NoSuchRule, Rule, Severity};

/// How many bytes of record files are judged at most, all together: those of a log are more.
const MAX_RECORDS: u64 = 128 * 1024 * 1024;

/// The same of files of lines.
const MAX_LINES: u64 = 1024 * 1024 * 1024;

/// The longest file of lines that is judged, in bytes: an older bus with 1,000,000 events of one
/// agent has half as much.
const MAX_LOG: u64 = 512 * 1024 * 1024;

/// As how many bytes a file counts besides its own.
const FILE_COST: u64 = 1024;

/// What is to be validated.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// What the tree is compared with.
    pub base: Against,
    /// Other branches, that may not hold what this tree holds: patterns of the names of refs, short
    /// or in full.
    pub refs: Vec<glob::Pattern>,
    /// The branch that is judged, if it is not the one that is checked out; an empty name is
    /// nobody's, as that of a fork.
    pub branch: Option<String>,
    /// Why the fleet's refs could not be read, if somebody tried.
    pub unread: Option<String>,
    /// Which rules are looked at.
    pub rules: Selection,
    /// Only files of plans: these, or all of them where the list is empty.
    pub plans: Option<Vec<PlanId>>,
    /// The time, by which a lease that no table knows is over, or `None` if none is.
    pub now: Option<Timestamp>,
}

/// What a tree is compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Against {
    /// Nothing: only the tree itself is looked at.
    #[default]
    Nothing,
    /// What it grew from, seen from this revision.
    Revision(String),
    /// What a job of continuous integration compares with: the first parent, where HEAD is the
    /// merge that was made to try a change out; else what HEAD and the default branch grew from. On
    /// the default branch itself that is the first parent of a merge commit, or nothing.
    PullRequest {
        /// The name of the branch that the work is to be merged into, where it is known.
        into: Option<String>,
        /// Whether HEAD, if it is a merge commit, is the one that was made to try the change out.
        is_trial: bool,
    },
}

/// Validates the bus in the worktree of `repo`.
///
/// # Errors
///
/// [`Error::NoBus`] if neither the tree nor the base has one; [`Error::Git`] if the base is
/// not there; [`Error::Store`] if a file cannot be read.
pub fn validate(repo: &Repository, query: &Query) -> Result<Report, Error> {
    let history = repo.history()?;
    let files = JudgedFiles::of(repo, &history)?;
    let mut refused = Vec::new();
    let mut found = files::walk(files.root(), |error| refused.push(error));
    if let Some(error) = refused.pop() {
        let path = error.path().unwrap_or(files.root()).to_owned();
        return Err(StoreError::io(Verb::Read, &path)(error.into()).into());
    }
    if let Some(plans) = &query.plans {
        found.retain(|found| found.is_of(plans));
    }
    let mut base =
        base_of(&history, &query.base)?.map(|commit| Base::find(&history, commit)).transpose()?;
    let has_bus = files.root().join("_bus").symlink_metadata().is_ok();
    if !has_bus && !base.as_ref().is_some_and(|base| base.commits.iter().any(Commit::has_bus)) {
        return Err(Error::NoBus { root: repo.root().to_owned() });
    }
    let policy = policy::that_holds(&files, &history, base.as_ref())?;
    if policy.records == Some(Records::Untracked) {
        // What stands here of them are copies, or what the base has frozen.
        found.retain(|found| !is_record_file(&found.path));
        base.iter_mut().for_each(Base::forget_records);
    }
    let (refs, changed) = (OnceCell::new(), OnceCell::new());
    let secret = Secret::random();
    Run {
        repo,
        root: files.root(),
        history: &history,
        found: &found,
        base: base.as_ref(),
        policy,
        query,
        secret,
        refs,
        changed,
    }
    .run()
}

fn base_of(history: &History, against: &Against) -> Result<Option<ObjectId>, Error> {
    let (into, is_trial) = match against {
        Against::Nothing => return Ok(None),
        Against::Revision(revision) => return Ok(Some(history.commit(revision)?)),
        Against::PullRequest { into, is_trial } => (into, *is_trial),
    };
    let Some(head) = history.head() else { return Ok(None) };
    let parents = history.parents(head)?;
    let first = parents.first().filter(|_| parents.len() > 1).map(ToString::to_string);
    if let Some(first) = first.as_ref().filter(|_| is_trial) {
        return Ok(Some(history.commit(first)?));
    }
    let named = into.as_ref().map(|branch| format!("origin/{branch}"));
    let Some(branch) = named.or_else(|| history.default_branch()) else {
        let missing = || GitError::TooShallow { revision: "the default branch".to_owned() };
        return if history.is_shallow() { Err(missing().into()) } else { Ok(None) };
    };
    match (history.commit(&branch)?, first) {
        (base, Some(first)) if base == head => Ok(Some(history.commit(&first)?)),
        (base, _) => Ok(Some(base).filter(|base| *base != head)),
    }
}

/// Which files are not what the base has.
#[derive(Debug, Default)]
struct Changes<'a> {
    /// What no commit of the base has so: it is judged.
    news: HashSet<&'a str>,
    /// What is not so in every commit of the base: it is compared with them.
    touched: HashSet<&'a str>,
}

/// One run of the validator.
struct Run<'a> {
    repo: &'a Repository,
    /// The folder that has the files that are judged.
    root: &'a Path,
    history: &'a History,
    found: &'a [Found],
    base: Option<&'a Base>,
    /// The policy that holds, whatever the change makes of it.
    policy: Config,
    query: &'a Query,
    secret: Secret,
    /// The refs of the bus, once somebody asks.
    refs: OnceCell<BusRefs<'a>>,
    /// The paths that have changed since the base, once somebody asks.
    changed: OnceCell<Vec<String>>,
}

impl Run<'_> {
    fn run(&self) -> Result<Report, Error> {
        let raised = if self.policy.claims_required {
            vec![Rule::UnclaimedBranch, Rule::NotJudged]
        } else {
            Vec::new()
        };
        let mut findings = Findings::new(self.query.rules.clone(), raised.clone());
        let changes = self.changes(&mut findings)?;
        records::check_names(&mut findings, self.found, |path| changes.news.contains(path));
        queue::check_cycles(&mut findings, self.root, self.found, |path| {
            changes.news.contains(path)
        })?;
        self.check_records(&mut findings, &changes)?;
        self.check_tree(&mut findings)?;
        self.check_untracked(&mut findings)?;
        let (author, fleet) = (self.author()?, self.fleet_sight()?);
        self.check_claimed(&mut findings, &author, &fleet)?;
        let mut files = self.line_files(&mut findings, &changes);
        let others = self.other_branches(&mut findings)?;
        self.check_history(&mut findings, &changes, &author, &mut files, &others)?;
        self.check_leases(&mut findings, &changes, &author, &others)?;
        self.prove_batches(&author, &mut files)?;
        let (root, secret, before) = (self.root, self.secret, OnceLock::new());
        LineCheck { root, files: &files, author: &author, secret, before }.run(&mut findings)?;
        let (findings, counts) = findings.finish();
        let merge_bases =
            self.base.map(|base| base.commits.iter().map(|commit| commit.id.to_string()).collect());
        Ok(Report {
            findings,
            counts,
            raised,
            base: self.base.map(|base| base.revision.to_string()),
            merge_bases: merge_bases.unwrap_or_default(),
            branch: self.branch(),
            refs: others.into_keys().collect(),
            files: changes.news.len(),
            is_audit: false,
            records: self.policy.records,
            fleet,
        })
    }

    /// The branch that is judged; `None` if it is nobody's.
    fn branch(&self) -> Option<String> {
        match &self.query.branch {
            Some(name) => Some(name.strip_prefix("refs/heads/").unwrap_or(name).to_owned())
                .filter(|name| !name.is_empty()),
            None => self.repo.branch(),
        }
    }

    /// The refs of the bus.
    fn refs(&self) -> Result<&BusRefs<'_>, Error> {
        if let Some(known) = self.refs.get() {
            return Ok(known);
        }
        let refs = BusRefs::read(self.repo, self.policy.fleet.as_ref())?;
        Ok(self.refs.get_or_init(|| refs))
    }

    /// What the worktree has otherwise than every commit of the base. Bytes that are no UTF-8 are
    /// replaced.
    fn changed_paths(&self, base: &Base) -> Result<&[String], Error> {
        if let Some(known) = self.changed.get() {
            return Ok(known);
        }
        let commits: Vec<ObjectId> =
            base.commits.iter().chain(&base.beside).map(|commit| commit.id).collect();
        let changed = self.repo.changed_from_all(&commits)?;
        let changed =
            changed.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        Ok(self.changed.get_or_init(|| changed))
    }

    /// The paths that are judged: what differs from the base; everything without one.
    fn changes(&self, findings: &mut Findings) -> Result<Changes<'_>, Error> {
        let mut changes = Changes::default();
        let delta =
            Delta { root: self.root, history: self.history, indexed: self.history.indexed() };
        for found in self.found {
            let change = self.base.map_or(Change::News, |base| delta.change(base, found));
            if change == Change::News {
                changes.news.insert(&found.path);
            }
            if change != Change::None {
                changes.touched.insert(&found.path);
            }
        }
        // Without a base the worktree is judged, whatever is merged.
        if self.base.is_some() {
            self.check_altered(findings, &delta, &changes.touched)?;
        }
        Ok(changes)
    }

    /// Checks that the bytes that are judged here are those that are merged, of unchanged files,
    /// too, if attributes above them changed.
    fn check_altered(
        &self,
        findings: &mut Findings,
        delta: &Delta<'_>,
        touched: &HashSet<&str>,
    ) -> Result<(), Error> {
        let all: HashSet<&str> = self.found.iter().map(|found| found.path.as_str()).collect();
        let folders: HashSet<&Path> = all.iter().copied().flat_map(folders_above).collect();
        let changed: HashSet<&Path> =
            folders.into_iter().filter(|folder| self.has_new_attributes(delta, folder)).collect();
        let is_affected = |path: &str| {
            touched.contains(path) || folders_above(path).any(|folder| changed.contains(folder))
        };
        let paths: Vec<&str> =
            self.readable(&all).map(|(path, _)| path).filter(|path| is_affected(path)).collect();
        let attributes = Attributes::above(self.root, &paths);
        // git reads such a file for every path below it; that of the base is nobody's doing here.
        for path in &attributes.too_long {
            let folder = Path::new(path).parent().unwrap_or_else(|| Path::new(""));
            if changed.contains(folder) {
                findings.add(Rule::TooMuch, path, None, || {
                    "it has more than 1 MiB of attributes, which are not read".to_owned()
                });
            }
        }
        let suspects =
            if attributes.too_long.is_empty() { attributes.suspects } else { Vec::new() };
        let named: HashSet<&str> =
            self.repo.with_attributes(&ALTERING, &suspects)?.into_iter().collect();
        for path in paths {
            let what = match named.contains(path) {
                true => {
                    "an attribute lets git change its bytes between the commit and the worktree"
                }
                false if delta.is_altered(path) => "its bytes here are not those of the commit",
                false => continue,
            };
            findings.add(Rule::AlteredByGit, path, None, || what.to_owned());
        }
        Ok(())
    }

    /// Whether the attributes file of a folder is not what the base has.
    fn has_new_attributes(&self, delta: &Delta<'_>, folder: &Path) -> bool {
        let Some(base) = self.base else { return false };
        let path = folder.join(ATTRIBUTES).to_string_lossy().replace('\\', "/");
        let is_here = self.root.join(&path).symlink_metadata().is_ok();
        let is_known = base.newest_first().any(|commit| commit.at(&path).is_some());
        // Whatever stands there now is looked at as it is.
        let found = Found { path, kind: None, stands: Stands::Not("anything") };
        (is_here || is_known) && delta.change(base, &found) == Change::News
    }

    /// The files among `paths` that can be read.
    fn readable<'a>(&'a self, paths: &'a HashSet<&str>) -> impl Iterator<Item = (&'a str, Kind)> {
        let files = self
            .found
            .iter()
            .filter(|found| found.stands.is_readable() && paths.contains(found.path.as_str()));
        files.filter_map(|found| Some((found.path.as_str(), found.kind?)))
    }

    fn check_records(&self, findings: &mut Findings, changes: &Changes<'_>) -> Result<(), Error> {
        let around = Surroundings::new(self.root, self.found);
        let records = self.readable(&changes.news).filter(|(_, kind)| !kind.is_lines()).collect();
        let records = self.within(findings, records, MAX_RECORD as u64, MAX_RECORDS);
        let start = || findings.sister();
        let sisters = on_all_cores(records.len(), start, |findings, number| {
            let (path, kind) = records[number];
            records::check(findings, &around, path, kind)
        })?;
        sisters.into_iter().for_each(|sister| findings.join(sister, |_, place| place));
        Ok(())
    }

    fn line_files(&self, findings: &mut Findings, changes: &Changes<'_>) -> Vec<LineFile> {
        let files = self.readable(&changes.touched).filter(|(_, kind)| kind.is_lines()).collect();
        let files = self.within(findings, files, MAX_LOG, MAX_LINES).into_iter();
        files
            .map(|(path, kind)| LineFile {
                path: path.to_owned(),
                kind,
                known: Known::default(),
                is_proved: false,
            })
            .collect()
    }

    /// Those of `files` that are judged, all together so many bytes at most; of each `most` are
    /// read, and of what has more than [`MAX_LOG`] none. It is told which is the first that is not.
    fn within<'a>(
        &self,
        findings: &mut Findings,
        files: Vec<(&'a str, Kind)>,
        most: u64,
        sum: u64,
    ) -> Vec<(&'a str, Kind)> {
        let (mut judged, mut left) = (Vec::new(), sum);
        for (path, kind) in files {
            let length =
                self.root.join(path).symlink_metadata().map_or(0, |metadata| metadata.len());
            if length > MAX_LOG {
                findings.add(Rule::TooMuch, path, None, || {
                    format!("it has more than {} MiB, and is not judged", MAX_LOG >> 20)
                });
                continue;
            }
            // A file without a byte takes its time, too.
            // So do the ids that an item names.
            let weight = if kind == Kind::QueueItem { 4 } else { 1 };
            let Some(rest) = left.checked_sub(weight * length.min(most) + FILE_COST) else {
                let words = || {
                    format!(
                        "it and those after it are not judged: all that are have {} MiB together",
                        sum >> 20
                    )
                };
                findings.add(Rule::TooMuch, path, None, words);
                break;
            };
            left = rest;
            judged.push((path, kind));
        }
        judged
    }

    /// The one agent that may change something on this branch, or `None` if the branch is nobody's
    /// own, or a manager's.
    fn author(&self) -> Result<Author, Error> {
        let Some(base) = self.base else { return Ok(None) };
        let agent = self.branch().and_then(|branch| {
            let (agent, rest) = branch.strip_prefix("agent/")?.split_once('/')?;
            AgentId::new(agent).ok().filter(|_| !rest.is_empty())
        });
        let Some(agent) = agent else { return Ok(None) };
        let is_manager = self.managers(base)?.contains(&agent);
        Ok(Some(agent).filter(|_| !is_manager))
    }
}
