//! A queue item: a file on a task that is to be done.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use super::{Fault, PlanId, TaskId, sound_text};

/// How many digits the number in a file's name has at least.
const DIGITS: usize = 3;

/// How many digits a number that is counted has at most: new numbers come after it.
const MAX_DIGITS: usize = 9;

/// How many bytes and words the key of a field has at most. What is longer is prose.
const MAX_KEY: (usize, usize) = (40, 3);

/// How many tasks one may wait for.
const MAX_AFTER: usize = 1000;

/// How many bytes of a title make the slug of a file's name, at most.
const MAX_SLUG: usize = 60;

/// What `queue/NNN-slug.md` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueItem {
    /// The task, in a line.
    pub title: String,
    /// Its fields, in their order; of two with one key the first counts, but for `After`.
    pub fields: Vec<QueueField>,
    /// How urgent it is.
    pub priority: Priority,
    /// What must be done before.
    pub after: Vec<TaskId>,
    /// The plan of the work.
    pub plan: Option<PlanId>,
    /// What stands below the fields.
    pub body: String,
    /// What means nothing, and is passed over.
    pub doubts: Vec<Doubt>,
}

/// A line `Key: value` of a queue item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueField {
    /// The key, as it is spelled.
    pub key: String,
    /// The value; it may go on over several lines.
    pub value: String,
    /// The line, from 1.
    pub line: usize,
}

/// Something in a queue item that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// What, and what stands in for it.
    pub what: String,
    /// The line, from 1.
    pub line: usize,
}

/// How urgent a task is, the most urgent first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Before all else. `P0`, `0`.
    Critical,
    /// `P1`, `1`.
    High,
    /// Where nothing is said. `P2`, `2`.
    #[default]
    Medium,
    /// `P3`, `3` and above.
    Low,
}

impl Priority {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Priority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = text.to_ascii_lowercase();
        match (word.as_str(), word.strip_prefix('p').unwrap_or(&word).parse::<u8>()) {
            ("critical", _) | (_, Ok(0)) => Ok(Self::Critical),
            ("high", _) | (_, Ok(1)) => Ok(Self::High),
            ("medium", _) | (_, Ok(2)) => Ok(Self::Medium),
            ("low", _) | (_, Ok(_)) => Ok(Self::Low),
            _ => Err(format!("`{text}` is no priority: write critical, high, medium or low")),
        }
    }
}

impl QueueItem {
    /// The task that a file of this name is about: `QUEUE-001` of `001-parser.md`. Nothing where
    /// the name is not of that form.
    #[must_use]
    pub fn task(file_name: &str) -> Option<TaskId> {
        let (number, slug) = file_name.strip_suffix(".md")?.split_once('-')?;
        let task = TaskId::new(format!("QUEUE-{number}")).ok();
        task.filter(|_| number.len() >= DIGITS && is_number(number) && !slug.is_empty())
    }

    /// The task of this number: `QUEUE-007` of 7.
    #[must_use]
    pub fn numbered(number: u64) -> TaskId {
        TaskId::new(format!("QUEUE-{number:0DIGITS$}"))
            .expect("a number of 64 bits makes a good id")
    }

    /// The number of a task: 7 of `QUEUE-007`. Nothing where it is no task of the queue, or has
    /// more than nine digits.
    #[must_use]
    pub fn number(task: &TaskId) -> Option<u64> {
        let digits = digits(task)?;
        if digits.trim_start_matches('0').len() > MAX_DIGITS { None } else { digits.parse().ok() }
    }

    /// The task in the spelling that new files have: `QUEUE-007` of `QUEUE-7` and of `QUEUE-00007`.
    /// Tasks that are not of the queue stay as they are.
    #[must_use]
    pub fn canonical(task: &TaskId) -> TaskId {
        let key = digits(task).and_then(|_| TaskId::new(task.key()).ok());
        key.unwrap_or_else(|| task.clone())
    }

    /// The file's name for `task` with this title: `007-read-the-log.md`. Nothing where it is no
    /// task of the queue.
    #[must_use]
    pub fn file_name(task: &TaskId, title: &str) -> Option<String> {
        let digits = digits(task).filter(|digits| digits.len() >= DIGITS)?;
        Some(format!("{digits}-{}.md", slug(title)))
    }

