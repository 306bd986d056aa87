//! Roles, users, teams and settings: what each lets through, and the neighbour that it refuses.

use std::{
    collections::BTreeSet,
    sync::{Arc, Barrier},
    thread,
};

use harmony_access::{Principal, RoleId, Timestamp, UserId};
use harmony_store::{
    Page, StoreError,
    api_keys::{self as rows, LastUse},
};
use harmony_workspace::{
    Browser, Conflict, Error, InUse, api_keys, people,
    roles::{self, NewRole, RoleChange},
    sessions,
    settings::{self, SettingsChange},
    setup, teams,
    users::{self, KeysFate, NewUser, UserChange},
};

use crate::{
    backend::{Database, on_both},
    house::*,
};

on_both!(
    nobody_hands_out_more_than_they_hold_in_a_role,
    built_in_roles_and_roles_in_use_stay,
    who_has_a_role_is_named_as_far_as_the_actor_may_see_them,
    a_user_gets_no_role_that_holds_more_than_the_actor,
    the_last_administrator_is_neither_demoted_nor_removed_nor_narrowed,
    of_two_administrators_who_demote_each_other_one_stays,
    a_reset_password_ends_sessions_and_is_for_those_who_could_do_as_much_themselves,
    users_are_found_by_parts_of_their_names_and_addresses,
    the_keys_of_a_removed_user_go_where_it_is_said,
    a_removed_users_keys_go_to_nobody_whose_things_the_actor_could_not_reach,
    a_team_is_seen_by_those_in_it_and_changed_by_those_who_may,
    default_permissions_are_no_more_than_the_actor_holds,
    what_belongs_to_a_user_is_told_as_far_as_the_actor_may_see_it,
    whoever_adds_users_gives_roles_that_hold_no_more_than_their_own,
);

fn nobody_hands_out_more_than_they_hold_in_a_role(database: Database) {
    let h = harmony(database);
    let some = h.holding(h.ann, &["roles:create:all", "roles:update:all", "teams:read:team"]);
    let new = |name: &str, permission| NewRole {
        name: name.to_owned(),
        description: String::new(),
        permissions: set(&[permission]),
    };
    let create = |new| roles::create(&h.workspace, &some, &now(), &new, None);
    assert_eq!(forbidden(create(new("wide", "teams:read:all"))), "teams:read:all");
    let role = made(create(new("narrow", "teams:read:team")).unwrap());
    assert_eq!(role.permissions(), set(&["teams:read:team"]));
    assert_eq!(conflict(create(new("narrow", "teams:read:own"))), Conflict::NameTaken { what: "role" });

    let change = |permission, seen| {
        let change = RoleChange { permissions: Some(set(&[permission])), ..RoleChange::default() };
        roles::change(&h.workspace, &some, &now(), role.id, &change, seen)
    };
    assert_eq!(forbidden(change("teams:read:all", None)), "teams:read:all");
    let (changed, revoked) = value(change("teams:read:own", Some(role.version)).unwrap());
    assert_eq!((changed.permissions(), revoked), (set(&["teams:read:own"]), true));
    assert!(matches!(change("teams:read:own", Some(role.version)), Err(Error::Stale)));
    let none = h.holding(h.ann, &["roles:read:team"]);
    assert_eq!(forbidden(roles::find(&h.workspace, &none, role.id)), "roles:read:all");
}

