//! Requests that are too large, too slow, too deep, or no HTTP for us.

use std::{path::Path, time::Duration};

use reqwest::Method;

use super::House;
use crate::server::{NO_LIMIT, Place, now};

const PATIENCE: Duration = Duration::from_secs(5);

impl House {
    /// Sends a body as it is, and returns the answer.
    fn send(&self, content_type: &str, body: &[u8]) -> String {
        let head = format!(
            "POST /v1/api-keys HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-Key: {}\r\n{content_type}Content-Length: {}\r\n\r\n",
            self.admin.text,
            body.len()
        );
        self.server.raw(&[head.as_bytes(), body].concat(), PATIENCE)
    }

    fn get_with(&self, target: &str, headers: &str) -> String {
        let key = &self.admin.text;
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-Key: {key}\r\n{headers}\r\n"
        );
        self.server.raw(request.as_bytes(), PATIENCE)
    }

    fn lives(&self) {
        assert_eq!(self.server.get("/v1/whoami", &self.admin).status, 200);
    }
}

#[track_caller]
fn assert_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "wanted {status}: {answer:.300}");
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn a_body_that_is_not_json_is_400_and_one_of_another_type_is_415() {
    let house = House::build();
    for body in
        ["", "{", "{\"name\": \"x\"", "{\"name\": \"x\"} x", "{'name': 'x'}", "{\"name\": \"\u{1}\"}", "nul"]
    {
        let answer = house.send(JSON, body.as_bytes());
        assert_status(&answer, 400);
        assert!(answer.contains("\"code\":\"malformed_json\""), "{body}: {answer}");
    }
    assert_status(&house.send(JSON, b"{\"name\": \"\xff\"}"), 400);
    let good = b"{\"name\": \"x\"}";
    assert_status(&house.send("", good), 415);
    let send = |content_type: &str| house.send(&format!("Content-Type: {content_type}\r\n"), good);
    for wrong in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/json;charset=\"ISO-8859-1\"",
        "application/json; a=b; Charset=ascii",
        "application/json; charset=",
        "application/json; charset = utf-16",
    ] {
        assert_status(&send(wrong), 415);
    }
    for right in [
        "Application/JSON; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "application/json; a=b; CHARSET=Utf-8;",
    ] {
        assert_status(&send(right), 201);
    }
}

#[test]
fn a_body_of_more_than_a_mebibyte_is_413() {
    let house = House::build();
    let padded = |bytes: usize| format!("{{\"name\": \"x\"}}{}", " ".repeat(bytes - 13)).into_bytes();
    assert_status(&house.send(JSON, &padded(1 << 20)), 201);
    let answer = house.send(JSON, &padded((1 << 20) + 1));
    assert_status(&answer, 413);
    assert!(answer.contains("\"code\":\"body_too_large\""), "{answer}");
    house.lives();
}

