//! The list of keys that people browse.

use harmony_access::{ApiKeyId, Timestamp};
use harmony_permission::Scope;
use harmony_store::{
    StoreError,
    api_keys::{self, ApiKey, LastUse},
    key_table::{self, Cursor, EXPIRING_MS, IDLE_MS, KeyPage, KeyQuery, KeyRole, KeyState, SortBy, Total},
};

use crate::{
    backend::{Database, on_both},
    house::*,
};

on_both!(
    a_list_is_walked_in_every_order_in_both_directions,
    pages_hold_while_rows_come_and_go,
    a_list_is_narrowed_and_counted,
    a_name_is_found_by_any_part_of_it,
    a_name_is_found_while_it_is_there,
    a_row_says_the_names_of_its_owner_role_and_creator,
    a_team_sees_the_keys_of_the_team_and_no_others,
    many_keys_are_walked_along_an_index_to_the_same_effect,
);

/// Far from 0, which stands for never.
const NOW: i64 = 100 * 86_400_000 * 2;

fn sorted_by(sort: SortBy, ascending: bool, cursor: Option<Cursor>, limit: u32) -> KeyQuery {
    KeyQuery { sort, ascending, cursor, limit, ..KeyQuery::default() }
}

fn browse(db: &Database, wanted: &KeyQuery) -> KeyPage {
    read(&db.store, |tx| key_table::page(tx, &reach(HERE, ANN, "all"), wanted, at(NOW)))
}

fn found(page: &KeyPage) -> Vec<u8> {
    numbers(page.rows.iter().map(|row| row.key.id))
}

fn first(db: &Database, wanted: &KeyQuery) -> (Vec<u8>, Total) {
    let page = browse(db, &KeyQuery { ascending: true, limit: 50, ..wanted.clone() });
    (found(&page), page.total)
}

/// Five keys here, each with another name, use and expiration than its neighbours, and one elsewhere.
fn fill(db: &Database) {
    furnish(&db.store);
    let named = |n, owner, name: &str, expires_at| ApiKey {
        name: name.to_owned(),
        expires_at,
        ..key(n, HERE, owner)
    };
    let all = [
        ApiKey { role: Some(id(HERE)), ..named(21, ANN, "beta 100%", None) },
        named(22, BOB, "Alpha", Some(at(NOW))),
        ApiKey { created_by: Some(id(99)), ..named(23, CYD, "alpha", Some(at(NOW + 1))) },
        ApiKey {
            role: Some(id(HERE)),
            created_by: Some(id(BOB)),
            ..named(24, ANN, "delta", Some(at(NOW + EXPIRING_MS + 1)))
        },
        named(25, BOB, "gamma_1", None),
        key(26, ELSEWHERE, DAN),
    ];
    write(&db.store, |tx| {
        all.iter().try_for_each(|key| api_keys::insert(tx, key))?;
        let used = |n, millis| (id(n), LastUse { at: at(millis), ip: "::1".to_owned() });
        api_keys::note_uses(tx, &[used(21, NOW - IDLE_MS - 1), used(23, NOW - 5), used(24, NOW - 5)])
    });
}

/// All pages of one key each, forwards, and back again from the last.
fn walk(db: &Database, sort: SortBy, ascending: bool) -> Vec<u8> {
    let (mut walked, mut cursor) = (Vec::new(), None);
    let last = loop {
        let page = browse(db, &sorted_by(sort, ascending, cursor, 2));
        assert_eq!(page.before.is_some(), !walked.is_empty(), "{sort:?}");
        walked.extend(found(&page));
        cursor = page.after.clone();
        if cursor.is_none() {
            break page;
        }
        // What the address carries is the text.
        cursor = cursor.map(|cursor| Cursor::parse(&cursor.to_string(), sort).unwrap());
    };
    let (mut back, mut cursor) = (found(&last), last.before);
    while let Some(before) = cursor {
        let page = browse(db, &sorted_by(sort, ascending, Some(before), 2));
        assert!(page.after.is_some(), "{sort:?}");
        back.splice(0..0, found(&page));
        cursor = page.before;
    }
    assert_eq!(back, walked, "{sort:?}");
    walked
}

