//! How far somebody gets: pages that are not for them, pages that are not kept, names that are no markup, and what is made
//! once.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{
    pages::{Addresses, PAGES, Who},
    setup_link,
    visitor::{Visitor, fields},
    world::{ADMIN, MANAGER, USER, World},
};
use crate::{
    methods::assert_head_of,
    server::{Answer, Key},
};

/// Each section, and what one has to hold to see it.
const SECTIONS: &[(&str, &str)] = &[
    ("/settings/general", "workspace:read:own"),
    ("/settings/roles", "roles:read:all"),
    ("/settings/api-keys", "api-keys:read:team"),
    ("/settings/audit-log", "audit-log:read:all"),
];

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// A name that must stay one.
const MARKUP: &str = "<script>alert(1)</script>'\"&amp;";

/// Somebody who holds this, and their role.
pub fn holding<'a>(world: &'a World, permissions: &[&str]) -> (Visitor<'a>, String) {
    let role = json!({ "name": "Some", "permissions": permissions });
    let role = world.create("roles", &role);
    let user = world.named("users", "Uma User");
    world.ask(Method::PATCH, &format!("/v1/users/{user}"), Some(&json!({ "role": role })));
    (Visitor::new(&world.server).sign_in(USER), role)
}

fn links(page: &Answer, path: &str) -> bool {
    page.text.contains(&format!("href=\"{path}\"")) || page.text.contains(&format!("href=\"{path}/"))
}

#[test]
fn a_section_is_there_for_whoever_may_see_it_and_for_nobody_else() {
    let world = World::full();
    let addresses = Addresses::of(&world);
    let (uma, role) = holding(&world, &["conversations:read:own"]);
    let pages: Vec<String> = PAGES.iter().map(|page| addresses.of_page(page)).collect();
    for (section, permission) in SECTIONS {
        let change = json!({ "permissions": [permission] });
        world.ask(Method::PATCH, &format!("/v1/roles/{role}"), Some(&change));
        let account = uma.look("/account");
        for (other, _) in SECTIONS {
            assert_eq!(links(&account, other), other == section, "{permission}, {other}");
            let status = uma.get(other).status;
            assert_eq!(status, if other == section { 200 } else { 404 }, "{permission}, {other}");
            let below = pages.iter().filter(|path| path.starts_with(*other) && other != section);
            for path in below {
                assert_eq!(uma.get(path).status, 404, "{permission}, {path}");
            }
        }
    }
}

#[test]
fn whoever_may_see_the_keys_and_no_more_changes_none() {
    let world = World::full();
    let key = format!("/settings/api-keys/{}", world.named("api-keys", "Weekly report"));
    let before = world.api_keys();
    let (uma, _) = holding(&world, &["api-keys:read:all", "roles:read:all", "workspace:read:all"]);
    let form = uma.hidden("/account", "/sign-out");
    let list = uma.look("/settings/api-keys");
    for page in [&list, &uma.get(&key)] {
        assert_eq!(page.status, 200);
        for offered in ["Create API key", "Create the first key", "Delete", "Edit", "Rotate"] {
            assert!(!page.text.contains(offered), "{offered}: {}", page.text);
        }
    }
    for path in [
        "/settings/api-keys/new".to_owned(),
        "/settings/api-keys/delete".to_owned(),
        format!("{key}/edit"),
        format!("{key}/rotate"),
        format!("{key}/delete"),
        "/settings/roles/new".to_owned(),
    ] {
        assert_eq!((uma.get(&path).status, uma.post(&path, &form).status), (404, 404), "{path}");
    }
    let general = uma.post("/settings/general", &form);
    assert!(matches!(general.status, 403 | 404), "{}", general.text);
    assert_eq!(world.api_keys(), before);
}

#[test]
fn what_is_refused_is_said_beside_ones_name_and_ones_sections() {
    let world = World::full();
    let (uma, _) = holding(&world, &["conversations:read:own", "api-keys:read:all"]);
    let gone = "/settings/api-keys/key_019ab3d2c1f07e3f8a55d0c4b1e2f301";
    for path in [gone, "/settings/nothing", "/settings/roles"] {
        let page = uma.look(path);
        assert_eq!(page.status, 404, "{path}");
        assert!(page.text.contains("There is nothing here"), "{path}: {}", page.text);
        assert!(page.text.contains(">Uma User</a>") && links(&page, "/settings/api-keys"), "{}", page.text);
        let current = page.text.contains("href=\"/settings/api-keys\" aria-current=\"page\"");
        assert_eq!(current, path == gone, "{path}: {}", page.text);
        assert!(!links(&page, "/settings/roles") && !links(&page, "/settings/general"), "{}", page.text);
    }
    // What may have come from elsewhere is told nothing.
    let foreign = Visitor::new(&world.server).sign_in(USER).post("/settings/api-keys/new", &fields(&[]));
    assert_eq!(foreign.status, 404, "{}", foreign.text);
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let foreign = ann.post("/settings/api-keys/new", &fields(&[]));
    assert_eq!((foreign.status, foreign.text.contains("Ann Admin")), (403, false), "{}", foreign.text);
    let (page, form) = ("/settings/teams/new", ann.hidden("/settings/teams/new", "/settings/teams/new"));
    let malformed: Vec<_> = form.into_iter().filter(|(name, _)| name != "once").collect();
    let malformed = ann.post(page, &malformed);
    assert_eq!((malformed.status, malformed.text.contains("Ann Admin")), (400, true), "{}", malformed.text);
}

