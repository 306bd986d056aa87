//! From the one-time link to a key that is gone, as the README promises it: by mouse, by keyboard, on a phone, and without
//! JavaScript.

use std::process::Command;

use serde_json::Value;

use super::{
    browser::{Browser, Look},
    hand::{Hand, Means},
    set_up, setup_link,
    world::World,
};

const NAME: &str = "Nightly export";

#[test]
fn all_of_it_goes_by_mouse() {
    travel(Means::Mouse, Look::WIDE_LIGHT, true);
}

#[test]
fn all_of_it_goes_by_keyboard_alone() {
    travel(Means::Keyboard, Look::WIDE_DARK, true);
}

#[test]
fn all_of_it_goes_on_a_phone() {
    travel(Means::Mouse, Look::NARROW_LIGHT, true);
}

#[test]
fn all_of_it_goes_without_javascript() {
    travel(Means::Mouse, Look::WIDE_LIGHT, false);
}

fn travel(means: Means, look: Look, scripts: bool) {
    let (_place, server) = World::empty();
    let mut browser = Browser::open(&server);
    browser.wear(look);
    browser.allow_scripts(scripts);
    let (hand, link) = (Hand::new(&browser, means), setup_link(&server));
    set_up(&hand, &link);
    assert_eq!(browser.text("h1"), "API keys");
    browser.assert_sound();

    hand.follow("Create API key");
    hand.enter("Name", NAME);
    hand.follow("Create key");
    browser.await_shown("[data-reveal]");
    browser.assert_sound();
    let (curl, key) = (browser.text("#curl"), taken(&hand, scripts));
    let answer = paste(&curl, &key);
    assert!(answer["data"].is_array(), "{curl}: {answer}");

    hand.follow("I have stored it");
    browser.await_shown(".facts");
    browser.await_counted("#use strong", "1 request");
    assert!(browser.sees(".chart rect[fill='#000100']"), "the chart has no bar");
    hand.follow("As a table");
    assert_eq!(browser.text(".numbers tbody td"), "1");
    browser.assert_sound();

    hand.follow("Delete…");
    browser.await_shown(".doomed");
    hand.enter(&format!("To delete what is in use, enter {NAME}"), NAME);
    hand.follow("Delete key");
    browser.await_path("/settings/api-keys");
    browser.await_shown("[role=status]");
    let refused = paste(&curl, &key);
    assert_eq!(refused["status"], 401, "{curl}: {refused}");
    browser.visit(&link);
    assert_eq!(browser.status(), 404);
}

/// The key, as one takes it from the page that shows it.
fn taken(hand: &Hand<'_>, scripts: bool) -> String {
    if !scripts {
        return hand.browser.value(NAME);
    }
    hand.follow("Copy");
    hand.browser.await_text("[data-copied]", "Copied.");
    hand.browser.clipboard()
}

/// Runs the command that the page shows, with the key where the page says, and reads what is answered.
fn paste(command: &str, key: &str) -> Value {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).env("HARMONY_API_KEY", key).env("no_proxy", "*");
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{command}: {error}: {output:?}"))
}
