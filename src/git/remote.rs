//! The door to a remote: what its refs of the bus are at, their objects, and compare-and-swap by
//! push (docs/design.md, section 3, *Fleet*).
//!
//! The user's `git` talks, so credentials, ssh and proxies work as ever. What a push prints proves
//! nothing: whoever pushes looks again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::child::{End, Manner, Talk, git_has_own_ssh, git_push_urls, talk};
use super::{Error, ObjectId, RefName, Repository};

/// How many refs are named in one push: the system limits how long a command line may be.
pub const MAX_PUSH: usize = 2000;

/// Schemes that no ssh is needed for, with the beginnings of plain paths.
const NOT_SSH: [&str; 7] = ["file://", "http://", "https://", "git://", "/", "./", "../"];

/// A remote, for as long as one command runs.
#[derive(Clone, Debug)]
pub struct Remote {
    name: String,
    url: String,
    prefix: String,
    manner: Manner,
}

/// One change of a remote's ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// The ref, as this clone names it.
    pub name: RefName,
    /// What it must be at, or `None` if it must not be there.
    pub expected: Option<ObjectId>,
    /// What it shall be at, or `None` if it shall go.
    pub new: Option<ObjectId>,
}

/// What `git push` says came of it. Only a look at the remote proves what did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// All is well.
    Done,
    /// The remote, or git itself, refused; nothing was changed by it.
    Refused(String),
    /// Nobody knows: git could not talk to the remote, or not to the end.
    Unclear(String),
    /// It took too long and was ended.
    TimedOut,
}

impl Pushed {
    /// Why it has not done what it should.
    #[must_use]
    pub fn story(&self) -> String {
        match self {
            Self::Done => "it was not taken".to_owned(),
            Self::TimedOut => "it took too long".to_owned(),
            Self::Refused(what) | Self::Unclear(what) => what.clone(),
        }
    }
}

/// What a remote's refs of the bus are at, by the names that this clone has for them.
pub type Sight = BTreeMap<RefName, ObjectId>;

impl Repository {
    /// The remote called `name`, whose refs of the bus stand below `prefix` there (`refs/bus/`).
    /// Each talk with it may take as long as `patience`.
    ///
    /// # Errors
    ///
    /// [`Error::NoRemote`] if there is no such remote, or it is pushed to several places;
    /// [`Error::NoGit`] if git cannot be started.
    pub fn remote(&self, name: &str, prefix: &str, patience: Duration) -> Result<Remote, Error> {
        let mut urls = git_push_urls(self.root(), name)?;
        let (1, Some(url)) = (urls.len(), urls.pop()) else {
            let what = if urls.is_empty() {
                "there is no such remote"
            } else {
                "it is pushed to several places"
            };
            return Err(Error::NoRemote { remote: name.to_owned(), what });
        };
        let needs_ssh = !NOT_SSH.iter().any(|scheme| url.starts_with(scheme));
        let own_ssh = needs_ssh && git_has_own_ssh(self.root())?;
        Ok(Remote {
            name: name.to_owned(),
            url,
            prefix: prefix.to_owned(),
            manner: Manner { own_ssh, patience },
        })
    }

    /// What those of `remote`'s refs are at that are `wanted`; all of its bus if nothing is
    /// named.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] if it does not answer; [`Error::Interrupted`] if a signal came
    /// first.
    pub fn look_at(&self, remote: &Remote, wanted: &[RefName]) -> Result<Sight, Error> {
        let mut names: Vec<String> = wanted.iter().map(|name| remote.spell(name)).collect();
        if names.is_empty() {
            names.push(format!("{}*", remote.prefix));
        }
        let mut arguments = vec!["ls-remote", "--refs", "--quiet", "--", &remote.url];
        arguments.extend(names.iter().map(String::as_str));
        let talk = remote.done(talk(self.root(), &arguments, None, remote.manner)?)?;
        let entry = |line: &str| {
            let (id, name) = line.split_once('\t')?;
            Some((remote.read(name)?, ObjectId::from_hex(id.as_bytes()).ok()?))
        };
        let seen = talk.out.lines().filter_map(entry);
        Ok(seen.filter(|(name, _)| wanted.is_empty() || wanted.contains(name)).collect())
    }