    /// Reads a queue item. The first line with words in it is a heading, `# Task: TITLE` or
    /// `# TITLE`; then come the fields, then what else there is to say. A field goes on to the next
    /// blank line; one that is a list goes on to the list's end.
    ///
    /// # Errors
    ///
    /// The [`Fault`] that makes the bytes no queue item: they are no sound text, have no title, or
    /// `After` names what is no task.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let text = sound_text(bytes)?;
        let mut lines = (1..).zip(text.lines()).skip_while(|(_, line)| line.trim().is_empty());
        let title = lines.next().and_then(|(_, line)| title_of(line));
        let title =
            title.ok_or_else(|| bad(1, "it does not begin with `# Task: TITLE`"))?.to_owned();
        let lines: Vec<_> = lines.collect();
        let (fields, body) = read_fields(&lines);
        let mut doubts = Vec::new();
        let mut understood =
            |key: &str, or: &str, read: &mut dyn FnMut(&str) -> Result<(), String>| {
                let Some(field) = fields.iter().find(|field| field.is(key)) else { return };
                if let Err(what) = read(&field.value) {
                    doubts.push(Doubt { what: format!("`{key}`: {what}; {or}"), line: field.line });
                }
            };
        let (mut priority, mut plan) = (Priority::default(), None);
        understood("Priority", "medium is used instead", &mut |value| {
            priority = words(value).next().map_or(Ok(priority), str::parse)?;
            Ok(())
        });
        understood("Plan", "it has none", &mut |value| {
            plan = words(value)
                .next()
                .map(PlanId::new)
                .transpose()
                .map_err(|fault| fault.to_string())?;
            Ok(())
        });
        let after = blockers(&fields)?;
        doubts.extend(stray_afters(&lines, &fields).map(|line| {
            let what = "`After` is not at the top, so it is no field, and is ignored: write it without marks, above the text";
            Doubt { what: what.to_owned(), line }
        }));
        Ok(Self { title, priority, after, plan, body, doubts, fields })
    }

    /// The value of a field, whatever the letter case of its key.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&QueueField> {
        self.fields.iter().find(|field| field.is(key))
    }

    /// The text of a new queue item. Each field is a line; title and values are one line each.
    #[must_use]
    pub fn text(title: &str, fields: &[(&str, String)]) -> String {
        let fields = fields.iter().map(|(key, value)| format!("{key}: {value}\n"));
        format!("# Task: {title}\n{}", fields.collect::<String>())
    }
}

impl QueueField {
    fn is(&self, key: &str) -> bool {
        self.key.eq_ignore_ascii_case(key)
    }
}

fn bad(line: usize, what: impl Into<String>) -> Fault {
    Fault::BadItem { line, what: what.into() }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn digits(task: &TaskId) -> Option<&str> {
    let (queue, digits) = task.as_str().split_once('-')?;
    Some(digits).filter(|digits| queue.eq_ignore_ascii_case("queue") && is_number(digits))
}

fn title_of(line: &str) -> Option<&str> {
    let heading = line.trim().strip_prefix("# ")?.trim();
    let title = heading.strip_prefix("Task:").unwrap_or(heading).trim();
    (!title.is_empty()).then_some(title)
}

/// The fields that stand at the beginning of numbered lines, and what stands below them.
fn read_fields(lines: &[(usize, &str)]) -> (Vec<QueueField>, String) {
    let mut fields: Vec<QueueField> = Vec::new();
    let mut gap = true;
    for (index, (line, text)) in lines.iter().enumerate() {
        if text.trim().is_empty() {
            gap = true;
        } else if let Some((key, value)) = key_and_value(text) {
            fields.push(QueueField { key: key.to_owned(), value: value.to_owned(), line: *line });
            gap = false;
        } else if let Some(field) = fields.last_mut().filter(|field| goes_on(field, gap, text)) {
            let line_break = if field.value.is_empty() { "" } else { "\n" };
            field.value.extend([line_break, text.trim()]);
            gap = false;
        } else {
            let body: Vec<&str> = lines[index..].iter().map(|(_, text)| *text).collect();
            return (fields, body.join("\n").trim_end().to_owned());
        }
    }
    (fields, String::new())
}

/// A field's key and value, where the line begins one.
fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let is_key = key.starts_with(char::is_alphabetic)
        && key.chars().all(|character| character.is_alphanumeric() || " _-/".contains(character))
        && key.len() <= MAX_KEY.0
        && key.split(' ').count() <= MAX_KEY.1;
    // `https://…` is no field.
    (is_key && (value.is_empty() || value.starts_with(char::is_whitespace)))
        .then(|| (key.trim_end(), value.trim()))
}

