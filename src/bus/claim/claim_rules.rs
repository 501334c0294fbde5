//! Who may do what to a claim: pure decisions, as the tables of the design (sections 3 and 7) have
//! them.

use super::liveness::Liveness;
use crate::bus::workspace::Who;
use crate::record::{AgentId, Claim, Status};

/// Why an action is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bus) enum Refusal {
    /// Another agent owns the task.
    Held,
    /// The same agent id owns it from another place.
    HeldElsewhere,
    /// Another agent, or the same at another place, has finished it.
    Finished,
    /// It is meant for somebody else.
    Assigned,
    /// It is meant for nobody, and the policy wants that.
    NotAssigned,
    /// The claim shows heartbeats.
    Alive,
    /// Nobody holds it.
    NotHeld,
}

/// What a `bus claim` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::bus) struct Wish {
    pub(in crate::bus) reopen: bool,
    pub(in crate::bus) here: bool,
    /// What the assignment says of it, where that counts.
    pub(in crate::bus) assignment: Option<Refusal>,
}

/// How a claim is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bus) enum Grant {
    /// The task was free.
    Take,
    /// It was finished, and is taken up again.
    Reopen,
    /// It moves here from another place.
    Move,
    /// It is the caller's already.
    Keep,
}

/// Decides a `bus claim` by `who`, where `claim` is what stands.
pub(in crate::bus) fn claim(
    claim: Option<&Claim>,
    who: &Who,
    wish: Wish,
) -> Result<Grant, Refusal> {
    let grant = match claim {
        None => Grant::Take,
        Some(claim) => match (claim.status, who.owns(claim), who.agent == claim.agent_id) {
            (Status::Active | Status::Paused, true, _) => return Ok(Grant::Keep),
            (Status::Active | Status::Paused, false, true) if wish.here => return Ok(Grant::Move),
            (Status::Active | Status::Paused, false, true) => return Err(Refusal::HeldElsewhere),
            (Status::Active | Status::Paused, false, false) => return Err(Refusal::Held),
            (Status::Released, ..) => Grant::Take,
            (Status::Done, true, _) => Grant::Reopen,
            (Status::Done, false, _) if wish.reopen => Grant::Reopen,
            (Status::Done, false, _) => return Err(Refusal::Finished),
        },
    };
    wish.assignment.map_or(Ok(grant), Err)
}

/// What a `bus release` comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bus) enum Release {
    /// The claim changes.
    Change,
    /// It is what was asked for already.
    Already,
}

/// Decides a `bus release --status wanted` by `who`.
pub(in crate::bus) fn release(
    claim: Option<&Claim>,
    who: &Who,
    wanted: Status,
    force: bool,
) -> Result<Release, Refusal> {
    let Some(claim) = claim else { return Err(Refusal::NotHeld) };
    let ended_by = claim.released_by.as_ref().unwrap_or(&claim.agent_id);
    let mine = who.owns(claim) || claim.released_by.is_some();
    match claim.status.is_live() {
        true if who.owns(claim) && claim.status == wanted => Ok(Release::Already),
        true if who.owns(claim) => Ok(Release::Change),
        // Not by force either: `--here` is how one's own name elsewhere loses a claim, and learns
        // that.
        true if who.agent == claim.agent_id => Err(Refusal::HeldElsewhere),
        true if force => Ok(Release::Change),
        true => Err(Refusal::Held),
        false if claim.status == wanted && mine && *ended_by == who.agent => Ok(Release::Already),
        false => Err(Refusal::NotHeld),
    }
}

/// Decides a `bus heartbeat` by `who`.
pub(in crate::bus) fn heartbeat(claim: Option<&Claim>, who: &Who) -> Result<(), Refusal> {
    match claim {
        Some(claim) if claim.status.is_live() => {
            match (who.owns(claim), who.agent == claim.agent_id) {
                (true, _) => Ok(()),
                (false, true) => Err(Refusal::HeldElsewhere),
                (false, false) => Err(Refusal::Held),
            }
        }
        _ => Err(Refusal::NotHeld),
    }
}

/// What a `bus reclaim` comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bus) enum Reclaim {
    /// The claim changes hands.
    Take,
    /// It is the caller's already.
    Already,
}

/// Decides a `bus reclaim` by `who` of a claim of which `liveness` is known.
pub(in crate::bus) fn reclaim(
    claim: Option<&Claim>,
    who: &Who,
    liveness: Liveness,
    force: bool,
) -> Result<Reclaim, Refusal> {
    match claim {
        Some(claim) if claim.status.is_live() => match (who.owns(claim), claim.status, liveness) {
            (true, ..) => Ok(Reclaim::Already),
            (false, Status::Paused, _)
            | (false, _, Liveness::Stale | Liveness::Expired | Liveness::Gone) => Ok(Reclaim::Take),
            (false, _, Liveness::Alive) if force => Ok(Reclaim::Take),
            (false, _, Liveness::Alive) => Err(Refusal::Alive),
        },
        _ => Err(Refusal::NotHeld),
    }
}

