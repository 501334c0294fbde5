//! What one does with a bus: claiming, logging, talking, looking. The protocol lives here; its
//! decisions are pure functions.

pub(crate) mod claim;
pub(crate) mod doctor;
mod error;
pub(crate) mod fleet;
pub(crate) mod lease;
pub(crate) mod log;
pub(crate) mod ops;
pub(crate) mod plan;
pub(crate) mod queue;
pub(crate) mod session;
pub(crate) mod setup;
pub(crate) mod survey;
pub(crate) mod workspace;

pub use error::Error;
pub(in crate::bus) use error::odd_ref_advice;
