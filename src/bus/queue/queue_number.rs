//! New tasks for the queue, each with a number that no other worktree gives (`_bus/README.md`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::queue_files;
use super::queue_files::{ItemFile, QueueFiles};
use crate::bus::queue::QueueFault;
use crate::bus::workspace::{Workspace, remove};
use crate::bus::{Error, claim};
use crate::git::{Link, ObjectId, RefName, Tip};
use crate::record::json::{MAX_RECORD, Object};
use crate::record::{AgentId, PlanId, Priority, QueueItem, TaskId, json};
use crate::store::{Lock, Place, create, replace};

/// The longest title, in bytes.
pub(in crate::bus) const MAX_TITLE: usize = 200;

/// The longest value of a field, in bytes.
const MAX_VALUE: usize = 8 * 1024;

/// How far a given number may be above the last one. One that is higher would leave no room for
/// those that come after it.
const MAX_LEAP: u64 = 10_000;

/// What `bus queue add` asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueueRequest {
    /// The task, in a line.
    pub(crate) title: String,
    /// The task, where it is not the next one: `QUEUE-NNN`.
    pub(crate) id: Option<TaskId>,
    /// What for.
    pub(crate) goal: Option<String>,
    /// Notes.
    pub(crate) notes: Option<String>,
    /// How urgent it is.
    pub(crate) priority: Option<Priority>,
    /// What must be done before.
    pub(crate) after: Vec<TaskId>,
    /// The plan of the work.
    pub(crate) plan: Option<PlanId>,
    /// How one sees that it is done.
    pub(crate) acceptance: Option<String>,
}

/// What came of `bus queue add`.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    /// The task.
    pub(crate) task: TaskId,
    /// Its file, below the worktree's root.
    pub(crate) path: String,
    /// What the file says.
    pub(crate) text: String,
    /// What must be done before, and nothing here speaks of.
    pub(crate) unknown: Vec<TaskId>,
}

/// An item that is about to be written.
pub(in crate::bus) struct NewItem {
    pub(in crate::bus) title: String,
    pub(in crate::bus) place: Place,
    pub(in crate::bus) queued: Queued,
}

/// What the ref of the queue says.
pub(in crate::bus) struct Reserved {
    pub(in crate::bus) tip: Option<Link>,
    pub(in crate::bus) last: u64,
}

/// The item that is asked for, with a number that is not given out, and what the ref says of
/// numbers.
pub(in crate::bus) fn new_item(
    ws: &Workspace,
    lock: &mut Lock,
    agent: &AgentId,
    request: &QueueRequest,
    text: &str,
) -> Result<(NewItem, Reserved), Error> {
    let title = request.title.trim();
    let queue = queue_files::queue_files(ws);
    let spoken = claim::spoken_tasks(ws)?;
    let known: BTreeSet<TaskId> = spoken.iter().chain(queue.tasks.keys()).cloned().collect();
    let reserved = self::reserved(ws, lock)?;
    let task = match &request.id {
        Some(id) => unused(ws, id, &queue).and_then(|id| near(id, last(&reserved, &known)))?,
        None => {
            let unfinished = self::unfinished(ws, &reserved, agent, title)?;
            let unfinished =
                unfinished.filter(|task| is_untouched(ws, task, title, text, &queue, &spoken));
            unfinished.map_or_else(|| next(last(&reserved, &known)), Ok)?
        }
    };
    check_after(ws, &task, &request.after, &queue)?;
    let name = QueueItem::file_name(&task, title).ok_or_else(|| bad_id(&task))?;
    let place = ws.layout.queue_item(&name);
    // What would stop the file must stop the reservation.
    place.inspect()?;
    let unknown = request
        .after
        .iter()
        .filter(|after| !known.contains(queue.spelling(after)))
        .cloned()
        .collect();
    let path = place.relative().display().to_string();
    let queued = Queued { task, path, text: text.to_owned(), unknown };
    Ok((NewItem { title: title.to_owned(), place, queued }, reserved))
}

/// Writes the file of an item whose number is given out.
pub(in crate::bus) fn write_item(ws: &Workspace, item: NewItem) -> Result<NewItem, Error> {
    create(&item.place, item.queued.text.as_bytes())?;
    let noted = ws.private.reserved();
    if noted.inspect()?.is_some() {
        remove(&noted.path())?;
    }
    Ok(item)
}

