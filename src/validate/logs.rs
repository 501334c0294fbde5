//! The static rules of files of lines: the log, the channels, the refused actions.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::faults::in_line;
use super::files::{Batch, Kind, stem_of};
use super::finding::{Findings, Place};
use super::hashes::Secret;
use super::rule::Rule;
use crate::record::json::{MAX_LINE, Object, parse_line};
use crate::record::{AgentId, Event, Fault, Glance, Message, Refusal};
use crate::store::{Counts, Error, Line, scan};

/// A file of lines that is looked at.
#[derive(Debug)]
pub(super) struct LineFile {
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) known: Known,
    /// Whether it is a batch of which a branch of its agent's proves that it is that agent's.
    pub(super) is_proved: bool,
}

/// What the base has had of a file: lines that are not judged again.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Everything before this byte.
    pub(super) until: u64,
    /// The lines with these hashes.
    pub(super) lines: Arc<HashSet<u64>>,
    /// Whether the last line had no newline then already.
    pub(super) open_ended: bool,
}

/// Who alone may add lines, where the branch is an agent's.
pub(super) type Author = Option<AgentId>;

/// An id and the line that has it, as hashes.
type Named = (u64, u64);

/// What a thread has gathered.
struct Gathered {
    findings: Findings,
    /// Of events, then of messages.
    names: [Vec<Named>; 2],
}

/// Checks all lines that are news.
pub(super) struct LineCheck<'a> {
    pub(super) root: &'a Path,
    pub(super) files: &'a [LineFile],
    pub(super) author: &'a Author,
    pub(super) secret: Secret,
    /// The lines that the base has of the files, once somebody asks.
    pub(super) before: OnceLock<HashSet<u64>>,
}

