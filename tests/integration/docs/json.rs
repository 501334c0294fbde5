//! `docs/json.md`: what each command prints with `--json` has the keys and types of its example,
//! and its table names the keys.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::harness::Repo;
use super::page::{Page, typed};

/// The kinds of records: for each of their fields, whether it is always there.
type Records<'a> = BTreeMap<&'a str, BTreeMap<&'a str, bool>>;

/// The first two cells of the rows of a table whose first cell is code.
fn rows(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|row| row.split('|').map(str::trim));
    rows.map(|mut cells| (cells.nth(1).unwrap().trim_matches('`'), cells.next().unwrap()))
}

fn records(text: &str) -> Records<'_> {
    let parts = text.split("\n### `").skip(1).map(|part| part.split("\n## ").next().unwrap());
    let of = |part| rows(part).map(|(field, when)| (field, when == "always")).collect();
    parts.map(|part| (part.split('`').next().unwrap(), of(part))).collect()
}

/// Fails unless `actual` has the keys and types of `example`.
fn compare(at: &str, example: &Value, actual: &Value, records: &Records<'_>) {
    let record = example.as_str().and_then(|name| name.strip_prefix('<')?.strip_suffix('>'));
    match (example, actual) {
        (_, Value::Null) | (Value::Null, _) => {}
        (_, Value::Object(object)) if record.is_some() => {
            let fields = &records[record.unwrap()];
            for key in object.keys() {
                assert!(
                    fields.contains_key(key.as_str()),
                    "{at}: a {} has `{key}`",
                    record.unwrap()
                );
            }
            for (field, _) in fields.iter().filter(|(_, always)| **always) {
                assert!(
                    object.contains_key(*field),
                    "{at}: a {} without `{field}`",
                    record.unwrap()
                );
            }
        }
        (Value::Object(example), Value::Object(actual)) => {
            let keys = |object: &serde_json::Map<String, Value>| {
                object.keys().cloned().collect::<BTreeSet<_>>()
            };
            assert_eq!(keys(example), keys(actual), "{at}");
            example.iter().for_each(|(key, value)| {
                compare(&format!("{at}.{key}"), value, &actual[key], records)
            });
        }
        (Value::Array(example), Value::Array(actual)) => {
            for (number, value) in actual.iter().enumerate().filter(|_| !example.is_empty()) {
                compare(&format!("{at}[{number}]"), &example[0], value, records);
            }
        }
        _ => assert_eq!(
            std::mem::discriminant(example),
            std::mem::discriminant(actual),
            "{at}: {example} and {actual}"
        ),
    }
}

#[cfg(unix)]
#[test]
fn every_example_has_the_keys_and_types_that_the_command_prints() {
    let page = Page::read("docs/json.md");
    let printed = page.play(&page.commands());
    let mut printed = printed.iter();
    let records = records(&page.text);
    for section in page.text.split("\n## ").skip(1) {
        let title = section.lines().next().unwrap();
        let section = Page { path: title.to_owned(), text: section.to_owned() };
        let mut ran = Vec::new();
        for block in section.blocks() {
            match block.language {
                "console" => ran = typed(block.text).into_iter().zip(&mut printed).collect(),
                "json" => {
                    let example: Value = serde_json::from_str(block.text)
                        .unwrap_or_else(|error| panic!("{title}: {error}"));
                    for (typed, out) in
                        ran.iter().filter(|(typed, _)| typed.command.contains("--json"))
                    {
                        for actual in serde_json::Deserializer::from_str(out).into_iter() {
                            compare(typed.command, &example, &actual.unwrap(), &records);
                        }
                    }
                    let told: BTreeMap<&str, &str> = rows(&section.text).collect();
                    for key in example.as_object().into_iter().flat_map(|object| object.keys()) {
                        assert!(
                            told.contains_key(key.as_str()),
                            "{title}: the table lacks `{key}`"
                        );
                    }
                    for (field, _) in
                        told.iter().filter(|(_, meaning)| !meaning.starts_with("only"))
                    {
                        assert!(
                            example.get(field).is_some(),
                            "{title}: the example lacks `{field}`"
                        );
                    }
                }
                _ => {}
            }
        }
    }
}

#[test]
fn every_command_has_an_example() {
    let names = super::command_names(&Repo::bare_of_bus());
    let page = Page::read("docs/json.md").text;
    for name in &names {
        let is_group = names.iter().any(|other| other.starts_with(&format!("{name} ")));
        let is_told =
            page.lines().any(|line| line.starts_with("## ") && line.contains(&format!("`{name}`")));
        assert!(is_group || is_told, "docs/json.md says nothing of {name}");
    }
}
