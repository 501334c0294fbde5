//! What is on disk: the records of a bus and the types that carry their rules. Pure, no I/O.

mod assignment;
mod checkpoint;
mod claim;
mod clone_id;
mod config;
mod cycles;
mod event;
mod fault;
mod fields;
mod flaw;
mod fleet;
mod glance;
mod id;
pub mod json;
mod lease;
mod lease_policy;
mod lease_table;
mod locate;
mod manifest;
mod message;
mod places;
mod plan;
mod queue_item;
mod receipts;
mod refusal;
mod scope;
mod session_mark;
mod slug;
mod text;
mod time;
pub mod verb;

pub use assignment::{Assignment, NOBODY};
pub use checkpoint::{Checkpoint, CheckpointStatus, PlanLink};
pub use claim::{Claim, ClaimId, Ended, LINEAGE_LIMIT, MAX_REVISION, Origin, PastClaim, Status};
pub use clone_id::{CLONE, CloneId};
pub use config::{Config, ConfigFault, EventLayout, Records};
pub use cycles::{cycles, name_circle};
pub use event::{CORE_FIELDS, Event, Severity};
pub use fault::{Fault, Position};
pub use flaw::PlanFlaw;
pub use fleet::{BRANCH_PREFIX, Fleet, OWN_PREFIX};
pub use glance::Glance;
pub use id::{
    Agent, AgentId, CursorName, EventKind, Id, IdFault, IdKind, Kind, LeaseId, Lock, ManifestName,
    Plan, PlanId, PlanStep, ReceiptFile, ReceiptName, SessionId, StepId, Task, TaskId,
};
pub use lease::{DEFAULT_LEASE, Lease, LeaseMode};
pub use lease_policy::{LeasePolicy, Needed, Require};
pub use lease_table::{LeaseBrief, LeaseRow, LeaseTable, MAX_TABLE};
pub use locate::{Places, Step as PathStep, locate};
pub use manifest::Manifest;
pub use message::Message;
pub use places::{
    BUS_FOLDERS, CONFIG_FILE, IGNORE_FILE, README_FILE, RECORD_FOLDERS, REPORT_FOLDERS, ROOTS,
    is_folder_of_bus, is_own_file,
};
pub use plan::{PLAN_VERSION, Plan as PlanRecord, Progress, Step, Tally};
pub use queue_item::{Doubt, Priority, QueueField, QueueItem};
pub use receipts::{Receipts, Sha256, Sha256Fault};
pub use refusal::Refusal;
pub use scope::{Budget, Fold, MAX_PATTERN, Pattern, PatternFault, Scope, ScopeIndex, Spent};
pub use session_mark::SessionMark;
pub use slug::{Slug, SlugFault};
pub use text::{is_dangerous, sound_text};
pub use time::{Span, SpanFault, Timestamp, TimestampFault, ago};
