//! Places at which a test can make the process die, as a `kill -9` would, or stand still.

use std::sync::atomic::{AtomicBool, Ordering};

static PAUSED: AtomicBool = AtomicBool::new(false);

/// In a debug build: dies here if `BUS_CRASH_AT` is `step`; if `BUS_PAUSE_AT` is, makes the file that `BUS_PAUSE_FILE`
/// names and waits until somebody removes it, once.
pub fn crash_point(step: &str) {
    if cfg!(debug_assertions) {
        let is_here = |variable: &str| std::env::var_os(variable).is_some_and(|wanted| wanted == step);
        if is_here("BUS_CRASH_AT") {
            std::process::abort();
        }
        if let Some(file) =
            std::env::var_os("BUS_PAUSE_FILE").filter(|_| is_here("BUS_PAUSE_AT") && !PAUSED.swap(true, Ordering::Relaxed))
        {
            let paused = std::fs::File::create(&file);
            while paused.is_ok() && std::fs::exists(&file).unwrap_or(false) {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
}