fn built_in_roles_and_roles_in_use_stay(database: Database) {
    let h = harmony(database);
    let delete = |id| roles::delete(&h.workspace, &h.admin, &now(), id, None);
    assert_eq!(conflict(delete(h.built_in("User"))), Conflict::BuiltInRole);
    let change = RoleChange { name: Some("Boss".to_owned()), ..RoleChange::default() };
    let changed = roles::change(&h.workspace, &h.admin, &now(), h.built_in("Admin"), &change, None);
    assert_eq!(conflict(changed), Conflict::BuiltInRole);
    let (used, unused) = (h.role("used", &[]), h.role("unused", &[]));
    let bob = h.user("bob@example.com", used);
    let in_use =
        Conflict::RoleInUse(InUse { user_count: 1, key_count: 0, users: vec![bob], keys: Vec::new() });
    assert_eq!(in_use.to_string(), "the role is in use by 1 user; give them another role first");
    assert_eq!(conflict(delete(used)), in_use);
    let blind = h.holding(h.ann, &["roles:delete:all"]);
    let unnamed = conflict(roles::delete(&h.workspace, &blind, &now(), used, None));
    assert!(matches!(unnamed, Conflict::RoleInUse(InUse { user_count: 1, users, .. }) if users.is_empty()));
    assert_eq!(delete(unused).unwrap().name, "unused");
    assert!(matches!(delete(unused), Err(Error::NotFound)));
}

fn who_has_a_role_is_named_as_far_as_the_actor_may_see_them(database: Database) {
    let h = harmony(database);
    let (role, other) = (h.role("Some", &["teams:read:all"]), h.role("Other", &[]));
    let [bob, cyd, dan] = ["bob", "cyd", "dan"].map(|name| h.user(&format!("{name}@example.com"), role));
    h.user("eve@example.com", other);
    let team = made(teams::create(&h.workspace, &h.admin, &now(), "Sales", None).unwrap());
    for user in [h.ann, bob] {
        teams::add_user(&h.workspace, &h.admin, &now(), team.id, user).unwrap();
    }
    let key = |owner, role| {
        let new = new_key(owner, Some(role));
        made(api_keys::create(&h.workspace, &h.admin, &now(), &new, None).unwrap()).key.id
    };
    let (bobs, cyds) = (key(bob, role), key(cyd, role));
    key(bob, other);
    let used = LastUse { at: now().now, ip: "192.0.2.1".to_owned() };
    h.workspace.store().write::<_, StoreError>(|tx| rows::note_uses(tx, &[(bobs, used)])).unwrap();

    let named = |actor: &Principal, most| {
        let found = roles::named_holders(&h.workspace, actor, &now(), role, most).unwrap();
        assert_eq!((found.user_count, found.key_count), (3, 2));
        let (users, keys) = (found.users.iter().map(|user| user.id), found.keys.iter().map(|row| row.key.id));
        (users.collect::<Vec<_>>(), keys.collect::<Vec<_>>())
    };
    let held = |more: &[&str]| h.holding(h.ann, &[&["roles:read:all"], more].concat());
    let mut all = vec![bob, cyd, dan];
    all.sort();
    // What was used last comes first.
    assert_eq!(named(&h.admin, 10), (all.clone(), vec![bobs, cyds]));
    assert_eq!(named(&h.admin, 1), (all[..1].to_vec(), vec![bobs]));
    assert_eq!(named(&held(&["users:read:all"]), 10), (all, vec![]));
    let team_only = held(&["users:read:team", "api-keys:read:team"]);
    assert_eq!(named(&team_only, 10), (vec![bob], vec![bobs]));
    assert_eq!(named(&held(&[]), 10), (vec![], vec![]));

    let nobody = h.holding(h.ann, &["users:read:all", "api-keys:read:all"]);
    let refused = roles::named_holders(&h.workspace, &nobody, &now(), role, 10);
    assert_eq!(forbidden(refused), "roles:read:all");
    let gone = RoleId::new(Timestamp::from_millis(1), [7; 10]);
    let found = roles::named_holders(&h.workspace, &h.admin, &now(), gone, 10);
    assert!(matches!(found, Err(Error::NotFound)));
}

