//! What is done with keys on their pages: made in the dialog, watched, rotated, ended together.

use reqwest::Method;
use serde_json::json;

use super::{
    browser::{Browser, ESCAPE},
    visitor::Visitor,
    works,
    world::{ADMIN, PASSWORD, World},
};
use crate::server::{Answer, Key, eventually};

/// A program of somebody's, behind a proxy that the server believes.
const PROGRAM: &str = "203.0.113.7";
const LIST: &str = "/settings/api-keys";

fn open(world: &World) -> Browser {
    let browser = Browser::open(&world.server);
    browser.sign_in(ADMIN);
    browser
}

#[test]
fn the_dialog_closes_on_escape_says_what_is_wrong_and_gives_way_to_the_key() {
    let world = World::full();
    let browser = open(&world);
    browser.click("Create API key");
    browser.await_shown("dialog [name=name]");
    assert_eq!((browser.path().as_str(), browser.focused().as_str()), (LIST, "Name"));
    browser.press(ESCAPE);
    browser.await_gone("dialog");
    assert_eq!(browser.focused(), "Create API key");

    browser.click("Create API key");
    browser.fill("Name", "   ");
    browser.choose("Role", "Analyst");
    browser.tick("30 days");
    browser.click("Create key");
    browser.await_shown("dialog #name-wrong");
    assert_eq!((browser.path().as_str(), browser.focused().as_str()), (LIST, "Name"));
    assert_eq!(browser.chosen("Role"), "Analyst");
    assert!(browser.sees("dialog [value='30']:checked"));
    browser.fill("Name", "From the dialog");
    browser.tick("On a date");
    browser.click("Create key");
    browser.await_shown("dialog #expires-wrong");
    assert_eq!(browser.value("Name"), "From the dialog");
    assert_eq!(browser.forms_sent_back(), 2);
    browser.tick("1 year");
    browser.click("Create key");
    browser.await_shown("[data-reveal]");
    browser.assert_sound();
    assert!(!browser.sees("dialog"));
    assert_eq!(browser.title(), "Your new API key · Harmony");
    let key = browser.value("From the dialog");
    assert!(works(&world.server, &key) && !browser.source().contains("this name as well"));
    assert_eq!((browser.path().as_str(), browser.focused().as_str()), (LIST, "Your new API key"));

    browser.click("I have stored it");
    browser.await_shown(".facts");
    browser.back();
    browser.await_shown(".keys");
    assert!(!browser.source().contains(&key), "{} shows it", browser.path());
}

#[test]
fn a_reload_of_the_list_after_the_dialog_shows_no_key_and_makes_none() {
    let world = World::full();
    let browser = open(&world);
    browser.click("Create API key");
    browser.fill("Name", "From the dialog");
    browser.click("Create key");
    browser.await_shown("[data-reveal]");
    let key = browser.value("From the dialog");
    browser.click("Copy");
    browser.await_text("[data-copied]", "Copied.");
    browser.reload();
    browser.await_shown(".keys");
    assert!(!browser.source().contains(&key));
    assert_eq!(browser.source().matches(">From the dialog</a>").count(), 1);
}

/// Sends so many requests, and returns how many were answered with what was expected.
#[track_caller]
fn ask(world: &World, key: &str, path: &str, times: usize, status: u16) {
    let program = Visitor::new(&world.server).from(PROGRAM);
    for _ in 0..times {
        let answer = program.send(Method::GET, path, &[("x-api-key", key)], String::new());
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
    }
}

fn new_key(world: &World, name: &str) -> Key {
    Key::of(&world.ask(Method::POST, "/v1/api-keys", Some(&json!({ "name": name }))))
}

