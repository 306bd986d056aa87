//! Bodies, names, dates, roles and cursors that do not fit.

use reqwest::Method;
use serde_json::{Value, json};

use super::House;
use crate::server::{Answer, Key};

impl House {
    fn create(&self, body: &Value) -> Answer {
        self.server.post("/v1/api-keys", &self.admin, body)
    }

    /// Refused with 422 for this field and this reason.
    #[track_caller]
    fn refuses(&self, body: &Value, field: &str, code: &str) {
        let answer = self.create(body);
        assert_eq!(answer.outcome(), (422, "invalid_fields".into()), "{body}: {}", answer.text);
        let errors = answer.json()["errors"].clone();
        assert_eq!(errors.as_array().unwrap().len(), 1, "{errors}");
        assert_eq!(
            (errors[0]["field"].as_str(), errors[0]["code"].as_str()),
            (Some(field), Some(code)),
            "{body}"
        );
    }
}

#[test]
fn unknown_missing_and_mistyped_fields_are_refused_by_name() {
    let house = House::build();
    house.refuses(&json!({}), "name", "required");
    house.refuses(&json!({ "name": "x", "nmae": "y" }), "nmae", "unknown_field");
    house.refuses(&json!({ "name": 7 }), "name", "wrong_type");
    house.refuses(&json!({ "name": null }), "name", "wrong_type");
    house.refuses(&json!("x"), "body", "wrong_type");
    assert_eq!(house.server.list("/v1/api-keys", &house.admin).len(), 1, "nothing was made");
}

#[test]
fn a_name_has_1_to_100_characters_and_no_control_character() {
    let house = House::build();
    let name = |name: &str| json!({ "name": name });
    house.refuses(&name(""), "name", "empty");
    house.refuses(&name(" \t "), "name", "empty");
    house.refuses(&name(&"é".repeat(101)), "name", "too_long");
    house.refuses(&name("a\nb"), "name", "control_character");
    house.refuses(&name("a\0b"), "name", "control_character");
    let longest = format!("  {}  ", "é".repeat(100));
    let made = house.create(&name(&longest));
    assert_eq!((made.status, made.json()["name"].as_str()), (201, Some(longest.trim())));
    assert_eq!(house.create(&name("twin")).status, 201);
    assert_eq!(house.create(&name("twin")).status, 201, "two keys may share a name");
}

#[test]
fn an_expiration_is_a_date_or_an_instant_that_lies_ahead() {
    let house = House::build();
    let until = |at: Value| json!({ "name": "x", "expires_at": at });
    for past in ["2020-01-01", "2020-01-01T00:00:00Z", "0000-01-01", "1969-12-31T23:59:59Z"] {
        house.refuses(&until(past.into()), "expires_at", "in_the_past");
    }
    let wrong =
        ["", "tomorrow", "2027-02-29", "2027-13-01", "2030-01-01T00:00:00", "10000-01-01", "9999-12-32"];
    for wrong in wrong {
        let answer = house.create(&until(wrong.into()));
        assert_eq!(
            (answer.status, &answer.json()["errors"][0]["field"]),
            (422, &json!("expires_at")),
            "{wrong}"
        );
    }
    house.refuses(&until(1_900_000_000.into()), "expires_at", "wrong_type");
    let kept = |at: &str| house.create(&until(at.into())).json()["expires_at"].clone();
    assert_eq!(kept("9999-12-31"), "9999-12-31T23:59:59.999Z");
    assert_eq!(kept("2096-02-29"), "2096-02-29T23:59:59.999Z");
    assert_eq!(kept("2096-02-28T23:30:00-01:00"), "2096-02-29T00:30:00.000Z");
}

