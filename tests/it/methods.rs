//! HEAD is GET without the body wherever there is a GET, and a method that an address does not know is told which it knows.

use reqwest::Method;
use serde_json::json;

use crate::{
    server::{Answer, Key, Place, Server},
    tree,
};

/// What is new in each answer, or counts them, or (a page's length) may change while one looks.
const OF_THE_MOMENT: [&str; 5] =
    ["date", "x-request-id", "content-length", "x-ratelimit-remaining", "ratelimit"];

/// Status and headers, but for what is of the moment.
fn lasting(answer: &Answer) -> (u16, Vec<(&str, &[u8])>) {
    let headers = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let mut headers: Vec<_> = headers.filter(|(name, _)| !OF_THE_MOMENT.contains(name)).collect();
    headers.sort_unstable();
    (answer.status, headers)
}

/// HEAD was answered as GET was, and without a body.
#[track_caller]
pub fn assert_head_of(get: &Answer, head: &Answer, what: &str) {
    assert_eq!(lasting(head), lasting(get), "{what}");
    assert_eq!(head.text, "", "{what}");
    let names = |name| (head.headers.contains_key(name), get.headers.contains_key(name));
    for name in OF_THE_MOMENT {
        let (of_head, of_get) = names(name);
        assert_eq!(of_head, of_get, "{what}: {name}");
    }
}

#[test]
fn what_is_open_to_everybody_is_got_and_headed_and_nothing_else() {
    let server = Place::sqlite().serve();
    for path in [
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/docs",
        "/docs/",
        "/docs/docs.css",
        "/docs/docs.js",
        "/docs/swagger-ui.css",
        "/docs/swagger-ui-bundle.js",
        "/docs/errors",
    ] {
        let ask = |method| server.ask(method, path, None, None);
        let (get, head) = (ask(Method::GET), ask(Method::HEAD));
        assert_eq!(get.status, 200, "{path}");
        assert_head_of(&get, &head, path);
        assert_eq!(get.header("content-length"), head.header("content-length"), "{path}");
        for method in [Method::POST, Method::TRACE, Method::from_bytes(b"BREW").unwrap()] {
            let refused = ask(method.clone());
            assert_eq!(refused.outcome(), (405, "method_not_allowed".into()), "{method} {path}");
            assert_eq!(refused.header("allow"), "GET, HEAD");
        }
    }
    for path in ["/nothing", "/docs/nothing"] {
        let ask = |method| server.ask(method, path, None, None);
        assert_eq!(ask(Method::GET).status, 404);
        assert_head_of(&ask(Method::GET), &ask(Method::HEAD), path);
    }
}

#[test]
fn under_v1_head_is_get_without_the_body_for_everybody_and_is_counted() {
    let place = Place::sqlite();
    place.init();
    let (admin, default) = (place.key(&["--role", "Admin"]), place.key(&[]));
    let server = place.serve();
    let paths = paths_of_gets(&server);
    let there: Vec<String> = paths.iter().map(|path| of_something(&server, &admin, path)).collect();
    let nowhere = paths.iter().map(|path| path.replace("{id}", "none"));
    let mut seen = Vec::new();
    for path in there.iter().cloned().chain(nowhere) {
        for key in [None, Some(&default.text), Some(&admin.text)] {
            let ask = |method| server.ask(method, &path, key.map(String::as_str), None);
            let (get, head) = (ask(Method::GET), ask(Method::HEAD));
            assert_head_of(&get, &head, &path);
            assert_ne!(head.header("content-length"), "0", "{path}");
            let left = |answer: &Answer| answer.header("x-ratelimit-remaining").parse::<u64>().unwrap();
            assert_eq!(left(&head), left(&get) - 1, "{path}");
            seen.push(get.status);
        }
    }
    for path in &there {
        assert_eq!(server.get(path, &admin).status, 200, "{path}");
    }
    for status in [200, 401, 403, 404] {
        assert!(seen.contains(&status), "{seen:?}");
    }
    let counted = "harmony_requests_total{method=\"HEAD\",route=\"/v1/whoami\",status=\"200\"}";
    assert_eq!(server.metric(counted), 4);
}

/// The paths of the description that understand GET.
fn paths_of_gets(server: &Server) -> Vec<String> {
    let openapi = server.ask(Method::GET, "/openapi.json", None, None).json();
    let paths = openapi["paths"].as_object().unwrap().iter();
    let paths: Vec<String> =
        paths.filter(|(_, item)| item.get("get").is_some()).map(|(path, _)| path.clone()).collect();
    assert!(paths.len() > 13, "{paths:?}");
    paths
}

/// The path with the id of something that is there.
fn of_something(server: &Server, admin: &Key, path: &str) -> String {
    let Some((list, rest)) = path.split_once("/{id}") else { return path.to_owned() };
    let body = match list {
        "/v1/conversations" => {
            json!({ "title": "Call", "started_at": "2026-01-01T00:00:00Z", "duration_secs": 1 })
        }
        _ => json!({ "name": "Sales" }),
    };
    let rows = server.list(list, admin);
    let row = rows.first().cloned().unwrap_or_else(|| server.post(list, admin, &body).json());
    format!("{list}/{}{rest}", row["id"].as_str().unwrap_or_else(|| panic!("{row}")))
}

/// A scope answers 404 to the wrong method for a route of its own, and 405 for that of a resource.
#[test]
fn no_get_is_mounted_without_its_head_and_no_route_without_a_resource() {
    let rooms = ["crates/harmony-api/src", "crates/harmony-console/src", "bin/harmony/src"];
    for path in tree::files().into_iter().filter(|path| rooms.iter().any(|room| path.starts_with(room))) {
        let Some(source) = tree::text(&path) else { continue };
        let path = path.display();
        assert!(!source.contains("web::get()"), "{path}: harmony_actix::get() takes HEAD as well");
        let mut routes = source.split(".route(").skip(1);
        let good =
            |rest: &str| [")", "get()", "web::"].iter().any(|start| rest.trim_start().starts_with(start));
        assert!(routes.all(good), "{path}: a route belongs into a web::resource");
    }
}