#[test]
fn the_chart_and_its_table_show_the_requests_that_were_made() {
    const LIMIT: usize = 60;
    let limit = LIMIT.to_string();
    let world = World::serving(&["--trusted-proxies", "127.0.0.1", "--rate-limit-requests", &limit]);
    let key = new_key(&world, "Watched");
    ask(&world, &key.text, "/v1/conversations", 3, 200);
    ask(&world, &key.text, "/v1/users", 2, 403);
    ask(&world, &key.text, "/v1/conversations/none", 1, 404);
    ask(&world, &key.text, "/v1/conversations", LIMIT - 6, 200);
    ask(&world, &key.text, "/v1/conversations", 4, 429);

    let browser = open(&world);
    browser.visit(&format!("{LIST}/{}", key.id));
    browser.await_counted("#use strong", &format!("{} requests", LIMIT + 4));
    browser.click("As a table");
    let row = |expected: &[&str]| {
        let cells = (1..=expected.len()).map(|place| format!(".numbers tbody td:nth-of-type({place})"));
        let cells: Vec<String> = cells.map(|css| browser.text(&css)).collect();
        assert_eq!(cells, expected);
    };
    row(&["57", "1", "0", "2", "4", "0"]);
    let bars = browser.evaluate(
        "return [...document.querySelectorAll('.chart rect')]\
         .filter((bar) => bar.checkVisibility()).map((bar) => bar.getAttribute('fill')).sort()",
    );
    assert_eq!(bars, json!(["#000100", "#000101", "#000103", "#000104"]));
    assert!(browser.text(".facts").contains(PROGRAM));
    browser.click("Last 90 days");
    browser.await_path(&format!("{LIST}/{}", key.id));
    browser.click("As a table");
    row(&["57", "1", "0", "2", "4", "0"]);
}

#[test]
fn a_rotated_key_shows_who_still_uses_it_and_ends_at_once_when_told() {
    let world = World::serving(&["--trusted-proxies", "127.0.0.1"]);
    let old = new_key(&world, "Rotated");
    let browser = open(&world);
    browser.visit(&format!("{LIST}/{}", old.id));
    browser.click("Rotate…");
    browser.choose("The old key ends", "in 1 day");
    browser.click("Rotate");
    browser.await_shown("[data-reveal]");
    let new = browser.value("Rotated");
    ask(&world, &old.text, "/v1/conversations", 2, 200);
    ask(&world, &new, "/v1/conversations", 1, 200);

    browser.click("I have stored it");
    browser.await_path(&format!("{LIST}/{}", old.id));
    browser.await_counted(".alert.warn", "with 2 requests in 24 hours");
    let said = browser.text(".alert.warn");
    assert!(said.contains(&format!("from {PROGRAM}")), "{said}");
    assert!(said.contains("It works until ") && said.contains("which is in 1 day."), "{said}");
    browser.click("End it now…");
    browser.fill("To delete what is in use, enter Rotated", "Rotated");
    browser.click("Delete key");
    browser.await_path(LIST);
    browser.await_shown("[role=status]");
    assert_eq!((works(&world.server, &old.text), works(&world.server, &new)), (false, true));
}

#[test]
fn whoever_thinks_better_of_a_deletion_is_back_where_they_came_from() {
    let world = World::full();
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let [one, other] = ["Weekly report", "Support desk"].map(|name| world.named("api-keys", name));
    let page = ann.look(&format!("{LIST}/{one}/delete")).text;
    assert_eq!(page.matches(&format!("href=\"{LIST}/{one}\"")).count(), 2, "{page}");
    let page = ann.look(&format!("{LIST}/delete?id={one}&id={other}")).text;
    assert!(page.contains(&format!("href=\"{LIST}\">Cancel<")), "{page}");
}

#[test]
fn keys_are_deleted_together_after_their_number_was_entered() {
    let world = World::full();
    let [first, second, third] = ["First", "Second", "Third"].map(|name| new_key(&world, name));
    assert!(works(&world.server, &first.text));
    let browser = open(&world);
    browser.visit(&format!("{LIST}/{}", first.id));
    browser.await_counted(".facts", "127.0.0.1");
    browser.visit(LIST);
    browser.tick("Choose First");
    browser.tick("Choose Second");
    browser.click("Delete chosen keys…");
    browser.await_path("/settings/api-keys/delete");
    let doomed = browser.text(".doomed");
    assert!(doomed.contains("First") && doomed.contains("from 127.0.0.1, 1 request in 24 hours"), "{doomed}");
    assert!(doomed.contains("Second") && doomed.contains("It was never used."), "{doomed}");
    assert!(!doomed.contains("Third"), "{doomed}");
    browser.assert_sound();
    let label = "To delete what is in use, enter delete 2 keys";
    browser.fill(label, "delete 3 keys");
    browser.click("Delete 2 keys");
    browser.await_shown("#confirm-wrong");
    browser.assert_sound();
    let alive = [&first, &second, &third].map(|key| works(&world.server, &key.text));
    assert_eq!(alive, [true, true, true]);
    browser.fill(label, "delete 2 keys");
    browser.click("Delete 2 keys");
    browser.await_text("[role=status]", "2 keys deleted. Requests with them are refused from now on.");
    let alive = [&first, &second, &third].map(|key| works(&world.server, &key.text));
    assert_eq!(alive, [false, false, true]);
}

