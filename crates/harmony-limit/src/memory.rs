use std::collections::TryReserveError;
use std::error::Error;
use std::fmt;

use crate::bucket::{Bucket, SLOTS};
use crate::clock::{Anchor, TickClock};
use crate::mix::Secret;
use crate::table::Table;
use crate::{ClientKey, Decision, Now, Quota};

/// Counts in the memory of this process, in a table whose size is fixed at the start.
///
/// A window starts with a client's first request and never moves before it ends; exactly `limit` requests are let through in it,
/// however many threads ask at once. A window that has ended costs nothing: there is no sweep, no timer and no pause.
///
/// When the table is full of running windows, a newcomer takes the place of the client with the smallest count, and starts from
/// what its part of the table has forgotten, in the window of what it has forgotten. So a flood of strangers frees nobody of
/// their count; its price is paid by newcomers, who during a flood have a little less than the limit until an earlier reset.
pub struct MemoryLimiter {
    quota: Quota,
    memory: TableMemory,
    secret: Secret,
    clock: TickClock,
    anchor: Anchor,
    table: Table,
}

impl MemoryLimiter {
    /// A limiter with an empty table and a secret of its own.
    ///
    /// # Errors
    ///
    /// When the operating system has not enough memory or gives no random bytes.
    pub fn new(quota: Quota, memory: TableMemory) -> Result<Self, StartError> {
        Self::with_secret(quota, memory, Secret::draw().map_err(StartError::NoRandomness)?)
    }

    /// A limiter that lays out its table by a given secret.
    ///
    /// # Errors
    ///
    /// When the operating system has not enough memory.
    pub fn with_secret(quota: Quota, memory: TableMemory, secret: Secret) -> Result<Self, StartError> {
        let clock = TickClock::new(quota.window());
        let table = Table::new(memory.index_bits(), quota.limit().get(), clock.window());
        let table = table.map_err(StartError::OutOfMemory)?;
        Ok(Self { quota, memory, secret, clock, anchor: Anchor::new(), table })
    }

    /// Looks, decides and counts, in one step.
    pub fn check(&self, client: ClientKey, now: Now) -> Decision {
        let now = self.anchor.steady(now);
        let taken = self.table.take(self.secret.permute(client.bits()), self.clock.moment(now.mono));
        let limit = self.quota.limit();
        let end_ms = self.clock.mono_ms(taken.end);
        Decision::new(limit, taken.fits(limit), now.unix_secs(end_ms), now.until(end_ms))
    }

    /// The quota of every client.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// What the table holds and has had to forget.
    pub fn stats(&self) -> Stats {
        Stats { capacity: self.memory.clients(), evictions: self.table.evictions() }
    }
}

impl fmt::Debug for MemoryLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { quota, memory, .. } = self;
        f.debug_struct("MemoryLimiter").field("quota", quota).field("memory", memory).finish_non_exhaustive()
    }
}

/// How much memory a [`MemoryLimiter`] takes, from start to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableMemory {
    bytes: usize,
}

impl TableMemory {
    /// The smallest table, 1 MiB: with fewer buckets, what tells the clients of a bucket apart would not fit into its slots.
    pub const MIN_BYTES: usize = size_of::<Bucket>() << Table::MIN_INDEX_BITS;
    /// The largest table, 64 GiB.
    pub const MAX_BYTES: usize = 1 << 36;

    /// A table of `bytes` bytes, rounded down to a power of two.
    ///
    /// # Errors
    ///
    /// When `bytes` is not between [`TableMemory::MIN_BYTES`] and [`TableMemory::MAX_BYTES`].
    pub fn new(bytes: usize) -> Result<Self, TableMemoryError> {
        if (Self::MIN_BYTES..=Self::MAX_BYTES).contains(&bytes) {
            Ok(Self { bytes: 1 << bytes.ilog2() })
        } else {
            Err(TableMemoryError(bytes))
        }
    }

    /// How many bytes the table takes.
    pub fn bytes(self) -> usize {
        self.bytes
    }

    /// How many clients the table can count at once.
    pub fn clients(self) -> u64 {
        (self.bytes / size_of::<Bucket>() * SLOTS) as u64
    }

    fn index_bits(self) -> u32 {
        (self.bytes / size_of::<Bucket>()).ilog2()
    }
}

impl Default for TableMemory {
    /// 32 MiB: 2.6 million clients.
    fn default() -> Self {
        Self { bytes: 32 << 20 }
    }
}

/// Why a number of bytes is not a [`TableMemory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableMemoryError(usize);

impl fmt::Display for TableMemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = (TableMemory::MIN_BYTES, TableMemory::MAX_BYTES);
        write!(f, "a table of {} bytes is not between {min} and {max}", self.0)
    }
}

impl Error for TableMemoryError {}

/// Why a [`MemoryLimiter`] could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The operating system has not enough memory for the table.
    OutOfMemory(TryReserveError),
    /// The operating system gave no random bytes.
    NoRandomness(getrandom::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory(_) => f.write_str("there is not enough memory for the limiter's table"),
            Self::NoRandomness(_) => {
                f.write_str("the operating system gave no random bytes for the limiter's secret")
            }
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::OutOfMemory(source) => Some(source),
            Self::NoRandomness(source) => Some(source),
        }
    }
}

/// What a [`MemoryLimiter`] holds and has had to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many clients can be counted at once.
    pub capacity: u64,
    /// How many live counts gave way to another client's since the start.
    pub evictions: u64,
}
