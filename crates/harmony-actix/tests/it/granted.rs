use serde_json::json;

use crate::service::Service;

#[actix_web::test]
async fn a_permission_gives_its_reach() {
    for (permission, span) in [
        ("conversations:read:own", "Own("),
        ("conversations:read:team", "Team("),
        ("conversations:read:all", "All"),
    ] {
        let service = Service::new();
        let key = service.key(&[permission]);
        let answer = service.get("/v1/conversations/1", &key).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.starts_with(span), "{}", answer.body);
    }
}

#[actix_web::test]
async fn a_live_key_without_the_permission_is_403_with_what_is_required_and_held() {
    let service = Service::new();
    let key = service.key(&["conversations:create:team", "users:read:all"]);
    let answer = service.get("/v1/conversations/1", &key).await;
    assert_eq!(answer.status, 403);
    let body = answer.json();
    assert_eq!(
        body,
        json!({
            "type": "/docs/errors#forbidden", "title": "Permission lacking", "status": 403,
            "detail": "This needs conversations:read:own; held is conversations:create:team.",
            "code": "forbidden", "request_id": body["request_id"],
            "required": "conversations:read:own", "held": ["conversations:create:team"],
        })
    );
    assert_eq!(answer.header("x-request-id"), body["request_id"].as_str());
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("4"));
}

#[actix_web::test]
async fn a_scope_narrower_than_the_narrowest_is_403() {
    for (permission, status) in [("audit-log:read:all", 200), ("audit-log:read:team", 403)] {
        let service = Service::new();
        let key = service.key(&[permission]);
        let answer = service.get("/v1/audit-events", &key).await;
        assert_eq!(answer.status, status, "{permission}");
        if status == 403 {
            assert_eq!(answer.json()["required"], "audit-log:read:all");
            assert_eq!(answer.json()["held"], json!(["audit-log:read:team"]));
        }
    }
}

#[actix_web::test]
async fn a_live_key_without_any_permission_reaches_what_needs_only_a_key() {
    let service = Service::new();
    let key = service.key(&[]);
    assert_eq!(service.get("/v1/whoami", &key).await.status, 200);
    assert_eq!(service.get("/v1/conversations/1", &key).await.json()["held"], json!([]));
}

#[actix_web::test]
async fn a_route_outside_the_guard_fails_closed() {
    let service = Service::new();
    let key = service.key(&["conversations:read:all"]);
    for path in ["/open/whoami", "/open/conversations/1"] {
        let answer = service.get(path, &key).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (500, &json!("internal")), "{path}");
    }
}
