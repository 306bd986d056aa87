//! Redis stopped, killed and flushed in the middle of a window: nobody gets more than the limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use harmony_limit_redis::{Mode, OnOutage};
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::nodes::{Node, Turns, eventually, mono, options};
use crate::server::Redis;

const LIMIT: u32 = 1_000;
const CLIENTS: u32 = 6;
/// Clients who come seldom, and what each of them may.
const MANY: u32 = 10_000;
const SMALL: u32 = 10;

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Stopped,
    Killed,
    Flushed,
}

impl Trouble {
    /// Until Redis is back; when that was.
    async fn befall(self, redis: &mut Redis, nodes: &[Node]) -> Duration {
        match self {
            Self::Stopped => {
                redis.signal(Signal::STOP);
                all_notice(nodes).await;
                redis.signal(Signal::CONT);
            }
            Self::Killed => {
                redis.kill();
                all_notice(nodes).await;
                redis.run();
            }
            Self::Flushed => {
                redis.command(&["FLUSHALL"]);
            }
        }
        mono()
    }
}

/// Asks at all nodes without pause, counting what passes, until told to end.
struct Load {
    passed: Arc<Vec<AtomicU32>>,
    asked: Arc<AtomicU32>,
    ends: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Load {
    fn start(nodes: &[Node]) -> Self {
        let passed: Arc<Vec<AtomicU32>> = Arc::new((0..CLIENTS).map(|_| AtomicU32::new(0)).collect());
        let (asked, ends) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        for node in nodes {
            for task in 0..4 {
                let (node, passed) = (node.clone(), Arc::clone(&passed));
                let (asked, ends) = (Arc::clone(&asked), Arc::clone(&ends));
                tasks.spawn(async move {
                    let (mut turn, mut turns) = (task, Turns::begin());
                    while !ends.load(Ordering::Relaxed) {
                        let number = turn % CLIENTS;
                        let allowed = node.allows(number).await;
                        passed[usize::try_from(number).unwrap()]
                            .fetch_add(u32::from(allowed), Ordering::Relaxed);
                        asked.fetch_add(1, Ordering::Relaxed);
                        turn += 1;
                        if turn % 4 == 0 {
                            turns.next().await;
                        }
                    }
                });
            }
        }
        Self { passed, asked, ends, tasks }
    }

    /// Each task walks over its own of many clients; 97 of 100 requests go to the first of four nodes.
    fn of_many(nodes: &[Node]) -> Self {
        let passed: Arc<Vec<AtomicU32>> = Arc::new((0..MANY).map(|_| AtomicU32::new(0)).collect());
        let (asked, ends) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        for task in 0..64 {
            let (nodes, passed) = (nodes.to_vec(), Arc::clone(&passed));
            let (asked, ends) = (Arc::clone(&asked), Arc::clone(&ends));
            tasks.spawn(async move {
                for turn in 0.. {
                    for number in (task..MANY).step_by(64) {
                        if ends.load(Ordering::Relaxed) {
                            return;
                        }
                        let place = ((number / 64 + turn) % 100).saturating_sub(96);
                        let allowed = nodes[usize::try_from(place).unwrap()].allows(number).await;
                        passed[usize::try_from(number).unwrap()]
                            .fetch_add(u32::from(allowed), Ordering::Relaxed);
                        asked.fetch_add(1, Ordering::Relaxed);
                        tokio::task::consume_budget().await;
                    }
                }
            });
        }
        Self { passed, asked, ends, tasks }
    }

    /// Until so many more were asked for.
    async fn asks(&self, more: u32) {
        let enough = self.asked.load(Ordering::Relaxed) + more;
        let asked = || self.asked.load(Ordering::Relaxed) >= enough;
        eventually(Duration::from_secs(60), "asked so many more", asked).await;
    }

    fn counts(&self) -> Vec<u32> {
        self.passed.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    async fn until(&self, least: u32) {
        let reached = || self.counts().iter().all(|count| *count >= least);
        eventually(Duration::from_secs(30), &format!("{least} of each client"), reached).await;
    }

    /// Until so many were let through, whoever they are.
    async fn passes(&self, least: u32) {
        let reached = || self.counts().iter().sum::<u32>() >= least;
        eventually(Duration::from_secs(60), &format!("{least} in all"), reached).await;
    }

    async fn end(self) -> Vec<u32> {
        self.ends.store(true, Ordering::Relaxed);
        let counts = Arc::clone(&self.passed);
        self.tasks.join_all().await;
        counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

async fn all_notice(nodes: &[Node]) {
    for node in nodes {
        node.until(Duration::from_secs(5), "out of reach", |node| node.stats().out_of_reach == 1).await;
    }
}

async fn in_the_middle_of_a_window(trouble: Trouble, on_outage: OnOutage, mode: Mode) {
    let mut redis = Redis::start();
    let options = options(redis.address(), LIMIT, 900)
        .mode(mode)
        .on_outage(on_outage)
        .call_within(Duration::from_millis(100));
    let nodes = Node::several(3, &options);
    let load = Load::start(&nodes);
    load.until(300).await;
    let back = trouble.befall(&mut redis, &nodes).await;
    let at_the_worst = load.counts();
    // All are back, and the rest of the window is let through. What had been granted when Redis was stopped and was not answered in
    // time is nobody's: of what is left three tenths at most for each of the three nodes, and who waits.
    load.until(if matches!(trouble, Trouble::Stopped) { 600 } else { 900 }).await;
    let recovered = mono() - back;
    load.asks(LIMIT * CLIENTS).await;
    let passed = load.end().await;
    eprintln!("{trouble:?}, {on_outage:?}, {mode:?}: {at_the_worst:?}, then {passed:?}, after {recovered:?}");
    assert!(passed.iter().all(|count| *count <= LIMIT), "{passed:?}");
    for node in &nodes {
        let (stats, told) = (node.limiter.stats(), node.told());
        match trouble {
            Trouble::Stopped => assert_eq!(stats.told_anew, 0),
            Trouble::Killed | Trouble::Flushed => assert_eq!(stats.told_anew, 1, "{told:?}"),
        }
        let lost = told.iter().filter(|word| *word == "lost").count();
        assert_eq!(u64::try_from(lost).unwrap(), stats.outages, "{told:?}");
        assert!(lost <= 2, "told once for each outage, and not for each request: {told:?}");
        assert_eq!(stats.out_of_reach, 0);
    }
}

macro_rules! troubles {
    ($($name:ident: $trouble:ident $on_outage:ident $mode:ident,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            in_the_middle_of_a_window(Trouble::$trouble, OnOutage::$on_outage, Mode::$mode).await;
        })*
    };
}

troubles! {
    stopped_and_shared: Stopped Share Lease,
    stopped_and_refused: Stopped Refuse Lease,
    killed_and_shared: Killed Share Lease,
    killed_and_refused: Killed Refuse Lease,
    flushed_and_shared: Flushed Share Lease,
    flushed_and_refused: Flushed Refuse Lease,
    stopped_when_exact: Stopped Share Exact,
    killed_when_exact: Killed Share Exact,
    flushed_when_exact: Flushed Refuse Exact,
}

/// What had been granted when Redis was stopped, and was not answered in time, is nobody's; all else is let through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_clients_of_whom_one_node_sees_most_get_no_more_than_their_limit() {
    for trouble in [Trouble::Stopped, Trouble::Killed, Trouble::Flushed] {
        for on_outage in [OnOutage::Share, OnOutage::Refuse] {
            let mut redis = Redis::start();
            let options = options(redis.address(), SMALL, 900)
                .on_outage(on_outage)
                .call_within(Duration::from_millis(100));
            let nodes = Node::several(4, &options);
            nodes[0].until(Duration::from_secs(5), "four nodes", |node| node.stats().nodes == 4).await;
            let load = Load::of_many(&nodes);
            load.asks(MANY * SMALL / 3).await;
            let at_the_worst: u32 = load.counts().iter().sum();
            trouble.befall(&mut redis, &nodes).await;
            for node in &nodes {
                node.until(Duration::from_secs(10), "in reach", |node| node.stats().out_of_reach == 0).await;
            }
            // A node that cannot ask refuses faster than it finds its way back.
            load.passes(MANY * SMALL / 100 * 95).await;
            load.asks(MANY * SMALL * 3).await;
            let passed = load.end().await;
            let (most, total): (u32, u32) = (passed.iter().copied().max().unwrap(), passed.iter().sum());
            eprintln!("{trouble:?}, {on_outage:?}: {at_the_worst}, then {total} of {}", MANY * SMALL);
            assert!(most <= SMALL, "{trouble:?}, {on_outage:?}: {most}");
        }
    }
}

/// A node that died between the two is nobody's to ask: its window has to pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_after_a_node_has_gone_grants_nothing_until_its_windows_have_ended() {
    let redis = Redis::start();
    let nodes = Node::several(2, &options(redis.address(), 10, 3));
    nodes[1].until(Duration::from_secs(5), "two nodes", |node| node.stats().nodes == 2).await;
    nodes[1].until_allowed(1, Duration::from_secs(1)).await;
    let mut passed = 1;
    for _ in 0..4 {
        passed += u32::from(nodes[0].allows(1).await);
    }
    nodes[0].limiter.stop();
    let begun = mono();
    redis.command(&["FLUSHALL"]);
    nodes[1].until(Duration::from_secs(5), "told anew", |node| node.stats().told_anew == 1).await;
    let (mut refused_for, mut turns) = (Duration::ZERO, Turns::begin());
    while mono() < begun + Duration::from_secs(2) {
        passed += u32::from(nodes[1].allows(1).await);
        refused_for = mono() - begun;
        turns.next().await;
    }
    assert!(passed <= 10, "{passed} in {refused_for:?}");
    assert!(!nodes[1].allows(2).await, "a client of whom the other may have known");
    nodes[1].until_allowed(2, Duration::from_secs(5)).await;
}
