//! A key is edited: its name, its display rate limit, an earlier end.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    browser::Browser,
    hand::{Hand, Means},
    reach::holding,
    visitor::{Fields, Visitor, fields, hidden_fields},
    world::{ADMIN, World, in_days},
};
use crate::server::Answer;

/// Its end is 90 days ahead.
const REPORT: &str = "Weekly report";

fn page_of(world: &World, name: &str) -> String {
    format!("/settings/api-keys/{}/edit", world.named("api-keys", name))
}

/// The key as the API has it.
fn key(world: &World, page: &str) -> Value {
    let id = page.trim_start_matches("/settings/api-keys/").trim_end_matches("/edit");
    world.ask(Method::GET, &format!("/v1/api-keys/{id}"), None)
}

/// What stands in its three fields.
fn entered<'a>(name: &'a str, expires: &'a str, limit: &'a str) -> [(&'a str, &'a str); 3] {
    [("name", name), ("expires", expires), ("limit", limit)]
}

#[track_caller]
fn assert_says(answer: &Answer, status: u16, texts: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.text);
    for text in texts {
        assert!(answer.text.contains(text), "{text} is missing: {}", answer.text);
    }
}

#[test]
fn a_key_is_edited_and_its_page_says_so() {
    let world = World::full();
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let page = page_of(&world, REPORT);
    let detail = page.trim_end_matches("/edit");
    assert_says(&ann.look(detail), 200, &[&format!("href=\"{page}\">Edit…<")]);
    let before = key(&world, &page);

    let day = &in_days(2)[..10];
    let form = [entered("Daily report", "date", "20 a day").as_slice(), &[("date", day)]].concat();
    let saved = ann.submit(&page, &form);
    assert_eq!((saved.status, saved.header("location")), (303, format!("{detail}?saved=1").as_str()));
    assert_says(&ann.look(saved.header("location")), 200, &["Saved.", "<h1>Daily report</h1>", "20 a day"]);
    let mut expected = before;
    expected["name"] = json!("Daily report");
    expected["display_rate_limit"] = json!("20 a day");
    expected["expires_at"] = json!(format!("{day}T23:59:59.999Z"));
    let mut after = key(&world, &page);
    for changing in ["version", "last_used_at", "last_used_ip"] {
        expected[changing] = Value::Null;
        after[changing] = Value::Null;
    }
    assert_eq!(after, expected);
    assert_eq!(ann.submit(&page, &entered("Daily report", "as-it-is", "")).status, 303);
    let cleared = key(&world, &page);
    assert_eq!(
        (&cleared["display_rate_limit"], &cleared["expires_at"]),
        (&Value::Null, &expected["expires_at"])
    );
}

#[test]
fn what_is_left_alone_stays_what_it_was() {
    let world = World::full();
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let page = page_of(&world, "Support desk");
    assert_says(&ann.look(&page), 200, &["This key never expires.", "name=\"limit\"", "value=\"1000\""]);
    assert_eq!(ann.submit(&page, &entered("Help desk", "as-it-is", "1000")).status, 303);
    let after = key(&world, &page);
    // A number that a program has put there is none the less one.
    let kept = (&after["name"], &after["display_rate_limit"], &after["expires_at"]);
    assert_eq!(kept, (&json!("Help desk"), &json!(1_000), &Value::Null));
}

#[test]
fn what_is_wrong_is_said_at_the_field_and_what_was_entered_stays() {
    let world = World::full();
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let page = page_of(&world, REPORT);
    let before = key(&world, &page);
    let long = "x".repeat(101);
    let (late, early) = (&in_days(91)[..10], &in_days(-2)[..10]);
    let later = "The expiration can only be brought forward.";
    for (name, expires, date, limit, place, said) in [
        ("   ", "7", "", "", "name", ""),
        (&long, "7", "", "", "name", ""),
        ("Kept", "as-it-is", "", &long, "limit", ""),
        ("Kept", "365", "", "10 a day", "expires", later),
        ("Kept", "date", late, "10 a day", "expires", later),
        ("Kept", "date", early, "10 a day", "expires", "The expiration must lie ahead."),
        ("Kept", "date", "", "10 a day", "expires", "Choose the date on whose end the key expires."),
        ("Kept", "never", "", "10 a day", "expires", "Choose how long the key is to live."),
        ("Kept", "", "", "10 a day", "expires", "Choose how long the key is to live."),
    ] {
        let form = [entered(name, expires, limit).as_slice(), &[("date", date)]].concat();
        let refused = ann.submit(&page, &form);
        let wrong = format!("id=\"{place}-wrong\">{said}");
        assert_says(&refused, 422, &[&wrong, &format!("value=\"{name}\""), &format!("value=\"{limit}\"")]);
        assert_eq!(refused.text.matches("<p class=\"wrong\"").count(), 1, "{}", refused.text);
    }
    assert_eq!(key(&world, &page), before);
}

