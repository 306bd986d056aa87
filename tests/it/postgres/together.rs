//! Several processes on one PostgreSQL: they start at once, and what their wall clocks say does not matter to leases.

use std::{collections::BTreeSet, path::Path, time::Duration};

use reqwest::Method;

use crate::server::{Key, NO_LIMIT, Place, Server, eventually, now};

const NODES: usize = 10;
/// All of them are alive: nobody's lease has to be waited for.
const PROMPT: Duration = Duration::from_secs(1);
const HOUR: i64 = 3_600;

#[test]
fn ten_processes_that_start_at_once_on_an_empty_database_all_serve() {
    let place = Place::postgres();
    let servers: Vec<Server> = std::thread::scope(|scope| {
        let start = |_| scope.spawn(|| place.serve_with(&["--database-connections", "2"]));
        let starting: Vec<_> = (0..NODES).map(start).collect();
        starting.into_iter().map(|server| server.join().unwrap()).collect()
    });
    for server in &servers {
        assert_eq!(server.ask(Method::GET, "/readyz", None, None).status, 200);
    }
    let applied = place.sql("SELECT version FROM __diesel_schema_migrations");
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/postgres");
    assert_eq!(applied.len(), std::fs::read_dir(migrations).unwrap().count());
    assert_eq!(applied.iter().collect::<BTreeSet<_>>().len(), applied.len(), "each once");
    assert_eq!(place.sql("SELECT id FROM nodes").len(), NODES);
}

#[test]
fn when_the_wall_clock_of_one_process_of_three_jumps_nothing_changes_for_leases_and_deletions() {
    let place = Place::postgres();
    place.init();
    let admin = place.key(&["--role", "Admin"]);
    let (library, clock) = (harmony_tests::faketime_library(), place.data().with_file_name("clock"));
    // Put in its place whole: it is read at each look at the clock.
    let step = |by: i64| {
        let next = clock.with_extension("next");
        std::fs::write(&next, format!("{by:+}")).unwrap();
        std::fs::rename(&next, &clock).unwrap();
    };
    step(0);
    let one = Path::new("1");
    let (steady, other) = (place.serve(), place.serve());
    let jumping = place.serve_under(
        &NO_LIMIT,
        &[
            ("LD_PRELOAD", &library),
            ("FAKETIME_TIMESTAMP_FILE", &clock),
            ("FAKETIME_NO_CACHE", one),
            ("FAKETIME_DONT_FAKE_MONOTONIC", one),
            ("DONT_FAKE_MONOTONIC", one),
        ],
    );
    for by in [0, HOUR, 0, -HOUR, 0] {
        step(by);
        let ahead = || (seconds(&jumping, &admin) - seconds(&steady, &admin) - by).abs() <= 2;
        eventually("its clock has jumped", || ahead().then_some(()));
        let all = [&steady, &other, &jumping];
        for deleter in all {
            delete_on_one_and_ask_all(&place, &admin, deleter, all);
        }
        for server in all {
            assert_eq!(server.ask(Method::GET, "/readyz", None, None).status, 200, "by {by}");
        }
    }
    // By that clock, the lease that it holds when it is cut off would last for another hour.
    place.reach_database(false);
    step(-HOUR);
    let becomes = |status| {
        eventually("it is told", || (jumping.get("/v1/whoami", &admin).status == status).then_some(()));
    };
    becomes(503);
    place.reach_database(true);
    becomes(200);
}

/// The wall clock of a server, as it signs its events with.
fn seconds(server: &Server, admin: &Key) -> i64 {
    let made = server.post("/v1/api-keys", admin, &serde_json::json!({ "name": "now" })).json();
    let at = chrono::DateTime::parse_from_rfc3339(made["created_at"].as_str().unwrap()).unwrap();
    at.timestamp()
}

fn delete_on_one_and_ask_all(place: &Place, admin: &Key, deleter: &Server, all: [&Server; 3]) {
    let victim =
        Key::of(&deleter.post("/v1/api-keys", admin, &serde_json::json!({ "name": "victim" })).json());
    for server in all {
        assert_eq!(server.get("/v1/whoami", &victim).status, 200);
    }
    let start = now();
    let path = format!("/v1/api-keys/{}", victim.id);
    let deleted = deleter.ask(Method::DELETE, &path, Some(&admin.text), None);
    let told = deleted.header("harmony-revocation");
    assert!(deleted.status == 204 && told.starts_with("acknowledged=3, expired=0, waited_ms="), "{told}");
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    for server in all {
        assert_eq!(server.get("/v1/whoami", &victim).status, 401);
    }
    let left =
        place.sql("SELECT lease_until - (extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM nodes");
    assert!(left.iter().all(|left| (1..=2_000).contains(&left.parse::<i64>().unwrap())), "{left:?}");
}
