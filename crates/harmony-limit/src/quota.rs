use std::error::Error;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// How many requests a client may make in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    limit: NonZeroU32,
    window: Duration,
}

impl Quota {
    /// The smallest limit: a client that may do nothing needs no limiter.
    pub const MIN_LIMIT: u32 = 1;
    /// The largest limit, in requests a window: what the 20 bits of a stored count hold.
    pub const MAX_LIMIT: u32 = (1 << 20) - 1;
    /// The shortest window: headers speak in whole seconds.
    pub const MIN_WINDOW: Duration = Duration::from_secs(1);
    /// The longest window, one day.
    pub const MAX_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

    /// A quota of `limit` requests in each `window`.
    ///
    /// # Errors
    ///
    /// When the limit or the window is out of the bounds that this type names.
    pub fn new(limit: u32, window: Duration) -> Result<Self, QuotaError> {
        if !(Self::MIN_WINDOW..=Self::MAX_WINDOW).contains(&window) {
            return Err(QuotaError::Window(window));
        }
        match NonZeroU32::new(limit) {
            Some(limit) if limit.get() <= Self::MAX_LIMIT => Ok(Self { limit, window }),
            Some(_) | None => Err(QuotaError::Limit(limit)),
        }
    }

    /// How many requests are let through in one window.
    pub fn limit(self) -> NonZeroU32 {
        self.limit
    }

    /// How long a window lasts.
    pub fn window(self) -> Duration {
        self.window
    }
}

/// Why two numbers are not a [`Quota`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaError {
    /// The limit is below [`Quota::MIN_LIMIT`] or above [`Quota::MAX_LIMIT`].
    Limit(u32),
    /// The window is below [`Quota::MIN_WINDOW`] or above [`Quota::MAX_WINDOW`].
    Window(Duration),
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(limit) => {
                write!(f, "a limit of {limit} is not between {} and {}", Quota::MIN_LIMIT, Quota::MAX_LIMIT)
            }
            Self::Window(window) => {
                let (shortest, longest) = (Quota::MIN_WINDOW.as_secs(), Quota::MAX_WINDOW.as_secs());
                write!(f, "a window of {window:?} is not between {shortest} s and {longest} s")
            }
        }
    }
}

impl Error for QuotaError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_inside_and_their_neighbours_outside() {
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        for (limit, window) in [(1, second), (1, day), (1_048_575, second), (1_000, Duration::from_secs(900))]
        {
            let quota = Quota::new(limit, window).unwrap();
            assert_eq!((quota.limit().get(), quota.window()), (limit, window));
        }
        let nano = Duration::from_nanos(1);
        assert_eq!(Quota::new(0, second), Err(QuotaError::Limit(0)));
        assert_eq!(Quota::new(1_048_576, second), Err(QuotaError::Limit(1_048_576)));
        assert_eq!(Quota::new(1, second - nano), Err(QuotaError::Window(second - nano)));
        assert_eq!(Quota::new(1, day + nano), Err(QuotaError::Window(day + nano)));
    }

    #[test]
    fn an_error_says_what_it_was_and_what_it_may_be() {
        assert_eq!(QuotaError::Limit(0).to_string(), "a limit of 0 is not between 1 and 1048575");
        assert_eq!(
            QuotaError::Window(Duration::from_millis(10)).to_string(),
            "a window of 10ms is not between 1 s and 86400 s"
        );
    }
}