#[test]
fn a_role_must_be_known_here_and_no_wider_than_the_actors() {
    let house = House::build();
    let with = |role: &str| json!({ "name": "x", "role": role });
    house.refuses(&with("role_019ab3d2c1f07e3f8a55d0c4b1e2f301"), "role", "unknown");
    assert_eq!(house.create(&with("Admin")).status, 422, "a name is no id");
    let elsewhere = House::build();
    let roles = |house: &House| house.server.list("/v1/roles", &house.admin);
    let theirs = roles(&elsewhere)[0]["id"].as_str().unwrap().to_owned();
    house.refuses(&with(&theirs), "role", "unknown");

    let permissions = "api-keys:create:all,conversations:read:own,roles:create:all";
    house.place.cli(&["role", "create", "--name", "Maker", "--permission", permissions]);
    let maker = house.place.key(&["--role", "Maker"]);
    let all = roles(&house);
    let id =
        |name: &str| all.iter().find(|role| role["name"] == name).unwrap()["id"].as_str().unwrap().to_owned();
    let refused = house.server.post("/v1/api-keys", &maker, &with(&id("User")));
    assert_eq!(refused.outcome(), (403, "forbidden".into()));
    assert_eq!(refused.json()["required"], "conversations:create:own");
    assert_eq!(house.server.post("/v1/api-keys", &maker, &with(&id("Maker"))).status, 201);
    let wider = json!({ "name": "Wide", "permissions": ["conversations:read:team"] });
    let refused = house.server.post("/v1/roles", &maker, &wider);
    assert_eq!((refused.status, &refused.json()["required"]), (403, &json!("conversations:read:team")));
}

#[test]
fn forged_cursors_limits_and_parameters_are_refused() {
    let house = House::build();
    let outcome = |path: &str| house.server.get(path, &house.admin).outcome();
    for cursor in ["x", "", "key_", "role_019ab3d2c1f07e3f8a55d0c4b1e2f301", "%00", "-1"] {
        let lists = ["api-keys", "conversations", "audit-events", "users", "teams"];
        for list in lists {
            let path = format!("/v1/{list}?cursor={cursor}");
            assert_eq!(outcome(&path), (400, "invalid_cursor".into()), "{path}");
        }
    }
    let wrong = ["limit=0", "limit=201", "limit=-1", "limit=x", "limit=99999999999", "nonsense=1"];
    for query in wrong {
        assert_eq!(outcome(&format!("/v1/api-keys?{query}")), (400, "malformed_request".into()), "{query}");
    }
    assert_eq!(outcome("/v1/api-keys?limit=1").0, 200);
    assert_eq!(outcome("/v1/api-keys?limit=200").0, 200);
}

#[test]
fn a_parameter_on_a_route_that_takes_none_is_refused_by_its_name() {
    let house = House::build();
    let openapi = house.server.ask(Method::GET, "/openapi.json", None, None).json();
    let (mut told, mut unread) = (0, 0);
    for (path, item) in openapi["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let empty = Vec::new();
            let takes =
                operation["parameters"].as_array().unwrap_or(&empty).iter().any(|it| it["in"] == "query");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let body = json!({});
            let body = matches!(method, Method::POST | Method::PUT | Method::PATCH).then_some(&body);
            let ask = |method, path: &str| house.server.ask(method, path, Some(&house.admin.text), body);
            let refused = ask(method.clone(), &format!("{path}?nonsense=1"));
            assert_eq!(refused.outcome(), (400, "malformed_request".into()), "{method} {path}");
            let detail = refused.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("unknown field `nonsense`"), "{method} {path}: {detail}");
            assert!(refused.headers.contains_key("x-ratelimit-remaining"), "{method} {path}");
            if method == Method::GET {
                assert_eq!(ask(Method::HEAD, &format!("{path}?nonsense=1")).status, 400, "{path}");
            }
            if takes { told += 1 } else { unread += 1 }
        }
    }
    assert!(told > 7 && unread > 20, "{told} {unread}");
    let ask = |method, path, key| house.server.ask(method, path, key, None).status;
    let key = Some(house.admin.text.as_str());
    assert_eq!(ask(Method::GET, "/v1/whoami?", key), 200);
    assert_eq!(ask(Method::GET, "/v1/%77hoami?nonsense=1", key), 400);
    assert_eq!(ask(Method::DELETE, "/v1/te%61ms/none?nonsense=1", key), 400);
    assert_eq!(ask(Method::GET, "/v1/whoami?nonsense=1", None), 401);
    assert_eq!(ask(Method::GET, "/v1/nothing?nonsense=1", key), 404);
    assert_eq!(ask(Method::PATCH, "/v1/whoami?nonsense=1", key), 405);
}

