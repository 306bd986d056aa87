//! What was answered is on the disk, whole, and nothing else has changed.

use std::{collections::BTreeSet, sync::Mutex};

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Key, Place, Server, eventually, on_both_databases};

on_both_databases! {
    a_kill_while_keys_are_created_loses_no_acknowledged_key_and_leaves_no_half_made_one
    a_signal_ends_the_server_with_0_and_last_uses_are_kept
}

const THREADS: usize = 4;
const CREATIONS: usize = 1_000;
/// Acknowledged creations after which the server is killed.
const ENOUGH: usize = 300;
/// Keys that nothing is done to.
const NEIGHBOURS: usize = 10_000;

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

#[test]
fn one_call_to_a_running_server_changes_one_row_and_adds_its_audit_event() {
    let place = Place::postgres();
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    place.sql(&format!(
        "INSERT INTO api_keys SELECT 'key_' || lpad(to_hex(n), 32, '0'), workspace_id, owner_id, NULL, 'neighbour', \
         sha256(n::text::bytea), '0000', false, NULL, NULL, NULL, 1, 0 FROM api_keys, generate_series(1, {NEIGHBOURS}) n"
    ));
    let keys = [(); 4].map(|()| place.key(&[]).id);
    let path = |nth: usize| format!("/v1/api-keys/{}", keys[nth]);
    let change = json!({ "name": "changed", "display_rate_limit": 7 });
    let grace = json!({ "grace_secs": 600 });
    let calls = [
        (Method::DELETE, path(0), None, (1, 0), "api_key.deleted"),
        (Method::PATCH, path(1), Some(change), (1, 1), "api_key.changed"),
        (Method::POST, format!("{}/rotate", path(2)), Some(json!({})), (1, 1), "api_key.rotated"),
        (Method::POST, format!("{}/rotate", path(3)), Some(grace), (1, 2), "api_key.rotated"),
    ];
    let mut before = every_row(&place, &admin);
    assert!(before.len() > NEIGHBOURS);
    for (method, path, body, (gone, come), action) in calls {
        let answer = server.ask(method.clone(), &path, Some(&admin.text), body.as_ref());
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text);
        let after = every_row(&place, &admin);
        let lost: Vec<&String> = before.difference(&after).collect();
        let new: Vec<&String> = after.difference(&before).collect();
        // Each key has a row of its own that tells when it was last used, and it comes and goes with the key.
        let (uses_lost, lost): (Vec<_>, Vec<_>) =
            lost.into_iter().partition(|row| row.starts_with("api_key_uses "));
        let (uses_new, new): (Vec<_>, Vec<_>) =
            new.into_iter().partition(|row| row.starts_with("api_key_uses "));
        let goes = usize::from(gone > come || path.ends_with(&format!("{}/rotate", keys[2])));
        let comes = usize::from(path.ends_with("/rotate"));
        assert_eq!((uses_lost.len(), uses_new.len()), (goes, comes), "{uses_lost:?} {uses_new:?}");
        assert!(uses_lost.iter().all(|row| keys.iter().any(|key| row.contains(key) && path.contains(key))));
        let of = |rows: &[&String], table: &str| rows.iter().filter(|row| row.starts_with(table)).count();
        assert_eq!((of(&lost, "api_keys "), of(&new, "api_keys ")), (gone, come), "{lost:?} {new:?}");
        assert_eq!((of(&lost, "revocation_head "), of(&new, "revocation_head ")), (1, 1));
        assert_eq!((of(&new, "revocations "), of(&new, "audit_events ")), (1, 1));
        assert!(new.iter().any(|row| row.contains(action)), "{new:?}");
        assert_eq!((lost.len(), new.len()), (gone + 1, come + 3), "{lost:?} {new:?}");
        before = after;
    }
}

/// Every row of every table, each with its table. Two things change by themselves: a process renews its lease, so that of
/// `nodes` only the id is looked at, and who asks uses their key.
fn every_row(place: &Place, asking: &Key) -> BTreeSet<String> {
    let tables = place.sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_name <> 'nodes'",
    );
    assert!(tables.contains(&"api_keys".to_owned()), "{tables:?}");
    let of = |table: &String| format!("SELECT '{table} ' || row_to_json(it)::text FROM \"{table}\" it");
    let all: Vec<String> =
        tables.iter().map(of).chain(["SELECT 'nodes ' || id FROM nodes".to_owned()]).collect();
    let mut rows: BTreeSet<String> = place.sql(&all.join(" UNION ALL ")).into_iter().collect();
    rows.retain(|row| {
        !((row.starts_with("api_key_uses ") || row.starts_with("api_key_usage ")) && row.contains(&asking.id))
    });
    rows
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
