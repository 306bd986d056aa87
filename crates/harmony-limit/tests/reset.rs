//! What clients are told about the end of their window.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use harmony_limit::{ClientKey, Ipv6Prefix, MemoryLimiter, Now, Quota, TableMemory};
use proptest::prelude::*;

const WALL_MS: u64 = 1_800_000_000_000;
const DAY_MS: u64 = 86_400_000;

fn client(number: u32) -> ClientKey {
    ClientKey::from_ip(IpAddr::V4(Ipv4Addr::from_bits(number)), Ipv6Prefix::default())
}

fn limiter(limit: u32, window_secs: u64) -> MemoryLimiter {
    let quota = Quota::new(limit, Duration::from_secs(window_secs)).unwrap();
    MemoryLimiter::new(quota, TableMemory::new(TableMemory::MIN_BYTES).unwrap()).unwrap()
}

fn now(mono_ms: u64, wall_unix_ms: u64) -> Now {
    Now { mono: Duration::from_millis(mono_ms), wall_unix_ms }
}

proptest! {
    #[test]
    fn the_reset_is_the_same_in_every_answer_of_a_window(
        start_ms in 0_u64..10_000_000,
        readings in prop::collection::vec((0_u64..9_000, 0_u64..1_000), 1..200),
    ) {
        let limiter = limiter(5, 900);
        let first = limiter.check(client(1), now(start_ms, WALL_MS));
        let mut mono_ms = start_ms;
        for (pause_ms, late_ms) in readings {
            mono_ms += pause_ms;
            if mono_ms >= start_ms + 900_000 {
                break;
            }
            // The wall clock is read a little later than the monotonic one, and slews.
            let decision = limiter.check(client(1), now(mono_ms, WALL_MS + mono_ms - start_ms + late_ms));
            prop_assert_eq!(decision.reset_unix_secs, first.reset_unix_secs);
        }
    }

    #[test]
    fn the_reset_is_rounded_up(start_ms in 0_u64..100_000, wall_ms in WALL_MS..WALL_MS + 5_000) {
        let decision = limiter(5, 900).check(client(1), now(start_ms, wall_ms));
        let end_ms = wall_ms - start_ms + start_ms.div_ceil(10) * 10 + 900_000;
        prop_assert_eq!(decision.reset_unix_secs, end_ms.div_ceil(1_000));
        prop_assert!(decision.reset_after >= Duration::from_secs(900));
        prop_assert!(decision.reset_after < Duration::from_millis(900_010));
    }
}

#[test]
fn a_wall_clock_set_back_or_on_by_a_day_changes_what_is_told_and_not_what_is_decided() {
    for wall_after in [WALL_MS - DAY_MS, WALL_MS + DAY_MS, 0] {
        let limiter = limiter(2, 900);
        assert!(limiter.check(client(1), now(5_000, WALL_MS)).allowed);
        assert!(limiter.check(client(1), now(6_000, WALL_MS + 1_000)).allowed);

        let refused = limiter.check(client(1), now(7_000, wall_after));
        assert!(!refused.allowed);
        assert_eq!(refused.reset_unix_secs, wall_after / 1_000 + 898);
        assert_eq!(refused.retry_after_secs(), Some(898));
        assert!(limiter.check(client(2), now(7_000, wall_after)).allowed);

        assert!(!limiter.check(client(1), now(904_999, wall_after + 897_999)).allowed);
        let again = limiter.check(client(1), now(905_000, wall_after + 898_000));
        assert_eq!((again.allowed, again.remaining), (true, 1));
        assert_eq!(again.reset_unix_secs, wall_after / 1_000 + 898 + 900);
    }
}

#[test]
fn retry_after_is_rounded_up_to_at_least_a_second() {
    let limiter = limiter(1, 900);
    assert_eq!(limiter.check(client(1), now(0, WALL_MS)).retry_after_secs(), None);
    for (mono_ms, secs) in [(0, 900), (1, 900), (1_000, 899), (898_999, 2), (899_000, 1), (899_999, 1)] {
        let refused = limiter.check(client(1), now(mono_ms, WALL_MS + mono_ms));
        assert_eq!((refused.allowed, refused.retry_after_secs()), (false, Some(secs)), "at {mono_ms} ms");
    }
    assert!(limiter.check(client(1), now(900_000, WALL_MS + 900_000)).allowed);
}

#[test]
fn a_thread_with_an_old_time_does_not_reopen_a_window() {
    let limiter = limiter(1, 900);
    assert!(limiter.check(client(1), now(10_000_000, WALL_MS)).allowed);
    for late_ms in [1, 999, 60_000, 2_000_000, 10_000_000] {
        assert!(!limiter.check(client(1), now(10_000_000 - late_ms, WALL_MS)).allowed, "{late_ms} ms late");
    }
}
