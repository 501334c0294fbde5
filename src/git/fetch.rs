//! Brings the remote-tracking branches up to date, and nothing else: no branch, no tag, no file of
//! the worktree is touched.

use std::time::Duration;

use super::child::{End, Manner, git_fetch, git_ignores, git_remote_settings};
use super::{Error, Repository};

/// Where a fetch may write.
const TRACKING: &str = "refs/remotes/";

/// What came of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// The remote's branches are known.
    Done {
        /// The remote.
        remote: String,
    },
    /// There is no remote.
    NoRemote,
    /// There are several remotes; the branch follows none of them, and none is called `origin`.
    NoDefault,
    /// The configuration of the remote would have the fetch write elsewhere than to remote-tracking
    /// branches: nothing was done.
    Unsafe {
        /// The remote.
        remote: String,
        /// The refspec that says so.
        refspec: String,
    },
    /// The remote's name is one of a group, so that git would fetch from others, with refspecs of
    /// their own: nothing was done.
    Group {
        /// The remote, and the group.
        remote: String,
        /// The remotes of the group.
        members: String,
    },
    /// The remote, or git, refused.
    Refused {
        /// The remote.
        remote: String,
        /// What git said.
        what: String,
    },
    /// The remote did not answer in time.
    TimedOut {
        /// The remote.
        remote: String,
        /// How long was waited.
        patience: Duration,
    },
}

/// What git's configuration says of remotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remotes {
    /// The one that the branch follows, else `origin`, else the first one by name; `None` if there
    /// is none.
    pub first: Option<String>,
    /// The settings by which git would remove or overwrite refs of the bus when it fetches or
    /// pushes, as keys and values: a mirror, or a refspec whose target takes in `refs/bus/`.
    pub greedy: Vec<(String, String)>,
}

impl Repository {
    /// Fetches from the remote that the branch follows, else from `origin`, else from the only one,
    /// as the user's git is configured to, for so long at most.
    ///
    /// # Errors
    ///
    /// [`Error::NoGit`] if git cannot be started; [`Error::Interrupted`] if a signal came first.
    pub fn fetch(&self, patience: Duration) -> Result<Fetch, Error> {
        let settings = git_remote_settings(self.root())?;
        let remote = match choose(&settings, self.branch().as_deref()) {
            Choice::One(remote) => remote,
            Choice::None => return Ok(Fetch::NoRemote),
            Choice::Unclear => return Ok(Fetch::NoDefault),
        };
        if let Some(refspec) = stray_refspec(&settings, &remote) {
            return Ok(Fetch::Unsafe { remote, refspec });
        }
        if let Some(members) = group(&settings, &remote) {
            return Ok(Fetch::Group { remote, members });
        }
        let own_ssh = settings.iter().any(|(key, _)| key == "core.sshcommand");
        let talk = git_fetch(self.root(), &remote, Manner { own_ssh, patience })?;
        match talk.end {
            End::Exited(_) if talk.is_done() => Ok(Fetch::Done { remote }),
            End::Exited(_) => Ok(Fetch::Refused { remote, what: talk.fault() }),
            End::TooLong => Ok(Fetch::TimedOut { remote, patience }),
            End::Interrupted => Err(Error::Interrupted),
        }
    }

    /// What git's configuration says of remotes.
    ///
    /// # Errors
    ///
    /// [`Error::NoGit`] if git cannot be started.
    pub fn remotes(&self) -> Result<Remotes, Error> {
        let mut settings = git_remote_settings(self.root())?;
        let first = match choose(&settings, self.branch().as_deref()) {
            Choice::One(remote) => Some(remote),
            Choice::None => None,
            Choice::Unclear => settings
                .iter()
                .filter_map(|(key, _)| name_in(key, "remote.", ".url"))
                .min()
                .map(str::to_owned),
        };
        settings.retain(|(key, value)| is_greedy(key, value));
        Ok(Remotes { first, greedy: settings })
    }

    /// Whether git ignores the file `path` of this worktree.
    ///
    /// # Errors
    ///
    /// [`Error::NoGit`] if git cannot be started.
    pub fn ignores(&self, path: &str) -> Result<bool, Error> {
        git_ignores(self.root(), path)
    }
}

/// Which remote is meant.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    One(String),
    None,
    Unclear,
}

/// The remote of `branch`, else `origin`, else the only one.
fn choose(settings: &[(String, String)], branch: Option<&str>) -> Choice {
    let mut remotes: Vec<&str> =
        settings.iter().filter_map(|(key, _)| name_in(key, "remote.", ".url")).collect();
    remotes.sort_unstable();
    remotes.dedup();
    let followed = settings
        .iter()
        .rfind(|(key, _)| branch.is_some() && name_in(key, "branch.", ".remote") == branch);
    let mut wanted = followed.map(|(_, remote)| remote.as_str()).into_iter().chain(["origin"]);
    match (wanted.find(|wanted| remotes.contains(wanted)), &remotes[..]) {
        (Some(remote), _) | (None, &[remote]) => Choice::One(remote.to_owned()),
        (None, []) => Choice::None,
        (None, _) => Choice::Unclear,
    }
}

