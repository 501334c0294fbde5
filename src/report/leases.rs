//! The table of leases that worklogs keep.

use super::escape::markdown;
use super::tables::table;
use crate::bus::lease::LeaseStatus;

/// The columns, as runbooks have them.
const HEADER: [&str; 7] =
    ["lock_id", "owner", "scope", "objective", "start", "heartbeat", "expires"];

/// A table of markdown of these leases; its head alone if there are none.
#[must_use]
pub(crate) fn lease_table(leases: &[LeaseStatus]) -> String {
    let row = |status: &LeaseStatus| {
        let lease = &status.lease;
        let times =
            [lease.start_time, lease.heartbeat, lease.expires_at].map(|time| time.to_string());
        let [start, heartbeat, expires] = times;
        let texts =
            [lease.lease_id.as_str(), lease.owner.as_str(), &lease.patterns(), &lease.objective]
                .map(markdown);
        let [lock, owner, scope, objective] = texts;
        [lock, owner, scope, objective, start, heartbeat, expires]
    };
    match leases {
        [] => format!("| {} |\n| {} |\n", HEADER.join(" | "), HEADER.map(|_| "---").join(" | ")),
        leases => table(HEADER, leases.iter().map(row)),
    }
}
