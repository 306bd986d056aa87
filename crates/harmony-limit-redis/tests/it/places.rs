//! A cluster, and a server that sentinels know.

use std::fmt::Write as _;
use std::time::Duration;

use harmony_limit_redis::{OnOutage, RedisAddress};

use crate::nodes::{Node, Turns, acquainted, burst, eventually, mono, options};
use crate::server::{Redis, ask_port, free_port};

fn cluster_server() -> Redis {
    // The port for the servers among themselves is 10,000 above, where none is if that is too high.
    let bus = free_port().to_string();
    Redis::on_a_port(&["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "2000"])
}

/// Three masters with a third of the slots each.
async fn cluster() -> Vec<Redis> {
    let servers: Vec<Redis> = (0..3).map(|_| cluster_server()).collect();
    for (server, slots) in servers.iter().zip([(0, 5_460), (5_461, 10_922), (10_923, 16_383)]) {
        let mut words = vec!["CLUSTER".to_owned(), "ADDSLOTSRANGE".to_owned()];
        words.extend([slots.0, slots.1].map(|slot: u32| slot.to_string()));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(server.command(&words), "+OK");
    }
    for (nth, server) in servers.iter().enumerate() {
        server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(nth + 1).to_string()]);
    }
    for server in &servers[1..] {
        let bus = bus_port(server);
        let port = server.port.unwrap().to_string();
        assert_eq!(servers[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]), "+OK");
    }
    let formed = || {
        let mut said = servers.iter().map(|server| server.command(&["CLUSTER", "INFO"]));
        said.all(|said| said.contains("cluster_state:ok") && said.contains("cluster_known_nodes:3"))
    };
    eventually(Duration::from_secs(30), "the cluster has formed", formed).await;
    servers
}

fn bus_port(server: &Redis) -> String {
    let answer = server.command(&["CONFIG", "GET", "cluster-port"]);
    answer.lines().last().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_counts_every_client_wherever_it_is_kept() {
    let servers = cluster().await;
    let mut address = "redis+cluster://".to_owned();
    for server in &servers[..2] {
        write!(address, "127.0.0.1:{},", server.port.unwrap()).unwrap();
    }
    let address = RedisAddress::parse(address.trim_end_matches(',')).unwrap();
    let nodes = Node::several(2, &options(address, 50, 900).on_outage(OnOutage::Refuse));
    for number in 0..30 {
        let passed = burst(&nodes, &[125, 125], number).await;
        assert_eq!(passed, 50, "client {number}");
    }
    for server in &servers {
        let clients = server.keys().iter().filter(|key| !key.ends_with("nodes")).count();
        assert!(clients > 0, "{:?}", server.keys());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_fail_over_known_to_the_sentinels_nobody_gets_more_than_the_limit() {
    let mut master = Redis::on_a_port(&[]);
    let port = master.port.unwrap().to_string();
    let replica = Redis::on_a_port(&["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"]);
    let follows = || replica.info("replication", "master_link_status") == "up";
    eventually(Duration::from_secs(30), "the replica follows", follows).await;
    let sentinel = sentinel(&port);
    let address = format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port.unwrap());
    let options =
        options(RedisAddress::parse(&address).unwrap(), 400, 900).call_within(Duration::from_millis(100));
    let nodes = Node::several(2, &options);
    // A node that knows of no other holds nearly all that is left.
    acquainted(&nodes.iter().collect::<Vec<_>>()).await;
    let mut passed = burst(&nodes, &[100, 100], 1).await;
    assert_eq!(passed, 200, "{:?}", nodes.iter().map(Node::told).collect::<Vec<_>>());
    master.kill();
    let (begun, mut turns) = (mono(), Turns::begin());
    while replica.info("replication", "role") != "master" {
        assert!(mono() < begun + Duration::from_secs(60), "the sentinel does nothing");
        // At both: what is held when Redis counts anew, and is not used by then, is lost.
        passed += burst(&nodes, &[1, 1], 1).await;
        turns.next().await;
    }
    for node in &nodes {
        node.until(Duration::from_secs(20), "back", |node| node.stats().out_of_reach == 0).await;
        assert_eq!(node.limiter.stats().told_anew, 1, "the replica is not the one that counted");
    }
    passed += burst(&nodes, &[1_000, 1_000], 1).await;
    assert!((395..=400).contains(&passed), "{passed}");
}

fn sentinel(port: &str) -> Redis {
    let sentinel = Redis::sentinel();
    let ask = |words: &[&str]| ask_port(sentinel.port.unwrap(), words).unwrap();
    assert_eq!(ask(&["SENTINEL", "MONITOR", "main", "127.0.0.1", port, "1"]), "+OK");
    assert_eq!(ask(&["SENTINEL", "SET", "main", "down-after-milliseconds", "500"]), "+OK");
    assert_eq!(ask(&["SENTINEL", "SET", "main", "failover-timeout", "3000"]), "+OK");
    sentinel
}