/// Whether `line` is more of the value of `field`; `gap` says that a blank line is between them.
fn goes_on(field: &QueueField, gap: bool, line: &str) -> bool {
    let is_part = |line: &str| {
        line.starts_with(char::is_whitespace) || line.starts_with("- ") || line.starts_with("* ")
    };
    let is_list = || field.value.lines().last().is_none_or(is_part);
    if gap {
        is_part(line) && is_list()
    } else {
        !line.starts_with('#') && !line.starts_with("```")
    }
}

/// The words of a value that mean something: `-` and `none` say that there is nothing.
fn words(value: &str) -> impl Iterator<Item = &str> {
    let words = value
        .split(|character: char| character.is_whitespace() || character == ',')
        .map(|word| word.trim_matches('`'));
    words.filter(|word| !["", "-", "*"].contains(word) && !word.eq_ignore_ascii_case("none"))
}

/// The lines that name tasks in an `After` which is no field, as it stands in prose or in a list,
/// or is marked.
fn stray_afters<'a>(
    lines: &'a [(usize, &str)],
    fields: &'a [QueueField],
) -> impl Iterator<Item = usize> + 'a {
    let mut is_code = false;
    let strays = lines.iter().filter(move |(_, text)| {
        is_code ^= text.trim_start().starts_with("```");
        !is_code && is_marked_after(text)
    });
    strays.map(|(line, _)| *line).filter(|line| !fields.iter().any(|field| field.line == *line))
}

/// Whether a line, but for marks, is an `After` with the id of a task.
fn is_marked_after(line: &str) -> bool {
    const MARKS: [char; 9] = [' ', '\t', '*', '_', '-', '+', '#', '>', '`'];
    let text = line.trim_start_matches(MARKS);
    let value = text
        .get(.."after".len())
        .filter(|key| key.eq_ignore_ascii_case("after"))
        .map(|key| &text[key.len()..]);
    let Some(value) = value.and_then(|value| value.trim_start_matches(MARKS).strip_prefix(':'))
    else {
        return false;
    };
    // What prose speaks of has no numbers like these.
    let is_task = |word: &str| {
        word.contains('-')
            && word.bytes().any(|byte| byte.is_ascii_digit())
            && TaskId::new(word).is_ok()
    };
    words(value.trim_start_matches(MARKS)).any(is_task)
}

/// The tasks that all `After` fields name, each once.
fn blockers(fields: &[QueueField]) -> Result<Vec<TaskId>, Fault> {
    let (mut tasks, mut known) = (Vec::new(), HashSet::new());
    for field in fields.iter().filter(|field| field.is("After")) {
        for word in words(&field.value) {
            let task =
                TaskId::new(word).map_err(|fault| bad(field.line, format!("`After`: {fault}")))?;
            if known.insert(task.clone()) {
                tasks.push(task);
            }
            if tasks.len() > MAX_AFTER {
                return Err(bad(field.line, format!("`After` names more than {MAX_AFTER} tasks")));
            }
        }
    }
    Ok(tasks)
}

