//! Three servers over one PostgreSQL: what is taken away on one is refused by all before that is answered, whatever state the
//! others are in.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
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
/// A million races ask more than a million times, all from one address.
const QUOTA: [&str; 4] = ["--rate-limit-requests", "1048575", "--rate-limit-window-secs", "60"];
/// After how many races it is told how they went.
const TOLD_AFTER: usize = 50_000;
const LEASE: Duration = Duration::from_secs(2);

struct Cluster {
    servers: [Server; 3],
    admin: Key,
    place: Place,
}

impl Cluster {
    fn start() -> Self {
        let place = Place::postgres();
        place.init();
        let admin = place.key(&["--role", "Admin"]);
        Self { servers: [(); 3].map(|()| place.serve_with(&QUOTA)), admin, place }
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
                        if (nth + 1).is_multiple_of(TOLD_AFTER) {
                            eprintln!(
                                "{} races begun, {} accepted too late",
                                nth + 1,
                                late.load(Ordering::Relaxed)
                            );
                        }
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
            // All servers have the clock of this machine: when it is over for one, it is for all.
            let is_over = || (cluster.at(nth).get("/v1/whoami", &key).status == 401).then_some(());
            eventually("the key has expired", is_over);
        })
    });
    assert_eq!(late, 0);
}

/// When a server is stopped: before the deletion, while it is made and waited for, or after it was answered.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    Before,
    Meanwhile,
    After,
}

/// A connection on which a request has been sent; the system takes it in, whether or not the server runs.
fn asked(server: &Server, key: &Key) -> TcpStream {
    let mut connection = TcpStream::connect(&server.address).unwrap();
    let head = format!("GET /v1/whoami HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", server.address);
    connection.write_all(format!("{head}X-API-Key: {}\r\n\r\n", key.text).as_bytes()).unwrap();
    connection
}

#[test]
fn a_server_that_was_stopped_accepts_nothing_that_was_deleted_meanwhile_when_it_goes_on() {
    let cluster = Cluster::start();
    let stopped = &cluster.servers[2];
    let delete = |key: &Key| cluster.change(0, Method::DELETE, &format!("/v1/api-keys/{}", key.id), None);
    for stop in [Stop::Before, Stop::Meanwhile, Stop::Meanwhile, Stop::Meanwhile, Stop::After] {
        let (key, kept) = (cluster.key(0, &json!({})), cluster.key(0, &json!({})));
        for key in [&key, &kept] {
            assert_eq!(cluster.statuses("/v1/whoami", key), [200; 3]);
        }
        let start = now();
        let answer = thread::scope(|scope| {
            if stop == Stop::Before {
                stopped.signal(Signal::STOP);
            }
            let deleting = scope.spawn(|| delete(&key));
            if stop == Stop::Meanwhile {
                stopped.signal(Signal::STOP);
            }
            deleting.join().unwrap()
        });
        if stop == Stop::After {
            stopped.signal(Signal::STOP);
        }
        assert!(start.elapsed() < LEASE + Duration::from_secs(1), "{:?}", start.elapsed());
        let told = answer.header("harmony-revocation");
        let expected = |expired| format!("acknowledged={}, expired={expired}, waited_ms=", 3 - expired);
        match stop {
            Stop::Before => assert!(told.starts_with(&expected(1)), "{told}"),
            Stop::Meanwhile => {
                assert!([0, 1].iter().any(|lost| told.starts_with(&expected(*lost))), "{told}")
            }
            Stop::After => assert!(told.starts_with(&expected(0)), "{told}"),
        }
        // It finds these requests waiting when it goes on.
        let mut waiting: Vec<_> = (0..20).map(|_| asked(stopped, &key)).collect();
        stopped.signal(Signal::CONT);
        for connection in &mut waiting {
            let mut answer = String::new();
            connection.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        }
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

#[test]
fn a_lost_connection_for_notifications_changes_nothing_but_how_soon_it_is_looked() {
    let cluster = Cluster::start();
    let listening = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let all_listen = || {
        let count = cluster.place.sql(&format!("SELECT count(*) {listening}"));
        (count == ["3"]).then_some(())
    };
    for _ in 0..3 {
        eventually("all three listen", all_listen);
        cluster.place.sql(&format!("SELECT pg_terminate_backend(pid) {listening}"));
        let key = cluster.key(0, &json!({}));
        let late = cluster.race("/v1/whoami", &key, || {
            let answer = cluster.change(1, Method::DELETE, &format!("/v1/api-keys/{}", key.id), None);
            let told = answer.header("harmony-revocation");
            assert!(told.starts_with("acknowledged=3, expired=0, "), "{told}");
        });
        assert_eq!(late, 0);
    }
}
