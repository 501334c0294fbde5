//! Takes the rules of the protocol out, one at a time, and sees the checker find what they are for.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use super::rules::Change::{
    self, AnswerTrusted, ArchiveReadFirst, ArchiveReadLast, ByRevision, ClaimIdKept, DeletedBeforeArchived, DeletedWithoutLease,
    EmptyLease, FileGrants, HistoryFirst, LocalRefusal, LocalYours, LostDropped, LostUnseen, NoLease, NoSecondLook,
    OriginIgnored, RefAlwaysCounts, RenewedRemoteFirst, ServerChecksArchive, Unjudged, YoursByLook,
};
use super::{Fleet, assert_holds, scenes};

const ONE_OWNER: &str = "never two confirmed owners";
const TRUE_OWNER: &str = "nobody is told to own what it does not";
const TRUE_REFUSAL: &str = "nobody is refused what is free or its own";
const KEPT: &str = "what was acknowledged is in some chain";
const TOLD: &str = "no owner loses a task without being told";
const TOLD_AT_LAST: &str = "who lost a task is told by its next release";
const GROWS: &str = "the remote's value only grows";
const AGREED: &str = "all clones agree after a sync";
const JUDGED: &str = "a stale claim is taken as it was judged";
const RELEASED: &str = "a release that was acknowledged is not undone";
const GIVEN_UP: &str = "a release that was given up on ends nothing later";

/// Searches, the shortest ways first, until the property is seen to fail.
fn assert_killed(fleet: Fleet, changes: &'static [Change], property: &'static str) {
    let until = HasDiscoveries::AllOf(BTreeSet::from([property]));
    let checker = Fleet { changes, ..fleet }.checker().threads(2).finish_when(until).spawn_bfs().join();
    let found: Vec<_> = checker.discoveries().into_keys().collect();
    assert!(checker.discovery(property).is_some(), "{changes:?} survives `{property}`; found: {found:?}");
}

#[test]
fn without_a_look_after_the_push_two_own_the_task() {
    assert_killed(scenes::race(), &[NoSecondLook], ONE_OWNER);
    assert_killed(scenes::race(), &[AnswerTrusted], TRUE_REFUSAL);
}

#[test]
fn a_file_that_grants_ownership_is_found() {
    assert_killed(scenes::race(), &[FileGrants], TRUE_OWNER);
}

#[test]
fn an_answer_from_local_knowledge_is_found() {
    assert_killed(scenes::race(), &[LocalRefusal], TRUE_REFUSAL);
    assert_killed(scenes::race(), &[LocalYours], TRUE_OWNER);
}

#[test]
fn an_empty_lease_on_an_archived_task_is_found() {
    assert_killed(scenes::archive(), &[EmptyLease, RefAlwaysCounts], GROWS);
}

#[test]
fn pushes_without_a_lease_are_found() {
    assert_killed(scenes::race(), &[NoLease], ONE_OWNER);
    assert_killed(scenes::archive(), &[DeletedWithoutLease], GROWS);
    assert_killed(scenes::archive(), &[DeletedBeforeArchived], GROWS);
}

#[test]
fn adopting_by_revision_is_found() {
    assert_killed(scenes::both_away(), &[ByRevision], AGREED);
}

#[test]
fn a_lost_chain_that_is_dropped_or_not_looked_at_is_found() {
    assert_killed(scenes::both_away(), &[LostDropped], KEPT);
    assert_killed(scenes::both_away(), &[LostDropped], TOLD);
    assert_killed(scenes::both_away(), &[LostUnseen], TOLD);
}

#[test]
fn a_takeover_of_what_nobody_judged_is_found() {
    assert_killed(scenes::heartbeats(), &[Unjudged], JUDGED);
}

#[test]
fn a_name_that_owns_at_any_place_is_found() {
    assert_killed(scenes::same_name(), &[OriginIgnored], ONE_OWNER);
}

/// A owned the task; its release was sent, not answered, and given up on; "already yours", it then heard; the release arrived.
#[test]
fn yours_by_a_look_does_not_stop_a_release_that_was_given_up_on() {
    assert_killed(scenes::race(), &[YoursByLook], GIVEN_UP);
}

/// A claimed offline; a `sync` pushed the confirming state and was killed; A released offline: a fork, which the remote wins.
#[test]
fn a_state_that_is_pushed_first_undoes_a_release() {
    assert_killed(scenes::away(), &[RenewedRemoteFirst], RELEASED);
}

/// A claimed and released offline; B continued that on the remote, while A claimed offline again, and lost. The history has A's
/// own release as its last word on A, and says nothing of the loss.
#[test]
fn a_loss_after_an_own_end_is_found_among_the_lost_only() {
    assert_killed(scenes::both_away(), &[HistoryFirst], TOLD_AT_LAST);
}

/// A claim landed, its twin released it, and the claim tried again: under the same id the released claim lives again.
#[test]
fn a_try_that_keeps_its_id_is_found() {
    assert_killed(scenes::twins(), &[ClaimIdKept], RELEASED);
}

/// A first claim was sent, to no ref and no entry, and came late; meanwhile the task was claimed, released and archived. The
/// server compares the claim's ref alone: again there is none.
#[test]
fn the_lease_on_the_archive_does_not_stop_a_push_that_comes_late() {
    assert_killed(scenes::archive(), &[RefAlwaysCounts], GROWS);
    assert_holds(Fleet { changes: &[RefAlwaysCounts, ServerChecksArchive], ..scenes::archive() }, 135_802);
}

/// Where a ref beside the entry is void, it does not matter who revives it.
#[test]
fn void_refs_suffice_without_a_lease_on_the_archive() {
    assert_holds(Fleet { changes: &[EmptyLease], ..scenes::archive() }, 143_093);
}

/// A server lists its refs one after the other. If it lists the archive before the claim, a late claim may be taken for a good
/// one: the entry that makes it void came in between.
#[test]
fn a_look_reads_the_claim_before_the_archive() {
    assert_killed(scenes::archive(), &[ArchiveReadFirst], TRUE_OWNER);
    assert_holds(Fleet { changes: &[ArchiveReadLast], ..scenes::archive() }, 326_488);
}
