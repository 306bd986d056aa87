//! The one place where the time is read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use harmony_access::{Now, Timestamp};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// What [`crate::Edge`] reads once for each request, and once more to say how long the answer took.
pub trait Clock: Send + Sync + 'static {
    /// Both clocks.
    fn now(&self) -> Now;

    /// The monotonic one alone.
    fn boot(&self) -> Duration {
        self.now().boot
    }
}

/// The operating system's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let wall = since_epoch().as_millis();
        Now { wall: Timestamp::from_millis(i64::try_from(wall).unwrap_or(i64::MAX)), boot: self.boot() }
    }

    fn boot(&self) -> Duration {
        since_zero(clock_gettime(BOOT))
    }
}

/// Goes on while the machine is suspended, as leases need it.
#[cfg(target_os = "linux")]
const BOOT: ClockId = ClockId::Boottime;
/// The nearest that other systems have.
#[cfg(not(target_os = "linux"))]
const BOOT: ClockId = ClockId::Monotonic;

/// By way of the C library, so that what stands between a program and its wall clock (libfaketime) is believed here as well
/// as in the headers of answers.
#[expect(clippy::disallowed_methods, reason = "this is the edge where the clock is read")]
fn since_epoch() -> Duration {
    // Before 1970 there were no API keys.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn since_zero(time: Timespec) -> Duration {
    // A clock that began before it was switched on is none.
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_is_past_2020_and_never_runs_backwards() {
        let (first, second) = (SystemClock.now(), SystemClock.now());
        assert!(first.wall > Timestamp::from_millis(1_577_836_800_000));
        assert!(second.boot >= first.boot);
        assert!(first.boot > Duration::ZERO);
    }
}
