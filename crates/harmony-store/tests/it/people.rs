//! Workspaces, roles, users and teams.

use harmony_permission::BuiltInRole;
use harmony_store::{
    StoreError, api_keys, conversations, known_networks,
    roles::{self, Role},
    teams::{self, Team},
    users::{self, User},
    workspaces::{self, Workspace},
};

use crate::{
    backend::{Database, on_both},
    house::*,
};

on_both!(
    the_networks_a_user_has_signed_in_from_are_the_latest_few_and_go_with_them,
    a_workspace_reads_back_and_changes_only_from_the_version_that_was_seen,
    a_role_reads_back_and_its_name_is_taken_within_its_workspace_only,
    a_role_that_somebody_has_stays,
    the_users_of_a_role_are_named_as_far_as_one_reaches,
    a_user_reads_back_and_an_address_is_taken_within_its_workspace_only,
    a_user_who_owns_something_stays_until_it_is_handed_over,
    a_reach_shows_its_users_and_no_others,
    a_reach_shows_its_teams_and_no_others,
    a_team_goes_and_its_users_stay,
);

fn the_networks_a_user_has_signed_in_from_are_the_latest_few_and_go_with_them(db: &Database) {
    furnish(&db.store);
    let note = |number, network: &str, now| {
        write(&db.store, |tx| known_networks::note(tx, id(number), network, at(now), at(now - 100), 2));
    };
    let known = |number, network: &str, since| {
        let email = read(&db.store, |tx| users::of_workspace(tx, id(HERE), id(number))).unwrap().email;
        read(&db.store, |tx| known_networks::is_known(tx, &email, network, at(since)))
    };
    note(ANN, "192.0.2.1", 1_000);
    note(ANN, "192.0.2.1", 1_010);
    note(BOB, "192.0.2.2", 1_010);
    assert!(known(ANN, "192.0.2.1", 1_009) && !known(ANN, "192.0.2.1", 1_010));
    assert!(!known(ANN, "192.0.2.2", 0) && known(BOB, "192.0.2.2", 0));
    // The third one takes the place of the one longest ago, and all go when they are too old.
    note(ANN, "192.0.2.3", 1_020);
    note(ANN, "2001:db8::/64", 1_030);
    let all = |number| ["192.0.2.1", "192.0.2.3", "2001:db8::/64"].map(|network| known(number, network, 0));
    assert_eq!(all(ANN), [false, true, true]);
    note(ANN, "192.0.2.1", 1_130);
    assert_eq!(all(ANN), [true, false, false]);
    assert!(known(BOB, "192.0.2.2", 0));
    let unknown = db.store.write(|tx| known_networks::note(tx, id(99), "192.0.2.1", at(1), at(0), 2));
    assert!(matches!(unknown, Err(StoreError::Referenced(_))));
}

fn a_workspace_reads_back_and_changes_only_from_the_version_that_was_seen(db: &Database) {
    let (plain, bounded) =
        (workspace(1), Workspace { longest_key_lifetime_secs: Some(86_400), ..workspace(2) });
    write(&db.store, |tx| workspaces::insert(tx, &bounded).and_then(|()| workspaces::insert(tx, &plain)));
    assert!(matches!(db.store.write(|tx| workspaces::insert(tx, &plain)), Err(StoreError::Taken(_))));
    assert_eq!(read(&db.store, workspaces::list), [plain.clone(), bounded.clone()]);
    let wanted = Workspace { longest_key_lifetime_secs: None, name: "renamed".to_owned(), ..bounded.clone() };
    assert!(write(&db.store, |tx| workspaces::update(tx, &wanted)));
    assert!(!write(&db.store, |tx| workspaces::update(tx, &bounded)));
    let now = Workspace { version: wanted.version.next(), ..wanted };
    assert_eq!(read(&db.store, |tx| workspaces::find(tx, id(2))), Some(now));
    assert_eq!(read(&db.store, |tx| workspaces::find(tx, id(3))), None);
    assert!(write(&db.store, |tx| workspaces::lock(tx, id(1))));
    assert!(!write(&db.store, |tx| workspaces::lock(tx, id(3))));
}

