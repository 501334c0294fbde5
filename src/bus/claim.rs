//! Who owns a task: what refs, record and files say of it, the rules, and how a claim comes to its
//! next state.

mod asked;
mod assignment;
mod claim_chain;
mod claim_change;
mod claim_fault;
mod claim_files;
mod claim_list;
mod claim_rules;
mod claim_settle;
mod guard;
mod landed;
mod liveness;
mod loss;
mod refusal;
mod spelling;
mod successor;
mod transition;
mod view;

pub(in crate::bus) use asked::{asked, forget_asked, note_asked};
pub use claim_fault::ClaimFault;

pub(in crate::bus) use assignment::{
    KIND, assignment_beside, assignment_folders, assignment_for, assignment_in, assignments,
    latest_assignment,
};
pub(in crate::bus) use claim_chain::{
    Relation, before, chain, has_state, is_known, is_past_state, keep_lost, knows_claim,
    may_live_elsewhere, note_lost, relation, seen_claim, tip,
};
pub(in crate::bus) use claim_change::ClaimDecision;
pub use claim_change::{Changed, Outcome};
pub(in crate::bus) use claim_files::{ClaimFiles, FileClaim, claim_files, file_claim, ids_in};
pub(crate) use claim_list::ClaimState;
pub(crate) use claim_list::{ClaimStatus, StatusQuery};
pub(in crate::bus) use claim_list::{
    SeenClaims, assigned_tasks, held_tasks, seen_claims, spoken_tasks, state_of, status_of_task,
    tasks,
};
pub(in crate::bus) use claim_rules::{
    Grant, Reclaim, Refusal, Release, Wish, assignment, claim, heartbeat, reclaim, release,
};
pub(in crate::bus) use claim_settle::{
    broken, derived_id, is_in_line, keep_aside, quote, settle, settle_event, settle_landed,
};
pub(in crate::bus) use guard::{Word, admit, readable_view};
pub(in crate::bus) use landed::look_at_branches;
pub(crate) use landed::{ComparedWith, Pushed, Seen};
pub(in crate::bus) use liveness::{
    LastEvents, Life, Signs, check_clock, clock_ahead, liveness, liveness_of, warn_of_clock,
};
pub(crate) use liveness::{Liveness, why_free};
pub(in crate::bus) use loss::{loss, lost_claim};
pub(in crate::bus) use refusal::{assigned, diverged, refused, refused_or_lost};
pub(in crate::bus) use spelling::{counts_over, merge_spellings, says_more, spelling};
pub use successor::{ClaimRequest, ReleaseRequest};
pub(in crate::bus) use successor::{ending, heartbeat_is_due, keep, pulse, successor};
pub(in crate::bus) use transition::{
    change_here, import_claim, prepare_state, repaired_view, write_state,
};
pub(in crate::bus) use view::{
    State, View, contradiction, deciding_view, goes_on_from, listed_view, rival, state, view,
    view_by,
};
