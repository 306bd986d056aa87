//! PostgreSQL goes away under load and comes back, and the server is not started anew.

use std::time::Duration;

use reqwest::Method;

use super::{
    cluster::Cluster,
    load::{Tally, under_load, until_more},
};
use crate::server::{Key, Place, Server, eventually, now};

/// Much longer than a lease.
const OUTAGE: Duration = Duration::from_secs(10);
/// How long it takes at most until a key passes again: the pool tries each second, and the lease follows at once.
const RECOVERED_WITHIN: Duration = Duration::from_secs(4);
/// How often all backends are killed.
const KILLINGS: usize = 3;

struct World {
    cluster: Cluster,
    server: Server,
    admin: Key,
    dead: Key,
}

fn world() -> World {
    let cluster = Cluster::start();
    cluster.sql("CREATE DATABASE harmony");
    let place = Place::at(&cluster.url("harmony"));
    place.init();
    let (admin, dead, server) = (place.key(&["--role", "Admin"]), place.key(&[]), place.serve());
    let path = format!("/v1/api-keys/{}", dead.id);
    assert_eq!(server.ask(Method::DELETE, &path, Some(&admin.text), None).status, 204);
    World { cluster, server, admin, dead }
}

/// Looks until the server is ready and accepts the key; how long that took.
fn recover(server: &Server, key: &Key) -> Duration {
    let start = now();
    let well = || {
        let ready = server.ask(Method::GET, "/readyz", None, None).status == 200;
        ready && server.get("/v1/whoami", key).status == 200
    };
    eventually("it is well again", || well().then_some(()));
    start.elapsed()
}

#[test]
fn after_an_outage_of_the_database_keys_pass_again_and_none_was_judged_wrongly() {
    let World { cluster, server, admin, dead } = world();
    let (recovered, tally) = under_load(&server, &admin, &dead, |tally| {
        until_more(|| tally.accepted(), 200);
        cluster.stop();
        let stopped = now();
        while stopped.elapsed() < OUTAGE {
            until_more(|| tally.unavailable(), 1);
        }
        cluster.start_again();
        let recovered = recover(&server, &admin);
        until_more(|| tally.accepted(), 200);
        recovered
    });
    tally.judge(&format!("an outage of {OUTAGE:?}"), recovered);
    assert!(tally.unavailable() > 0 && recovered < RECOVERED_WITHIN, "{recovered:?}");
}

#[test]
fn when_all_backends_are_killed_again_and_again_no_key_is_judged_wrongly() {
    let World { cluster, server, admin, dead } = world();
    let (recovered, tally) =
        under_load(&server, &admin, &dead, |tally| kill(&cluster, &server, &admin, tally));
    tally.judge(&format!("{KILLINGS} times all backends killed, the longest"), recovered);
    assert!(recovered < RECOVERED_WITHIN, "{recovered:?}");
    assert_eq!(server.ask(Method::GET, "/readyz", None, None).status, 200);
}

fn kill(cluster: &Cluster, server: &Server, admin: &Key, tally: &Tally) -> Duration {
    let killing = |_| {
        until_more(|| tally.accepted(), 200);
        assert!(cluster.kill_backends("harmony") > 0);
        // The postmaster ends the others and begins anew.
        recover(server, admin)
    };
    (0..KILLINGS).map(killing).max().unwrap()
}

/// A connection that nothing comes from is no error to TCP, nor to a socket: the other side's kernel is well.
#[test]
fn a_server_whose_database_hangs_answers_and_ends_in_time() {
    let World { cluster, mut server, admin, .. } = world();
    let frozen = cluster.freeze();
    for (path, within) in [("/v1/api-keys", Duration::from_secs(20)), ("/readyz", Duration::from_secs(20))] {
        let start = now();
        assert_eq!(server.get(path, &admin).outcome(), (503, "unavailable".into()), "{path}");
        assert!(start.elapsed() < within, "{path}: {:?}", start.elapsed());
    }
    let start = now();
    assert_eq!(server.terminate(), Some(1), "the last counts are lost");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    drop(frozen);
}
