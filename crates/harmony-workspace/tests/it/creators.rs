//! Who made a key, whomever it acts for.

use std::{sync::Arc, time::Duration};

use harmony_access::{ApiKeyId, Principal, UserId};
use harmony_key::{ApiKey as KeyText, PresentedKey};
use harmony_store::{Page, StoreError, api_keys::record, audit::Filter, key_table::KeyQuery};
use harmony_workspace::{
    Browser,
    api_keys::{self, ApiKeyChange, NewApiKey},
    audit, key_table, sessions,
    users::{self, KeysFate},
};

use crate::{
    backend::{Database, on_both},
    house::*,
};

on_both!(
    a_key_is_its_makers_whomever_it_acts_for,
    a_rotated_key_is_made_by_whoever_rotates_it,
    a_key_outlives_its_maker_and_says_that_they_are_gone,
    the_audit_log_names_the_person_or_says_that_it_was_the_operator,
);

/// Somebody who has signed in.
fn signed_in(h: &Harmony, email: &str) -> Principal {
    let begun = sessions::sign_in(&h.workspace, &now(), email, PASSWORD, Browser::default()).unwrap();
    let token = begun.unwrap().token.digest();
    sessions::recognise(&h.workspace, &now(), &token).unwrap().unwrap().principal
}

fn create(h: &Harmony, actor: &Principal, owner: UserId) -> api_keys::IssuedApiKey {
    made(api_keys::create(&h.workspace, actor, &now(), &new_key(owner, None), None).unwrap())
}

/// A request with this key.
fn with_key(h: &Harmony, issued: &api_keys::IssuedApiKey) -> Principal {
    let record = h.workspace.store().read::<_, StoreError>(|tx| record(tx, &issued.key.digest)).unwrap();
    Principal::of_key(Arc::new(record.unwrap()), now().now).unwrap()
}

/// Who made a key and what they are called: alike in the list of the API, in the table and in the detail of people.
#[track_caller]
fn creator(h: &Harmony, id: ApiKeyId) -> (Option<UserId>, Option<String>) {
    let (key, _) = api_keys::find(&h.workspace, &h.admin, id).unwrap();
    let detail = key_table::find(&h.workspace, &h.admin, id).unwrap().row;
    let wanted = KeyQuery { limit: 50, ..KeyQuery::default() };
    let page = key_table::page(&h.workspace, &h.admin, &now(), &wanted).unwrap();
    let row = page.rows.into_iter().find(|row| row.key.id == id).unwrap();
    assert_eq!((row.key.created_by, &row.creator), (key.created_by, &detail.creator));
    assert_eq!(row.owner, detail.owner);
    (key.created_by, row.creator)
}

fn a_key_is_its_makers_whomever_it_acts_for(database: Database) {
    let h = harmony(database);
    let bob = h.user("bob@example.com", h.built_in("Admin"));
    let ann = signed_in(&h, "ann@example.com");
    let (by_ann, by_somebody) = ((Some(h.ann), Some("Ann".to_owned())), (Some(bob), Some("Somebody".into())));
    let bobs = create(&h, &ann, bob);
    assert_eq!((bobs.key.owner, creator(&h, bobs.key.id)), (bob, by_ann));

    // A key acts for its owner, and so makes in their name.
    let made_by_key = {
        let wide = new_key(bob, Some(h.built_in("Admin")));
        let wide = made(api_keys::create(&h.workspace, &ann, &now(), &wide, None).unwrap());
        create(&h, &with_key(&h, &wide), h.ann).key
    };
    assert_eq!((made_by_key.owner, creator(&h, made_by_key.id)), (h.ann, by_somebody.clone()));

    // At the command line there is nobody.
    assert_eq!(creator(&h, h.key(h.ann)), (None, None));

    let elsewhere = KeyText::from_secret([7; 28]);
    let presented = PresentedKey::parse(elsewhere.reveal().as_bytes()).unwrap();
    let bob_himself = signed_in(&h, "bob@example.com");
    let imported =
        api_keys::import(&h.workspace, &bob_himself, &now(), &new_key(h.ann, None), presented).unwrap();
    assert_eq!(creator(&h, imported.value.id), by_somebody);
}

fn a_rotated_key_is_made_by_whoever_rotates_it(database: Database) {
    let h = harmony(database);
    let bob = h.user("bob@example.com", h.built_in("Admin"));
    let (ann, bob_himself) = (signed_in(&h, "ann@example.com"), signed_in(&h, "bob@example.com"));
    let (by_ann, by_bob) = ((Some(h.ann), Some("Ann".into())), (Some(bob), Some("Somebody".to_owned())));
    let old = create(&h, &ann, h.ann).key;
    let grace = Duration::from_secs(60);
    let rotated = api_keys::rotate(&h.workspace, &bob_himself, &now(), old.id, grace, None).unwrap();
    let new = made(rotated.value).key;
    assert_eq!((new.owner, creator(&h, new.id)), (h.ann, by_bob.clone()));
    assert_eq!(creator(&h, old.id), by_ann);
    // Neither who changes it nor whom it acts for is who made it.
    let change = ApiKeyChange { name: Some("another".to_owned()), ..ApiKeyChange::default() };
    let (changed, _) = value(api_keys::change(&h.workspace, &ann, &now(), new.id, &change, None).unwrap());
    assert_eq!((changed.0.created_by, creator(&h, new.id)), (Some(bob), by_bob));
    let by_operator = api_keys::rotate(&h.workspace, &h.admin, &now(), new.id, Duration::ZERO, None).unwrap();
    assert_eq!(creator(&h, made(by_operator.value).key.id), (None, None));
}

fn a_key_outlives_its_maker_and_says_that_they_are_gone(database: Database) {
    let h = harmony(database);
    let bob = h.user("bob@example.com", h.built_in("Admin"));
    let bob_himself = signed_in(&h, "bob@example.com");
    let (anns, bobs) = (create(&h, &bob_himself, h.ann).key.id, create(&h, &bob_himself, bob).key.id);
    let fate = KeysFate::Transfer(h.ann);
    assert!(value(users::delete(&h.workspace, &h.admin, &now(), bob, fate, None).unwrap()).1);
    for key in [anns, bobs] {
        assert_eq!(creator(&h, key), (Some(bob), None));
        assert_eq!(api_keys::find(&h.workspace, &h.admin, key).unwrap().0.owner, h.ann);
    }
}

fn the_audit_log_names_the_person_or_says_that_it_was_the_operator(database: Database) {
    let h = harmony(database);
    let wide = NewApiKey { role: Some(h.built_in("Admin")), ..new_key(h.ann, None) };
    let ann = signed_in(&h, "ann@example.com");
    let wide = made(api_keys::create(&h.workspace, &ann, &now(), &wide, None).unwrap());
    let with_it = with_key(&h, &wide);
    let page = Page { after: None, limit: 50 };
    let noted = |key: ApiKeyId| {
        let about = Filter { subject: Some(key.to_string()), ..Filter::default() };
        let events = audit::list(&h.workspace, &h.admin, &about, &page).unwrap();
        let actors = events.into_iter().map(|event| (event.actor_user_id, event.actor_key_id));
        actors.collect::<Vec<_>>()
    };
    let anns = Some(h.ann.to_string());
    assert_eq!(noted(wide.key.id), [(anns.clone(), None)]);
    assert_eq!(noted(create(&h, &with_it, h.ann).key.id), [(anns, Some(wide.key.id.to_string()))]);
    // The operator acts for Ann, and is not Ann.
    assert_eq!(noted(create(&h, &h.admin, h.ann).key.id), [(None, None)]);
}
