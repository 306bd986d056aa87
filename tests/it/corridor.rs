//! The way of a key through the server: issued, accepted, limited, and refused from the moment it is taken away.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Key, Place, Server, eventually, now, on_both_databases};

on_both_databases! {
    a_key_opens_what_its_role_permits_and_nothing_else
    the_1001st_request_of_a_window_is_refused_and_every_answer_names_the_same_reset
    a_key_that_another_process_deleted_is_refused_by_the_very_next_request
    race_no_request_that_starts_after_the_deletion_is_accepted_however_many_run
    a_restart_loses_nothing
    a_key_deleted_through_the_api_is_refused_by_the_very_next_request
    a_key_can_end_itself
    a_rotated_key_ends_at_once_or_after_its_grace_period
    an_expired_key_is_refused_and_its_holder_is_told
    a_change_of_the_expiration_counts_at_once
    a_role_that_is_narrowed_counts_at_once
    default_permissions_that_are_narrowed_count_at_once
    a_removed_users_keys_are_refused_at_once_and_transferred_ones_live_on
}

const CONVERSATIONS: &str = "/v1/conversations";
/// How often a hot key is deleted: enough to meet a race that is there.
const DELETIONS: usize = 50;
/// How many keys are deleted while so many threads use them.
const RACES: usize = 10;
const RUNNERS: usize = 4;
/// How long a process may answer from memory.
const LEASE: Duration = Duration::from_secs(2);

fn a_key_opens_what_its_role_permits_and_nothing_else(place: &Place) {
    place.init();
    let (default, server) = (place.key(&[]), place.serve());
    let answer = server.get(CONVERSATIONS, &default);
    assert_eq!((answer.status, answer.json()), (200, json!({ "data": [], "next_cursor": null })));
    assert_eq!(answer.header("cache-control"), "no-store");

    let refused = server.ask(Method::GET, CONVERSATIONS, None, None);
    assert_eq!(refused.outcome(), (401, "invalid_key".into()));
    assert!(!refused.header("www-authenticate").is_empty());
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert_eq!(refused.header("x-request-id"), refused.json()["request_id"]);

    let refused = server.get("/v1/users", &default);
    assert_eq!(refused.outcome(), (403, "forbidden".into()));
    assert_eq!(refused.json()["required"], "users:read:own");
    assert_eq!(refused.json()["held"], json!([]));

    let create = json!({ "title": "x" });
    let refused = server.post(CONVERSATIONS, &default, &create).json();
    assert_eq!(refused["required"], "conversations:create:own");
    assert_eq!(refused["held"], json!(["conversations:read:own"]));
}

fn the_1001st_request_of_a_window_is_refused_and_every_answer_names_the_same_reset(place: &Place) {
    place.init();
    let (key, server) = (place.key(&[]), place.serve_with(&[]));
    let answers: Vec<Answer> = (0..1_001).map(|_| server.get("/v1/whoami", &key)).collect();
    let reset = answers[0].header("x-ratelimit-reset").to_owned();
    for (nth, answer) in answers.iter().enumerate() {
        assert_eq!(answer.status, if nth < 1_000 { 200 } else { 429 }, "request {nth}");
        assert_eq!(answer.header("x-ratelimit-limit"), "1000");
        assert_eq!(answer.header("x-ratelimit-remaining"), (999_usize.saturating_sub(nth)).to_string());
        assert_eq!(answer.header("x-ratelimit-reset"), reset);
        assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=1000;w=900");
    }
    let last = &answers[1_000];
    assert_eq!(last.outcome().1, "rate_limited");
    assert!((1..=900).contains(&last.header("retry-after").parse::<u32>().unwrap()));
    assert!(last.header("ratelimit").starts_with("\"default\";r=0;t="));
    // One client is one client, whatever key it brings and whatever it asks for.
    assert_eq!(server.ask(Method::GET, "/v1/nothing", None, None).status, 429);
    for probe in ["/healthz", "/readyz"] {
        assert_eq!(server.ask(Method::GET, probe, None, None).json(), json!({ "status": "ok" }));
    }
}

