#![doc = include_str!("lib.md")]
#![deny(missing_docs)]

mod address;
mod domain;
mod entry;
mod inspect;
mod keeper;
mod limiter;
mod link;
mod options;
mod script;
mod settle;
mod stats;
mod table;
mod timing;

pub use address::{AddressError, RedisAddress};
pub use inspect::inspect;
pub use limiter::{SharedLimiter, SharedWaiting};
pub use link::{About, LinkError};
pub use options::{Event, Mode, OnOutage, Options, StartError};
pub use stats::{CALL_SECS, Stats};
