//! Places at which a test can make the process die, as a `kill -9` would, or stand still.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static PAUSED: AtomicBool = AtomicBool::new(false);

/// How often the step was reached at which the process is to die.
static REACHED: AtomicUsize = AtomicUsize::new(0);

/// In a debug build: dies here if `BUS_CRASH_AT` is `step`, or, the second time, `step@2`; if
/// `BUS_PAUSE_AT` is, makes the file that `BUS_PAUSE_FILE` names and waits until somebody removes
/// it, once. The file that `BUS_STEPS` names gets a line for each step.
pub fn crash_point(step: &str) {
    if cfg!(debug_assertions) {
        if let Some(file) = std::env::var_os("BUS_STEPS") {
            let noted = std::fs::OpenOptions::new().append(true).create(true).open(file);
            let _ = noted.and_then(|mut file| file.write_all(format!("{step}\n").as_bytes()));
        }
        let is_here =
            |variable: &str| std::env::var_os(variable).is_some_and(|wanted| wanted == step);
        let wanted = std::env::var("BUS_CRASH_AT").unwrap_or_default();
        let (wanted, turn) = wanted.split_once('@').unwrap_or((&wanted, "1"));
        if wanted == step && turn.parse() == Ok(REACHED.fetch_add(1, Ordering::Relaxed) + 1) {
            std::process::abort();
        }
        if let Some(file) = std::env::var_os("BUS_PAUSE_FILE")
            .filter(|_| is_here("BUS_PAUSE_AT") && !PAUSED.swap(true, Ordering::Relaxed))
        {
            let paused = std::fs::File::create(&file);
            while paused.is_ok() && std::fs::exists(&file).unwrap_or(false) {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
}
