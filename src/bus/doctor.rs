//! What is wrong with a bus, and the cures.

mod claim_findings;
mod examine;
mod fleet_findings;
mod lease_findings;
mod log_findings;
mod record_findings;

pub(crate) use examine::{Finding, examine, fix};
