//! The one signal that would end a command without a word: SIGXFSZ, sent for a write over `ulimit -f` (setrlimit(2)).

/// Lets such a write fail with an error, which is then reported like a full disk.
#[cfg(unix)]
pub(super) fn survive_limits() {
    // Any handler will do; where it cannot be set, the signal ends the process, as it did before.
    let caught = std::sync::Arc::default();
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, caught);
}

/// Other systems have no such signal.
#[cfg(not(unix))]
pub(super) fn survive_limits() {}
