//! Where a bus keeps its files in a worktree (docs/design.md, section 2): what store, validator, setup
//! and doctor all know of it.

use super::Fold;

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

/// The folders below `_report` that are the bus's: receipts and the like of agents, and the
/// managers' reports.
pub const REPORT_FOLDERS: [&str; 2] = ["agent", "manager"];

/// Whether the file `path`, as git names it, is one of the bus's own, which every agent writes as it
/// works: no content of the project, so that it needs no lease and is no work (docs/design.md,
/// section 2). Any other file in one of the bus's folders is the project's.
#[must_use]
pub fn is_own_file(path: &str, fold: Fold) -> bool {
    let folded = match fold {
        Fold::On => path.to_ascii_lowercase(),
        Fold::Off => path.to_owned(),
    };
    let Some((folder, rest)) = folded.split_once('/') else { return false };
    let is_file = !rest.contains('/');
    match folder {
        "_bus" => true,
        "_report" => rest.split_once('/').is_some_and(|(below, _)| REPORT_FOLDERS.contains(&below)),
        "_plans" => is_file && rest.ends_with(".plan.json"),
        "queue" => {
            let name = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
            is_file && name.len() < rest.len() && name.starts_with('-') && name.ends_with(".md")
        }
        _ => false,
    }
}

/// Whether a folder of the bus is expected at `path`.
#[must_use]
pub fn is_folder_of_bus(path: &str) -> bool {
    match path.split_once('/') {
        None => ROOTS.contains(&path),
        Some(("_bus", folder)) => BUS_FOLDERS.contains(&folder),
        Some(("_report", folder)) => REPORT_FOLDERS.contains(&folder),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_files_go_by_their_names_and_not_by_their_folder_alone() {
        for path in [
            "_bus/claims/A.json",
            "_bus/x/y.rs",
            "queue/001-x.md",
            "queue/7-x.md",
            "_plans/2025-09-19-x.plan.json",
            "_report/agent/a/T-1/test.txt",
            "_report/manager/manager-report-1.md",
        ] {
            assert!(is_own_file(path, Fold::Off), "{path}");
        }
        for path in [
            "_bus",
            "src/_bus/x",
            "_Bus/x",
            "queue",
            "queue/worker.go",
            "queue/worker.md",
            "queue/7.md",
            "queue/-7.md",
            "queue/7-x.md.rs",
            "queue/sub/7-x.md",
            "_plans/x.json",
            "_plans/sub/x.plan.json",
            "_report/x.md",
            "_report/agent",
            "_report/agents/x",
        ] {
            assert!(!is_own_file(path, Fold::Off), "{path}");
        }
        assert!(is_own_file("_Bus/x", Fold::On) && is_own_file("Queue/7-x.MD", Fold::On));
    }
}
