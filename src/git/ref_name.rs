//! The names of the refs of a bus (docs/design.md, sections 3 and 4).

use gix::refs::FullName;

use crate::record::{ClaimId, TaskId};

/// Where everything of this clone's own is.
pub(super) const OWN: &str = "refs/bus/";

/// Where what was seen on a remote is.
const SEEN: &str = "refs/bus-remote/";

/// Where the refs of claims are.
pub(super) const CLAIMS: &str = "refs/bus/claims/";

/// Why a good id makes a good name.
const STRICTER: &str = "the rules for ids are stricter than those for refs";

/// The name of a ref of the bus.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(FullName);

impl RefName {
    /// Where everything of this clone's own is.
    pub const ALL_OWN: &str = OWN;

    /// Where everything is that was seen on any remote.
    pub const ALL_SEEN: &str = SEEN;

    /// The ref that says who owns `task`.
    #[must_use]
    pub fn claim(task: &TaskId) -> Self {
        Self::own(&format!("claims/{}", task.key())).expect(STRICTER)
    }

    /// The task whose claim this ref is, or `None` if it is no claim's.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        TaskId::new(self.rest().strip_prefix("claims/")?).ok()
    }

    /// Whether this ref is a clone's log.
    #[must_use]
    pub fn is_log(&self) -> bool {
        self.rest().starts_with("log/")
    }

    /// The refs of claims that version 0.1 may have made of `task` under other spellings of its
    /// number: `claims/QUEUE-7` of `QUEUE-007`.
    #[must_use]
    pub fn other_claims(task: &TaskId) -> Vec<Self> {
        task.other_keys()
            .into_iter()
            .filter_map(|key| Self::own(&format!("claims/{key}")))
            .collect()
    }

    /// The ref that keeps a claim of `task` that the fleet's remote did not take, or `None` if
    /// `claim` is no word for a ref.
    #[must_use]
    pub fn lost(task: &TaskId, claim: &ClaimId) -> Option<Self> {
        Self::parse(&format!("{}{claim}", Self::lost_of(task)))
    }

    /// Where the refs are that keep the claims of `task` that the fleet's remote did not take.
    #[must_use]
    pub fn lost_of(task: &TaskId) -> String {
        format!("{OWN}lost/{}/", task.key())
    }

    /// The ref that says which numbers of the queue are given out. It is no folder, and may never
    /// become one.
    #[must_use]
    pub fn queue() -> Self {
        Self::own("queue").expect("it is a good name")
    }

    /// The ref of all path leases.
    #[must_use]
    pub fn leases() -> Self {
        Self::own("locks").expect("it is a good name")
    }

    /// The ref of the claims that ended and were archived.
    #[must_use]
    pub fn archive() -> Self {
        Self::own("archive").expect("it is a good name")
    }

    /// The ref that says which fleet a remote serves.
    #[must_use]
    pub fn fleet() -> Self {
        Self::own("fleet").expect("it is a good name")
    }

    /// The ref of what a clone has logged, said and assigned, or `None` if `clone_id` is no word
    /// for a ref.
    #[must_use]
    pub fn log(clone_id: &str) -> Option<Self> {
        Self::own(&format!("log/{clone_id}"))
    }

    /// The ref called `rest` below `refs/bus/`, where that is a good name.
    #[must_use]
    pub fn own(rest: &str) -> Option<Self> {
        Self::parse(&format!("{OWN}{rest}"))
    }

    /// The ref called `name`, where that is a good name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        FullName::try_from(name).ok().map(Self)
    }

    /// What this ref was at when `remote` was last looked at: a ref below
    /// `refs/bus-remote/<remote>/`.
    #[must_use]
    pub fn seen_on(&self, remote: &str) -> Option<Self> {
        Self::parse(&format!("{SEEN}{remote}/{}", self.rest()))
    }

    /// Where everything is that was seen on `remote`.
    #[must_use]
    pub fn all_seen_on(remote: &str) -> String {
        format!("{SEEN}{remote}/")
    }

    /// The name without `refs/bus/`.
    #[must_use]
    pub fn rest(&self) -> &str {
        self.as_str().strip_prefix(OWN).unwrap_or(self.as_str())
    }

    /// Whether git cannot keep this ref beside `other`: one is called as a folder of the other.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        let is_below = |long: &str, short: &str| {
            long.strip_prefix(short).is_some_and(|rest| rest.starts_with('/'))
        };
        is_below(self.as_str(), other.as_str()) || is_below(other.as_str(), self.as_str())
    }

    /// The full name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.0.as_bstr()).unwrap_or_default()
    }

    /// The same for gix.
    pub(super) const fn full(&self) -> &FullName {
        &self.0
    }
}