impl LineCheck<'_> {
    /// Checks the files.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read.
    pub(super) fn run(&self, findings: &mut Findings) -> Result<(), Error> {
        let paths: Vec<_> = self.files.iter().map(|file| self.root.join(&file.path)).collect();
        let start = || Gathered { findings: findings.sister(), names: [Vec::new(), Vec::new()] };
        let (gathered, counts) = scan(&paths, start, |gathered, line| self.look(gathered, line))?;
        let mut names = [Vec::new(), Vec::new()];
        for one in gathered {
            findings.join(one.findings, |path, place| self.count(&counts, path, place));
            for (all, more) in names.iter_mut().zip(one.names) {
                all.push(more);
            }
        }
        let [events, messages] = names.map(clashing);
        if events.is_empty() && messages.is_empty() {
            return Ok(());
        }
        self.find_clashes(findings, &[events, messages])
    }

    fn count(&self, counts: &Counts, path: &str, place: Place) -> Place {
        let file = self.files.iter().position(|file| file.path == path).unwrap_or_default();
        Place { part: 0, line: counts.line(file, place.part, place.line), ..place }
    }

    fn look(&self, gathered: &mut Gathered, line: &Line<'_>) {
        let file = &self.files[line.file];
        if line.is_blank() {
            return;
        }
        let is_news = self.is_news(line);
        let glance =
            if file.kind == Kind::Log && line.ended { Glance::at(line.bytes) } else { None };
        let Some(glance) = glance else { return self.look_closer(gathered, line, is_news) };
        if let Some(id) = &glance.id {
            gathered.names[0].push((self.secret.word(id), self.secret.line(line.bytes)));
        }
        if is_news {
            self.check_agent(&mut gathered.findings, line, &glance.agent_id);
        }
    }

    fn is_news(&self, line: &Line<'_>) -> bool {
        let known = &self.files[line.file].known;
        line.offset >= known.until
            && (known.lines.is_empty() || !known.lines.contains(&self.secret.line(line.bytes)))
    }

    /// Judges a line that did not pass at a glance.
    fn look_closer(&self, gathered: &mut Gathered, line: &Line<'_>, is_news: bool) {
        let file = &self.files[line.file];
        let place = place_of(line);
        let parsed = if line.is_too_long() {
            Err(Fault::TooLong { limit: MAX_LINE })
        } else {
            parse_line(line.bytes)
        };
        if !line.ended {
            let cut = matches!(parsed, Err(Fault::CutOff { .. }));
            let end = Place { column: Some(line.bytes.len() + 1), ..place };
            let message = || {
                if cut {
                    "the last line was cut off"
                } else {
                    "the last line does not end with a newline"
                }
            };
            // The line may have been there before, and lost its newline since.
            if is_news || !file.known.open_ended {
                gathered
                    .findings
                    .add(Rule::NoFinalNewline, &file.path, Some(end), || message().to_owned());
            }
            if cut {
                return;
            }
        }
        let mut quiet = gathered.findings.sister();
        let findings = if is_news { &mut gathered.findings } else { &mut quiet };
        let object = match parsed {
            Ok(object) => object,
            Err(fault) => return in_line(findings, &file.path, place, line.bytes, &[fault]),
        };
        match self.check_object(findings, line, object) {
            Ok(Some((sort, id))) => {
                gathered.names[sort].push((self.secret.word(&id), self.secret.line(line.bytes)));
            }
            Ok(None) => {}
            Err(faults) => in_line(findings, &file.path, place, line.bytes, &faults),
        }
    }

    /// Checks what is an object; returns its id, and whether it is one of events (0) or of messages
    /// (1).
    fn check_object(
        &self,
        findings: &mut Findings,
        line: &Line<'_>,
        object: Object,
    ) -> Result<Option<(usize, String)>, Vec<Fault>> {
        match self.files[line.file].kind {
            Kind::Channel => {
                let message = Message::from_object(object)?;
                self.check_channel(findings, line, &message);
                self.check_author(findings, line, message.from.as_str(), "from");
                Ok(message.id.map(|id| (1, id)))
            }
            Kind::Refusals => {
                let refusal = Refusal::from_object(object)?;
                self.check_author(findings, line, refusal.agent_id.as_str(), "agent_id");
                Ok(None)
            }
            _ => {
                let event = Event::from_object(object)?;
                self.check_agent(findings, line, event.agent_id.as_str());
                Ok(event.id.map(|id| (0, id)))
            }
        }
    }

    /// An event stands in its agent's file, in a batch of its agent's, or in the file of all.
    fn check_agent(&self, findings: &mut Findings, line: &Line<'_>, agent: &str) {
        let path = &self.files[line.file].path;
        let owner = match Batch::at(path) {
            Some(batch) => Some(batch.owner),
            None => Some(stem_of(path)).filter(|stem| *stem != "events"),
        };
        if let Some(owner) = owner.filter(|owner| !owner.eq_ignore_ascii_case(agent)) {
            let place = place_at(line, "agent_id");
            findings.add(Rule::ForeignEvent, path, Some(place), || {
                format!("an event of `{agent}` in the file of `{owner}`")
            });
        }
        self.check_author(findings, line, agent, "agent_id");
    }

    /// A message stands in the channel of its task, in that of the agent that it is for, or in a
    /// batch of its sender's.
    fn check_channel(&self, findings: &mut Findings, line: &Line<'_>, message: &Message) {
        let path = &self.files[line.file].path;
        if let Some(batch) = Batch::at(path) {
            let (owner, sender) = (batch.owner, &message.from);
            if !owner.eq_ignore_ascii_case(sender.as_str()) {
                let words = || format!("a message of `{sender}` in a batch of `{owner}`");
                findings.add(Rule::WrongChannel, path, Some(place_at(line, "from")), words);
            }
            return;
        }
        let stem = stem_of(path);
        let inbox = stem
            .get(..6)
            .filter(|begin| begin.eq_ignore_ascii_case("agent-"))
            .map(|begin| &stem[begin.len()..]);
        let (field, named, channel) = match inbox {
            Some(agent) => ("to", message.to.as_ref().map(AgentId::as_str), agent),
            None => ("task_id", message.task_id.as_ref().map(|task| task.as_str()), stem),
        };
        if let Some(named) = named.filter(|named| !named.eq_ignore_ascii_case(channel)) {
            let words =
                || format!("its `{field}` is `{named}`, and the channel is that of `{channel}`");
            findings.add(Rule::WrongChannel, path, Some(place_at(line, field)), words);
        }
    }

    /// On an agent's branch only that agent adds lines.
    fn check_author(&self, findings: &mut Findings, line: &Line<'_>, name: &str, field: &str) {
        let Some(author) =
            self.author.as_ref().filter(|author| !author.as_str().eq_ignore_ascii_case(name))
        else {
            return;
        };
        let file = &self.files[line.file];
        // In a batch that is its owner's, a line of anybody else is that owner's fault, and is told
        // of as that.
        if file.is_proved || self.is_doubled(line) {
            return;
        }
        let path = &file.path;
        let words = || match Batch::at(path) {
            Some(Batch { owner, .. }) => format!(
                "a line of `{name}` was added on a branch of `{author}`, and no branch `agent/{owner}/…` here has this batch"
            ),
            None => format!("a line of `{name}` was added on a branch of `{author}`"),
        };
        findings.add(Rule::Tampering, path, Some(place_at(line, field)), words);
    }

    /// Whether the base has the line, too: a merge may double it, and readers drop doubles.
    fn is_doubled(&self, line: &Line<'_>) -> bool {
        let before = self.before.get_or_init(|| {
            let read = |file: &LineFile| {
                self.secret.lines(File::open(self.root.join(&file.path))?.take(file.known.until))
            };
            // A file that cannot be read is told of where its lines are.
            self.files
                .iter()
                .filter(|file| file.known.until > 0)
                .flat_map(|file| read(file).unwrap_or_default())
                .collect()
        });
        before.contains(&self.secret.line(line.bytes))
    }

    /// Shows the lines whose ids clash: each that is news and says something else than the first
    /// line with its id, what was known before being first.
    fn find_clashes(
        &self,
        findings: &mut Findings,
        clashing: &[HashSet<u64>; 2],
    ) -> Result<(), Error> {
        let paths: Vec<_> = self.files.iter().map(|file| self.root.join(&file.path)).collect();
        let look = |lines: &mut Vec<_>, line: &Line<'_>| lines.extend(self.clash(line, clashing));
        let (found, counts) = scan(&paths, Vec::new, look)?;
        let mut found: Vec<Clash> = found.into_iter().flatten().collect();
        found.sort_unstable();
        let mut first: HashMap<(usize, u64), Clash> = HashMap::new();
        for clash in found {
            let first = *first.entry((clash.sort, clash.id)).or_insert(clash);
            if clash.is_news && clash.content != first.content {
                let line = |clash: Clash| counts.line(clash.file, clash.part, clash.number);
                let place = Place { part: 0, line: line(clash), column: Some(clash.column) };
                let words = || {
                    let at = &self.files[first.file].path;
                    format!(
                        "the line at {at}:{} has the same `id`, and says something else",
                        line(first)
                    )
                };
                findings.add(Rule::IdClash, &self.files[clash.file].path, Some(place), words);
            }
        }
        Ok(())
    }

    fn clash(&self, line: &Line<'_>, clashing: &[HashSet<u64>; 2]) -> Option<Clash> {
        let sort = match self.files[line.file].kind {
            Kind::Refusals => return None,
            Kind::Channel => 1,
            _ => 0,
        };
        let object = parse_line(line.bytes).ok()?;
        let id = self.secret.word(object.get("id")?.as_str()?);
        let column = place_at(line, "id").column?;
        let (is_news, content) = (self.is_news(line), self.secret.line(line.bytes));
        let &Line { file, part, number, .. } = line;
        clashing[sort].contains(&id).then_some(Clash {
            is_news,
            file,
            part,
            number,
            column,
            sort,
            id,
            content,
        })
    }
}

/// A line whose id stands for another line, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Clash {
    is_news: bool,
    file: usize,
    part: usize,
    number: usize,
    column: usize,
    sort: usize,
    id: u64,
    content: u64,
}

/// The ids that stand for more than one line.
fn clashing(mut lists: Vec<Vec<Named>>) -> HashSet<u64> {
    let mut all = lists.pop().unwrap_or_default();
    lists.iter_mut().for_each(|list| all.append(list));
    all.sort_unstable();
    all.windows(2)
        .filter(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1)
        .map(|pair| pair[0].0)
        .collect()
}

const fn place_of(line: &Line<'_>) -> Place {
    Place { part: line.part, line: line.number, column: None }
}

fn place_at(line: &Line<'_>, field: &str) -> Place {
    let at = crate::record::locate(line.bytes, &[crate::record::PathStep::Key(field)]);
    Place { column: Some(at.column), ..place_of(line) }
}
