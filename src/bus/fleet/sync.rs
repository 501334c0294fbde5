//! `bus sync`: exchanges claims and logs with the fleet's remote, by refs and nothing else (design,
//! sections 3 and 4). No branch, no index and no file of a worktree is touched.

use std::collections::BTreeSet;
use std::time::Duration;

use super::adopt::Adopted;
use super::log_in::TakenIn;
use super::log_out::LogCommit;
use super::look::is_all;
use super::own_log::OwnLog;
use super::propose::unknown;
use super::rewritten_log::RewrittenLog;
use super::{
    adopt, adopt_ref, log_in, log_out, odd_ref, old_spelling, own_log, push, rewritten_log,
};
use crate::bus::claim::state;
use crate::bus::workspace::{FleetFault, Reach, Who, Workspace};
use crate::bus::{Error, claim};
use crate::git::{MAX_PUSH, ObjectId, Pushed, RefName, Remote, Sight, Swap, Tip};
use crate::record::{AgentId, Claim, Fleet, Origin, TaskId, Timestamp, verb};
use crate::store::{Clock, Lock, crash_point, last_touched, touch};

/// How often is pushed while others are faster: with each turn fewer claims in one push, so that
/// one that lost keeps no other back.
const TURNS: [usize; 5] = [MAX_PUSH, MAX_PUSH / 10, 1, 1, 1];

/// How many claims are brought in line before the lock is given to others.
const BATCH: usize = 100;

/// What was exchanged.
#[derive(Debug, Default)]
pub(crate) struct Synced {
    /// The remote.
    pub(crate) remote: String,
    /// The tasks of which the remote had something new.
    pub(crate) received: BTreeSet<TaskId>,
    /// The tasks of which the remote got something new.
    pub(crate) published: BTreeSet<TaskId>,
    /// The claims of this clone that gave way, and who has the task.
    pub(crate) lost: Vec<(Claim, AgentId)>,
    /// What of this clone's leases and numbers gave way to the remote's, and where it is kept.
    pub(crate) gave_way: Vec<RefName>,
    /// What is still for this clone alone, and why.
    pub(crate) unpublished: Vec<(TaskId, String)>,
    /// What of the remote's cannot be read.
    pub(crate) faults: Vec<Error>,
    /// Whether the remote got something new of this clone's log.
    pub(crate) log_published: bool,
    /// Why the remote has not got all of this clone's log, if it has not.
    pub(crate) log_unsent: Option<String>,
    /// The id that this clone has taken, because somebody else uses the one that it had.
    pub(crate) new_id: Option<String>,
    /// The logs that were rewritten on the remote, and that nobody has accepted.
    pub(crate) rewritten: Vec<RewrittenLog>,
    /// What was new in the other clones' logs.
    pub(crate) taken: TakenIn,
}

/// How fresh the view of the fleet is.
#[derive(Clone, Debug)]
pub(crate) struct Freshness {
    /// The fleet.
    pub(crate) fleet: Fleet,
    /// When all of the remote was last seen, or `None` if it never was.
    pub(crate) seen: Option<Timestamp>,
}

