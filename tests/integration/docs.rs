//! The README and the pages in `docs/` say what the binary does: their commands run, and what can
//! be generated is compared.

mod json;
mod page;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use super::harness::Repo;
use super::snapshot::assert_page;
use page::{Page, ROOT};

/// Words that have a shorter or a more usual one.
const AVOIDED: [&str; 22] = [
    "mend",
    "mends",
    "mended",
    "mending",
    "sign of life",
    "signs of life",
    "in each other's way",
    "in the way",
    "put away",
    "puts away",
    "is told",
    "are told",
    "was told",
    "were told",
    "be told",
    "been told",
    "what is to be done",
    "nothing where",
    "none where",
    "stands in",
    "take out what",
    "sort of",
];

/// Calls `look` with each page, several at a time.
fn on_each_page(look: impl Fn(&Page) + Sync) {
    let pages = Page::all();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(page) =
                    pages.get(next.fetch_add(1, std::sync::atomic::Ordering::SeqCst))
                {
                    look(page);
                }
            });
        }
    });
}

/// All commands, as clap has them.
fn command_names(repo: &Repo) -> Vec<String> {
    let pages = repo.bus(&["man", "pages", "--json"]).ok().json()["pages"].clone();
    let name =
        |page: &serde_json::Value| page.as_str().unwrap().trim_end_matches(".1").replace('-', " ");
    pages.as_array().unwrap().iter().map(name).collect()
}

#[cfg(unix)]
#[test]
fn every_console_block_runs_as_shown() {
    on_each_page(|page| {
        // The commands of this page are run where their output is compared.
        if page.path != "docs/json.md" {
            page.play(&page.commands());
        }
    });
}

#[test]
fn every_block_says_what_it_is() {
    for page in Page::all() {
        for block in page.blocks() {
            let known = ["console", "json", "markdown", "rust", "sh", "text", "toml", "yaml"];
            assert!(
                known.contains(&block.language),
                "{}:{}: a block of `{}`",
                page.path,
                block.line,
                block.language
            );
        }
    }
}

#[test]
fn lines_are_short_and_links_lead_somewhere() {
    for page in Page::all() {
        for (number, line) in
            (1..).zip(page.text.lines()).filter(|(_, line)| !line.starts_with('|'))
        {
            assert!(
                line.chars().count() <= 120,
                "{}:{number}: a line of more than 120 columns",
                page.path
            );
        }
        let folder = std::path::Path::new(ROOT).join(&page.path);
        for link in page.text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap())
        {
            if !link.is_empty() && !link.contains("://") {
                assert!(
                    folder.parent().unwrap().join(link).exists(),
                    "{}: there is no {link}",
                    page.path
                );
            }
        }
    }
    let readme = Page::read("README.md").text.lines().count();
    assert!(readme <= 200, "README.md has {readme} lines");
}

/// The avoided words that a text has.
fn avoided_in(text: &str) -> Vec<&'static str> {
    let text = text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    let has = |word: &&str| {
        text.match_indices(*word).any(|(start, _)| {
            !is_letter(text[..start].chars().next_back())
                && !is_letter(text[start + word.len()..].chars().next())
        })
    };
    AVOIDED.into_iter().filter(has).collect()
}

#[test]
fn no_page_uses_an_avoided_word() {
    for page in Page::all() {
        // Code has names that stay as they are.
        let words = page.text.split('`').step_by(2).collect::<String>();
        assert_eq!(avoided_in(&words), [""; 0], "{}", page.path);
    }
}

/// What a source file says to people: its literals, but for those of its tests.
fn literals(code: &str) -> Vec<String> {
    let code = code.split("#[cfg(test)]").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n").replace("\\\"", "'").replace("'\"'", "");
    code.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn no_help_no_error_and_no_output_uses_an_avoided_word() {
    let mut found = 0;
    for entry in walkdir::WalkDir::new(std::path::Path::new(ROOT).join("src")) {
        let entry = entry.unwrap();
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        // The names of fields and of commands have no spaces.
        for said in literals(&text).iter().filter(|said| said.contains(' ')) {
            found += 1;
            assert_eq!(avoided_in(said), [""; 0], "{}: {said:?}", entry.path().display());
        }
    }
    assert!(found > 1000, "{found}");
}

#[test]
fn every_section_that_a_comment_cites_is_there() {
    let design = Page::read("docs/design.md").text;
    let headings: BTreeSet<&str> = design
        .lines()
        .filter(|line| line.starts_with("##"))
        .map(|line| {
            line.trim_start_matches('#').split_whitespace().next().unwrap().trim_end_matches('.')
        })
        .collect();
    let mut cited = BTreeSet::new();
    for folder in ["src", "tests", "ci"] {
        for entry in walkdir::WalkDir::new(std::path::Path::new(ROOT).join(folder)) {
            let entry = entry.unwrap();
            let Ok(text) = fs::read_to_string(entry.path()) else { continue };
            for rest in text.split("(docs/design.md, section").skip(1) {
                let numbers = rest.split(['*', ')']).next().unwrap();
                let numbers = numbers
                    .split(|c: char| !c.is_ascii_digit() && c != '.')
                    .filter(|number| !number.is_empty());
                cited.extend(numbers.map(str::to_owned));
            }
        }
    }
    for number in &cited {
        assert!(headings.contains(number.as_str()), "docs/design.md has no section {number}");
    }
    assert!(cited.len() > 8, "{cited:?}");
}

