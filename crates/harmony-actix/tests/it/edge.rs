use std::{sync::Arc, time::Duration};

use actix_web::{
    App, HttpResponse,
    test::{self, TestRequest},
    web,
};
use harmony_actix::Guard;
use harmony_limit::{MemoryLimiter, Quota, TableMemory};
use serde_json::json;

use crate::service::{Keys, Service};

#[actix_web::test]
async fn every_answer_has_a_request_id_and_is_not_stored_unless_it_says_so() {
    let service = Service::new();
    for (path, status, cache) in [
        ("/healthz", 200, "no-store"),
        ("/public", 200, "max-age=60"),
        ("/nothing", 404, "no-store"),
        ("/teapot", 418, "no-store"),
        ("/panic", 500, "no-store"),
        ("/v1/whoami", 401, "no-store"),
    ] {
        let answer = service.send(TestRequest::get().uri(path)).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.header("x-request-id").is_some(), "{path}");
        assert_eq!(answer.header("cache-control"), Some(cache), "{path}");
    }
}

#[actix_web::test]
async fn a_harmless_request_id_comes_back_and_another_is_replaced() {
    let service = Service::new();
    let send = |id: &'static str| {
        service.send(TestRequest::get().uri("/nothing").insert_header(("x-request-id", id)))
    };
    let taken = send("trace-1").await;
    assert_eq!(taken.header("x-request-id"), Some("trace-1"));
    assert_eq!(taken.json()["request_id"], "trace-1");
    let replaced = send("<script>").await;
    assert_ne!(replaced.header("x-request-id"), Some("<script>"));
    assert_eq!(replaced.header("x-request-id"), replaced.json()["request_id"].as_str());
}

#[actix_web::test]
async fn errors_of_other_crates_become_problems_that_tell_nothing() {
    let service = Service::new();
    for (path, status, code) in
        [("/numbers/1000", 404, "not_found"), ("/io-error", 500, "internal"), ("/panic", 500, "internal")]
    {
        let answer = service.send(TestRequest::get().uri(path)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (status, &json!(code)), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(!answer.body.contains("secret") && !answer.body.contains("1000"), "{}", answer.body);
    }
    assert_eq!(service.send(TestRequest::get().uri("/numbers/200")).await.body, "200");
    assert_eq!(service.send(TestRequest::get().uri("/teapot")).await.body, "short and stout");
}

#[actix_web::test]
async fn a_problem_of_a_handler_gets_the_request_id_and_keeps_its_fields() {
    let service = Service::new();
    let key = service.key(&[]);
    let answer = service.get("/v1/invalid", &key).await;
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.json()["errors"],
        json!([{"field": "name", "code": "too_long", "detail": "At most 100."}])
    );
    assert_eq!(answer.header("x-request-id"), answer.json()["request_id"].as_str());
}

#[actix_web::test]
async fn each_answer_is_observed_once_with_its_route_and_never_its_path() {
    let service = Service::new();
    let key = service.key(&["conversations:read:own"]);
    for (path, line) in [
        (
            "/v1/conversations/secret",
            format!("answered GET /v1/conversations/{{id}} 200 192.0.2.1 {} -", &key[63..]),
        ),
        ("/v1/secret", format!("answered GET unmatched 404 192.0.2.1 {} not_found", &key[63..])),
        ("/secret", "answered GET unmatched 404 192.0.2.1 - not_found".to_owned()),
        ("/healthz", "answered GET /healthz 200 192.0.2.1 - -".to_owned()),
        ("/panic", "answered GET unmatched 500 192.0.2.1 - internal".to_owned()),
    ] {
        service.get(path, &key).await;
        let notes = service.notes.take();
        let answered: Vec<_> = notes.iter().filter(|note| note.starts_with("answered")).collect();
        assert_eq!(answered, [&line], "{path}");
        assert!(!notes.concat().contains("secret"));
    }
    service.send(TestRequest::get().uri("/v1/whoami")).await;
    assert_eq!(service.notes.take().last().unwrap(), "answered GET /v1/whoami 401 192.0.2.1 - invalid_key");
}

#[actix_web::test]
async fn a_guard_without_an_edge_fails_closed() {
    let quota = Quota::new(5, Duration::from_secs(900)).unwrap();
    let limiter = MemoryLimiter::new(quota, TableMemory::new(1 << 20).unwrap()).unwrap();
    let scope = web::scope("/v1")
        .wrap(Guard::over(Arc::new(Keys::default()), Arc::new(limiter)))
        .route("/open", web::get().to(HttpResponse::Ok));
    let service = test::init_service(App::new().service(scope)).await;
    let response = test::call_service(&service, TestRequest::get().uri("/v1/open").to_request()).await;
    assert_eq!(response.status(), 500);
}
