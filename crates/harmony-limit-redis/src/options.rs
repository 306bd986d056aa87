use std::sync::Arc;
use std::time::Duration;

use harmony_limit::{Quota, TableMemory};

use crate::timing::CALL_WITHIN;
use crate::{LinkError, RedisAddress};

/// How a node asks for what it lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// Grants are taken before they are used, more of them from time to time; most requests ask nobody.
    #[default]
    Lease,
    /// Every request is counted in Redis before it is answered. What is told of the remainder is exact.
    Exact,
}

/// What a node lets through when it cannot reach Redis, beyond the grants that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnOutage {
    /// Its share of half the limit, in windows of which it is certain that nobody else has counted them without leaving that share.
    #[default]
    Share,
    /// Nothing.
    Refuse,
}

/// What a [`crate::SharedLimiter`] is made of.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) address: RedisAddress,
    pub(crate) quota: Quota,
    pub(crate) mode: Mode,
    pub(crate) on_outage: OnOutage,
    pub(crate) memory: TableMemory,
    pub(crate) call_within: Duration,
    pub(crate) prefix: String,
}

impl Options {
    /// The defaults: leases, shares, 32 MiB, and 10 ms for a call.
    pub fn new(address: RedisAddress, quota: Quota) -> Self {
        Self {
            address,
            quota,
            mode: Mode::default(),
            on_outage: OnOutage::default(),
            memory: TableMemory::default(),
            call_within: CALL_WITHIN,
            prefix: "harmony".to_owned(),
        }
    }

    /// How a node asks.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// What happens without Redis.
    #[must_use]
    pub fn on_outage(mut self, on_outage: OnOutage) -> Self {
        self.on_outage = on_outage;
        self
    }

    /// How much memory the node's own table takes, from start to end. A client takes some 80 bytes of it.
    #[must_use]
    pub fn memory(mut self, memory: TableMemory) -> Self {
        self.memory = memory;
        self
    }

    /// How long a call may take before Redis counts as out of reach.
    #[must_use]
    pub fn call_within(mut self, deadline: Duration) -> Self {
        self.call_within = deadline;
        self
    }

    /// What the keys in Redis begin with. Limiters with different prefixes count apart.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }
}

/// Something that somebody may want to write into a log. Each is told once, however many requests it concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Redis is out of reach: from here on only what the node holds, or its share, is let through.
    Lost(&'a str),
    /// Redis has lost its counts, by a restart, a fail-over or a flush. The nodes tell it what they took before they ask for more.
    Forgotten,
    /// Grants are asked for again.
    Back,
}

/// Who is told of [`Event`]s.
pub(crate) type Listener = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// Why a limiter cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Redis cannot be reached, or does not answer as it should.
    #[error("Redis at {address}")]
    Link {
        /// Where it should be, without a password.
        address: String,
        /// What happened.
        #[source]
        source: LinkError,
    },
    /// Redis may throw counts away.
    #[error(
        "Redis at {address} has the eviction policy `{policy}` and may forget counts when its memory is full; \
         set `maxmemory-policy noeviction`"
    )]
    Eviction {
        /// Where it is, without a password.
        address: String,
        /// Its `maxmemory-policy`.
        policy: String,
    },
    /// Redis is too old.
    #[error("Redis at {address} is version {version}; 6.2 is the oldest that will do")]
    Version {
        /// Where it is, without a password.
        address: String,
        /// Its version.
        version: String,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
    /// The operating system gave no thread.
    #[error("the limiter's thread cannot start")]
    Thread(#[source] std::io::Error),
}