fn a_user_gets_no_role_that_holds_more_than_the_actor(database: Database) {
    let h = harmony(database);
    let some = h.holding(h.ann, &["users:create:all", "users:update:all", "teams:read:all"]);
    let (fits, wider) = (h.role("fits", &["teams:read:all"]), h.role("wider", &["roles:read:all"]));
    let create = |email, role| {
        let new = NewUser { email, name: "Bob", role, password: None };
        users::create(&h.workspace, &some, &now(), &new, None)
    };
    assert_eq!(forbidden(create("bob@example.com", wider)), "roles:read:all");
    let bob = made(create("Bob@Example.com", fits).unwrap());
    assert_eq!(bob.email, "bob@example.com");
    assert_eq!(conflict(create("bob@example.com", fits)), Conflict::EmailTaken);
    let change = |role| {
        let change = UserChange { role: Some(role), ..UserChange::default() };
        users::change(&h.workspace, &some, &now(), bob.id, &change, None)
    };
    assert_eq!(forbidden(change(wider)), "roles:read:all");
    assert!(!value(change(fits).unwrap()).1);
    let own = h.holding(bob.id, &["users:read:own"]);
    assert_eq!(users::find(&h.workspace, &own, bob.id).unwrap().name, "Bob");
    assert!(matches!(users::find(&h.workspace, &own, h.ann), Err(Error::NotFound)));
}

fn the_last_administrator_is_neither_demoted_nor_removed_nor_narrowed(database: Database) {
    let h = harmony(database);
    let demote = |id| {
        let change = UserChange { role: Some(h.built_in("User")), ..UserChange::default() };
        users::change(&h.workspace, &h.admin, &now(), id, &change, None)
    };
    assert_eq!(conflict(demote(h.ann)), Conflict::LastAdministrator);
    let bob = h.user("bob@example.com", h.built_in("User"));
    let other = setup::operator(h.id, bob);
    let remove = || users::delete(&h.workspace, &other, &now(), h.ann, KeysFate::Unsaid, None);
    assert_eq!(conflict(remove()), Conflict::LastAdministrator);

    let managing = h.role("managing", &["roles:update:all", "users:update:all"]);
    h.user("cyd@example.com", managing);
    assert!(value(demote(h.ann).unwrap()).1);
    let change = RoleChange { permissions: Some(set(&["roles:update:all"])), ..RoleChange::default() };
    let narrowed = roles::change(&h.workspace, &h.admin, &now(), managing, &change, None);
    assert_eq!(conflict(narrowed), Conflict::LastAdministrator);
    assert!(value(remove().unwrap()).1);
}

fn of_two_administrators_who_demote_each_other_one_stays(database: Database) {
    let h = harmony(database);
    let bob = h.user("bob@example.com", h.built_in("Admin"));
    let (user_role, start) = (h.built_in("User"), Arc::new(Barrier::new(2)));
    let demote = |actor: UserId, other: UserId| {
        let (workspace, id, start) = (h.workspace.clone(), h.id, Arc::clone(&start));
        thread::spawn(move || {
            let change = UserChange { role: Some(user_role), ..UserChange::default() };
            start.wait();
            users::change(&workspace, &setup::operator(id, actor), &now(), other, &change, None).map(value)
        })
    };
    let threads = [demote(h.ann, bob), demote(bob, h.ann)];
    let (done, refused): (Vec<_>, Vec<_>) =
        threads.into_iter().map(|thread| thread.join().unwrap()).partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (1, 1));
    assert_eq!(conflict(refused.into_iter().next().unwrap()), Conflict::LastAdministrator);
}

