use std::sync::atomic::Ordering;

use actix_web::{http::Method, test::TestRequest};
use harmony_key::ApiKey;
use serde_json::json;

use crate::service::{LIMIT, START_MS, Service};

const READ: &[&str] = &["conversations:read:own"];
/// 900 s behind the start.
const RESET: &str = "1795392900";

#[actix_web::test]
async fn a_live_key_reaches_the_handler_and_the_answer_tells_what_is_left() {
    let service = Service::new();
    let key = service.key(READ);
    let answer = service.get("/v1/whoami", &key).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.body.starts_with("usr_") && answer.body.ends_with(&format!(" at {START_MS}")),
        "{}",
        answer.body
    );
    assert_eq!(answer.rate(), ["5", "4", RESET, "\"default\";q=5;w=900", "\"default\";r=4;t=900"].map(Some));
    assert_eq!(answer.header("retry-after"), None);
    let last_four = &key[63..];
    assert_eq!(
        service.notes.take(),
        [
            "decided true 4".to_owned(),
            "authenticated Accepted".to_owned(),
            format!("answered GET /v1/whoami 200 192.0.2.1 {last_four} -"),
        ]
    );
}

#[actix_web::test]
async fn missing_malformed_unknown_and_deleted_keys_get_the_same_bytes() {
    let service = Service::new();
    let live = service.key(READ);
    service.forget_keys();
    let wrong_check_digits = format!("lk_{}", "0".repeat(64));
    let unknown = ApiKey::from_secret([9; 28]).reveal().to_owned();
    let mut bodies = Vec::new();
    for (n, key) in
        [None, Some("nonsense"), Some(&*wrong_check_digits), Some(&*unknown), Some(&*live)].iter().enumerate()
    {
        let mut request = TestRequest::get().uri("/v1/whoami").insert_header(("x-request-id", "same"));
        if let Some(key) = key {
            request = request.insert_header(("x-api-key", *key));
        }
        let answer = service.send_from(&format!("192.0.2.{n}"), request).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), Some("ApiKey realm=\"harmony\", header=\"X-API-Key\""));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some("4"));
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&bodies[0]).unwrap(),
        json!({
            "type": "/docs/errors#invalid_key", "title": "No valid API key", "status": 401,
            "detail": "Send a live API key in the header X-API-Key: lk_ and 64 lowercase hexadecimal digits.",
            "code": "invalid_key", "request_id": "same",
        })
    );
}

#[actix_web::test]
async fn wrong_check_digits_are_refused_without_a_look_up_unless_foreign_keys_may_exist() {
    let service = Service::new();
    let foreign = format!("lk_{}", "0".repeat(64));
    assert_eq!(service.get("/v1/whoami", &foreign).await.status, 401);
    assert_eq!(service.keys.asked.load(Ordering::Relaxed), 0);
    service.foreign_keys.store(true, Ordering::Relaxed);
    assert_eq!(service.get("/v1/whoami", &foreign).await.status, 401);
    assert_eq!(service.keys.asked.load(Ordering::Relaxed), 1);
}

#[actix_web::test]
async fn a_key_in_memory_needs_neither_check_digits_nor_a_look_up() {
    let service = Service::new();
    let foreign = format!("lk_{}", "0".repeat(64));
    service.import(&foreign, READ, Some(START_MS + 1_000));
    assert_eq!(service.get("/v1/whoami", &foreign).await.status, 401);
    service.keys.in_memory.store(true, Ordering::Relaxed);
    assert_eq!(service.get("/v1/whoami", &foreign).await.status, 200);
    service.clock.advance(1_000);
    assert_eq!(service.get("/v1/whoami", &foreign).await.json()["code"], "expired_key");
    assert_eq!(
        service.get(&format!("/v1/whoami?key={foreign}"), &foreign).await.json()["code"],
        "key_in_query"
    );
    assert_eq!(service.keys.asked.load(Ordering::Relaxed), 0);
}

#[actix_web::test]
async fn an_expired_key_is_told_so_from_its_expiration_on() {
    let service = Service::new();
    let key = service.key_until(READ, Some(START_MS + 1_000));
    service.clock.advance(999);
    assert_eq!(service.get("/v1/whoami", &key).await.status, 200);
    service.clock.advance(1);
    let answer = service.get("/v1/whoami", &key).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (401, &json!("expired_key")));
}

#[actix_web::test]
async fn exactly_the_limit_is_let_through_and_the_rest_is_refused_before_anything_else() {
    let service = Service::new();
    let key = service.key(READ);
    for left in (0..LIMIT).rev() {
        let answer = service.get("/v1/whoami", &key).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(&*left.to_string()));
    }
    let asked = service.keys.asked.load(Ordering::Relaxed);
    service.clock.advance(100_500);
    let answer = service.get("/v1/whoami", &key).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (429, &json!("rate_limited")));
    assert_eq!(answer.header("retry-after"), Some("800"));
    assert_eq!(answer.rate(), ["5", "0", RESET, "\"default\";q=5;w=900", "\"default\";r=0;t=800"].map(Some));
    assert_eq!(service.keys.asked.load(Ordering::Relaxed), asked, "a refused request asks nobody");
    let other = TestRequest::get().uri("/v1/whoami").insert_header(("x-api-key", &*key));
    assert_eq!(service.send_from("192.0.2.2", other).await.status, 200);
    service.clock.advance(799_500);
    assert_eq!(service.get("/v1/whoami", &key).await.status, 200);
}

