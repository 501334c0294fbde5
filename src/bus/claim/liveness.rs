//! Whether a claim's owner still lives (docs/design.md, section 3): computed when read, there is no
//! sweeper.

use std::collections::HashMap;
use std::time::Duration;

use super::successor::written;
use super::view::View;
use crate::bus::workspace::{Note, Workspace};
use crate::bus::{Error, log};
use crate::record::{AgentId, Origin, Span, Timestamp};
use crate::store::{Direction, Place, RECENT, Union, first_seen, last_touched};

/// How a live claim stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// It shows heartbeats.
    Alive,
    /// It has shown none for too long.
    Stale,
    /// Its time is over.
    Expired,
    /// The worktree of this clone in which it was made is gone.
    Gone,
}

/// Why something may be taken over, as the beginning of a sentence: `it is stale`.
pub(crate) fn why_free(reclaimable: &str) -> String {
    match reclaimable {
        "gone" => "its worktree is gone".to_owned(),
        why => format!("it is {why}"),
    }
}

/// What is known of an owner's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signs {
    /// The claim's last write.
    pub(crate) written: Option<Timestamp>,
    /// The owner's last command in this clone.
    pub(crate) presence: Option<Timestamp>,
    /// The owner's last event in the log's end.
    pub(crate) event: Option<Timestamp>,
    /// For a claim of another clone, or of a clock that is ahead: since when this clone has seen
    /// this very state of it.
    pub(crate) seen_since: Option<Timestamp>,
}

/// How far another clock may be ahead of ours before what it says is no heartbeat.
const MAX_AHEAD: Duration = Duration::from_secs(5 * 60);

/// How far `time` is ahead of our clock, if that is too much for a heartbeat.
fn ahead(time: Timestamp, now: Timestamp) -> Option<Duration> {
    Some(time.since(now)).filter(|ahead| *ahead > MAX_AHEAD)
}

impl Signs {
    /// The last heartbeat.
    ///
    /// An event from the future is none: anybody may write one. The claim's own write and the
    /// owner's presence are signs if they are a little ahead, as clocks are; of a write that is
    /// further ahead counts when this clone first saw it.
    #[must_use]
    pub(crate) fn last(&self, now: Timestamp) -> Option<Timestamp> {
        let written = self.written.and_then(|written| match written > now {
            true => self.seen_since.or_else(|| ahead(written, now).is_none().then_some(now)),
            false => Some(written),
        });
        let presence = self.presence.filter(|presence| ahead(*presence, now).is_none());
        let presence = presence.map(|presence| presence.min(now));
        [written, presence, self.event.filter(|event| *event <= now)].into_iter().flatten().max()
    }

    /// How far the clock of the last write is ahead of ours, if that is too much for a heartbeat.
    #[must_use]
    pub(crate) fn clock_ahead(&self, now: Timestamp) -> Option<Duration> {
        self.written.and_then(|written| ahead(written, now))
    }
}

/// Judges a live record, which dies at `expires_at`, by the signs of its owner's life.
fn judge(
    expires_at: Option<Timestamp>,
    signs: &Signs,
    now: Timestamp,
    stale_after: Duration,
) -> Liveness {
    // Another clone's clock is not ours: this clone, too, must have waited.
    let waited = |span: Duration| signs.seen_since.is_none_or(|since| now.since(since) >= span);
    if let Some(expires_at) = expires_at {
        let ttl = signs.written.map_or(Duration::ZERO, |written| expires_at.since(written));
        // A clock that is ahead says nothing of when that is.
        let is_over = now > expires_at || signs.clock_ahead(now).is_some();
        if is_over && waited(ttl) {
            return Liveness::Expired;
        }
    }
    let quiet = signs.last(now).is_none_or(|last| now.since(last) > stale_after);
    if quiet && waited(stale_after) { Liveness::Stale } else { Liveness::Alive }
}

/// The owners' last events, read from the log's end once, their last commands, and this clone's id:
/// each only when somebody asks.
#[derive(Default)]
pub(in crate::bus) struct LastEvents {
    events: Option<HashMap<AgentId, Timestamp>>,
    presence: HashMap<AgentId, Option<Timestamp>>,
    clone_id: Option<Option<String>>,
}

impl LastEvents {
    /// When `agent` last logged an event that is not in the future, within the log's last MiB.
    fn of(&mut self, ws: &Workspace, agent: &AgentId) -> Result<Option<Timestamp>, Error> {
        Ok(self.all(ws)?.get(agent).copied())
    }

    /// When each agent last did.
    pub(in crate::bus) fn all(
        &mut self,
        ws: &Workspace,
    ) -> Result<&HashMap<AgentId, Timestamp>, Error> {
        if self.events.is_none() {
            self.events = Some(read(ws)?);
        }
        Ok(self.events.get_or_insert_default())
    }

