//! Who may do what: each route of the OpenAPI description, asked by each kind of caller, as one table for people.
//!
//! The ids asked for do not exist and the bodies are empty, so that nothing is changed: 404 and 422 are the answers of one
//! who was let in, as 200 is.

use std::{collections::BTreeSet, fmt::Write as _};

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Key, Place, Server, eventually};

const NOTHING: &str = "019ab3d2c1f07e3f8a55d0c4b1e2f301";
const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
const PERMISSIONS: [&str; 24] = [
    "api-keys:create",
    "api-keys:delete",
    "api-keys:read",
    "api-keys:update",
    "api-keys:verify",
    "audit-log:read",
    "conversations:create",
    "conversations:delete",
    "conversations:read",
    "conversations:update",
    "roles:create",
    "roles:delete",
    "roles:read",
    "roles:update",
    "teams:create",
    "teams:delete",
    "teams:read",
    "teams:update",
    "users:create",
    "users:delete",
    "users:read",
    "users:update",
    "workspace:read",
    "workspace:update",
];

#[test]
fn each_route_answers_each_caller_as_the_table_says() {
    let place = Place::sqlite();
    place.init();
    let house = House { admin: place.key(&["--role", "Admin"]), server: place.serve() };
    let routes = routes(&house.server);
    let mut page = house.by_caller(&place, &routes);
    page.push_str(&house.by_permission(&routes));
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "policy" }, {
        insta::assert_snapshot!("table", page);
    });
}

#[test]
fn the_table_asks_for_every_permission_that_the_administrator_holds() {
    let place = Place::sqlite();
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    let all: Value = PERMISSIONS.iter().map(|action| Value::from(format!("{action}:all"))).collect();
    assert_eq!(server.get("/v1/whoami", &admin).json()["permissions"], all);
}

type Route = (Method, String);

/// Every method of every path of the description.
fn routes(server: &Server) -> Vec<Route> {
    let openapi = server.ask(Method::GET, "/openapi.json", None, None).json();
    let mut routes = Vec::new();
    for (path, item) in openapi["paths"].as_object().unwrap() {
        let verbs: BTreeSet<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
        let known = METHODS.iter().filter(|method| verbs.contains(method.as_str().to_lowercase().as_str()));
        let before = routes.len();
        routes.extend(known.map(|method| (method.clone(), path.clone())));
        assert_eq!(routes.len() - before, verbs.len(), "{path} has a method that is not asked");
    }
    assert!(routes.len() > 30, "{routes:?}");
    routes
}

struct House {
    admin: Key,
    server: Server,
}

impl House {
    fn by_caller(&self, place: &Place, routes: &[Route]) -> String {
        let callers = [
            ("none", None),
            ("bad", Some("lk_0".to_owned())),
            ("unkn", Some(elsewhere())),
            ("exp", Some(self.expired().text)),
            ("del", Some(self.deleted().text)),
        ];
        let roles = [
            ("dflt", None),
            ("Admin", Some("Admin")),
            ("TeamM", Some("Team Manager")),
            ("User", Some("User")),
        ];
        let mut page = String::from(LEGEND);
        let names = callers.iter().map(|(name, _)| *name).chain(roles.iter().map(|(name, _)| *name));
        row(&mut page, "", names);
        for route in routes {
            let refused = callers.iter().map(|(_, key)| self.status(route, key.as_deref()));
            let held = roles.iter().map(|(_, role)| {
                // A key of its own for each question: one of the routes ends the key that asks.
                let key = place.key(&role.map_or_else(Vec::new, |role| vec!["--role", role]));
                self.status(route, Some(&key.text))
            });
            let statuses: Vec<String> = refused.chain(held).map(|status| status.to_string()).collect();
            row(&mut page, &title(route), statuses.iter().map(String::as_str));
        }
        page
    }

