use std::time::Duration;

/// What the two clocks said when the request arrived. It is read once, at the edge, and passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock, since any moment that stays the same while the limiter lives. It alone decides.
    pub mono: Duration,
    /// The wall clock in milliseconds since the Unix epoch. It is only told to clients, as the time of the reset.
    pub wall_unix_ms: u64,
}