fn a_list_is_walked_in_every_order_in_both_directions(db: &Database) {
    fill(db);
    for (sort, expected) in [
        (SortBy::Created, [21, 22, 23, 24, 25]),
        (SortBy::Name, [22, 23, 21, 24, 25]),
        (SortBy::LastUsed, [22, 25, 21, 23, 24]),
        (SortBy::Expiration, [22, 23, 24, 21, 25]),
    ] {
        assert_eq!(walk(db, sort, true), expected, "{sort:?}");
        let reversed: Vec<u8> = expected.into_iter().rev().collect();
        assert_eq!(walk(db, sort, false), reversed, "{sort:?}");
    }
}

fn pages_hold_while_rows_come_and_go(db: &Database) {
    fill(db);
    let page = browse(db, &sorted_by(SortBy::Name, true, None, 2));
    assert_eq!(found(&page), [22, 23]);
    // The row at the page's end goes, one comes before it and one after it.
    write(&db.store, |tx| {
        assert!(api_keys::delete(tx, id(23))?);
        api_keys::insert(tx, &ApiKey { name: "aaa".to_owned(), ..key(31, HERE, ANN) })?;
        api_keys::insert(tx, &ApiKey { name: "alphabet".to_owned(), ..key(32, HERE, ANN) })
    });
    let next = browse(db, &sorted_by(SortBy::Name, true, page.after, 2));
    assert_eq!(found(&next), [32, 21]);
    let back = browse(db, &sorted_by(SortBy::Name, true, next.before, 2));
    assert_eq!((found(&back), back.before.is_some()), (vec![31, 22], false));
    // A cursor of another order finds nothing rather than anything.
    let wrong = browse(db, &sorted_by(SortBy::LastUsed, false, next.after, 2));
    assert_eq!(found(&wrong), [0; 0]);
}

fn a_list_is_narrowed_and_counted(db: &Database) {
    fill(db);
    let any = KeyQuery::default;
    let text = |text: &str| KeyQuery { text: Some(text.to_owned()), ..any() };
    let state = |state| KeyQuery { state: Some(state), ..any() };
    let last_four = key(24, HERE, ANN).last_four.to_string();
    for (wanted, expected) in [
        (any(), vec![21, 22, 23, 24, 25]),
        (text(""), vec![21, 22, 23, 24, 25]),
        (text("ALPHA"), vec![22, 23]),
        (text("0%"), vec![21]),
        (text("a_"), vec![25]),
        (text("omega"), vec![]),
        (text(&last_four), vec![24]),
        (text(&format!("lk_…{}", last_four.to_uppercase())), vec![24]),
        (KeyQuery { owner: Some(id(BOB)), ..any() }, vec![22, 25]),
        (KeyQuery { owner: Some(id(DAN)), ..any() }, vec![]),
        (KeyQuery { role: Some(KeyRole::Is(id(HERE))), ..any() }, vec![21, 24]),
        (KeyQuery { role: Some(KeyRole::Is(id(ELSEWHERE))), ..any() }, vec![]),
        (KeyQuery { role: Some(KeyRole::Default), ..any() }, vec![22, 23, 25]),
        (state(KeyState::Active), vec![21, 23, 24, 25]),
        (state(KeyState::Expiring), vec![23]),
        (state(KeyState::Expired), vec![22]),
        (state(KeyState::Unused), vec![22, 25]),
        (state(KeyState::Idle), vec![21, 22, 25]),
        (KeyQuery { owner: Some(id(BOB)), text: Some("alpha".to_owned()), ..any() }, vec![22]),
        (KeyQuery { owner: Some(id(BOB)), state: Some(KeyState::Active), ..any() }, vec![25]),
        (KeyQuery { owner: Some(id(ANN)), role: Some(KeyRole::Default), ..any() }, vec![]),
    ] {
        let total = Total::Exactly(expected.len());
        assert_eq!(first(db, &wanted), (expected, total), "{wanted:?}");
    }
}

fn containing(db: &Database, text: &str) -> Vec<u8> {
    let (found, total) = first(db, &KeyQuery { text: Some(text.to_owned()), ..KeyQuery::default() });
    assert_eq!(total, Total::Exactly(found.len()), "{text:?}");
    found
}

