//! New tasks for the queue, each with a number that no other worktree gives (`_bus/README.md`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::advance::retry;
use super::deinit::remove;
use super::fleet::Reach;
use super::queue_files::{ItemFile, QueueFiles};
use super::remote_ref::{Known, Turn};
use super::{Bus, Error};
use crate::git::{Link, ObjectId, RefName, Tip};
use crate::record::json::{self, MAX_RECORD, Object};
use crate::record::{AgentId, PlanId, Priority, QueueItem, TaskId};
use crate::store::{Lock, Place, create, replace};

/// The longest title, in bytes.
const MAX_TITLE: usize = 200;

/// The longest value of a field, in bytes.
const MAX_VALUE: usize = 8 * 1024;

/// How far a given number may be above the last one. One that is higher would leave no room for those that come after it.
const MAX_LEAP: u64 = 10_000;

/// What `bus queue add` asks for.
#[derive(Clone, Debug, Default)]
pub struct QueueRequest {
    /// What is to be done, in a line.
    pub title: String,
    /// The task, where it is not the next one: `QUEUE-NNN`.
    pub id: Option<TaskId>,
    /// What for.
    pub goal: Option<String>,
    /// Notes.
    pub notes: Option<String>,
    /// How urgent it is.
    pub priority: Option<Priority>,
    /// What must be done before.
    pub after: Vec<TaskId>,
    /// The plan of the work.
    pub plan: Option<PlanId>,
    /// How one sees that it is done.
    pub acceptance: Option<String>,
}

/// What came of `bus queue add`.
#[derive(Clone, Debug)]
pub struct Queued {
    /// The task.
    pub task: TaskId,
    /// Its file, below the worktree's root.
    pub path: String,
    /// What the file says.
    pub text: String,
    /// What must be done before, and nothing here speaks of.
    pub unknown: Vec<TaskId>,
}

/// An item that is about to be written.
struct NewItem {
    title: String,
    place: Place,
    queued: Queued,
}

/// What the ref of the queue says.
struct Reserved {
    tip: Option<Link>,
    last: u64,
}

impl Bus {
    /// Writes a task into this worktree's queue. Its number is reserved by compare-and-swap before its file is written: a crash
    /// between the two leaves a hole in the numbers, unless the same agent adds the same title next.
    ///
    /// # Errors
    ///
    /// [`Error::TaskExists`] where the given id is taken; [`Error::Usage`] where title or fields are no lines, or the task would
    /// wait for itself; [`Error::RefContended`]; else as the system refuses.
    pub fn queue_add(&self, agent: &AgentId, request: &QueueRequest) -> Result<Queued, Error> {
        let title = line("the title", &request.title, MAX_TITLE)?;
        let text = QueueItem::text(title, &fields(request)?);
        let name = RefName::queue();
        self.learn_fleet(Reach::Fleet)?;
        if let Some(fleet) = self.fleet()? {
            let turn = |lock: &mut Lock, Known { seen, .. }: Known| {
                let (item, reserved) = match self.new_item(lock, agent, request, &text) {
                    Err(Error::TaskExists { .. }) if !seen => return Ok(Turn::Look),
                    made => made?,
                };
                match self.reservation(&reserved, agent, &item)? {
                    Some(link) => Ok(Turn::Push(link.id, item)),
                    None if seen => Ok(Turn::Done(item)),
                    None => Ok(Turn::Look),
                }
            };
            return self.change_shared(fleet, &name, turn, |_, item| self.write_item(item)).map(|item| item.queued);
        }
        let mut lock = self.lock()?;
        retry(&name, || {
            let (item, reserved) = self.new_item(&mut lock, agent, request, &text)?;
            if let Some(link) = self.reservation(&reserved, agent, &item)?
                && !self.advance(&mut lock, &name, reserved.tip.as_ref().map(|link| link.id), &link)?
            {
                return Ok(None);
            }
            Ok(Some(self.write_item(item)?.queued))
        })
    }

