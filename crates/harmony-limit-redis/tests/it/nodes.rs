//! Nodes as they would be in several processes: each with its own limiter, thread and table.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use harmony_limit::{Asked, ClientKey, Decision, Ipv6Prefix, Limiter, Now, Quota};
use harmony_limit_redis::{Event, Options, RedisAddress, SharedLimiter};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Long enough for a machine that does other things beside; the deadline has a test of its own.
pub const PATIENT: Duration = Duration::from_millis(1_000);

pub fn mono() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed() + Duration::from_secs(1_000)
}

pub fn now() -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Now { mono: mono(), wall_unix_ms: u64::try_from(wall.as_millis()).unwrap() }
}

pub fn quota(limit: u32, window_secs: u64) -> Quota {
    Quota::new(limit, Duration::from_secs(window_secs)).unwrap()
}

pub fn options(address: RedisAddress, limit: u32, window_secs: u64) -> Options {
    Options::new(address, quota(limit, window_secs)).call_within(PATIENT)
}

pub fn client(number: u32) -> ClientKey {
    ClientKey::from_ip(IpAddr::V4(Ipv4Addr::from_bits(number)), Ipv6Prefix::default())
}

/// A node, and what it has told.
#[derive(Clone)]
pub struct Node {
    pub limiter: Arc<SharedLimiter>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Node {
    pub fn start(options: &Options) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let telling = Arc::clone(&told);
        let listener = move |event: Event<'_>| {
            let word = match event {
                Event::Lost(_) => "lost",
                Event::Forgotten => "forgotten",
                Event::Back => "back",
            };
            telling.lock().unwrap().push(word.to_owned());
        };
        let limiter = Arc::new(SharedLimiter::start(options, mono, listener).unwrap());
        Self { limiter, told }
    }

    pub fn several(count: usize, options: &Options) -> Vec<Self> {
        (0..count).map(|_| Self::start(options)).collect()
    }

    pub async fn ask(&self, client: ClientKey) -> Decision {
        match self.limiter.ask(client, now()) {
            Asked::Decided(decision) => decision,
            Asked::Waiting(waiting) => waiting.await,
        }
    }

    pub async fn allows(&self, number: u32) -> bool {
        self.ask(client(number)).await.allowed
    }

    pub fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    /// Asks until it is let through.
    pub async fn until_allowed(&self, number: u32, within: Duration) -> Duration {
        let begun = mono();
        let mut turns = Turns::begin();
        while !self.allows(number).await {
            assert!(mono() < begun + within, "client {number} is not let through within {within:?}");
            turns.next().await;
        }
        mono() - begun
    }

    /// Waits until something is so.
    pub async fn until(&self, within: Duration, what: &str, is_so: impl Fn(&SharedLimiter) -> bool) {
        eventually(within, what, || is_so(&self.limiter)).await;
    }
}

/// The turns of somebody who does something again and again, and leaves the machine to others in between.
pub struct Turns(Interval);

impl Turns {
    pub fn begin() -> Self {
        let mut turns = interval(Duration::from_millis(5));
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(turns)
    }

    pub async fn next(&mut self) {
        self.0.tick().await;
    }
}

/// Waits until something is so.
pub async fn eventually(within: Duration, what: &str, is_so: impl Fn() -> bool) {
    let begun = mono();
    let mut turns = Turns::begin();
    while !is_so() {
        assert!(mono() < begun + within, "{what}: not within {within:?}");
        turns.next().await;
    }
}

/// Waits until all nodes know of each other, and have claimed what is theirs then: the claims are even once each has said
/// twice more that it is there.
pub async fn acquainted(nodes: &[&Node]) {
    let count = u64::try_from(nodes.len()).unwrap();
    for node in nodes {
        node.until(Duration::from_secs(5), "the others", |node| node.stats().nodes == count).await;
    }
    let called: Vec<u64> = nodes.iter().map(|node| node.limiter.stats().calls).collect();
    for (node, called) in nodes.iter().zip(called) {
        node.until(Duration::from_secs(5), "two beats", |node| node.stats().calls > called + 2).await;
    }
}

/// Asks `times` times at every node, all at once, `shares[i]` of them at the node `i`, and counts who is let through.
pub async fn burst(nodes: &[Node], shares: &[usize], number: u32) -> usize {
    let mut asking = tokio::task::JoinSet::new();
    for (node, times) in nodes.iter().zip(shares) {
        for _ in 0..*times {
            let node = node.clone();
            asking.spawn(async move { node.allows(number).await });
        }
    }
    asking.join_all().await.into_iter().filter(|allowed| *allowed).count()
}