#[test]
fn what_somebody_else_changed_meanwhile_is_said_before_it_is_replaced() {
    let world = World::full();
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let page = page_of(&world, REPORT);
    let filled = |hidden: Fields| [hidden, fields(&entered("Mine", "7", "1 a day"))].concat();
    let form = ann.hidden(&page, &page);
    let path = page.replace("/settings", "/v1").replace("/edit", "");
    let theirs = json!({ "name": "Theirs", "display_rate_limit": 2_000 });
    world.ask(Method::PATCH, &path, Some(&theirs));
    let meanwhile = key(&world, &page);

    let stale = ann.post(&page, &filled(form));
    let said =
        "Somebody else changed this key meanwhile. Its name is “Theirs” now, its display rate limit 2,000,";
    assert_says(&stale, 409, &[said, "value=\"Mine\"", "value=\"7\" checked", "value=\"1 a day\""]);
    assert_eq!(key(&world, &page), meanwhile);
    assert_eq!(ann.post(&page, &filled(hidden_fields(&stale.text, &page, &page))).status, 303);
    assert_eq!(key(&world, &page)["name"], "Mine");

    let form = ann.hidden(&page, &page);
    world.ask(Method::DELETE, &path, None);
    assert_eq!(ann.post(&page, &filled(form)).status, 404);
}

#[test]
fn a_key_is_edited_by_whoever_may_make_keys_and_see_this_one() {
    for (held, seen) in [
        (["api-keys:create:all", "api-keys:read:team"], true),
        (["api-keys:create:all", "conversations:read:all"], false),
        (["api-keys:delete:all", "api-keys:read:all"], false),
    ] {
        let world = World::full();
        let own = page_of(&world, "Support desk");
        let (uma, _) = holding(&world, &held);
        let form = uma.hidden("/account", "/sign-out");
        assert_eq!(uma.look(&own).status, if seen { 200 } else { 404 }, "{held:?}");
        if !seen {
            assert_eq!(uma.post(&own, &form).status, 404, "{held:?}");
            continue;
        }
        // Uma and Tom are in a team, and whose key this is is in none.
        let foreign = page_of(&world, "Set-up script");
        assert_eq!((uma.look(&foreign).status, uma.post(&foreign, &form).status), (404, 404));
        assert_eq!(uma.submit(&own, &entered("Help desk", "30", "")).status, 303);
    }
}

#[test]
fn the_keyboard_alone_edits_a_key() {
    let world = World::full();
    let browser = Browser::open(&world.server);
    browser.sign_in(ADMIN);
    let page = page_of(&world, REPORT);
    browser.visit(page.trim_end_matches("/edit"));
    let hand = Hand::new(&browser, Means::Keyboard);
    hand.follow("Edit…");
    browser.await_path(&page);
    assert_eq!((browser.focused().as_str(), browser.value("Name").as_str()), ("Name", REPORT));
    hand.enter("Name", "Daily report");
    hand.tick("7 days");
    hand.enter("Display rate limit", "10 a day");
    browser.assert_sound();
    hand.follow("Save");
    browser.await_text("[role=status]", "Saved.");
    assert_eq!(browser.path(), format!("{}?saved=1", page.trim_end_matches("/edit")));
    let facts = browser.text(".facts");
    assert!(browser.text("h1") == "Daily report" && facts.contains("10 a day"), "{facts}");
    assert!(facts.contains("in 7 days"), "{facts}");
    browser.assert_sound();
}
