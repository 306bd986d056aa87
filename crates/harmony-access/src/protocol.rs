//! How several processes over one store agree on what may be remembered: leases and acknowledgements.
//!
//! Each process renews a lease in the store and answers from its cache only while it holds (C. Gray and D. Cheriton,
//! "Leases: an efficient fault-tolerant mechanism for distributed file cache consistency", 1989). Whoever takes access
//! away waits, after the commit, until each process has either seen the change or lost its lease. Here are the numbers
//! and the two decisions; the tables and the loop that renews are the store's and the program's.

use std::time::Duration;

use crate::Revision;

/// How long a lease lasts, and with it how long a revocation waits for a process that is cut off.
pub const LEASE_TTL: Duration = Duration::from_secs(2);

/// How often a process renews its lease: three renewals may fail before it is lost.
pub const RENEW_EVERY: Duration = Duration::from_millis(500);

/// How often a process looks for new revisions where the store cannot tell it of them.
pub const POLL_EVERY: Duration = Duration::from_millis(25);

/// The part of a lease that its holder does not use, in case its clock runs slower than that of whoever waits for it: a tenth, hundreds of
/// times what a broken quartz drifts.
pub const DRIFT_MARGIN: Duration = drift_margin(LEASE_TTL);

const fn drift_margin(ttl: Duration) -> Duration {
    Duration::from_nanos_u128(ttl.as_nanos() / 10)
}

/// The moment of the boot clock at which the holder of a lease stops, always before whoever waits for it does: counted from
/// `sent_at`, read *before* the renewal was sent, and less the margin for drift.
#[must_use]
pub fn lease_until(sent_at: Duration, ttl: Duration) -> Duration {
    sent_at.saturating_add(ttl.saturating_sub(drift_margin(ttl)))
}

/// Who still has to be waited for before a revocation may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Processes that have seen the revision.
    pub acknowledged: usize,
    /// Processes that may still answer by what was taken away.
    pub pending: usize,
}

impl Waiting {
    /// Whether the revocation may be answered.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.pending == 0
    }
}

/// Counts who has seen `revision` and who must still be waited for, of all processes that may hold a lease.
///
/// Whoever waits does so for [`LEASE_TTL`] at most, by a monotonic clock of its own and from the commit on: by then every lease
/// that was held at the commit is over by its holder's own monotonic clock, and whoever has renewed one since has processed the
/// revocation first ([`crate::Keeper`]). No other clock is asked, so none can be wrong.
#[must_use]
pub fn awaited(seen: impl IntoIterator<Item = Revision>, revision: Revision) -> Waiting {
    seen.into_iter().fold(Waiting::default(), |mut waiting, seen| {
        *if seen >= revision { &mut waiting.acknowledged } else { &mut waiting.pending } += 1;
        waiting
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_stops_a_tenth_before_whoever_waits_for_it() {
        let sent_at = Duration::from_secs(100);
        assert_eq!(lease_until(sent_at, LEASE_TTL), Duration::from_millis(101_800));
        assert_eq!(lease_until(sent_at, LEASE_TTL) + DRIFT_MARGIN, sent_at + LEASE_TTL);
        assert_eq!(lease_until(sent_at, Duration::ZERO), sent_at);
    }

    #[test]
    fn three_renewals_may_fail_and_the_fourth_must_not() {
        assert!(RENEW_EVERY * 3 < LEASE_TTL - DRIFT_MARGIN);
        assert!(RENEW_EVERY * 4 >= LEASE_TTL - DRIFT_MARGIN);
    }

    #[test]
    fn whoever_has_not_seen_the_revision_is_waited_for() {
        assert!(awaited([], Revision::new(1)).is_over());
        let seen = [7, 8, 6, 0].map(Revision::new);
        assert_eq!(awaited(seen, Revision::new(7)), Waiting { acknowledged: 2, pending: 2 });
        assert!(awaited(seen, Revision::new(0)).is_over());
    }
}
