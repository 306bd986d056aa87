//! Statements that do not come back keep nobody waiting for long, and nobody at all afterwards.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::Method;
use serde_json::json;

use super::many::{at_once, statuses};
use crate::server::{Key, Place, eventually, now};

/// Requests at once.
const CROWD: usize = 1_000;
/// A turn, a connection, and the database's own limit for a lock or for a look-up: 2, 2 and 5 seconds.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// A session that holds a table until it ends.
struct Holder(Child);

impl Holder {
    fn of(place: &Place, table: &str) -> Self {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", &place.database_url()]);
        let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let hold = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; SELECT 'held';\n");
        psql.stdin.as_mut().unwrap().write_all(hold.as_bytes()).unwrap();
        let mut said = String::new();
        BufReader::new(psql.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said.trim(), "held");
        Self(psql)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

/// A text that only the store can tell from a key.
fn stranger(number: usize) -> Key {
    Key { id: String::new(), text: format!("lk_{number:064x}") }
}

#[test]
fn flood_while_look_ups_hang_all_are_answered_in_time_and_keys_in_memory_pass() {
    let place = Place::postgres();
    place.init();
    let admin = place.key(&["--role", "Admin"]);
    let imported =
        place.run(&["key", "import", "--name", "x", "--owner", crate::server::ANN], &stranger(0).text);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let server = place.serve();
    assert_eq!(server.get("/v1/whoami", &admin).status, 200);

    let held = Holder::of(&place, "api_keys");
    let start = now();
    let strangers: Vec<_> = (1..=CROWD).map(|number| ("/v1/whoami", stranger(number))).collect();
    let asked = at_once(&server, &strangers);
    // The lease is renewed apart from them, so what is in memory passes.
    assert_eq!(server.get("/v1/whoami", &admin).status, 200);
    assert_eq!(statuses(asked), [(503, CROWD)].into());
    let took = start.elapsed();
    println!("{CROWD} look-ups that hang: all answered after {took:?}");
    assert!(took < ANSWERED_WITHIN, "{took:?}");
    assert_eq!(server.get("/v1/whoami", &admin).status, 200);

    let start = now();
    let lists = vec![("/v1/api-keys", admin.clone()); CROWD];
    assert_eq!(statuses(at_once(&server, &lists)), [(503, CROWD)].into());
    let took = start.elapsed();
    println!("{CROWD} use cases that hang: all answered after {took:?}");
    assert!(took < ANSWERED_WITHIN, "{took:?}");

    drop(held);
    let start = now();
    assert_eq!(server.get("/v1/whoami", &stranger(0)).status, 200);
    assert_eq!(server.get("/v1/whoami", &stranger(1)).status, 401);
    assert_eq!(server.get("/v1/api-keys", &admin).status, 200);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(server.metric("harmony_store_refusals_total") > 0);
}

#[test]
fn a_statement_that_hangs_is_ended_and_told_as_503() {
    let place = Place::postgres();
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    place.sql(
        "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$",
    );
    place.sql("CREATE TRIGGER hang BEFORE INSERT ON conversations FOR EACH ROW EXECUTE FUNCTION hang()");
    let start = now();
    let talk = json!({ "title": "x", "started_at": "2026-11-23T09:00:00Z" });
    let answer = server.post("/v1/conversations", &admin, &talk);
    let took = start.elapsed();
    assert_eq!(answer.outcome(), (503, "unavailable".into()), "{}", answer.text);
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    assert!(took < Duration::from_secs(12), "{took:?}");
    place.sql("DROP TRIGGER hang ON conversations");
    assert_eq!(server.post("/v1/conversations", &admin, &talk).status, 201);
    assert_eq!(server.list("/v1/conversations", &admin).len(), 1, "the one that was told as done");
}

#[test]
fn a_change_that_waits_for_a_lock_too_long_is_told_as_503_and_not_done() {
    let place = Place::postgres();
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    let victim = place.key(&[]);
    assert_eq!(server.get("/v1/whoami", &victim).status, 200);
    let held = Holder::of(&place, "revocation_head");
    let start = now();
    let path = format!("/v1/api-keys/{}", victim.id);
    let refused = server.ask(Method::DELETE, &path, Some(&admin.text), None);
    assert_eq!(refused.outcome(), (503, "unavailable".into()), "{}", refused.text);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    drop(held);
    eventually("it is well", || (server.get("/v1/whoami", &victim).status == 200).then_some(()));
}
