use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// What the two clocks said when the request arrived. It is read once, at the edge, and passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock, since any moment that stays the same while the limiter lives. It alone decides.
    pub mono: Duration,
    /// The wall clock in milliseconds since the Unix epoch. It is only told to clients, as the time of the reset.
    pub wall_unix_ms: u64,
}

/// Where the two clocks stand to each other.
///
/// Reading both for each answer would let the announced reset jump back and forth by a second, because they are never read at the
/// same instant. So the difference is kept, compared at most once a second, and replaced only when the wall clock has been set.
#[derive(Debug)]
pub(crate) struct Anchor {
    /// The latest second of the monotonic clock in which the clocks were compared, plus one.
    compared_in: AtomicU64,
    offset_ms: AtomicI64,
}

/// A time on the monotonic clock, and what to add to it for the wall clock's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchored {
    pub(crate) mono: Duration,
    pub(crate) offset_ms: i64,
}

impl Anchor {
    /// A difference up to this is how the clocks are read, or slewing; beyond it somebody has set the wall clock.
    const TOLERANCE_MS: u64 = 1_000;
    const UNKNOWN: i64 = i64::MIN;

    pub(crate) const fn new() -> Self {
        Self { compared_in: AtomicU64::new(0), offset_ms: AtomicI64::new(Self::UNKNOWN) }
    }

    /// Both clocks, made steady. A monotonic time from before the latest second seen is moved up to it: a thread that was held up
    /// between reading the clock and asking must not see windows that have ended as running.
    pub(crate) fn steady(&self, now: Now) -> Anchored {
        let offset_ms = self.offset_ms.load(Ordering::Relaxed);
        if self.compared_in.load(Ordering::Acquire) == now.mono.as_secs().wrapping_add(1)
            && offset_ms != Self::UNKNOWN
        {
            return Anchored { mono: now.mono, offset_ms };
        }
        self.steady_in_another_second(now)
    }

    #[cold]
    #[inline(never)]
    fn steady_in_another_second(&self, now: Now) -> Anchored {
        let second = now.mono.as_secs().saturating_add(1);
        let compared_in = self.compared_in.load(Ordering::Acquire);
        let kept = self.offset_ms.load(Ordering::Relaxed);
        if second < compared_in {
            return Anchored { mono: Duration::from_secs(compared_in - 1), offset_ms: kept };
        }
        let taken =
            self.compared_in.compare_exchange(compared_in, second, Ordering::AcqRel, Ordering::Relaxed);
        let first_in_second = second > compared_in && taken.is_ok();
        let offset_ms = if first_in_second || kept == Self::UNKNOWN { self.compare(now, kept) } else { kept };
        Anchored { mono: now.mono, offset_ms }
    }

    fn compare(&self, now: Now, kept: i64) -> i64 {
        let mono_ms = i64::try_from(now.mono.as_millis()).unwrap_or(i64::MAX);
        let read = i64::try_from(now.wall_unix_ms).unwrap_or(i64::MAX).saturating_sub(mono_ms);
        if kept == Self::UNKNOWN {
            return match self.offset_ms.compare_exchange(kept, read, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => read,
                Err(first) => first,
            };
        }
        if read.abs_diff(kept) <= Self::TOLERANCE_MS {
            return kept;
        }
        self.offset_ms.store(read, Ordering::Relaxed);
        read
    }
}

impl Anchored {
    /// What the wall clock will show at `mono_ms`, in seconds, rounded up.
    pub(crate) fn unix_secs(self, mono_ms: u64) -> u64 {
        (mono_ms as i64).wrapping_add(self.offset_ms.wrapping_add(999)).max(0).cast_unsigned() / 1_000
    }

    /// How long until `mono_ms`, which must lie ahead by less than 584 years; so it does not matter that nanoseconds wrap.
    pub(crate) fn until(self, mono_ms: u64) -> Duration {
        let now =
            self.mono.as_secs().wrapping_mul(1_000_000_000).wrapping_add(u64::from(self.mono.subsec_nanos()));
        Duration::from_nanos(mono_ms.wrapping_mul(1_000_000).wrapping_sub(now))
    }
}

/// How many low bits of a tick tell the time within an era. A window lasts an era at most.
pub(crate) const ERA_BITS: u32 = 17;

/// The monotonic clock in ticks: 10 ms for windows up to 21 minutes, as many times that as make the window fit into an era
/// for longer ones (30 ms for an hour, 660 ms for a day).
#[derive(Clone, Copy, Debug)]
pub(crate) struct TickClock {
    tens_of_ms: u64,
    ms: u64,
    window: u64,
}

/// A time in ticks, rounded both ways: what happens now starts at `next` and ends what ended by `tick`. So a window is never
/// shorter than asked, and longer by less than two ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) tick: u64,
    pub(crate) next: u64,
}

impl TickClock {
    const TEN_MS_IN_NANOS: u32 = 10_000_000;
    /// Far enough that no clock comes here, near enough that no sum overflows.
    const LAST_SECS: u64 = 1 << 40;

    pub(crate) fn new(window: Duration) -> Self {
        let (floor, exact) = Self::tens(window);
        let tens = floor + u64::from(!exact);
        let tens_of_ms = tens.div_ceil(1 << ERA_BITS).max(1);
        Self { tens_of_ms, ms: tens_of_ms * 10, window: tens.div_ceil(tens_of_ms) }
    }

