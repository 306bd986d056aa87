//! Who is calling, and what they may reach: digest → record → principal → grant.
//!
//! This crate knows nothing of HTTP, of databases or of a runtime. Whoever has a store implements one method,
//! [`FindKey`]; [`VerificationCache`] decorates any such store with a bounded cache that never answers for what has been
//! revoked.
#![deny(missing_docs)]

mod find;
mod id;
mod principal;
mod revocation;
mod time;

pub use find::{FindKey, FindKeyError};
pub use id::*;
pub use principal::{Expired, KeyRecord, Principal, Reach, Span, UserRecord};
pub use revocation::{Revision, Revocation};
pub use time::{Now, Timestamp};
