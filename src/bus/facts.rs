//! The facts of an error, for programs.

use serde_json::Value;

use crate::bus::Error;
use crate::bus::setup::HookFault;
use crate::record::TaskId;
use crate::store;

impl Error {
    /// The facts of the error that `--json` shows beside code, message and hint.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, Value)> {
        let text = |fact: &dyn ToString| Value::from(fact.to_string());
        let mut facts = vec![("task_id", self.task().map(|task| text(task)))];
        match self {
            Self::ClaimHeld { owner, branch, status, since, last_seen, reclaimable, .. } => facts
                .extend([
                    ("owner", Some(text(owner))),
                    ("branch", Some(text(branch))),
                    ("status", Some(text(status))),
                    ("claimed_at", Some(text(since))),
                    ("last_seen", last_seen.map(|seen| text(&seen))),
                    ("reclaimable", reclaimable.map(|why| text(&why))),
                ]),
            Self::HeldElsewhere { owner, origin, since, .. } => facts.extend([
                ("owner", Some(text(owner))),
                ("claimed_at", Some(text(since))),
                ("origin", origin.as_ref().map(|origin| text(origin))),
            ]),
            Self::TaskFinished { owner, branch, at, .. } => {
                facts.extend([
                    ("owner", Some(text(owner))),
                    ("branch", Some(text(branch))),
                    ("released_at", Some(text(at))),
                ]);
            }
            Self::TaskExists { place, .. } => facts.push(("place", Some(text(place)))),
            Self::Diverged { owner, place, .. } => {
                facts.extend([("owner", Some(text(owner))), ("file", Some(text(place)))])
            }
            Self::AssignedElsewhere { engineer, manager, .. } => {
                facts
                    .extend([("engineer", Some(text(engineer))), ("manager", Some(text(manager)))]);
            }
            Self::ClaimAlive { owner, last_seen, .. } => {
                facts.extend([
                    ("owner", Some(text(owner))),
                    ("last_seen", last_seen.map(|seen| text(&seen))),
                ]);
            }
            Self::Guarded { owner, .. } => {
                facts.push(("owner", owner.as_ref().map(|owner| text(owner))))
            }
            Self::ClaimLost { loss, owner, .. } => facts.extend([
                ("lost_at", Some(text(&loss.at))),
                ("lost_to", loss.by.as_ref().map(|by| text(by))),
                ("note", loss.note.as_ref().map(|note| text(note))),
                ("owner", owner.as_ref().map(|owner| text(owner))),
            ]),
            Self::WaitTimeout { standing: Some(standing), .. }
            | Self::CannotHold { standing, .. } => facts.extend([
                ("state", standing.state.map(|state| Value::from(state.as_str()))),
                ("owner", standing.claim.as_ref().map(|claim| text(&claim.agent_id))),
                ("branch", standing.claim.as_ref().map(|claim| text(&claim.branch))),
            ]),
            Self::Store(store::Error::CursorInUse { path }) => {
                facts.push((
                    "cursor",
                    path.file_name().map(|name| Value::from(name.to_string_lossy())),
                ));
            }
            Self::Malformed { place, line, .. } => {
                facts.extend([("file", Some(text(place))), ("line", Some(Value::from(*line)))]);
            }
            Self::NoManifest { name, known } => {
                let known = known.iter().map(|known| text(known)).collect();
                facts
                    .extend([("manifest", Some(text(name))), ("known", Some(Value::Array(known)))]);
            }
            Self::MalformedConfig { path, fault } => {
                facts.extend([
                    ("file", Some(text(&path.display()))),
                    ("line", Some(Value::from(fault.line))),
                ]);
            }
            Self::Hooks(HookFault::Elsewhere { folder }) => {
                facts.push(("folder", Some(text(&folder.display()))))
            }
            Self::Hooks(HookFault::InTheWay { hook, earlier }) => {
                facts.extend([("file", Some(text(hook))), ("earlier", Some(text(earlier)))]);
            }
            Self::Fleet(fault) => facts.extend(fault.facts()),
            Self::Plan(fault) => facts.extend(fault.facts()),
            Self::Lease(fault) => facts.extend(fault.facts()),
            _ => {}
        }
        facts.into_iter().filter_map(|(name, fact)| Some((name, fact?))).collect()
    }

    /// The task that it is about.
    fn task(&self) -> Option<&TaskId> {
        match self {
            Self::WaitTimeout { standing: Some(standing), .. }
            | Self::CannotHold { standing, .. } => Some(&standing.task),
            Self::ClaimHeld { task, .. }
            | Self::HeldElsewhere { task, .. }
            | Self::TaskFinished { task, .. }
            | Self::Diverged { task, .. }
            | Self::AssignedElsewhere { task, .. }
            | Self::NotAssigned { task }
            | Self::ClaimAlive { task, .. }
            | Self::Guarded { task, .. }
            | Self::ClaimLost { task, .. }
            | Self::NotHeld { task, .. }
            | Self::TaskExists { task, .. }
            | Self::NotQueued { task } => Some(task),
            _ => None,
        }
    }
}
