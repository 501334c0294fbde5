//! The configurations: who is there, what they may run, and how often. Each is small enough to be
//! searched to its end.

use super::Fleet;
use super::decide::Reach;
use super::fleet::Command::{
    self, Beat, BeatDue, Claim, ClaimOffline, Gc, Here, Reclaim, Release, ReleaseOffline, Seize,
    Sync,
};
use super::fleet::{Budget, Place};
use super::mishaps::Mishap::{
    self, ArchiveGone, CheckedOut, Copied, Mirrored, RefBack, RefGone, RemoteBack, RemoteGone,
};
use super::site::Branch;

const fn place(agent: char, site: usize, origin: usize) -> Place {
    Place { agent, site, origin }
}

/// Two worktrees of one clone, and another clone.
const THREE: [Place; 3] = [place('a', 0, 0), place('b', 0, 1), place('c', 1, 2)];

fn scene(
    places: [Place; 3],
    commands: [&'static [Command]; 3],
    (commands_left, crashes, lost_answers): (u8, u8, u8),
) -> Fleet {
    let bounds = Budget { commands: commands_left, crashes, lost_answers, mishaps: 0 };
    Fleet { places, reach: Reach::Fleet, commands, mishaps: &[], bounds, changes: &[] }
}

/// Three agents want one task, and take it from each other.
pub(super) fn race() -> Fleet {
    scene(THREE, [&[Claim, Release], &[Claim, Release, Seize], &[Claim, Release, Seize]], (3, 1, 1))
}

/// An owner gives heartbeats while others find its claim stale.
pub(super) fn heartbeats() -> Fleet {
    scene(
        THREE,
        [&[Claim, Beat, BeatDue, Release], &[Reclaim], &[Reclaim, BeatDue, Release]],
        (4, 1, 0),
    )
}

/// One name at two places, which `--here` moves the claim between.
pub(super) fn same_name() -> Fleet {
    let places = [place('a', 0, 0), place('b', 0, 1), place('a', 1, 2)];
    scene(
        places,
        [&[Claim, Here, Release, Beat], &[Claim, Release], &[Claim, Here, Release]],
        (3, 1, 1),
    )
}

/// One agent runs two commands at once.
pub(super) fn twins() -> Fleet {
    let places = [place('a', 0, 0), place('a', 0, 0), place('b', 1, 2)];
    scene(
        places,
        [&[Claim, Release, BeatDue], &[Claim, Release], &[Claim, Seize, Release]],
        (3, 0, 1),
    )
}

/// One clone is without its remote, the other is not.
pub(super) fn away() -> Fleet {
    let first: &[Command] = &[ClaimOffline, ReleaseOffline, Release, Sync];
    scene(THREE, [first, &[Claim, ClaimOffline, Sync], &[Claim, Release, Seize]], (4, 1, 0))
}

/// Both clones are without their remote.
pub(super) fn both_away() -> Fleet {
    let second: &[Command] = &[ClaimOffline, ReleaseOffline, Sync, Release];
    scene(THREE, [&[ClaimOffline, ReleaseOffline, BeatDue], &[Claim, Seize], second], (4, 1, 1))
}

/// Ended claims go to the archive.
pub(super) fn archive() -> Fleet {
    scene(THREE, [&[Claim, Release, Gc], &[ClaimOffline, Sync], &[Claim, Release, Gc]], (4, 0, 1))
}

fn with(scene: Fleet, mishaps: &'static [Mishap], count: u8) -> Fleet {
    Fleet { mishaps, bounds: Budget { mishaps: count, ..scene.bounds }, ..scene }
}

/// A clone without a remote, whose refs vanish.
pub(super) fn alone() -> Fleet {
    let places = [place('a', 0, 0), place('b', 0, 1), place('c', 0, 2)];
    let commands: [&'static [Command]; 3] =
        [&[Claim, Release, Beat, Gc], &[Claim, Release, Seize, Gc], &[Claim]];
    let scene = Fleet { reach: Reach::Clone, ..scene(places, commands, (4, 1, 0)) };
    with(scene, &[RefGone(0), RefBack(0), ArchiveGone(0)], 2)
}

/// A fleet, where a clone's refs vanish.
pub(super) fn pruned() -> Fleet {
    let commands: [&'static [Command]; 3] = [
        &[Claim, ClaimOffline, Release, ReleaseOffline],
        &[Claim, ClaimOffline, Sync],
        &[Claim, Seize, Release],
    ];
    with(scene(THREE, commands, (3, 1, 0)), &[RefGone(0), RefBack(0), Mirrored(0)], 1)
}

/// The remote forgets, and a clone follows it.
pub(super) fn forgotten() -> Fleet {
    let commands: [&'static [Command]; 3] =
        [&[Claim, Release, BeatDue], &[Claim, Sync, Seize], &[Claim, Seize, Release]];
    with(scene(THREE, commands, (3, 0, 0)), &[RemoteGone, RemoteBack, Mirrored(0)], 2)
}

/// A clone is copied with its id, and so is who works in it.
pub(super) fn copied() -> Fleet {
    let places = [place('a', 0, 0), place('a', 1, 0), place('b', 0, 2)];
    let commands: [&'static [Command]; 3] =
        [&[Claim, Release, Beat], &[Claim, Here, ReleaseOffline, Sync], &[Claim, Seize]];
    let scene = Fleet { reach: Reach::Twins, ..scene(places, commands, (3, 1, 0)) };
    with(scene, &[Copied, Mirrored(0)], 1)
}

/// Branches bring claim files, and a policy that would make them records.
pub(super) fn dropped() -> Fleet {
    let brings: &[Mishap] = &[
        RefGone(0),
        CheckedOut(0, Branch::Claim),
        CheckedOut(0, Branch::ClaimAndMode),
        CheckedOut(0, Branch::Nothing),
    ];
    let commands: [&'static [Command]; 3] = [&[Claim, Release], &[Claim, Release], &[Claim]];
    with(scene(THREE, commands, (3, 0, 0)), brings, 2)
}
