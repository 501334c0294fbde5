//! What is on disk: the records of a bus and the types that carry their rules. Pure, no I/O.

mod assignment;
mod claim;
mod config;
mod cycles;
mod event;
mod fault;
mod fields;
mod glance;
mod id;
pub mod json;
mod locate;
mod manifest;
mod message;
mod plan;
mod queue_item;
mod refusal;
mod text;
mod time;

pub use assignment::{Assignment, NOBODY};
pub use claim::{Claim, ClaimId, Ended, LINEAGE_LIMIT, MAX_REVISION, Origin, PastClaim, Status};
pub use config::{Config, ConfigFault, EventLayout};
pub use cycles::cycles;
pub use event::{CORE_FIELDS, Event, Severity};
pub use fault::{Fault, Position};
pub use glance::Glance;
pub use id::{Agent, AgentId, CursorName, EventKind, Id, IdFault, IdKind, Kind, Plan, PlanId, Task, TaskId};
pub use locate::{Places, Step as PathStep, locate};
pub use manifest::Manifest;
pub use message::Message;
pub use plan::{Plan as PlanRecord, Progress, Step};
pub use queue_item::{Doubt, Priority, QueueField, QueueItem};
pub use refusal::Refusal;
pub use text::sound_text;
pub use time::{Span, SpanFault, Timestamp, TimestampFault};
