//! The repository: where it is, its worktrees, and refs that change only by compare-and-swap.

mod archive;
mod chain;
mod changes;
mod child;
mod companion;
mod error;
mod fetch;
mod history;
mod index;
mod interrupt;
mod landing;
mod left_out;
mod log_tree;
mod loose;
mod ref_name;
mod refs;
mod remote;
mod repository;
mod sharing;
mod tracked;
mod trunk;
mod trunk_file;

pub use archive::Archive;
pub use chain::{Link, Tip};
pub use changes::ChangesOf;
pub use companion::become_git;
pub use error::Error;
pub use fetch::{Fetch, Remotes};
pub use history::{Distance, History, Indexed, TreeFile, blob_id};
pub use interrupt::{end_if_interrupted, signals_are_handled};
pub use landing::{Landed, Landing};
pub use left_out::LeftOut;
pub use log_tree::{ItemKind, LogTree, TreeItem};
pub use ref_name::RefName;
pub use remote::{MAX_PUSH, Pushed, Remote, Sight, Swap};
pub use repository::{Repository, Worktree};
pub use tracked::TrackedFiles;
pub use trunk::{Ahead, Branches, MAX_AHEAD, Trunk};
pub use trunk_file::FileIn;

/// The name of a git object.
pub type ObjectId = gix::ObjectId;

/// A branch as git shows it: `main` of `refs/heads/main`, `origin/main` of
/// `refs/remotes/origin/main`.
#[must_use]
pub fn short_name(branch: &str) -> &str {
    branch
        .strip_prefix("refs/remotes/")
        .or_else(|| branch.strip_prefix("refs/heads/"))
        .unwrap_or(branch)
}
