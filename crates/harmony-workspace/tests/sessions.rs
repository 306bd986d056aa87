//! Sessions: who signs in, for how long, and who does not.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use harmony_access::{Principal, Timestamp, WorkspaceId};
use harmony_key::TokenDigest;
use harmony_store::{DatabaseUrl, Store};
use harmony_workspace::{
    Error, Occasion, Workspace,
    sessions::{self, ABSOLUTE_LIFETIME, IDLE_LIFETIME, SignedIn},
    setup::{self, NewWorkspace},
};

const PASSWORD: &str = "correct horse battery";
const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

struct Place {
    _folder: tempfile::TempDir,
    workspace: Workspace,
    id: WorkspaceId,
}

fn at(now: Timestamp) -> Occasion {
    Occasion { now, client: None, request_id: None }
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::sqlite(folder.path().join("h.sqlite"));
    let workspace = Workspace::new(Store::open(&url, &Default::default()).unwrap());
    let new =
        NewWorkspace { name: "W", user_name: "Ann", email: "ann@example.com", password: Some(PASSWORD) };
    let (id, _) = setup::create(&workspace, &at(START), &new).unwrap();
    Place { _folder: folder, workspace, id }
}

impl Place {
    fn sign_in(&self, email: &str, password: &str) -> Option<SignedIn> {
        sessions::sign_in(&self.workspace, &at(START), self.id, email, password).unwrap()
    }

    fn recognise(&self, token: &TokenDigest, now: Timestamp) -> Option<Principal> {
        sessions::recognise(&self.workspace, &at(now), token).unwrap()
    }
}

#[test]
fn only_the_right_address_and_password_sign_in() {
    let place = place();
    assert!(place.sign_in(" Ann@example.com", PASSWORD).is_some());
    assert!(place.sign_in("ann@example.com", "correct horse batterz").is_none());
    assert!(place.sign_in("ann@example.com", "").is_none());
    assert!(place.sign_in("bob@example.com", PASSWORD).is_none());
}

#[test]
fn a_token_is_recognised_until_its_session_is_idle_too_long_or_over() {
    let place = place();
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

#[test]
fn an_ended_session_is_over_at_once_and_others_go_on() {
    let place = place();
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