fn a_reset_password_ends_sessions_and_is_for_those_who_could_do_as_much_themselves(database: Database) {
    const NEW: &str = "an entirely new one";
    let h = harmony(database);
    let role = h.role("reader", &["teams:read:own", "roles:read:all"]);
    let (bob, cyd) = (h.user("bob@example.com", role), h.user("cyd@example.com", role));
    let sign_in = |email: &str, password: &str| {
        let begun = sessions::sign_in(&h.workspace, &now(), email, password, Browser::default()).unwrap();
        begun.map(|begun| begun.token.digest())
    };
    let lives = |token| sessions::recognise(&h.workspace, &now(), &token).unwrap().is_some();
    let (bobs, cyds) = (
        [(); 2].map(|()| sign_in("bob@example.com", PASSWORD).unwrap()),
        sign_in("cyd@example.com", PASSWORD).unwrap(),
    );
    let reset =
        |actor: &Principal, id, new: &str| users::reset_password(&h.workspace, actor, &now(), id, new, None);
    let held = |more: &[&str]| h.holding(h.ann, &[&["users:update:all"], more].concat());

    // What is Bob's own is not the actor's: that takes `all`.
    assert_eq!(
        forbidden(reset(
            &h.holding(h.ann, &["users:update:team", "teams:read:all", "roles:read:all"]),
            bob,
            NEW
        )),
        "users:update:all"
    );
    assert_eq!(forbidden(reset(&held(&["teams:read:all"]), bob, NEW)), "roles:read:all");
    assert_eq!(forbidden(reset(&held(&["teams:read:own", "roles:read:all"]), bob, NEW)), "teams:read:all");
    let enough = held(&["teams:read:all", "roles:read:all"]);
    assert_eq!(
        forbidden(reset(&enough, h.ann, NEW)),
        "api-keys:create:all",
        "hers is an administrator's role"
    );
    assert_eq!(invalid(reset(&enough, bob, "short")), ("password", "length"));
    let nobody = UserId::new(now().now, [9; 10]);
    assert!(matches!(reset(&enough, nobody, NEW), Err(Error::NotFound)));
    assert!(bobs.into_iter().all(lives));

    let (reset_to, told) = value(reset(&enough, bob, NEW).unwrap());
    assert_eq!((made(reset_to).id, told), (bob, true));
    assert!(!bobs.into_iter().any(lives) && lives(cyds));
    assert!(sign_in("bob@example.com", PASSWORD).is_none() && sign_in("bob@example.com", NEW).is_some());
    assert!(sign_in("cyd@example.com", PASSWORD).is_some());
    assert_eq!(h.actions().iter().filter(|action| *action == "user.password_reset").count(), 1);

    let find = |actor: &Principal, id| people::find(&h.workspace, actor, id).unwrap().resettable;
    let may = |more: &[&str]| find(&held(&[&["users:read:all"], more].concat()), bob);
    assert!(may(&["teams:read:all", "roles:read:all"]) && !may(&["teams:read:own", "roles:read:all"]));
    let token = sign_in("ann@example.com", PASSWORD).unwrap();
    let ann = sessions::recognise(&h.workspace, &now(), &token).unwrap().unwrap().principal;
    assert!(find(&ann, cyd) && !find(&ann, h.ann));
    assert_eq!(invalid(reset(&ann, h.ann, NEW)), ("id", "own_user"));
    assert!(value(reset(&h.admin, h.ann, NEW).unwrap()).1, "the operator's command line");
}

fn users_are_found_by_parts_of_their_names_and_addresses(database: Database) {
    let h = harmony(database);
    let role = h.built_in("User");
    let add = |email: &str, name: &str| {
        let new = NewUser { email, name, role, password: None };
        made(users::create(&h.workspace, &h.admin, &now(), &new, None).unwrap()).id
    };
    let (bob, cyd) = (add("bob@example.com", "Bob 100%"), add("c_d@other.example", "Cyd O'Bobson"));
    let found = |actor: &Principal, text: &str, after| {
        let all = people::search(&h.workspace, actor, text, &Page { after, limit: 50 }).unwrap();
        all.into_iter().map(|person| person.user.id).collect::<Vec<_>>()
    };
    let mut everybody = vec![h.ann, bob, cyd];
    everybody.sort();
    for (text, mut expected) in [
        ("", everybody),
        ("BOB", vec![bob, cyd]),
        ("@Example.", vec![h.ann, bob]),
        ("0%", vec![bob]),
        ("c_d", vec![cyd]),
        ("o'b", vec![cyd]),
        ("b_b", vec![]),
        ("%", vec![bob]),
        ("nobody", vec![]),
    ] {
        expected.sort();
        assert_eq!(found(&h.admin, text, None), expected, "{text}");
    }
    let both = found(&h.admin, "bob", None);
    assert_eq!(found(&h.admin, "bob", Some(both[0])), both[1..]);
    let own = h.holding(bob, &["users:read:own"]);
    assert_eq!((found(&own, "bob", None), found(&own, "cyd", None)), (vec![bob], vec![]));
    let refused = people::search(&h.workspace, &h.holding(bob, &[]), "", &Page { after: None, limit: 1 });
    assert_eq!(forbidden(refused), "users:read:own");
}

