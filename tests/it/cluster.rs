//! Three servers over one PostgreSQL: what is taken away on one is refused by all before that is answered, whatever state the
//! others are in.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::server::{Answer, Key, Place, Server, eventually, now};

/// Races of a deletion against verifications on all servers; `just torture` runs a million.
const RACES: usize = 10_000;
/// Races of each other way of taking access away.
const OTHER_RACES: usize = 200;
/// How many of them run at once.
const RACERS: usize = 4;
const LEASE: Duration = Duration::from_secs(2);

struct Cluster {
    servers: [Server; 3],
    admin: Key,
    _place: Place,
}

impl Cluster {
    fn start() -> Self {
        let place = Place::postgres();
        place.init();
        let admin = place.key(&["--role", "Admin"]);
        Self {
            servers: [(); 3].map(|()| place.serve_with(&["--rate-limit-requests", "1048575"])),
            admin,
            _place: place,
        }
    }

    /// The server that the `nth` race's change is made on.
    fn at(&self, nth: usize) -> &Server {
        &self.servers[nth % 3]
    }

    fn change(&self, nth: usize, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let answer = self.at(nth).ask(method, path, Some(&self.admin.text), body);
        assert!(answer.status < 300, "{path}: {} {}", answer.status, answer.text);
        answer
    }

    fn make(&self, nth: usize, path: &str, body: &Value) -> String {
        self.change(nth, Method::POST, path, Some(body)).json()["id"].as_str().unwrap().to_owned()
    }

    fn key(&self, nth: usize, more: &Value) -> Key {
        let mut body = json!({ "name": "raced" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Key::of(&self.change(nth, Method::POST, "/v1/api-keys", Some(&body)).json())
    }

    fn role_called(&self, name: &str) -> String {
        let roles = self.servers[0].list("/v1/roles", &self.admin);
        let role = roles.iter().find(|role| role["name"] == name).unwrap();
        role["id"].as_str().unwrap().to_owned()
    }

    /// By a server's own clock: the instant at which a key ends that is rotated now.
    fn in_a_second(&self, nth: usize) -> Value {
        let old = format!("/v1/api-keys/{}", self.key(nth, &json!({})).id);
        self.change(nth, Method::POST, &format!("{old}/rotate"), Some(&json!({ "grace_secs": 1 })));
        self.change(nth, Method::GET, &old, None).json()["expires_at"].clone()
    }

    fn statuses(&self, path: &str, key: &Key) -> [u16; 3] {
        self.servers.each_ref().map(|server| server.get(path, key).status)
    }

    /// All servers know the key, somebody goes on asking them, and `take_away` is answered: from then on no request that begins is
    /// accepted. Answers how many were accepted nevertheless.
    fn race(&self, path: &str, key: &Key, take_away: impl FnOnce()) -> usize {
        assert_eq!(self.statuses(path, key), [200; 3]);
        let answered = AtomicBool::new(false);
        let late = thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut late = 0;
                for server in self.servers.iter().cycle() {
                    let begins_after = answered.load(Ordering::SeqCst);
                    let accepted = server.get(path, key).status == 200;
                    late += usize::from(begins_after && accepted);
                    if begins_after {
                        break;
                    }
                }
                late
            });
            take_away();
            answered.store(true, Ordering::SeqCst);
            asking.join().unwrap()
        });
        late + self.statuses(path, key).iter().filter(|status| **status == 200).count()
    }

    /// Runs this many races, some at a time, and counts what was accepted too late.
    fn races(&self, races: usize, race: impl Fn(usize) -> usize + Sync) -> usize {
        let (next, late) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..RACERS {
                scope.spawn(|| {
                    loop {
                        let nth = next.fetch_add(1, Ordering::Relaxed);
                        if nth >= races {
                            break;
                        }
                        late.fetch_add(race(nth), Ordering::Relaxed);
                    }
                });
            }
        });
        late.into_inner()
    }
}

fn races() -> usize {
    std::env::var("TORTURE_RACES").map_or(RACES, |races| races.parse().unwrap())
}

#[test]
fn race_no_server_accepts_a_key_whose_deletion_another_one_has_answered() {
    let cluster = Cluster::start();
    let late = cluster.races(races(), |nth| {
        let key = cluster.key(nth, &json!({}));
        cluster.race("/v1/whoami", &key, || {
            let answer = cluster.change(nth, Method::DELETE, &format!("/v1/api-keys/{}", key.id), None);
            let told = answer.header("harmony-revocation");
            assert!(told.starts_with("acknowledged=3, expired=0, waited_ms="), "{told}");
        })
    });
    assert_eq!(late, 0);
}

#[test]
fn no_server_accepts_what_a_narrower_role_a_rotation_or_a_removal_has_taken_away() {
    let cluster = Cluster::start();
    let user = cluster.role_called("User");
    let late = cluster.races(OTHER_RACES, |nth| {
        let wide = json!({ "name": format!("reader {nth}"), "permissions": ["users:read:all"] });
        let role = cluster.make(nth, "/v1/roles", &wide);
        let key = cluster.key(nth, &json!({ "role": role }));
        let narrowed = cluster.race("/v1/users", &key, || {
            let narrow = json!({ "permissions": ["conversations:read:own"] });
            cluster.change(nth, Method::PATCH, &format!("/v1/roles/{role}"), Some(&narrow));
        });
        let rotated = cluster.race("/v1/whoami", &key, || {
            let at_once = json!({ "grace_secs": 0 });
            cluster.change(nth, Method::POST, &format!("/v1/api-keys/{}/rotate", key.id), Some(&at_once));
        });
        let bob = json!({ "name": "Bob", "email": format!("bob{nth}@acme.example"), "role": user });
        let bob = cluster.make(nth, "/v1/users", &bob);
        let key = cluster.key(nth, &json!({ "owner": bob }));
        let removed = cluster.race("/v1/whoami", &key, || {
            cluster.change(nth, Method::DELETE, &format!("/v1/users/{bob}?keys=delete"), None);
        });
        narrowed + rotated + removed
    });
    assert_eq!(late, 0);
}