    /// How many ticks a window lasts.
    pub(crate) fn window(self) -> u64 {
        self.window
    }

    pub(crate) fn moment(self, mono: Duration) -> Moment {
        let (tens, exact) = Self::tens(mono);
        if self.tens_of_ms == 1 {
            // The common case, without a division.
            return Moment { tick: tens, next: tens + u64::from(!exact) };
        }
        self.coarse_moment(tens, exact)
    }

    #[cold]
    #[inline(never)]
    fn coarse_moment(self, tens: u64, exact: bool) -> Moment {
        let (tick, rest) = (tens / self.tens_of_ms, tens % self.tens_of_ms);
        Moment { tick, next: tick + u64::from(rest > 0 || !exact) }
    }

    /// The monotonic clock at a tick, in milliseconds.
    pub(crate) fn mono_ms(self, tick: u64) -> u64 {
        tick * self.ms
    }

    /// Whole units of 10 ms, and whether there is nothing beside them.
    fn tens(time: Duration) -> (u64, bool) {
        let nanos = time.subsec_nanos();
        let tens = time.as_secs().min(Self::LAST_SECS) * 100 + u64::from(nanos / Self::TEN_MS_IN_NANOS);
        (tens, nanos.is_multiple_of(Self::TEN_MS_IN_NANOS))
    }
}

impl Moment {
    pub(crate) fn era(self) -> u64 {
        self.next >> ERA_BITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(mono_ms: u64, wall_unix_ms: u64) -> Now {
        Now { mono: Duration::from_millis(mono_ms), wall_unix_ms }
    }

    #[test]
    fn the_offset_stays_while_the_wall_clock_is_off_by_a_second_at_most() {
        let anchor = Anchor::new();
        for (mono_ms, wall_ms) in [(5_000, 105_000), (6_000, 107_000), (7_000, 106_000), (8_999, 108_500)] {
            assert_eq!(anchor.steady(now(mono_ms, wall_ms)).offset_ms, 100_000, "{mono_ms}");
        }
        assert_eq!(anchor.steady(now(9_000, 110_001)).offset_ms, 101_001);
        assert_eq!(anchor.steady(now(10_000, 110_001)).offset_ms, 101_001);
        assert_eq!(anchor.steady(now(11_000, 0)).offset_ms, -11_000);
    }

    #[test]
    fn the_clocks_are_compared_once_a_second_at_most() {
        let anchor = Anchor::new();
        assert_eq!(anchor.steady(now(5_000, 5_000)).offset_ms, 0);
        assert_eq!(anchor.steady(now(5_999, 9_000)).offset_ms, 0);
        assert_eq!(anchor.steady(now(6_000, 9_000)).offset_ms, 3_000);
    }

    #[test]
    fn a_time_from_the_past_is_moved_up_to_the_latest_second() {
        let anchor = Anchor::new();
        assert_eq!(anchor.steady(now(9_700, 9_700)).mono, Duration::from_millis(9_700));
        assert_eq!(anchor.steady(now(9_100, 9_100)).mono, Duration::from_millis(9_100));
        assert_eq!(anchor.steady(now(1_500, 1_500)).mono, Duration::from_secs(9));
    }

    #[test]
    fn wall_time_is_rounded_up_to_seconds() {
        let at = |offset_ms, ms| Anchored { mono: Duration::ZERO, offset_ms }.unix_secs(ms);
        assert_eq!([at(0, 0), at(0, 1), at(0, 1_000), at(0, 1_001)], [0, 1, 1, 2]);
        assert_eq!([at(-5_000, 4_000), at(-5_000, 5_001), at(0, 1 << 50)], [0, 1, 1_125_899_906_843]);
    }

    #[test]
    fn a_window_fits_into_an_era_and_is_not_shorter_than_asked() {
        for millis in [1_000, 1_001, 900_000, 1_310_720, 1_310_721, 3_600_000, 86_399_999, 86_400_000] {
            let window = Duration::from_millis(millis);
            let clock = TickClock::new(window);
            assert!(clock.window() <= 1 << ERA_BITS);
            let lasts = Duration::from_millis(clock.mono_ms(clock.window()));
            assert!(
                lasts >= window && lasts < window + Duration::from_millis(clock.mono_ms(1)),
                "{window:?} became {lasts:?}"
            );
        }
        for (window_secs, tick_ms) in [(900, 10), (3_600, 30), (86_400, 660)] {
            assert_eq!(TickClock::new(Duration::from_secs(window_secs)).mono_ms(1), tick_ms);
        }
    }

    #[test]
    fn a_moment_is_rounded_both_ways() {
        let (fine, coarse) =
            (TickClock::new(Duration::from_secs(1)), TickClock::new(Duration::from_secs(3_600)));
        let moment = |clock: TickClock, nanos| {
            let moment = clock.moment(Duration::from_nanos(nanos));
            (moment.tick, moment.next)
        };
        assert_eq!([moment(fine, 0), moment(fine, 1), moment(fine, 10_000_000)], [(0, 0), (0, 1), (1, 1)]);
        assert_eq!([moment(coarse, 29_999_999), moment(coarse, 30_000_000)], [(0, 1), (1, 1)]);
        assert_eq!([moment(coarse, 30_000_001), moment(coarse, 40_000_000)], [(1, 2), (1, 2)]);
        assert!(fine.moment(Duration::MAX).next > 1 << 40);
    }
}
