#![doc = include_str!("lib.md")]
#![deny(missing_docs)]

mod cache;
mod find;
mod flight;
mod id;
mod keeper;
mod lease;
mod mix;
mod principal;
mod protocol;
mod revocation;
mod sync;
mod table;
mod time;

pub use cache::{CacheCapacity, CacheStats, VerificationCache};
pub use find::{FindKey, FindKeyError};
pub use id::*;
pub use keeper::{Errand, Keeper, Outcome};
pub use lease::Lease;
pub use principal::{Expired, KeyRecord, Principal, Reach, Span, UserRecord};
pub use protocol::{DRIFT_MARGIN, LEASE_TTL, POLL_EVERY, RENEW_EVERY, Waiting, awaited, lease_until};
pub use revocation::{Revision, Revocation};
pub use time::{Now, Timestamp};
