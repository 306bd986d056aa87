//! What a node lets through when it is away for longer than a window.

use std::time::Duration;

use harmony_limit_redis::OnOutage;

use crate::nodes::{Node, Turns, acquainted, client, mono, now, options};
use crate::server::Redis;

/// Until everybody's share is certainly left to them, with a window of 2 seconds: what the crate's constants add up to.
const SHARED_AFTER: Duration = Duration::from_millis(4_100 + 2_010);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn away_for_longer_than_a_window_all_nodes_together_let_half_the_limit_through() {
    let mut redis = Redis::start();
    let options = options(redis.address(), 12, 2).call_within(Duration::from_millis(100));
    let nodes = Node::several(3, &options);
    acquainted(&nodes.iter().collect::<Vec<_>>()).await;
    redis.kill();
    let begun = mono();
    for number in [1, 2] {
        let mut passed = Vec::new();
        for node in &nodes {
            node.until_allowed(number, SHARED_AFTER + Duration::from_secs(3)).await;
            let mut count = 1;
            for _ in 0..30 {
                count += u32::from(node.allows(number).await);
            }
            passed.push(count);
        }
        assert!(mono() - begun >= SHARED_AFTER, "{:?}", mono() - begun);
        assert_eq!(passed, [2, 2, 2], "a half of the limit, in equal parts");
    }
    // What they let through alone is told, and counts.
    redis.run();
    for node in &nodes {
        node.until(Duration::from_secs(5), "back", |node| node.stats().out_of_reach == 0).await;
    }
    assert!(nodes.iter().all(|node| node.limiter.stats().shared_in_outage == 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_let_through_alone_counts_when_redis_is_back() {
    let mut redis = Redis::start();
    let options = options(redis.address(), 12, 4).call_within(Duration::from_millis(100));
    let nodes = Node::several(2, &options);
    acquainted(&nodes.iter().collect::<Vec<_>>()).await;
    redis.kill();
    nodes[0].until_allowed(1, Duration::from_secs(12)).await;
    let reset = nodes[0].ask(client(1)).await.reset_unix_secs;
    let mut passed = 2;
    redis.run();
    for node in &nodes {
        node.until(Duration::from_secs(5), "back", |node| node.stats().out_of_reach == 0).await;
    }
    let mut turns = Turns::begin();
    while now().wall_unix_ms < (reset - 1) * 1_000 {
        for node in &nodes {
            passed += u32::from(node.allows(1).await);
        }
        turns.next().await;
    }
    assert!((2..=12).contains(&passed), "{passed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_refuses_has_no_share() {
    let mut redis = Redis::start();
    let options =
        options(redis.address(), 12, 1).on_outage(OnOutage::Refuse).call_within(Duration::from_millis(100));
    let node = Node::start(&options);
    assert!(node.allows(1).await);
    redis.kill();
    let (begun, mut turns) = (mono(), Turns::begin());
    while mono() < begun + SHARED_AFTER {
        let decision = node.ask(client(7)).await;
        assert!(!decision.allowed);
        assert_eq!(decision.retry_after_secs(), Some(1));
        turns.next().await;
    }
    assert_eq!(node.limiter.stats().shared_in_outage, 0);
}

/// What crashed nodes claimed is never more than a half, and the other half is granted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_at_least_half_the_limit_is_granted() {
    let redis = Redis::on_a_port(&[]);
    for crashed in 0..3 {
        let proxy = crate::slow::Proxy::start(redis.port.unwrap());
        let node = Node::start(&options(proxy.address(), 12, 900));
        // It claims before it has heard of anybody else.
        node.until(Duration::from_secs(5), "alone", |node| node.stats().calls > 3 + crashed).await;
        proxy.cut();
        node.limiter.stop();
    }
    let node = Node::start(&options(redis.address(), 12, 900));
    // The crashed ones lapse, and their claims are left to them.
    node.until(Duration::from_secs(10), "alone", |node| node.stats().nodes == 1).await;
    let mut passed = 0;
    for _ in 0..40 {
        passed += u32::from(node.allows(1).await);
    }
    assert_eq!(passed, 6);
}

/// One node loses Redis, the other does not: its share is taken off what the other is granted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_alone_is_left_its_share() {
    let redis = Redis::on_a_port(&[]);
    let proxy = crate::slow::Proxy::start(redis.port.unwrap());
    let away = options(proxy.address(), 12, 2).call_within(Duration::from_millis(100));
    let (cut, other) = (Node::start(&away), Node::start(&options(redis.address(), 12, 2)));
    acquainted(&[&cut, &other]).await;
    proxy.cut();
    // By then its share is certainly left to it, for everybody.
    let waited = cut.until_allowed(8, SHARED_AFTER + Duration::from_secs(3)).await;
    assert!(waited >= SHARED_AFTER - Duration::from_millis(500), "{waited:?}");
    let number = 9;
    let mut passed = [0, 0];
    for _ in 0..40 {
        passed[0] += u32::from(cut.allows(number).await);
        passed[1] += u32::from(other.allows(number).await);
    }
    assert_eq!(passed, [3, 9], "a quarter is its own, the rest is granted to the other");
}
