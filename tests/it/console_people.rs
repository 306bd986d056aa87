//! Users and teams on web pages: added, given a password once, changed, refused in words, removed.

use reqwest::{
    Method,
    blocking::{Client, Response},
    header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE},
    redirect::Policy,
};

use crate::server::{ANN, Key, Place, Server, on_both_databases};

on_both_databases! {
    an_added_user_signs_in_with_the_password_that_was_shown
    a_form_without_what_its_page_drew_makes_nothing
    a_form_that_is_sent_again_adds_nobody_and_shows_no_password
    a_role_that_is_wider_than_ones_own_is_refused_at_its_field
    what_does_not_fit_is_said_at_the_form_and_what_was_entered_stays
    a_lost_password_is_reset_by_those_who_may
    users_are_looked_for_and_the_address_says_for_whom
    the_keys_of_a_removed_user_live_on_with_their_new_owner
    the_keys_of_a_removed_user_end_with_them
    whoever_may_not_add_users_sees_no_button_and_finds_no_page
    a_team_is_made_filled_renamed_and_deleted
}

const PASSWORD: &str = "sesame-0pen-the-door";
const UMA: &str = "uma@acme.example";

/// What a browser does: it keeps a cookie, says where a form was, and follows nothing here.
struct Browser<'a> {
    server: &'a Server,
    client: Client,
    cookie: String,
}

struct Page {
    status: u16,
    location: String,
    text: String,
}

