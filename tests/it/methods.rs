//! HEAD is GET without the body wherever there is a GET, and a method that an address does not know is told which it knows.

use reqwest::Method;

use crate::{
    server::{Answer, Place},
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

/// A scope answers 404 to the wrong method for a route of its own, and 405 for that of a resource.
#[test]
fn no_get_is_mounted_without_its_head_and_no_route_without_a_resource() {
    let rooms = ["crates/harmony-console/src", "bin/harmony/src"];
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