#[actix_web::test]
async fn a_trusted_proxy_names_the_client_and_a_stranger_does_not() {
    let service = Service::new();
    let key = service.key(READ);
    let request = || {
        TestRequest::get()
            .uri("/v1/whoami")
            .insert_header(("x-api-key", &*key))
            .insert_header(("x-forwarded-for", "1.1.1.1, 198.51.100.1"))
    };
    assert_eq!(service.send_from("10.0.0.1", request()).await.header("x-ratelimit-remaining"), Some("4"));
    assert_eq!(service.send_from("10.0.0.2", request()).await.header("x-ratelimit-remaining"), Some("3"));
    assert_eq!(service.send_from("192.0.2.1", request()).await.header("x-ratelimit-remaining"), Some("4"));
}

#[actix_web::test]
async fn two_headers_and_keys_elsewhere_are_told_apart() {
    let service = Service::new();
    let key = service.key(READ);
    let bearer =
        TestRequest::get().uri("/v1/whoami").insert_header(("authorization", format!("Bearer {key}")));
    assert_eq!(service.send(bearer).await.json()["code"], "key_in_authorization");
    let twice = TestRequest::get()
        .uri("/v1/whoami")
        .append_header(("x-api-key", &*key))
        .append_header(("x-api-key", &*key));
    assert_eq!(service.send(twice).await.json()["code"], "duplicate_key_header");
    assert_eq!(service.keys.asked.load(Ordering::Relaxed), 0);
}

#[actix_web::test]
async fn a_key_in_the_url_is_refused_and_reported_without_its_text() {
    let service = Service::new();
    let key = service.key(READ);
    let unknown = ApiKey::from_secret([9; 28]).reveal().to_owned();
    for (key, known) in [(&key, true), (&unknown, false)] {
        let answer = service.send(TestRequest::get().uri(&format!("/v1/whoami?api_key={key}"))).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (401, &json!("key_in_query")));
        assert!(!answer.body.contains(&key[3..]));
        let notes = service.notes.take();
        assert!(notes.contains(&format!("exposed {} {known} 192.0.2.1", &key[63..])), "{notes:?}");
        assert!(!notes.concat().contains(&key[3..20]));
    }
}

#[actix_web::test]
async fn a_store_that_cannot_be_asked_is_503_and_never_401() {
    let service = Service::new();
    let key = service.key(READ);
    service.keys.broken.store(true, Ordering::Relaxed);
    let answer = service.get("/v1/whoami", &key).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (503, &json!("unavailable")));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("4"));
    assert!(!answer.body.contains("fire"));
    assert!(service.notes.take().contains(&"authenticated Unavailable".to_owned()));
}

#[actix_web::test]
async fn without_a_key_unknown_paths_and_wrong_methods_are_401_and_with_one_they_are_told() {
    let service = Service::new();
    let key = service.key(READ);
    let wrong_method = || TestRequest::default().method(Method::TRACE).uri("/v1/conversations/1");
    assert_eq!(service.send(TestRequest::get().uri("/v1/nothing")).await.status, 401);
    assert_eq!(service.send(wrong_method()).await.status, 401);
    let unknown = service.get("/v1/nothing", &key).await;
    assert_eq!((unknown.status.as_u16(), &unknown.json()["code"]), (404, &json!("not_found")));
    assert_eq!(unknown.header("x-ratelimit-remaining"), Some("2"));
    let wrong = service.send(wrong_method().insert_header(("x-api-key", &*key))).await;
    assert_eq!((wrong.status.as_u16(), &wrong.json()["code"]), (405, &json!("method_not_allowed")));
    assert_eq!(wrong.header("allow"), Some("GET, HEAD"));
    let made_up =
        TestRequest::default().method(Method::from_bytes(b"BREW").unwrap()).uri("/v1/conversations/1");
    assert_eq!(service.send(made_up.insert_header(("x-api-key", &*key))).await.status, 405);
}

#[actix_web::test]
async fn a_panic_and_an_error_inside_still_tell_what_is_left() {
    let service = Service::new();
    let key = service.key(READ);
    for (path, left) in [("/v1/panic", "4"), ("/v1/broken", "3")] {
        let answer = service.get(path, &key).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (500, &json!("internal")), "{path}");
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(left));
        assert!(!answer.body.contains("secret"), "{}", answer.body);
        assert_eq!(answer.header("x-request-id"), answer.json()["request_id"].as_str());
    }
}

#[actix_web::test]
async fn a_target_beyond_8_kib_is_414() {
    let service = Service::new();
    let key = service.key(READ);
    let answer = service.get(&format!("/v1/whoami?q={}", "a".repeat(8 * 1024)), &key).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (414, &json!("uri_too_long")));
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("4"));
}
