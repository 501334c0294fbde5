//! The git hooks that give CI's verdict before a commit and before a push: put in by
//! `bus init --hooks`, taken out by `bus deinit`. What stood there is kept beside them, and runs
//! first.

use std::fs;

use super::deinit::Taken;
use super::init::Laid;
use crate::bus::Error;
use crate::bus::setup::SetupFault;
use crate::bus::workspace::{Workspace, remove};
use crate::store::{Error as StoreError, Place, Verb, is_program, replace_program};

/// How much of a hook is read to know it, in bytes: far more than ours have.
const MAX_HOOK: usize = 64 * 1024;

/// How each of ours begins, whichever version of `bus` wrote it.
const MARK: &[u8] = b"#!/bin/sh\n# bus: hook ";

/// What judges a commit that is about to be made. git runs another hook before a merge's, and
/// before one of `git am`.
const PRE_COMMIT: &str = include_str!("../../../ci/pre-commit");

const HOOKS: [(&str, &str); 5] = [
    ("pre-commit", PRE_COMMIT),
    ("pre-merge-commit", PRE_COMMIT),
    ("pre-applypatch", PRE_COMMIT),
    ("prepare-commit-msg", include_str!("../../../ci/prepare-commit-msg")),
    ("pre-push", include_str!("../../../ci/pre-push")),
];

/// A hook that is to be put in.
pub(in crate::bus) struct Missing {
    place: Place,
    text: &'static str,
    /// Whether somebody else's stands there, which is put aside.
    foreign: bool,
}

/// The hooks that are not in place yet, or in an older version. Nothing is changed.
///
/// # Errors
///
/// [`SetupFault`] if git would not run them, or one that stands cannot be put aside;
/// [`Error::Store`] if a link or a folder is in the way.
pub(super) fn missing_hooks(ws: &Workspace) -> Result<Vec<Missing>, Error> {
    if let Some(folder) = ws.repo.foreign_hooks()? {
        return Err(SetupFault::HooksElsewhere { folder }.into());
    }
    let mut missing = Vec::new();
    for (name, text) in HOOKS {
        let place = ws.private.hook(name);
        let bytes = place.read(MAX_HOOK)?;
        if bytes.as_deref() == Some(text.as_bytes())
            && place.inspect()?.as_ref().is_some_and(is_program)
        {
            continue;
        }
        let foreign = bytes.is_some_and(|bytes| !bytes.starts_with(MARK));
        let earlier = earlier(&place);
        if foreign && earlier.inspect()?.is_some() {
            return Err(SetupFault::HookInTheWay {
                hook: ws.show(&place),
                earlier: ws.show(&earlier),
            }
            .into());
        }
        missing.push(Missing { place, text, foreign });
    }
    Ok(missing)
}

/// Puts a hook in. Killed on the way it leaves the one that stood there put aside, and the next run
/// goes on from there.
pub(super) fn lay_hook(ws: &Workspace, hook: &Missing) -> Result<Laid, Error> {
    let earlier = earlier(&hook.place);
    if hook.foreign {
        rename(&hook.place, &earlier)?;
    }
    replace_program(&hook.place, hook.text.as_bytes()).inspect_err(|_| {
        if hook.foreign {
            // What the disk refused is the error to tell; the hook is at least not lost.
            let _ = rename(&earlier, &hook.place);
        }
    })?;
    let earlier = hook.foreign.then(|| ws.show(&earlier));
    Ok(Laid { path: ws.show(&hook.place), lines: Vec::new(), earlier, private: true })
}

/// Takes the hooks out that are as they were put in, and puts back what stood there before.
pub(super) fn take_hooks(ws: &Workspace, taken: &mut Taken) -> Result<(), Error> {
    for (name, text) in HOOKS {
        let place = ws.private.hook(name);
        let bytes = match place.read(MAX_HOOK) {
            // No link is ours.
            Err(StoreError::WrongKind { .. }) => continue,
            bytes => bytes?,
        };
        let earlier = earlier(&place);
        let has_earlier = fs::symlink_metadata(earlier.path()).is_ok();
        let is_whole = bytes.as_deref() == Some(text.as_bytes());
        if has_earlier && (is_whole || bytes.is_none()) {
            rename(&earlier, &place)?;
            taken.restored.push(ws.show(&place));
        } else if is_whole {
            remove(&place.path())?;
            taken.removed.push(ws.show(&place));
        } else {
            let edited = bytes.is_some_and(|bytes| bytes.starts_with(MARK));
            taken.kept.extend(edited.then(|| ws.show(&place)));
            taken.kept.extend(has_earlier.then(|| ws.show(&earlier)));
        }
    }
    Ok(())
}

/// Where the hook is kept that stood at `place` before ours.
fn earlier(place: &Place) -> Place {
    let name = place.relative().file_name().unwrap_or_default().to_string_lossy();
    place.sibling(&format!("{name}.before-bus"))
}

fn rename(from: &Place, to: &Place) -> Result<(), Error> {
    Ok(fs::rename(from.path(), to.path()).map_err(StoreError::io(Verb::Rename, &from.path()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hook_is_known_by_its_first_lines_and_names_its_predecessor() {
        for (name, text) in HOOKS {
            assert!(text.as_bytes().starts_with(MARK) && text.len() < MAX_HOOK, "{name}");
            assert!(text.contains("$0.before-bus"), "{name}");
        }
    }
}
