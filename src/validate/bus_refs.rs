//! The refs of the bus that are here: this clone's own, and what was fetched of a remote's (design,
//! section 3).

use std::collections::BTreeMap;

use crate::git::{Error, ObjectId, RefName, Repository, Tip};
use crate::record::{Fleet, LeaseTable, QueueItem, TaskId};

/// Where this clone's own refs are.
const OWN: &str = "refs/bus/";

/// A ref that has the history of a claim.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// The full name of the ref, or of the archive that has the chain.
    pub(super) name: String,
    pub(super) tip: ObjectId,
    /// Whether it is a remote's.
    pub(super) is_fetched: bool,
}

/// The table of leases that counts: the newest of those that are here.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// The commit that holds it.
    pub(super) id: ObjectId,
    pub(super) leases: LeaseTable,
}

/// The names of the refs, and what the archives have.
pub(super) struct BusRefs<'a> {
    repo: &'a Repository,
    /// The refs of claims, by [`key`] of their tasks.
    claims: BTreeMap<String, Vec<RefName>>,
    archives: Vec<RefName>,
    tables: Vec<RefName>,
    /// The refs of logs, by the clones' ids.
    logs: BTreeMap<String, Vec<RefName>>,
    is_empty: bool,
    strangers: Vec<String>,
    has_fetched: bool,
}

impl<'a> BusRefs<'a> {
    /// Reads the names of the refs: those of `fleet`, or all if the policy names none.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if they cannot be read.
    pub(super) fn read(repo: &'a Repository, fleet: Option<&Fleet>) -> Result<Self, Error> {
        let (claims, logs) = (BTreeMap::new(), BTreeMap::new());
        let mut refs = Self {
            repo,
            claims,
            archives: Vec::new(),
            tables: Vec::new(),
            logs,
            is_empty: true,
            strangers: Vec::new(),
            has_fetched: false,
        };
        for prefix in [OWN, RefName::ALL_SEEN] {
            let mut known: BTreeMap<String, bool> = BTreeMap::new();
            for rest in repo.names_below(prefix)? {
                let Some(name) = RefName::parse(&format!("{prefix}{rest}")) else { continue };
                let place = place_of(name.as_str());
                if !known.contains_key(place) {
                    let is_ours = refs.is_of(fleet, place)?;
                    known.insert(place.to_owned(), is_ours);
                    refs.strangers.extend((!is_ours).then(|| place.to_owned()));
                }
                if known[place] {
                    refs.add(name);
                }
            }
        }
        Ok(refs)
    }

    /// Whether the refs below `place` are of the fleet that the policy names: what is another's
    /// proves nothing. This clone's own are its own until they say otherwise; those of a remote
    /// have to say so, or else this clone, which has joined the fleet and fetches no more of a
    /// remote than it needs.
    fn is_of(&self, fleet: Option<&Fleet>, place: &str) -> Result<bool, Error> {
        let Some(fleet) = fleet else { return Ok(true) };
        let Some(name) = RefName::parse(&format!("{place}fleet")) else { return Ok(false) };
        match self.repo.tip(&name)? {
            Tip::Missing if place == OWN => Ok(true),
            Tip::Missing => {
                let own = RefName::parse(&format!("{OWN}fleet"));
                Ok(own.map_or(Ok(None), |own| self.repo.id_of(&own))?.is_some()
                    && self.is_of(Some(fleet), OWN)?)
            }
            Tip::Unreadable { .. } => Ok(false),
            Tip::At(root) => Ok(root.parent.is_none()
                && root.subject.trim_end().strip_prefix("fleet ") == Some(fleet.id.as_str())),
        }
    }

    /// Where refs are that belong to another fleet than the policy names, or to none.
    pub(super) fn strangers(&self) -> &[String] {
        &self.strangers
    }

