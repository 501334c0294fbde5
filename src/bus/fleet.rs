//! Clones that share a remote: what the remote decides, and the exchange of claims, leases and logs
//! with it.

mod adopt;
mod adopt_ref;
mod carried_log;
mod founding;
mod gc;
mod log_in;
mod log_out;
mod look;
mod odd_ref;
mod old_spelling;
mod own_log;
mod poll;
mod propose;
mod propose_claim;
mod propose_ref;
mod publish_claim;
mod push;
mod rewritten_log;
mod sync;

pub(crate) use founding::{
    Founded, init_fleet, rename_remote, waits_for_pull, write_fleet_section,
};
pub(crate) use gc::gc;
pub use log_in::{TakenIn, take_in_logs};
pub use log_out::publish_log;
pub(in crate::bus) use log_out::publish_soon;
pub(in crate::bus) use odd_ref::{MAX_NOTE, MAX_SHOWN, is_known};
pub(in crate::bus) use old_spelling::{merge_on_remote, old_spellings_seen};
pub(in crate::bus) use poll::look_meanwhile;
pub(crate) use poll::{keep_looking, remote_fault};
pub(in crate::bus) use propose_claim::{Beside, propose_claim};
pub(in crate::bus) use propose_ref::propose_ref;
pub(in crate::bus) use publish_claim::publish_claim;
pub(in crate::bus) use rewritten_log::rewritten_logs;
pub(crate) use rewritten_log::{RewrittenLog, accept_log};
pub(crate) use sync::{Freshness, Synced, sync};
pub(in crate::bus) use sync::{freshness, receive};