/// Decides whether `who` may speak for the task: its owner may, and after its end everybody.
pub(super) fn guard(claim: Option<&Claim>, who: &Who) -> Result<(), Refusal> {
    match claim {
        None => Err(Refusal::NotHeld),
        Some(claim) if claim.status.is_live() => heartbeat(Some(claim), who),
        Some(_) => Ok(()),
    }
}

/// What an assignment to `engineer` means for a claim by `agent`; `missing` is nobody.
pub(in crate::bus) fn assignment(
    engineer: Option<&AgentId>,
    agent: &AgentId,
    required: bool,
) -> Option<Refusal> {
    match engineer {
        Some(engineer) if engineer != agent => Some(Refusal::Assigned),
        None if required => Some(Refusal::NotAssigned),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ClaimId, Origin};

    const HERE: &str = "aaaa";

    fn me() -> Who {
        Who { agent: AgentId::new("me").unwrap(), origin: Origin::new(HERE, None) }
    }

    /// Whose claim it is: the caller's own, from the caller's other worktree or clone, an older
    /// bus's, another agent's.
    const OWNERS: [(&str, Option<Origin2>); 6] = [
        ("me", Some((HERE, None))),
        ("ME", None),
        ("me", Some((HERE, Some("wt")))),
        ("me", Some(("bbbb", None))),
        ("you", Some((HERE, None))),
        ("you", None),
    ];

    type Origin2 = (&'static str, Option<&'static str>);

    fn claimed(status: Status, (agent, origin): (&str, Option<Origin2>)) -> Claim {
        let text = r#"{"task_id":"T-1","agent_id":"x","branch":"agent/x/t-1","status":"active","claimed_at":"2025-09-19T17:45:00Z"}"#;
        let mut claim = Claim::parse(text.as_bytes()).unwrap();
        claim.status = status;
        claim.agent_id = AgentId::new(agent).unwrap();
        claim.origin = origin.map(|(clone, worktree)| Origin::new(clone, worktree));
        claim.claim_id = Some(ClaimId::unique());
        claim
    }

    #[test]
    fn the_table_of_claims() {
        use Grant::{Keep, Move, Reopen, Take};
        use Refusal::{Finished, Held, HeldElsewhere};
        let wishes = [(false, false), (true, false), (false, true), (true, true)];
        // For each status and owner: what is granted without a wish, with --reopen, with --here,
        // with both.
        let live = [
            [Ok(Keep); 4],
            [Ok(Keep); 4],
            [Err(HeldElsewhere), Err(HeldElsewhere), Ok(Move), Ok(Move)],
        ];
        let rows = |status: Status, owner: usize| match (status, owner) {
            (Status::Active | Status::Paused, 0 | 1) => live[0],
            (Status::Active | Status::Paused, 2 | 3) => live[2],
            (Status::Active | Status::Paused, _) => [Err(Held); 4],
            (Status::Released, _) => [Ok(Take); 4],
            (Status::Done, 0 | 1) => [Ok(Reopen); 4],
            (Status::Done, _) => [Err(Finished), Ok(Reopen), Err(Finished), Ok(Reopen)],
        };
        for status in [Status::Active, Status::Paused, Status::Released, Status::Done] {
            for (index, owner) in OWNERS.into_iter().enumerate() {
                let stands = claimed(status, owner);
                for ((reopen, here), expected) in wishes.into_iter().zip(rows(status, index)) {
                    let wish = Wish { reopen, here, assignment: None };
                    assert_eq!(
                        claim(Some(&stands), &me(), wish),
                        expected,
                        "{status} {owner:?} {wish:?}"
                    );
                }
            }
        }
        assert_eq!(claim(None, &me(), Wish::default()), Ok(Take));
    }

    #[test]
    fn an_assignment_stands_in_the_way_of_new_claims_only() {
        for refusal in [Refusal::Assigned, Refusal::NotAssigned] {
            let wish = Wish { assignment: Some(refusal), reopen: true, here: true };
            assert_eq!(claim(None, &me(), wish), Err(refusal));
            assert_eq!(
                claim(Some(&claimed(Status::Released, OWNERS[4])), &me(), wish),
                Err(refusal)
            );
            assert_eq!(claim(Some(&claimed(Status::Done, OWNERS[4])), &me(), wish), Err(refusal));
            assert_eq!(
                claim(Some(&claimed(Status::Active, OWNERS[0])), &me(), wish),
                Ok(Grant::Keep)
            );
            assert_eq!(
                claim(Some(&claimed(Status::Active, OWNERS[3])), &me(), wish),
                Ok(Grant::Move)
            );
            assert_eq!(
                claim(Some(&claimed(Status::Active, OWNERS[4])), &me(), wish),
                Err(Refusal::Held)
            );
        }
        let (me, you) = (AgentId::new("me").unwrap(), AgentId::new("you").unwrap());
        assert_eq!(assignment(Some(&you), &me, false), Some(Refusal::Assigned));
        assert_eq!(assignment(Some(&me), &me, true), None);
        assert_eq!(assignment(None, &me, true), Some(Refusal::NotAssigned));
        assert_eq!(assignment(None, &me, false), None);
    }

    #[test]
    fn the_table_of_releases() {
        use Refusal::{Held, HeldElsewhere, NotHeld};
        use Release::{Already, Change};
        for wanted in [Status::Paused, Status::Released, Status::Done] {
            for status in [Status::Active, Status::Paused, Status::Released, Status::Done] {
                for (index, owner) in OWNERS.into_iter().enumerate() {
                    let same = if status == wanted { Ok(Already) } else { Ok(Change) };
                    let (plain, forced) = match (status.is_live(), index) {
                        (true, 0 | 1) => (same, same),
                        (true, 2 | 3) => (Err(HeldElsewhere), Err(HeldElsewhere)),
                        (true, _) => (Err(Held), Ok(Change)),
                        (false, 0 | 1) if status == wanted => (Ok(Already), Ok(Already)),
                        (false, _) => (Err(NotHeld), Err(NotHeld)),
                    };
                    let stands = claimed(status, owner);
                    assert_eq!(
                        release(Some(&stands), &me(), wanted, false),
                        plain,
                        "{status} {owner:?} {wanted}"
                    );
                    assert_eq!(
                        release(Some(&stands), &me(), wanted, true),
                        forced,
                        "{status} {owner:?} {wanted} --force"
                    );
                }
            }
            assert_eq!(release(None, &me(), wanted, true), Err(NotHeld));
        }
        let mut forced = claimed(Status::Done, OWNERS[4]);
        forced.released_by = Some(me().agent);
        assert_eq!(
            release(Some(&forced), &me(), Status::Done, true),
            Ok(Already),
            "a forced release can be run again"
        );
        let mut lost = claimed(Status::Done, OWNERS[0]);
        lost.released_by = Some(AgentId::new("boss").unwrap());
        assert_eq!(
            release(Some(&lost), &me(), Status::Done, false),
            Err(NotHeld),
            "somebody else ended it"
        );
    }

    #[test]
    fn the_table_of_reclaims() {
        for status in [Status::Active, Status::Paused, Status::Released, Status::Done] {
            for (index, owner) in OWNERS.into_iter().enumerate() {
                for liveness in [Liveness::Alive, Liveness::Stale, Liveness::Expired] {
                    for force in [false, true] {
                        let expected = match (status, index, liveness) {
                            (Status::Released | Status::Done, ..) => Err(Refusal::NotHeld),
                            (_, 0 | 1, _) => Ok(Reclaim::Already),
                            (Status::Active, _, Liveness::Alive) if !force => Err(Refusal::Alive),
                            _ => Ok(Reclaim::Take),
                        };
                        let stands = claimed(status, owner);
                        assert_eq!(
                            reclaim(Some(&stands), &me(), liveness, force),
                            expected,
                            "{status} {owner:?} {liveness:?} {force}"
                        );
                    }
                }
            }
        }
        assert_eq!(reclaim(None, &me(), Liveness::Stale, true), Err(Refusal::NotHeld));
    }

    #[test]
    fn the_guard_lets_the_owner_speak_and_after_the_end_everybody() {
        for (index, owner) in OWNERS.into_iter().enumerate() {
            for status in [Status::Active, Status::Paused] {
                let expected = [Ok(()), Err(Refusal::HeldElsewhere), Err(Refusal::Held)][index / 2];
                assert_eq!(guard(Some(&claimed(status, owner)), &me()), expected);
                assert_eq!(heartbeat(Some(&claimed(status, owner)), &me()), expected);
            }
            for status in [Status::Released, Status::Done] {
                assert_eq!(guard(Some(&claimed(status, owner)), &me()), Ok(()));
                assert_eq!(heartbeat(Some(&claimed(status, owner)), &me()), Err(Refusal::NotHeld));
            }
        }
        assert_eq!(guard(None, &me()), Err(Refusal::NotHeld));
    }
}
