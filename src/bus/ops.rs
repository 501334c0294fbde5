//! One function per command that joins rooms.

mod add_receipt;
mod assign;
mod change_leases;
mod claim_next;
mod claim_task;
mod claim_with_paths;
mod lease_paths;
mod log_event;
mod meant_task;
mod new_plan;
mod queue_add;
mod send_message;
mod show_task;
mod status;
mod wait;
mod wait_fault;

pub(crate) use add_receipt::add_receipt;
pub(crate) use assign::{AssignRequest, Assigned, assign};
pub(crate) use claim_next::{claim_next, claim_next_when_ready};
pub(crate) use claim_task::uncommitted_work;
pub use claim_task::{ReclaimRequest, claim, heartbeat, reclaim, release};
pub(crate) use claim_with_paths::claim_with_paths;
pub(crate) use lease_paths::{acquire_lease, reclaim_lease, release_leases, renew_leases};
pub(crate) use log_event::log_event;
pub(crate) use meant_task::{held_here, meant_task};
pub(crate) use new_plan::new_plan;
pub(crate) use queue_add::queue_add;
pub(crate) use send_message::send_message;
pub(crate) use show_task::{TaskView, show_task};
pub(crate) use status::{StatusReport, is_stranger, known_agents, known_tasks, status};
pub(crate) use wait_fault::WaitFault;

pub(crate) use wait::{
    Awaited, Patience, claim_when_free, wait_for_event, wait_for_message, wait_for_task,
};
pub(crate) use wait::{Standing, Until};
