//! The rig itself, proved with git alone.

use super::rig::{Remote, path_with_git};
use super::server::Transport;
use crate::harness::{Repo, alone};

const NAME: &str = "refs/bus/claims/T-1";

/// A repository with the remote as `origin`, and the id of its first commit.
fn with_remote(remote: &Remote) -> (Repo, String) {
    let repo = Repo::bare_of_bus();
    repo.git(&["remote", "add", "origin", &remote.url()]);
    let id = head(&repo);
    (repo, id)
}

fn head(repo: &Repo) -> String {
    repo.git(&["rev-parse", "HEAD"]).trim().to_owned()
}

/// Pushes `id` to the ref where it is at `expected`; returns whether git says that it is done, and
/// all that it says.
fn push(repo: &Repo, id: &str, expected: &str) -> (bool, String) {
    let (lease, spec) = (format!("--force-with-lease={NAME}:{expected}"), format!("{id}:{NAME}"));
    let done = repo.try_git_in(&repo.root(), &["push", "--porcelain", &lease, "origin", &spec]);
    (
        done.status.success(),
        String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned(),
    )
}

#[test]
fn a_lease_is_a_compare_and_swap_over_each_transport() {
    for transport in Transport::some(1) {
        let remote = Remote::new(transport);
        let ((one, first), (two, _)) = (with_remote(&remote), with_remote(&remote));
        two.commit_all("another");
        let second = head(&two);
        assert!(push(&one, &first, "").0, "{transport:?}");
        let (done, said) = push(&two, &second, "");
        assert!(!done && said.contains("[rejected] (stale info)"), "{transport:?}: {said}");
        assert_eq!(remote.at(NAME), first, "{transport:?}");
        let (done, said) = push(&two, &second, &first);
        assert!(done, "{transport:?}: {said}");
        assert_eq!(remote.at(NAME), second, "{transport:?}");
        let listed = one.git(&["ls-remote", "origin", "refs/bus/*"]);
        assert_eq!(listed, format!("{second}\t{NAME}\n"), "{transport:?}");
        one.git(&["fetch", "--quiet", "origin", NAME]);
        assert_eq!(one.git(&["rev-parse", "FETCH_HEAD"]).trim(), second, "{transport:?}");
    }
}

#[test]
fn a_server_counts_who_calls() {
    let remote = Remote::new(Transport::Daemon);
    let (repo, id) = with_remote(&remote);
    assert!(push(&repo, &id, "").0);
    assert_eq!(remote.server.calls(), 1);
    repo.git(&["ls-remote", "origin"]);
    repo.git(&["ls-remote", "origin"]);
    assert_eq!(remote.server.calls(), 2);
}

#[test]
fn hooks_delay_refuse_and_die_over_each_transport() {
    for transport in Transport::some(2) {
        let remote = Remote::new(transport);
        let (repo, id) = with_remote(&remote);
        remote.refuses("refs/bus/");
        let (done, said) = push(&repo, &id, "");
        assert!(!done && said.contains("pre-receive hook declined"), "{transport:?}: {said}");
        remote.dies_in("pre-receive");
        let (done, said) = push(&repo, &id, "");
        assert!(!done && remote.at(NAME).is_empty(), "{transport:?}: {said}");
        remote.without_hook("pre-receive");
        remote.dies_in("post-receive");
        let (done, said) = push(&repo, &id, "");
        assert!(!done, "{transport:?}: the answer is lost: {said}");
        assert_eq!(remote.at(NAME), id, "{transport:?}: and it is done");
        remote.without_hook("post-receive");
        remote.git(&["update-ref", "-d", NAME]);
        remote.delays();
        let pushes = std::thread::scope(|scope| {
            let pushes = scope.spawn(|| push(&repo, &id, ""));
            remote.wait_for_push();
            assert!(remote.at(NAME).is_empty(), "{transport:?}");
            remote.go_on();
            pushes.join().unwrap()
        });
        assert!(pushes.0, "{transport:?}: {}", pushes.1);
        assert_eq!(remote.at(NAME), id, "{transport:?}");
    }
}

#[test]
fn another_git_stands_before_the_real_one() {
    let repo = Repo::bare_of_bus();
    let path = path_with_git(
        &repo,
        "case \" $* \" in *' push '*) exit 128;; esac\nexec \"$git\" \"$@\"\n",
    );
    let run = |arguments: &[&str]| {
        let git = path.split(':').next().unwrap().to_owned() + "/git";
        alone(&git, &repo.root(), &repo.root()).args(arguments).output().unwrap().status.code()
    };
    assert_eq!((run(&["push"]), run(&["status"])), (Some(128), Some(0)));
}

#[test]
fn a_remote_goes_away_and_comes_back() {
    for transport in Transport::some(0) {
        let remote = Remote::new(transport);
        let (repo, id) = with_remote(&remote);
        remote.goes_away();
        assert!(!push(&repo, &id, "").0, "{transport:?}");
        remote.comes_back();
        assert!(push(&repo, &id, "").0, "{transport:?}");
    }
}