impl Page {
    fn of(response: Response) -> Self {
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, location) = (response.status().as_u16(), header(LOCATION).unwrap_or_default());
        Self { status, location, text: response.text().unwrap() }
    }

    /// What stands in a field.
    fn value(&self, of: &str) -> String {
        let (_, rest) = self.text.split_once(of).unwrap_or_else(|| panic!("no {of}: {}", self.text));
        let (_, rest) = rest.split_once("value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }

    /// What is said to be wrong with a field.
    fn wrong(&self, field: &str) -> &str {
        let (_, rest) = self.text.split_once(&format!("id=\"{field}-wrong\">")).unwrap_or(("", "<"));
        rest.split('<').next().unwrap()
    }

    fn holds(&self, text: &str) -> bool {
        self.text.contains(text)
    }
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let text = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    fields.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join("&")
}

impl<'a> Browser<'a> {
    fn new(server: &'a Server) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { server, client, cookie: String::new() }
    }

    /// Signs in; `false` when that is refused.
    fn sign_in(&mut self, email: &str, password: &str) -> bool {
        let answer =
            self.send(Method::POST, "/sign-in", &encoded(&[("email", email), ("password", password)]));
        let Some(cookie) = answer.headers().get(SET_COOKIE) else { return false };
        cookie.to_str().unwrap().split(';').next().unwrap().clone_into(&mut self.cookie);
        answer.status().as_u16() == 303
    }

    fn signed_in(server: &'a Server, email: &str) -> Self {
        let mut browser = Self::new(server);
        assert!(browser.sign_in(email, PASSWORD));
        browser
    }

    fn send(&self, method: Method, path: &str, body: &str) -> Response {
        let (address, body) = (&self.server.address, body.to_owned());
        let request = self.client.request(method, format!("http://{address}{path}"));
        let request = request.header(COOKIE, &self.cookie).header(ORIGIN, format!("http://{address}"));
        let form = "application/x-www-form-urlencoded";
        request.header("content-type", form).body(body).send().unwrap()
    }

    fn get(&self, path: &str) -> Page {
        Page::of(self.send(Method::GET, path, ""))
    }

    /// Fills in the form of a page, whose hidden fields are sent with it.
    fn submit(&self, page: &Page, path: &str, fields: &[(&str, &str)]) -> Page {
        let hidden = ["form_token", "once", "version"];
        let hidden = hidden.map(|name| (name, format!("name=\"{name}\"")));
        let kept: Vec<_> = hidden.iter().filter(|(_, mark)| page.holds(mark)).collect();
        let kept: Vec<_> = kept.into_iter().map(|(name, mark)| (*name, page.value(mark))).collect();
        let all: Vec<_> = kept.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Page::of(self.send(Method::POST, path, &encoded(&[fields, &all].concat())))
    }

    /// The id behind the link with this text.
    fn id_of(&self, list: &str, name: &str) -> String {
        let page = self.get(list);
        let (_, main) = page.text.split_once("<main").unwrap();
        let (before, _) = main.split_once(&format!("\">{name}</a>")).unwrap_or_else(|| panic!("no {name}"));
        before.rsplit('/').next().unwrap().to_owned()
    }
}

/// Ann, who may do everything, Uma, who may work with what is hers, and Hal, who may manage users and no more than that.
fn furnish(place: &Place) {
    let init = ["init", "--workspace", "Acme", "--name", "Ann", "--email", ANN, "--password-stdin"];
    assert!(place.run(&init, PASSWORD).status.success());
    add(place, UMA, "Uma", "User");
    let hires = ["users:read:all", "users:create:all", "conversations:read:own"];
    let permissions = hires.map(|permission| ["--permission", permission]).concat();
    place.cli(&[&["role", "create", "--name", "Hires"], permissions.as_slice()].concat());
    add(place, "hal@acme.example", "Hal", "Hires");
}

fn add(place: &Place, email: &str, name: &str, role: &str) {
    let user = ["user", "add", "--email", email, "--name", name, "--role", role, "--password-stdin"];
    let added = place.run(&user, PASSWORD);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
}

fn key_of_uma(place: &Place) -> Key {
    Key::of(&place.cli(&["key", "create", "--name", "hers", "--owner", UMA]))
}

/// The id of a role, as a page offers it.
fn role(page: &Page, name: &str) -> String {
    let (before, _) =
        page.text.split_once(&format!(">{name}</option>")).unwrap_or_else(|| panic!("no {name}"));
    before.rsplit("value=\"").next().unwrap().split('"').next().unwrap().to_owned()
}

fn an_added_user_signs_in_with_the_password_that_was_shown(place: &Place) {
    furnish(place);
    let server = place.serve();
    let ann = Browser::signed_in(&server, ANN);
    assert!(ann.get("/settings/users").holds("href=\"/settings/users/new\""));
    let form = ann.get("/settings/users/new");
    let new = [("name", "Nia <b>"), ("email", "Nia@acme.example"), ("role", &*role(&form, "User"))];
    let shown = ann.submit(&form, "/settings/users/new", &new);
    assert_eq!(shown.status, 201, "{}", shown.text);
    let password = shown.value("id=\"key\"");
    assert_eq!((password.len(), password.bytes().all(|digit| digit.is_ascii_hexdigit())), (20, true));
    assert!(shown.holds("Nia &#60;b&#62; was added") && !shown.holds("<b>"), "{}", shown.text);

    let mut nia = Browser::new(&server);
    assert!(!nia.sign_in("nia@acme.example", &format!("{password}0")));
    assert!(nia.sign_in("nia@acme.example", &password));
    assert_eq!(nia.get("/settings/users").status, 200);
}

fn a_form_that_is_sent_again_adds_nobody_and_shows_no_password(place: &Place) {
    furnish(place);
    let server = place.serve();
    let ann = Browser::signed_in(&server, ANN);
    let form = ann.get("/settings/users/new");
    let new = [("name", "Nia"), ("email", "nia@acme.example"), ("role", &*role(&form, "User"))];
    let password = ann.submit(&form, "/settings/users/new", &new).value("id=\"key\"");
    let again = ann.submit(&form, "/settings/users/new", &new);
    assert_eq!(again.status, 200, "{}", again.text);
    assert!(again.holds("The user was added already") && !again.holds(&password));
    let list = ann.get("/settings/users");
    assert_eq!(list.text.matches("nia@acme.example").count(), 1);
    let nia = format!("/settings/users/{}", ann.id_of("/settings/users", "Nia"));
    assert!(again.holds(&format!("href=\"{nia}\"")));
    // A page that was not given to this session adds nobody either.
    let foreign = ann.submit(&ann.get("/settings/api-keys"), "/settings/users/new", &[("form_token", "x")]);
    assert_eq!(foreign.status, 403);
}

fn a_form_without_what_its_page_drew_makes_nothing(place: &Place) {
    furnish(place);
    let server = place.serve();
    let ann = Browser::signed_in(&server, ANN);
    let form = ann.get("/settings/teams/new");
    let (token, drawn) = (form.value("name=\"form_token\""), form.value("name=\"once\""));
    let send = |once: &str, name: &str| {
        let body = encoded(&[("form_token", &token), ("once", once), ("name", name)]);
        Page::of(ann.send(Method::POST, "/settings/teams/new", &body))
    };
    let nul = drawn.replacen(|_: char| true, "\0", 1);
    for once in ["", &drawn[1..], &format!("{drawn}0"), &drawn.to_uppercase(), &nul, &"a".repeat(5_000)] {
        // One of its digits is a letter, or it would be the same in upper case.
        if once == drawn {
            continue;
        }
        let refused = send(once, "Sales");
        assert_eq!(refused.status, 400, "{once:?}: {}", refused.text);
        assert!(refused.holds("This form could not be read"), "{once:?}: {}", refused.text);
    }
    assert_eq!(send(&drawn, "Sa\0les").status, 400);
    assert!(!ann.get("/settings/teams").holds("Sales"));
    assert_eq!(send(&drawn, "Sales").status, 303);
    for path in ["/settings/api-keys?q=a%00b", "/settings/users?q=%00", "/settings/audit-log?action=%00"] {
        assert_eq!(ann.get(path).status, 200, "{path}");
    }
    let body = encoded(&[("email", "a\0b"), ("password", "c\0d")]);
    assert_eq!(Browser::new(&server).send(Method::POST, "/sign-in", &body).status().as_u16(), 400);
}

fn a_role_that_is_wider_than_ones_own_is_refused_at_its_field(place: &Place) {
    furnish(place);
    let server = place.serve();
    let ann_sees = Browser::signed_in(&server, ANN).get("/settings/users/new");
    let hal = Browser::signed_in(&server, "hal@acme.example");
    let form = hal.get("/settings/users/new");
    assert!(form.holds(">Hires</option>") && !form.holds(">Admin</option>") && !form.holds(">User</option>"));
    let wide = role(&ann_sees, "Admin");
    let new = [("name", "Eve"), ("email", "eve@acme.example"), ("role", wide.as_str())];
    let refused = hal.submit(&form, "/settings/users/new", &new);
    assert_eq!(refused.status, 422);
    assert!(refused.wrong("role").ends_with("which you do not hold yourself."), "{}", refused.text);
    assert_eq!(refused.value("id=\"email\""), "eve@acme.example");
    assert!(!hal.get("/settings/users").holds("eve@acme.example"));
    let narrow = role(&form, "Hires");
    let new = [("name", "Eve"), ("email", "eve@acme.example"), ("role", narrow.as_str())];
    assert_eq!(hal.submit(&refused, "/settings/users/new", &new).status, 201);
}

fn what_does_not_fit_is_said_at_the_form_and_what_was_entered_stays(place: &Place) {
    furnish(place);
    let server = place.serve();
    let ann = Browser::signed_in(&server, ANN);
    let path = format!("/settings/users/{}", ann.id_of("/settings/users", "Uma"));
    let form = ann.get(&path);
    let (user, admin) = (role(&form, "User"), role(&form, "Admin"));

    let taken = ann.submit(&form, &path, &[("name", "Uma Ray"), ("email", ANN), ("role", &user)]);
    assert_eq!((taken.status, taken.value("id=\"name\"")), (409, "Uma Ray".to_owned()));
    assert_eq!(taken.wrong("email"), "The workspace has a user with this e-mail address.");
    let malformed = ann.submit(&form, &path, &[("name", ""), ("email", "uma"), ("role", "")]);
    assert_eq!((malformed.status, malformed.wrong("role")), (422, "Choose one of the roles."));
    let saved = ann.submit(&form, &path, &[("name", "Uma Ray"), ("email", UMA), ("role", &user)]);
    assert_eq!((saved.status, saved.location.clone()), (303, format!("{path}?saved=1")));

    let stale = ann.submit(&form, &path, &[("name", "Uma Rye"), ("email", UMA), ("role", &user)]);
    assert_eq!((stale.status, stale.value("id=\"name\"")), (409, "Uma Rye".to_owned()));
    assert!(stale.holds("Somebody else changed this user meanwhile, to “Uma Ray”"), "{}", stale.text);
    assert_eq!(
        ann.submit(&stale, &path, &[("name", "Uma Rye"), ("email", UMA), ("role", &user)]).status,
        303
    );

    let own = format!("/settings/users/{}", ann.id_of("/settings/users", "Ann"));
    let form = ann.get(&own);
    assert!(!form.holds(&format!("{own}/remove")), "nobody removes themselves");
    let last = ann.submit(&form, &own, &[("name", "Ann"), ("email", ANN), ("role", &user)]);
    assert_eq!(last.status, 409);
    assert!(last.wrong("role").starts_with("This is the last user who can manage"), "{}", last.text);
    let removal = format!("{own}/remove");
    let refused = ann.submit(&ann.get(&removal), &removal, &[]);
    assert_eq!(refused.status, 422);
    assert!(refused.holds("Somebody else must remove you."), "{}", refused.text);
    assert_eq!(
        ann.submit(&ann.get(&path), &path, &[("name", "Uma"), ("email", UMA), ("role", &admin)]).status,
        303
    );
}

fn a_lost_password_is_reset_by_those_who_may(place: &Place) {
    furnish(place);
    let server = place.serve();
    let (ann, uma) = (Browser::signed_in(&server, ANN), Browser::signed_in(&server, UMA));
    let key = key_of_uma(place);
    let [hers, own] =
        ["Uma", "Ann"].map(|name| format!("/settings/users/{}", ann.id_of("/settings/users", name)));
    let (path, own_path) = (format!("{hers}/password"), format!("{own}/password"));
    assert!(ann.get(&hers).holds(&path) && !ann.get(&own).holds(&own_path));
    let form = ann.get(&path);
    assert_eq!((form.status, ann.get(&own_path).status, uma.get(&path).status), (200, 404, 404));
    assert_eq!(ann.submit(&form, &own_path, &[]).status, 404);
    assert_eq!(uma.submit(&uma.get("/account"), &path, &[]).status, 404);
    assert_eq!(uma.get("/account").status, 200);

    let shown = ann.submit(&form, &path, &[]);
    let password = shown.value("id=\"key\"");
    assert_eq!((shown.status, password.len()), (200, 20), "{}", shown.text);
    assert!(shown.holds("New password of Uma") && shown.holds("Uma has a new password"), "{}", shown.text);
    let again = ann.submit(&form, &path, &[]);
    assert!(again.status == 200 && again.holds("The password was reset already") && !again.holds(&password));
    assert_eq!(uma.get("/account").status, 303, "her session is over");
    assert_eq!(server.get("/v1/whoami", &key).status, 200, "her key is not");
    let signs_in = |password: &str| Browser::new(&server).sign_in(UMA, password);
    assert!(!signs_in(PASSWORD) && signs_in(&password));
    assert!(ann.get("/settings/audit-log?action=user.password_reset").holds(&hers[16..]));

    let drawn = place.cli(&["user", "reset-password", UMA])["password"].as_str().unwrap().to_owned();
    assert!(!signs_in(&password) && signs_in(&drawn));
    let given = place.run(&["user", "reset-password", UMA, "--password-stdin"], PASSWORD);
    assert!(given.status.success() && !String::from_utf8_lossy(&given.stdout).contains(PASSWORD));
    assert!(!signs_in(&drawn) && signs_in(PASSWORD));
    assert!(!place.run(&["user", "reset-password", "eve@acme.example"], "").status.success());
}

fn users_are_looked_for_and_the_address_says_for_whom(place: &Place) {
    furnish(place);
    let server = place.serve();
    let ann = Browser::signed_in(&server, ANN);
    let found = ann.get("/settings/users?q=UMA%40acme");
    assert!(found.holds(">Uma</a>") && !found.holds(">Hal</a>") && !found.holds("Nobody"), "{}", found.text);
    assert_eq!(found.value("id=\"q\""), "UMA@acme");
    let nobody = ann.get("/settings/users?q=%3Cb%3E");
    assert!(
        nobody.holds("Nobody fits") && !nobody.holds("<b>") && !nobody.holds("<table"),
        "{}",
        nobody.text
    );
    for number in 0..51 {
        place.cli(&["user", "add", "--email", &format!("p{number}@acme.example"), "--name", "Person"]);
    }
    let first = ann.get("/settings/users?q=person");
    let (_, next) = first.text.split_once("rel=\"next\" href=\"").expect("there is a next page");
    let next = next.split('"').next().unwrap().replace("&#38;", "&");
    assert!(next.starts_with("/settings/users?q=person&after=usr_"), "{next}");
    let second = ann.get(&next);
    assert_eq!(second.text.matches(">Person</a>").count(), 1);
    assert!(second.holds("href=\"/settings/users?q=person\""), "{}", second.text);
}

fn the_keys_of_a_removed_user_live_on_with_their_new_owner(place: &Place) {
    furnish(place);
    let key = key_of_uma(place);
    let server = place.serve();
    let ann = Browser::signed_in(&server, ANN);
    let path = format!("/settings/users/{}", ann.id_of("/settings/users", "Uma"));
    assert!(ann.get(&path).holds(&format!("/settings/api-keys?owner={}\">1 key</a>", &path[16..])));
    let removal = format!("{path}/remove");
    let form = ann.get(&removal);
    assert!(form.holds("What becomes of their 1 API key?"), "{}", form.text);

    let unsaid = ann.submit(&form, &removal, &[]);
    assert_eq!(unsaid.status, 409);
    assert_eq!(unsaid.wrong("keys"), "They have 1 API key. Choose what becomes of them.");
    let unknown = ann.submit(&form, &removal, &[("keys", "transfer"), ("to", "eve@acme.example")]);
    assert_eq!(unknown.status, 422);
    assert_eq!(unknown.wrong("to"), "Nobody in this workspace has this e-mail address.");
    let themselves = ann.submit(&form, &removal, &[("keys", "transfer"), ("to", UMA)]);
    assert_eq!((themselves.status, themselves.wrong("to").is_empty()), (422, false));
    assert_eq!(server.get("/v1/whoami", &key).status, 200);

    let removed = ann.submit(&form, &removal, &[("keys", "transfer"), ("to", ANN)]);
    assert_eq!((removed.status, removed.location.as_str()), (303, "/settings/users?removed=1"));
    assert_eq!(server.get("/v1/whoami", &key).status, 200);
    assert_eq!(ann.get(&path).status, 404);
    assert!(!ann.get("/settings/users").holds(UMA));
}

fn the_keys_of_a_removed_user_end_with_them(place: &Place) {
    furnish(place);
    let key = key_of_uma(place);
    let server = place.serve();
    let (ann, uma) = (Browser::signed_in(&server, ANN), Browser::signed_in(&server, UMA));
    assert_eq!((server.get("/v1/whoami", &key).status, uma.get("/settings/users").status), (200, 200));
    let removal = format!("/settings/users/{}/remove", ann.id_of("/settings/users", "Uma"));
    let removed = ann.submit(&ann.get(&removal), &removal, &[("keys", "delete")]);
    let next = server.get("/v1/whoami", &key);
    assert_eq!((removed.status, next.status), (303, 401));
    let signed_out = uma.get("/settings/users");
    assert_eq!((signed_out.status, signed_out.location.as_str()), (303, "/sign-in?next=%2Fsettings%2Fusers"));
}

fn whoever_may_not_add_users_sees_no_button_and_finds_no_page(place: &Place) {
    furnish(place);
    let server = place.serve();
    let (ann, uma) = (Browser::signed_in(&server, ANN), Browser::signed_in(&server, UMA));
    let ann_id = ann.id_of("/settings/users", "Ann");
    let list = uma.get("/settings/users");
    assert!(list.status == 200 && list.holds(UMA) && !list.holds(ANN) && !list.holds("/users/new"));
    let own = format!("/settings/users/{}", uma.id_of("/settings/users", "Uma"));
    let page = uma.get(&own);
    assert!(page.status == 200 && !page.holds("name=\"version\"") && !page.holds("/remove"), "{}", page.text);
    assert!(!page.holds("/settings/teams"), "teams are not for Uma to see");
    let forms = [
        "/settings/users/new".to_owned(),
        format!("{own}/remove"),
        format!("/settings/users/{ann_id}"),
        format!("/settings/users/{ann_id}/remove"),
        "/settings/teams/new".to_owned(),
    ];
    for path in forms {
        assert_eq!(uma.get(&path).status, 404, "GET {path}");
        assert_eq!(uma.submit(&page, &path, &[("name", "x"), ("keys", "delete")]).status, 404, "POST {path}");
    }
    // The list of teams takes no form from anybody.
    assert_eq!(uma.get("/settings/teams").status, 404);
    assert_eq!(uma.submit(&page, "/settings/teams", &[("name", "x")]).status, 405);
    assert_eq!(uma.submit(&page, &own, &[("name", "x"), ("email", UMA)]).status, 404);
    assert!(uma.get(&own).holds(">Uma</h1>") && ann.get("/settings/users").holds(ANN));
}

fn a_team_is_made_filled_renamed_and_deleted(place: &Place) {
    furnish(place);
    add(place, "tom@acme.example", "Tom", "Team Manager");
    let server = place.serve();
    let (ann, tom) = (Browser::signed_in(&server, ANN), Browser::signed_in(&server, "tom@acme.example"));
    let new = ann.get("/settings/teams/new");
    let made = ann.submit(&new, "/settings/teams/new", &[("name", "Sales")]);
    let again = ann.submit(&new, "/settings/teams/new", &[("name", "Sales")]);
    assert_eq!((made.status, again.status), (303, 303));
    assert_eq!(made.location, again.location, "a form that is sent again makes no second team");
    let taken = ann.submit(&ann.get("/settings/teams/new"), "/settings/teams/new", &[("name", "Sales")]);
    assert_eq!((taken.status, taken.wrong("name")), (409, "The workspace has a team with this name."));

    let (path, people) = (made.location.clone(), format!("{}/people", made.location));
    assert_eq!(tom.get(&path).status, 404, "Tom is not in it yet");
    let first = ann.get(&path);
    let unknown = ann.submit(&first, &people, &[("email", "eve@acme.example")]);
    assert_eq!((unknown.status, unknown.value("id=\"email\"")), (422, "eve@acme.example".to_owned()));
    for email in ["tom@acme.example", UMA] {
        assert_eq!(ann.submit(&first, &people, &[("email", email)]).status, 303);
    }
    let seen = tom.get(&path);
    assert!(seen.status == 200 && seen.holds(UMA) && !seen.holds("<button>"), "{}", seen.text);
    assert_eq!(tom.submit(&seen, &people, &[("email", UMA)]).status, 404);
    assert_eq!(tom.submit(&seen, &path, &[("name", "Mine")]).status, 404);
    assert_eq!(tom.get(&format!("{path}/delete")).status, 404);

    let stale = ann.submit(&first, &path, &[("name", "Field sales")]);
    assert_eq!(stale.status, 409, "people came in since");
    assert!(stale.wrong("name").starts_with("Somebody else changed this team meanwhile"), "{}", stale.text);
    assert_eq!(ann.submit(&stale, &path, &[("name", "Field sales")]).status, 303);
    let uma = ann.id_of("/settings/users", "Uma");
    for _ in 0..2 {
        assert_eq!(ann.submit(&first, &format!("{people}/{uma}/remove"), &[]).status, 303);
    }
    assert!(!tom.get(&path).holds(UMA) && tom.get("/settings/teams").holds(">Field sales</a>"));
    let deletion = format!("{path}/delete");
    assert!(ann.get(&path).holds(&format!("href=\"{deletion}\"")));
    assert_eq!(ann.submit(&ann.get(&deletion), &deletion, &[]).location, "/settings/teams?deleted=1");
    assert_eq!(ann.get(&path).status, 404);
}