/// Asks the fleet's remote for what is new, and tells it what is new here.
///
/// # Errors
///
/// [`FleetFault::None`]; [`FleetFault::Other`] if the remote serves another fleet;
/// [`Error::Git`] if it cannot be reached. What it took by then stays.
pub(crate) fn sync(ws: &Workspace) -> Result<Synced, Error> {
    ws.ask_for_fleet()?;
    let fleet = ws.fleet()?.ok_or(FleetFault::None)?;
    let remote = ws.remote_of(fleet)?;
    let mut synced = Synced { remote: fleet.remote.clone(), ..Synced::default() };
    let (mut refusal, mut sight) = (None::<Pushed>, Sight::new());
    let or_unknown = |refusal: &Option<Pushed>, error| match refusal {
        Some(pushed) => unknown(fleet, pushed, error),
        None => error,
    };
    for (turn, size) in TURNS.into_iter().enumerate() {
        sight = receive(ws, fleet, &remote, &mut synced)
            .map_err(|error| or_unknown(&refusal, error))?;
        let due = unpublished(ws, &remote, &sight)?;
        if due.is_empty() {
            refusal = None;
            break;
        }
        refusal = None;
        for swaps in due.chunks(size) {
            let pushed = push::push_swaps(ws, &remote, swaps.to_vec())?;
            if pushed != Pushed::Done {
                refusal = Some(pushed);
            }
            crash_point("claims-pushed");
        }
        if turn + 1 == TURNS.len() {
            sight = receive(ws, fleet, &remote, &mut synced)
                .map_err(|error| or_unknown(&refusal, error))?;
        }
    }
    if let Some(why) = refusal.as_ref().map(Pushed::story) {
        let left = unpublished(ws, &remote, &sight)?;
        let tasks = left.iter().filter_map(|swap| swap.name.task());
        synced.unpublished = tasks.map(|task| (task, why.clone())).collect();
        synced.log_unsent = left.iter().any(|swap| swap.name.is_log()).then_some(why);
    }
    synced.rewritten = rewritten_log::rewritten_logs(ws)?;
    Ok(synced)
}

/// Brings everything here that the remote has, and notes what became of what was sent. Returns what
/// the remote has.
pub(in crate::bus) fn receive(
    ws: &Workspace,
    fleet: &Fleet,
    remote: &Remote,
    synced: &mut Synced,
) -> Result<Sight, Error> {
    let before = seen_logs(ws, remote)?;
    // Each look finds what is still wrong.
    synced.faults.clear();
    let sight = look_at_all(ws, fleet, remote)?;
    let mut tasks: BTreeSet<TaskId> = sight.keys().filter_map(RefName::task).collect();
    let seen = format!("{}claims/", RefName::all_seen_on(remote.name()));
    // Those that the remote has no more.
    tasks.extend(ws.repo.names_below(&seen)?.into_iter().filter_map(|name| TaskId::new(name).ok()));
    {
        let mut lock = ws.lock()?;
        if let Err(error) = adopt::adopt_archive(ws, &mut lock, remote, &sight) {
            synced.faults.push(error);
        }
        for name in shared() {
            match adopt_ref::adopt_ref(ws, &mut lock, remote, &name, &sight) {
                Ok(kept) => synced.gave_way.extend(kept),
                Err(error) => synced.faults.push(error),
            }
        }
    }
    let mut old: BTreeSet<TaskId> =
        sight.keys().filter_map(RefName::task).filter(|task| !task.has_usual_number()).collect();
    old.extend(old_spelling::old_spellings_seen(ws)?.into_iter().map(|(_, task)| task));
    let news = tasks.into_iter().filter(|task| {
        let is_news = || self::is_news(ws, remote, task, &sight).unwrap_or(true);
        is_news()
            || (old.contains(task)
                && old_spelling::is_news_of_others(ws, remote, task, &sight).unwrap_or(true))
    });
    let forked = begun_anew(ws, remote, &sight)?;
    let changed: Vec<TaskId> = news.chain(forked).collect();
    for tasks in changed.chunks(BATCH) {
        adopt_batch(ws, remote, tasks, &sight, synced)?;
    }
    receive_logs(ws, remote, &sight, &before, synced)?;
    odd_ref::note_odd_refs(ws, &sight, &synced.faults)?;
    touch(&ws.private.fleet_seen(), ws.clock);
    Ok(sight)
}

/// What the remote was last seen to have of the clones' logs.
fn seen_logs(ws: &Workspace, remote: &Remote) -> Result<Sight, Error> {
    let folder = format!("{}log/", RefName::all_seen_on(remote.name()));
    let mut logs = Sight::new();
    for name in ws.repo.names_below(&folder)?.iter().filter_map(|clone| RefName::log(clone)) {
        logs.extend(ws.seen_at(remote, &name)?.map(|id| (name, id)));
    }
    Ok(logs)
}