fn a_role_reads_back_and_its_name_is_taken_within_its_workspace_only(db: &Database) {
    furnish(&db.store);
    let built_in = Role { built_in: Some("Admin".to_owned()), custom: set(&[]), ..role(31, HERE) };
    write(&db.store, |tx| roles::insert(tx, &built_in));
    let found = read(&db.store, |tx| roles::find(tx, id(HERE), built_in.id)).unwrap();
    assert_eq!(found, built_in);
    assert_eq!(found.permissions(), BuiltInRole::named("Admin").unwrap().permissions());
    assert_eq!(read(&db.store, |tx| roles::find(tx, id(ELSEWHERE), built_in.id)), None);
    assert_eq!(read(&db.store, |tx| roles::named(tx, id(HERE), "role 31")), Some(built_in.clone()));
    assert_eq!(read(&db.store, |tx| roles::named(tx, id(ELSEWHERE), "role 31")), None);
    let again = |number, here| Role { name: "role 31".to_owned(), ..role(number, here) };
    assert!(matches!(db.store.write(|tx| roles::insert(tx, &again(32, HERE))), Err(StoreError::Taken(_))));
    write(&db.store, |tx| roles::insert(tx, &again(33, ELSEWHERE)));
    assert!(matches!(db.store.write(|tx| roles::update(tx, &again(HERE, HERE))), Err(StoreError::Taken(_))));
    let wanted = Role { description: String::new(), ..built_in.clone() };
    assert!(write(&db.store, |tx| roles::update(tx, &wanted)));
    assert!(!write(&db.store, |tx| roles::update(tx, &wanted)));
    let listed = read(&db.store, |tx| roles::list(tx, id(HERE), &page(None, 50)));
    assert_eq!(listed, [role(HERE, HERE), Role { version: wanted.version.next(), ..wanted }]);
}

fn a_role_that_somebody_has_stays(db: &Database) {
    furnish(&db.store);
    write(&db.store, |tx| {
        roles::insert(tx, &role(31, HERE))?;
        api_keys::insert(tx, &api_keys::ApiKey { role: Some(id(31)), ..key(21, HERE, ANN) })
    });
    assert_eq!(read(&db.store, |tx| roles::holders(tx, id(HERE))), (3, 0));
    assert_eq!(read(&db.store, |tx| roles::holders(tx, id(31))), (0, 1));
    let delete = |number| db.store.write(|tx| roles::delete(tx, id(number)));
    assert!(matches!(delete(HERE), Err(StoreError::Referenced(_))));
    assert!(matches!(delete(31), Err(StoreError::Referenced(_))));
    assert!(write(&db.store, |tx| api_keys::delete(tx, id(21))));
    assert!(delete(31).unwrap());
    assert!(!delete(31).unwrap());
}

fn the_users_of_a_role_are_named_as_far_as_one_reaches(db: &Database) {
    furnish(&db.store);
    write(&db.store, |tx| {
        roles::insert(tx, &role(31, HERE))?;
        users::insert(tx, &User { role: id(31), ..user(41, HERE) }, None)
    });
    for (here, user, scope, role, limit, expected) in [
        (HERE, ANN, "all", HERE, 50, vec![ANN, BOB, CYD]),
        (HERE, ANN, "all", HERE, 2, vec![ANN, BOB]),
        (HERE, ANN, "all", 31, 50, vec![41]),
        (HERE, ANN, "all", ELSEWHERE, 50, vec![]),
        (HERE, ANN, "team", HERE, 50, vec![ANN, BOB]),
        (HERE, BOB, "own", HERE, 50, vec![BOB]),
        (HERE, BOB, "own", 31, 50, vec![]),
        (ELSEWHERE, DAN, "all", HERE, 50, vec![]),
    ] {
        let reach = reach(here, user, scope);
        let found = read(&db.store, |tx| users::of_role(tx, &reach, id(role), limit));
        assert_eq!(numbers(found.into_iter().map(|user| user.id)), expected, "{user} {scope} {role} {limit}");
    }
}

fn a_user_reads_back_and_an_address_is_taken_within_its_workspace_only(db: &Database) {
    furnish(&db.store);
    let eve = User { email: "eve@example.com".to_owned(), ..user(41, HERE) };
    write(&db.store, |tx| users::insert(tx, &eve, Some("$argon2id$v=19$x")));
    read(&db.store, |tx| {
        assert_eq!(users::of_workspace(tx, id(HERE), eve.id)?, Some(eve.clone()));
        assert_eq!(users::of_workspace(tx, id(ELSEWHERE), eve.id)?, None);
        assert_eq!(users::with_email(tx, id(HERE), "eve@example.com")?, Some(eve.clone()));
        assert_eq!(users::with_email(tx, id(ELSEWHERE), "eve@example.com")?, None);
        assert_eq!(users::count_all(tx)?, 5);
        let mut holders = numbers(users::with_roles(tx, id(HERE), &[id(HERE), id(ELSEWHERE)])?);
        holders.sort_unstable();
        assert_eq!(holders, [ANN, BOB, CYD, 41]);
        assert_eq!(users::with_roles(tx, id(HERE), &[])?, []);
        Ok(())
    });
    let again = |number, here| User { email: "eve@example.com".to_owned(), ..user(number, here) };
    let insert = |user: User| db.store.write(|tx| users::insert(tx, &user, None));
    assert!(matches!(insert(again(42, HERE)), Err(StoreError::Taken(_))));
    insert(again(43, ELSEWHERE)).unwrap();
    assert!(matches!(insert(User { role: id(99), ..user(44, HERE) }), Err(StoreError::Referenced(_))));
    assert!(matches!(db.store.write(|tx| users::update(tx, &again(ANN, HERE))), Err(StoreError::Taken(_))));
    let wanted = User { name: "Eve".to_owned(), ..eve.clone() };
    assert!(write(&db.store, |tx| users::update(tx, &wanted)));
    assert!(!write(&db.store, |tx| users::update(tx, &eve)));
    let now = User { version: eve.version.next(), ..wanted };
    assert_eq!(read(&db.store, |tx| users::of_workspace(tx, id(HERE), eve.id)), Some(now));
}

