//! Signals that would end a command without a word, and what ends one that waits.

use crate::store::Stopper;

/// Lets a write over `ulimit -f` fail with an error, which is then reported like a full disk;
/// SIGXFSZ would kill the process (setrlimit(2)).
#[cfg(unix)]
pub(super) fn survive_limits() {
    // Any handler will do; where it cannot be set, the signal ends the process, as it did before.
    let caught = std::sync::Arc::default();
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, caught);
}

/// Other systems have no such signal.
#[cfg(not(unix))]
pub(super) fn survive_limits() {}

/// Ends the waiting of a command on `Ctrl-C`, on a request to end, and once nobody reads its stdout
/// any more.
#[cfg(unix)]
pub(super) fn end_waiting(stopper: Stopper) {
    use rustix::event::{PollFd, PollFlags, poll};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    crate::git::signals_are_handled();
    // A signal that cannot be caught ends the process, as it did before.
    if let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]) {
        let stopper = stopper.clone();
        std::thread::spawn(move || {
            let mut asked = false;
            for signal in signals.forever() {
                if std::mem::replace(&mut asked, true) {
                    // Whoever asks twice does not want to wait for a reader that has stopped
                    // reading.
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
                stopper.stop();
            }
        });
    }
    std::thread::spawn(move || {
        let stdout = std::io::stdout();
        let mut closed = [PollFd::new(&stdout, PollFlags::empty())];
        // Asked for nothing, it returns when the reader is gone (poll(2): POLLERR, POLLHUP).
        while poll(&mut closed, None).is_err() {}
        stopper.stop();
    });
}

/// Elsewhere `Ctrl-C` ends the process, and a closed pipe shows with the next line.
#[cfg(not(unix))]
pub(super) fn end_waiting(_stopper: Stopper) {}
