//! Keeps everything in SQLite or PostgreSQL; owns the schema.
//!
//! One set of queries serves both databases. The crate knows rows and transactions; what a change means, who may make it
//! and what the audit log says of it is decided by the use cases above. Everything here blocks: call it from a blocking
//! thread. The exceptions are [`Turns`], which let only so many at once onto one, and [`KeyFinder`], which takes one.
//!
//! ```
//! use harmony_store::{DatabaseUrl, Store, StoreError};
//!
//! let folder = tempfile::tempdir()?;
//! let url = DatabaseUrl::sqlite(folder.path().join("harmony.sqlite"));
//! let store = Store::open(&url, &Default::default())?;
//! let workspaces = store.read(|tx| harmony_store::workspaces::list(tx))?;
//! assert!(workspaces.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

pub mod api_keys;
pub mod audit;
mod ballast;
mod columns;
mod connection;
pub mod conversations;
pub mod copy;
mod error;
pub mod idempotency;
mod key_finder;
pub mod key_table;
pub mod known_networks;
mod listener;
mod open;
#[cfg(test)]
mod plan;
mod reach;
pub mod revocations;
pub mod roles;
mod schema;
pub mod server;
pub mod sessions;
pub mod setup_links;
pub mod teams;
mod transaction;
mod turns;
mod url;
pub mod usage;
pub mod users;
pub mod workspaces;

pub use ballast::Refusal;
pub use columns::{Page, Version};
pub use error::StoreError;
pub use key_finder::KeyFinder;
pub use listener::Listener;
#[doc(hidden)]
pub use open::migrate_down_and_up;
pub use open::{OpenError, OpenOptions, Store};
pub use transaction::Tx;
pub use turns::{TurnCounts, Turns};
pub use url::{DatabaseUrl, PostgresUrl, Transport, UrlError};
