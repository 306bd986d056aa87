use std::num::NonZeroU32;
use std::time::Duration;

/// Whether a request is let through, and what is left.
///
/// Fixed windows, sliding windows and rate shapers all answer with this, so whoever writes headers need not know which it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Whether the request is let through. If not, it has cost nothing.
    pub allowed: bool,
    /// How many requests a window holds.
    pub limit: u32,
    /// How many more will be let through before the reset.
    pub remaining: u32,
    /// When the window ends, in seconds since the Unix epoch, rounded up; the same in every answer of one window.
    pub reset_unix_secs: u64,
    /// How long until then, exactly.
    pub reset_after: Duration,
}

impl Decision {
    /// Whole seconds until the window ends, rounded up.
    pub fn reset_after_secs(&self) -> u64 {
        self.reset_after.as_secs() + u64::from(self.reset_after.subsec_nanos() > 0)
    }

    /// For a refusal, whole seconds after which a new attempt is worth it: rounded up, at least 1.
    pub fn retry_after_secs(&self) -> Option<u64> {
        (!self.allowed).then(|| self.reset_after_secs().max(1))
    }

    /// A request that is let through, after which `remaining` more may come.
    pub fn allowed(limit: NonZeroU32, remaining: u32, reset_unix_secs: u64, reset_after: Duration) -> Self {
        Self::new(limit, Fits::Yes { remaining }, reset_unix_secs, reset_after)
    }

    /// A request that is refused until the reset.
    pub fn refused(limit: NonZeroU32, reset_unix_secs: u64, reset_after: Duration) -> Self {
        Self::new(limit, Fits::No, reset_unix_secs, reset_after)
    }

    pub(crate) fn new(limit: NonZeroU32, fits: Fits, reset_unix_secs: u64, reset_after: Duration) -> Self {
        let (allowed, remaining) = match fits {
            Fits::Yes { remaining } => (true, remaining),
            Fits::No => (false, 0),
        };
        Self { allowed, limit: limit.get(), remaining, reset_unix_secs, reset_after }
    }
}

/// Whether one more request fits, and how many after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fits {
    Yes { remaining: u32 },
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(fits: Fits, reset_after: Duration) -> Decision {
        Decision::new(NonZeroU32::new(5).unwrap(), fits, 1_800_000_000, reset_after)
    }

    #[test]
    fn retry_after_is_rounded_up_and_at_least_1() {
        for (after_nanos, secs) in [
            (0, 1),
            (1, 1),
            (999_999_999, 1),
            (1_000_000_000, 1),
            (1_000_000_001, 2),
            (899_000_000_001, 900),
            (900_000_000_000, 900),
        ] {
            let refusal = decision(Fits::No, Duration::from_nanos(after_nanos));
            assert_eq!(refusal.retry_after_secs(), Some(secs), "{after_nanos} ns");
            assert_eq!((refusal.allowed, refusal.limit, refusal.remaining), (false, 5, 0));
        }
    }

    #[test]
    fn only_a_refusal_says_when_to_come_back() {
        let allowed = decision(Fits::Yes { remaining: 0 }, Duration::from_millis(1));
        assert_eq!((allowed.allowed, allowed.remaining, allowed.retry_after_secs()), (true, 0, None));
        assert_eq!(allowed.reset_after_secs(), 1);
    }
}
