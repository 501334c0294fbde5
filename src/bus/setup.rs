//! Laying out a bus, its hooks, and removing them.

mod deinit;
mod hooks;
mod init;
mod setup_fault;

pub(crate) use deinit::{Purged, Taken, deinit, purge, purge_remote};
pub(in crate::bus) use deinit::{record_copies, remove_copies};
pub(in crate::bus) use hooks::silent_hooks;
pub(crate) use init::{AGENTS_MD, Laid, LaidOut, init};
pub(in crate::bus) use init::{lay_lines, missing_lines};
pub(crate) use setup_fault::SetupFault;
