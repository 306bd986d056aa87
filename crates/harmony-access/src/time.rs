//! Moments: the wall clock's, and the monotonic clock's that a lease is measured with.

use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The moment `span` later, or the last one that can be said.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The moment `span` earlier, or the first one that can be said.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// The moment at which a request is judged: read once, at the edge, and passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock: expiration dates are judged by it.
    pub wall: Timestamp,
    /// A monotonic clock that also runs while the machine is suspended (`CLOCK_BOOTTIME`): leases and rate limits are
    /// measured with it, so that a step of the wall clock changes neither.
    pub boot: Duration,
}