#[test]
fn the_list_is_narrowed_to_keys_that_nobody_uses_and_to_those_without_a_role() {
    let world = World::full();
    new_key(&world, "Forgotten");
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let shown = |query: &str| {
        let page = ann.look(&format!("{LIST}?{query}")).text;
        let all = ["Forgotten", "Weekly report", "Support desk", "CRM import, production", "Set-up script"];
        let found = all.into_iter().filter(|name| page.contains(&format!(">{name}</a>")));
        (found.collect::<Vec<_>>(), page)
    };
    let (found, page) = shown("role=default");
    assert_eq!(found, ["Forgotten", "Weekly report", "Support desk"]);
    assert!(page.contains("value=\"default\" selected"), "{page}");
    // The others' use is written down a moment later.
    let (found, page) = eventually("only one was never used", || {
        Some(shown("state=idle")).filter(|(found, _)| found.len() == 1)
    });
    assert_eq!(found, ["Forgotten"]);
    assert!(page.contains("value=\"idle\" selected") && page.contains(">1 key<"), "{page}");
}

/// What stands beside the name of a key in the list.
fn row(list: &Answer, name: &str) -> String {
    let (_, rest) = list.text.split_once(&format!(">{name}</a>")).unwrap_or_else(|| panic!("{}", list.text));
    rest.split("</tr>").next().unwrap().to_owned()
}

#[test]
fn a_key_with_the_name_of_another_one_is_made_and_the_page_warns() {
    let world = World::full();
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let made = |name| {
        let page = ann.submit(&format!("{LIST}/new"), &[("name", name), ("expires", "7")]);
        assert_eq!(page.status, 201);
        page.text
    };
    assert!(!made("Sync").contains("this name as well"));
    assert!(!made("Sync 2").contains("this name as well"));
    assert!(made("Sync").contains("Another key has this name as well; the last 4 digits tell them apart."));
    assert!(made("Sync").contains("2 other keys have this name as well"));
}

#[test]
fn the_pages_say_who_made_a_key_whoever_owns_it() {
    let world = World::full();
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let detail = |name| ann.look(&format!("{LIST}/{}", world.named("api-keys", name))).text;
    let toms = row(&ann.look(LIST), "CRM import, production");
    assert!(toms.contains("Owner: Tom Manager") && toms.contains(">by Ann Admin<"), "{toms}");
    let page = detail("CRM import, production");
    assert!(page.contains("<dd>Tom Manager</dd>") && page.contains("</time> by Ann Admin"), "{page}");
    // The command line has no name, and a page invents none.
    assert!(!row(&ann.look(LIST), "Set-up script").contains(">by "));
    assert!(!detail("Set-up script").contains("</time> by "));

    let bob = json!({ "name": "Bob Builder", "email": "bob@acme.example", "password": PASSWORD,
                      "role": world.named("roles", "Admin") });
    let id = world.create("users", &bob);
    let bob = Visitor::new(&world.server).sign_in("bob@acme.example");
    assert_eq!(bob.submit(&format!("{LIST}/new"), &[("name", "Bobs"), ("expires", "7")]).status, 201);
    let bobs = world.named("api-keys", "Bobs");
    assert_eq!(world.ask(Method::GET, &format!("/v1/api-keys/{bobs}"), None)["created_by"], id.as_str());
    assert!(row(&ann.look(LIST), "Bobs").contains(">by Bob Builder<"));
    let to = world.named("users", "Uma User");
    world.ask(Method::DELETE, &format!("/v1/users/{id}?keys=transfer&to={to}"), None);
    let now_umas = row(&ann.look(LIST), "Bobs");
    assert!(now_umas.contains("Owner: Uma User") && now_umas.contains(">by a removed user<"), "{now_umas}");
    assert!(detail("Bobs").contains(&format!("</time> by a removed user, <code>{id}</code>")));
}
