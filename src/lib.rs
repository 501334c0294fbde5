//! `bus` lets many coding agents work in one git repository: one owner per task, one append-only
//! log, nothing but files and git refs.
//!
//! Data flows down: [`cli`] calls `bus`, which stands on [`store`] (bytes on disk) and [`git`]
//! (refs and objects), and all of them speak in the types of [`record`] (what is on disk).
//!
//! ```
//! use agent_bus::record::{AgentId, TaskId};
//!
//! let task = TaskId::new("QUEUE-001")?;
//! assert_eq!(task, TaskId::new("queue-001")?, "letter case does not make two tasks");
//! assert!(AgentId::new("../codex-1").is_err(), "an id that exists is safe as a file name and in a ref");
//! # Ok::<(), agent_bus::record::IdFault>(())
//! ```

mod bus;
pub mod cli;
mod code;
pub mod git;
pub mod record;
mod report;
pub mod store;
pub mod validate;

/// What the tests of this package drive without a process for each call. It promises nothing to
/// anybody else.
#[doc(hidden)]
pub mod testing {
    pub use crate::bus::Error;
    pub use crate::bus::claim::{Changed, ClaimFault, ClaimRequest, Outcome, ReleaseRequest};
    pub use crate::bus::fleet::{TakenIn, publish_log, take_in_logs};
    pub use crate::bus::ops::{ReclaimRequest, claim, heartbeat, reclaim, release};
    pub use crate::bus::workspace::{Notes, Options, Workspace};
}

pub use code::Code;