fn a_name_is_found_by_any_part_of_it(db: &Database) {
    furnish(&db.store);
    let name = "a\"b'c AND *%_\\ ß支払い-9";
    write(&db.store, |tx| {
        api_keys::insert(tx, &ApiKey { name: name.to_owned(), ..key(21, HERE, ANN) })?;
        api_keys::insert(tx, &ApiKey { name: name.to_owned(), ..key(22, ELSEWHERE, DAN) })?;
        api_keys::insert(tx, &ApiKey { name: "q".to_owned(), ..key(23, HERE, ANN) })?;
        api_keys::insert(tx, &ApiKey { name: "\u{FFFD} \u{10FFFF}".to_owned(), ..key(24, HERE, ANN) })
    });
    let letters: Vec<(usize, char)> = name.char_indices().collect();
    for (at, &(from, _)) in letters.iter().enumerate() {
        for &(last, letter) in &letters[at..] {
            let text = &name[from..last + letter.len_utf8()];
            // The first of them is in the name of another, too.
            assert_eq!(containing(db, text), if text == " " { vec![21, 24] } else { vec![21] }, "{text:?}");
            assert_eq!(containing(db, &format!("{text}~")), [0; 0], "{text:?}");
        }
    }
    for (text, expected) in [
        ("Q", vec![23]),
        ("q ", vec![]),
        ("q  ", vec![]),
        ("\u{FFFD}", vec![24]),
        ("\u{10FFFF}", vec![24]),
        (&name.repeat(12), vec![]),
    ] {
        assert_eq!(containing(db, text), expected, "{text:?}");
    }
}

fn a_name_is_found_while_it_is_there(db: &Database) {
    furnish(&db.store);
    let named = |number, name: &str| ApiKey { name: name.to_owned(), ..key(number, HERE, ANN) };
    let found = |texts: [&str; 4]| texts.map(|text| containing(db, text));
    write(&db.store, |tx| {
        [named(21, "first"), named(22, "second")].iter().try_for_each(|key| api_keys::insert(tx, key))
    });
    assert_eq!(found(["f", "st", "ond", "third"]), [vec![21], vec![21], vec![22], vec![]]);
    // A new name in place of the old one.
    write(&db.store, |tx| api_keys::update(tx, &named(21, "third")));
    assert_eq!(found(["f", "st", "ond", "third"]), [vec![], vec![], vec![22], vec![21]]);
    // What is deleted is not found, nor is what comes in its place taken for it.
    write(&db.store, |tx| {
        assert!(api_keys::delete(tx, id(22))?);
        api_keys::insert(tx, &named(23, "fresh"))
    });
    assert_eq!(found(["f", "d", "ond", "fresh"]), [vec![23], vec![21], vec![], vec![23]]);
    let undone = db.store.write::<(), _>(|tx| {
        api_keys::insert(tx, &named(24, "never"))?;
        Err(StoreError::Full)
    });
    assert!(undone.is_err());
    assert_eq!(found(["v", "ev", "never", "fresh"]), [vec![], vec![], vec![], vec![23]]);
}

fn a_row_says_the_names_of_its_owner_role_and_creator(db: &Database) {
    fill(db);
    let page = browse(db, &sorted_by(SortBy::LastUsed, false, None, 3));
    let said = |row: &key_table::KeyRow| {
        let used = row.last_use.as_ref().map(|last| (last.at.as_millis(), last.ip.clone()));
        let created_by = row.key.created_by.map(|user| user.number());
        (row.key.id.number(), row.owner.clone(), row.role.clone(), created_by, row.creator.clone(), used)
    };
    let used = |millis| Some((millis, "::1".to_owned()));
    let role = || Some("role 1".to_owned());
    let expected = [
        (24, "user 11".to_owned(), role(), Some(BOB), Some("user 12".to_owned()), used(NOW - 5)),
        // Who made this one is not there any more, and of the last one nobody noted it.
        (23, "user 13".to_owned(), None, Some(99), None, used(NOW - 5)),
        (21, "user 11".to_owned(), role(), None, None, used(NOW - IDLE_MS - 1)),
    ];
    assert_eq!(page.rows.iter().map(said).collect::<Vec<_>>(), expected);
}

