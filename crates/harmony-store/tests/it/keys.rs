//! API keys.

use harmony_key::ApiKey as KeyText;
use harmony_store::{
    StoreError,
    api_keys::{self, ApiKey, Filter, LastUse},
    roles, workspaces,
};

use crate::{
    backend::{Database, on_both},
    house::*,
};

on_both!(
    a_key_reads_back_as_it_was_written_with_and_without_its_optional_columns,
    a_digest_is_taken_once_and_owner_and_role_must_exist,
    a_key_is_changed_only_from_the_version_that_was_seen,
    a_reach_shows_its_keys_and_no_others,
    a_list_is_narrowed_by_owner_role_and_name_in_any_case,
    a_record_says_what_the_key_permits_now,
    only_a_later_use_of_a_key_that_is_there_is_noted,
);

fn full_key() -> ApiKey {
    ApiKey {
        role: Some(id(HERE)),
        foreign_text: true,
        display_rate_limit: Some("\"100 a minute\"".to_owned()),
        expires_at: Some(at(99)),
        rotated_to: Some(id(77)),
        // Nobody of this id is there any more.
        created_by: Some(id(99)),
        ..key(22, HERE, ANN)
    }
}

fn a_key_reads_back_as_it_was_written_with_and_without_its_optional_columns(db: &Database) {
    furnish(&db.store);
    let (bare, full) = (key(21, HERE, ANN), full_key());
    assert!(!read(&db.store, api_keys::any_foreign));
    write(&db.store, |tx| api_keys::insert(tx, &bare).and_then(|()| api_keys::insert(tx, &full)));
    read(&db.store, |tx| {
        let all = reach(HERE, ANN, "all");
        assert_eq!(api_keys::find(tx, &all, bare.id)?, Some((bare.clone(), None)));
        assert_eq!(api_keys::by_id(tx, id(HERE), full.id)?, Some(full.clone()));
        assert_eq!(api_keys::by_id(tx, id(ELSEWHERE), full.id)?, None);
        assert_eq!(api_keys::of_owner(tx, id(BOB))?, []);
        assert_eq!(api_keys::of_owner(tx, id(ANN))?.len(), 2);
        assert!(api_keys::any_foreign(tx)?);
        Ok(())
    });
    assert!(write(&db.store, |tx| api_keys::delete(tx, full.id)));
    assert!(!write(&db.store, |tx| api_keys::delete(tx, full.id)));
    assert_eq!(read(&db.store, |tx| api_keys::of_owner(tx, id(ANN))), [bare]);
}

fn a_digest_is_taken_once_and_owner_and_role_must_exist(db: &Database) {
    furnish(&db.store);
    let first = key(21, HERE, ANN);
    write(&db.store, |tx| api_keys::insert(tx, &first));
    let insert = |key: ApiKey| db.store.write(|tx| api_keys::insert(tx, &key));
    assert!(matches!(insert(ApiKey { id: id(22), ..first.clone() }), Err(StoreError::Taken(_))));
    assert!(matches!(insert(key(23, HERE, 99)), Err(StoreError::Referenced(_))));
    let without_role = ApiKey { role: Some(id(98)), ..key(24, HERE, ANN) };
    assert!(matches!(insert(without_role), Err(StoreError::Referenced(_))));
    let to_nobody = ApiKey { owner: id(99), ..first };
    assert!(matches!(db.store.write(|tx| api_keys::update(tx, &to_nobody)), Err(StoreError::Referenced(_))));
    assert_eq!(read(&db.store, |tx| api_keys::of_owner(tx, id(ANN))).len(), 1);
}

fn a_key_is_changed_only_from_the_version_that_was_seen(db: &Database) {
    furnish(&db.store);
    let seen = ApiKey { role: None, ..full_key() };
    write(&db.store, |tx| api_keys::insert(tx, &seen));
    let wanted = ApiKey {
        owner: id(BOB),
        name: "renamed".to_owned(),
        display_rate_limit: None,
        expires_at: None,
        rotated_to: None,
        ..seen.clone()
    };
    assert!(write(&db.store, |tx| api_keys::update(tx, &wanted)));
    assert!(!write(&db.store, |tx| api_keys::update(tx, &seen)));
    let now = ApiKey { version: seen.version.next(), ..wanted };
    assert_eq!(read(&db.store, |tx| api_keys::by_id(tx, id(HERE), seen.id)), Some(now));
}

