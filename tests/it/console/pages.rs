//! Every page, in both themes, on a desk and on a phone, with JavaScript and without. A page that has faults in any of
//! these does not pass; `just screens` draws each.
//!
//! A new page is a new line in [`PAGES`].

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{
    browser::{Browser, Look},
    world::{ADMIN, LONER, MANAGER, USER, World},
};
use crate::server::eventually;

/// Who looks at a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Has the one-time link to a server that nobody has set up.
    Newcomer,
    /// Is not signed in.
    Stranger,
    /// Is signed in with this address.
    Person(&'static str),
}

/// A page as somebody sees it.
pub struct Page {
    /// Of its picture too.
    pub name: &'static str,
    /// With ids in it: `{setup}` is the one-time link's, the others are of what is in use: `{key}`, `{role}`,
    /// `{built-in}` and `{lead}`, which are roles as well, `{user}`, `{team}`, `{event}`.
    pub path: &'static str,
    pub who: Who,
    status: u64,
    /// What is done there before it is looked at.
    then: fn(&Browser),
}

impl Page {
    const fn new(name: &'static str, path: &'static str, who: Who) -> Self {
        Self { name, path, who, status: 200, then: |_| () }
    }

    /// It is answered with this.
    const fn refused(mut self, status: u64) -> Self {
        self.status = status;
        self
    }

    /// It is looked at after this.
    const fn then(mut self, act: fn(&Browser)) -> Self {
        self.then = act;
        self
    }
}

const ANN: Who = Who::Person(ADMIN);
const TOM: Who = Who::Person(MANAGER);
const UMA: Who = Who::Person(USER);
const LEA: Who = Who::Person(LONER);

pub const PAGES: &[Page] = &[
    Page::new("setup", "/setup/{setup}", Who::Newcomer),
    Page::new("setup-gone", "/setup/0000", Who::Stranger).refused(404),
    Page::new("sign-in", "/sign-in", Who::Stranger),
    Page::new("sign-in-refused", "/sign-in", Who::Stranger).then(sign_in_wrongly),
    Page::new("sign-in-throttled", "/sign-in", Who::Stranger).then(try_too_often),
    Page::new("form-outdated", "/account", ANN).then(send_outdated),
    Page::new("nothing-here", "/settings/nothing", ANN).refused(404),
    Page::new("account", "/account", ANN),
    Page::new("account-of-a-user", "/account", UMA),
    Page::new("general", "/settings/general", ANN),
    Page::new("api-keys", "/settings/api-keys", ANN),
    Page::new("api-keys-none-fits", "/settings/api-keys?q=nothing+like+it", ANN),
    Page::new("api-keys-of-ones-teams", "/settings/api-keys", TOM),
    Page::new("api-keys-of-no-team", "/settings/api-keys", LEA),
    Page::new("api-keys-hidden", "/settings/api-keys", UMA).refused(404),
    Page::new("api-key", "/settings/api-keys/{key}", ANN),
    Page::new("api-key-create", "/settings/api-keys/new", ANN),
    Page::new("api-key-create-dialog", "/settings/api-keys", ANN).then(open_dialog),
    Page::new("api-key-create-dialog-wrong", "/settings/api-keys", ANN).then(create_wrongly_in_dialog),
    Page::new("api-key-create-wrong", "/settings/api-keys/new", ANN).then(create_wrongly),
    Page::new("api-key-reveal", "/settings/api-keys/new", ANN).then(create),
    Page::new("api-key-edited", "/settings/api-keys/{key}?saved=1", ANN),
    Page::new("api-key-edit", "/settings/api-keys/{key}/edit", ANN),
    Page::new("api-key-edit-wrong", "/settings/api-keys/{key}/edit", ANN).then(edit_wrongly),
    Page::new("api-key-edit-too-late", "/settings/api-keys/{key}/edit", ANN).then(edit_too_late),
    Page::new("api-key-rotate", "/settings/api-keys/{key}/rotate", ANN),
    Page::new("api-key-delete", "/settings/api-keys/{key}/delete", ANN),
    Page::new("api-keys-delete", "/settings/api-keys", ANN).then(choose_two),
    Page::new("users", "/settings/users", ANN),
    Page::new("users-found", "/settings/users?q=uma", ANN),
    Page::new("users-none-fits", "/settings/users?q=nobody+like+it", ANN),
    Page::new("users-of-a-user", "/settings/users", UMA),
    Page::new("user", "/settings/users/{user}", ANN),
    Page::new("user-of-a-user", "/settings/users/{user}", UMA),
    Page::new("user-new", "/settings/users/new", ANN),
    Page::new("user-new-hidden", "/settings/users/new", TOM).refused(404),
    Page::new("user-new-wrong", "/settings/users/new", ANN).then(add_wrongly),
    Page::new("user-reveal", "/settings/users/new", ANN).then(add),
    Page::new("user-reset", "/settings/users/{user}/password", ANN),
    Page::new("user-remove", "/settings/users/{user}/remove", ANN),
    Page::new("teams", "/settings/teams", ANN),
    Page::new("teams-of-a-manager", "/settings/teams", TOM),
    Page::new("team", "/settings/teams/{team}", ANN),
    Page::new("team-of-a-manager", "/settings/teams/{team}", TOM),
    Page::new("team-new", "/settings/teams/new", ANN),
    Page::new("team-delete", "/settings/teams/{team}/delete", ANN),
    Page::new("roles", "/settings/roles", ANN),
    Page::new("role", "/settings/roles/{role}", ANN),
    Page::new("role-built-in", "/settings/roles/{built-in}", ANN),
    Page::new("role-change", "/settings/roles/{role}", ANN).then(narrow),
    Page::new("role-change-of-users", "/settings/roles/{lead}", ANN).then(narrow),
    Page::new("role-new", "/settings/roles/new", ANN),
    Page::new("role-delete", "/settings/roles/{role}/delete", ANN),
    Page::new("audit-log", "/settings/audit-log", ANN),
    Page::new("audit-event", "/settings/audit-log/{event}", ANN),
    // Last: from here on there is one key more.
    Page::new("api-key-rotated", "/settings/api-keys/{key}", ANN).then(rotate),
    // Nobody comes after these: whose password is reset cannot sign in with everybody's.
    Page::new("user-reset-reveal", "/settings/users/{user}/password", ANN).then(reset),
];

