//! Places at which a test can make the process die, as a `kill -9` would.

/// Dies here if this is a debug build and `BUS_CRASH_AT` is `step`.
pub fn crash_point(step: &str) {
    if cfg!(debug_assertions) && std::env::var_os("BUS_CRASH_AT").is_some_and(|wanted| wanted == step) {
        std::process::abort();
    }
}