#[test]
fn nobody_is_led_to_a_list_that_is_not_for_them() {
    for (held, led) in [("api-keys:read:own", false), ("api-keys:read:team", true)] {
        let world = World::full();
        let (uma, _) = holding(&world, &["roles:read:all", held]);
        let page = uma.look("/settings/roles");
        assert_eq!((page.status, page.text.contains("/settings/api-keys?role=")), (200, led), "{held}");
    }
}

#[test]
fn a_team_is_said_to_have_the_people_that_it_has() {
    let world = World::full();
    let page = |visitor: &Visitor<'_>| {
        visitor.look(&format!("/settings/teams/{}", world.named("teams", "Sales"))).text
    };
    // Tom is in it, and may read no users, himself included.
    let said = page(&Visitor::new(&world.server).sign_in(MANAGER));
    assert!(said.contains("2 people are in this team. You may not see who."), "{said}");
    let (uma, _) = holding(&world, &["teams:read:team", "users:read:own"]);
    let said = page(&uma);
    assert!(said.contains(">Uma User</a>") && said.contains("And 1 more, whom you may not see."), "{said}");
}

#[test]
fn who_serves_the_workspace_is_said_to_those_who_may_read_all_of_it() {
    for (held, said) in
        [("workspace:read:own", false), ("workspace:read:team", false), ("workspace:read:all", true)]
    {
        let world = World::full();
        let (uma, _) = holding(&world, &[held]);
        let page = uma.get("/settings/general");
        assert_eq!((page.status, page.text.contains("1 server serving.")), (200, said), "{held}");
        assert_eq!(page.text.contains("Servers"), said, "{held}");
    }
}

#[test]
fn whoever_has_not_signed_in_is_asked_to_and_comes_back() {
    let world = World::full();
    let addresses = Addresses::of(&world);
    let nobody = Visitor::new(&world.server);
    for page in PAGES.iter().filter(|page| matches!(page.who, Who::Person(_))) {
        let path = addresses.of_page(page);
        if path == "/settings/nothing" {
            continue;
        }
        let answer = nobody.get(&path);
        assert_eq!(answer.status, 303, "{path}");
        let asked = nobody.get(answer.header("location"));
        assert_eq!(asked.status, 200, "{path}");
        let escaped = path.replace('&', "&#38;");
        assert!(asked.text.contains(&format!("name=\"next\" value=\"{escaped}\"")), "{path}: {}", asked.text);
    }
}

#[test]
fn no_page_is_kept_framed_or_made_of_anything_from_elsewhere() {
    let world = World::full();
    let (_place, empty) = World::empty();
    let addresses = Addresses::of(&world);
    let [nobody, newcomer] = [&world.server, &empty].map(Visitor::new);
    for page in PAGES {
        let answer = match page.who {
            Who::Newcomer => newcomer.get(&setup_link(&empty)),
            Who::Stranger => nobody.get(page.path),
            Who::Person(email) => Visitor::new(&world.server).sign_in(email).get(&addresses.of_page(page)),
        };
        assert_guarded(&answer, page.name);
    }
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let wrong = [("name", ""), ("expires", "7")];
    assert_guarded(&ann.submit("/settings/api-keys/new", &wrong), "a form with a mistake");
    assert_guarded(&ann.post("/settings/api-keys/new", &fields(&[])), "a form from elsewhere");
    assert_guarded(&nobody.try_sign_in(ADMIN, "not the password"), "a wrong password");
    assert_guarded(&ann.submit("/settings/api-keys/new", &[("name", "New"), ("expires", "7")]), "a key");
    for answer in [nobody.get("/account"), nobody.get("/"), ann.get("/")] {
        assert_eq!((answer.status, answer.header("cache-control")), (303, "no-store"));
    }
}