fn sign_in_wrongly(browser: &Browser) {
    browser.fill("E-mail", ADMIN);
    browser.fill("Password", "not the password");
    browser.click("Sign in");
    browser.await_shown("[role=alert]");
}

/// However long that takes: each attempt that is made after a wait makes the next wait longer.
fn try_too_often(browser: &Browser) {
    let try_on = || {
        // Too long to be hashed, and so an attempt all the same.
        browser.evaluate_slowly(
            "const tried = new URLSearchParams({ email: 'nobody@acme.example', password: 'x'.repeat(1025) });\
             const status = async () => (await fetch('/sign-in', { method: 'post', body: tried })).status;\
             (async () => { while (await status() !== 429); arguments[0](); })()",
        );
        browser.fill("E-mail", "nobody@acme.example");
        browser.evaluate("document.querySelector('form').noValidate = true");
        browser.click("Sign in");
    };
    try_on();
    eventually("an attempt too many", || {
        if browser.sees("[role=alert]") {
            try_on();
        }
        (browser.text("h1") == "Too many attempts").then_some(())
    });
}

fn send_outdated(browser: &Browser) {
    browser.evaluate("document.querySelector('[action=\"/sign-out\"] [name=form_token]').value = 'earlier'");
    browser.click("Sign out");
    browser.await_text("h1", "This form is out of date");
}

fn create_wrongly(browser: &Browser) {
    browser.fill("Name", "   ");
    browser.click("Create key");
    browser.await_shown("[role=alert]");
}

fn edit_wrongly(browser: &Browser) {
    browser.tick("On a date");
    browser.click("Save");
    browser.await_shown("#expires-wrong");
}

/// As if somebody else had been quicker.
fn edit_too_late(browser: &Browser) {
    browser.fill("Name", "CRM import, staging");
    browser.evaluate("document.querySelector('[name=version]').value = '0'");
    browser.click("Save");
    browser.await_shown("[role=alert]");
}

fn open_dialog(browser: &Browser) {
    browser.click("Create API key");
    browser.await_shown("[name=name]");
}

fn create_wrongly_in_dialog(browser: &Browser) {
    open_dialog(browser);
    create_wrongly(browser);
    browser.forms_sent_back();
}

fn choose_two(browser: &Browser) {
    browser.tick("Choose Weekly report");
    browser.tick("Choose Support desk");
    browser.click("Delete chosen keys…");
    browser.await_shown(".doomed");
}

fn narrow(browser: &Browser) {
    browser.choose("Conversations: read", "own");
    browser.choose("Teams: read", "team");
    browser.click("Save");
    browser.await_shown(".danger");
}

/// Without scripts it was rotated already.
fn rotate(browser: &Browser) {
    if !browser.sees(".alert") {
        browser.click("Rotate…");
        browser.click("Rotate");
        browser.await_shown("[data-reveal]");
        browser.click("I have stored it");
    }
    browser.await_shown(".alert");
}

fn create(browser: &Browser) {
    browser.fill("Name", "Nightly export");
    browser.click("Create key");
    browser.await_shown("[data-reveal]");
}

