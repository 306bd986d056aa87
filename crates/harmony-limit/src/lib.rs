#![doc = include_str!("lib.md")]
#![deny(missing_docs)]

mod bucket;
mod client;
mod clock;
mod decision;
mod limiter;
mod memory;
mod mix;
mod quota;
mod table;

pub use client::{ClientKey, Ipv6Prefix, Ipv6PrefixError};
pub use clock::Now;
pub use decision::Decision;
pub use limiter::{Asked, Limiter};
pub use memory::{MemoryLimiter, StartError, Stats, TableMemory, TableMemoryError};
pub use mix::Secret;
pub use quota::{Quota, QuotaError};