fn the_keys_of_a_removed_user_go_where_it_is_said(database: Database) {
    let h = harmony(database);
    let user = h.built_in("User");
    let (bob, cyd) = (h.user("bob@example.com", user), h.user("cyd@example.com", user));
    let key = h.key(bob);
    let delete = |id, keys| users::delete(&h.workspace, &h.admin, &now(), id, keys, None);
    assert_eq!(conflict(delete(bob, KeysFate::Unsaid)), Conflict::KeysRemain { keys: 1 });
    let unknown = UserId::new(Timestamp::from_millis(1), [7; 10]);
    assert_eq!(invalid(delete(bob, KeysFate::Transfer(unknown))), ("to", "unknown"));
    assert_eq!(invalid(delete(bob, KeysFate::Transfer(bob))), ("to", "unknown"));
    assert!(value(delete(bob, KeysFate::Transfer(cyd)).unwrap()).1);
    assert_eq!(api_keys::find(&h.workspace, &h.admin, key).unwrap().0.owner, cyd);
    assert!(value(delete(cyd, KeysFate::Delete).unwrap()).1);
    assert!(matches!(api_keys::find(&h.workspace, &h.admin, key), Err(Error::NotFound)));
    assert_eq!(invalid(delete(h.ann, KeysFate::Unsaid)), ("id", "own_user"));
    let told = [
        "api_key.created",
        "api_key.deleted",
        "api_key.transferred",
        "user.created",
        "user.created",
        "user.deleted",
        "user.deleted",
        "workspace.created",
    ];
    assert_eq!(h.actions(), told);
}

fn a_removed_users_keys_go_to_nobody_whose_things_the_actor_could_not_reach(database: Database) {
    let h = harmony(database);
    let user = h.built_in("User");
    let [bob, cyd, dan] = ["bob", "cyd", "dan"].map(|name| h.user(&format!("{name}@example.com"), user));
    let (bobs, cyds) = (h.key(bob), h.key(cyd));
    let remove = |holding: &str, id, to| {
        let actor = h.holding(dan, &["users:delete:all", holding]);
        users::delete(&h.workspace, &actor, &now(), id, KeysFate::Transfer(to), None)
    };
    let owner = |key| api_keys::find(&h.workspace, &h.admin, key).unwrap().0.owner;
    // Each key has `conversations:read:own`: of Ann it would read what is Ann's.
    let own = "conversations:read:own";
    assert_eq!(forbidden(remove(own, bob, h.ann)), "conversations:read:all");
    assert_eq!(forbidden(remove("conversations:read:team", bob, h.ann)), "conversations:read:all");
    assert_eq!(forbidden(remove("conversations:create:own", bob, dan)), own);
    assert_eq!(
        (owner(bobs), users::find(&h.workspace, &h.admin, bob).unwrap().name),
        (bob, "Somebody".into())
    );
    assert!(value(remove(own, bob, dan).unwrap()).1);
    assert!(value(remove("conversations:read:all", cyd, h.ann).unwrap()).1);
    assert_eq!((owner(bobs), owner(cyds)), (dan, h.ann));
}

