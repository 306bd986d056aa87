//! Who comes in, and with what: cookies, forms from elsewhere, passwords, sessions that end.

use reqwest::Method;
use serde_json::json;

use super::{
    setup_link,
    visitor::{FORM, Visitor, encode, fields, set_cookies},
    world::{ADMIN, MANAGER, PASSWORD, USER, World},
};
use crate::{
    server::{Answer, eventually},
    tree,
};

const NEW_PASSWORD: &str = "another long enough password";

/// Every form of somebody who is signed in. What is in braces stands for ids.
const FORMS: &[&str] = &[
    "/sign-out",
    "/account/password",
    "/account/sessions/{session}/end",
    "/settings/general",
    "/settings/users/new",
    "/settings/users/{user}",
    "/settings/users/{user}/password",
    "/settings/users/{user}/remove",
    "/settings/teams/new",
    "/settings/teams/{team}",
    "/settings/teams/{team}/people",
    "/settings/teams/{team}/people/{user}/remove",
    "/settings/teams/{team}/delete",
    "/settings/api-keys/new",
    "/settings/api-keys/delete",
    "/settings/api-keys/{key}/edit",
    "/settings/api-keys/{key}/rotate",
    "/settings/api-keys/{key}/delete",
    "/settings/roles/new",
    "/settings/roles/{role}",
    "/settings/roles/{role}/delete",
];
/// The forms of those who are not: signing in, and setting up.
const FORMS_OF_STRANGERS: usize = 2;

fn paths(world: &World, ann: &Visitor<'_>) -> Vec<String> {
    let ids = [
        ("{key}", world.named("api-keys", "Weekly report")),
        ("{role}", world.named("roles", "Analyst")),
        ("{user}", world.named("users", "Uma User")),
        ("{team}", world.named("teams", "Sales")),
        ("{session}", other_session(ann)),
    ];
    let filled =
        |path: &&str| ids.iter().fold((*path).to_owned(), |path, (place, id)| path.replace(place, id));
    FORMS.iter().map(filled).collect()
}

/// The id of a session of the visitor's that is not the one they visit with.
fn other_session(visitor: &Visitor<'_>) -> String {
    let page = visitor.look("/account").text;
    let (_, id) = page.split_once("/account/sessions/ses_").expect("another session");
    format!("ses_{}", id.split('/').next().unwrap())
}

#[track_caller]
fn assert_foreign(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 403, "{what}: {}", answer.text);
    assert!(answer.text.contains("This form is out of date"), "{what}: {}", answer.text);
    assert!(set_cookies(answer).is_empty(), "{what}");
}

#[test]
fn no_form_is_missing_from_the_list_of_forms() {
    let sources = tree::files().into_iter().filter(|path| path.starts_with("crates/harmony-console/src"));
    let forms: usize = sources.map(|path| tree::text(&path).unwrap().matches("web::post()").count()).sum();
    assert_eq!(forms, FORMS.len() + FORMS_OF_STRANGERS, "put the new form into FORMS");
}

#[test]
fn a_form_without_the_token_that_this_session_was_given_changes_nothing() {
    let world = World::full();
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let other = Visitor::new(&world.server).sign_in(ADMIN);
    let paths = paths(&world, &ann);
    let before = state(&world);
    let token = |visitor: &Visitor<'_>| visitor.hidden("/account", "/sign-out").remove(0).1;
    let of_another = token(&other);
    assert_ne!(of_another, token(&ann));
    for path in &paths {
        for wrong in [None, Some(""), Some("0"), Some(of_another.as_str())] {
            let mut form = fields(&[("name", "Changed"), ("current", PASSWORD), ("new", NEW_PASSWORD)]);
            form.extend(wrong.map(|token| ("form_token".to_owned(), token.to_owned())));
            assert_foreign(&ann.post(path, &form), path);
        }
    }
    assert_eq!(state(&world), before);
    assert!(ann.is_signed_in() && other.is_signed_in());
    assert_eq!(Visitor::new(&world.server).try_sign_in(ADMIN, PASSWORD).status, 303);
}

