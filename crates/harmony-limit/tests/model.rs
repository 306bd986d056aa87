//! While the table is not full, the limiter answers exactly as a map that forgets nothing would.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use harmony_limit::{ClientKey, Ipv6Prefix, MemoryLimiter, Now, Quota, Secret, TableMemory};
use proptest::prelude::*;

const TEN_MS_NANOS: u128 = 10_000_000;

/// Windows and the width of their ticks, in units of 10 ms.
const WINDOWS: [(Duration, u128); 6] = [
    (Duration::from_secs(1), 1),
    (Duration::from_millis(2_345), 1),
    (Duration::from_secs(900), 1),
    (Duration::from_nanos(900_000_000_001), 1),
    (Duration::from_secs(3_600), 3),
    (Duration::from_secs(86_400), 66),
];

struct Model {
    limit: u32,
    window: Duration,
    tick_nanos: u128,
    /// How many were let through, and when the window ends in nanoseconds.
    clients: HashMap<u32, (u32, u128)>,
}

#[derive(Debug, PartialEq)]
struct Answer {
    allowed: bool,
    remaining: u32,
    reset_unix_secs: u64,
    reset_after: Duration,
    retry_after_secs: Option<u64>,
}

impl Model {
    fn check(&mut self, client: u32, mono: Duration, offset_ms: u128) -> Answer {
        let (now, tick) = (mono.as_nanos(), self.tick_nanos);
        let ends_by = now / tick * tick;
        let fresh = (0, (now.div_ceil(tick) + self.window.as_nanos().div_ceil(tick)) * tick);
        let (count, end) = self.clients.entry(client).or_insert(fresh);
        if *end <= ends_by {
            (*count, *end) = fresh;
        }
        let allowed = *count < self.limit;
        *count += u32::from(allowed);
        let after = *end - now;
        let after_secs = u64::try_from(after.div_ceil(1_000_000_000)).unwrap();
        Answer {
            allowed,
            remaining: self.limit - *count,
            reset_unix_secs: u64::try_from((*end / 1_000_000 + offset_ms).div_ceil(1_000)).unwrap(),
            reset_after: Duration::from_nanos(u64::try_from(after).unwrap()),
            retry_after_secs: (!allowed).then_some(after_secs.max(1)),
        }
    }
}

/// From nothing at all over parts of a window to years.
fn pause() -> impl Strategy<Value = Duration> {
    let window = prop::sample::select(WINDOWS.map(|(window, _)| window).to_vec());
    prop_oneof![
        8 => Just(Duration::ZERO),
        4 => (0_u64..30_000_000).prop_map(Duration::from_nanos),
        4 => (0_u64..2_000).prop_map(Duration::from_millis),
        4 => (window.clone(), 1_u32..=8).prop_map(|(window, part)| window / part),
        2 => (window, 0_u64..20_000_000).prop_map(|(window, less)| window - Duration::from_nanos(less)),
        // An era of 2^17 ticks and its neighbourhood, where stored starts change their meaning.
        2 => (1_u64..4, -20_i64..20).prop_map(|(eras, off)| {
            Duration::from_millis((eras * 1_310_720).saturating_add_signed(off * 10))
        }),
        1 => (1_u64..400).prop_map(|days| Duration::from_secs(days * 86_400)),
        // Where 32-bit counters of milliseconds wrap.
        1 => Just(Duration::from_millis(1 << 32)),
        1 => (1_u64..9).prop_map(|years| Duration::from_secs(years * 31_556_952)),
    ]
}

fn address(client: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(client))
}

fn memory() -> TableMemory {
    TableMemory::new(TableMemory::MIN_BYTES).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_answer_is_the_exact_one(
        (window, tens) in prop::sample::select(WINDOWS.to_vec()),
        limit in prop_oneof![1_u32..6, Just(1_000), Just(Quota::MAX_LIMIT)],
        secret: [u8; 24],
        start in prop_oneof![Just(Duration::ZERO), (0_u64..1 << 50).prop_map(Duration::from_nanos)],
        steps in prop::collection::vec((0_u32..8, pause()), 1..400),
    ) {
        let quota = Quota::new(limit, window).unwrap();
        let limiter = MemoryLimiter::with_secret(quota, memory(), Secret::from_bytes(&secret)).unwrap();
        let mut model = Model { limit, window, tick_nanos: tens * TEN_MS_NANOS, clients: HashMap::new() };
        let mut mono = start;
        for (client, pause) in steps {
            mono += pause;
            let offset_ms = 1_700_000_000_000;
            let now = Now { mono, wall_unix_ms: u64::try_from(offset_ms + mono.as_millis()).unwrap() };
            let decision = limiter.check(ClientKey::from_ip(address(client), Ipv6Prefix::default()), now);
            let answer = Answer {
                allowed: decision.allowed,
                remaining: decision.remaining,
                reset_unix_secs: decision.reset_unix_secs,
                reset_after: decision.reset_after,
                retry_after_secs: decision.retry_after_secs(),
            };
            prop_assert_eq!(answer, model.check(client, mono, offset_ms));
            prop_assert_eq!(decision.limit, limit);
        }
        prop_assert_eq!(limiter.stats().evictions, 0);
    }
}

#[test]
fn exactly_1000_in_15_minutes_and_a_refusal_does_not_lengthen_the_window() {
    let quota = Quota::new(1_000, Duration::from_secs(900)).unwrap();
    let limiter = MemoryLimiter::new(quota, memory()).unwrap();
    let client = ClientKey::from_ip(address(1), Ipv6Prefix::default());
    let at = |millis| Now { mono: Duration::from_millis(millis), wall_unix_ms: 1_800_000_000_000 + millis };
    for nth in 1..=1_000 {
        let decision = limiter.check(client, at(nth));
        assert_eq!((decision.allowed, u64::from(decision.remaining)), (true, 1_000 - nth));
        assert_eq!(decision.reset_unix_secs, 1_800_000_901);
    }
    for millis in [1_001, 450_000, 899_000, 900_009] {
        let decision = limiter.check(client, at(millis));
        assert_eq!(
            (decision.allowed, decision.remaining, decision.reset_unix_secs),
            (false, 0, 1_800_000_901)
        );
    }
    let decision = limiter.check(client, at(900_010));
    assert_eq!((decision.allowed, decision.remaining, decision.reset_unix_secs), (true, 999, 1_800_001_801));
}

#[test]
fn of_clients_for_four_fifths_of_the_capacity_hardly_one_in_a_thousand_is_dropped() {
    let quota = Quota::new(10, Duration::from_secs(900)).unwrap();
    let limiter = MemoryLimiter::new(quota, memory()).unwrap();
    let now = Now { mono: Duration::ZERO, wall_unix_ms: 0 };
    let clients = u32::try_from(limiter.stats().capacity * 4 / 5).unwrap();
    for client in 0..clients {
        limiter.check(ClientKey::from_ip(address(client), Ipv6Prefix::default()), now);
    }
    let evictions = limiter.stats().evictions;
    assert!(evictions < u64::from(clients) / 1_000, "{evictions} of {clients}");
}