/// The name in a key such as `remote.origin.url`.
fn name_in<'a>(key: &'a str, section: &str, setting: &str) -> Option<&'a str> {
    key.strip_prefix(section)?.strip_suffix(setting)
}

/// The refspec of `remote` that writes elsewhere than to remote-tracking branches.
fn stray_refspec(settings: &[(String, String)], remote: &str) -> Option<String> {
    let of_remote =
        settings.iter().filter(|(key, _)| name_in(key, "remote.", ".fetch") == Some(remote));
    let strays = |refspec: &&str| {
        refspec.split_once(':').is_some_and(|(_, to)| !to.is_empty() && !to.starts_with(TRACKING))
    };
    of_remote.map(|(_, refspec)| refspec.as_str()).find(strays).map(str::to_owned)
}

/// Whether a setting has git treat refs of the bus as its own.
fn is_greedy(key: &str, value: &str) -> bool {
    let takes = |pattern: &str| match pattern.split_once('*') {
        Some((before, _)) => "refs/bus/".starts_with(before) || before.starts_with("refs/bus"),
        None => pattern.starts_with("refs/bus"),
    };
    let target = value.split_once(':').map(|(_, target)| target);
    let is_true = matches!(value.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "1" | "");
    (key.starts_with("remote.") && key.ends_with(".mirror") && is_true)
        || (key.starts_with("remote.") && key.ends_with(".fetch") && target.is_some_and(takes))
}

/// The remotes that git fetches from where it is told to fetch from `remote`, if that is a group
/// (`remotes.<group>`).
fn group(settings: &[(String, String)], remote: &str) -> Option<String> {
    let of_remote = |key: &str| {
        key.strip_prefix("remotes.").is_some_and(|group| group.eq_ignore_ascii_case(remote))
    };
    settings.iter().rfind(|(key, _)| of_remote(key)).map(|(_, members)| members.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Vec<(String, String)> {
        text.lines()
            .filter_map(|line| line.trim().split_once(' '))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn the_branchs_remote_comes_before_origin_and_origin_before_the_only_one() {
        let one = |name: &str| Choice::One(name.to_owned());
        let two = "remote.a.url x\nremote.b.c.url y";
        assert_eq!(choose(&settings(""), Some("main")), Choice::None);
        assert_eq!(choose(&settings("remote.a.url x"), None), one("a"));
        assert_eq!(choose(&settings(two), Some("main")), Choice::Unclear);
        assert_eq!(
            choose(&settings(&format!("{two}\nremote.origin.url z")), Some("main")),
            one("origin")
        );
        let follows = |remote: &str| {
            settings(&format!("{two}\nremote.origin.url z\nbranch.main.remote {remote}"))
        };
        assert_eq!(choose(&follows("b.c"), Some("main")), one("b.c"));
        assert_eq!(choose(&follows("b.c"), Some("other")), one("origin"));
        assert_eq!(
            choose(&follows("."), Some("main")),
            one("origin"),
            "a branch may follow a local one"
        );
        assert_eq!(choose(&follows("https://example.invalid/x"), Some("main")), one("origin"));
    }

    #[test]
    fn a_setting_is_greedy_that_takes_the_refs_of_the_bus() {
        let greedy = |key: &str, value: &str| is_greedy(&format!("remote.origin.{key}"), value);
        for target in ["refs/*", "refs/bus/*", "refs/bus-remote/x/*", "refs/b*"] {
            assert!(greedy("fetch", &format!("+refs/*:{target}")), "{target}");
        }
        assert!(greedy("mirror", "true") && !greedy("mirror", "false"));
        for target in ["refs/remotes/origin/*", "refs/heads/*", "refs/remotes/origin/main"] {
            assert!(!greedy("fetch", &format!("+refs/heads/*:{target}")), "{target}");
        }
    }

    #[test]
    fn only_remote_tracking_branches_are_written() {
        let stray = |refspec: &str| {
            stray_refspec(&settings(&format!("remote.origin.fetch {refspec}")), "origin")
        };
        for good in [
            "+refs/heads/*:refs/remotes/origin/*",
            "refs/heads/main",
            "^refs/heads/x",
            "refs/heads/main:",
        ] {
            assert_eq!(stray(good), None, "{good}");
        }
        for bad in [
            "+refs/*:refs/*",
            "main:main",
            "+refs/heads/*:refs/heads/*",
            "refs/notes/*:refs/notes/*",
        ] {
            assert_eq!(stray(bad).as_deref(), Some(bad));
        }
        assert_eq!(stray_refspec(&settings("remote.other.fetch +refs/*:refs/*"), "origin"), None);
    }
}
