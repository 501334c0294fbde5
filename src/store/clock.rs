//! The door to the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::record::Timestamp;

/// How far a fixed clock may be off the system's.
const TOLERANCE: Duration = Duration::from_secs(300);

/// Tells the time; a fixed one where a test or a reproducible run asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Option<Timestamp>);

impl Clock {
    /// A clock that stands still at `fixed`, or goes with the system's.
    #[must_use]
    pub const fn new(fixed: Option<Timestamp>) -> Self {
        Self(fixed)
    }

    /// The time now.
    #[must_use]
    pub fn now(self) -> Timestamp {
        self.0.unwrap_or_else(|| from_system(system_now()))
    }

    /// How far a fixed clock is off the system's, if by more than five minutes: then it tells
    /// nobody how long another was silent.
    #[must_use]
    pub fn is_off_by(self) -> Option<Duration> {
        let (fixed, real) = (self.0?, real_now());
        Some(fixed.since(real).max(real.since(fixed))).filter(|off| *off > TOLERANCE)
    }

    /// The time now, as file times have it.
    #[must_use]
    pub fn system(self) -> SystemTime {
        let fixed = self.0.and_then(|time| u64::try_from(time.unix()).ok());
        fixed.map_or_else(system_now, |seconds| UNIX_EPOCH + Duration::from_secs(seconds))
    }
}

/// The system's time; in a debug build a test may set it by `BUS_REAL_NOW`.
fn real_now() -> Timestamp {
    let set = if cfg!(debug_assertions) { std::env::var("BUS_REAL_NOW").ok() } else { None };
    set.and_then(|text| text.parse().ok()).unwrap_or_else(|| from_system(system_now()))
}

/// The second in which `time` lies.
#[must_use]
pub(super) fn from_system(time: SystemTime) -> Timestamp {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Timestamp::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX))
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn system_now() -> SystemTime {
    SystemTime::now()
}
