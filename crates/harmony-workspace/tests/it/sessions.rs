//! Sessions: who signs in, for how long, and who does not.

use std::time::Duration;

use harmony_access::{Principal, Timestamp};
use harmony_key::TokenDigest;
use harmony_workspace::{
    Browser, Error, Occasion, Workspace,
    sessions::{self, ABSOLUTE_LIFETIME, IDLE_LIFETIME, SignedIn},
    setup::{self, NewWorkspace},
    users::{self, UserChange},
};

use crate::{
    backend::{Database, on_both},
    house::*,
};

on_both!(
    only_the_right_address_and_password_sign_in,
    a_token_is_recognised_until_its_session_is_idle_too_long_or_over,
    a_session_says_what_it_was_begun_with_and_from_where_it_is_used,
    an_ended_session_is_over_at_once_and_others_go_on,
    of_two_requests_with_outdated_rights_one_draws_the_other_token,
    another_password_ends_all_other_sessions_and_is_asked_for_the_first,
);

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

struct Place {
    _database: Database,
    workspace: Workspace,
}

fn at(now: Timestamp) -> Occasion {
    Occasion { now, client: None, request_id: None }
}

fn place(database: Database) -> Place {
    let workspace = database.workspace.clone();
    let new =
        NewWorkspace { name: "W", user_name: "Ann", email: "ann@example.com", password: Some(PASSWORD) };
    setup::create(&workspace, &at(START), &new).unwrap();
    Place { _database: database, workspace }
}

impl Place {
    fn sign_in(&self, email: &str, password: &str) -> Option<SignedIn> {
        sessions::sign_in(&self.workspace, &at(START), email, password, Browser::default()).unwrap()
    }

    fn recognise(&self, token: &TokenDigest, now: Timestamp) -> Option<Principal> {
        let found = sessions::recognise(&self.workspace, &at(now), token).unwrap();
        found.map(|recognised| recognised.principal)
    }
}

fn only_the_right_address_and_password_sign_in(database: Database) {
    let place = place(database);
    assert!(place.sign_in(" Ann@example.com", PASSWORD).is_some());
    assert!(place.sign_in("ann@example.com", "correct horse batterz").is_none());
    assert!(place.sign_in("ann@example.com", "").is_none());
    assert!(place.sign_in("bob@example.com", PASSWORD).is_none());
}

fn a_token_is_recognised_until_its_session_is_idle_too_long_or_over(database: Database) {
    let place = place(database);
    let token = place.sign_in("ann@example.com", PASSWORD).unwrap().token.digest();
    assert!(place.recognise(&TokenDigest::of("another"), START).is_none());
    let before_idle = START.plus(IDLE_LIFETIME).minus(Duration::from_millis(1));
    let principal = place.recognise(&token, before_idle).unwrap();
    assert!(principal.permissions().is_everything() && principal.session().is_some());
    // It was used just now, and so is idle a while later.
    assert!(place.recognise(&token, START.plus(IDLE_LIFETIME)).is_some());
    assert!(place.recognise(&token, before_idle.plus(IDLE_LIFETIME)).is_none());
    for day in 1..30 {
        place.recognise(&token, START.plus(Duration::from_secs(86_400 * day)));
    }
    assert!(place.recognise(&token, START.plus(ABSOLUTE_LIFETIME)).is_none());
}

