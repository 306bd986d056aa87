//! Until when a process may answer from what it remembers.

use std::time::Duration;

use crate::sync::atomic::{AtomicU64, Ordering};

/// The right to answer from memory, until a moment of the monotonic clock ([`crate::Now::boot`]).
///
/// While it does not hold, the cache asks the store each time. See [`crate::lease_until`] for the moment to extend it to.
#[derive(Debug)]
pub struct Lease {
    /// Nanoseconds of the boot clock; 0 never holds and [`FOREVER`] always does.
    until: AtomicU64,
}

const FOREVER: u64 = u64::MAX;

impl Lease {
    /// A lease that does not hold yet: for a process that shares its store with others.
    #[must_use]
    pub const fn lost() -> Self {
        Self { until: AtomicU64::new(0) }
    }

    /// A lease that always holds: for the one process that a store has, which hears of each change because it makes it.
    #[must_use]
    pub const fn unbounded() -> Self {
        Self { until: AtomicU64::new(FOREVER) }
    }

    /// Whether memory may answer a request that arrived at `boot`.
    #[must_use]
    pub fn holds(&self, boot: Duration) -> bool {
        // Acquire, with the Release of `extend`: who sees the lease sees all that was revoked before it was extended.
        let until = self.until.load(Ordering::Acquire);
        until == FOREVER || nanos(boot) < until
    }

    /// Lets memory answer requests that arrive before `until`; never shortens what was granted.
    ///
    /// Call it only when every revocation that was committed before the renewal has been handed to
    /// [`crate::VerificationCache::revoke`]: whoever revoked while this process had no lease has not waited for it.
    pub fn extend(&self, until: Duration) {
        self.until.fetch_max(nanos(until), Ordering::Release);
    }

    /// Ends the lease at once, such as when a renewal says that the node is not known any more.
    pub fn drop_now(&self) {
        self.until.store(0, Ordering::Release);
    }
}

/// 584 years of nanoseconds fit; what is longer is the longest that ends.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(FOREVER).min(FOREVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn it_holds_before_its_end_and_not_from_then_on() {
        let lease = Lease::lost();
        assert!(!lease.holds(secs(0)));
        lease.extend(secs(10));
        assert!(lease.holds(secs(10) - Duration::from_nanos(1)));
        assert!(!lease.holds(secs(10)));
    }

    #[test]
    fn an_older_renewal_that_comes_late_does_not_shorten_it() {
        let lease = Lease::lost();
        lease.extend(secs(10));
        lease.extend(secs(9));
        assert!(lease.holds(secs(9)));
    }

    #[test]
    fn it_can_be_dropped_and_held_again() {
        let lease = Lease::unbounded();
        assert!(lease.holds(Duration::MAX));
        lease.drop_now();
        assert!(!lease.holds(secs(0)));
        lease.extend(Duration::MAX);
        assert!(lease.holds(secs(1)));
        assert!(!lease.holds(Duration::MAX));
    }
}
