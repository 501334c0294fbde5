//! `bus` lets many coding agents work in one git repository: one owner a task, one append-only
//! log, nothing but files and git refs.
//!
//! Data flows down: [`cli`] calls [`bus`], which stands on [`store`] (bytes on disk) and [`git`]
//! (refs and objects), and all of them speak in the types of [`record`] (what is on disk).

pub mod bus;
pub mod cli;
mod code;
pub mod git;
pub mod record;
pub mod store;

pub use code::Code;