/// The last number that was given out. A ref that is damaged, or says no number, is set aside: the
/// files say what is taken.
fn reserved(ws: &Workspace, lock: &mut Lock) -> Result<Reserved, Error> {
    let name = RefName::queue();
    // The second time it is a damaged entry of `packed-refs`.
    for _ in 0..2 {
        match ws.repo.tip(&name)? {
            Tip::Missing => break,
            Tip::At(link) => {
                let record = json::parse_record(&link.body).unwrap_or_default();
                let last = record.get("last").and_then(Value::as_u64);
                if let Some(last) =
                    last.filter(|last| QueueItem::number(&QueueItem::numbered(*last)).is_some())
                {
                    return Ok(Reserved { tip: Some(link), last });
                }
            }
            Tip::Unreadable { .. } => {}
        }
        lock.about_to_write(name.as_str())?;
        ws.repo.set_aside(&name, &claim::broken(ws, "QUEUE")?.path(), None)?;
    }
    Ok(Reserved { tip: None, last: 0 })
}

/// The state of the ref in which the item's number is given out, or `None` if it is already.
pub(in crate::bus) fn reservation(
    ws: &Workspace,
    before: &Reserved,
    agent: &AgentId,
    item: &NewItem,
) -> Result<Option<Link>, Error> {
    let task = &item.queued.task;
    let number = QueueItem::number(task).unwrap_or(0);
    if number <= before.last {
        return Ok(None);
    }
    let mut record = Object::new();
    record.insert("last".to_owned(), Value::from(number));
    record.insert("title".to_owned(), Value::from(item.title.as_str()));
    let tip: Option<ObjectId> = before.tip.as_ref().map(|link| link.id);
    let subject = format!("reserve {task} by {agent}");
    let body = json::pretty(&record).into_bytes();
    // The ref alone does not tell a crash from a file that is on another branch by now.
    replace(&ws.private.reserved(), &body)?;
    Ok(Some(ws.repo.write_link(tip, agent, ws.clock.now(), &subject, &body)?))
}

/// The task whose number was given to `agent` for this title by a command that died before the file
/// was written.
fn unfinished(
    ws: &Workspace,
    reserved: &Reserved,
    agent: &AgentId,
    title: &str,
) -> Result<Option<TaskId>, Error> {
    let noted = ws.private.reserved().read(MAX_RECORD)?;
    let Some(tip) = reserved.tip.as_ref().filter(|tip| noted.as_ref() == Some(&tip.body)) else {
        return Ok(None);
    };
    let record = json::parse_record(&tip.body).unwrap_or_default();
    let is_it = tip.author.eq_ignore_ascii_case(agent.as_str())
        && record.get("title").and_then(Value::as_str) == Some(title);
    Ok(is_it.then(|| QueueItem::numbered(reserved.last)))
}

/// Whether nothing came of a number that was given out but, maybe, the very file that is to be
/// written.
fn is_untouched(
    ws: &Workspace,
    task: &TaskId,
    title: &str,
    text: &str,
    queue: &QueueFiles,
    spoken: &BTreeSet<TaskId>,
) -> bool {
    let number = QueueItem::number(task);
    let is_it = |other: &&TaskId| QueueItem::number(other) == number;
    let place = QueueItem::file_name(task, title).map(|name| ws.layout.queue_item(&name));
    let is_written = || {
        let written = place.as_ref().and_then(|place| place.read(MAX_RECORD).ok().flatten());
        written.is_some_and(|written| written == text.as_bytes())
    };
    let file = queue.tasks.iter().find(|(task, _)| is_it(task)).map(|(_, file)| &file.place);
    !spoken.iter().any(|task| is_it(&task))
        && file.is_none_or(|file| place.as_ref() == Some(file) && is_written())
}

/// The given task, if nothing has its number.
fn unused(ws: &Workspace, id: &TaskId, queue: &QueueFiles) -> Result<TaskId, Error> {
    let number = QueueItem::number(id).ok_or_else(|| bad_id(id))?;
    let item = queue.tasks.iter().find(|(task, _)| QueueItem::number(task) == Some(number));
    if let Some((task, file)) = item {
        return Err(Error::Queue(QueueFault::Exists {
            task: task.clone(),
            place: ws.show(&file.place),
        }));
    }
    let claimed = claim::tasks(ws, &claim::claim_files(ws))?
        .into_iter()
        .find(|task| QueueItem::number(task) == Some(number));
    match claimed {
        Some(task) => Err(Error::Queue(QueueFault::Exists {
            place: RefName::claim(&task).as_str().to_owned(),
            task,
        })),
        // As the folder spells it.
        None => Ok(TaskId::new(id.as_str().to_ascii_uppercase())?),
    }
}

