//! What ends a command while a `git` talks to a remote for it: the signal ends that `git`, too, so that nothing goes on behind the back
//! of whoever sent it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// What the handlers share.
#[derive(Debug, Default)]
struct State {
    /// A signal came while somebody listened.
    interrupted: Arc<AtomicBool>,
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
        STATE.get().is_some_and(|state| state.interrupted.load(Ordering::Relaxed))
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
        let _ = signal_hook::flag::register_conditional_default(signal, Arc::clone(&state.is_deadly));
        let _ = signal_hook::flag::register(signal, Arc::clone(&state.interrupted));
    }
    state
}

/// Elsewhere a signal ends the process, and its children go with its console.
#[cfg(not(unix))]
fn register() -> State {
    State::default()
}
