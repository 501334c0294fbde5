//! Hints that something may have changed: notifications of folders, and a regular look in case one
//! is missing.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::place::{Identity, look};

/// How often is looked where the system sends no notifications.
const POLL: Duration = Duration::from_millis(200);

/// How many notifications wait to be looked at. Beyond that everything is looked at.
const MAX_WAITING: usize = 4096;

/// What wakes a waiting command.
enum Wake {
    Changed(Vec<PathBuf>),
    /// One of the flags below is set.
    Flag,
}

/// What must not be lost, however many notifications wait.
#[derive(Debug, Default)]
struct Flags {
    everything: AtomicBool,
    stop: AtomicBool,
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
    sender: SyncSender<Wake>,
    flags: Arc<Flags>,
    watcher: Option<RecommendedWatcher>,
    watched: HashMap<PathBuf, Identity>,
    fault: Option<String>,
}

/// Ends the waiting of a [`Hints`] from another thread.
#[derive(Clone)]
pub struct Stopper(SyncSender<Wake>, Arc<Flags>);

impl Stopper {
    /// Ends it.
    pub fn stop(&self) {
        self.1.stop.store(true, Ordering::SeqCst);
        // Where it is full, whoever waits is awake.
        let _ = self.0.try_send(Wake::Flag);
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
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let flags = Arc::<Flags>::default();
        let (notified, raised) = (sender.clone(), flags.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let paths = match event {
                Ok(event) if event.kind.is_access() && !event.need_rescan() => return,
                Ok(event) if !event.need_rescan() => Some(event.paths),
                _ => None,
            };
            if paths.is_none_or(|paths| notified.try_send(Wake::Changed(paths)).is_err()) {
                raised.everything.store(true, Ordering::SeqCst);
                let _ = notified.try_send(Wake::Flag);
            }
        });
        let (watcher, fault) = match watcher {
            Ok(watcher) => (Some(watcher), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self { receiver, sender, flags, watcher, watched: HashMap::new(), fault }
    }

    /// What ends the waiting from another thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.sender.clone(), self.flags.clone())
    }

    /// Why there are no notifications, if there are none: the files are then looked at five
    /// times a second.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Watches those of `folders` that are there, and no others; a folder that took the place of
    /// one is watched anew.
    ///
    /// Whoever calls this looks at everything afterwards: what changed before a folder was watched
    /// gave no hint.
    pub fn watch(&mut self, folders: impl IntoIterator<Item = PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        let mut wanted = HashMap::new();
        for folder in folders {
            if let Ok(Some(metadata)) = look(&folder) {
                wanted.insert(folder, Identity::of(&metadata));
            }
        }
        let mut refused = Vec::new();
        for folder in self.watched.keys().filter(|folder| !wanted.contains_key(*folder)) {
            // It may be gone already, and its watch with it.
            let _ = watcher.unwatch(folder);
        }
        for (folder, _) in
            wanted.iter().filter(|(folder, identity)| self.watched.get(*folder) != Some(*identity))
        {
            let _ = watcher.unwatch(folder);
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Err(error) if is_exhausted(&error) => {
                    self.fault = Some(error.to_string());
                    self.watcher = None;
                    return;
                }
                // It is gone, or may not be read: the next look at everything tries again.
                Err(_) => refused.push(folder.clone()),
                Ok(()) => {}
            }
        }
        wanted.retain(|folder, _| !refused.contains(folder));
        self.watched = wanted;
    }

    /// Waits for the next hint, and takes all that came with it. After `patience` without one,
    /// everything may have changed.
    pub fn wait(&mut self, patience: Duration) -> Hint {
        let patience = if self.watcher.is_some() { patience } else { patience.min(POLL) };
        let mut hint = Hint::default();
        match self.receiver.recv_timeout(patience) {
            Ok(wake) => hint.add(wake),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                hint.everything = true
            }
        }
        self.gather(hint)
    }

    /// Takes the hints that wait, if any.
    pub fn poll(&mut self) -> Hint {
        self.gather(Hint::default())
    }

    fn gather(&mut self, mut hint: Hint) -> Hint {
        while let Ok(wake) = self.receiver.try_recv() {
            hint.add(wake);
        }
        hint.everything |= self.flags.everything.swap(false, Ordering::SeqCst);
        hint.stop |= self.flags.stop.load(Ordering::SeqCst);
        for path in &hint.paths {
            // The folder itself was removed or made: its inode may be the same and its watch gone.
            hint.everything |= self.watched.remove(path).is_some();
        }
        hint
    }
}

impl Hint {
    fn add(&mut self, wake: Wake) {
        if let Wake::Changed(paths) = wake {
            self.paths.extend(paths);
        }
    }
}

/// Whether the system has no notifications left: ENOSPC, EMFILE (inotify(7)).
fn is_exhausted(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => true,
        notify::ErrorKind::Io(error) => matches!(error.raw_os_error(), Some(24 | 28)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

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
        assert!(hints.wait(Duration::ZERO).stop, "it stays so");
    }
}