fn a_reach_shows_its_keys_and_no_others(db: &Database) {
    furnish(&db.store);
    let keys = [(21, HERE, ANN), (22, HERE, BOB), (23, HERE, CYD), (24, ELSEWHERE, DAN)];
    write(&db.store, |tx| {
        keys.iter().try_for_each(|&(n, ws, owner)| api_keys::insert(tx, &key(n, ws, owner)))
    });
    for (here, user, scope, expected) in [
        (HERE, ANN, "own", vec![21]),
        (HERE, ANN, "team", vec![22, 21]),
        (HERE, CYD, "team", vec![23]),
        (HERE, ANN, "all", vec![23, 22, 21]),
        (ELSEWHERE, DAN, "team", vec![24]),
        (ELSEWHERE, DAN, "all", vec![24]),
    ] {
        let reach = reach(here, user, scope);
        read(&db.store, |tx| {
            let listed = api_keys::list(tx, &reach, &Filter::default(), &page(None, 50))?;
            assert_eq!(numbers(listed.into_iter().map(|(key, _)| key.id)), expected, "{user} {scope}");
            for (number, ..) in keys {
                let found = api_keys::find(tx, &reach, id(number))?.is_some();
                assert_eq!(found, expected.contains(&number), "{user} {scope} {number}");
            }
            Ok(())
        });
    }
}

fn a_list_is_narrowed_by_owner_role_and_name_in_any_case(db: &Database) {
    furnish(&db.store);
    let named = |number, owner, name: &str| ApiKey { name: name.to_owned(), ..key(number, HERE, owner) };
    let with_role = ApiKey { role: Some(id(HERE)), ..named(23, BOB, "50% off_\\") };
    write(&db.store, |tx| {
        api_keys::insert(tx, &named(21, ANN, "Nightly Import"))?;
        api_keys::insert(tx, &named(22, BOB, "import 500 off"))?;
        api_keys::insert(tx, &with_role)
    });
    let name = |text: &str| Filter { name: Some(text.to_owned()), ..Filter::default() };
    for (filter, expected) in [
        (name("IMPORT"), vec![22, 21]),
        (name("nightly i"), vec![21]),
        (name("50%"), vec![23]),
        (name("f_\\"), vec![23]),
        (name("f_o"), vec![]),
        (Filter { owner: Some(id(BOB)), ..Filter::default() }, vec![23, 22]),
        (Filter { role: Some(id(HERE)), ..Filter::default() }, vec![23]),
        (Filter { owner: Some(id(ANN)), ..name("off") }, vec![]),
    ] {
        let all = reach(HERE, ANN, "all");
        let listed = read(&db.store, |tx| api_keys::list(tx, &all, &filter, &page(None, 50)));
        assert_eq!(numbers(listed.into_iter().map(|(key, _)| key.id)), expected, "{filter:?}");
    }
}

fn a_record_says_what_the_key_permits_now(db: &Database) {
    furnish(&db.store);
    let (without, with) = (key(21, HERE, ANN), full_key());
    write(&db.store, |tx| api_keys::insert(tx, &without).and_then(|()| api_keys::insert(tx, &with)));
    let permits = |key: &ApiKey| read(&db.store, |tx| api_keys::record(tx, &key.digest)).unwrap().permissions;
    assert_eq!(
        (permits(&without), permits(&with)),
        (workspace(HERE).default_permissions, role(HERE, HERE).custom)
    );
    write(&db.store, |tx| {
        workspaces::update(tx, &workspaces::Workspace { default_permissions: set(&[]), ..workspace(HERE) })?;
        roles::update(tx, &roles::Role { custom: set(&["roles:read:all"]), ..role(HERE, HERE) })
    });
    assert_eq!((permits(&without), permits(&with)), (set(&[]), set(&["roles:read:all"])));
    let record = read(&db.store, |tx| api_keys::record(tx, &with.digest)).unwrap();
    assert_eq!((record.id, record.owner, record.expires_at), (with.id, with.owner, with.expires_at));
    let unknown = KeyText::from_secret([99; 28]).digest();
    assert!(read(&db.store, |tx| api_keys::record(tx, &unknown)).is_none());
}

fn only_a_later_use_of_a_key_that_is_there_is_noted(db: &Database) {
    furnish(&db.store);
    write(&db.store, |tx| api_keys::insert(tx, &key(21, HERE, ANN)));
    let used = |number, millis, ip: &str| (id(number), LastUse { at: at(millis), ip: ip.to_owned() });
    let last = || read(&db.store, |tx| api_keys::find(tx, &reach(HERE, ANN, "own"), id(21))).unwrap().1;
    write(&db.store, |tx| {
        api_keys::note_uses(tx, &[used(99, 5, "::9"), used(21, 5, "::1"), used(21, 7, "::2")])
    });
    assert_eq!(last(), Some(used(21, 7, "::2").1));
    write(&db.store, |tx| api_keys::note_uses(tx, &[used(21, 6, "::3")]));
    assert_eq!(last(), Some(used(21, 7, "::2").1));
    assert!(write(&db.store, |tx| api_keys::delete(tx, id(21))));
}