    /// The item that is asked for, with a number that is not given out, and what the ref says of numbers.
    fn new_item(
        &self,
        lock: &mut Lock,
        agent: &AgentId,
        request: &QueueRequest,
        text: &str,
    ) -> Result<(NewItem, Reserved), Error> {
        let title = request.title.trim();
        let queue = self.queue_files();
        let spoken = self.spoken_tasks()?;
        let known: BTreeSet<TaskId> = spoken.iter().chain(queue.tasks.keys()).cloned().collect();
        let reserved = self.reserved(lock)?;
        let task = match &request.id {
            Some(id) => self.unused(id, &queue).and_then(|id| near(id, last(&reserved, &known)))?,
            None => {
                let unfinished = self.unfinished(&reserved, agent, title)?;
                let unfinished = unfinished.filter(|task| self.is_untouched(task, title, text, &queue, &spoken));
                unfinished.map_or_else(|| next(last(&reserved, &known)), Ok)?
            }
        };
        self.check_after(&task, &request.after, &queue)?;
        let name = QueueItem::file_name(&task, title).ok_or_else(|| bad_id(&task))?;
        let place = self.layout.queue_item(&name);
        // What would stop the file must stop the reservation.
        place.inspect()?;
        let unknown = request.after.iter().filter(|after| !known.contains(queue.spelling(after))).cloned().collect();
        let path = place.relative().display().to_string();
        let queued = Queued { task, path, text: text.to_owned(), unknown };
        Ok((NewItem { title: title.to_owned(), place, queued }, reserved))
    }

    /// Writes the file of an item whose number is given out.
    fn write_item(&self, item: NewItem) -> Result<NewItem, Error> {
        create(&item.place, item.queued.text.as_bytes())?;
        let noted = self.private.reserved();
        if noted.inspect()?.is_some() {
            remove(&noted.path())?;
        }
        Ok(item)
    }

    /// The last number that was given out. A ref that is damaged, or says no number, is set aside: the files say what is taken.
    fn reserved(&self, lock: &mut Lock) -> Result<Reserved, Error> {
        let name = RefName::queue();
        // The second time it is a damaged entry of `packed-refs`.
        for _ in 0..2 {
            match self.repo.tip(&name)? {
                Tip::Missing => break,
                Tip::At(link) => {
                    let record = json::parse_record(&link.body).unwrap_or_default();
                    let last = record.get("last").and_then(Value::as_u64);
                    if let Some(last) = last.filter(|last| QueueItem::number(&QueueItem::numbered(*last)).is_some()) {
                        return Ok(Reserved { tip: Some(link), last });
                    }
                }
                Tip::Unreadable { .. } => {}
            }
            lock.about_to_write(name.as_str())?;
            self.repo.set_aside(&name, &self.broken("QUEUE")?.path(), None)?;
        }
        Ok(Reserved { tip: None, last: 0 })
    }

    /// The state of the ref in which the item's number is given out; none where it is already.
    fn reservation(&self, before: &Reserved, agent: &AgentId, item: &NewItem) -> Result<Option<Link>, Error> {
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
        replace(&self.private.reserved(), &body)?;
        Ok(Some(self.repo.write_link(tip, agent, self.clock.now(), &subject, &body)?))
    }

    /// The task whose number was given to `agent` for this title by a command that died before the file was written.
    fn unfinished(&self, reserved: &Reserved, agent: &AgentId, title: &str) -> Result<Option<TaskId>, Error> {
        let noted = self.private.reserved().read(MAX_RECORD)?;
        let Some(tip) = reserved.tip.as_ref().filter(|tip| noted.as_ref() == Some(&tip.body)) else { return Ok(None) };
        let record = json::parse_record(&tip.body).unwrap_or_default();
        let is_it = tip.author.eq_ignore_ascii_case(agent.as_str()) && record.get("title").and_then(Value::as_str) == Some(title);
        Ok(is_it.then(|| QueueItem::numbered(reserved.last)))
    }

    /// Whether nothing came of a number that was given out but, maybe, the very file that is to be written.
    fn is_untouched(&self, task: &TaskId, title: &str, text: &str, queue: &QueueFiles, spoken: &BTreeSet<TaskId>) -> bool {
        let number = QueueItem::number(task);
        let is_it = |other: &&TaskId| QueueItem::number(other) == number;
        let place = QueueItem::file_name(task, title).map(|name| self.layout.queue_item(&name));
        let is_written = || {
            let written = place.as_ref().and_then(|place| place.read(MAX_RECORD).ok().flatten());
            written.is_some_and(|written| written == text.as_bytes())
        };
        let file = queue.tasks.iter().find(|(task, _)| is_it(task)).map(|(_, file)| &file.place);
        !spoken.iter().any(|task| is_it(&task)) && file.is_none_or(|file| place.as_ref() == Some(file) && is_written())
    }

