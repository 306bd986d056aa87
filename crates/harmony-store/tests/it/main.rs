//! One contract, held to by SQLite and by PostgreSQL alike.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod backend;
mod bookkeeping;
mod conversations;
mod copy;
mod full_disk;
mod house;
mod key_table;
mod keys;
mod paging;
mod people;
mod revocations;
mod schema;
mod transactions;
mod upgrade;
