//! The cache before a store that the tests hold in their hands.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "in a test, a panic is how a wrong assumption is told"
)]

mod flight;
mod lease;
mod memory;
mod model;
mod race;
mod revocation;
mod simulation;
mod store;
