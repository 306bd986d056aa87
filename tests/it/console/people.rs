//! Roles, users and teams, by keyboard alone.

use reqwest::Method;
use serde_json::json;

use super::{
    browser::Browser,
    hand::{Hand, Means},
    visitor::Visitor,
    world::{ADMIN, USER, World},
};

fn open(world: &World) -> Browser {
    let browser = Browser::open(&world.server);
    browser.sign_in(ADMIN);
    browser
}

#[test]
fn the_keyboard_alone_makes_a_role_and_looks_at_what_a_change_takes() {
    let world = World::full();
    let browser = open(&world);
    let hand = Hand::new(&browser, Means::Keyboard);
    hand.follow("Roles");
    browser.await_path("/settings/roles");
    hand.follow("New role");
    browser.await_path("/settings/roles/new");
    hand.enter("Name", "Auditor");
    hand.choose("Audit log: read", "all");
    hand.choose("Conversations: read", "team");
    hand.follow("Save");
    browser.await_text("[role=status]", "The role is created.");
    let permissions = |name| {
        let role = world.named("roles", name);
        world.ask(Method::GET, &format!("/v1/roles/{role}"), None)["permissions"].clone()
    };
    assert_eq!(permissions("Auditor"), json!(["audit-log:read:all", "conversations:read:team"]));

    hand.follow("Analyst");
    browser.await_shown(".matrix");
    hand.choose("Conversations: read", "team");
    hand.choose("Conversations: update", "own");
    hand.follow("Save");
    browser.await_shown(".danger");
    browser.assert_sound();
    let said = browser.text("main");
    for text in [
        "2 API keys",
        "Read all conversations",
        "Read conversations of their teams",
        "Update their own",
        "CRM import, production",
        "Transcripts to the data warehouse",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    assert_eq!(permissions("Analyst"), json!(["conversations:read:all"]));
    hand.follow("Save the change");
    browser.await_text("[role=status]", "The role is changed.");
    assert_eq!(permissions("Analyst"), json!(["conversations:read:team", "conversations:update:own"]));
}

#[test]
fn the_keyboard_alone_adds_changes_and_removes_a_user_whose_keys_live_on() {
    let world = World::full();
    let browser = open(&world);
    let hand = Hand::new(&browser, Means::Keyboard);
    hand.follow("Users");
    browser.await_path("/settings/users");
    hand.follow("Add a user");
    browser.await_shown("dialog [name=name]");
    hand.enter("Name", "Nia Nowak");
    hand.enter("E-mail", "nia@acme.example");
    hand.choose("Role", "User");
    hand.follow("Add the user");
    browser.await_shown("[data-reveal]");
    browser.assert_sound();
    let password = browser.value("First password");
    let nia = Visitor::new(&world.server);
    assert_eq!(nia.try_sign_in("nia@acme.example", &password).status, 303);

    hand.follow("I have stored it");
    browser.await_shown("#role");
    hand.choose("Role", "Team Lead");
    hand.follow("Save");
    browser.await_text("[role=status]", "Saved.");
    assert_eq!(browser.chosen("Role"), "Team Lead");

    browser.visit("/settings/users");
    hand.follow("Uma User");
    browser.await_shown("#role");
    hand.follow("Remove…");
    browser.await_shown("fieldset");
    hand.tick("Hand over");
    hand.enter("E-mail of their new owner", "nia@acme.example");
    hand.follow("Remove Uma User");
    browser.await_path("/settings/users");
    browser.await_shown("[role=status]");
    let key = world.named("api-keys", "Weekly report");
    let key = world.ask(Method::GET, &format!("/v1/api-keys/{key}"), None);
    assert_eq!(key["owner"], world.named("users", "Nia Nowak").as_str());
    assert_eq!(Visitor::new(&world.server).try_sign_in(USER, super::PASSWORD).status, 422);
}

#[test]
fn a_form_that_comes_back_has_the_cursor_where_it_was_entered_wrongly() {
    let world = World::full();
    let mut browser = open(&world);
    for scripts in [true, false] {
        browser.allow_scripts(scripts);
        browser.visit("/settings/users/new");
        browser.fill("Name", "Nia Nowak");
        browser.fill("E-mail", ADMIN);
        browser.choose("Role", "User");
        browser.click("Add the user");
        browser.await_shown("#email-wrong");
        assert_eq!(browser.focused(), "E-mail");
        browser.assert_sound();
        browser.visit("/settings/api-keys/new");
        browser.fill("Name", "Some");
        browser.tick("On a date");
        browser.click("Create key");
        browser.await_shown("#expires-wrong");
        assert!(browser.focused().starts_with("On a date"), "{}", browser.focused());
        browser.assert_sound();
    }
    browser.allow_scripts(true);
    browser.visit(&format!("/settings/teams/{}", world.named("teams", "Sales")));
    browser.fill("Add somebody by e-mail", "nobody@acme.example");
    browser.click("Add");
    browser.await_shown("#email-wrong");
    assert_eq!(browser.focused(), "Add somebody by e-mail");
}

#[test]
fn the_keyboard_alone_makes_fills_empties_and_deletes_a_team() {
    let world = World::full();
    let browser = open(&world);
    let hand = Hand::new(&browser, Means::Keyboard);
    hand.follow("Teams");
    browser.await_path("/settings/teams");
    hand.follow("Add a team");
    browser.await_shown("dialog [name=name]");
    hand.enter("Name", "Support");
    hand.follow("Add the team");
    browser.await_text("h1", "Support");
    let team = format!("/settings/teams/{}", world.named("teams", "Support"));
    browser.await_path(&team);
    hand.enter("Add somebody by e-mail", "nobody@acme.example");
    hand.follow("Add");
    browser.await_shown("#email-wrong");
    browser.assert_sound();
    hand.enter("Add somebody by e-mail", USER);
    hand.follow("Add");
    browser.await_text(".people .name", "Uma User");
    hand.enter("Name", "Customer support");
    hand.follow("Rename");
    browser.await_text("h1", "Customer support");
    hand.follow("Take out Uma User");
    browser.await_gone(".people");
    browser.assert_sound();
    hand.follow("Delete…");
    browser.await_path(&format!("{team}/delete"));
    hand.follow("Delete the team");
    browser.await_path("/settings/teams");
    let teams = browser.text("main");
    assert!(teams.contains("Sales") && !teams.contains("Customer support"), "{teams}");
}

#[test]
fn whom_a_change_of_a_role_takes_something_from_is_named_up_to_ten() {
    let world = World::full();
    let role = world.named("roles", "Team Lead");
    let lea = world.named("users", "Lea Loner");
    for number in 1..=12 {
        let key = json!({ "name": format!("Key {number}"), "owner": lea, "role": role });
        world.create("api-keys", &key);
    }
    let change = |who: &Visitor<'_>| {
        let page = format!("/settings/roles/{role}");
        who.submit(&page, &[("name", "Team Lead"), ("conversations:read", "own")]).text
    };
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let said = change(&ann);
    assert!(said.contains("2 users and 12 API keys have it."), "{said}");
    let user = |name: &str| format!("<a href=\"/settings/users/{}\">{name}</a>", world.named("users", name));
    assert!(said.contains(&user("Tom Manager")) && said.contains(&user("Lea Loner")), "{said}");
    assert!(!said.contains(&user("Uma User")) && !said.contains("more user"), "{said}");
    let keys = |said: &str| said.matches("<li><a href=\"/settings/api-keys/key_").count();
    assert_eq!(keys(&said), 10, "{said}");
    assert!(said.contains("<li>and 2 more API keys</li>"), "{said}");
    let all = format!("<a href=\"/settings/api-keys?role={role}\">");
    assert!(said.contains(&all), "{said}");
    let kept = ann.look(&format!("/settings/roles/{role}/delete")).text;
    assert!(kept.contains(&user("Tom Manager")) && keys(&kept) == 10, "{kept}");

    // Whoever may see neither users nor keys is told how many, and is led nowhere.
    let uma = world.named("users", "Uma User");
    let roles = json!({ "name": "Roles", "permissions": ["roles:read:all", "roles:update:all",
                        "conversations:read:all", "api-keys:read:own", "teams:read:team"] });
    let roles = world.create("roles", &roles);
    world.ask(Method::PATCH, &format!("/v1/users/{uma}"), Some(&json!({ "role": roles })));
    let said = change(&Visitor::new(&world.server).sign_in(USER));
    assert!(said.contains("2 users and 12 API keys have it."), "{said}");
    assert!(!said.contains("Lea Loner") && keys(&said) == 0 && !said.contains(&all), "{said}");
    assert!(!said.contains(" more "), "{said}");
}
