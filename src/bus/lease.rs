//! Who may edit which paths. One ref holds the table of all live leases, so that one
//! compare-and-swap decides whether two overlap.

mod lease_change;
mod lease_end;
mod lease_fault;
mod lease_list;
mod lease_rules;
mod lease_settle;
mod lease_table;
mod named_files;
mod path_check;
mod take;
mod takeover;
mod wanted_paths;

pub(in crate::bus) use lease_change::{
    Draft, LeaseDecision, Written, change_leases_here, own_rows, prepare_table, table_turn, whole,
};
pub(crate) use lease_change::{LeaseOutcome, LeaseRequest, Leased, WhichLeases};
pub(in crate::bus) use lease_end::{
    claim_gone, gone, has_leases_of, own_end, reclaimed_already, rows_of, unsettled_ends,
};
pub(crate) use lease_fault::{LeaseConflict, LeaseFault};
pub(crate) use lease_list::{LeaseStatus, ended_leases, known_leases, leases, meant_lease};
pub(in crate::bus) use lease_list::{readable_leases, stands};
pub(in crate::bus) use lease_rules::is_mine;
pub(in crate::bus) use lease_settle::{settle_last_leases, settle_leases};
pub(in crate::bus) use lease_table::{TableView, claims_of_leases, lease_table, repaired_table};
pub(crate) use named_files::files_named;
pub(crate) use path_check::{CheckOf, Denial, DeniedPath, PathCheck, check_paths, log_override};
pub(in crate::bus) use take::{decide_take, ending_lease, renewed, taken, wanted_scope};
pub(in crate::bus) use takeover::takeover;
pub(crate) use wanted_paths::{WantedPattern, files_matching, wanted_patterns};
