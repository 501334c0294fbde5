//! What is compared with what it was, byte for byte. `BUS_UPDATE_SNAPSHOTS=1` rewrites what is
//! expected.

use std::fs;
use std::path::Path;

/// Compares with the snapshot `name` below `tests/fixtures`, or rewrites it if that is asked for.
pub(crate) fn assert_snapshot(name: &str, text: &str) {
    assert_page(&format!("tests/fixtures/{name}"), text);
}

/// Compares with the file at a path below the root of the project, or rewrites it if that is asked
/// for.
pub(crate) fn assert_page(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("BUS_UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{name} is not as it was (BUS_UPDATE_SNAPSHOTS=1 takes it as it is):\n{}",
        diff(&expected, text)
    );
}

/// The lines that differ, between those that both texts begin and end with.
fn diff(before: &str, now: &str) -> String {
    let (before, now): (Vec<&str>, Vec<&str>) = (before.lines().collect(), now.lines().collect());
    let same = |(one, other): &(&&str, &&str)| one == other;
    let begin = before.iter().zip(&now).take_while(same).count();
    let end = before[begin..].iter().rev().zip(now[begin..].iter().rev()).take_while(same).count();
    let lines = |sign: char, lines: &[&str]| {
        lines.iter().map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    let (gone, new) =
        (lines('-', &before[begin..before.len() - end]), lines('+', &now[begin..now.len() - end]));
    format!("line {}:\n{gone}{new}", begin + 1)
}