    /// When `agent` last ran a command in this clone.
    fn presence(&mut self, ws: &Workspace, agent: &AgentId) -> Option<Timestamp> {
        if let Some(known) = self.presence.get(agent) {
            return *known;
        }
        let touched = last_touched(&ws.private.presence(agent));
        self.presence.insert(agent.clone(), touched);
        touched
    }

    /// Whether `origin` is another clone's.
    fn is_foreign(&mut self, ws: &Workspace, origin: &Origin) -> Result<bool, Error> {
        if self.clone_id.is_none() {
            self.clone_id = Some(ws.known_clone_id()?);
        }
        Ok(self
            .clone_id
            .as_ref()
            .and_then(Option::as_deref)
            .is_none_or(|ours| origin.clone_id() != ours))
    }
}

fn read(ws: &Workspace) -> Result<HashMap<AgentId, Timestamp>, Error> {
    let now = ws.clock.now();
    let mut events = HashMap::new();
    let mut log =
        Union::open_within(log::log_files(ws), Direction::Backward, &ws.sources(), RECENT)?;
    while let Some(entry) = log.next_event()? {
        if entry.event.ts <= now {
            let last = events.entry(entry.event.agent_id).or_insert(entry.event.ts);
            *last = entry.event.ts.max(*last);
        }
    }
    Ok(events)
}

/// A live record, as far as it says how long it lives.
pub(in crate::bus) struct Life<'a> {
    /// Whose it is.
    pub(in crate::bus) agent: &'a AgentId,
    /// Where it was made.
    pub(in crate::bus) origin: Option<&'a Origin>,
    /// When its owner last wrote it.
    pub(in crate::bus) written: Timestamp,
    /// When it dies without a heartbeat.
    pub(in crate::bus) expires_at: Option<Timestamp>,
    /// Where this clone notes which state of it was seen, where it is another clone's.
    pub(in crate::bus) seen: Place,
    /// What is noted there.
    pub(in crate::bus) state: String,
}

/// Refuses to go by a clock that somebody has set: how long another was silent is then anybody's
/// word.
pub(in crate::bus) fn check_clock(ws: &Workspace) -> Result<(), Error> {
    let Some(off) = ws.clock.is_off_by() else { return Ok(()) };
    let off = Span::new(off);
    Err(Error::Usage {
        what: format!(
            "BUS_NOW is {off} off this machine's clock, so it cannot say how long the owner was silent"
        ),
        hint: "unset BUS_NOW, or say `--force`".to_owned(),
    })
}

/// How far the clock is ahead that the live claim of `view` was last written by, if that is too much
/// for a heartbeat.
pub(in crate::bus) fn clock_ahead(ws: &Workspace, view: &View) -> Option<Duration> {
    let claim = view.claim().filter(|claim| claim.status.is_live())?;
    ahead(written(view, claim), ws.clock.now())
}

/// Warns if the clock is ahead that `what` was last written by, so that what it says of its owner is
/// no heartbeat.
pub(in crate::bus) fn warn_of_clock(ws: &Workspace, what: &str, signs: &Signs) {
    if let Some(ahead) = signs.clock_ahead(ws.clock.now()) {
        ws.notes.add(Note::Warning(format!(
            "{what}: its owner's clock is ahead by {}, so this clone goes by when it first saw it",
            Span::new(ahead)
        )));
    }
}

/// How the live claim of `view` stands, and the signs that say so.
pub(in crate::bus) fn liveness(
    ws: &Workspace,
    view: &View,
    stale_after: Duration,
    events: &mut LastEvents,
) -> Result<(Liveness, Signs), Error> {
    let Some(claim) = view.claim() else { return Ok((Liveness::Alive, Signs::default())) };
    let life = Life {
        agent: &claim.agent_id,
        origin: claim.origin.as_ref(),
        written: written(view, claim),
        expires_at: claim.expires_at,
        seen: ws.private.seen(&view.task),
        state: view
            .tip_id()
            .map_or_else(|| format!("revision {}", claim.revision), |id| id.to_string()),
    };
    liveness_of(ws, &life, stale_after, events)
}