#[test]
fn json_of_any_depth_is_refused_without_harm() {
    let house = House::build();
    let deep = "[".repeat(100_000);
    for body in
        [deep.clone(), format!("{{\"name\": {deep}"), format!("{{\"x\": {}", "{\"a\":".repeat(100_000))]
    {
        let answer = house.send(JSON, body.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 422 "), "{answer:.300}");
    }
    house.lives();
}

#[test]
fn too_many_and_too_large_headers_and_too_long_targets_are_refused() {
    let house = House::build();
    let many = |count: usize| (0..count).map(|nth| format!("X-Filler-{nth}: x\r\n")).collect::<String>();
    assert_status(&house.get_with("/v1/whoami", &many(50)), 200);
    let refused = house.get_with("/v1/whoami", &many(100));
    assert!(refused.starts_with("HTTP/1.1 400 ") || refused.starts_with("HTTP/1.1 431 "), "{refused:.300}");
    let refused = house.get_with("/v1/whoami", &format!("X-Large: {}\r\n", "x".repeat(140 * 1024)));
    assert!(refused.starts_with("HTTP/1.1 400 ") || refused.starts_with("HTTP/1.1 431 "), "{refused:.300}");
    assert_status(&house.get_with(&format!("/v1/conversations?limit={:0>4096}", 1), ""), 200);
    assert_status(&house.get_with(&format!("/v1/whoami?{}", "x".repeat(10 * 1024)), ""), 414);
    let refused = house.get_with(&format!("/v1/{}", "x".repeat(64 * 1024)), "");
    assert!(refused.starts_with("HTTP/1.1 400 ") || refused.starts_with("HTTP/1.1 414 "), "{refused:.300}");
    house.lives();
}

/// What the framework answers itself, with this status and without a word: no room of ours ever sees such a request.
fn answered_by_the_parser() -> Vec<(u16, String)> {
    let get = |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let post = |headers: &str| format!("POST /v1/api-keys HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let many: String = (0..100).map(|nth| format!("X-{nth}: x\r\n")).collect();
    vec![
        (431, get("/healthz", &many)),
        (431, get("/healthz", &format!("X-Large: {}\r\n", "x".repeat(140 * 1024)))),
        (400, get(&format!("/{}", "x".repeat(64 * 1024)), "")),
        (400, get("/health\0", "")),
        (400, get("/healthz", "X-Nul: \0\r\n")),
        (400, post("Content-Length: many\r\n")),
        (400, post("Content-Length: 1\r\nContent-Length: 2\r\n")),
        (400, post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")),
        (400, post("Transfer-Encoding: nonsense\r\n")),
        (400, "GET /healthz HTTP/3.0\r\n\r\n".to_owned()),
        (400, "\u{16}\u{3}\u{1}\0\u{1}\0\r\n\r\n".to_owned()),
        (408, "GET /healthz HTTP/1.1\r\nHost: x\r\n".to_owned()),
    ]
}

#[test]
fn what_strangers_make_the_parser_refuse_is_in_the_log_for_who_asks_and_for_nobody_else() {
    let place = Place::sqlite();
    let mut server = place.serve();
    std::thread::scope(|scope| {
        for (status, request) in answered_by_the_parser() {
            let server = &server;
            scope.spawn(move || {
                let answer = server.raw(request.as_bytes(), Duration::from_secs(15));
                assert_status(&answer, status);
                let answer = answer.to_lowercase();
                assert!(answer.contains("\r\ncontent-length: 0\r\n"), "{answer}");
                assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
                assert!(!answer.contains("x-request-id"), "{answer}");
            });
        }
    });
    assert_eq!(server.terminate(), Some(0));
    let log = server.log();
    assert!(!log.contains("ERROR") && !log.contains("actix_http"), "{log}");

    let mut asked = place.serve_under(&NO_LIMIT, &[("HARMONY_LOG", Path::new("info"))]);
    assert_status(&asked.raw(b"\0\r\n\r\n", PATIENCE), 400);
    assert_eq!(asked.terminate(), Some(0));
    assert!(asked.log().contains("actix_http::h1::dispatcher"), "{}", asked.log());
}

#[test]
fn an_unknown_path_is_404_to_who_has_a_key_and_401_to_others() {
    let house = House::build();
    for path in ["/v1/nothing", "/v1/", "/v1", "/v1/whoami/", "/v1//whoami", "/v1/api-keys/a/b/c"] {
        let outcome = |key| house.server.ask(Method::GET, path, key, None).outcome();
        assert_eq!(outcome(Some(house.admin.text.as_str())), (404, "not_found".into()), "{path}");
        assert_eq!(outcome(None), (401, "invalid_key".into()), "{path}");
    }
    assert_eq!(house.server.ask(Method::GET, "/nothing", None, None).outcome(), (404, "not_found".into()));
}

#[test]
fn a_wrong_method_is_405_and_told_which_are_right() {
    let house = House::build();
    for (method, path, allow) in [
        (Method::TRACE, "/v1/whoami", "GET, HEAD, DELETE"),
        (Method::OPTIONS, "/v1/api-keys", "GET, HEAD, POST"),
        (Method::PUT, "/v1/api-keys/key_1", "GET, HEAD, PATCH, DELETE"),
        (Method::GET, "/v1/api-keys/key_1/rotate", "POST"),
        (Method::PATCH, "/v1/teams/team_1/users/usr_1", "PUT, DELETE"),
        (Method::POST, "/v1/audit-events", "GET, HEAD"),
        (Method::from_bytes(b"BREW").unwrap(), "/v1/conversations", "GET, HEAD, POST"),
    ] {
        let refused = house.server.ask(method.clone(), path, Some(&house.admin.text), None);
        assert_eq!(refused.outcome(), (405, "method_not_allowed".into()), "{method} {path}");
        assert_eq!(refused.header("allow"), allow);
        assert_eq!(house.server.ask(method, path, None, None).status, 401);
    }
}

#[test]
fn what_arrives_too_slowly_is_cut_while_others_are_served() {
    let house = House::build();
    let key = &house.admin.text;
    let headers = "GET /v1/whoami HTTP/1.1\r\nHost: x\r\n".to_owned();
    let body = format!(
        "POST /v1/api-keys HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n{JSON}Content-Length: 13\r\n\r\n{{"
    );
    let stalled = |request: &str, status: u16, within: u64| {
        let start = now();
        let answer = house.server.raw(request.as_bytes(), Duration::from_secs(within));
        assert!(start.elapsed() < Duration::from_secs(within), "it was not cut: {answer}");
        assert_status(&answer, status);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| stalled(&headers, 408, 15));
        scope.spawn(|| stalled(&body, 408, 35));
        house.lives();
    });
    assert_eq!(house.server.list("/v1/api-keys", &house.admin).len(), 1, "nothing was made");
}