    fn add(&mut self, name: RefName) {
        self.is_empty = false;
        self.has_fetched |= name.as_str().starts_with(RefName::ALL_SEEN);
        let rest = name.as_str().strip_prefix(OWN).map(|rest| format!("/{rest}"));
        let rest = rest.unwrap_or_else(|| name.as_str().to_owned());
        if let Some((_, task)) = rest.rsplit_once("/claims/") {
            self.claims.entry(key(task)).or_default().push(name);
        } else if let Some((_, clone)) = rest.rsplit_once("/log/") {
            self.logs.entry(clone.to_owned()).or_default().push(name);
        } else if rest.ends_with("/locks") {
            self.tables.push(name);
        } else if rest.ends_with("/archive") {
            self.archives.push(name);
        }
    }

    /// Whether some were fetched of a remote.
    pub(super) const fn has_fetched(&self) -> bool {
        self.has_fetched
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The chains of a task's claims, this clone's own first, then the archived ones.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if a ref or an archive cannot be read.
    pub(super) fn chains_of(&self, task: &TaskId) -> Result<Vec<Chain>, Error> {
        let mut chains = Vec::new();
        for name in self.claims.get(&key(task.as_str())).into_iter().flatten() {
            chains.extend(self.repo.id_of(name)?.map(|tip| Chain::new(name, tip)));
        }
        let canonical = Some(QueueItem::canonical(task)).filter(|canonical| canonical != task);
        for name in &self.archives {
            let Some(archive) =
                self.repo.id_of(name)?.map(|id| self.repo.archive(id)).transpose()?
            else {
                continue;
            };
            for task in [Some(task), canonical.as_ref()].into_iter().flatten() {
                chains.extend(self.repo.archived(&archive, task)?.map(|tip| Chain::new(name, tip)));
            }
        }
        Ok(chains)
    }

    /// The refs of claims, by task, as [`key`] calls it.
    pub(super) const fn claims(&self) -> &BTreeMap<String, Vec<RefName>> {
        &self.claims
    }

    /// The tables of leases, as refs.
    pub(super) fn tables(&self) -> &[RefName] {
        &self.tables
    }

    /// The archives, as refs.
    pub(super) fn archives(&self) -> &[RefName] {
        &self.archives
    }

    /// The logs of each clone, as refs.
    pub(super) const fn logs(&self) -> &BTreeMap<String, Vec<RefName>> {
        &self.logs
    }

    /// The table of leases of the highest revision; `None` if none can be read.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the system refuses to read.
    pub(super) fn newest_table(&self) -> Result<Option<Table>, Error> {
        let mut newest: Option<Table> = None;
        for name in &self.tables {
            let Tip::At(link) = self.repo.tip(name)? else { continue };
            let Ok(leases) = LeaseTable::parse(&link.body) else { continue };
            if newest.as_ref().is_none_or(|newest| newest.leases.revision < leases.revision) {
                newest = Some(Table { id: link.id, leases });
            }
        }
        Ok(newest)
    }
}

impl Chain {
    fn new(name: &RefName, tip: ObjectId) -> Self {
        let name = name.as_str().to_owned();
        Self { is_fetched: name.starts_with(RefName::ALL_SEEN), name, tip }
    }
}

/// Where the refs of one bus are: `refs/bus/`, or `refs/bus-remote/<remote>/`. A remote's name may
/// have slashes.
fn place_of(name: &str) -> &str {
    let Some(rest) = name.strip_prefix(RefName::ALL_SEEN) else { return OWN };
    let ends =
        ["/claims/", "/log/", "/lost/", "/queue/"].iter().filter_map(|middle| rest.find(middle));
    let end = ends.min().or_else(|| rest.rfind('/')).map_or(rest.len(), |end| end + 1);
    &name[..RefName::ALL_SEEN.len() + end]
}

/// What the ref of a task is called: two spellings of one task have one.
pub(super) fn key(task: &str) -> String {
    let canonical = TaskId::new(task).map(|task| QueueItem::canonical(&task).to_string());
    canonical.unwrap_or_else(|_| task.to_owned()).to_ascii_uppercase()
}
