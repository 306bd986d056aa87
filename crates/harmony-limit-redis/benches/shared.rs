//! What a request costs the node that holds a grant, and what a client's window costs Redis.
//!
//! Run it with `tests/with-redis cargo bench -p harmony-limit-redis --bench shared`. The server in `TEST_REDIS_URL` must do nothing else.

use std::env;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::hint::black_box;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use criterion::Criterion;
use harmony_limit::{Asked, ClientKey, Decision, Ipv6Prefix, Limiter, Now, Quota, TableMemory};
use harmony_limit_redis::{Mode, Options, RedisAddress, SharedLimiter};
use redis::{Client, Connection};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error>;

const NODES: usize = 4;
const LIMIT: u32 = 1_000;
const WINDOWS: u32 = 100;
/// Longer than a busy machine may keep a thread waiting; the costs are the same.
const DEADLINE: Duration = Duration::from_secs(1);

fn client(number: u32) -> ClientKey {
    ClientKey::from_ip(IpAddr::V4(Ipv4Addr::from_bits(number)), Ipv6Prefix::default())
}

struct Nodes {
    start: Instant,
    limiters: Vec<std::sync::Arc<SharedLimiter>>,
}

impl Nodes {
    fn start(url: &str, limit: u32, count: usize, mode: Mode, prefix: &str) -> Result<Self, Failure> {
        let start = now();
        let quota = Quota::new(limit, Duration::from_secs(900))?;
        let options = Options::new(RedisAddress::parse(url)?, quota).mode(mode).call_within(DEADLINE);
        let options = options.prefix(prefix).memory(TableMemory::default());
        let limiters = (0..count).map(|_| {
            let limiter = SharedLimiter::start(&options, move || start.elapsed(), |_| {})?;
            Ok::<_, Failure>(std::sync::Arc::new(limiter))
        });
        let limiters = limiters.collect::<Result<Vec<_>, _>>()?;
        // Until all know of each other.
        while limiters.iter().any(|limiter| limiter.stats().nodes < count as u64) {
            std::thread::yield_now();
        }
        Ok(Self { start, limiters })
    }

    fn now(&self) -> Now {
        Now { mono: self.start.elapsed(), wall_unix_ms: 1_800_000_000_000 }
    }

