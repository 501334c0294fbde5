//! `bus` lets many coding agents work in one git repository: one owner a task, one append-only
//! log, nothing but files and git refs.
//!
//! Data flows down: [`cli`] calls [`bus`], which stands on [`store`] (bytes on disk) and [`git`]
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

pub mod bus;
pub mod cli;
mod code;
pub mod git;
pub mod record;
pub mod report;
pub mod store;
pub mod validate;

pub use code::Code;
