//! However many threads ask at once, nobody gets one more than the limit.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use harmony_limit::{ClientKey, Ipv6Prefix, MemoryLimiter, Now, Quota, TableMemory};

const THREADS: u32 = 64;

fn client(number: u32) -> ClientKey {
    ClientKey::from_ip(IpAddr::V4(Ipv4Addr::from_bits(number)), Ipv6Prefix::default())
}

fn limiter(limit: u32, window_secs: u64, bytes: usize) -> MemoryLimiter {
    let quota = Quota::new(limit, Duration::from_secs(window_secs)).unwrap();
    MemoryLimiter::new(quota, TableMemory::new(bytes).unwrap()).unwrap()
}

fn at(millis: u64) -> Now {
    Now { mono: Duration::from_millis(millis), wall_unix_ms: 1_800_000_000_000 + millis }
}

/// Runs `job` on all threads at once, with the thread's number.
fn race(job: impl Fn(u32) + Sync) {
    let barrier = Barrier::new(usize::try_from(THREADS).unwrap());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (barrier, job) = (&barrier, &job);
            scope.spawn(move || {
                barrier.wait();
                job(thread);
            });
        }
    });
}

fn zeros(count: u32) -> Vec<AtomicU32> {
    (0..count).map(|_| AtomicU32::new(0)).collect()
}

fn add(counts: &[AtomicU32], index: u32, one: bool) {
    counts[usize::try_from(index).unwrap()].fetch_add(u32::from(one), Ordering::Relaxed);
}

#[test]
fn of_64_threads_exactly_the_limit_is_admitted_for_each_of_10_000_fresh_clients() {
    const CLIENTS: u32 = 10_000;
    for limit in [1, 50] {
        let limiter = limiter(limit, 900, 32 << 20);
        let admitted = zeros(CLIENTS);
        race(|_| {
            for number in 0..CLIENTS {
                add(&admitted, number, limiter.check(client(number), at(0)).allowed);
                add(&admitted, number, limiter.check(client(number), at(0)).allowed);
            }
        });
        assert!(admitted.iter().all(|count| count.load(Ordering::Relaxed) == limit), "limit {limit}");
    }
}

#[test]
fn of_64_threads_exactly_the_limit_is_admitted_for_one_client() {
    let limiter = limiter(100_000, 900, 1 << 20);
    let admitted = zeros(1);
    race(|_| (0..10_000).for_each(|_| add(&admitted, 0, limiter.check(client(1), at(0)).allowed)));
    assert_eq!(admitted[0].load(Ordering::Relaxed), 100_000);
}

#[test]
fn nobody_gets_more_than_the_limit_while_threads_evict_each_others_clients() {
    // The smallest table holds 81,920.
    const CLIENTS: u32 = 150_000;
    const LIMIT: u32 = 8;
    let limiter = limiter(LIMIT, 900, 1 << 20);
    let admitted = zeros(CLIENTS);
    race(|thread| {
        for step in 0..CLIENTS {
            // Each thread walks in an order of its own; 7,919 is coprime to the number of clients.
            let number = (step * 7 + thread * 7_919) % CLIENTS;
            add(&admitted, number, limiter.check(client(number), at(0)).allowed);
        }
    });
    assert!(limiter.stats().evictions > 0);
    let most = admitted.iter().map(|count| count.load(Ordering::Relaxed)).max();
    assert!(most <= Some(LIMIT), "{most:?}");
}

#[test]
fn every_window_holds_exactly_the_limit_while_threads_cross_its_end() {
    const CLIENTS: u32 = 100;
    const LIMIT: u32 = 20;
    const SECONDS: u32 = 30;
    let limiter = limiter(LIMIT, 1, 1 << 20);
    let admitted = zeros(CLIENTS * (SECONDS + 2));
    let steps = Barrier::new(usize::try_from(THREADS).unwrap());
    race(|thread| {
        for millis in (0..u64::from(SECONDS) * 1_000).step_by(50) {
            steps.wait();
            // The threads' clocks are read at slightly different times.
            let now = at(millis + u64::from(thread % 4) * 10);
            for number in 0..CLIENTS {
                let decision = limiter.check(client(number), now);
                // No two windows of a client end in the same second.
                let window = u32::try_from(decision.reset_unix_secs - 1_800_000_000).unwrap();
                add(&admitted, number * (SECONDS + 2) + window, decision.allowed);
            }
        }
    });
    let counts: Vec<u32> = admitted.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    assert!(counts.iter().all(|count| [0, LIMIT].contains(count)), "{counts:?}");
    let full = counts.iter().filter(|count| **count == LIMIT).count();
    assert!(full > 2_800, "{full} windows of 100 clients in 30 seconds");
}