/// Notes what the remote has of the clones' logs, and takes in what is new of the others'.
fn receive_logs(
    ws: &Workspace,
    remote: &Remote,
    sight: &Sight,
    before: &Sight,
    synced: &mut Synced,
) -> Result<(), Error> {
    let own = ws.known_clone_id()?.and_then(|id| RefName::log(&id));
    {
        let mut lock = ws.lock()?;
        for (name, id) in
            sight.iter().filter(|(name, _)| name.is_log() && Some(*name) != own.as_ref())
        {
            let seen = ws.seen_at(remote, name)?;
            if seen == Some(*id) {
                continue;
            }
            let is_rewritten = own_log::is_rewritten(ws, seen, *id, before.get(name).copied())?;
            if let (Some(seen), Some(true)) = (seen, is_rewritten) {
                rewritten_log::note_rewritten(ws, &lock, name, seen, *id)?;
            }
            if is_rewritten.is_some() {
                adopt::note_seen(ws, &mut lock, remote, name, Some(*id))?;
            }
        }
        if let Some(own) = own {
            let (seen, theirs) = (ws.seen_at(remote, &own)?, sight.get(&own).copied());
            match own_log::adopt_own_log(
                ws,
                &mut lock,
                remote,
                &own,
                theirs,
                before.get(&own).copied(),
            )? {
                OwnLog::Known => synced.log_published |= theirs.is_some() && theirs != seen,
                OwnLog::Rewritten => {}
                OwnLog::Twin => synced.new_id = ws.known_clone_id()?,
            }
        }
    }
    // Also if nothing is new: a command that was killed may have left something undone.
    synced.taken.add(log_in::take_in_logs(ws, remote.name())?);
    Ok(())
}

/// The tasks of which the remote has no ref, and this clone a chain that knows nothing of the one
/// that was archived: they were claimed here, without asking, when they were finished already.
fn begun_anew(ws: &Workspace, remote: &Remote, sight: &Sight) -> Result<Vec<TaskId>, Error> {
    let mut tasks = Vec::new();
    for task in ws.repo.claimed_tasks()?.into_iter().filter_map(|name| TaskId::new(name).ok()) {
        let name = RefName::claim(&task);
        if sight.contains_key(&name) || ws.seen_at(remote, &name)?.is_some() {
            continue;
        }
        if let Some(tip) = ws.repo.id_of(&name)?
            && push::forks_from_archive(ws, &task, tip)?
        {
            tasks.push(task);
        }
    }
    Ok(tasks)
}

/// Brings these claims in line under one lock, and removes the refs that are not needed any more
/// all at once.
fn adopt_batch(
    ws: &Workspace,
    remote: &Remote,
    tasks: &[TaskId],
    sight: &Sight,
    synced: &mut Synced,
) -> Result<(), Error> {
    let mut lock = ws.lock()?;
    let mut gone = Vec::new();
    for task in tasks {
        let name = RefName::claim(task);
        let before = ws.repo.id_of(&name)?;
        match adopt::adopt_claim(ws, &mut lock, task, sight) {
            Err(error) => {
                synced.faults.push(error);
                continue;
            }
            Ok(Adopted::PutAway(id)) => gone.push((name.clone(), id)),
            Ok(adopted) => note(ws, &lock, synced, task, before, adopted)?,
        }
        match (sight.contains_key(&name), name.seen_on(remote.name())) {
            (false, Some(seen)) => {
                adopt::warn_if_back(ws, remote, task, sight)?;
                old_spelling::note_others_seen(ws, &mut lock, remote, task, sight)?;
                gone.extend(ws.repo.id_of(&seen)?.map(|id| (seen, id)));
            }
            _ => adopt::note_claim_seen(ws, &mut lock, remote, task, sight)?,
        }
    }
    ws.remove_refs(&mut lock, &gone)
}