fn a_key_that_another_process_deleted_is_refused_by_the_very_next_request(place: &Place) {
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    for _ in 0..DELETIONS {
        let key = issue(&server, &admin, &json!({ "name": "hot" }));
        for _ in 0..3 {
            assert_eq!(server.get(CONVERSATIONS, &key).status, 200);
        }
        let deleted = place.cli(&["key", "delete", &key.id]);
        let next = server.get(CONVERSATIONS, &key);
        assert_eq!(deleted, json!({ "id": key.id, "deleted": true }));
        assert_eq!(next.outcome(), (401, "invalid_key".into()));
    }
    let again = place.run(&["key", "delete", &admin.id.replace(|c: char| c.is_ascii_digit(), "0")], "");
    assert_eq!(again.status.code(), Some(1), "there is no such key");
}

fn race_no_request_that_starts_after_the_deletion_is_accepted_however_many_run(place: &Place) {
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    for _ in 0..RACES {
        let key = issue(&server, &admin, &json!({ "name": "hot" }));
        let deleted = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..RUNNERS {
                scope.spawn(|| {
                    loop {
                        let (late, status) =
                            (deleted.load(Ordering::SeqCst), server.get("/v1/whoami", &key).status);
                        assert!(status == 401 || (status == 200 && !late), "{status}, deleted: {late}");
                        if late {
                            break;
                        }
                    }
                });
            }
            place.cli(&["key", "delete", &key.id]);
            deleted.store(true, Ordering::SeqCst);
        });
    }
}

fn a_restart_loses_nothing(place: &Place) {
    place.init();
    let (admin, mut server) = (place.key(&["--role", "Admin"]), place.serve());
    let key = issue(&server, &admin, &json!({ "name": "kept", "display_rate_limit": "ten a day" }));
    let gone = issue(&server, &admin, &json!({ "name": "gone" }));
    assert_eq!(server.ask(Method::DELETE, &path(&gone), Some(&admin.text), None).status, 204);
    let lists = ["/v1/users", "/v1/roles", "/v1/teams", "/v1/audit-events"];
    let everything = |server: &Server| lists.map(|list| server.list(list, &admin));
    let (before, shown) = (everything(&server), server.get(&path(&key), &admin).json());
    server.kill();
    let server = place.serve();
    assert_eq!(everything(&server), before);
    assert_eq!(server.get(&path(&key), &admin).json(), shown);
    assert_eq!(server.get(CONVERSATIONS, &key).status, 200);
    assert_eq!(server.get(CONVERSATIONS, &gone).status, 401);
}

fn a_key_deleted_through_the_api_is_refused_by_the_very_next_request(place: &Place) {
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    let (key, neighbour) = (place.key(&[]), place.key(&[]));
    assert_eq!(server.get(CONVERSATIONS, &key).status, 200);
    assert_eq!(server.ask(Method::DELETE, &path(&key), Some(&admin.text), None).status, 204);
    assert_eq!(server.get(CONVERSATIONS, &key).status, 401);
    assert_eq!(server.get(CONVERSATIONS, &neighbour).status, 200);
    assert_eq!(server.get(&path(&key), &admin).outcome(), (404, "not_found".into()));
    let kept = server.list("/v1/audit-events", &admin);
    let event = kept.iter().find(|event| event["action"] == "api_key.deleted").unwrap();
    assert_eq!(event["subject"], key.id);
    assert_eq!(event["detail"]["last_four"], key.text[63..]);
}

#[test]
fn a_second_deletion_waits_like_the_first_for_a_process_that_may_accept_the_key() {
    let place = Place::postgres();
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    let key = place.key(&[]);
    let delete = |path: &str| {
        // A process that has just renewed its lease and then hears of nothing, so that each wait is a whole one.
        place.sql(
            "INSERT INTO nodes SELECT regexp_replace(id, '.{8}$', '00000000'), lease_until, 0, started_at FROM nodes \
             ON CONFLICT DO NOTHING",
        );
        let start = now();
        let answer = server.ask(Method::DELETE, path, Some(&admin.text), None);
        (answer.status, start.elapsed() >= LEASE)
    };
    assert_eq!(delete(&path(&key)), (204, true));
    assert_eq!(delete(&path(&key)), (404, true));
    // Nobody waits a second time for a process that has ended without a word.
    let start = now();
    let other = place.key(&[]);
    assert_eq!(server.ask(Method::DELETE, &path(&key), Some(&admin.text), None).status, 404);
    assert_eq!(server.ask(Method::DELETE, &path(&other), Some(&admin.text), None).status, 204);
    assert!(start.elapsed() < LEASE);
    assert_eq!(delete("/v1/api-keys"), (405, false));
}