#[test]
fn an_id_of_another_workspace_is_answered_like_one_that_never_was() {
    let (here, there) = (House::build(), House::build());
    let ids =
        [there.admin.id.as_str(), "key_019ab3d2c1f07e3f8a55d0c4b1e2f301", "key_", "nonsense", "%FF", "..%2f"];
    let told = |method: &Method, id: &str| {
        let answer =
            here.server.ask(method.clone(), &format!("/v1/api-keys/{id}"), Some(&here.admin.text), None);
        let request_id = answer.header("x-request-id").to_owned();
        assert_eq!(answer.outcome(), (404, "not_found".into()), "{id}: {}", answer.text);
        answer.text.replace(&request_id, "ID")
    };
    for method in [Method::GET, Method::DELETE] {
        let first = told(&method, ids[0]);
        assert!(ids.iter().all(|id| told(&method, id) == first));
    }
    let holder = Key { id: there.admin.id.clone(), ..here.admin.clone() };
    assert_eq!(there.server.get("/v1/whoami", &there.admin).json()["id"], holder.id, "it lives on there");
}

#[test]
fn null_is_refused_where_nothing_can_be_taken_away() {
    let house = House::build();
    let key = house.issue();
    let one = |path: &str, body: Value| {
        let made = house.server.post(path, &house.admin, &body).json();
        format!("{path}/{}", made["id"].as_str().unwrap())
    };
    let role = house.server.list("/v1/roles", &house.admin).first().unwrap()["id"].clone();
    let talk = json!({ "title": "x", "started_at": "2026-11-23T09:00:00Z" });
    let user = json!({ "email": "mara@example.com", "name": "Mara", "role": role });
    for (path, fields) in [
        (format!("/v1/api-keys/{}", key.id), vec!["name", "expires_at"]),
        (one("/v1/conversations", talk), vec!["title", "summary", "participants", "action_items"]),
        (
            one("/v1/roles", json!({ "name": "x", "permissions": [] })),
            vec!["name", "description", "permissions"],
        ),
        (one("/v1/users", user), vec!["email", "name", "role"]),
        (one("/v1/teams", json!({ "name": "x" })), vec!["name"]),
        ("/v1/workspace".to_owned(), vec!["name", "default_permissions"]),
    ] {
        let change =
            |body: &Value| house.server.ask(Method::PATCH, &path, Some(&house.admin.text), Some(body));
        for field in fields {
            let answer = change(&json!({ field: null }));
            let detail = "must not be null; leave it out to keep it";
            let errors = json!([{ "field": field, "code": "wrong_type", "detail": detail }]);
            assert_eq!((answer.status, &answer.json()["errors"]), (422, &errors), "{path}: {}", answer.text);
        }
        assert_eq!(change(&json!({})).status, 200, "{path}");
    }
    let free = json!({ "display_rate_limit": null });
    let path = format!("/v1/api-keys/{}", key.id);
    assert_eq!(house.server.ask(Method::PATCH, &path, Some(&house.admin.text), Some(&free)).status, 200);
    let unbounded = json!({ "longest_key_lifetime_secs": null });
    assert_eq!(
        house.server.ask(Method::PATCH, "/v1/workspace", Some(&house.admin.text), Some(&unbounded)).status,
        200
    );
}

#[test]
fn a_text_in_the_query_is_short_and_without_control_characters() {
    let house = House::build();
    for (path, name) in [
        ("api-keys", "q"),
        ("conversations", "q"),
        ("audit-events", "action"),
        ("audit-events", "actor"),
        ("audit-events", "subject"),
    ] {
        let ask = |text: &str| house.server.get(&format!("/v1/{path}?{name}={text}"), &house.admin);
        for bad in ["a%00b", "%0A", "%7F", &"x".repeat(201)] {
            assert_eq!(ask(bad).outcome(), (400, "malformed_request".into()), "{path} {name} {bad}");
        }
        assert_eq!(ask(&"x".repeat(200)).status, 200, "{path} {name}");
    }
}
