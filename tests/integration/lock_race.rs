//! Many processes ask for paths at random: at no moment do two live exclusive leases share one. The
//! judge is a simple matcher of its own, which looks at every path of a small world.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use super::dice::Dice;
use super::harness::Repo;

/// How many processes at once, and how often.
const PROCESSES: usize = 32;
const ROUNDS: usize = 4;

/// What is asked for.
const PATTERNS: [&str; 14] = [
    "a/**", "b/**", "**/c", "a/b", "a/b/c", "*", "a/*", "*/b", "{a,b}/c", "[ab]/a", "?/b/**", "c/",
    "**/a/*", "b",
];

/// Every path of up to three names out of three.
fn world() -> Vec<String> {
    let names = ["a", "b", "c"];
    let two = names.iter().flat_map(|one| names.iter().map(move |two| format!("{one}/{two}")));
    let three =
        names.iter().flat_map(move |one| two.clone().map(move |rest| format!("{one}/{rest}")));
    let two = names.iter().flat_map(|one| names.iter().map(move |two| format!("{one}/{two}")));
    names.iter().map(|name| (*name).to_owned()).chain(two).chain(three).collect()
}

/// Whether one of `PATTERNS` matches a path, name by name.
fn matches(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], _) => path.is_empty(),
        (["**"], _) => !path.is_empty(),
        (["**", rest @ ..], _) => {
            matches(rest, path) || (!path.is_empty() && matches(pattern, &path[1..]))
        }
        (_, []) => false,
        ([first, rest @ ..], [name, more @ ..]) => {
            let fits = match *first {
                "*" | "?" => true,
                "{a,b}" | "[ab]" => *name == "a" || *name == "b",
                plain => plain == *name,
            };
            fits && matches(rest, more)
        }
    }
}

fn covered(pattern: &str, world: &[String]) -> BTreeSet<String> {
    let names: Vec<&str> = pattern.trim_end_matches('/').split('/').collect();
    // What ends in a plain name is that path and all below it; a folder is only what is below.
    let is_plain = !names[names.len() - 1].contains(['*', '?', '{', '[']);
    let below = [&names[..], &["**"]].concat();
    let fits = |path: &&String| {
        let path: Vec<&str> = path.split('/').collect();
        (!pattern.ends_with('/') && matches(&names, &path)) || (is_plain && matches(&below, &path))
    };
    world.iter().filter(fits).cloned().collect()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// The paths of a lease.
fn held(lease: &Value, world: &[String]) -> BTreeSet<String> {
    let all = |field: &str| {
        texts(&lease[field])
            .into_iter()
            .flat_map(|pattern| covered(pattern, world))
            .collect::<BTreeSet<_>>()
    };
    all("scope").difference(&all("deny")).cloned().collect()
}

/// Looks at every state of the table; returns how many there were.
fn judge(repo: &Repo) -> usize {
    let world = world();
    let history = repo.git(&["log", "--reverse", "--format=%b%x00", "refs/bus/locks"]);
    let states: Vec<Value> = history
        .split('\0')
        .filter(|body| !body.trim().is_empty())
        .map(|body| serde_json::from_str(body).unwrap())
        .collect();
    for (number, state) in states.iter().enumerate() {
        assert_eq!(state["revision"], number + 1, "no state was written over another");
        let leases: Vec<(&Value, BTreeSet<String>)> = state["leases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|lease| (lease, held(lease, &world)))
            .collect();
        for (place, (one, paths)) in leases.iter().enumerate() {
            for (other, others) in &leases[place + 1..] {
                let may_share = one["owner"] == other["owner"]
                    || (one["mode"] == "shared" && other["mode"] == "shared");
                let both: Vec<&String> = paths.intersection(others).collect();
                assert!(
                    may_share || both.is_empty(),
                    "state {number}: {both:?} are held twice:\n{one}\n{other}"
                );
            }
        }
    }
    states.len()
}

#[test]
fn of_32_processes_that_ask_for_paths_at_random_no_two_ever_hold_one() {
    let repo = Repo::new();
    let places: [PathBuf; 2] = [repo.root(), repo.worktree("wt")];
    let (mut taken, mut refused) = (0, 0);
    let (mut dice, world) = (Dice::new(7), world());
    for _ in 0..ROUNDS {
        let commands: Vec<Vec<String>> =
            (0..PROCESSES).map(|_| command(&mut dice, &world)).collect();
        let children: Vec<_> = commands
            .iter()
            .enumerate()
            .map(|(number, command)| {
                let words: Vec<&str> = command.iter().map(String::as_str).collect();
                repo.by(&format!("agent{number}"), &words).within(&places[number % 2]).start()
            })
            .collect();
        for child in children {
            match child.wait_with_output().unwrap().status.code() {
                Some(0) => taken += 1,
                // 2: what was denied left nothing to ask for.
                Some(2..=4) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    let states = judge(&repo);
    assert!(
        taken > 20 && refused > 20 && states > 20,
        "{taken} were taken, {refused} refused, in {states} states"
    );
}

/// Something that an agent does with leases.
fn command(dice: &mut Dice, world: &[String]) -> Vec<String> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let pattern = |dice: &mut Dice| {
        if dice.once_in(4) { (*dice.pick(&PATTERNS)).to_owned() } else { dice.pick(world).clone() }
    };
    if dice.once_in(2) {
        return words("lock release --all");
    }
    let mut command = words("lock acquire --objective x");
    command.push(pattern(dice));
    if dice.once_in(3) {
        command.push(pattern(dice));
    }
    if dice.once_in(4) {
        command.extend(["--deny".to_owned(), pattern(dice)]);
    }
    if dice.once_in(4) {
        command.push("--shared".to_owned());
    }
    command
}

#[test]
fn the_judge_sees_what_is_held_twice() {
    let world = world();
    let both = |one: &str, two: &str| !covered(one, &world).is_disjoint(&covered(two, &world));
    assert!(
        both("a/**", "**/c")
            && both("a/b", "a/b/c")
            && both("c/", "*/b")
            && both("?/b/**", "{a,b}/b")
    );
    assert!(
        !both("a/**", "b/**")
            && !both("*", "a/*")
            && !both("c/", "*")
            && !both("[ab]/a", "{a,b}/c")
    );
}