fn a_team_is_seen_by_those_in_it_and_changed_by_those_who_may(database: Database) {
    let h = harmony(database);
    let bob = h.user("bob@example.com", h.built_in("Team Manager"));
    let reader = h.holding(bob, &["teams:read:team"]);
    let team = made(teams::create(&h.workspace, &h.admin, &now(), "Sales", None).unwrap());
    let again = teams::create(&h.workspace, &h.admin, &now(), "Sales", None);
    assert_eq!(conflict(again), Conflict::NameTaken { what: "team" });
    assert!(matches!(teams::find(&h.workspace, &reader, team.id), Err(Error::NotFound)));
    let add = |actor, user| teams::add_user(&h.workspace, actor, &now(), team.id, user);
    assert_eq!(forbidden(add(&reader, bob)), "teams:update:all");
    let (changed, members) = add(&h.admin, bob).unwrap();
    assert_eq!((changed.version, members), (team.version.next(), vec![bob]));
    assert_eq!(add(&h.admin, bob).unwrap().0.version, changed.version);
    assert!(matches!(add(&h.admin, UserId::new(now().now, [9; 10])), Err(Error::NotFound)));
    assert_eq!(teams::find(&h.workspace, &reader, team.id).unwrap(), (changed, vec![bob]));
    let remove = || teams::remove_user(&h.workspace, &h.admin, &now(), team.id, bob);
    assert_eq!(remove().unwrap().1, vec![]);
    assert!(matches!(remove(), Err(Error::NotFound)));
    assert!(matches!(teams::find(&h.workspace, &reader, team.id), Err(Error::NotFound)));
    let page = Page { after: None, limit: 50 };
    assert_eq!(teams::list(&h.workspace, &reader, &page).unwrap(), vec![]);
    let stale = teams::delete(&h.workspace, &h.admin, &now(), team.id, Some(team.version));
    assert!(matches!(stale, Err(Error::Stale)));
    assert_eq!(teams::delete(&h.workspace, &h.admin, &now(), team.id, None).unwrap().name, "Sales");
}

fn default_permissions_are_no_more_than_the_actor_holds(database: Database) {
    let h = harmony(database);
    let some = h.holding(h.ann, &["workspace:update:all", "conversations:read:team"]);
    let change = |change: &SettingsChange| settings::change(&h.workspace, &some, &now(), change, None);
    let defaults =
        |text| SettingsChange { default_permissions: Some(set(&[text])), ..SettingsChange::default() };
    assert_eq!(forbidden(change(&defaults("conversations:read:all"))), "conversations:read:all");
    assert!(value(change(&defaults("conversations:read:team")).unwrap()).1);
    let longest =
        |secs| SettingsChange { longest_key_lifetime_secs: Some(Some(secs)), ..SettingsChange::default() };
    assert_eq!(invalid(change(&longest(86_399))), ("longest_key_lifetime_secs", "out_of_range"));
    let (changed, revoked) = value(change(&longest(86_400)).unwrap());
    assert_eq!((changed.longest_key_lifetime_secs, revoked), (Some(86_400), false));
    assert_eq!(forbidden(settings::find(&h.workspace, &some)), "workspace:read:own");
    let reader = h.holding(h.ann, &["workspace:read:own"]);
    assert_eq!(settings::find(&h.workspace, &reader).unwrap(), changed);
}