    /// For each route the permissions which, held alone, open it.
    fn by_permission(&self, routes: &[Route]) -> String {
        let mut page = String::from(SINGLE);
        let callers: Vec<(String, String)> = PERMISSIONS
            .iter()
            .flat_map(|action| ["own", "team", "all"].map(|scope| format!("{action}:{scope}")))
            .map(|permission| (self.role(&permission), permission))
            .collect();
        for route in routes.iter().filter(|(_, path)| path != "/v1/whoami") {
            let mut opened = Vec::new();
            for (key, permission) in &callers {
                match self.status(route, Some(key)) {
                    403 => {}
                    status => opened.push(format!("{permission} {status}")),
                }
            }
            let opened = if opened.is_empty() { "nothing alone".to_owned() } else { opened.join(", ") };
            writeln!(page, "{:<42} {opened}", title(route)).unwrap();
        }
        page
    }

    /// A key that holds this permission and nothing else.
    fn role(&self, permission: &str) -> String {
        let body = json!({ "name": permission, "permissions": [permission] });
        let role = self.server.post("/v1/roles", &self.admin, &body).json();
        let body = json!({ "name": permission, "role": role["id"] });
        Key::of(&self.server.post("/v1/api-keys", &self.admin, &body).json()).text
    }

    fn status(&self, (method, path): &Route, key: Option<&str>) -> u16 {
        let path = path.replace("{user}", &format!("usr_{NOTHING}")).replace("{id}", &id(path));
        let body = json!({});
        let body = (*method != Method::GET && *method != Method::DELETE).then_some(&body);
        self.server.ask(method.clone(), &path, key, body).status
    }

    fn issue(&self) -> Key {
        Key::of(&self.server.post("/v1/api-keys", &self.admin, &json!({ "name": "test" })).json())
    }

    fn deleted(&self) -> Key {
        let key = self.issue();
        let path = format!("/v1/api-keys/{}", key.id);
        assert_eq!(self.server.ask(Method::DELETE, &path, Some(&self.admin.text), None).status, 204);
        key
    }

    fn expired(&self) -> Key {
        let key = self.issue();
        let path = format!("/v1/api-keys/{}/rotate", key.id);
        assert_eq!(self.server.post(&path, &self.admin, &json!({ "grace_secs": 1 })).status, 201);
        eventually("the key has expired", || {
            (self.server.get("/v1/whoami", &key).outcome().1 == "expired_key").then_some(())
        });
        key
    }
}

/// A key of another store: well formed, and unknown here.
fn elsewhere() -> String {
    let place = Place::sqlite();
    place.init();
    place.key(&[]).text
}

/// An id of the kind that the path is about, of nothing that exists.
fn id(path: &str) -> String {
    let kinds = [("/v1/api-keys", "key"), ("/v1/conversations", "cnv"), ("/v1/roles", "role")];
    let kinds = kinds.into_iter().chain([("/v1/teams", "team"), ("/v1/users", "usr")]);
    let kind = kinds.into_iter().find(|(start, _)| path.starts_with(start));
    kind.map_or_else(String::new, |(_, kind)| format!("{kind}_{NOTHING}"))
}

fn title((method, path): &Route) -> String {
    format!("{:<6} {path}", method.as_str())
}

fn row<'a>(page: &mut String, title: &str, cells: impl Iterator<Item = &'a str>) {
    let cells: Vec<String> = cells.map(|cell| format!("{cell:>5}")).collect();
    writeln!(page, "{title:<42} {}", cells.join(" ")).unwrap();
}

const LEGEND: &str = "\
Callers: no key, a malformed one (bad), an unknown one (unkn), an expired one (exp), a deleted one (del), a key without a
role (dflt: conversations:read:own), and keys with the built-in roles Admin, Team Manager (TeamM) and User.
200, 201 and 204: done. 404 and 422: let in, but the id is nobody's and the body is empty. 401 and 403: not let in.

";

const SINGLE: &str = "
Callers: one key for each permission of the catalogue at each scope, holding nothing else. Listed are those who are let in,
with their answer; every other is 403. Any live key may GET and DELETE /v1/whoami.

";
