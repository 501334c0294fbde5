//! The door to the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::record::Timestamp;

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

    /// The time now, as file times have it.
    #[must_use]
    pub fn system(self) -> SystemTime {
        let fixed = self.0.and_then(|time| u64::try_from(time.unix()).ok());
        fixed.map_or_else(system_now, |seconds| UNIX_EPOCH + std::time::Duration::from_secs(seconds))
    }
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