    /// Brings the objects here that these of `remote`'s refs were seen at, with all that they
    /// follow. No ref of this clone moves. They are asked for by their ids: by names git would
    /// compare each with every ref of the remote.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] if it does not answer, or cannot give one of them.
    pub fn fetch_objects(
        &self,
        remote: &Remote,
        wanted: &[(RefName, ObjectId)],
    ) -> Result<(), Error> {
        if wanted.is_empty() {
            return Ok(());
        }
        let apart = [
            "--quiet",
            "--no-write-fetch-head",
            "--no-tags",
            "--no-prune-tags",
            "--no-auto-maintenance",
        ];
        let rest = ["--no-recurse-submodules", "--refmap=", "--stdin"];
        let mut arguments: Vec<String> =
            ["fetch"].iter().chain(&apart).chain(&rest).map(|word| (*word).to_owned()).collect();
        // Without this git would tell the remote of every branch that it has.
        let known = wanted
            .iter()
            .flat_map(|(name, _)| [name.seen_on(&remote.name), Some(name.clone())])
            .flatten();
        // By their objects: another process may remove a ref meanwhile.
        let known: Vec<ObjectId> =
            known.filter_map(|name| self.id_of(&name).ok().flatten()).take(MAX_PUSH).collect();
        arguments.extend(known.iter().map(|id| format!("--negotiation-tip={id}")));
        if known.is_empty() {
            arguments.splice(0..0, ["-c".to_owned(), "fetch.negotiationAlgorithm=noop".to_owned()]);
        }
        arguments.extend(["--".to_owned(), remote.url.clone()]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ids: BTreeSet<ObjectId> = wanted.iter().map(|(_, id)| *id).collect();
        let input: String = ids.iter().map(|id| format!("{id}\n")).collect();
        remote.done(talk(self.root(), &arguments, Some(&input), remote.manner)?).map(drop)
    }

    /// Asks `remote` for these changes, each only where the ref is at what is expected; all or none
    /// of them where `atomic`. What is at its place already is expected to be there, too, but not
    /// changed.
    ///
    /// # Errors
    ///
    /// [`Error::NoGit`] if git cannot be started; [`Error::Interrupted`] and
    /// [`Error::PushInterrupted`] if a signal came. What came of the push, only a look tells.
    pub fn push(&self, remote: &Remote, swaps: &[Swap], atomic: bool) -> Result<Pushed, Error> {
        let mut arguments: Vec<String> =
            ["push", "--porcelain", "--quiet", "--no-verify", "--no-follow-tags", "--no-signed"]
                .map(str::to_owned)
                .into();
        arguments.push("--recurse-submodules=no".to_owned());
        arguments.extend(atomic.then(|| "--atomic".to_owned()));
        let hex = |id: Option<ObjectId>| id.map_or_else(String::new, |id| id.to_string());
        let leases = swaps.iter().map(|swap| {
            format!("--force-with-lease={}:{}", remote.spell(&swap.name), hex(swap.expected))
        });
        arguments.extend(leases);
        arguments.extend(["--".to_owned(), remote.url.clone()]);
        arguments.extend(
            swaps.iter().map(|swap| format!("{}:{}", hex(swap.new), remote.spell(&swap.name))),
        );
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let talk = talk(self.root(), &arguments, None, remote.manner)?;
        match talk.end {
            End::Exited(_) => {}
            End::TooLong => return Ok(Pushed::TimedOut),
            End::Interrupted => return Err(Error::PushInterrupted { remote: remote.name.clone() }),
        }
        // A line for each ref that was refused; `remote failure` says that no answer came.
        let refusals = talk.out.lines().filter_map(|line| line.strip_prefix("!\t"));
        let refusals =
            refusals.filter(|line| !line.contains("[remote failure]")).collect::<Vec<_>>();
        // One that only goes with another says nothing.
        let cause =
            refusals.iter().find(|line| !line.contains("(atomic push fail")).or(refusals.first());
        Ok(match cause {
            None if talk.is_done() => Pushed::Done,
            None => Pushed::Unclear(talk.fault()),
            Some(line) => {
                let said =
                    talk.remote_complaint().map_or_else(String::new, |said| format!(": {said}"));
                Pushed::Refused(line.replace('\t', " ") + &said)
            }
        })
    }
}

impl Remote {
    /// What the remote is called here.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is, without the name and the password that its address may have.
    #[must_use]
    pub fn shown_url(&self) -> String {
        let Some((scheme, rest)) = self.url.split_once("://") else { return self.url.clone() };
        let host = rest.find('/').unwrap_or(rest.len());
        rest[..host]
            .rfind('@')
            .map_or_else(|| self.url.clone(), |at| format!("{scheme}://{}", &rest[at + 1..]))
    }

    /// What the remote calls a ref.
    fn spell(&self, name: &RefName) -> String {
        format!("{}{}", self.prefix, name.rest())
    }

    /// What this clone calls one of the remote's refs, or `None` if it is none of the bus.
    fn read(&self, name: &str) -> Option<RefName> {
        RefName::own(name.strip_prefix(&self.prefix)?)
    }

    /// A talk that did what was asked for.
    fn done(&self, talk: Talk) -> Result<Talk, Error> {
        match talk.end {
            End::Exited(_) if talk.is_done() => Ok(talk),
            End::Exited(_) => {
                Err(Error::Unreachable { remote: self.name.clone(), what: talk.fault() })
            }
            End::TooLong => Err(Error::RemoteTimeout {
                remote: self.name.clone(),
                patience: self.manner.patience,
            }),
            End::Interrupted => Err(Error::Interrupted),
        }
    }
}
