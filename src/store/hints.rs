//! Hints that something may have changed: notifications of folders, and a regular look in case one is missing.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::place::{Identity, look};

/// How often is looked where the system sends no notifications.
const POLL: Duration = Duration::from_millis(200);

/// What wakes a waiting command.
enum Wake {
    Changed(Vec<PathBuf>),
    Everything,
    Stop,
}

/// What may have changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// These files or folders.
    pub paths: BTreeSet<PathBuf>,
    /// Anything at all: notifications were lost, or none came for a while.
    pub everything: bool,
    /// The command is to end.
    pub stop: bool,
}

/// Watches folders.
pub struct Hints {
    receiver: Receiver<Wake>,
    sender: Sender<Wake>,
    watcher: Option<RecommendedWatcher>,
    watched: HashMap<PathBuf, Identity>,
    fault: Option<String>,
}

/// Ends the waiting of a [`Hints`] from another thread.
#[derive(Clone)]
pub struct Stopper(Sender<Wake>);

impl Stopper {
    /// Ends it.
    pub fn stop(&self) {
        // Where nobody waits any more, there is nothing to end.
        let _ = self.0.send(Wake::Stop);
    }
}

impl Default for Hints {
    fn default() -> Self {
        Self::new()
    }
}

impl Hints {
    /// Watches nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let (sender, receiver) = channel();
        let notified = sender.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let wake = match event {
                Ok(event) if event.need_rescan() => Wake::Everything,
                Ok(event) if event.kind.is_access() => return,
                Ok(event) => Wake::Changed(event.paths),
                Err(_) => Wake::Everything,
            };
            let _ = notified.send(wake);
        });
        let (watcher, fault) = match watcher {
            Ok(watcher) => (Some(watcher), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self { receiver, sender, watcher, watched: HashMap::new(), fault }
    }

    /// What ends the waiting from another thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.sender.clone())
    }

    /// Why there are no notifications, where there are none: the files are then looked at five times a second.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Watches those of `folders` that are there, and no others; a folder that took the place of one is watched anew.
    ///
    /// Whoever calls this looks at everything afterwards: what changed before a folder was watched gave no hint.
    pub fn watch(&mut self, folders: impl IntoIterator<Item = PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        let mut wanted = HashMap::new();
        for folder in folders {
            if let Ok(Some(metadata)) = look(&folder) {
                wanted.insert(folder, Identity::of(&metadata));
            }
        }
        for folder in self.watched.keys().filter(|folder| !wanted.contains_key(*folder)) {
            // It may be gone already, and its watch with it.
            let _ = watcher.unwatch(folder);
        }
        for (folder, _) in wanted.iter().filter(|(folder, identity)| self.watched.get(*folder) != Some(*identity)) {
            let _ = watcher.unwatch(folder);
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Err(error) if !is_gone(folder) => {
                    self.fault = Some(error.to_string());
                    self.watcher = None;
                    return;
                }
                _ => {}
            }
        }
        self.watched = wanted;
    }

    /// Waits for the next hint, and takes all that came with it. After `patience` without one, everything may have changed.
    pub fn wait(&mut self, patience: Duration) -> Hint {
        let patience = if self.watcher.is_some() { patience } else { patience.min(POLL) };
        let mut hint = Hint::default();
        match self.receiver.recv_timeout(patience) {
            Ok(wake) => hint.add(wake),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => hint.everything = true,
        }
        while let Ok(wake) = self.receiver.try_recv() {
            hint.add(wake);
        }
        for path in &hint.paths {
            // The folder itself was removed or made: its inode may be the same and its watch gone.
            hint.everything |= self.watched.remove(path).is_some();
        }
        hint
    }
}

impl Hint {
    fn add(&mut self, wake: Wake) {
        match wake {
            Wake::Changed(paths) => self.paths.extend(paths),
            Wake::Everything => self.everything = true,
            Wake::Stop => self.stop = true,
        }
    }
}

fn is_gone(folder: &Path) -> bool {
    !folder.is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Hints until one names `path`.
    fn wait_for(hints: &mut Hints, path: &Path) {
        while !hints.wait(PATIENCE).paths.contains(path) {}
    }

    #[test]
    fn a_folder_that_took_the_place_of_another_is_watched_anew() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        let mut hints = Hints::new();
        fs::create_dir(&inner).unwrap();
        hints.watch([folder.path().to_owned(), inner.clone(), folder.path().join("missing")]);
        for name in ["one", "two"] {
            fs::File::create(inner.join(name)).unwrap();
            wait_for(&mut hints, &inner.join(name));
            fs::remove_dir_all(&inner).unwrap();
            fs::create_dir(&inner).unwrap();
            wait_for(&mut hints, &inner);
            hints.watch([folder.path().to_owned(), inner.clone()]);
        }
        assert_eq!(hints.fault(), None);
    }

    #[test]
    fn another_thread_can_end_the_waiting() {
        let mut hints = Hints::new();
        let stopper = hints.stopper();
        std::thread::spawn(move || stopper.stop());
        assert!(hints.wait(PATIENCE).stop);
        assert!(hints.wait(Duration::ZERO).everything);
    }
}
