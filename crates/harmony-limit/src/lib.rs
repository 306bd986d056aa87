#![doc = include_str!("lib.md")]
#![deny(missing_docs)]

mod client;
mod clock;
mod decision;
mod memory;
mod quota;

pub use client::{ClientKey, Ipv6Prefix, Ipv6PrefixError};
pub use clock::Now;
pub use decision::Decision;
pub use memory::{MemoryLimiter, StartError, Stats, TableMemory, TableMemoryError};
pub use quota::{Quota, QuotaError};
