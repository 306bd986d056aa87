//! A Redis that is slow, and one that is gone: nobody waits for it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harmony_limit::Asked;
use harmony_limit::Limiter;
use harmony_limit_redis::{Options, RedisAddress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::nodes::{Node, client, mono, now, quota};
use crate::server::Redis;

/// Stands between a node and Redis, and can hold every answer back until further notice, or cut all off.
pub struct Proxy {
    port: u16,
    gate: watch::Sender<bool>,
    cut: Arc<AtomicBool>,
}

impl Proxy {
    pub fn start(to: u16) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (gate, open) = watch::channel(true);
        let (always_open, cut) = (watch::channel(true).1, Arc::new(AtomicBool::new(false)));
        let is_cut = Arc::clone(&cut);
        let listener = TcpListener::from_std(listener).unwrap();
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await.unwrap();
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::spawn(pass(near_in, far_out, always_open.clone(), Arc::clone(&is_cut)));
                tokio::spawn(pass(far_in, near_out, open.clone(), Arc::clone(&is_cut)));
            }
        });
        Self { port, gate, cut }
    }

    pub fn address(&self) -> RedisAddress {
        RedisAddress::parse(&format!("redis://127.0.0.1:{}", self.port)).unwrap()
    }

    pub fn hold_back(&self, holds: bool) {
        self.gate.send_replace(!holds);
    }

    pub fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut open: watch::Receiver<bool>,
    cut: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length) = from.read(&mut buffer).await {
        if length == 0 || cut.load(Ordering::Relaxed) {
            return;
        }
        // Who holds the other end of a gate that stands open for ever may be gone.
        let _ = open.wait_for(|open| *open).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_redis_holds_nobody_up_for_longer_than_the_deadline() {
    let redis = Redis::on_a_port(&[]);
    let proxy = Proxy::start(redis.port.unwrap());
    // The deadline as it is by default, 10 ms.
    let node = Node::start(&Options::new(proxy.address(), quota(1_000, 900)));
    node.until_allowed(1, Duration::from_secs(5)).await;
    proxy.hold_back(true);
    let mut times = Vec::new();
    for number in 10..60 {
        let begun = mono();
        assert!(!node.allows(number).await);
        times.push(mono() - begun);
    }
    times.sort();
    eprintln!("a slow Redis: median {:?}, longest {:?}", times[25], times[49]);
    assert!(times[25] < Duration::from_millis(1), "{:?}: they queue", times[25]);
    // Ten for the call, and what a busy machine takes to wake somebody up.
    assert!(times[49] < Duration::from_millis(100), "{:?}", times[49]);
    assert_eq!(node.told().first().map(String::as_str), Some("lost"));
    proxy.hold_back(false);
    node.until_allowed(100, Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_nobody_waits_and_nothing_queues() {
    let mut redis = Redis::start();
    let node = Node::start(
        &Options::new(redis.address(), quota(1_000, 900)).call_within(Duration::from_millis(100)),
    );
    node.until_allowed(1, Duration::from_secs(5)).await;
    redis.kill();
    node.until(Duration::from_secs(5), "lost", |node| node.stats().out_of_reach == 1).await;
    for number in 0..10_000 {
        assert!(matches!(node.limiter.ask(client(number + 10), now()), Asked::Decided(_)));
    }
    assert!(node.limiter.stats().calls_failed > 0);
    redis.run();
    let waited = node.until_allowed(5, Duration::from_secs(10)).await;
    eprintln!("back {waited:?} after Redis was");
}
