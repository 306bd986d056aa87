//! The shared limiter against a real Redis: `tests/with-redis cargo test -p harmony-limit-redis`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has failed, shows its figures, and is an edge where clocks are read"
)]

mod counts;
mod healing;
mod nodes;
mod outage;
mod places;
mod server;
mod share;
mod slow;