/// How a live record stands, and the signs that say so.
pub(in crate::bus) fn liveness_of(
    ws: &Workspace,
    life: &Life<'_>,
    stale_after: Duration,
    events: &mut LastEvents,
) -> Result<(Liveness, Signs), Error> {
    let now = ws.clock.now();
    let mut signs = Signs { written: Some(life.written), ..Signs::default() };
    let foreign = match life.origin {
        Some(origin) => events.is_foreign(ws, origin)?,
        None => false,
    };
    let worktree = life.origin.filter(|_| !foreign).and_then(Origin::worktree);
    if worktree.is_some_and(|name| ws.repo.worktree_is_gone(name)) {
        signs.presence = events.presence(ws, life.agent);
        return Ok((Liveness::Gone, signs));
    }
    if foreign || ahead(life.written, now).is_some() {
        signs.seen_since = Some(first_seen(&life.seen, &life.state, ws.clock));
    }
    if !foreign {
        signs.presence = events.presence(ws, life.agent);
    }
    // The log is read only where everything else is silent.
    if judge(life.expires_at, &signs, now, stale_after) == Liveness::Stale {
        signs.event = events.of(ws, life.agent)?;
    }
    Ok((judge(life.expires_at, &signs, now, stale_after), signs))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE_AFTER: Duration = Duration::from_secs(100);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_000_000 + seconds)
    }

    #[test]
    fn any_sign_of_life_keeps_a_claim_alive_until_it_is_too_old() {
        let none = Signs::default();
        for signs in [
            Signs { written: Some(at(0)), ..none },
            Signs { written: Some(at(-500)), presence: Some(at(0)), ..none },
            Signs { written: Some(at(-500)), event: Some(at(0)), ..none },
        ] {
            assert_eq!(judge(None, &signs, at(100), STALE_AFTER), Liveness::Alive);
            assert_eq!(judge(None, &signs, at(101), STALE_AFTER), Liveness::Stale);
        }
    }

    #[test]
    fn an_event_from_the_future_is_no_sign_of_life_and_a_clock_set_back_takes_none_away() {
        let none = Signs::default();
        let signs = Signs { written: Some(at(0)), event: Some(at(900)), ..none };
        assert_eq!(judge(None, &signs, at(101), STALE_AFTER), Liveness::Stale);
        assert_eq!(signs.last(at(101)), Some(at(0)));
        for signs in [
            Signs { written: Some(at(1)), ..none },
            Signs { written: Some(at(-900)), presence: Some(at(1)), ..none },
        ] {
            assert_eq!(judge(None, &signs, at(0), STALE_AFTER), Liveness::Alive);
        }
        let foreign = Signs { written: Some(at(9000)), seen_since: Some(at(0)), ..none };
        assert_eq!(
            judge(None, &foreign, at(101), STALE_AFTER),
            Liveness::Stale,
            "another clone's clock is not ours"
        );
    }

    #[test]
    fn a_clock_that_is_ahead_of_ours_gives_no_heartbeat() {
        let none = Signs::default();
        let little = Signs { written: Some(at(300)), ..none };
        assert_eq!((little.last(at(0)), little.clock_ahead(at(0))), (Some(at(0)), None));
        let far = Signs { written: Some(at(301)), ..none };
        assert_eq!(far.last(at(0)), None);
        assert_eq!(far.clock_ahead(at(0)), Some(Duration::from_secs(301)));
        let seen = Signs { written: Some(at(9000)), seen_since: Some(at(0)), ..none };
        for (now, expected) in [(100, Liveness::Alive), (101, Liveness::Stale)] {
            assert_eq!(judge(None, &seen, at(now), STALE_AFTER), expected);
        }
        // Its time to live goes by what this clone saw, too.
        assert_eq!(judge(Some(at(9050)), &seen, at(49), STALE_AFTER), Liveness::Alive);
        assert_eq!(judge(Some(at(9050)), &seen, at(50), STALE_AFTER), Liveness::Expired);
        let presence = Signs { written: Some(at(-900)), presence: Some(at(900)), ..none };
        assert_eq!(presence.last(at(0)), Some(at(-900)));
        let alive = Signs { presence: Some(at(0)), ..seen };
        assert_eq!(judge(None, &alive, at(101), STALE_AFTER), Liveness::Stale);
        assert_eq!(judge(None, &alive, at(100), STALE_AFTER), Liveness::Alive);
    }

    #[test]
    fn a_claim_expires_after_its_last_second() {
        let signs = Signs { written: Some(at(0)), presence: Some(at(10)), ..Signs::default() };
        assert_eq!(judge(Some(at(10)), &signs, at(10), STALE_AFTER), Liveness::Alive);
        assert_eq!(judge(Some(at(10)), &signs, at(11), STALE_AFTER), Liveness::Expired);
    }

    #[test]
    fn another_clones_claim_is_given_up_only_after_this_clone_has_waited_as_long() {
        let fresh = Signs { written: Some(at(-9000)), seen_since: Some(at(0)), ..Signs::default() };
        assert_eq!(judge(None, &fresh, at(99), STALE_AFTER), Liveness::Alive);
        assert_eq!(judge(None, &fresh, at(100), STALE_AFTER), Liveness::Stale);
        let short = Signs { written: Some(at(-9000)), ..fresh };
        assert_eq!(judge(Some(at(-8990)), &short, at(9), STALE_AFTER), Liveness::Alive);
        assert_eq!(judge(Some(at(-8990)), &short, at(10), STALE_AFTER), Liveness::Expired);
    }
}
