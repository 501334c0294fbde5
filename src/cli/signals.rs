//! How a command takes signals: as if its parent had left them alone; and what ends one that waits.

use crate::store::Stopper;

/// Undoes what the parent may have left that a program of ours cannot live with; `signal(7)` names
/// what a process inherits. It comes before the first thread and the first `git`.
///
/// - A write over `ulimit -f` fails with an error, which is then reported like a full disk; SIGXFSZ
///   would kill the process (setrlimit(2)).
/// - The end of a `git` can be waited for. If SIGCHLD is ignored, the kernel keeps no exit status
///   (wait(2)).
/// - What is to end a command reaches it, also if the parent has blocked that signal.
#[cfg(unix)]
pub(super) fn take_as_usual() {
    use nix::sys::signal::{SigSet, Signal};
    // Any handler will do; where it cannot be set, all is as it was before.
    for caught in [signal_hook::consts::SIGXFSZ, signal_hook::consts::SIGCHLD] {
        let _ = signal_hook::flag::register(caught, std::sync::Arc::default());
    }
    let heard = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD];
    let _ = heard.into_iter().collect::<SigSet>().thread_unblock();
}

/// Other systems have no such signals.
#[cfg(not(unix))]
pub(super) fn take_as_usual() {}

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