/// What the forms would have changed.
fn state(world: &World) -> Vec<serde_json::Value> {
    let others = ["/v1/workspace", "/v1/roles", "/v1/users", "/v1/teams"];
    let others = others.map(|path| world.ask(Method::GET, path, None));
    others.into_iter().chain([world.api_keys()]).collect()
}

#[test]
fn a_form_that_another_site_sends_changes_nothing() {
    let world = World::full();
    let [ann, _other] = [(); 2].map(|()| Visitor::new(&world.server).sign_in(ADMIN));
    let (_place, server) = World::empty();
    let nobody = Visitor::new(&server);
    let before = state(&world);
    let own = [format!("http://{}", world.server.address), format!("http://{}", server.address)];
    let token = ann.hidden("/account", "/sign-out");
    for path in paths(&world, &ann) {
        for headers in foreign(&own[0]) {
            assert_foreign(&ann.send(Method::POST, &path, &headers, encode(&token)), &path);
        }
    }
    let stranger = Visitor::new(&world.server);
    let entered = encode(&fields(&[("email", ADMIN), ("password", PASSWORD)]));
    for headers in foreign(&own[0]) {
        assert_foreign(&stranger.send(Method::POST, "/sign-in", &headers, entered.clone()), "/sign-in");
    }
    let new = [("workspace", "W"), ("name", "Eve"), ("email", "eve@evil.example"), ("password", PASSWORD)];
    for headers in foreign(&own[1]) {
        let sent = nobody.send(Method::POST, &setup_link(&server), &headers, encode(&fields(&new)));
        assert_foreign(&sent, "the link");
    }
    assert_eq!(state(&world), before);
    assert!(ann.is_signed_in());
    assert_eq!(nobody.get(&setup_link(&server)).status, 200);
}

/// What browsers say of a form that did not come from a page of this origin.
fn foreign(own: &str) -> Vec<Vec<(&str, &str)>> {
    let site = |value| ("sec-fetch-site", value);
    vec![
        vec![FORM, site("cross-site"), ("origin", "http://evil.example")],
        vec![FORM, site("cross-site"), ("origin", own)],
        vec![FORM, site("same-site"), ("origin", own)],
        vec![FORM, site("none"), ("origin", own)],
        vec![FORM, ("origin", "http://evil.example")],
        vec![FORM, ("origin", "null")],
        vec![FORM, ("referer", own)],
        vec![FORM],
    ]
}

#[test]
fn a_form_is_a_form_of_a_bounded_size() {
    let world = World::full();
    let stranger = Visitor::new(&world.server);
    let own = format!("http://{}", world.server.address);
    let entered = encode(&fields(&[("email", ADMIN), ("password", PASSWORD)]));
    for kind in ["text/plain", "multipart/form-data", "application/json"] {
        let headers = [("origin", own.as_str()), ("content-type", kind)];
        let answer = stranger.send(Method::POST, "/sign-in", &headers, entered.clone());
        assert_eq!(answer.status, 400, "{kind}: {}", answer.text);
    }
    let large = fields(&[("email", ADMIN), ("password", &"x".repeat(100_000))]);
    assert_eq!(stranger.post("/sign-in", &large).status, 400);
    assert!(!stranger.is_signed_in());
}

#[test]
fn the_session_is_a_cookie_of_this_host_that_scripts_do_not_see() {
    let world = World::full();
    let ann = Visitor::new(&world.server);
    let answer = ann.try_sign_in(ADMIN, PASSWORD);
    assert_eq!(
        session_cookies(&answer),
        ["harmony_session=; HttpOnly; SameSite=Lax; Path=/; Max-Age=2592000"]
    );
    assert_eq!(ann.cookie("harmony_session").unwrap().len(), 64);
}