fn a_key_can_end_itself(place: &Place) {
    place.init();
    let (key, neighbour, server) = (place.key(&[]), place.key(&[]), place.serve());
    assert_eq!(server.ask(Method::DELETE, "/v1/whoami", Some(&key.text), None).status, 204);
    assert_eq!(server.get("/v1/whoami", &key).status, 401);
    assert_eq!(server.get("/v1/whoami", &neighbour).json()["id"], neighbour.id);
}

fn a_rotated_key_ends_at_once_or_after_its_grace_period(place: &Place) {
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    let (old, gentle) = (place.key(&[]), place.key(&[]));
    assert_eq!(server.get(CONVERSATIONS, &old).status, 200);
    let new = rotate(&server, &admin, &old, 0);
    assert_eq!(server.get(CONVERSATIONS, &old).status, 401);
    assert_eq!(server.get(CONVERSATIONS, &new).status, 200);

    assert_eq!(server.get(CONVERSATIONS, &gentle).status, 200);
    let new = rotate(&server, &admin, &gentle, 600);
    assert_eq!(server.get(CONVERSATIONS, &gentle).status, 200);
    assert_eq!(server.get(CONVERSATIONS, &new).status, 200);
    let again = server.post(&format!("{}/rotate", path(&gentle)), &admin, &json!({}));
    assert_eq!(again.outcome(), (409, "already_exists".into()));
    let too_long = json!({ "grace_secs": 2_592_001 });
    assert_eq!(server.post(&format!("{}/rotate", path(&new)), &admin, &too_long).status, 422);
}

fn an_expired_key_is_refused_and_its_holder_is_told(place: &Place) {
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    let soon = in_seconds(place, &server, &admin, 2);
    let key = issue(&server, &admin, &json!({ "name": "short", "expires_at": soon }));
    assert_eq!(server.get(CONVERSATIONS, &key).status, 200);
    let refused = eventually("the key has expired", || {
        Some(server.get(CONVERSATIONS, &key)).filter(|answer| answer.status != 200)
    });
    assert_eq!(refused.outcome(), (401, "expired_key".into()));
    let late = json!({ "name": "late", "expires_at": soon });
    assert_eq!(server.post("/v1/api-keys", &admin, &late).json()["errors"][0]["field"], "expires_at");
}

fn a_change_of_the_expiration_counts_at_once(place: &Place) {
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    let key = issue(&server, &admin, &json!({ "name": "long", "expires_at": "9999-12-31" }));
    assert_eq!(server.get(CONVERSATIONS, &key).status, 200);
    let soon = in_seconds(place, &server, &admin, 1);
    let change = json!({ "expires_at": soon });
    let changed = server.ask(Method::PATCH, &path(&key), Some(&admin.text), Some(&change));
    assert_eq!((changed.status, &changed.json()["expires_at"]), (200, &soon));
    let refused = eventually("the key has expired", || {
        Some(server.get(CONVERSATIONS, &key)).filter(|answer| answer.status != 200)
    });
    assert_eq!(refused.outcome(), (401, "expired_key".into()));
}

