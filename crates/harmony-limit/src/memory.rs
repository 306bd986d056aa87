use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::decision::Fits;
use crate::{ClientKey, Decision, Now, Quota};

/// How much memory a [`MemoryLimiter`] takes, from start to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableMemory {
    bytes: usize,
}

impl TableMemory {
    /// The smallest table, 1 MiB.
    pub const MIN_BYTES: usize = 1 << 20;
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
    /// The operating system has not that much memory.
    OutOfMemory,
    /// The operating system gave no random bytes.
    NoRandomness(getrandom::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => f.write_str("there is not enough memory for the limiter's table"),
            Self::NoRandomness(_) => {
                f.write_str("the operating system gave no random bytes for the limiter's secret")
            }
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::OutOfMemory => None,
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

/// Counts in the memory of this process.
#[derive(Debug)]
pub struct MemoryLimiter {
    quota: Quota,
    memory: TableMemory,
    counts: Mutex<HashMap<u64, (u32, Duration)>>,
}

impl MemoryLimiter {
    /// A limiter with an empty table.
    ///
    /// # Errors
    ///
    /// When the operating system has not enough memory or gives no random bytes.
    pub fn new(quota: Quota, memory: TableMemory) -> Result<Self, StartError> {
        Ok(Self { quota, memory, counts: Mutex::default() })
    }

    /// Looks, decides and counts, in one step.
    pub fn check(&self, client: ClientKey, now: Now) -> Decision {
        let limit = self.quota.limit();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, end) = counts.entry(client.bits()).or_default();
        if *end <= now.mono {
            (*count, *end) = (0, now.mono + self.quota.window());
        }
        let fits = if *count < limit.get() {
            *count += 1;
            Fits::Yes { remaining: limit.get() - *count }
        } else {
            Fits::No
        };
        let after = end.saturating_sub(now.mono);
        let reset = (Duration::from_millis(now.wall_unix_ms) + after).as_millis().div_ceil(1_000);
        Decision::new(limit, fits, u64::try_from(reset).unwrap_or(u64::MAX), after)
    }

    /// The quota of every client.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// What the table holds and has had to forget.
    pub fn stats(&self) -> Stats {
        Stats { capacity: u64::try_from(self.memory.bytes() / 64 * 5).unwrap_or(u64::MAX), evictions: 0 }
    }
}