/// Looks at everything that the remote has of the bus, and brings the objects here.
fn look_at_all(ws: &Workspace, fleet: &Fleet, remote: &Remote) -> Result<Sight, Error> {
    let mut refused = Vec::new();
    for _ in 0..TURNS.len() {
        let sight = ws.repo.look_at(remote, &[])?;
        ws.check_fleet(fleet, remote, &sight)?;
        let names: Vec<RefName> = sight.keys().filter(|name| is_exchanged(name)).cloned().collect();
        if is_all(&ws.bring(remote, &sight, &names)?, &mut refused) {
            return Ok(sight);
        }
    }
    Err(Error::RefContended { reference: fleet.prefix.clone(), tries: TURNS.len() })
}

/// Whether the remote has something else of a task than was last seen, or than is here.
fn is_news(ws: &Workspace, remote: &Remote, task: &TaskId, sight: &Sight) -> Result<bool, Error> {
    let name = RefName::claim(task);
    let now = sight.get(&name).copied();
    let Some(there) = now else { return Ok(ws.seen_at(remote, &name)?.is_some()) };
    // A chain that was made anew here, of a file, knows nothing of the remote's.
    let stands = ws.repo.id_of(&name)?.map_or(Ok(false), |here| ws.repo.descends(here, there))?;
    Ok(!stands || ws.seen_at(remote, &name)? != now)
}

/// Notes what became of a task.
fn note(
    ws: &Workspace,
    lock: &Lock,
    synced: &mut Synced,
    task: &TaskId,
    before: Option<ObjectId>,
    adopted: Adopted,
) -> Result<(), Error> {
    match adopted {
        Adopted::PutAway(_) => {}
        Adopted::Kept => {
            synced.published.insert(task.clone());
            let here = ws.here_origin()?;
            let confirmed = claim::tip(ws, task)?
                .filter(|tip| tip.link.verb() == verb::CONFIRM && tip.claim.origin == here);
            confirmed.map_or(Ok(()), |tip| claim::settle(ws, lock, &tip))?;
        }
        Adopted::Followed => {
            synced.received.insert(task.clone());
        }
        Adopted::Lost => {
            synced.received.insert(task.clone());
            let owner = claim::tip(ws, task)?.map(|tip| tip.claim.agent_id);
            let lost = before.map(|id| ws.repo.link(id)).transpose()?.and_then(Result::ok);
            let lost = lost.and_then(|link| Claim::parse(&link.body).ok());
            // What is noted of it knows whether it was the first.
            let noted =
                lost.as_ref().map(|lost| claim::lost_claim(ws, lost)).transpose()?.flatten();
            let lost = noted.or(lost);
            synced.lost.extend(lost.zip(owner));
        }
    }
    Ok(())
}

