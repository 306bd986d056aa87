//! What is let through while Redis is there.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use harmony_limit_redis::Mode;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::nodes::{Node, Turns, acquainted, burst, client, mono, options};
use crate::server::Redis;

const ROUNDS: u32 = 200;
const LIMIT: usize = 1_000;
/// Three nodes, five times the limit.
const EVEN: [usize; 3] = [1_667, 1_667, 1_666];

fn calls(nodes: &[Node]) -> u64 {
    nodes.iter().map(|node| node.limiter.stats().calls).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_five_times_the_limit_at_three_nodes_passes_the_limit_and_no_more() {
    let redis = Redis::start();
    let nodes = Node::several(3, &options(redis.address(), 1_000, 900));
    let mut least = LIMIT;
    for round in 0..ROUNDS {
        let passed = burst(&nodes, &EVEN, round).await;
        assert!((995..=LIMIT).contains(&passed), "{passed} in round {round}");
        least = least.min(passed);
    }
    eprintln!("{ROUNDS} rounds: at least {least} of {LIMIT}, {} calls a round", calls(&nodes) / 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_in_exact_mode_passes_exactly_the_limit() {
    let redis = Redis::start();
    let nodes = Node::several(3, &options(redis.address(), 1_000, 900).mode(Mode::Exact));
    for round in 0..20 {
        assert_eq!(burst(&nodes, &EVEN, round).await, LIMIT, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_10_000_clients_passes_the_limit_of_each_and_no_more() {
    const CLIENTS: u32 = 10_000;
    const SMALL: u32 = 10;
    let redis = Redis::start();
    let nodes = Node::several(3, &options(redis.address(), SMALL, 900));
    let mut asking = JoinSet::new();
    for task in 0..64_u32 {
        let nodes = nodes.clone();
        asking.spawn(async move {
            let mut passed = HashMap::new();
            // Each of the 64 walks over its own clients, all nodes in turn, five times the limit each.
            for turn in 0..SMALL * 5 {
                for number in (task..CLIENTS).step_by(64) {
                    let node = &nodes[usize::try_from(turn + number).unwrap() % nodes.len()];
                    *passed.entry(number).or_insert(0) += u32::from(node.allows(number).await);
                }
            }
            passed
        });
    }
    let passed: HashMap<u32, u32> = asking.join_all().await.into_iter().flatten().collect();
    assert_eq!(passed.len(), 10_000);
    assert!(passed.values().all(|count| *count <= SMALL), "somebody got more than {SMALL}");
    let total: u32 = passed.values().sum();
    assert!(total >= CLIENTS * SMALL / 1_000 * 995, "{total} of {}", CLIENTS * SMALL);
    eprintln!("10,000 clients: {total} of {}, {} calls", CLIENTS * SMALL, calls(&nodes));
}

/// As a balancer would deal them out: one stream, in which 97 of 100 go to the first node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_that_is_97_to_1_to_1_to_1_passes_the_limit_and_no_more() {
    let redis = Redis::start();
    let nodes = Node::several(4, &options(redis.address(), 1_000, 900));
    nodes[0].until(Duration::from_secs(5), "four nodes", |node| node.stats().nodes == 4).await;
    for round in 0..50 {
        let before = calls(&nodes);
        let mut asking = JoinSet::new();
        for task in 0..50_u32 {
            let nodes = nodes.clone();
            asking.spawn(async move {
                let mut passed = 0;
                for turn in 0..100 {
                    let turn = (turn + task * 2) % 100;
                    let node = &nodes[usize::try_from(turn.saturating_sub(96)).unwrap()];
                    passed += usize::from(node.allows(round).await);
                }
                passed
            });
        }
        let passed: usize = asking.join_all().await.into_iter().sum();
        assert!((995..=LIMIT).contains(&passed), "{passed} in round {round}");
        let used = calls(&nodes) - before;
        assert!(used <= 70, "{used} calls in round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_of_1_000_over_four_nodes_takes_70_calls_at_most() {
    let redis = Redis::start();
    let nodes = Node::several(4, &options(redis.address(), 1_000, 900));
    for node in &nodes {
        node.until(Duration::from_secs(5), "four nodes", |node| node.stats().nodes == 4).await;
    }
    let (mut most, mut least) = (0, LIMIT);
    for round in 0..20 {
        let (before, begun) = (calls(&nodes), mono());
        let mut passed = 0;
        // One after the other, each node in turn: what asks most often.
        for turn in 0..1_100 {
            passed += usize::from(nodes[turn % 4].allows(round).await);
        }
        // Beats are no client's.
        let beats = u64::try_from((mono() - begun).as_millis()).unwrap() / 250 * 4 + 4;
        let used = (calls(&nodes) - before).saturating_sub(beats);
        (most, least) = (most.max(used), least.min(passed));
        assert!((995..=LIMIT).contains(&passed), "{passed} in round {round}");
    }
    eprintln!("one after the other: at most {most} calls, at least {least} of {LIMIT}");
    assert!(most <= 70, "{most} calls");
}

/// What a node holds ahead of requests is never what another one needs for its equal part of half the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_asked_first_leaves_the_others_what_they_are_asked_for() {
    const SMALL: u32 = 400;
    let redis = Redis::start();
    for count in [2, 4] {
        let options = options(redis.address(), SMALL, 900).prefix(format!("of-{count}"));
        let nodes = Node::several(count, &options);
        acquainted(&nodes.iter().collect::<Vec<_>>()).await;
        let each = SMALL as usize / 2 / count;
        for (nth, node) in nodes.iter().enumerate() {
            for request in 0..each {
                assert!(node.allows(0).await, "request {request} at node {nth} of {count}");
            }
        }
        // All at once, and in pieces: some begin when others hold much already.
        for round in 1..=50 {
            let mut asking = JoinSet::new();
            for task in 0..10 * count {
                let node = nodes[task % count].clone();
                asking.spawn(async move {
                    let mut passed = 0;
                    for _ in 0..each / 10 {
                        passed += usize::from(node.allows(round).await);
                    }
                    passed
                });
            }
            let passed: usize = asking.join_all().await.into_iter().sum();
            assert_eq!(passed, each * count, "{count} nodes, round {round}");
        }
    }
}

/// Exact mode against a model that counts; leases against the bounds that they promise.
#[test]
fn every_answer_is_the_exact_one_and_a_lease_is_never_above_it() {
    let redis = Redis::start();
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    for (mode, prefix) in [(Mode::Exact, "exact"), (Mode::Lease, "lease")] {
        for limit in [1, 7, 40] {
            let options = options(redis.address(), limit, 900).mode(mode).prefix(format!("{prefix}-{limit}"));
            let nodes = Node::several(3, &options);
            let steps = prop::collection::vec((0_usize..3, 0_u32..4), 1..200);
            let case = Cell::new(0);
            TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(60) })
                .run(&steps, |steps| {
                    case.set(case.get() + 8);
                    runtime.block_on(follow(&nodes, limit, mode, case.get(), &steps))
                })
                .unwrap();
        }
    }
}

async fn follow(
    nodes: &[Node],
    limit: u32,
    mode: Mode,
    first: u32,
    steps: &[(usize, u32)],
) -> Result<(), TestCaseError> {
    let mut counts: HashMap<u32, (u32, u64)> = HashMap::new();
    for (node, number) in steps {
        let decision = nodes[*node].ask(client(first + number)).await;
        let (count, reset) = counts.entry(*number).or_insert((0, decision.reset_unix_secs));
        let fits = *count < limit;
        *count += u32::from(decision.allowed);
        prop_assert!(*count <= limit);
        prop_assert_eq!(decision.reset_unix_secs, *reset, "the same in every answer of a window");
        prop_assert_eq!(decision.retry_after_secs().is_some(), !decision.allowed);
        if mode == Mode::Exact {
            prop_assert_eq!(decision.allowed, fits);
            prop_assert_eq!(decision.remaining, limit - *count);
        } else {
            prop_assert!(decision.remaining <= limit);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_window_ends_by_redis_clock_and_then_holds_the_limit_again() {
    let redis = Redis::start();
    let nodes = Node::several(2, &options(redis.address(), 6, 1));
    for _ in 0..3 {
        nodes[0].until_allowed(1, Duration::from_secs(5)).await;
        let first = nodes[0].ask(client(1)).await;
        let mut passed = 2;
        for turn in 0..20 {
            let decision = nodes[turn % 2].ask(client(1)).await;
            if decision.reset_unix_secs == first.reset_unix_secs {
                passed += usize::from(decision.allowed);
            }
        }
        assert!((4..=6).contains(&passed), "{passed}");
    }
}

#[tokio::test]
async fn what_is_not_used_is_given_back_after_a_second() {
    let redis = Redis::start();
    let nodes = Node::several(2, &options(redis.address(), 100, 900));
    for _ in 0..20 {
        assert!(nodes[0].allows(1).await);
    }
    nodes[0].until(Duration::from_secs(5), "given back", |node| node.stats().given_back > 0).await;
    let passed = burst(&nodes, &[0, 200], 1).await;
    assert_eq!(passed, 80);
}

/// However long another node goes on using what it holds: here until after the first look at whether something came back.
#[tokio::test]
async fn who_was_refused_is_let_through_when_the_other_node_has_given_back() {
    let redis = Redis::start();
    let nodes = Node::several(2, &options(redis.address(), 100, 900));
    acquainted(&nodes.iter().collect::<Vec<_>>()).await;
    for _ in 0..20 {
        assert!(nodes[0].allows(0).await);
    }
    // The rest is held at the other node.
    let mut passed = 20 + burst(&nodes, &[0, 200], 0).await;
    let (begun, mut turns, mut used) = (mono(), Turns::begin(), 0);
    while passed < 100 {
        let since = mono() - begun;
        assert!(since < Duration::from_secs(20), "{passed}");
        // Often enough that it is not given back, and seldom enough that it lasts.
        if used < 5 && since >= Duration::from_millis(400) * used {
            passed += usize::from(nodes[0].allows(0).await);
            used += 1;
        }
        passed += usize::from(nodes[1].allows(0).await);
        turns.next().await;
    }
    assert_eq!(passed + burst(&nodes, &[100, 100], 0).await, 100);
}

/// A client that is slower than grants are given back would otherwise have each second one given back.
#[tokio::test]
async fn nothing_is_taken_ahead_for_a_client_that_comes_less_than_once_a_second() {
    let redis = Redis::start();
    let node = Node::start(&options(redis.address(), 100, 900));
    assert!(node.allows(0).await);
    let (mut turns, mut last, mut asked) = (Turns::begin(), mono(), 1);
    while asked < 4 {
        turns.next().await;
        if mono() - last >= Duration::from_millis(1_100) {
            assert!(node.allows(0).await);
            (last, asked) = (mono(), asked + 1);
        }
    }
    let stats = node.limiter.stats();
    assert_eq!((stats.granted, stats.given_back), (4, 0));
}

#[tokio::test]
async fn who_stops_gives_back_what_it_held() {
    let redis = Redis::start();
    let nodes = Node::several(2, &options(redis.address(), 100, 900));
    for _ in 0..20 {
        assert!(nodes[0].allows(1).await);
    }
    let held = nodes[0].limiter.stats();
    assert!(held.granted > 20, "{held:?}");
    nodes[0].limiter.stop();
    assert!(!nodes[0].allows(1).await, "it has nothing left");
    assert_eq!(burst(&nodes, &[0, 200], 1).await, 80);
}