fn a_user_who_owns_something_stays_until_it_is_handed_over(db: &Database) {
    furnish(&db.store);
    let spoken = conversation(51, HERE, ANN);
    write(&db.store, |tx| conversations::insert(tx, &spoken, &[]));
    let delete = || db.store.write(|tx| users::delete(tx, id(ANN)));
    assert!(matches!(delete(), Err(StoreError::Referenced(_))));
    let hand_over = |to| db.store.write(|tx| users::hand_over_conversations(tx, id(ANN), id(to)));
    assert!(matches!(hand_over(99), Err(StoreError::Referenced(_))));
    assert_eq!((hand_over(CYD).unwrap(), hand_over(CYD).unwrap()), (1, 0));
    assert!(delete().unwrap());
    assert!(!delete().unwrap());
    let found = read(&db.store, |tx| conversations::find(tx, &reach(HERE, CYD, "own"), id(51))).unwrap();
    assert_eq!((found.owner, found.version), (id(CYD), spoken.version.next()));
    assert_eq!(numbers(read(&db.store, |tx| teams::users_of(tx, id(HERE)))), [BOB]);
}

fn a_reach_shows_its_users_and_no_others(db: &Database) {
    furnish(&db.store);
    for (here, user, scope, expected) in [
        (HERE, ANN, "own", vec![ANN]),
        (HERE, ANN, "team", vec![ANN, BOB]),
        (HERE, CYD, "team", vec![CYD]),
        (HERE, CYD, "all", vec![ANN, BOB, CYD]),
        (ELSEWHERE, DAN, "team", vec![DAN]),
        (ELSEWHERE, DAN, "all", vec![DAN]),
    ] {
        let reach = reach(here, user, scope);
        read(&db.store, |tx| {
            let listed = users::list(tx, &reach, &page(None, 50))?;
            assert_eq!(numbers(listed.into_iter().map(|user| user.id)), expected, "{user} {scope}");
            for number in [ANN, BOB, CYD, DAN] {
                let found = users::find(tx, &reach, id(number))?.is_some();
                assert_eq!(found, expected.contains(&number), "{user} {scope} {number}");
            }
            Ok(())
        });
    }
}

fn a_reach_shows_its_teams_and_no_others(db: &Database) {
    furnish(&db.store);
    write(&db.store, |tx| teams::insert(tx, &team(61, HERE)));
    for (here, user, scope, expected) in [
        (HERE, ANN, "own", vec![HERE]),
        (HERE, ANN, "team", vec![HERE]),
        (HERE, CYD, "team", vec![]),
        (HERE, CYD, "all", vec![HERE, 61]),
        (ELSEWHERE, DAN, "all", vec![ELSEWHERE]),
    ] {
        let reach = reach(here, user, scope);
        read(&db.store, |tx| {
            let listed = teams::list(tx, &reach, &page(None, 50))?;
            assert_eq!(numbers(listed.into_iter().map(|team| team.id)), expected, "{user} {scope}");
            for number in [HERE, ELSEWHERE, 61] {
                let found = teams::find(tx, &reach, id(number))?.is_some();
                assert_eq!(found, expected.contains(&number), "{user} {scope} {number}");
            }
            Ok(())
        });
    }
}

fn a_team_goes_and_its_users_stay(db: &Database) {
    furnish(&db.store);
    let change = |wanted: Team| db.store.write(|tx| teams::update(tx, &wanted));
    let taken = Team { name: "team 1".to_owned(), ..team(61, HERE) };
    assert!(matches!(db.store.write(|tx| teams::insert(tx, &taken)), Err(StoreError::Taken(_))));
    assert!(change(Team { name: "renamed".to_owned(), ..team(HERE, HERE) }).unwrap());
    assert!(!change(team(HERE, HERE)).unwrap());
    let add = |team, user| db.store.write(|tx| teams::add_user(tx, id(team), id(user)));
    assert_eq!((add(HERE, CYD).unwrap(), add(HERE, CYD).unwrap()), (true, false));
    assert!(matches!(add(HERE, 99), Err(StoreError::Referenced(_))));
    assert!(matches!(add(99, CYD), Err(StoreError::Referenced(_))));
    let remove = || write(&db.store, |tx| teams::remove_user(tx, id(HERE), id(BOB)));
    assert_eq!((remove(), remove()), (true, false));
    assert_eq!(numbers(read(&db.store, |tx| teams::users_of(tx, id(HERE)))), [ANN, CYD]);
    let delete = || write(&db.store, |tx| teams::delete(tx, id(HERE)));
    assert_eq!((delete(), delete()), (true, false));
    assert_eq!(read(&db.store, |tx| teams::users_of(tx, id(HERE))), []);
    assert_eq!(read(&db.store, users::count_all), 4);
}
