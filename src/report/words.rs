//! How times read in a report.

use crate::record::{Span, Timestamp};

/// `3 h ago`, `in 5 min`.
pub(super) fn ago(time: Timestamp, now: Timestamp) -> String {
    if time > now { format!("in {}", Span::new(time.since(now))) } else { format!("{} ago", Span::new(now.since(time))) }
}