#[test]
fn no_server_accepts_what_narrower_default_permissions_have_taken_away() {
    let cluster = Cluster::start();
    let key = cluster.key(0, &json!({}));
    let set = |nth, permissions: &Value| {
        let defaults = json!({ "default_permissions": permissions });
        cluster.change(nth, Method::PATCH, "/v1/workspace", Some(&defaults));
    };
    let late: usize = (0..OTHER_RACES)
        .map(|nth| {
            set(nth, &json!(["conversations:read:own"]));
            // More is never refused for good, and here not even for a moment.
            cluster.race("/v1/conversations", &key, || set(nth + 1, &json!([])))
        })
        .sum();
    assert_eq!(late, 0);
}

#[test]
fn no_server_accepts_a_key_beyond_an_expiration_that_was_brought_forward() {
    let cluster = Cluster::start();
    let late = cluster.races(3 * RACERS, |nth| {
        let key = cluster.key(nth, &json!({ "expires_at": "9999-12-31" }));
        cluster.race("/v1/whoami", &key, || {
            let soon = json!({ "expires_at": cluster.in_a_second(nth) });
            cluster.change(nth, Method::PATCH, &format!("/v1/api-keys/{}", key.id), Some(&soon));
            thread::sleep(Duration::from_millis(1_100));
        })
    });
    assert_eq!(late, 0);
}

#[test]
fn a_server_that_was_stopped_accepts_nothing_that_was_deleted_meanwhile_when_it_goes_on() {
    let cluster = Cluster::start();
    let stopped = &cluster.servers[2];
    let delete = |key: &Key| cluster.change(0, Method::DELETE, &format!("/v1/api-keys/{}", key.id), None);
    // Stopped before the deletion, while it is waited for, and after it.
    for stop_after in [None, Some(Duration::from_millis(1)), Some(Duration::from_millis(4))] {
        let (key, kept) = (cluster.key(0, &json!({})), cluster.key(0, &json!({})));
        for key in [&key, &kept] {
            assert_eq!(cluster.statuses("/v1/whoami", key), [200; 3]);
        }
        let start = now();
        if stop_after.is_none() {
            stopped.signal(Signal::STOP);
        }
        let answer = thread::scope(|scope| {
            let deleting = scope.spawn(|| delete(&key));
            if let Some(moment) = stop_after {
                thread::sleep(moment);
                stopped.signal(Signal::STOP);
            }
            deleting.join().unwrap()
        });
        assert!(start.elapsed() < LEASE + Duration::from_secs(1), "{:?}", start.elapsed());
        let expired = if stop_after.is_none() {
            1
        } else {
            answer.header("harmony-revocation").contains("expired=1").into()
        };
        let told = format!("acknowledged={}, expired={expired}, waited_ms=", 3 - expired);
        assert!(
            answer.header("harmony-revocation").starts_with(&told),
            "{}",
            answer.header("harmony-revocation")
        );
        // It finds these requests waiting when it goes on.
        thread::scope(|scope| {
            let waiting: Vec<_> =
                (0..20).map(|_| scope.spawn(|| stopped.get("/v1/whoami", &key).status)).collect();
            thread::sleep(Duration::from_millis(50));
            stopped.signal(Signal::CONT);
            let statuses: Vec<_> = waiting.into_iter().map(|answer| answer.join().unwrap()).collect();
            assert_eq!(statuses, [401; 20]);
        });
        assert_eq!(cluster.statuses("/v1/whoami", &kept), [200; 3]);
        let all_back = || {
            let nodes = cluster.servers[0].get("/v1/workspace/nodes", &cluster.admin).json();
            let alive = nodes["data"].as_array().unwrap().iter().filter(|node| node["alive"] == true).count();
            (alive == 3).then_some(())
        };
        eventually("all three hold their leases", all_back);
    }
}

#[test]
fn the_servers_are_listed_with_their_leases_and_leave_the_list_when_they_end() {
    let mut cluster = Cluster::start();
    let list = |cluster: &Cluster| {
        let answer = cluster.servers[0].get("/v1/workspace/nodes", &cluster.admin);
        answer.json()["data"].as_array().unwrap().clone()
    };
    let nodes = list(&cluster);
    assert_eq!(nodes.len(), 3);
    for node in &nodes {
        assert!(node["id"].as_str().unwrap().starts_with("node_"), "{node}");
        assert!((1..=2_000).contains(&node["lease_left_ms"].as_i64().unwrap()), "{node}");
        assert_eq!((&node["alive"], node["revisions_behind"].as_i64().unwrap() <= 1), (&json!(true), true));
    }
    assert_eq!(cluster.servers[1].terminate(), Some(0));
    assert_eq!(list(&cluster).len(), 2);
    cluster.servers[2].kill();
    let lost = eventually("the lease of the dead one is over", || {
        list(&cluster).into_iter().find(|node| node["alive"] == false)
    });
    assert!(lost["lease_left_ms"].as_i64().unwrap() <= 0, "{lost}");
    let key = cluster.key(0, &json!({}));
    let answer = cluster.change(0, Method::DELETE, &format!("/v1/api-keys/{}", key.id), None);
    assert!(answer.header("harmony-revocation").starts_with("acknowledged=1, expired=1, "));
    assert_eq!(list(&cluster).len(), 1);
}
