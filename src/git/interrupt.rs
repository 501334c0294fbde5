//! What ends a command while a `git` talks to a remote for it: the signal ends that `git`, too, so
//! that nothing goes on behind the back of whoever sent it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// What the handlers share.
#[derive(Debug, Default)]
struct State {
    /// The signal that came while somebody listened; 0 if none did.
    interrupted: Arc<AtomicUsize>,
    /// A signal ends the process, as it does without a handler.
    is_deadly: Arc<AtomicBool>,
}

static STATE: OnceLock<State> = OnceLock::new();
static HANDLED_ELSEWHERE: AtomicBool = AtomicBool::new(false);

/// Says that signals end this process in a way of its own: a command that waits ends its waiting.
pub fn signals_are_handled() {
    HANDLED_ELSEWHERE.store(true, Ordering::Relaxed);
    if let Some(state) = STATE.get() {
        state.is_deadly.store(false, Ordering::Relaxed);
    }
}

/// Ends this process by the signal that came while somebody listened, unless signals end it in a
/// way of its own: a thread that listened took the signal from the others.
pub fn end_if_interrupted() {
    #[cfg(unix)]
    if let Ok(signal @ 1..) = i32::try_from(interrupted())
        && !HANDLED_ELSEWHERE.load(Ordering::Relaxed)
    {
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
}

fn interrupted() -> usize {
    STATE.get().map_or(0, |state| state.interrupted.load(Ordering::Relaxed))
}

/// Listens for signals while it lives.
#[derive(Debug)]
pub(super) struct Listening;

impl Listening {
    /// From now on a signal is noted, and does not end the process.
    pub(super) fn begin() -> Self {
        let state = STATE.get_or_init(register);
        state.is_deadly.store(false, Ordering::Relaxed);
        Self
    }

    /// Whether a signal came, now or at an earlier talk of this process.
    pub(super) fn is_interrupted(&self) -> bool {
        interrupted() != 0
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(state) = STATE.get() {
            state.is_deadly.store(!HANDLED_ELSEWHERE.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

#[cfg(unix)]
fn register() -> State {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let state = State::default();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // A signal that cannot be caught ends the process, as it did before.
        let _ =
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&state.is_deadly));
        let number = usize::try_from(signal).unwrap_or_default();
        let _ = signal_hook::flag::register_usize(signal, Arc::clone(&state.interrupted), number);
    }
    state
}

/// Elsewhere a signal ends the process, and its children go with its console.
#[cfg(not(unix))]
fn register() -> State {
    State::default()
}