#[test]
fn the_reference_of_commands_is_what_help_says() {
    let repo = Repo::bare_of_bus();
    let mut text =
        "# Commands\n\n<!-- Generated from `--help`. BUS_UPDATE_SNAPSHOTS=1 cargo test --test integration docs -->\n\n\
        Every command also takes the global options, which the first block lists.\n"
            .to_owned();
    for name in command_names(&repo) {
        let words: Vec<&str> = name.split(' ').skip(1).collect();
        let help = repo.bus(&[&words[..], &["--help"]].concat()).env("COLUMNS", "100").ok().stdout;
        let help = if words.is_empty() { help } else { without_global_options(&help) };
        let help = help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        write!(text, "\n## `{name}`\n\n```text\n{}\n```\n", help.trim_end()).unwrap();
    }
    assert_page("docs/cli.md", &text);
}

/// The help of a command without the options that all commands have.
fn without_global_options(help: &str) -> String {
    let (before, rest) = help.split_once("Global options:\n").unwrap();
    let after = rest.find("\nExamples:\n").map_or("", |at| &rest[at + 1..]);
    format!("{before}{after}")
}

#[test]
fn the_page_of_rules_is_what_the_validator_lists() {
    let listed = Repo::bare_of_bus().bus(&["validate", "--list-rules", "--json"]).ok().json();
    let rules = listed["rules"].as_array().unwrap();
    let of = |rule: &serde_json::Value, field: &str| rule[field].as_str().unwrap().to_owned();
    let mut text = "# The rules of `bus validate`\n\n\
        <!-- Generated from `bus validate --list-rules`. BUS_UPDATE_SNAPSHOTS=1 cargo test --test integration docs -->\n\n\
        `bus validate --explain RULE` explains a rule, with a bad and a good example.\n\n\
        | rule | severity | finds | fix |\n|---|---|---|---|\n"
        .to_owned();
    for rule in rules {
        let cell = |field| of(rule, field).replace('|', "\\|");
        writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            of(rule, "name"),
            of(rule, "severity"),
            cell("summary"),
            cell("mend")
        )
        .unwrap();
    }
    assert_page("docs/rules.md", &text);
}

#[test]
fn every_error_code_is_explained_once_under_its_status() {
    let page = Page::read("docs/exit-codes.md").text;
    let table = page.split("\n| status | code | meaning |\n|---|---|---|\n").nth(1).unwrap();
    let rows: Vec<Vec<&str>> =
        table.lines().map(|row| row.split('|').map(str::trim).collect()).collect();
    let listed = rows.iter().map(|cells| (cells[1].to_owned(), cells[2].trim_matches('`')));
    let known = agent_bus::Code::all().map(|code| (code.status().to_string(), code.as_str()));
    assert_eq!(listed.collect::<Vec<_>>(), known.collect::<Vec<_>>());
}

/// What the parser of the policy names as keys, at the top or in a section: it lists them where it
/// meets one that it does not know.
fn keys_of(repo: &Repo, section: &str) -> Vec<String> {
    let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
    repo.write("_bus/config.toml", format!("{header}no_such_key = 1\n"));
    let ran = repo.bus(&["status", "--json"]).run();
    let text = ran.stdout + &ran.stderr;
    let Some((_, expected)) = text.split_once("no_such_key`, expected") else { return Vec::new() };
    let expected = expected.split(['"', '\n', ';']).next().unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_key_of_the_policy_is_explained() {
    let repo = Repo::new();
    let page = Page::read("docs/config.md").text;
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let explained: BTreeSet<(String, String)> = rows
        .filter(|cells| cells.len() == 6 && cells[2].starts_with('`'))
        .map(|cells| {
            (
                cells[1].trim_matches(['`', '[', ']']).to_owned(),
                cells[2].trim_matches('`').to_owned(),
            )
        })
        .collect();
    let mut known = BTreeSet::new();
    for key in keys_of(&repo, "") {
        let keys = keys_of(&repo, &key);
        if keys.is_empty() {
            known.insert((String::new(), key));
        } else {
            known.extend(keys.into_iter().map(|inner| (key.clone(), inner)));
        }
    }
    assert!(known.len() > 8, "{known:?}");
    assert_eq!(explained, known);
    let example = Page::read("docs/config.md");
    let example = example.blocks().into_iter().find(|block| block.language == "toml").unwrap();
    repo.write("_bus/config.toml", example.text);
    repo.bus(&["status"]).ok();
}

#[test]
fn every_command_within_the_text_is_understood() {
    let general = ["SHELL", "COMMAND", "…", "bus demo", ">", "|", "man ~", "--follow"];
    let names: BTreeSet<String> = command_names(&Repo::bare_of_bus()).into_iter().collect();
    on_each_page(|page| {
        if ["docs/cli.md", "docs/rules.md"].contains(&page.path.as_str()) {
            return;
        }
        let repo = Repo::new();
        let text = page.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let spans: BTreeSet<&str> =
            text.split('`').filter(|span| span.starts_with("bus ")).collect();
        for span in spans.into_iter().filter(|span| {
            !general.iter().any(|word| span.contains(word)) && !names.contains(*span)
        }) {
            super::paper::assert_understood(&repo, span.trim_start_matches("bus "));
        }
    });
}

#[test]
fn the_page_on_the_protocol_is_the_one_that_init_writes() {
    assert_eq!(Repo::new().read("_bus/README.md"), Page::read("docs/protocol.md").text);
}
