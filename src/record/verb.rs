//! What the subject of a state's commit begins with: what was done to a claim, or to leases
//! (docs/design.md, section 3).

/// A free task was claimed.
pub const CLAIM: &str = "claim";
/// A finished task was claimed again.
pub const REOPEN: &str = "reopen";
/// A claim moved to another worktree or clone.
pub const MOVE: &str = "move";
/// A claim's fields were changed.
pub const UPDATE: &str = "update";
/// A claim, or leases, ended.
pub const RELEASE: &str = "release";
/// A claim was paused.
pub const PAUSE: &str = "pause";
/// The owner is at work: nothing but the time has changed.
pub const HEARTBEAT: &str = "heartbeat";
/// A claim, or a lease's paths, were taken over.
pub const RECLAIM: &str = "reclaim";
/// A claim that was made offline was asked for.
pub const CONFIRM: &str = "confirm";
/// A file or the record became a state.
pub const IMPORT: &str = "import";
/// Leases were renewed.
pub const RENEW: &str = "renew";