fn a_role_that_is_narrowed_counts_at_once(place: &Place) {
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    let wide = "conversations:read:all,users:read:all";
    let role = place.cli(&["role", "create", "--name", "Reader", "--permission", wide]);
    let key = place.key(&["--role", "Reader"]);
    assert_eq!(server.get(CONVERSATIONS, &key).status, 200);
    let change = json!({ "permissions": ["users:read:all"] });
    let role = format!("/v1/roles/{}", role["id"].as_str().unwrap());
    assert_eq!(server.ask(Method::PATCH, &role, Some(&admin.text), Some(&change)).status, 200);
    assert_eq!(server.get(CONVERSATIONS, &key).outcome(), (403, "forbidden".into()));
    assert_eq!(server.get("/v1/users", &key).status, 200);
    let refused = server.ask(Method::DELETE, &role, Some(&admin.text), None);
    assert_eq!(refused.outcome(), (409, "role_in_use".into()));
    assert_eq!((&refused.json()["users"], &refused.json()["keys"]), (&json!([]), &json!([key.id])));
}

fn default_permissions_that_are_narrowed_count_at_once(place: &Place) {
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    let (default, with_role) = (place.key(&[]), place.key(&["--role", "User"]));
    assert_eq!(server.get(CONVERSATIONS, &default).status, 200);
    let none = json!({ "default_permissions": [] });
    assert_eq!(server.ask(Method::PATCH, "/v1/workspace", Some(&admin.text), Some(&none)).status, 200);
    assert_eq!(server.get(CONVERSATIONS, &default).outcome(), (403, "forbidden".into()));
    assert_eq!(server.get(CONVERSATIONS, &with_role).status, 200);
}

fn a_removed_users_keys_are_refused_at_once_and_transferred_ones_live_on(place: &Place) {
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    let ann = server.get("/v1/whoami", &admin).json()["owner"].clone();
    let add = |email: &str| {
        let user = place.cli(&["user", "add", "--email", email, "--name", "Somebody"]);
        let user = user["id"].as_str().unwrap().to_owned();
        let key = issue(&server, &admin, &json!({ "name": "theirs", "owner": user }));
        assert_eq!(server.get(CONVERSATIONS, &key).status, 200);
        (user, key)
    };
    let remove = |path: &str| server.ask(Method::DELETE, path, Some(&admin.text), None);
    let (uma, key) = add("uma@acme.example");
    assert_eq!(remove(&format!("/v1/users/{uma}")).outcome(), (409, "keys_remain".into()));
    assert_eq!(server.get(CONVERSATIONS, &key).status, 200);
    assert_eq!(remove(&format!("/v1/users/{uma}?keys=delete")).status, 204);
    assert_eq!(server.get(CONVERSATIONS, &key).status, 401);

    let (tom, key) = add("tom@acme.example");
    let to_ann = format!("/v1/users/{tom}?keys=transfer&to={}", ann.as_str().unwrap());
    assert_eq!(remove(&to_ann).status, 204);
    assert_eq!(server.get("/v1/whoami", &key).json()["owner"], ann);
    // The last administrator stays one.
    let user_role = place.cli(&["role", "list"])["data"].as_array().unwrap().clone();
    let user_role = user_role.iter().find(|role| role["name"] == "User").unwrap();
    let demotion = json!({ "role": user_role["id"] });
    let ann = format!("/v1/users/{}", ann.as_str().unwrap());
    let demoted = server.ask(Method::PATCH, &ann, Some(&admin.text), Some(&demotion));
    assert_eq!(demoted.outcome(), (409, "last_administrator".into()));
}

fn issue(server: &Server, admin: &Key, body: &Value) -> Key {
    let answer = server.post("/v1/api-keys", admin, body);
    assert_eq!(answer.status, 201, "{}", answer.text);
    Key::of(&answer.json())
}

fn rotate(server: &Server, admin: &Key, old: &Key, grace_secs: u64) -> Key {
    let body = json!({ "grace_secs": grace_secs });
    let answer = server.post(&format!("{}/rotate", path(old)), admin, &body);
    assert_eq!(answer.status, 201, "{}", answer.text);
    Key::of(&answer.json())
}

/// An instant ahead by the server's own clock: that at which a key would end that is rotated now.
fn in_seconds(place: &Place, server: &Server, admin: &Key, secs: u64) -> Value {
    let old = place.key(&[]);
    rotate(server, admin, &old, secs);
    server.get(&path(&old), admin).json()["expires_at"].clone()
}

fn path(key: &Key) -> String {
    format!("/v1/api-keys/{}", key.id)
}
