//! What was answered is on the disk, whole, and nothing else has changed.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Key, Place, Server, eventually, on_both_databases};

on_both_databases! {
    a_kill_while_keys_are_created_loses_no_acknowledged_key_and_leaves_no_half_made_one
    one_call_changes_one_row_and_adds_its_audit_event
    a_signal_ends_the_server_with_0_and_last_uses_are_kept
}

const THREADS: usize = 4;
const CREATIONS: usize = 1_000;
/// Acknowledged creations after which the server is killed.
const ENOUGH: usize = 300;
/// They are made one by one through the API, the only way in from here; where the disk is real, as many as promised.
const NEIGHBOURS: usize = 10_000;
const FEWER_NEIGHBOURS: usize = 1_000;

fn a_kill_while_keys_are_created_loses_no_acknowledged_key_and_leaves_no_half_made_one(place: &Place) {
    place.init();
    let (admin, mut server) = (place.key(&["--role", "Admin"]), place.serve());
    let acknowledged = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let (server, admin, acknowledged) = (&server, &admin, &acknowledged);
        for _ in 0..THREADS {
            scope.spawn(|| create_until_it_dies(server, admin, acknowledged));
        }
        eventually("enough keys are made", || (acknowledged.lock().unwrap().len() >= ENOUGH).then_some(()));
        server.kill_now();
    });
    server.kill();
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!((ENOUGH..CREATIONS).contains(&acknowledged.len()), "it was killed in the middle");

    let server = place.serve();
    for key in &acknowledged {
        assert_eq!(server.get("/v1/whoami", key).json()["id"], key.id);
    }
    let ids = |rows: &[Value], member: &str| -> BTreeSet<String> {
        rows.iter().map(|row| row[member].as_str().unwrap().to_owned()).collect()
    };
    let listed = server.list("/v1/api-keys", &admin);
    let mut events = server.list("/v1/audit-events", &admin);
    events.retain(|event| event["action"] == "api_key.created");
    assert_eq!(ids(&listed, "id"), ids(&events, "subject"), "each key has its event, and each event its key");
    assert_eq!(listed.len(), events.len());
    assert!(acknowledged.iter().all(|key| ids(&listed, "id").contains(&key.id)));
    assert!(listed.len() <= acknowledged.len() + THREADS + 1, "those under way, and the administrator's");
}

fn create_until_it_dies(server: &Server, admin: &Key, acknowledged: &Mutex<Vec<Key>>) {
    for _ in 0..CREATIONS / THREADS {
        let body = json!({ "name": "one of many" });
        let Ok(answer) = server.try_ask(Method::POST, "/v1/api-keys", Some(&admin.text), Some(&body)) else {
            return;
        };
        assert_eq!(answer.status, 201, "{}", answer.text);
        acknowledged.lock().unwrap().push(Key::of(&answer.json()));
    }
}

fn one_call_changes_one_row_and_adds_its_audit_event(place: &Place) {
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    fill(&server, &admin, if place.is_sqlite() { NEIGHBOURS } else { FEWER_NEIGHBOURS });
    let keys = server.list("/v1/api-keys", &admin);
    let path = |nth: usize| format!("/v1/api-keys/{}", keys[nth * 100]["id"].as_str().unwrap());
    let change = json!({ "name": "changed", "display_rate_limit": 7 });
    let calls = [
        (Method::DELETE, path(1), None, (1, 0), "api_key.deleted"),
        (Method::PATCH, path(2), Some(change), (1, 1), "api_key.changed"),
        (Method::POST, format!("{}/rotate", path(3)), Some(json!({})), (1, 1), "api_key.rotated"),
        (
            Method::POST,
            format!("{}/rotate", path(4)),
            Some(json!({ "grace_secs": 600 })),
            (1, 2),
            "api_key.rotated",
        ),
    ];
    let mut before = Dump::of(&server, &admin);
    for (method, path, body, (gone, come), action) in calls {
        let answer = server.ask(method.clone(), &path, Some(&admin.text), body.as_ref());
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text);
        let after = Dump::of(&server, &admin);
        let lost = before.rows.difference(&after.rows).count();
        let new: Vec<&String> = after.rows.difference(&before.rows).collect();
        assert_eq!((lost, new.len()), (gone, come), "{method} {path}: {new:?}");
        let told: Vec<&String> = after.events.difference(&before.events).collect();
        assert!(before.events.is_subset(&after.events));
        assert!(matches!(told.as_slice(), [one] if one.contains(action)), "{method} {path}: {told:?}");
        before = after;
    }
}