    fn calls(&self) -> u64 {
        self.limiters.iter().map(|limiter| limiter.stats().calls).sum()
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is an edge")]
fn now() -> Instant {
    Instant::now()
}

async fn ask(limiter: &SharedLimiter, client: ClientKey, now: Now) -> Decision {
    match limiter.ask(client, now) {
        Asked::Decided(decision) => decision,
        Asked::Waiting(waiting) => waiting.await,
    }
}

fn main() -> Result<(), Failure> {
    let url = env::var("TEST_REDIS_URL").map_err(|_| "run it with tests/with-redis")?;
    let mut criterion = Criterion::default().configure_from_args();
    local(&mut criterion, &url)?;
    if env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    windows(&url)?;
    criterion.final_summary();
    Ok(())
}

/// What a request costs that needs nobody: from a grant, and refused.
fn local(criterion: &mut Criterion, url: &str) -> Result<(), Failure> {
    let runtime = Runtime::new()?;
    let nodes = Nodes::start(url, Quota::MAX_LIMIT, 1, Mode::Lease, "bench-local")?;
    let [limiter] = &*nodes.limiters else { return Err("one node".into()) };
    let at = nodes.now();
    let mut number = 0;
    criterion.bench_function("from a grant", |bench| {
        bench.iter_custom(|times| {
            // A client of its own for each round, of which a large grant is held.
            let (mut done, mut took) = (0, Duration::ZERO);
            while done < times {
                number += 1;
                let one = client(number);
                let mut left = 200_000.min(times - done);
                done += left;
                while left > 0 {
                    let begun = now();
                    let mut served = 0;
                    while served < left
                        && matches!(black_box(limiter.ask(black_box(one), at)), Asked::Decided(_))
                    {
                        served += 1;
                    }
                    took += begun.elapsed();
                    left -= served;
                    if left > 0 {
                        runtime.block_on(ask(limiter, one, nodes.now()));
                    }
                }
            }
            took
        });
    });
    let few = Nodes::start(url, 1, 1, Mode::Exact, "bench-refused")?;
    let [limiter] = &*few.limiters else { return Err("one node".into()) };
    let refused = client(1);
    runtime.block_on(async {
        ask(limiter, refused, few.now()).await;
        ask(limiter, refused, few.now()).await;
    });
    let at = few.now();
    criterion.bench_function("refused", |bench| {
        bench.iter(|| black_box(limiter.ask(black_box(refused), at)));
    });
    Ok(())
}

/// How the requests of a window come.
#[derive(Clone, Copy)]
enum Way {
    /// One client's, one after the other at all nodes in turn: each call finds Redis asleep, and carries one client.
    InTurn,
    /// The same at nodes drawn by lot: more is held than needed here and there when nothing is left to take.
    ByLot,
    /// As in turn, of many clients side by side, as with a service that many use: calls are shared.
    SideBySide,
    /// One client's, five times the limit at once.
    AtOnce,
}

impl Way {
    fn name(self) -> String {
        match self {
            Self::InTurn => "1,000 in turn".to_owned(),
            Self::ByLot => "1,000 by lot".to_owned(),
            Self::SideBySide => format!("1,000 in turn, {SIDE_BY_SIDE} clients side by side"),
            Self::AtOnce => "5,000 at once".to_owned(),
        }
    }

    fn clients(self) -> u32 {
        if matches!(self, Self::SideBySide) { SIDE_BY_SIDE } else { 1 }
    }
}

const SIDE_BY_SIDE: u32 = 100;

/// What whole windows cost.
fn windows(url: &str) -> Result<(), Failure> {
    let runtime = Runtime::new()?;
    let mut redis = Client::open(url)?.get_connection()?;
    for (mode, name) in [(Mode::Lease, "leases"), (Mode::Exact, "exact")] {
        for way in [Way::InTurn, Way::ByLot, Way::SideBySide, Way::AtOnce] {
            let nodes = Nodes::start(url, LIMIT, NODES, mode, &format!("bench-{name}-{}", way as u8))?;
            let nodes = std::sync::Arc::new(nodes);
            let _: () = redis::cmd("CONFIG").arg("RESETSTAT").query(&mut redis)?;
            let (before, cpu_before, begun) = (nodes.calls(), cpu_usecs(&mut redis)?, now());
            let mut allowed = 0;
            for round in 0..WINDOWS / way.clients() {
                let first = round * way.clients();
                let windows = (first..first + way.clients()).map(|client| one_window(&nodes, client, way));
                let passed = runtime.block_on(async { windows.collect::<JoinSet<u32>>().join_all().await });
                allowed += passed.iter().sum::<u32>();
            }
            let calls = nodes.calls() - before;
            let (script, cpu) = (script_usecs(&mut redis)?, cpu_usecs(&mut redis)? - cpu_before);
            writeln!(
                io::stdout(),
                "{name}, {}: {:.1} of {LIMIT} let through, {:.1} calls a window, beats among them; Redis {:.3} us a request let through in its scripts, {:.2} us in all; {:.2} ms a window",
                way.name(),
                f64::from(allowed) / f64::from(WINDOWS),
                calls as f64 / f64::from(WINDOWS),
                script / f64::from(allowed),
                cpu / f64::from(allowed),
                begun.elapsed().as_secs_f64() * 1e3 / f64::from(WINDOWS),
            )?;
        }
    }
    Ok(())
}

fn one_window(
    nodes: &std::sync::Arc<Nodes>,
    window: u32,
    way: Way,
) -> impl Future<Output = u32> + Send + 'static {
    let (nodes, client) = (std::sync::Arc::clone(nodes), client(window));
    async move {
        if !matches!(way, Way::AtOnce) {
            let lots = BuildHasherDefault::<DefaultHasher>::default();
            let mut allowed = 0;
            for request in 0..u64::from(LIMIT) {
                let at = if matches!(way, Way::ByLot) { lots.hash_one((window, request)) } else { request };
                let Some(limiter) = nodes.limiters.get(at as usize % NODES) else { continue };
                allowed += u32::from(ask(limiter, client, nodes.now()).await.allowed);
            }
            return allowed;
        }
        let mut asking = JoinSet::new();
        for limiter in &nodes.limiters {
            for _ in 0..LIMIT as usize * 5 / NODES {
                let (limiter, now) = (std::sync::Arc::clone(limiter), nodes.now());
                asking.spawn(async move { ask(&limiter, client, now).await.allowed });
            }
        }
        asking.join_all().await.into_iter().map(u32::from).sum()
    }
}

/// How long Redis has spent in scripts, by the clock on the wall, in microseconds.
fn script_usecs(redis: &mut Connection) -> Result<f64, Failure> {
    let stats: String = redis::cmd("INFO").arg("commandstats").query(redis)?;
    let scripts = stats.lines().filter(|line| line.starts_with("cmdstat_eval"));
    let usecs = scripts.filter_map(|line| line.split("usec=").nth(1)?.split(',').next()?.parse::<f64>().ok());
    Ok(usecs.sum())
}

/// What the thread that works for clients has used of a processor, the kernel's part for the network and for waking up included, in microseconds.
fn cpu_usecs(redis: &mut Connection) -> Result<f64, Failure> {
    let stats: String = redis::cmd("INFO").arg("cpu").query(redis)?;
    let parts = stats.lines().filter_map(|line| line.split_once("_main_thread:"));
    Ok(parts.filter_map(|(_, seconds)| seconds.trim().parse::<f64>().ok()).sum::<f64>() * 1e6)
}