/// What this clone has and the remote was not seen to have. A claim that was made offline is asked
/// for by a state of its own. It is written here first, so that what is done here meanwhile, such
/// as a release, goes on from it.
fn unpublished(ws: &Workspace, remote: &Remote, sight: &Sight) -> Result<Vec<Swap>, Error> {
    let mut lock = ws.lock()?;
    let mut due = Vec::new();
    let old: BTreeSet<TaskId> =
        old_spelling::old_spellings_seen(ws)?.into_iter().map(|(_, task)| task).collect();
    let tasks: BTreeSet<TaskId> =
        ws.repo.claimed_tasks()?.into_iter().filter_map(|name| TaskId::new(name).ok()).collect();
    for task in tasks {
        if !task.has_usual_number() {
            claim::merge_spellings(ws, &mut lock, &task)?;
        }
        let name = RefName::claim(&task);
        let expected = ws.seen_at(remote, &name)?;
        let is_due = ws.repo.id_of(&name)? != expected || old.contains(&task);
        let (Tip::At(link), true) = (ws.repo.tip(&name)?, is_due) else { continue };
        if expected.is_none() && ws.archived_id(&task)? == Some(link.id) {
            continue;
        }
        // A push goes forward only; what does not follow the remote's is brought in line first.
        if let Some(seen) = expected
            && !ws.repo.descends(link.id, seen)?
            && !push::forks_from_archive(ws, &task, seen)?
            && !old_spelling::gives_way(ws, remote, &task, seen, link.id)?
        {
            continue;
        }
        // A chain that cannot be read is no claim to ask for; `bus doctor` tells of it.
        let Ok(tip) = state(link, &name, &task) else { continue };
        if old.contains(&task) && old_spelling::stands_as_seen(ws, remote, &tip)? {
            continue;
        }
        let mut new = tip.link.id;
        if tip.claim.is_unconfirmed() {
            let (view, claim) =
                (claim::view_by(ws, &task, None)?, Claim { confirmed: None, ..tip.claim.clone() });
            let origin = claim.origin.clone().unwrap_or_else(|| Origin::new("-", None));
            let who = Who { agent: claim.agent_id.clone(), origin };
            let Some((state, _)) =
                claim::write_state(ws, &mut lock, &view, &who, verb::CONFIRM, &claim)?
            else {
                continue;
            };
            new = state.link.id;
        }
        due.push(Swap { name, expected, new: Some(new) });
    }
    drop(lock);
    let commit = if due.is_empty() { LogCommit::IfNew } else { LogCommit::Always };
    if let Some((name, ours)) = log_out::commit_log(ws, commit)? {
        // As it is there now: a remote that has lost it gets it back. It goes first, so that no
        // twin's claims go before it.
        let expected = sight.get(&name).copied();
        if expected != Some(ours) {
            due.insert(0, Swap { name, expected, new: Some(ours) });
        }
    }
    for name in shared().into_iter().chain([RefName::archive()]) {
        let (ours, seen) = (ws.repo.id_of(&name)?, ws.seen_at(remote, &name)?);
        if ours != seen {
            due.push(Swap { name, expected: seen, new: ours });
        }
    }
    Ok(due)
}

/// Looks at all of the fleet's remote, unless this clone did so not long ago: one look serves all
/// that wait in a clone. Returns whether it has looked.
///
/// # Errors
///
/// As [`sync`].
pub(super) fn receive_if_due(ws: &Workspace, interval: Duration) -> Result<bool, Error> {
    ws.learn_fleet(Reach::Fleet)?;
    let Some(fleet) = ws.fleet()? else { return Ok(false) };
    // The remote's patience is of this world, also where a test has fixed the clock.
    let clock = Clock::new(None);
    {
        let _lock = ws.lock()?;
        let mark = ws.private.fleet_look();
        if last_touched(&mark).is_some_and(|looked| clock.now().since(looked) < interval) {
            return Ok(false);
        }
        touch(&mark, clock);
    }
    receive(ws, fleet, &ws.remote_of(fleet)?, &mut Synced::default())?;
    Ok(true)
}

/// How fresh this clone's view of its fleet is, or `None` if it belongs to none.
///
/// # Errors
///
/// As [`Workspace::fleet`].
pub(in crate::bus) fn freshness(ws: &Workspace) -> Result<Option<Freshness>, Error> {
    let fleet = ws.fleet()?.cloned();
    Ok(fleet.map(|fleet| Freshness { fleet, seen: last_touched(&ws.private.fleet_seen()) }))
}

/// The refs of which the fleet has one for all, but for the archive.
pub(super) fn shared() -> [RefName; 2] {
    [RefName::queue(), RefName::leases()]
}

/// Whether a ref of the remote's is for this clone.
fn is_exchanged(name: &RefName) -> bool {
    let is_one = *name == RefName::archive() || shared().contains(name);
    is_one || name.is_log() || name.task().is_some()
}