    /// The given task, where nothing has its number.
    fn unused(&self, id: &TaskId, queue: &QueueFiles) -> Result<TaskId, Error> {
        let number = QueueItem::number(id).ok_or_else(|| bad_id(id))?;
        let item = queue.tasks.iter().find(|(task, _)| QueueItem::number(task) == Some(number));
        if let Some((task, file)) = item {
            return Err(Error::TaskExists { task: task.clone(), place: self.show(&file.place) });
        }
        let claimed = self.tasks(&self.claim_files())?.into_iter().find(|task| QueueItem::number(task) == Some(number));
        match claimed {
            Some(task) => Err(Error::TaskExists { place: RefName::claim(&task).as_str().to_owned(), task }),
            // As the folder spells it.
            None => Ok(TaskId::new(id.as_str().to_ascii_uppercase())?),
        }
    }

    /// Refuses what would make `task` wait for itself.
    fn check_after(&self, task: &TaskId, after: &[TaskId], queue: &QueueFiles) -> Result<(), Error> {
        if after.is_empty() {
            return Ok(());
        }
        let canonical = |tasks: &[TaskId]| tasks.iter().map(QueueItem::canonical).collect::<Vec<_>>();
        let after_of = |file: &ItemFile| Some(canonical(&self.queue_item(file).ok()?.after));
        let items = queue.tasks.iter().filter_map(|(task, file)| Some((QueueItem::canonical(task), after_of(file)?)));
        let waits: BTreeMap<TaskId, Vec<TaskId>> = items.collect();
        let itself = QueueItem::canonical(task);
        match after.iter().find(|first| waits_for(&QueueItem::canonical(first), &itself, &waits)) {
            None => Ok(()),
            Some(first) => {
                let what = format!("`{task}` would wait for itself: `{first}` cannot be done before it");
                Err(Error::Usage { what, hint: format!("leave `{first}` out of `--after`") })
            }
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
    let what = format!("`{task}` is far above the last number, {last}, and the next ones would come after it");
    Err(Error::Usage { what, hint: format!("give a number up to {highest}, or leave `--id` out") })
}

/// The task with the next number.
fn next(last: u64) -> Result<TaskId, Error> {
    let next = last.checked_add(1).map(QueueItem::numbered).filter(|task| QueueItem::number(task).is_some());
    next.ok_or_else(|| Error::Usage {
        what: format!("the last number is {last}, and a number has nine digits at most"),
        hint: "give a free number with `--id`, and mend what has such a high one".to_owned(),
    })
}

/// The fields that a request gives, in their order.
fn fields(request: &QueueRequest) -> Result<Vec<(&'static str, String)>, Error> {
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
    given.map(|(key, value)| Ok((key, line(&format!("`--{}`", key.to_lowercase()), &value, MAX_VALUE)?.to_owned()))).collect()
}

/// A text that is one line of a file.
fn line<'a>(what: &str, text: &'a str, limit: usize) -> Result<&'a str, Error> {
    let text = text.trim();
    let refuse = |why: String, hint: &str| Err(Error::Usage { what: format!("{what} {why}"), hint: hint.to_owned() });
    if text.is_empty() {
        return refuse("says nothing".to_owned(), "say it in a line");
    }
    if text.len() > limit {
        return refuse(format!("has {} bytes, and may have {limit}", text.len()), "write the rest into the file that is made");
    }
    if text.chars().any(char::is_control) {
        return refuse("has a line break or another control character".to_owned(), "write the rest into the file that is made");
    }
    Ok(text)
}

fn bad_id(id: &TaskId) -> Error {
    let what = format!("`{id}` is no task of the queue");
    Error::Usage { what, hint: "write `QUEUE-NNN`, with three to nine digits, or leave `--id` out".to_owned() }
}
