//! What stays behind on other branches, what is moved over, and warnings by the thousand.

use std::fs;

use super::harness::{Repo, record};

#[test]
fn copies_that_stay_on_a_branch_without_a_bus_are_found_and_removed() {
    let repo = Repo::bare_of_bus();
    repo.git(&["branch", "plain"]);
    repo.bus(&["init"]).ok();
    repo.commit_all("bus");
    repo.by("a", &["claim", "T-1"]).ok();
    repo.bus(&["doctor"]).ok();
    repo.git(&["switch", "--quiet", "plain"]);
    repo.by("a", &["claim", "T-2"]).ok();
    assert!(!repo.path("_bus/claims/T-2.json").exists(), "git would show it");
    assert!(repo.bus(&["doctor"]).exits(1).stdout.contains("leftover-copies"));
    repo.bus(&["doctor", "--fix"]).ok();
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    repo.git(&["switch", "--quiet", "main"]);
    repo.by("b", &["claim", "T-1"]).fails(3, "claim-held");
}

#[test]
fn a_policy_of_the_older_version_is_moved_over_as_init_lays_it_out() {
    let repo = Repo::older();
    let old = repo.read("_bus/config.toml");
    let fleet = "\n[fleet]\n# What decides.\nremote = \"origin\"\nid = \"0123456789ab\"\n";
    repo.write("_bus/config.toml", format!("{old}{fleet}"));
    repo.commit_all("fleet");
    repo.bus(&["init", "--untracked"]).ok();
    let now = repo.read("_bus/config.toml");
    assert!(now.ends_with(fleet), "{now}");
    let place = |text: &str| now.find(text).unwrap_or_else(|| panic!("{text}: {now}"));
    assert!(
        place("# stale_after = ") < place("\n[locks]") && place("[records]") < place("\n[fleet]"),
        "{now}"
    );
    let without = |text: &str| {
        let section = text
            .find("[records]")
            .map(|start| start..start + text[start..].find("\n\n").unwrap() + 2);
        section.map_or_else(
            || text.to_owned(),
            |section| [&text[..section.start], &text[section.end..]].concat(),
        )
    };
    assert_eq!(without(&now), format!("{old}{fleet}"));
}

#[test]
fn of_warnings_by_the_thousand_the_first_are_shown() {
    let repo = Repo::new();
    let folder = repo.path(&record("claims"));
    fs::create_dir_all(&folder).unwrap();
    for number in 0..300 {
        fs::write(folder.join(format!("T-{number}.json")), "{").unwrap();
    }
    for command in [&["status"][..], &["session", "start", "--no-fetch"]] {
        let told = repo.by("a", command).run().stderr;
        assert!(told.contains("and 280 more like that") && told.lines().count() < 40, "{told}");
    }
}