#[track_caller]
fn assert_guarded(answer: &Answer, what: &str) {
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", POLICY),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        let found = answer.headers.get(name).unwrap_or_else(|| panic!("{what}: no {name}"));
        assert_eq!(found.to_str().unwrap(), value, "{what}");
    }
    let inline = ["<style", " style=", "<script>", " onclick=", " onload=", "javascript:", "http-equiv"];
    for sign in inline {
        assert!(!answer.text.contains(sign), "{what} has {sign}");
    }
    for (place, _) in answer
        .text
        .match_indices("src=\"")
        .chain(answer.text.match_indices("<link rel=\"stylesheet\" href=\""))
    {
        let address = answer.text[place..].split('"').find(|part| part.starts_with(['/', 'h', 'd'])).unwrap();
        assert!(address.starts_with("/assets/"), "{what}: {address}");
    }
}

#[test]
fn what_pages_are_made_of_is_small_and_kept_for_ever() {
    let world = World::full();
    let page = Visitor::new(&world.server).get("/sign-in").text;
    let mut bytes = 0;
    let mut addresses: Vec<&str> = page.split('"').filter(|part| part.starts_with("/assets/")).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    for address in addresses {
        let request = format!(
            "GET {address} HTTP/1.1\r\nhost: {}\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n",
            world.server.address
        );
        let answer = world.server.raw(request.as_bytes(), Duration::from_secs(10));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let head = answer.split("\r\n\r\n").next().unwrap().to_lowercase();
        assert!(head.contains("cache-control: public, max-age=31536000, immutable"), "{head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
        bytes += if address.ends_with(".svg") { 0 } else { compressed(&world, request.as_bytes()) };
    }
    assert!((1_000..15_000).contains(&bytes), "{bytes} bytes of CSS and JS");
    assert_eq!(Visitor::new(&world.server).get("/assets/000000000000/console.css").status, 404);
}

#[test]
fn a_page_is_headed_as_it_is_got_and_a_wrong_method_is_refused_by_a_page() {
    let world = World::full();
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let ask = |method, path: &str| ann.send(method, path, &[], String::new());
    let addresses = Addresses::of(&world);
    let pages = PAGES.iter().map(|page| addresses.of_page(page)).filter(|path| !path.contains('{'));
    for path in pages.chain(["/".to_owned(), "/settings/audit-log.jsonl".to_owned()]) {
        let get = ask(Method::GET, &path);
        assert_head_of(&get, &ask(Method::HEAD, &path), &path);
        let refused = ask(Method::PUT, &path);
        if path == "/settings/nothing" {
            assert_eq!(refused.status, 404);
            continue;
        }
        assert_eq!(refused.status, 405, "{path}");
        assert!(refused.text.contains("This address works differently"), "{path}: {}", refused.text);
        let named = refused.text.contains(">Ann Admin</a>");
        assert_eq!(named, path.starts_with("/settings/"), "{path}: {}", refused.text);
        assert!(refused.header("allow").starts_with("GET, HEAD"), "{path}");
    }
    for (path, allow) in [("/sign-in", "GET, HEAD, POST"), ("/settings/teams", "GET, HEAD")] {
        assert_eq!(ask(Method::DELETE, path).header("allow"), allow);
    }
    for path in ["/sign-out", "/account/password", "/settings/teams/x/people"] {
        for method in [Method::GET, Method::HEAD] {
            let refused = ask(method, path);
            assert_eq!((refused.status, refused.header("allow")), (405, "POST"), "{path}");
        }
    }
    let stranger = Visitor::new(&world.server);
    let refused = stranger.send(Method::DELETE, "/settings/users", &[], String::new());
    assert_eq!(refused.status, 405);
    assert!(!refused.text.contains("Ann"), "{}", refused.text);
    let asset = ann.get("/account").text;
    let asset = asset.split('"').find(|text| text.ends_with("console.css")).unwrap();
    assert_head_of(&ask(Method::GET, asset), &ask(Method::HEAD, asset), asset);
    assert_eq!(ask(Method::POST, asset).outcome(), (405, "method_not_allowed".into()));
}

/// How many bytes the answer's body has, as it is sent.
fn compressed(world: &World, request: &[u8]) -> usize {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(&world.server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let head = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    assert!(String::from_utf8_lossy(&answer[..head]).to_lowercase().contains("content-encoding: gzip"));
    answer.len() - head - 4
}

#[test]
fn a_name_is_never_markup() {
    let world = World::full();
    world.ask(Method::PATCH, "/v1/workspace", Some(&json!({ "name": MARKUP })));
    for (resource, name) in [("roles", "Analyst"), ("users", "Uma User"), ("teams", "Sales")] {
        let path = format!("/v1/{resource}/{}", world.named(resource, name));
        world.ask(Method::PATCH, &path, Some(&json!({ "name": MARKUP })));
    }
    let [role, user, team] = ["roles", "users", "teams"].map(|resource| world.named(resource, MARKUP));
    let description = json!({ "description": MARKUP });
    world.ask(Method::PATCH, &format!("/v1/roles/{role}"), Some(&description));
    let body = json!({ "name": MARKUP, "owner": user, "role": role, "display_rate_limit": MARKUP });
    let key = Key::of(&world.ask(Method::POST, "/v1/api-keys", Some(&body))).id;

    let ids = [("{key}", &key), ("{role}", &role), ("{user}", &user), ("{team}", &team)];
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let uma = Visitor::new(&world.server).sign_in(USER);
    let mut shown = 0;
    for page in PAGES.iter().filter(|page| matches!(page.who, Who::Person(_))) {
        let path = ids.iter().fold(page.path.to_owned(), |path, (place, id)| path.replace(place, id));
        let query = if path.contains('?') { "" } else { "?q=%3Cscript%3Ealert(1)%3C/script%3E" };
        for answer in [ann.get(&path), ann.get(&format!("{path}{query}")), uma.get(&path)] {
            shown += inert(&answer, &path);
        }
    }
    for path in
        ["/account".to_owned(), format!("/settings/api-keys/{key}"), format!("/settings/roles/{role}")]
    {
        let answer = if path == "/account" { uma.look(&path) } else { ann.look(&path) };
        assert!(inert(&answer, &path) > 0, "{path} does not show the name");
    }
    let entered =
        [("name", MARKUP), ("expires", MARKUP), ("date", MARKUP), ("limit", MARKUP), ("role", MARKUP)];
    assert!(inert(&ann.submit("/settings/api-keys/new", &entered), "a form with mistakes") > 0);
    let made = ann.submit("/settings/api-keys/new", &[("name", MARKUP), ("expires", "7")]);
    assert_eq!(made.status, 201);
    assert!(inert(&made, "the new key") > 0);
    let stranger = Visitor::new(&world.server);
    assert!(inert(&stranger.try_sign_in(MARKUP, "not the password"), "sign-in") > 0);
    assert!(shown > 10, "the names are shown {shown} times");
}

/// Asserts that a page holds no markup of ours, and counts how often it is said as a text.
#[track_caller]
fn inert(answer: &Answer, what: &str) -> usize {
    for sign in ["<script>alert", "\"&amp;\"", "'\"&amp;"] {
        assert!(!answer.text.contains(sign), "{what}: {}", answer.text);
    }
    answer.text.matches("alert(1)").count()
}

#[test]
fn a_key_is_made_once_however_often_its_form_is_sent() {
    let world = World::full();
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let page = "/settings/api-keys/new";
    let mut form = ann.hidden(page, page);
    form.extend(fields(&[("name", "Once"), ("expires", "7")]));
    let made = ann.post(page, &form);
    assert_eq!(made.status, 201, "{}", made.text);
    let text = key_in(&made).unwrap();
    for _ in 0..2 {
        let again = ann.post(page, &form);
        assert_eq!(again.status, 200);
        assert!(key_in(&again).is_none() && !again.text.contains(&text), "{}", again.text);
        assert!(links(&again, &format!("/settings/api-keys/{}", world.named("api-keys", "Once"))));
    }
    assert_eq!(named_once(&world), 1);
    // Another page of the same form makes another.
    assert_eq!(ann.submit(page, &[("name", "Once"), ("expires", "7")]).status, 201);
    assert_eq!(named_once(&world), 2);

    let rotate = format!("/settings/api-keys/{}/rotate", world.named("api-keys", "Weekly report"));
    let mut form = ann.hidden(&rotate, &rotate);
    form.extend(fields(&[("grace", "86400")]));
    let rotated = ann.post(&rotate, &form);
    assert_eq!(rotated.status, 201, "{}", rotated.text);
    assert!(key_in(&rotated).is_some());
    let again = ann.post(&rotate, &form);
    assert_eq!(again.status, 200, "{}", again.text);
    assert!(key_in(&again).is_none());
}

fn named_once(world: &World) -> usize {
    let all = world.ask(Method::GET, "/v1/api-keys?limit=200", None);
    all["data"].as_array().unwrap().iter().filter(|key| key["name"] == "Once").count()
}

/// The text of a key on a page.
fn key_in(answer: &Answer) -> Option<String> {
    let is_key = |word: &&str| word.len() == 67 && word.starts_with("lk_");
    answer
        .text
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .find(is_key)
        .map(str::to_owned)
}
