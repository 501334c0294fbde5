//! A queue item: a file on a task that is to be done.

use super::TaskId;

/// How many digits the number in a file's name has at least.
const DIGITS: usize = 3;

/// What `queue/NNN-slug.md` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueItem {
    /// What is to be done, in a line.
    pub title: String,
}

impl QueueItem {
    /// The task that a file of this name is about: `QUEUE-001` of `001-parser.md`. Nothing where the name is not of that form.
    #[must_use]
    pub fn task(file_name: &str) -> Option<TaskId> {
        let (number, slug) = file_name.strip_suffix(".md")?.split_once('-')?;
        let is_number = number.len() >= DIGITS && number.bytes().all(|byte| byte.is_ascii_digit());
        TaskId::new(format!("QUEUE-{number}")).ok().filter(|_| is_number && !slug.is_empty())
    }

    /// Reads a queue item: its first line with words in it is a heading, `# Task: TITLE` or `# TITLE`. Nothing where it is not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let heading = text.lines().map(str::trim).find(|line| !line.is_empty())?.strip_prefix("# ")?.trim();
        let title = heading.strip_prefix("Task:").unwrap_or(heading).trim();
        (!title.is_empty()).then(|| Self { title: title.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_number_and_words() {
        assert_eq!(QueueItem::task("012-bus-message.md").unwrap().as_str(), "QUEUE-012");
        assert_eq!(QueueItem::task("1234-x.md").unwrap().as_str(), "QUEUE-1234");
        for name in ["12-x.md", "012.md", "012-.md", "012-x.txt", "x-012.md", "README.md", "+12-x.md"] {
            assert_eq!(QueueItem::task(name), None, "{name}");
        }
    }

    #[test]
    fn an_item_begins_with_a_heading() {
        assert_eq!(QueueItem::parse("\n# Task: Sync helper\nGoal: x\n").unwrap().title, "Sync helper");
        assert_eq!(QueueItem::parse("# Sync\n").unwrap().title, "Sync");
        for text in ["", "Goal: x\n# Task: y", "# Task:  \n", "#Task: x"] {
            assert_eq!(QueueItem::parse(text), None, "{text:?}");
        }
    }
}