#[test]
fn behind_tls_the_cookie_is_for_tls_and_this_very_host() {
    let world = World::serving(&["--public-url", "https://keys.example.com"]);
    let ann = Visitor::new(&world.server).at("https://keys.example.com");
    let answer = ann.try_sign_in(ADMIN, PASSWORD);
    let expected = "__Host-harmony_session=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=2592000";
    assert_eq!(session_cookies(&answer), [expected]);
    assert!(ann.is_signed_in());
    // A cookie that a neighbour on the same domain or a page without TLS has set counts for nothing.
    let fallen_back = Visitor::new(&world.server);
    fallen_back.hold("harmony_session", &ann.cookie("harmony_session").unwrap());
    assert!(!fallen_back.is_signed_in());
    // Which name a request was sent to is the proxy's word. What counts is the public one.
    let own = format!("http://{}", world.server.address);
    let entered = encode(&fields(&[("email", ADMIN), ("password", PASSWORD)]));
    let headers = [FORM, ("origin", own.as_str())];
    assert_foreign(
        &Visitor::new(&world.server).send(Method::POST, "/sign-in", &headers, entered),
        "/sign-in",
    );
}

/// The cookies of sessions that an answer sets, without their values.
fn session_cookies(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 303, "{}", answer.text);
    let cookies = set_cookies(answer).into_iter().filter(|cookie| cookie.contains("harmony_session="));
    let without_value = |cookie: String| {
        let (name, rest) = cookie.split_once('=').unwrap();
        format!("{name}=;{}", rest.split_once(';').unwrap().1)
    };
    cookies.map(without_value).collect()
}

#[test]
fn whoever_signs_in_has_a_token_that_nobody_knew_before() {
    let world = World::full();
    let (ann, planted) = (Visitor::new(&world.server), "0".repeat(64));
    ann.hold("harmony_session", &planted);
    let ann = ann.sign_in(ADMIN);
    let first = ann.cookie("harmony_session").unwrap();
    let second = ann.sign_in(ADMIN).cookie("harmony_session").unwrap();
    assert!(planted != first && first != second);
    for gone in [planted, first] {
        assert!(!holder(&world, &gone).is_signed_in());
    }
    assert!(holder(&world, &second).is_signed_in());
}

/// Somebody who has come by the token of a session.
fn holder<'a>(world: &'a World, token: &str) -> Visitor<'a> {
    let holder = Visitor::new(&world.server);
    holder.hold("harmony_session", token);
    holder
}

#[test]
fn whoever_signs_out_has_left() {
    let world = World::full();
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    let token = ann.cookie("harmony_session").unwrap();
    let answer = ann.submit_to("/account", "/sign-out", &[]);
    assert_eq!((answer.status, answer.header("location")), (303, "/sign-in"));
    assert!(ann.cookie("harmony_session").is_none());
    assert!(!holder(&world, &token).is_signed_in());
}