fn fill(server: &Server, admin: &Key, count: usize) {
    let made = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while made.fetch_add(1, Ordering::Relaxed) < count {
                    let body = json!({ "name": "neighbour", "expires_at": "2099-12-31" });
                    assert_eq!(server.post("/v1/api-keys", admin, &body).status, 201);
                }
            });
        }
    });
}

/// Everything that the API shows of every table, each row as text. Last uses are left out: asking is a use.
struct Dump {
    rows: BTreeSet<String>,
    events: BTreeSet<String>,
}

impl Dump {
    fn of(server: &Server, admin: &Key) -> Self {
        let mut rows = BTreeSet::from([server.get("/v1/workspace", admin).text]);
        for list in ["api-keys", "users", "roles", "teams", "conversations"] {
            for mut row in server.list(&format!("/v1/{list}"), admin) {
                let members = row.as_object_mut().unwrap();
                members.retain(|name, _| !name.starts_with("last_used"));
                assert!(rows.insert(row.to_string()), "{list}: {row} twice");
            }
        }
        let events = server.list("/v1/audit-events", admin).iter().map(Value::to_string).collect();
        Self { rows, events }
    }
}

fn a_signal_ends_the_server_with_0_and_last_uses_are_kept(place: &Place) {
    place.init();
    let (used, unused, mut server) = (place.key(&[]), place.key(&[]), place.serve());
    assert_eq!(server.get("/v1/whoami", &used).status, 200);
    assert_eq!(server.terminate(), Some(0));
    let keys = place.cli(&["key", "list"])["data"].as_array().unwrap().clone();
    let last_use = |key: &Key| {
        let row = keys.iter().find(|row| row["id"] == key.id).unwrap();
        (row["last_used_at"].is_string(), row["last_used_ip"].clone())
    };
    assert_eq!(last_use(&used), (true, json!("127.0.0.1")));
    assert_eq!(last_use(&unused), (false, Value::Null));
    assert!(server.log().contains("stopped"), "{}", server.log());
}

#[test]
fn a_database_that_is_gone_is_503_with_nothing_half_done_until_it_is_back() {
    let place = Place::postgres();
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    let ready = || server.ask(Method::GET, "/readyz", None, None).status;
    let create = || server.post("/v1/api-keys", &admin, &json!({ "name": "once" }));
    assert_eq!((ready(), create().status), (200, 201));
    place.reach_database(false);
    let refused = create();
    assert_eq!(refused.outcome(), (503, "unavailable".into()));
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    assert!(!refused.text.to_lowercase().contains("postgres"), "{}", refused.text);
    assert_eq!(ready(), 503);
    // Not even a key that was seen a moment ago passes for longer than the server can know that it lives.
    eventually("the lease has run out", || (server.get("/v1/whoami", &admin).status == 503).then_some(()));
    assert_eq!(server.ask(Method::GET, "/v1/whoami", None, None).status, 401);
    assert_eq!(server.ask(Method::GET, "/healthz", None, None).status, 200);
    place.reach_database(true);
    eventually("the server is ready again", || (ready() == 200).then_some(()));
    assert_eq!(server.list("/v1/api-keys", &admin).len(), 2, "the administrator's and the first");
    assert_eq!(create().status, 201);
}
