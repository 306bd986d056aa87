//! How several processes over one store agree on what may be remembered: leases and acknowledgements.
//!
//! Each process renews a lease in the store and answers from its cache only while it holds (C. Gray and D. Cheriton,
//! "Leases: an efficient fault-tolerant mechanism for distributed file cache consistency", 1989). Whoever takes access
//! away waits, after the commit, until each process has either seen the change or lost its lease. Here are the numbers
//! and the two decisions; the tables and the loop that renews are the store's and the program's.

use std::time::Duration;

use crate::Revision;

/// How long a lease lasts by the store's clock, and with it how long a revocation waits for a process that is cut off.
pub const LEASE_TTL: Duration = Duration::from_secs(2);

/// How often a process renews its lease: three renewals may fail before it is lost.
pub const RENEW_EVERY: Duration = Duration::from_millis(500);

/// How often a process looks for new revisions where the store cannot tell it of them.
pub const POLL_EVERY: Duration = Duration::from_millis(25);

/// The part of a lease that its holder does not use, in case its clock runs slower than the store's: a tenth, hundreds of
/// times what a broken quartz drifts.
pub const DRIFT_MARGIN: Duration = drift_margin(LEASE_TTL);

const fn drift_margin(ttl: Duration) -> Duration {
    Duration::from_nanos_u128(ttl.as_nanos() / 10)
}

/// The moment of the boot clock at which the holder of a lease stops, always before the store believes it: counted from
/// `sent_at`, read *before* the renewal was sent, and less the margin for drift.
#[must_use]
pub fn lease_until(sent_at: Duration, ttl: Duration) -> Duration {
    sent_at.saturating_add(ttl.saturating_sub(drift_margin(ttl)))
}

/// What the store knows of one process at the moment of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeState {
    /// The last revision that it has acknowledged.
    pub seen: Revision,
    /// What is left of its lease by the store's clock; zero once that has passed.
    pub lease_left: Duration,
}

/// Who still has to be waited for before a revocation may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Processes that have seen the revision.
    pub acknowledged: usize,
    /// Processes that have not, but may not answer from memory any more either.
    pub expired: usize,
    /// Processes that may still answer by what was taken away.
    pub pending: usize,
    /// When the last of the pending leases ends, unless it is renewed: the longest wait.
    pub longest: Duration,
}

impl Waiting {
    /// Whether the revocation may be answered.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.pending == 0
    }
}

/// Counts who has seen `revision`, who has lost the lease, and who must still be waited for.
///
/// A process that has lost its lease need not be waited for again: to extend one it first processes every revision that
/// was committed before ([`crate::Lease::extend`]).
#[must_use]
pub fn awaited(nodes: &[NodeState], revision: Revision) -> Waiting {
    nodes.iter().fold(Waiting::default(), |mut waiting, node| {
        if node.seen >= revision {
            waiting.acknowledged += 1;
        } else if node.lease_left.is_zero() {
            waiting.expired += 1;
        } else {
            waiting.pending += 1;
            waiting.longest = waiting.longest.max(node.lease_left);
        }
        waiting
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn node(seen: i64, left_ms: u64) -> NodeState {
        NodeState { seen: Revision::new(seen), lease_left: Duration::from_millis(left_ms) }
    }

    #[test]
    fn the_holder_stops_a_tenth_before_the_store_believes_it() {
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
    fn nobody_is_waited_for_where_nobody_is() {
        assert!(awaited(&[], Revision::new(1)).is_over());
    }

    #[test]
    fn a_node_is_waited_for_until_it_has_seen_the_revision_or_lost_its_lease() {
        let nodes = [node(7, 900), node(8, 0), node(6, 0), node(6, 1), node(0, 1_500)];
        assert_eq!(
            awaited(&nodes, Revision::new(7)),
            Waiting { acknowledged: 2, expired: 1, pending: 2, longest: Duration::from_millis(1_500) }
        );
        assert!(awaited(&nodes[..3], Revision::new(7)).is_over());
    }
}
