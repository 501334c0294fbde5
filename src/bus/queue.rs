//! The tasks that wait for somebody, and the numbers that new ones get.

mod queue_fault;
mod queue_files;
mod queue_list;
mod queue_number;

pub(crate) use queue_fault::QueueFault;
pub(in crate::bus) use queue_files::queue_files;
pub(in crate::bus) use queue_list::queue;
pub(crate) use queue_list::{Blocker, QueueEntry, QueueState, QueueView, Stands, queue_with};
pub(crate) use queue_number::QueueRequest;

pub(in crate::bus) use queue_number::{
    MAX_TITLE, Queued, fields, line, new_item, reservation, write_item,
};
