//! Takes the rules of the protocol out, one at a time, and sees the checker find what they are for.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use super::fleet::Budget;
use super::fleet::Command::{Claim, Gc, Release};
use super::rules::Change::{
    self, AnswerTrusted, ArchiveFirst, ArchiveReadFirst, ArchiveReadLast, ByRevision, ClaimIdKept,
    CopiesRead, DeletedBeforeArchived, DeletedWithoutLease, EmptyLease, FileGrants, HistoryFirst,
    ImportForks, LineageIgnored, LocalRefusal, LocalYours, LogKnownByRef, LogNotCarried,
    LogNotedFirst, LogOnlyIfNew, LogReused, LostDropped, LostUnseen, LostVanishes, ModeOfBranch,
    NoLease, NoRecord, NoSecondLook, OldIdSpeaks, OriginIgnored, OwnLogUnread, PulseUnrecorded,
    RecordDropped, RecordStays, RefAlwaysCounts, RenewedRemoteFirst, SeenIgnored,
    ServerChecksArchive, Unjudged, YoursByLook,
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
const HANDS: &str = "a claim changes hands by its rules";
const REVISIONS: &str = "revisions only grow";
const SAME_ID: &str = "a clone without a twin keeps its id";
const GIVEN_UP: &str = "a release that was given up on ends nothing later";

/// Searches, the shortest ways first, until the property is seen to fail.
fn assert_killed(fleet: Fleet, changes: &'static [Change], property: &'static str) {
    let until = HasDiscoveries::AllOf(BTreeSet::from([property]));
    let checker =
        Fleet { changes, ..fleet }.checker().threads(2).finish_when(until).spawn_bfs().join();
    let found: Vec<_> = checker.discoveries().into_keys().collect();
    assert!(
        checker.discovery(property).is_some(),
        "{changes:?} survives `{property}`; found: {found:?}"
    );
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

/// A owned the task; its release was sent, not answered, and given up on; "already yours", it then
/// heard; the release arrived.
#[test]
fn yours_by_a_look_does_not_stop_a_release_that_was_given_up_on() {
    assert_killed(scenes::race(), &[YoursByLook], GIVEN_UP);
}

/// A claimed offline; a `sync` pushed the confirming state and was killed; A released offline: a
/// fork, which the remote wins.
#[test]
fn a_state_that_is_pushed_first_undoes_a_release() {
    assert_killed(scenes::away(), &[RenewedRemoteFirst], RELEASED);
}

/// A claimed and released offline; B continued that on the remote, while A claimed offline again,
/// and lost. The history has A's own release as its last word on A, and says nothing of the loss.
#[test]
fn a_loss_after_an_own_end_is_found_among_the_lost_only() {
    assert_killed(scenes::both_away(), &[HistoryFirst], TOLD_AT_LAST);
}

/// A claim landed, its twin released it, and the claim tried again: under the same id the released
/// claim lives again.
#[test]
fn a_try_that_keeps_its_id_is_found() {
    assert_killed(scenes::twins(), &[ClaimIdKept], RELEASED);
}

/// A first claim was sent, to no ref and no entry, and came late; meanwhile the task was claimed,
/// released and archived. The server compares the claim's ref alone: again there is none.
#[test]
fn the_lease_on_the_archive_does_not_stop_a_push_that_comes_late() {
    let scene = Fleet {
        commands: [&[Claim, Release, Gc], &[], &[Claim, Release, Gc]],
        ..scenes::archive()
    };
    assert_killed(scene, &[RefAlwaysCounts], GROWS);
    assert_holds(Fleet { changes: &[RefAlwaysCounts, ServerChecksArchive], ..scene }, 30_000);
}

/// Where a ref beside the entry is void, it does not matter who revives it.
#[test]
fn void_refs_suffice_without_a_lease_on_the_archive() {
    assert_holds(Fleet { changes: &[EmptyLease], ..scenes::archive() }, 100_000);
}

/// A server lists its refs one after the other. If it lists the archive before the claim, a late
/// claim may be taken for a good one: the entry that makes it void came in between.
#[test]
fn a_look_reads_the_claim_before_the_archive() {
    let scene = Fleet { commands: [&[Claim, Release, Gc], &[], &[Claim]], ..scenes::archive() };
    assert_killed(scene, &[ArchiveReadFirst], TRUE_OWNER);
    assert_holds(Fleet { changes: &[ArchiveReadLast], ..scene }, 10_000);
}

/// A owns the task, its ref vanishes, and B claims it.
#[test]
fn without_a_record_a_ref_that_is_gone_frees_its_task() {
    assert_killed(scenes::alone(), &[NoRecord], HANDS);
    assert_killed(scenes::pruned(), &[NoRecord], RELEASED);
    assert_killed(scenes::forgotten(), &[NoRecord], ONE_OWNER);
}

/// A task was archived and claimed again. The new claim's ref vanishes, and the archive's entry
/// says that the task is free.
#[test]
fn an_archive_that_decides_before_the_record_is_found() {
    let bounds = Budget { commands: 5, mishaps: 1, ..Budget::default() };
    assert_killed(Fleet { bounds, ..scenes::alone() }, &[ArchiveFirst], HANDS);
}

/// B claimed offline, while C had the task: git put C's ref into its place, and the record of B's
/// claim has the higher revision.
#[test]
fn a_record_that_decides_by_its_revision_alone_is_found() {
    assert_killed(scenes::pruned(), &[LineageIgnored], HANDS);
}

#[test]
fn a_ref_that_was_set_back_is_not_gone_on_from() {
    assert_killed(scenes::pruned(), &[SeenIgnored], GROWS);
}

/// C took A's task over, which A's clone saw. The remote forgets it, and A's clone, its mirror,
/// too: A's record lives again.
#[test]
fn a_record_that_does_not_follow_what_is_adopted_is_found() {
    assert_killed(scenes::forgotten(), &[RecordStays], AGREED);
}

/// A released offline what git had put back from the record: the remote's, at the very state that
/// was put back, would win.
#[test]
fn an_import_that_forks_undoes_a_release() {
    assert_killed(scenes::pruned(), &[ImportForks], RELEASED);
}

#[test]
fn a_heartbeat_that_the_record_does_not_follow_is_found() {
    assert_killed(scenes::alone(), &[PulseUnrecorded], REVISIONS);
}

/// git has put the remote's claim into the place of one that was made offline.
#[test]
fn a_record_that_is_dropped_tells_nobody_of_a_loss() {
    assert_killed(scenes::pruned(), &[RecordDropped], TOLD_AT_LAST);
}

/// Whoever has lost a task would hear "it is another's", and not "you have lost it": so lost claims
/// are kept in files, too.
#[test]
fn refs_of_lost_claims_that_vanish_tell_nobody_of_a_loss() {
    assert_killed(scenes::pruned(), &[LostVanishes], TOLD_AT_LAST);
}

#[test]
fn files_that_a_branch_brings_are_no_records() {
    assert_killed(scenes::dropped(), &[CopiesRead], TRUE_REFUSAL);
    assert_killed(scenes::dropped(), &[ModeOfBranch], TRUE_REFUSAL);
}

#[test]
fn twins_that_do_not_look_at_their_log_both_own_the_task() {
    assert_killed(scenes::copied(), &[OwnLogUnread], ONE_OWNER);
    assert_killed(scenes::copied(), &[LogNotCarried], ONE_OWNER);
}

/// A claim's own line is written when the claim has landed: before that there may be nothing new to
/// push.
#[test]
fn a_log_that_is_pushed_only_with_new_lines_is_found() {
    assert_killed(scenes::copied(), &[LogOnlyIfNew], ONE_OWNER);
}

/// A commit was written, and its push killed; then the clone was copied, with the commit.
#[test]
fn a_commit_of_the_log_that_is_used_twice_is_found() {
    assert_killed(scenes::copied(), &[LogReused], ONE_OWNER);
}

#[test]
fn yours_by_a_look_is_what_both_twins_hear() {
    assert_killed(scenes::copied(), &[YoursByLook], ONE_OWNER);
}

#[test]
fn a_log_that_is_noted_before_it_is_judged_hides_the_twin() {
    assert_killed(scenes::copied(), &[LogNotedFirst], ONE_OWNER);
}

#[test]
fn a_clone_whose_log_is_known_by_refs_takes_itself_for_its_twin() {
    assert_killed(scenes::copied(), &[LogKnownByRef], SAME_ID);
}

/// It was released offline in one, while the other went on.
#[test]
fn a_clone_with_a_new_id_does_not_end_its_twins_claim() {
    assert_killed(scenes::copied(), &[OldIdSpeaks], TOLD_AT_LAST);
}
