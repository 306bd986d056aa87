//! The limiter beside governor's and a plain `DashMap`: a hot client, a million clients at random, and bytes a client.
//!
//! None refuses but where it says so. The limiter is given the time, as its caller has read it for other ends already; governor is measured
//! both with the clock that it reads by default and with one that stands still.

use std::env;
use std::hint::black_box;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::process::Command;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use dashmap::DashMap;
use governor::clock::{Clock, DefaultClock, FakeRelativeClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota as GovernorQuota, RateLimiter};
use harmony_limit::{ClientKey, Ipv6Prefix, MemoryLimiter, Now, Quota, TableMemory};

type Failure = Box<dyn std::error::Error>;

/// What is measured: one more request of a client.
trait Candidate {
    fn check(&self, address: u32, now: Now) -> bool;
}

const START: Now = Now { mono: Duration::from_millis(5_123), wall_unix_ms: 1_800_000_000_000 };

impl Candidate for MemoryLimiter {
    fn check(&self, address: u32, now: Now) -> bool {
        let client = ClientKey::from_ip(IpAddr::V4(Ipv4Addr::from_bits(address)), Ipv6Prefix::default());
        self.check(client, now).allowed
    }
}

/// Its quota is larger than any measurement, so that its time may stand still.
struct Governor<C: Clock>(RateLimiter<u64, DashMapStateStore<u64>, C, NoOpMiddleware<C::Instant>>);

impl<C: Clock> Candidate for Governor<C> {
    fn check(&self, address: u32, _now: Now) -> bool {
        self.0.check_key(&u64::from(address)).is_ok()
    }
}

/// A fixed window in a map, as one writes it in an hour; it grows without a bound.
struct Plain {
    clients: DashMap<u64, (u32, Duration)>,
    window: Duration,
}

impl Candidate for Plain {
    fn check(&self, address: u32, now: Now) -> bool {
        let mut entry = self.clients.entry(u64::from(address)).or_insert((0, now.mono + self.window));
        if entry.1 <= now.mono {
            *entry = (0, now.mono + self.window);
        }
        let fits = entry.0 < Quota::MAX_LIMIT;
        entry.0 += u32::from(fits);
        fits
    }
}

fn harmony(bytes: usize, limit: u32, window_secs: u64) -> Result<MemoryLimiter, Failure> {
    let quota = Quota::new(limit, Duration::from_secs(window_secs))?;
    Ok(MemoryLimiter::new(quota, TableMemory::new(bytes)?)?)
}

fn governor<C: Clock + Default>() -> Governor<C> {
    let quota = GovernorQuota::per_second(NonZeroU32::MAX);
    Governor(RateLimiter::new(quota, DashMapStateStore::default(), C::default()))
}

fn plain(window_secs: u64) -> Plain {
    Plain { clients: DashMap::new(), window: Duration::from_secs(window_secs) }
}

/// One client, whose window starts anew before its million requests are spent.
fn hot(criterion: &mut Criterion) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group("hot client");
    hot_with(&mut group, "harmony", &harmony(32 << 20, Quota::MAX_LIMIT, 1)?);
    hot_with(&mut group, "governor", &governor::<DefaultClock>());
    hot_with(&mut group, "governor without a clock", &governor::<FakeRelativeClock>());
    hot_with(&mut group, "plain map", &plain(1));
    group.finish();
    Ok(())
}

fn hot_with(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, candidate: &impl Candidate) {
    let mut nanos = 0;
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            nanos += 1_000;
            candidate.check(black_box(1), Now { mono: Duration::from_nanos(nanos), ..START })
        });
    });
}

/// One client with nothing left.
fn refused(criterion: &mut Criterion) -> Result<(), Failure> {
    let limiter = harmony(32 << 20, 1, 900)?;
    Candidate::check(&limiter, 1, START);
    let mut group = criterion.benchmark_group("refused client");
    group.bench_function("harmony", |bencher| {
        bencher.iter(|| Candidate::check(&limiter, black_box(1), START))
    });
    group.finish();
    Ok(())
}

fn at_random(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, candidate: &impl Candidate, clients: u32) {
    (0..clients).for_each(|address| {
        black_box(candidate.check(address, START));
    });
    let mut state = 1_u64;
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let address = ((state >> 32) * u64::from(clients)) >> 32;
            candidate.check(black_box(address as u32), START)
        });
    });
}

fn million(criterion: &mut Criterion) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group("1 million clients at random");
    at_random(&mut group, "harmony 32 MiB", &harmony(32 << 20, Quota::MAX_LIMIT, 900)?, 1_000_000);
    at_random(&mut group, "harmony 16 MiB", &harmony(16 << 20, Quota::MAX_LIMIT, 900)?, 1_000_000);
    at_random(&mut group, "governor", &governor::<DefaultClock>(), 1_000_000);
    at_random(&mut group, "governor without a clock", &governor::<FakeRelativeClock>(), 1_000_000);
    at_random(&mut group, "plain map", &plain(900), 1_000_000);
    group.finish();
    Ok(())
}

/// The variable that makes this program fill one limiter, print how much memory that took, and end.
const FILL: &str = "HARMONY_BENCH_FILL";

fn fill(name: &str, out: &mut impl Write) -> Result<(), Failure> {
    let before = resident()?;
    let (candidate, clients): (Box<dyn Candidate>, u32) = match name {
        "harmony, 16 MiB, 1 million" => (Box::new(harmony(16 << 20, 1_000, 900)?), 1_000_000),
        "harmony, 128 MiB, 8.39 million (80 %)" => (Box::new(harmony(128 << 20, 1_000, 900)?), 8_388_608),
        "harmony, 256 MiB, 10 million" => (Box::new(harmony(256 << 20, 1_000, 900)?), 10_000_000),
        "governor, 1 million" => (Box::new(governor::<FakeRelativeClock>()), 1_000_000),
        "governor, 10 million" => (Box::new(governor::<FakeRelativeClock>()), 10_000_000),
        "plain map, 1 million" => (Box::new(plain(900)), 1_000_000),
        "plain map, 10 million" => (Box::new(plain(900)), 10_000_000),
        unknown => return Err(format!("nothing to fill is called {unknown}").into()),
    };
    for address in 0..clients {
        candidate.check(address, START);
    }
    let bytes = resident()? - before;
    writeln!(out, "{name}: {:.1} bytes a client", bytes as f64 / f64::from(clients))?;
    Ok(())
}

/// Each in a process of its own: freed memory would be taken again unseen.
fn memory() -> Result<(), Failure> {
    for name in [
        "harmony, 16 MiB, 1 million",
        "harmony, 128 MiB, 8.39 million (80 %)",
        "harmony, 256 MiB, 10 million",
        "governor, 1 million",
        "governor, 10 million",
        "plain map, 1 million",
        "plain map, 10 million",
    ] {
        Command::new(env::current_exe()?).env(FILL, name).status()?;
    }
    Ok(())
}

/// Resident memory in bytes.
fn resident() -> Result<u64, Failure> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).ok_or("statm has a second field")?.parse()?;
    Ok(pages * 4_096)
}

fn main() -> Result<(), Failure> {
    if let Ok(name) = env::var(FILL) {
        return fill(&name, &mut io::stdout().lock());
    }
    let mut criterion = Criterion::default().configure_from_args();
    hot(&mut criterion)?;
    refused(&mut criterion)?;
    million(&mut criterion)?;
    criterion.final_summary();
    if env::args().any(|argument| argument == "--bench") { memory() } else { Ok(()) }
}
