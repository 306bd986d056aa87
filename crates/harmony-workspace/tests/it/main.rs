//! The use cases, on SQLite and on PostgreSQL alike.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod at_once;
mod backend;
mod conversations;
mod creators;
mod house;
mod keys;
mod moved;
mod people;
mod rows;
mod sessions;
mod usage;
