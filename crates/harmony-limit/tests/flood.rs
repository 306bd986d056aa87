//! A flood of strangers frees nobody of their count, takes no memory and shuts nobody out.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use harmony_limit::{ClientKey, Decision, Ipv6Prefix, MemoryLimiter, Now, Quota, TableMemory};

const STRANGERS: u32 = 20_000_000;
const LIMIT: u32 = 1_000;

fn stranger(number: u32) -> ClientKey {
    ClientKey::from_ip(IpAddr::V4(Ipv4Addr::from_bits(number)), Ipv6Prefix::default())
}

fn customer(number: u16) -> ClientKey {
    ClientKey::from_ip(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, number, 0, 0, 0, 1)), Ipv6Prefix::default())
}

fn limiter(bytes: usize) -> MemoryLimiter {
    let quota = Quota::new(LIMIT, Duration::from_secs(900)).unwrap();
    MemoryLimiter::new(quota, TableMemory::new(bytes).unwrap()).unwrap()
}

fn at(micros: u64) -> Now {
    Now { mono: Duration::from_micros(micros), wall_unix_ms: 1_800_000_000_000 + micros / 1_000 }
}

fn ask(limiter: &MemoryLimiter, client: ClientKey, times: u32, micros: u64) -> Vec<Decision> {
    (0..times).map(|_| limiter.check(client, at(micros))).collect()
}

/// Resident memory in bytes.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<u64>().ok()? * 4_096)
}

#[test]
fn twenty_million_strangers_free_nobody_and_take_no_memory() {
    let limiter = limiter(8 << 20);
    for number in 0..100 {
        assert!(ask(&limiter, customer(number), LIMIT, 0).iter().all(|decision| decision.allowed));
    }
    let before = resident();
    for number in 0..STRANGERS {
        // 40 µs apart: 800 of the window's 900 seconds.
        let micros = u64::from(number) * 40;
        limiter.check(stranger(number), at(micros));
        if number % 10_000 == 0 {
            let exhausted =
                limiter.check(customer(u16::try_from(number / 10_000 % 100).unwrap()), at(micros));
            assert_eq!((exhausted.allowed, exhausted.remaining), (false, 0), "after {number}");
        }
    }
    if let (Some(before), Some(after)) = (before, resident()) {
        assert!(after < before + (256 << 10), "{before} bytes became {after}");
    }
    let end = u64::from(STRANGERS) * 40;
    for number in 0..100 {
        assert!(ask(&limiter, customer(number), 10, end).iter().all(|decision| !decision.allowed));
    }
    // 20 million over 655,360 slots are 30 a slot; that, and what the luck of a bucket adds, is what a newcomer pays.
    for number in 1_000..2_000 {
        let newcomer = limiter.check(customer(number), at(end));
        assert!(newcomer.allowed && newcomer.remaining > 900, "{newcomer:?}");
    }
    // A window after the last stranger, nothing is left of the flood.
    for number in 0..100 {
        assert_eq!(limiter.check(customer(number), at(end + 901_000_000)).remaining, LIMIT - 1);
    }
}

#[test]
fn a_flood_that_never_ends_does_not_shut_newcomers_out() {
    // The smallest table, and 10 times its capacity in each of 40 windows.
    let limiter = limiter(1 << 20);
    let mut least = LIMIT;
    for number in 0..40 * 819_200 {
        let micros = u64::from(number) * 900_000_000 / 819_200;
        least = least.min(limiter.check(stranger(number), at(micros)).remaining);
    }
    assert!(least > 900, "{least}");
}
