//! What others have done to Redis.

use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Duration;

use harmony_limit_redis::{Mode, RedisAddress, SharedLimiter, StartError};

use crate::nodes::{Node, Turns, burst, client, mono, options};
use crate::server::Redis;

fn client_key(redis: &Redis) -> String {
    let keys = redis.keys();
    keys.into_iter().find(|key| !key.ends_with("nodes")).expect("the client's key")
}

#[tokio::test]
async fn a_redis_that_may_evict_stops_the_start() {
    for policy in ["allkeys-lru", "allkeys-random", "volatile-ttl"] {
        let redis = Redis::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", policy]);
        match SharedLimiter::start(&options(redis.address(), 10, 900), mono, |_| {}) {
            Err(StartError::Eviction { policy: named, .. }) => assert_eq!(named, policy),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_redis_that_is_not_there_stops_the_start_and_names_the_place() {
    let mut redis = Redis::start();
    redis.kill();
    let error = SharedLimiter::start(&options(redis.address(), 10, 900), mono, |_| {}).unwrap_err();
    assert!(error.to_string().contains("redis+unix:///tmp/"), "{error}");
}

/// As a Redis does that has no password, for whoever is on another machine.
#[tokio::test]
async fn a_redis_that_closes_connections_stops_the_start_and_is_told_of_protected_mode() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = RedisAddress::parse(&format!("redis://{}", listener.local_addr().unwrap())).unwrap();
    let closing = thread::spawn(move || drop(listener.accept().unwrap()));
    let error = SharedLimiter::start(&options(address, 10, 900), mono, |_| {}).unwrap_err();
    closing.join().unwrap();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("protected mode") && source.contains("requirepass"), "{error}: {source}");
}

#[tokio::test]
async fn a_script_that_was_lost_is_loaded_again() {
    let redis = Redis::start();
    let node = Node::start(&options(redis.address(), 10, 900).mode(Mode::Exact));
    assert!(node.allows(1).await);
    redis.command(&["SCRIPT", "FLUSH"]);
    assert_eq!(burst(std::slice::from_ref(&node), &[50], 1).await, 9);
    assert_eq!(node.limiter.stats().calls_failed, 0);
    assert_eq!(node.told(), [""; 0]);
}

#[tokio::test]
async fn a_key_without_a_time_to_live_is_given_one_by_a_request_and_by_a_refusal() {
    let redis = Redis::start();
    let nodes = Node::several(2, &options(redis.address(), 3, 900).mode(Mode::Exact));
    for passed in 1..=5 {
        if passed > 1 {
            redis.command(&["PERSIST", &client_key(&redis)]);
            assert_eq!(redis.command(&["PTTL", &client_key(&redis)]), ":-1");
        }
        // The second node has not been refused yet, and asks.
        let node = &nodes[usize::from(passed == 5)];
        assert_eq!(node.allows(1).await, passed <= 3, "request {passed}");
        if passed != 4 || redis.command(&["PTTL", &client_key(&redis)]) != ":-1" {
            let left = redis.command(&["PTTL", &client_key(&redis)]);
            let left: u64 = left.trim_start_matches(':').parse().unwrap();
            assert!((890_000..=900_000).contains(&left), "{left}");
        }
    }
}

#[tokio::test]
async fn a_key_that_holds_something_else_refuses_for_one_window_and_heals() {
    let redis = Redis::start();
    let node = Node::start(&options(redis.address(), 3, 1).mode(Mode::Exact));
    assert!(node.allows(1).await);
    redis.command(&["SET", &client_key(&redis), "something else"]);
    assert!(!node.allows(1).await);
    let waited = node.until_allowed(1, Duration::from_secs(5)).await;
    assert!(waited > Duration::from_millis(700), "{waited:?}");
}

#[tokio::test]
async fn a_key_of_another_type_refuses_its_client_for_one_window_and_nobody_else() {
    let redis = Redis::start();
    let node = Node::start(&options(redis.address(), 3, 1).mode(Mode::Exact));
    assert!(node.allows(1).await);
    let key = client_key(&redis);
    redis.command(&["DEL", &key]);
    redis.command(&["RPUSH", &key, "something else"]);
    assert!(!node.allows(1).await);
    assert!(node.allows(2).await);
    let waited = node.until_allowed(1, Duration::from_secs(5)).await;
    assert!(waited > Duration::from_millis(700), "{waited:?}");
    assert_eq!(node.told(), [""; 0]);
}

/// What a clock leaves that has been set back by 20 seconds.
#[tokio::test]
async fn a_window_that_ends_too_late_refuses_for_one_window_and_names_one_end() {
    let redis = Redis::start();
    let nodes = Node::several(2, &options(redis.address(), 3, 2));
    assert!(nodes[0].allows(1).await);
    let key = client_key(&redis);
    let set_back = "local stop, epoch, used = struct.unpack('>dc8I4', redis.call('GET', KEYS[1]))
        stop = stop + 20000
        redis.call('SET', KEYS[1], struct.pack('>dc8I4', stop, epoch, 3), 'PXAT', stop)";
    redis.command(&["EVAL", set_back, "1", &key]);
    let refused = nodes[1].ask(client(1)).await;
    assert!(!refused.allowed);
    let begun = mono();
    let mut turns = Turns::begin();
    loop {
        let decision = nodes[1].ask(client(1)).await;
        if decision.allowed {
            break;
        }
        assert_eq!(decision.reset_unix_secs, refused.reset_unix_secs);
        assert!(mono() < begun + Duration::from_secs(5), "for longer than a window");
        turns.next().await;
    }
}

/// What nobody can read stays full when a node that comes back tells what it took.
#[tokio::test]
async fn what_nobody_can_read_is_not_forgotten_for_what_one_node_tells() {
    let redis = Redis::start();
    let node = Node::start(&options(redis.address(), 10, 900).mode(Mode::Exact));
    assert!(node.allows(1).await);
    let (key, registry) = (client_key(&redis), "harmony:{limit-0}:nodes");
    redis.command(&["SET", &key, "something else"]);
    let epoch = redis.command(&["HGET", registry, "epoch"]);
    let epoch = epoch.lines().last().unwrap();
    let script = include_str!("../../src/limiter.lua");
    let told =
        redis.command(&["EVAL", script, "2", registry, &key, "assert", epoch, "900000", "3", "900000"]);
    assert!(told.starts_with('$'), "{told}");
    let node = Node::start(&options(redis.address(), 10, 900).mode(Mode::Exact));
    assert!(!node.allows(1).await);
    assert!(node.allows(2).await);
}

#[tokio::test]
async fn a_registry_that_has_lost_what_grants_rest_on_gets_it_from_the_next_beat() {
    let redis = Redis::start();
    let node = Node::start(&options(redis.address(), 10, 900).mode(Mode::Exact));
    assert!(node.allows(1).await);
    redis.command(&["HDEL", "harmony:{limit-0}:nodes", "picture"]);
    node.until_allowed(1, Duration::from_secs(5)).await;
    assert_eq!(burst(std::slice::from_ref(&node), &[50], 1).await, 8);
}

#[tokio::test]
async fn what_is_kept_names_no_more_than_the_client_and_ends_by_itself() {
    let redis = Redis::start();
    let node = Node::start(&options(redis.address(), 3, 900));
    node.ask(client(0xc000_0201)).await;
    assert_eq!(client_key(&redis), "harmony:{limit-0}:ffffffffc0000201");
    for key in redis.keys() {
        assert_ne!(redis.command(&["PTTL", &key]), ":-1", "{key}");
    }
}

/// With so little memory that clients have to make room for each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_strangers_frees_nobody_and_grows_nothing() {
    let redis = Redis::start();
    let memory = harmony_limit::TableMemory::new(1 << 20).unwrap();
    let node = Node::start(&options(redis.address(), 20, 900).memory(memory));
    assert_eq!(burst(std::slice::from_ref(&node), &[100], 1).await, 20);
    let capacity = u32::try_from(node.limiter.stats().capacity).unwrap();
    let mut asking = tokio::task::JoinSet::new();
    for task in 0..64 {
        let node = node.clone();
        asking.spawn(async move {
            for number in (task..capacity * 3).step_by(64) {
                assert!(node.allows(1_000 + number).await);
            }
        });
    }
    asking.join_all().await;
    assert!(node.limiter.stats().evictions > u64::from(capacity));
    assert_eq!(burst(std::slice::from_ref(&node), &[100], 1).await, 0);
}