/// Refuses what would make `task` wait for itself.
fn check_after(
    ws: &Workspace,
    task: &TaskId,
    after: &[TaskId],
    queue: &QueueFiles,
) -> Result<(), Error> {
    if after.is_empty() {
        return Ok(());
    }
    let canonical = |tasks: &[TaskId]| tasks.iter().map(QueueItem::canonical).collect::<Vec<_>>();
    let mut left = queue_files::MAX_BYTES;
    let mut after_of = |file: &ItemFile| {
        Some(canonical(&queue_files::queue_item(ws, file, &mut left).ok()?.after))
    };
    let items = queue
        .tasks
        .iter()
        .filter_map(|(task, file)| Some((QueueItem::canonical(task), after_of(file)?)));
    let waits: BTreeMap<TaskId, Vec<TaskId>> = items.collect();
    let itself = QueueItem::canonical(task);
    match after.iter().find(|first| waits_for(&QueueItem::canonical(first), &itself, &waits)) {
        None => Ok(()),
        Some(first) => {
            let what =
                format!("`{task}` would wait for itself: `{first}` cannot be done before it");
            Err(Error::Usage { what, hint: format!("leave `{first}` out of `--after`") })
        }
    }
}

/// Whether `first` is `task`, or waits for it, or for what waits for it.
fn waits_for(first: &TaskId, task: &TaskId, waits: &BTreeMap<TaskId, Vec<TaskId>>) -> bool {
    let (mut seen, mut ahead) = (BTreeSet::new(), vec![first]);
    while let Some(next) = ahead.pop() {
        if next == task {
            return true;
        }
        if seen.insert(next) {
            ahead.extend(waits.get(next).into_iter().flatten());
        }
    }
    false
}

/// The highest number that is known.
fn last(reserved: &Reserved, known: &BTreeSet<TaskId>) -> u64 {
    known.iter().filter_map(QueueItem::number).max().unwrap_or(0).max(reserved.last)
}

/// The given task, unless its number is far above the last one.
fn near(task: TaskId, last: u64) -> Result<TaskId, Error> {
    let highest = last + MAX_LEAP;
    if QueueItem::number(&task).is_some_and(|number| number <= highest) {
        return Ok(task);
    }
    let what = format!(
        "`{task}` is far above the last number, {last}, and the next ones would come after it"
    );
    Err(Error::Usage { what, hint: format!("give a number up to {highest}, or leave `--id` out") })
}

/// The task with the next number.
fn next(last: u64) -> Result<TaskId, Error> {
    let next = last
        .checked_add(1)
        .map(QueueItem::numbered)
        .filter(|task| QueueItem::number(task).is_some());
    next.ok_or_else(|| Error::Usage {
        what: format!("the last number is {last}, and a number has nine digits at most"),
        hint: "give a free number with `--id`, and rename the file with such a high one".to_owned(),
    })
}

/// The fields that a request gives, in their order.
pub(in crate::bus) fn fields(request: &QueueRequest) -> Result<Vec<(&'static str, String)>, Error> {
    let after = request.after.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", ");
    let texts = [
        ("Goal", request.goal.clone()),
        ("Notes", request.notes.clone()),
        ("Priority", request.priority.map(|priority| priority.to_string())),
        ("After", Some(after).filter(|after| !after.is_empty())),
        ("Plan", request.plan.as_ref().map(ToString::to_string)),
        ("Acceptance", request.acceptance.clone()),
    ];
    let given = texts.into_iter().filter_map(|(key, value)| Some((key, value?)));
    given
        .map(|(key, value)| {
            Ok((key, line(&format!("`--{}`", key.to_lowercase()), &value, MAX_VALUE)?.to_owned()))
        })
        .collect()
}

/// A text that is one line of a file.
pub(in crate::bus) fn line<'a>(what: &str, text: &'a str, limit: usize) -> Result<&'a str, Error> {
    let text = text.trim();
    let refuse = |why: String, hint: &str| {
        Err(Error::Usage { what: format!("{what} {why}"), hint: hint.to_owned() })
    };
    if text.is_empty() {
        return refuse("says nothing".to_owned(), "say it in a line");
    }
    if text.len() > limit {
        return refuse(
            format!("has {} bytes, and may have {limit}", text.len()),
            "write the rest into the file that is made",
        );
    }
    if text.chars().any(char::is_control) {
        return refuse(
            "has a line break or another control character".to_owned(),
            "write the rest into the file that is made",
        );
    }
    Ok(text)
}

fn bad_id(id: &TaskId) -> Error {
    let what = format!("`{id}` is no task of the queue");
    Error::Usage {
        what,
        hint: "write `QUEUE-NNN`, with three to nine digits, or leave `--id` out".to_owned(),
    }
}
