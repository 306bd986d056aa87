//! The pages in a real browser, on the real binary with SQLite. `tests/with-browser` brings the browser.
//!
//! One browser a test, each with its own driver and profile; nextest runs few of these tests at once. `browser.rs` is how
//! to look and act, `hand.rs` who acts, `faults.rs` what a page must not have, `world.rs` a workspace in use and its people, `pages.rs` the list
//! of pages that are looked at in every way. What no browser shows is asked over plain HTTP: `doors.rs` has who comes in, and
//! `reach.rs` how far.

mod browser;
mod doors;
mod driver;
mod edit;
mod faults;
mod hand;
mod journey;
mod keys;
mod pages;
mod people;
mod reach;
mod visitor;
mod world;

use browser::{Browser, ENTER, Look, SPACE};
use hand::Hand;
use world::{ADMIN, PASSWORD, World};

use crate::server::{Server, eventually};

/// The path of the one-time link that the server has printed.
fn setup_link(server: &Server) -> String {
    eventually("a link to set up", || {
        let said = server.said();
        let link = said.split_whitespace().find(|word| word.contains("/setup/"))?;
        Some(link[link.find("/setup/")?..].to_owned())
    })
}

fn set_up(hand: &Hand<'_>, link: &str) {
    hand.browser.visit(link);
    assert_eq!(hand.browser.status(), 200);
    for (field, text) in
        [("Workspace", "Acme"), ("Your name", "Ann"), ("E-mail", ADMIN), ("Password", PASSWORD)]
    {
        hand.enter(field, text);
    }
    hand.follow("Set up");
    hand.browser.await_path("/settings/api-keys");
}

/// Makes a key, and returns its text as it is shown.
fn create_key(browser: &Browser) -> String {
    browser.visit("/settings/api-keys/new");
    browser.fill("Name", "Nightly export");
    browser.choose("Role", "Analyst");
    browser.tick("1 year");
    browser.click("Create key");
    browser.value("Nightly export")
}

fn works(server: &Server, text: &str) -> bool {
    let status = server.ask(reqwest::Method::GET, "/v1/whoami", Some(text), None).status;
    assert!(status == 200 || status == 401, "{status}");
    status == 200
}

#[test]
fn a_key_is_shown_once_and_never_again() {
    let world = World::full();
    let browser = Browser::open(&world.server);
    browser.sign_in(ADMIN);
    let key = create_key(&browser);
    assert!(works(&world.server, &key));
    assert_eq!(browser.title(), "Your new API key · Harmony");
    browser.click("I have stored it");
    browser.await_shown(".facts");
    assert!(!browser.source().contains(&key));
    browser.back();
    assert!(!browser.source().contains(&key), "{} shows it", browser.path());
    browser.reload();
    assert!(!browser.source().contains(&key), "{} shows it", browser.path());
}

#[test]
fn a_key_is_created_without_javascript_and_no_button_promises_what_needs_it() {
    let world = World::full();
    let mut browser = Browser::open(&world.server);
    browser.allow_scripts(false);
    browser.sign_in(ADMIN);
    let key = create_key(&browser);
    assert!(works(&world.server, &key));
    assert!(
        browser.sees("[data-reveal]") && !browser.sees("[data-copy]") && !browser.sees("[data-download]")
    );
}

#[test]
fn a_key_is_copied_and_downloaded_with_a_secure_context_and_on_plain_http() {
    let world = World::full();
    let mut browser = Browser::open(&world.server);
    for has_clipboard in [true, false] {
        if !has_clipboard {
            browser.go_plain();
        }
        browser.sign_in(ADMIN);
        let key = create_key(&browser);
        assert_eq!(browser.evaluate("return Boolean(navigator.clipboard)"), has_clipboard);
        browser.click("Copy");
        browser.await_text("[data-copied]", "Copied.");
        assert_eq!(browser.clipboard(), key);
        let file = browser.download("Download as .env", "harmony.env");
        assert_eq!(file, format!("HARMONY_API_KEY={key}\n"));
    }
}

#[test]
fn the_keyboard_alone_creates_copies_and_deletes_a_key() {
    let world = World::full();
    let browser = Browser::open(&world.server);
    browser.sign_in(ADMIN);
    browser.tab_to("Create API key");
    browser.press(ENTER);
    browser.await_shown("dialog [name=name]");
    browser.tab_to("Name");
    browser.press("By hand");
    browser.press(ENTER);
    browser.await_shown("[data-reveal]");
    browser.tab_to("Copy");
    browser.press(SPACE);
    browser.await_text("[data-copied]", "Copied.");
    let key = browser.clipboard();
    assert!(works(&world.server, &key));

    browser.tab_to("I have stored it");
    browser.press(ENTER);
    // The use is written down a moment later. From then on the key's name is asked for before it is deleted.
    browser.await_counted(".facts", "127.0.0.1");
    browser.tab_to("Delete…");
    browser.press(ENTER);
    browser.await_shown(".doomed");
    browser.tab_to("To delete what is in use, enter By hand");
    browser.press("By hand");
    browser.tab_to("Delete key");
    browser.press(ENTER);
    browser.await_path("/settings/api-keys");
    assert!(!works(&world.server, &key));
}

#[test]
fn the_name_in_the_header_stays_where_it_is_when_the_rest_of_the_header_comes() {
    let world = World::full();
    let browser = Browser::open(&world.server);
    browser.sign_in(ADMIN);
    browser.visit("/account");
    let place =
        || browser.evaluate("return document.querySelector('.person a').getBoundingClientRect().left");
    let whole = place();
    browser.evaluate("document.querySelector('.person form').remove()");
    assert_eq!(place(), whole);
}

#[test]
fn the_description_of_the_api_is_sound_and_folds_out() {
    let (_place, server) = World::empty();
    let mut browser = Browser::open(&server);
    for look in [Look::WIDE_LIGHT, Look::WIDE_DARK, Look::NARROW_LIGHT, Look::NARROW_DARK] {
        browser.wear(look);
        browser.visit("/docs/errors");
        browser.assert_sound();
        browser.visit("/docs");
        browser.await_shown(".opblock");
        browser.assert_sound();
        browser.click_on(".opblock-get .opblock-summary-control");
        browser.await_shown(".opblock-body .parameters");
        browser.assert_sound();
    }
}
