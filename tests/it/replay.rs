//! The same request twice under one `Idempotency-Key`: it makes nothing more, and says so.

use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{Key, Place, Server};

/// What a POST under an `Idempotency-Key` answers, whole.
fn post(server: &Server, path: &str, key: &Key, body: &Value) -> String {
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\nidempotency-key: {path}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        key.text,
        body.len()
    );
    server.raw(request.as_bytes(), Duration::from_secs(10))
}

fn says_replayed(answer: &str) -> bool {
    answer.to_lowercase().contains("\r\nidempotency-replayed: true\r\n")
}

fn location(answer: &str) -> String {
    let line = answer.lines().find(|line| line.to_lowercase().starts_with("location: "));
    line.unwrap_or_default().to_owned()
}

/// Made, then told again, and not for another body.
#[track_caller]
fn made_once(server: &Server, path: &str, key: &Key, body: &Value, other: &Value) {
    let first = post(server, path, key, body);
    assert!(first.starts_with("HTTP/1.1 201 ") && !says_replayed(&first), "{path}: {first}");
    let again = post(server, path, key, body);
    assert!(again.starts_with("HTTP/1.1 201 ") && says_replayed(&again), "{path}: {again}");
    assert_eq!(location(&again), location(&first));
    let mismatch = post(server, path, key, other);
    assert!(mismatch.contains("\"idempotency_mismatch\"") && !says_replayed(&mismatch), "{path}: {mismatch}");
}

#[test]
fn every_post_says_that_it_is_a_replay() {
    let place = Place::sqlite();
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    let role = server.list("/v1/roles", &admin).first().unwrap()["id"].clone();
    let name = |name: &str| json!({ "name": name });
    made_once(&server, "/v1/api-keys", &admin, &name("a"), &name("b"));
    made_once(&server, "/v1/teams", &admin, &name("a"), &name("b"));
    let analyst = |name: &str| json!({ "name": name, "permissions": ["conversations:read:all"] });
    made_once(&server, "/v1/roles", &admin, &analyst("a"), &analyst("b"));
    let mut mara = json!({ "email": "mara@example.com", "name": "Mara", "role": role });
    let without = mara.clone();
    mara["password"] = "sesame-street-1".into();
    made_once(&server, "/v1/users", &admin, &mara, &without);
    let talk = |title: &str| json!({ "title": title, "started_at": "2026-11-23T09:00:00Z" });
    made_once(&server, "/v1/conversations", &admin, &talk("a"), &talk("b"));
    let old = Key::of(&server.post("/v1/api-keys", &admin, &name("old")).json());
    let rotate = format!("/v1/api-keys/{}/rotate", old.id);
    made_once(&server, &rotate, &admin, &json!({ "grace_secs": 60 }), &json!({ "grace_secs": 61 }));
}

#[test]
fn one_who_may_add_conversations_and_not_read_them_is_told_again() {
    let place = Place::sqlite();
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    let writer = json!({ "name": "Writer", "permissions": ["conversations:create:own"] });
    let role = server.post("/v1/roles", &admin, &writer).json()["id"].clone();
    let issued = server.post("/v1/api-keys", &admin, &json!({ "name": "writer", "role": role }));
    let writer = Key::of(&issued.json());
    let talk = |title: &str| json!({ "title": title, "started_at": "2026-11-23T09:00:00Z" });
    made_once(&server, "/v1/conversations", &writer, &talk("a"), &talk("b"));
    assert_eq!(server.get("/v1/conversations", &writer).status, 403);
}
