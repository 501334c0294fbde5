//! Proves behaviour through the binary, in real git repositories.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]

#[cfg(unix)]
mod altered;
mod assign;
mod batches;
mod batches_judged;
#[cfg(unix)]
mod changes;
#[cfg(unix)]
mod check;
mod ci_batches;
mod ci_rules;
mod ci_scripts;
mod claims;
mod clean_tree;
#[cfg(unix)]
mod corpus;
mod crash;
mod day;
mod dice;
mod docs;
mod doctor;
mod doors;
mod dropped_files;
mod durable;
#[cfg(unix)]
mod file_follows;
mod fleet;
#[cfg(unix)]
mod formats;
mod github;
mod handover;
mod harness;
#[cfg(unix)]
mod hooks;
#[cfg(unix)]
mod hooks_run;
mod house;
mod inbox;
mod init;
mod landed;
mod liveness;
mod lock_claims;
mod lock_crash;
mod lock_race;
mod locks;
mod log;
#[cfg(unix)]
mod logs;
#[cfg(unix)]
mod logs_hostile;
#[cfg(unix)]
mod logs_read;
mod message;
mod model;
mod modes;
#[cfg(unix)]
mod move_over;
mod mutations;
mod older;
mod paper;
mod place_gone;
mod plan;
mod property;
#[cfg(unix)]
mod purge_remote;
mod queue;
mod queue_next;
mod race;
mod receipt;
mod ref_gone;
mod refused;
mod report;
mod rewritings;
mod safety;
mod scene;
mod session;
#[cfg(unix)]
mod shared_repository;
mod show;
mod slips;
mod snapshot;
mod sound_bus;
mod sparse;
mod status;
#[cfg(unix)]
mod stub;
#[cfg(unix)]
mod unreadable;
#[cfg(unix)]
mod validate_bounds;
mod validate_fleet;
mod validate_fuzz;
mod validate_hostile;
mod validate_merges;
mod validate_property;
mod validate_sound;
mod validate_tree;
mod watch;
mod worktree_gone;