#[test]
fn nobody_is_led_to_another_site() {
    let world = World::full();
    let ann = Visitor::new(&world.server).sign_in(ADMIN);
    for (next, led_to) in [
        ("/settings/api-keys?q=a%26b", "/settings/api-keys?q=a%26b"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nlocation: https://evil.example", "/"),
        ("", "/"),
    ] {
        let form = fields(&[("email", ADMIN), ("password", PASSWORD), ("next", next)]);
        let entered = Visitor::new(&world.server).post("/sign-in", &form);
        let query = encode(&fields(&[("next", next)]));
        for answer in [entered, ann.get(&format!("/sign-in?{query}"))] {
            assert_eq!((answer.status, answer.header("location")), (303, led_to), "{next:?}");
        }
    }
}

#[test]
fn an_unknown_address_and_a_wrong_password_have_the_same_answer() {
    let world = World::full();
    let role = world.named("roles", "User");
    world.create("users", &json!({ "name": "Pat", "email": "pat@acme.example", "role": role }));
    let answers = [ADMIN, "bob@acme.example", "pat@acme.example"].map(|email| {
        let answer = Visitor::new(&world.server).try_sign_in(email, "not the password");
        let mut headers: Vec<_> =
            answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        headers.retain(|line| !line.starts_with("date: ") && !line.starts_with("x-request-id: "));
        headers.sort();
        assert!(answer.text.contains(email) && !answer.text.contains("not the password"));
        (answer.status, headers, answer.text.replace(email, "EMAIL"))
    });
    assert_eq!(answers[0].0, 422);
    assert!(answers[0] == answers[1] && answers[0] == answers[2], "{answers:?}");
}

#[test]
fn whoever_tries_passwords_waits_and_the_right_person_comes_in_from_elsewhere() {
    let world = World::serving(&["--trusted-proxies", "127.0.0.1"]);
    let from = |address| Visitor::new(&world.server).from(address);
    let attacker = from("203.0.113.9");
    for _ in 0..10 {
        assert_eq!(attacker.try_sign_in(ADMIN, "a guess").status, 422);
    }
    for password in ["a guess", PASSWORD] {
        let answer = attacker.try_sign_in(ADMIN, password);
        assert_eq!(answer.status, 429, "{}", answer.text);
        let secs = answer.header("retry-after").parse::<u64>().unwrap();
        let said = if secs == 1 { "Wait 1 second,".to_owned() } else { format!("Wait {secs} seconds,") };
        assert!(secs >= 1 && answer.text.contains(&said), "{secs}: {}", answer.text);
        assert!(set_cookies(&answer).is_empty());
    }
    from("203.0.113.9").sign_in(MANAGER);
    from("198.51.100.7").sign_in(ADMIN);
    // And nobody waits for ever.
    let late = eventually("the wait is over", || {
        Some(attacker.try_sign_in(ADMIN, PASSWORD)).filter(|answer| answer.status != 429)
    });
    assert_eq!(late.status, 303);
}

#[test]
fn strangers_keep_nobody_out_of_where_they_were_before_a_restart() {
    let behind = ["--trusted-proxies", "127.0.0.1"];
    let mut world = World::serving(&behind);
    Visitor::new(&world.server).from("198.51.100.7").sign_in(ADMIN);
    world.restart(&behind);
    // Too long to be hashed, and so an attempt all the same.
    let guess = "x".repeat(1_025);
    for number in 0..200 {
        let stranger = Visitor::new(&world.server).from(format!("203.0.113.{number}").leak());
        assert_eq!(stranger.try_sign_in(ADMIN, &guess).status, 422, "{number}");
    }
    let from = |address| Visitor::new(&world.server).from(address).try_sign_in(ADMIN, PASSWORD).status;
    assert_eq!((from("203.0.113.201"), from("198.51.100.8")), (429, 429));
    assert_eq!(from("198.51.100.7"), 303);
}

#[test]
fn a_changed_password_ends_ones_other_sessions() {
    let world = World::full();
    let [ann, other] = [(); 2].map(|()| Visitor::new(&world.server).sign_in(ADMIN));
    let uma = Visitor::new(&world.server).sign_in(USER);
    let before = ann.cookie("harmony_session").unwrap();
    let change =
        |current, new| ann.submit_to("/account", "/account/password", &[("current", current), ("new", new)]);

    for (current, new, why) in
        [("a guess", NEW_PASSWORD, "not your password"), (PASSWORD, "short", "10 characters")]
    {
        let answer = change(current, new);
        assert_eq!(answer.status, 422, "{}", answer.text);
        assert!(answer.text.contains(why), "{}", answer.text);
        assert!(!answer.text.contains(&format!("value=\"{current}")) && !answer.text.contains(new));
    }
    assert!(other.is_signed_in());

    let answer = change(PASSWORD, NEW_PASSWORD);
    assert_eq!((answer.status, answer.header("location")), (303, "/account?done=password"));
    assert!(ann.is_signed_in() && uma.is_signed_in() && !other.is_signed_in());
    assert_ne!(ann.cookie("harmony_session").unwrap(), before);
    assert!(!holder(&world, &before).is_signed_in());
    assert_eq!(Visitor::new(&world.server).try_sign_in(ADMIN, PASSWORD).status, 422);
    assert_eq!(Visitor::new(&world.server).try_sign_in(ADMIN, NEW_PASSWORD).status, 303);
}

#[test]
fn one_sees_what_each_of_ones_sessions_was_begun_with_and_from_where() {
    let world = World::serving(&["--trusted-proxies", "127.0.0.1"]);
    let own = format!("http://{}", world.server.address);
    let entered = encode(&fields(&[("email", USER), ("password", PASSWORD)]));
    for (address, user_agent) in [
        ("198.51.100.7", "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"),
        ("2001:db8::7", "<b>bold</b>"),
    ] {
        let headers = [FORM, ("origin", own.as_str()), ("user-agent", user_agent)];
        let visitor = Visitor::new(&world.server).from(address);
        assert_eq!(visitor.send(Method::POST, "/sign-in", &headers, entered.clone()).status, 303);
    }
    let page = Visitor::new(&world.server).from("192.0.2.9").sign_in(USER).get("/account").text;
    for shown in [
        "<span>Firefox on Android</span>",
        "<span>unknown</span>",
        "unknown <span class=\"badge\">this one</span>",
    ] {
        assert_eq!(page.matches(shown).count(), 1, "{shown}: {page}");
    }
    for address in ["198.51.100.7", "2001:db8::7", "192.0.2.9"] {
        let from = format!("<span class=\"by\">from {address}</span>");
        assert_eq!(page.matches(&from).count(), 2, "began and last seen: {page}");
    }
    assert!(!page.contains("bold"), "{page}");
}

#[test]
fn one_ends_ones_own_sessions_and_nobody_elses() {
    let world = World::full();
    let [ann, uma] = [ADMIN, USER].map(|email| Visitor::new(&world.server).sign_in(email));
    let elsewhere = Visitor::new(&world.server).sign_in(USER);
    let path = format!("/account/sessions/{}/end", other_session(&uma));
    let form = ann.hidden("/account", "/sign-out");
    assert_eq!(ann.post(&path, &form).status, 404);
    assert!(elsewhere.is_signed_in());
    assert_eq!(uma.submit_to("/account", &path, &[]).status, 303);
    assert!(!elsewhere.is_signed_in() && uma.is_signed_in() && ann.is_signed_in());
}

#[test]
fn a_session_has_another_token_when_ones_rights_have_changed() {
    let world = World::full();
    let tom = Visitor::new(&world.server).sign_in(MANAGER);
    let role = format!("/v1/roles/{}", world.named("roles", "Team Lead"));
    let user = format!("/v1/users/{}", world.named("users", "Tom Manager"));
    let narrower = json!({ "permissions": ["conversations:read:team"] });
    let analyst = json!({ "role": world.named("roles", "Analyst") });
    let unrelated = format!("/v1/roles/{}", world.named("roles", "Analyst"));
    world.ask(Method::PATCH, &unrelated, Some(&json!({ "description": "Changed" })));
    assert_eq!(tom.get("/account").status, 200);

    for (path, change) in [(role, narrower), (user, analyst)] {
        let before = tom.cookie("harmony_session").unwrap();
        world.ask(Method::PATCH, &path, Some(&change));
        let answer = tom.get("/account?done=no");
        assert_eq!((answer.status, answer.header("location")), (303, "/account?done=no"));
        assert_eq!(session_cookies(&answer).len(), 1);
        let after = tom.cookie("harmony_session").unwrap();
        assert_ne!(after, before);
        assert_eq!(tom.get("/account").status, 200);
        assert!(!holder(&world, &before).is_signed_in());
    }
}

#[test]
fn a_form_is_not_lost_when_ones_rights_change_while_it_is_filled_in() {
    let world = World::full();
    let tom = Visitor::new(&world.server).sign_in(MANAGER);
    let mut form = tom.hidden("/account", "/account/password");
    form.extend(fields(&[("current", PASSWORD), ("new", NEW_PASSWORD)]));
    let role = format!("/v1/roles/{}", world.named("roles", "Team Lead"));
    world.ask(Method::PATCH, &role, Some(&json!({ "description": "Changed" })));
    assert_eq!(tom.post("/account/password", &form).status, 303);
    assert!(tom.is_signed_in());
}
