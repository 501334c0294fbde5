//! The git hooks that give CI's verdict before a commit and before a push: put in by
//! `bus init --hooks`, taken out by `bus deinit`. What stood there is kept beside them, and runs
//! first.

use std::fs;

use super::deinit::Taken;
use super::init::Laid;
use crate::bus::Error;
use crate::bus::setup::SetupFault;
use crate::bus::workspace::{Note, Workspace, remove};
use crate::store::{Error as StoreError, Place, Verb, is_program, names, replace_program};

/// How much of a hook is read to know it, in bytes: far more than ours have.
const MAX_HOOK: usize = 64 * 1024;

/// How each of ours begins, whichever version of `bus` wrote it.
const MARK: &[u8] = b"#!/bin/sh\n# bus: hook ";

/// What a hook of another tool has that calls `bus`.
const BUS_CHECK: &[u8] = b"bus check";

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
/// [`SetupFault`] if git would not run them; [`Error::Store`] if a link or a folder has the name of
/// one.
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
        if foreign && let Some(ours) = moved_by_manager(&place)? {
            if ours.1 != text.as_bytes() {
                missing.push(Missing { place: ours.0, text, foreign: false });
            }
            continue;
        }
        let earlier = earlier(&place);
        if foreign && earlier.inspect()?.is_some() {
            ws.notes.add(Note::Warning(format!(
                "`{}` is another tool's, and `{}` is there already, so no hook of bus is put in: have that tool run \
                 `bus check --staged` and `bus validate --base HEAD`",
                ws.show(&place),
                ws.show(&earlier)
            )));
            continue;
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
        if let Some((legacy, _)) =
            moved_by_manager(&place)?.filter(|(_, ours)| ours == text.as_bytes())
        {
            remove(&legacy.path())?;
            taken.removed.push(ws.show(&legacy));
        }
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

/// A hook of ours that git does not run.
#[derive(Debug)]
pub(in crate::bus) struct SilentHook {
    /// Its file, or the folder in which git looks.
    pub(in crate::bus) place: String,
    /// Why not.
    pub(in crate::bus) what: String,
}

/// The hooks that somebody has put in and that do not run any more: git looks elsewhere, another
/// tool has moved them, or they are gone while others are there. None if there is no hook of ours.
///
/// # Errors
///
/// [`Error::Store`] or [`Error::Git`] if it cannot be seen.
pub(in crate::bus) fn silent_hooks(ws: &Workspace) -> Result<Vec<SilentHook>, Error> {
    let folder = ws.private.hook(HOOKS[0].0).path().with_file_name("");
    let mut ours = Vec::new();
    for name in names(&folder, "")? {
        // No link is ours.
        let bytes = match ws.private.hook(&name).read(MAX_HOOK) {
            Err(StoreError::WrongKind { .. }) => continue,
            bytes => bytes?.unwrap_or_default(),
        };
        if bytes.starts_with(MARK) {
            ours.push(name);
        }
    }
    if ours.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(folder) = ws.repo.foreign_hooks()? {
        let what = "git looks for its hooks there (`core.hooksPath`), so those of bus do not run";
        return Ok(vec![SilentHook { place: folder.display().to_string(), what: what.to_owned() }]);
    }
    let mut silent = Vec::new();
    for (name, _) in HOOKS {
        let place = ws.private.hook(name);
        let what = match ours.iter().find(|ours| ours.starts_with(name)) {
            _ if is_called(&place)? => continue,
            Some(exact) if exact == name => match place.inspect()?.as_ref().is_some_and(is_program)
            {
                true => continue,
                false => "it is no program, so git does not run it".to_owned(),
            },
            Some(moved) if moved[name.len()..].starts_with('.') => {
                format!("it was renamed to `{moved}`, so git does not run it")
            }
            _ => "it is not there, or another tool's, although other hooks of bus are".to_owned(),
        };
        silent.push(SilentHook { place: ws.show(&place), what });
    }
    Ok(silent)
}

/// Whether another tool's hook at `place` runs ours, or calls `bus` itself.
fn is_called(place: &Place) -> Result<bool, Error> {
    let bytes = match place.read(MAX_HOOK) {
        Err(StoreError::WrongKind { .. }) => return Ok(true),
        bytes => bytes?,
    };
    let Some(bytes) = bytes.filter(|bytes| !bytes.starts_with(MARK)) else { return Ok(false) };
    let calls_bus = bytes.windows(BUS_CHECK.len()).any(|part| part == BUS_CHECK);
    Ok(calls_bus || moved_by_manager(place)?.is_some())
}

/// Our hook, if `pre-commit install` has moved it from `place` and runs it from there: it calls what
/// it found `NAME.legacy` (pre-commit, "Migration mode"). Its place and its bytes.
fn moved_by_manager(place: &Place) -> Result<Option<(Place, Vec<u8>)>, Error> {
    let name = place.relative().file_name().unwrap_or_default().to_string_lossy();
    let legacy = place.sibling(&format!("{name}.legacy"));
    let bytes = legacy.read(MAX_HOOK)?.filter(|bytes| bytes.starts_with(MARK));
    Ok(bytes.map(|bytes| (legacy, bytes)))
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