fn add_wrongly(browser: &Browser) {
    fill_in_user(browser, ADMIN);
    browser.await_shown("[role=alert]");
}

fn add(browser: &Browser) {
    // The page is looked at more than once, and an address is taken once.
    static ADDED: AtomicUsize = AtomicUsize::new(0);
    fill_in_user(browser, &format!("nia{}@acme.example", ADDED.fetch_add(1, Ordering::Relaxed)));
    browser.await_shown("[data-reveal]");
}

fn reset(browser: &Browser) {
    browser.click("Reset password");
    browser.await_shown("[data-reveal]");
}

fn fill_in_user(browser: &Browser, email: &str) {
    browser.fill("Name", "Nia Nowak");
    browser.fill("E-mail", email);
    browser.choose("Role", "User");
    browser.click("Add the user");
}

#[test]
fn every_page_is_sound_on_a_desk_in_the_light() {
    look_at_every_page(Look::WIDE_LIGHT);
}

#[test]
fn every_page_is_sound_on_a_desk_in_the_dark() {
    look_at_every_page(Look::WIDE_DARK);
}

#[test]
fn every_page_is_sound_on_a_phone_in_the_light() {
    look_at_every_page(Look::NARROW_LIGHT);
}

#[test]
fn every_page_is_sound_on_a_phone_in_the_dark() {
    look_at_every_page(Look::NARROW_DARK);
}

fn look_at_every_page(look: Look) {
    let faults = [faults_before_set_up(look), faults_in_use(look)].concat();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn faults_before_set_up(look: Look) -> Vec<String> {
    let (_place, server) = World::empty();
    let mut browser = Browser::open(&server);
    browser.wear(look);
    let link = super::setup_link(&server);
    let token = link.rsplit_once('/').unwrap().1;
    let pages = PAGES.iter().filter(|page| page.who == Who::Newcomer);
    pages.flat_map(|page| both_ways(&mut browser, page, &page.path.replace("{setup}", token))).collect()
}

fn faults_in_use(look: Look) -> Vec<String> {
    let world = World::full();
    let mut browser = Browser::open(&world.server);
    browser.wear(look);
    let addresses = Addresses::of(&world);
    let (mut faults, mut signed_in) = (Vec::new(), Who::Stranger);
    for page in PAGES.iter().filter(|page| page.who != Who::Newcomer) {
        if signed_in != page.who {
            become_somebody(&browser, page.who);
            signed_in = page.who;
        }
        let path = addresses.of_page(page);
        faults.extend(both_ways(&mut browser, page, &path));
    }
    faults
}

/// The ids that stand in the pages' addresses.
pub struct Addresses([(&'static str, String); 7]);

impl Addresses {
    pub fn of(world: &World) -> Self {
        Self([
            ("{key}", world.named("api-keys", "CRM import, production")),
            ("{event}", world.latest_event()),
            ("{role}", world.named("roles", "Analyst")),
            ("{built-in}", world.named("roles", "Team Manager")),
            ("{lead}", world.named("roles", "Team Lead")),
            ("{user}", world.named("users", "Uma User")),
            ("{team}", world.named("teams", "Sales")),
        ])
    }

    pub fn of_page(&self, page: &Page) -> String {
        self.0.iter().fold(page.path.to_owned(), |path, (place, id)| path.replace(place, id))
    }
}

fn become_somebody(browser: &Browser, who: Who) {
    match who {
        Who::Person(email) => browser.sign_in(email),
        Who::Stranger => browser.forget_cookies(),
        Who::Newcomer => unreachable!("a newcomer has a server of their own"),
    }
    // Where one lands is looked at when its turn comes.
    browser.log();
}

/// With scripts, which is drawn, and without.
fn both_ways(browser: &mut Browser, page: &Page, path: &str) -> Vec<String> {
    let mut faults = faults_of(browser, page, path);
    if let Some(folder) = std::env::var_os("TEST_SCREENS").map(PathBuf::from) {
        std::fs::create_dir_all(&folder).unwrap();
        browser.picture(&folder.join(format!("{}-{}.png", page.name, browser.look())));
    }
    browser.allow_scripts(false);
    let without = faults_of(browser, page, path);
    browser.allow_scripts(true);
    faults.extend(without.into_iter().map(|fault| format!("without JavaScript: {fault}")));
    faults.into_iter().map(|fault| format!("{} ({path}): {fault}", page.name)).collect()
}

fn faults_of(browser: &Browser, page: &Page, path: &str) -> Vec<String> {
    browser.visit(path);
    let status = browser.status();
    (page.then)(browser);
    let mut faults = browser.faults();
    if status != page.status {
        faults.push(format!("it was answered with {status} and not with {}", page.status));
    }
    faults
}
