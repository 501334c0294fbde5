//! Which task is meant: by a number alone, or without any name; and whether the queue has what is
//! about to be claimed.

use std::collections::BTreeSet;

use crate::bus::claim::{LastEvents, StatusQuery};
use crate::bus::queue::QueueFault;
use crate::bus::workspace::{Note, Workspace};
use crate::bus::{Error, claim, queue};
use crate::record::{AgentId, QueueItem, TaskId};

/// Words that are no task, but what `bus claim --next` takes.
const NEXT: [&str; 5] = ["next", "ready", "any", "first", "top"];

/// The task that is meant by `typed`: `3` is QUEUE-003 if there is such a task, unless a claim has
/// that very id.
///
/// # Errors
///
/// As the system refuses to read.
pub(crate) fn meant_task(ws: &Workspace, typed: &TaskId) -> Result<TaskId, Error> {
    let Some(numbered) = number(typed.as_str()).filter(|_| is_digits(typed.as_str())) else {
        return Ok(typed.clone());
    };
    if claim::deciding_view(ws, typed, None)?.claim().is_some() {
        return Ok(typed.clone());
    }
    let is_queued = queue::queue_files(ws).tasks.contains_key(&numbered)
        || claim::deciding_view(ws, &numbered, None)?.claim().is_some()
        || target_tasks(ws).contains(&numbered);
    Ok(if is_queued { numbered } else { typed.clone() })
}

/// The one task that `agent` holds in this worktree.
///
/// # Errors
///
/// [`Error::Usage`] if it holds several here; `claim-held-elsewhere` if it holds one in another
/// worktree or clone alone; [`QueueFault::NothingHeld`] if it holds none.
pub(crate) fn held_here(ws: &Workspace, agent: &AgentId) -> Result<TaskId, Error> {
    let query =
        StatusQuery { agents: vec![agent.clone()], active_only: true, ..StatusQuery::default() };
    let seen = claim::seen_claims(ws, &query, &mut LastEvents::default(), claim::listed_view)?;
    let who = ws.who(agent.clone())?;
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        seen.claims.into_iter().map(|status| status.claim).partition(|claim| who.owns(claim));
    match (here.as_slice(), elsewhere.first()) {
        ([claim], _) => Ok(claim.task_id.clone()),
        ([], Some(claim)) => {
            let view = claim::deciding_view(ws, &claim.task_id, None)?;
            let refusal = claim::heartbeat(view.claim(), &who).err();
            Err(match refusal {
                Some(refusal) => claim::refused(ws, &view, &who, refusal)?,
                None => QueueFault::NothingHeld { agent: agent.clone() }.into(),
            })
        }
        ([], None) => Err(QueueFault::NothingHeld { agent: agent.clone() }.into()),
        (several, _) => {
            let tasks: Vec<&str> = several.iter().map(|claim| claim.task_id.as_str()).collect();
            Err(Error::Usage {
                what: format!("{agent} holds several tasks here: {}", tasks.join(", ")),
                hint: "name the one that you mean".to_owned(),
            })
        }
    }
}

/// Refuses the first claim of a task that looks like one of the queue's, and is none.
///
/// # Errors
///
/// [`QueueFault::NoSuchItem`]; [`Error::Store`] or [`Error::Git`] if the system refuses to read.
pub(super) fn check_is_queued(ws: &Workspace, task: &TaskId) -> Result<(), Error> {
    let files = queue::queue_files(ws);
    if files.tasks.contains_key(files.spelling(task)) {
        return Ok(());
    }
    let typed = task.as_str().to_ascii_lowercase();
    let stem = |name: &str| name.strip_suffix(".md").unwrap_or(name).to_ascii_lowercase();
    let named = files.tasks.iter().find(|(_, file)| {
        let stem = file.place.relative().file_name().map(|name| stem(&name.to_string_lossy()));
        let slug = stem.as_deref().and_then(|stem| Some(stem.split_once('-')?.1));
        stem.as_deref() == Some(&typed) || slug == Some(&typed)
    });
    let (is_next, numbered) = (NEXT.contains(&typed.as_str()), number(&typed));
    if named.is_none() && !is_next && numbered.is_none() {
        return Ok(());
    }
    let mut known: BTreeSet<TaskId> = files.tasks.keys().cloned().collect();
    known.extend(target_tasks(ws));
    if known.is_empty() || known.contains(task) {
        return Ok(());
    }
    let meant = named.map(|(task, _)| task.clone());
    let meant = meant.or_else(|| numbered.filter(|numbered| known.contains(numbered)));
    Err(QueueFault::NoSuchItem { task: task.clone(), meant, is_next }.into())
}

/// The tasks of the queue that the target has; one that cannot be read is said to be so.
fn target_tasks(ws: &Workspace) -> BTreeSet<TaskId> {
    let names = ws.repo.target_names("queue").unwrap_or_else(|error| {
        ws.notes.add(Note::Unreadable(error.into()));
        Vec::new()
    });
    names.iter().filter_map(|name| QueueItem::task(name)).collect()
}

/// The task of the queue that a text with a number may mean: QUEUE-003 of `3`, `queue3`, `Q-03`.
fn number(text: &str) -> Option<TaskId> {
    let letters = text.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let digits = &text[letters.len()..];
    let word = letters.trim_end_matches(['-', '_', '.']);
    let is_word = ["", "queue", "q", "item"].iter().any(|known| word.eq_ignore_ascii_case(known));
    let number = digits.parse().ok().filter(|_| is_word && (word.is_empty() == letters.is_empty()));
    number.map(QueueItem::numbered)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_number_of_the_queue() {
        for text in ["3", "03", "QUEUE-3", "queue3", "Queue_003", "q3", "Q-3", "item.3"] {
            assert_eq!(number(text).unwrap().as_str(), "QUEUE-003", "{text}");
        }
        for text in ["T-3", "GH-3", "3a", "queue", "x3", "queue-x3", "feature-3"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
