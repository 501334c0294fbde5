//! Where a bus keeps its files in a worktree (docs/design.md, section 2): what store, validator, setup
//! and doctor all know of it.

/// The folders at the root of a worktree that are the bus's own.
pub const ROOTS: [&str; 4] = ["_bus", "_plans", "queue", "_report"];

/// The folders of record files below `_bus`.
pub const RECORD_FOLDERS: [&str; 4] = ["claims", "assignments", "events", "messages"];

/// Every folder below `_bus` that some version has: the records', that of version 0.1's leases, and
/// what is described of agents.
pub const BUS_FOLDERS: [&str; 6] = ["claims", "assignments", "events", "messages", "locks", "meta"];

/// The policy.
pub const CONFIG_FILE: &str = "_bus/config.toml";

/// What keeps records out of the branches.
pub const IGNORE_FILE: &str = "_bus/.gitignore";

/// The page on the protocol.
pub const README_FILE: &str = "_bus/README.md";
