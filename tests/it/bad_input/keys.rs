//! Keys that are none, or are where they do not belong.

use std::time::Duration;

use reqwest::Method;

use super::House;
use crate::server::{Place, eventually};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn missing_malformed_unknown_and_deleted_keys_get_the_same_bytes() {
    let house = House::build();
    let deleted = house.issue();
    assert_eq!(house.server.get("/v1/whoami", &deleted).status, 200);
    house.delete(&deleted);
    let stranger = Place::sqlite();
    stranger.init();
    let unknown = stranger.key(&[]);
    let answers = [None, Some("lk_"), Some(unknown.text.as_str()), Some(deleted.text.as_str())]
        .map(|key| house.server.ask(Method::GET, "/v1/whoami", key, None));
    let told = answers.map(|answer| {
        assert_eq!(answer.status, 401);
        let id = answer.header("x-request-id").to_owned();
        let mut headers: Vec<String> =
            answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        let changes = ["x-request-id", "x-ratelimit", "ratelimit", "date"];
        headers.retain(|line| !changes.iter().any(|name| line.starts_with(name)));
        headers.sort();
        (headers, answer.text.replace(&id, "ID"))
    });
    assert!(told.iter().all(|answer| *answer == told[0]), "{told:#?}");
    assert!(told[0].0.iter().any(|line| line.starts_with("www-authenticate")));
}

#[test]
fn a_key_that_is_written_wrongly_is_no_key() {
    let house = House::build();
    let good = house.admin.text.as_bytes();
    let last = good[66];
    let other = if last == b'0' { b'1' } else { b'0' };
    let variants: [Vec<u8>; 13] = [
        Vec::new(),
        b"lk_".to_vec(),
        good[..66].to_vec(),
        [good, b"0"].concat(),
        [&good[..66], &[other]].concat(),
        good.to_ascii_uppercase(),
        [b"LK_", &good[3..]].concat(),
        [b"lk-", &good[3..]].concat(),
        [b"lk_ ", &good[4..]].concat(),
        [&good[..30], b"\t", &good[31..]].concat(),
        [&good[..66], b"\xff"].concat(),
        [&good[..65], "é".as_bytes()].concat(),
        [b"\"", good, b"\""].concat(),
    ];
    for key in variants {
        let answer = ask(&house, &[&[b"X-API-Key: ", key.as_slice()].concat()]);
        assert_refused(&answer, 401, "invalid_key", &key);
    }
    let nul = ask(&house, &[&[b"X-API-Key: ", &good[..66], b"\0"].concat()]);
    assert!(nul.starts_with("HTTP/1.1 400 "), "HTTP has no NUL: {nul}");
    let good = ask(&house, &[&[b"x-api-KEY:   ", good, b"  "].concat()]);
    assert!(good.starts_with("HTTP/1.1 200 "), "space around a header's value is not its: {good}");
}

#[test]
fn two_key_headers_are_refused_even_if_both_are_good() {
    let house = House::build();
    let header = format!("X-API-Key: {}", house.admin.text);
    assert_refused(&ask(&house, &[header.as_bytes(); 2]), 401, "duplicate_key_header", b"twice");
    let empty: &[u8] = b"X-API-Key:";
    assert_refused(&ask(&house, &[header.as_bytes(), empty]), 401, "duplicate_key_header", b"one empty");
    let both = format!("X-API-Key: {0}, {0}", house.admin.text);
    assert_refused(&ask(&house, &[both.as_bytes()]), 401, "invalid_key", b"a list");
}

#[test]
fn a_key_in_authorization_is_refused_and_its_holder_told_where_it_belongs() {
    let house = House::build();
    let bearer = format!("Authorization: Bearer {}", house.admin.text);
    let good = format!("X-API-Key: {}", house.admin.text);
    assert_refused(&ask(&house, &[bearer.as_bytes()]), 401, "key_in_authorization", b"alone");
    let both = ask(&house, &[bearer.as_bytes(), good.as_bytes()]);
    assert_refused(&both, 401, "key_in_authorization", b"beside a good one");
    assert!(both.contains("X-API-Key"), "{both}");
    let others = ask(&house, &[b"Authorization: Basic dXNlcjpwYXNz", good.as_bytes()]);
    assert!(others.starts_with("HTTP/1.1 200 "), "{others}");
}

#[test]
fn a_key_in_the_query_is_refused_and_the_log_says_whose_without_its_text() {
    let house = House::build();
    let stranger = Place::sqlite();
    stranger.init();
    let (known, unknown) = (house.issue(), stranger.key(&[]));
    for key in [&known, &unknown] {
        let path = format!("/v1/whoami?api_key={}", key.text);
        let refused = house.server.ask(Method::GET, &path, Some(&house.admin.text), None);
        assert_eq!(refused.outcome(), (401, "key_in_query".into()));
        assert!(!refused.text.contains(&key.text));
    }
    // The log is written by a thread of its own.
    let log = eventually("both keys are in the log", || {
        let log = house.server.log();
        (log.matches("a key was seen in a URL").count() == 2).then_some(log)
    });
    let exposed = |key: &crate::server::Key| {
        // The digits alone would be found in ids as well, now and then.
        let last_four = format!("\"last_four\":\"{}\"", &key.text[63..]);
        let mut lines = log.lines().filter(|line| line.contains("a key was seen in a URL"));
        let told = lines.find(|line| line.contains(&last_four));
        told.unwrap_or_else(|| panic!("{log}")).to_owned()
    };
    assert!(exposed(&known).contains(&known.id));
    assert!(!exposed(&unknown).contains("key_id"));
    assert!(!log.contains(&known.text) && !log.contains(&unknown.text));
    assert_eq!(house.server.get("/v1/whoami", &known).status, 200, "it is for its owner to end it");
}

fn ask(house: &House, headers: &[&[u8]]) -> String {
    let mut request = b"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".to_vec();
    for header in headers {
        request.extend_from_slice(header);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    house.server.raw(&request, SECOND)
}

#[track_caller]
fn assert_refused(answer: &str, status: u16, code: &str, what: &[u8]) {
    let what = String::from_utf8_lossy(what);
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what:?}: {answer}");
    assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{what:?}: {answer}");
}