/// The words of a title as a part of a file's name; `task` where none are left.
fn slug(title: &str) -> String {
    let lower = title.to_ascii_lowercase();
    let mut slug = String::new();
    for word in lower
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        let dash = usize::from(!slug.is_empty());
        let room = MAX_SLUG.saturating_sub(slug.len() + dash);
        // A word is left out rather than cut, unless it is the first.
        if word.len() > room && dash == 1 {
            break;
        }
        if dash == 1 {
            slug.push('-');
        }
        slug.push_str(&word[..word.len().min(room)]);
    }
    if slug.bytes().any(|byte| byte.is_ascii_lowercase()) { slug } else { "task".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> QueueItem {
        QueueItem::parse(text.as_bytes()).unwrap()
    }

    fn values(item: &QueueItem) -> Vec<(&str, &str, usize)> {
        item.fields
            .iter()
            .map(|field| (field.key.as_str(), field.value.as_str(), field.line))
            .collect()
    }

    fn ids(tasks: &[TaskId]) -> Vec<&str> {
        tasks.iter().map(TaskId::as_str).collect()
    }

    #[test]
    fn a_name_has_a_number_and_words() {
        assert_eq!(QueueItem::task("012-bus-message.md").unwrap().as_str(), "QUEUE-012");
        assert_eq!(QueueItem::task("1234-x.md").unwrap().as_str(), "QUEUE-1234");
        for name in
            ["12-x.md", "012.md", "012-.md", "012-x.txt", "x-012.md", "README.md", "+12-x.md"]
        {
            assert_eq!(QueueItem::task(name), None, "{name}");
        }
    }

    #[test]
    fn a_task_has_a_number_and_a_title_makes_a_name() {
        let task = |text: &str| TaskId::new(text).unwrap();
        for (text, number) in [
            ("QUEUE-007", Some(7)),
            ("queue-1234", Some(1234)),
            ("QUEUE-000999999999", Some(999_999_999)),
            ("QUEUE-1000000000", None),
            ("QUEUE-", None),
            ("QUEUE-7a", None),
            ("T-7", None),
        ] {
            assert_eq!(QueueItem::number(&task(text)), number, "{text}");
        }
        assert_eq!(
            (QueueItem::numbered(7).as_str(), QueueItem::numbered(12_345).as_str()),
            ("QUEUE-007", "QUEUE-12345")
        );
        let long = "a".repeat(80);
        for (title, name) in [
            ("Read `the` log -- again!", "007-read-the-log-again.md"),
            ("../../etc/passwd", "007-etc-passwd.md"),
            ("Größe", "007-gr-e.md"),
            ("日本語 7", "007-task.md"),
            (&long, &format!("007-{}.md", "a".repeat(60))),
            (&format!("b {long}"), "007-b.md"),
        ] {
            assert_eq!(QueueItem::file_name(&task("QUEUE-007"), title).unwrap(), name);
            assert_eq!(QueueItem::task(name), Some(task("QUEUE-007")));
        }
        assert_eq!(QueueItem::file_name(&task("QUEUE-07"), "x"), None);
        for (text, canonical) in [
            ("queue-7", "QUEUE-007"),
            ("QUEUE-00007", "QUEUE-007"),
            ("queue-01000000000", "QUEUE-1000000000"),
            ("T-07", "T-07"),
        ] {
            assert_eq!(QueueItem::canonical(&task(text)).as_str(), canonical);
        }
    }

    #[test]
    fn an_item_begins_with_a_heading() {
        assert_eq!(parse("\n# Task: Sync helper\nGoal: x\n").title, "Sync helper");
        assert_eq!(parse("# Sync\n").title, "Sync");
        for text in ["", "Goal: x\n# Task: y", "# Task:  \n", "#Task: x"] {
            assert_eq!(
                QueueItem::parse(text.as_bytes()).unwrap_err(),
                bad(1, "it does not begin with `# Task: TITLE`")
            );
        }
    }

    #[test]
    fn fields_may_go_on_and_what_is_below_them_is_kept() {
        let text = "# Task: x\n\nGoal: read\nthe log\n  see: there\nOCERS Target: Evidence↑\nAcceptance:\n\n- one\n- two: 2\n\n\
            - three\n\nafter: A-1\n\nWhy: not?\n\nSome words.\nPriority: high\n\n";
        let item = parse(text);
        let expected = [
            ("Goal", "read\nthe log\nsee: there", 3),
            ("OCERS Target", "Evidence↑", 6),
            ("Acceptance", "- one\n- two: 2\n- three", 7),
            ("after", "A-1", 14),
            ("Why", "not?", 16),
        ];
        assert_eq!(values(&item), expected);
        assert_eq!((ids(&item.after), item.priority), (vec!["A-1"], Priority::Medium));
        assert_eq!(item.body, "Some words.\nPriority: high");
        for prose in ["see https://example.org", "a b c d: e", "- Note: x", "## After: A-1"] {
            let item = parse(&format!("# x\n\n{prose}\n"));
            assert_eq!((values(&item), item.body.as_str()), (vec![], prose));
        }
        let item = parse("# x\r\nGoal: y\r\n# Notes\r\nbody\r\n");
        assert_eq!((values(&item), item.body.as_str()), (vec![("Goal", "y", 2)], "# Notes\nbody"));
        assert_eq!(parse("# x\nPriority: low\n\n- a list\n").body, "- a list");
    }

    #[test]
    fn what_comes_before_is_named_in_many_ways() {
        for (after, expected) in [
            ("After: A-1, B-2", vec!["A-1", "B-2"]),
            ("After: `A-1` b-2,,a-1\nAFTER: C", vec!["A-1", "b-2", "C"]),
            ("After:\n- A-1\n- B-2", vec!["A-1", "B-2"]),
            ("After: none", vec![]),
            ("After: -", vec![]),
            ("After:", vec![]),
        ] {
            assert_eq!(ids(&parse(&format!("# x\n{after}\n")).after), expected, "{after}");
        }
        let many = |count: u32| {
            format!(
                "# x\nAfter: {}\n",
                (0..count).map(|number| format!("T-{number} ")).collect::<String>()
            )
        };
        assert_eq!(parse(&many(1000)).after.len(), 1000);
        assert_eq!(
            QueueItem::parse(many(100_000).as_bytes()).unwrap_err(),
            bad(2, "`After` names more than 1000 tasks")
        );
        let fault = QueueItem::parse(b"# x\n\nAfter: A-1, ../B\n").unwrap_err();
        assert!(
            matches!(&fault, Fault::BadItem { line: 3, what } if what.contains("`../B`")),
            "{fault:?}"
        );
    }

    #[test]
    fn priorities_have_words_and_numbers_and_what_means_nothing_is_doubted() {
        use Priority::{Critical, High, Low, Medium};
        for (value, priority) in [
            ("critical", Critical),
            ("P0", Critical),
            ("HIGH", High),
            ("1", High),
            ("high (soon)", High),
            ("medium", Medium),
        ]
        .into_iter()
        .chain([
            ("p2", Medium),
            ("low", Low),
            ("P3", Low),
            ("9", Low),
            ("", Medium),
            ("-", Medium),
        ]) {
            let item = parse(&format!("# x\nPriority: {value}\n"));
            assert_eq!((item.priority, item.doubts), (priority, vec![]), "{value}");
        }
        let item = parse("# x\nPriority: soon\nPlan: ../p\n");
        assert_eq!(
            (item.priority, item.plan, item.doubts.len(), item.doubts[1].line),
            (Medium, None, 2, 3)
        );
        assert_eq!(parse("# x\nPlan: p-1\n").plan, Some(PlanId::new("p-1").unwrap()));
        assert!(Critical < High && Medium < Low);
    }

    #[test]
    fn an_after_that_is_no_field_is_doubted() {
        for stray in [
            "**After**: A-1",
            "- After: A-1",
            "Words.\nafter: A-1",
            "Goal: x\n  After: `A-1`",
            "> * __After:__ A-1, B",
            "## After: A-1",
        ] {
            let item = parse(&format!("# x\n\n{stray}\n"));
            let line = 3 + stray.matches('\n').count();
            assert_eq!(
                item.doubts.iter().map(|doubt| doubt.line).collect::<Vec<_>>(),
                [line],
                "{stray}"
            );
            assert_eq!(ids(&item.after), [""; 0]);
        }
        for fine in [
            "After: A-1",
            "Words.\nAfter: that, nothing",
            "Afterwards: A-1",
            "- after A-1",
            "```\nAfter: A-1\n```",
            "After all: A-1",
        ] {
            assert_eq!(parse(&format!("# x\n\n{fine}\n")).doubts, [], "{fine}");
        }
    }

    #[test]
    fn a_new_item_reads_back() {
        let text = QueueItem::text(
            "Task: x # y",
            &[("Goal", "a: b".to_owned()), ("After", "A-1, B-2".to_owned())],
        );
        let item = parse(&text);
        assert_eq!((item.title.as_str(), ids(&item.after)), ("Task: x # y", vec!["A-1", "B-2"]));
        assert_eq!(values(&item), [("Goal", "a: b", 2), ("After", "A-1, B-2", 3)]);
    }
}