fn what_belongs_to_a_user_is_told_as_far_as_the_actor_may_see_it(database: Database) {
    let h = harmony(database);
    let (uma, tom) =
        (h.user("uma@example.com", h.built_in("User")), h.user("tom@example.com", h.built_in("User")));
    let team = |name: &str, users: &[UserId]| {
        let team = made(teams::create(&h.workspace, &h.admin, &now(), name, None).unwrap()).id;
        for user in users {
            teams::add_user(&h.workspace, &h.admin, &now(), team, *user).unwrap();
        }
        team
    };
    let (shared, other) = (team("shared", &[uma, tom, h.ann]), team("other", &[uma]));
    h.key(uma);
    let seen = |permissions: &[&str]| {
        let found = people::find(&h.workspace, &h.holding(tom, permissions), uma);
        found.map(|found| {
            (found.person.role, found.teams.iter().map(|team| team.id).collect::<BTreeSet<_>>(), found.keys)
        })
    };
    assert!(matches!(seen(&["users:read:own"]), Err(Error::NotFound)));
    assert_eq!(forbidden(seen(&["teams:read:all"])), "users:read:own");
    assert_eq!(seen(&["users:read:team"]).unwrap(), ("User".to_owned(), BTreeSet::new(), None));
    let narrow = ["users:read:team", "teams:read:team", "api-keys:read:own"];
    assert_eq!(seen(&narrow).unwrap(), ("User".to_owned(), BTreeSet::from([shared]), None));
    let wide = ["users:read:all", "teams:read:all", "api-keys:read:team"];
    assert_eq!(seen(&wide).unwrap(), ("User".to_owned(), BTreeSet::from([shared, other]), Some(1)));

    let in_team = |permissions: &[&str]| {
        let found = people::team(&h.workspace, &h.holding(tom, permissions), shared).unwrap();
        (found.people.iter().map(|user| user.id).collect::<Vec<_>>(), found.unseen)
    };
    assert_eq!(in_team(&["teams:read:team"]), (vec![], 3));
    assert_eq!(in_team(&["teams:read:team", "users:read:own"]), (vec![tom], 2));
    let (mut all, unseen) = in_team(&["teams:read:team", "users:read:team"]);
    all.sort();
    let mut expected = vec![h.ann, uma, tom];
    expected.sort();
    assert_eq!((all, unseen), (expected, 0));

    let page = Page { after: None, limit: 10 };
    let sizes = |permissions: &[&str]| {
        let rows = people::teams(&h.workspace, &h.holding(tom, permissions), &page);
        rows.map(|rows| rows.into_iter().map(|row| (row.team.id, row.size)).collect::<BTreeSet<_>>())
    };
    assert_eq!(sizes(&["teams:read:team"]).unwrap(), BTreeSet::from([(shared, 3)]));
    assert_eq!(sizes(&["teams:read:all"]).unwrap(), BTreeSet::from([(shared, 3), (other, 1)]));
    assert_eq!(forbidden(sizes(&["teams:read:own"])), "teams:read:team");

    let known = |permissions: &[&str], email: &str| {
        people::with_email(&h.workspace, &h.holding(tom, permissions), email).unwrap().map(|user| user.id)
    };
    assert_eq!(known(&["users:read:team"], " Uma@example.com "), Some(uma));
    assert_eq!(known(&["users:read:own"], "uma@example.com"), None);
}

fn whoever_adds_users_gives_roles_that_hold_no_more_than_their_own(database: Database) {
    let h = harmony(database);
    let tom = h.user("tom@example.com", h.built_in("User"));
    let given = |permissions: &[&str]| {
        let roles = people::roles_to_give(&h.workspace, &h.holding(tom, permissions));
        roles.map(|roles| roles.into_iter().map(|role| role.name).collect::<Vec<_>>())
    };
    assert_eq!(forbidden(given(&["users:read:all"])), "users:update:all");
    assert_eq!(given(&["users:create:all"]).unwrap(), Vec::<String>::new());
    let all_of_users = [
        "users:create:all",
        "conversations:create:own",
        "conversations:delete:own",
        "conversations:read:own",
        "conversations:update:own",
        "users:read:own",
    ];
    assert_eq!(given(&all_of_users).unwrap(), ["User"]);
    h.key(tom);
    assert_eq!(people::keys_to_part_from(&h.workspace, &h.admin, tom).unwrap(), 1);
    let some = h.holding(tom, &["users:delete:team"]);
    assert_eq!(forbidden(people::keys_to_part_from(&h.workspace, &some, tom)), "users:delete:all");
}