fn a_session_says_what_it_was_begun_with_and_from_where_it_is_used(database: Database) {
    let place = place(database);
    let from = |client: &str, secs| {
        let now = START.plus(Duration::from_secs(secs));
        Occasion { client: Some(client.parse().unwrap()), ..at(now) }
    };
    let browser = Browser::of("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
    let occasion = from("::ffff:192.0.2.1", 0);
    let begun = sessions::sign_in(&place.workspace, &occasion, "ann@example.com", PASSWORD, browser)
        .unwrap()
        .unwrap();
    let listed = || {
        let ann = place.recognise(&begun.token.digest(), START).unwrap();
        let all = sessions::list(&place.workspace, &ann, &at(START)).unwrap();
        let all = all.into_iter().map(|session| (session.browser, session.began_ip, session.last_seen_ip));
        all.collect::<Vec<_>>()
    };
    let is = |seen: &str| vec![("Firefox on Linux".to_owned(), "192.0.2.1".to_owned(), seen.to_owned())];
    assert_eq!(listed(), is("192.0.2.1"));
    for (client, secs, seen) in
        [("192.0.2.2", 59, "192.0.2.1"), ("2001:db8::2", 60, "2001:db8::2"), ("192.0.2.3", 61, "2001:db8::2")]
    {
        let recognised =
            sessions::recognise(&place.workspace, &from(client, secs), &begun.token.digest()).unwrap();
        assert!(recognised.is_some());
        assert_eq!(listed(), is(seen), "{secs}");
    }
}

fn an_ended_session_is_over_at_once_and_others_go_on(database: Database) {
    let place = place(database);
    let (first, second) = (
        place.sign_in("ann@example.com", PASSWORD).unwrap(),
        place.sign_in("ann@example.com", PASSWORD).unwrap(),
    );
    let ann = place.recognise(&first.token.digest(), START).unwrap();
    assert_eq!(sessions::list(&place.workspace, &ann, &at(START)).unwrap().len(), 2);
    sessions::end(&place.workspace, &ann, &at(START), first.session.id).unwrap();
    assert!(place.recognise(&first.token.digest(), START).is_none());
    assert!(place.recognise(&second.token.digest(), START).is_some());
    let again = sessions::end(&place.workspace, &ann, &at(START), first.session.id);
    assert!(matches!(again, Err(Error::NotFound)));
}

fn of_two_requests_with_outdated_rights_one_draws_the_other_token(database: Database) {
    let h = harmony(database);
    let bob = h.user("bob@example.com", h.role("lead", &["teams:read:team"]));
    let begun = sessions::sign_in(&h.workspace, &now(), "bob@example.com", PASSWORD, Browser::default())
        .unwrap()
        .unwrap();
    let recognise = |token: &TokenDigest| sessions::recognise(&h.workspace, &now(), token).unwrap();
    assert!(!recognise(&begun.token.digest()).unwrap().outdated);
    let change = UserChange { role: Some(h.built_in("User")), ..UserChange::default() };
    value(users::change(&h.workspace, &h.admin, &now(), bob, &change, None).unwrap());
    let [one, other] = [(); 2].map(|()| recognise(&begun.token.digest()).unwrap());
    assert!(one.outdated && other.outdated);
    let token = sessions::renew(&h.workspace, &one).unwrap().unwrap();
    assert!(sessions::renew(&h.workspace, &other).unwrap().is_none());
    assert!(recognise(&begun.token.digest()).is_none());
    assert!(!recognise(&token.digest()).unwrap().outdated);
}

fn another_password_ends_all_other_sessions_and_is_asked_for_the_first(database: Database) {
    let h = harmony(database);
    h.user("bob@example.com", h.built_in("User"));
    let sign_in = |secret| {
        sessions::sign_in(&h.workspace, &now(), "bob@example.com", secret, Browser::default()).unwrap()
    };
    let [kept, other] = [(); 2].map(|()| sign_in(PASSWORD).unwrap());
    let recognise = |token: &TokenDigest| sessions::recognise(&h.workspace, &now(), token).unwrap();
    let bob = recognise(&kept.token.digest()).unwrap().principal;
    let change = |current, new| sessions::change_password(&h.workspace, &bob, &now(), current, new);
    assert_eq!(invalid(change("not the password", "another long one")), ("current", "wrong"));
    assert_eq!(invalid(change(PASSWORD, "short")), ("new", "length"));
    assert!(recognise(&other.token.digest()).is_some());
    let token = change(PASSWORD, "another long one").unwrap();
    assert!(recognise(&other.token.digest()).is_none() && recognise(&kept.token.digest()).is_none());
    assert!(recognise(&token.digest()).is_some());
    assert!(sign_in(PASSWORD).is_none() && sign_in("another long one").is_some());
}