fn a_team_sees_the_keys_of_the_team_and_no_others(db: &Database) {
    fill(db);
    let seen = |user, scope: Scope, wanted: &KeyQuery| {
        let reach = reach(HERE, user, &scope.to_string());
        let wanted = KeyQuery { sort: SortBy::Name, ascending: true, limit: 50, ..wanted.clone() };
        let page = read(&db.store, |tx| key_table::page(tx, &reach, &wanted, at(NOW)));
        (found(&page), page.total)
    };
    let any = KeyQuery::default();
    assert_eq!(seen(ANN, Scope::Team, &any), (vec![22, 21, 24, 25], Total::Exactly(4)));
    assert_eq!(seen(CYD, Scope::Team, &any), (vec![23], Total::Exactly(1)));
    assert_eq!(seen(ANN, Scope::Own, &any), (vec![21, 24], Total::Exactly(2)));
    let cyds = KeyQuery { owner: Some(id(CYD)), ..any };
    assert_eq!(seen(ANN, Scope::Team, &cyds), (vec![], Total::Exactly(0)));
}

/// More than are gathered and more than are counted, so that each order is a walk.
const MANY: i64 = 10_300;

fn one_of_many(n: i64) -> ApiKey {
    let mut secret = [0; 28];
    secret[..8].copy_from_slice(&n.to_be_bytes());
    let text = harmony_key::ApiKey::from_secret(secret);
    ApiKey {
        id: harmony_access::Id::new(at(2_000_000 + n), [0; 10]),
        role: (n % 2 == 0).then_some(id(HERE)),
        name: format!("key {:05}", (n * 7_919) % MANY),
        digest: text.digest(),
        last_four: text.last_four(),
        expires_at: (n % 3 == 0).then_some(at(NOW + 1 + n)),
        ..key(1, HERE, ANN)
    }
}

/// Half of them were used, the later ones longer ago.
fn last_used(n: i64) -> i64 {
    if n < MANY / 2 { NOW - n } else { 0 }
}

fn sorted(sort: SortBy, with_role: bool) -> Vec<ApiKeyId> {
    let mut keys: Vec<(i64, ApiKey)> = (0..MANY).map(|n| (n, one_of_many(n))).collect();
    keys.retain(|(_, key)| !with_role || key.role.is_some());
    keys.sort_by_key(|(n, key)| match sort {
        SortBy::Created => (0, String::new(), key.id),
        SortBy::Name => (0, key.name.clone(), key.id),
        SortBy::LastUsed => (last_used(*n), String::new(), key.id),
        SortBy::Expiration => (key.expires_at.map_or(i64::MAX, Timestamp::as_millis), String::new(), key.id),
    });
    keys.into_iter().map(|(_, key)| key.id).collect()
}

fn many_keys_are_walked_along_an_index_to_the_same_effect(db: &Database) {
    furnish(&db.store);
    write(&db.store, |tx| {
        for n in 0..MANY {
            api_keys::insert(tx, &one_of_many(n))?;
        }
        let used = |n: i64| (one_of_many(n).id, LastUse { at: at(last_used(n)), ip: "::1".to_owned() });
        api_keys::note_uses(tx, &(0..MANY / 2).map(used).collect::<Vec<_>>())
    });
    let role = KeyQuery { role: Some(KeyRole::Is(id(HERE))), ..Default::default() };
    let active = KeyQuery { state: Some(KeyState::Active), ..role.clone() };
    let named = KeyQuery { text: Some("KEY".to_owned()), owner: Some(id(ANN)), ..role.clone() };
    let ids = |page: &KeyPage| page.rows.iter().map(|row| row.key.id).collect::<Vec<_>>();
    for (wanted, total) in [
        (&role, Total::Exactly(5_150)),
        (&active, Total::MoreThan(2)),
        (&named, Total::MoreThan(2)),
        (&KeyQuery::default(), Total::MoreThan(10_000)),
    ] {
        for sort in [SortBy::Created, SortBy::Name, SortBy::LastUsed, SortBy::Expiration] {
            let expected = sorted(sort, wanted.role.is_some());
            let query =
                |ascending, cursor, limit| KeyQuery { sort, ascending, cursor, limit, ..wanted.clone() };
            let page = browse(db, &query(true, None, 2));
            assert_eq!(page.total, total, "{wanted:?}");
            let after = browse(db, &query(true, page.after.clone(), 2));
            assert_eq!([ids(&page), ids(&after)].concat(), expected[..4], "{sort:?}");
            let last = browse(db, &query(false, None, 1));
            assert_eq!(ids(&last), expected[expected.len() - 1..], "{sort:?}");
        }
    }
}
