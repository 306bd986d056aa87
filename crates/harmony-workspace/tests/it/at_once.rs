//! Two at once: one of them finds that the other was there, and is told so.

use std::{
    sync::Barrier,
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use harmony_access::{ApiKeyId, Timestamp};
use harmony_key::ApiKey as KeyText;
use harmony_store::{
    Page, StoreError, Tx, Version, api_keys as rows, roles as role_rows, users as user_rows, workspaces,
};
use harmony_workspace::{
    Browser, Conflict, Error, Workspace,
    api_keys::{self, MAX_GRACE},
    conversations::{self, NewConversation},
    roles, sessions,
    setup::{self, NewWorkspace},
    users::{self, KeysFate},
};

use crate::{
    backend::{Database, on_both},
    house::*,
};

on_both!(
    a_key_whose_role_is_deleted_meanwhile_names_the_role,
    a_key_whose_owner_is_removed_meanwhile_names_the_owner,
    a_conversation_whose_owner_is_removed_meanwhile_names_the_owner,
    a_role_that_a_key_gets_meanwhile_is_in_use,
    a_user_who_gets_a_key_meanwhile_owns_it,
    who_is_removed_meanwhile_does_not_sign_in,
    a_password_that_is_changed_meanwhile_begins_no_session,
    of_several_who_rotate_a_key_one_gets_its_successor,
    of_several_who_set_up_one_does,
);

/// So many do the same at once.
const CALLERS: usize = 6;
/// How often they do it: a race that is there was lost within the first few.
const ROUNDS: usize = 10;

fn a_key_whose_role_is_deleted_meanwhile_names_the_role(database: Database) {
    let h = harmony(database);
    let role = h.role("short-lived", &[]);
    let create = || api_keys::create(&h.workspace, &h.admin, &now(), &new_key(h.ann, Some(role)), None);
    let refused = h.database.meanwhile(|tx| role_rows::delete(tx, role).map(drop), create);
    assert_eq!(invalid(refused), ("role", "unknown"));
}

fn a_key_whose_owner_is_removed_meanwhile_names_the_owner(database: Database) {
    let h = harmony(database);
    let bob = h.user("bob@example.com", h.built_in("User"));
    let create = || api_keys::create(&h.workspace, &h.admin, &now(), &new_key(bob, None), None);
    let refused = h.database.meanwhile(|tx| user_rows::delete(tx, bob).map(drop), create);
    assert_eq!(invalid(refused), ("owner", "unknown"));
}

fn a_conversation_whose_owner_is_removed_meanwhile_names_the_owner(database: Database) {
    let h = harmony(database);
    let bob = h.user("bob@example.com", h.built_in("User"));
    let new = NewConversation {
        owner: Some(bob),
        title: "Kick-off".to_owned(),
        started_at: Timestamp::from_millis(1),
        duration_secs: 60,
        participants: vec![],
        summary: String::new(),
        action_items: vec![],
        segments: vec![],
    };
    let create = || conversations::create(&h.workspace, &h.admin, &now(), &new, None);
    let refused = h.database.meanwhile(|tx| user_rows::delete(tx, bob).map(drop), create);
    assert_eq!(invalid(refused), ("owner", "unknown"));
}

fn a_role_that_a_key_gets_meanwhile_is_in_use(database: Database) {
    let h = harmony(database);
    let role = h.role("wanted", &[]);
    let delete = || roles::delete(&h.workspace, &h.admin, &now(), role, None);
    let refused =
        h.database.meanwhile(|tx| rows::insert(tx, &rows::ApiKey { role: Some(role), ..key(&h) }), delete);
    let in_use =
        matches!(conflict(refused), Conflict::RoleInUse(by) if (by.user_count, by.key_count) == (0, 1));
    assert!(in_use);
}

fn a_user_who_gets_a_key_meanwhile_owns_it(database: Database) {
    let h = harmony(database);
    let bob = h.user("bob@example.com", h.built_in("User"));
    let bobs = rows::ApiKey { owner: bob, ..key(&h) };
    let delete = |fate| users::delete(&h.workspace, &h.admin, &now(), bob, fate, None);
    let refused = h.database.meanwhile(|tx| rows::insert(tx, &bobs), || delete(KeysFate::Unsaid));
    assert_eq!(conflict(refused), Conflict::KeysRemain { keys: 1 });

    let another = rows::ApiKey {
        id: ApiKeyId::new(now().now, [8; 10]),
        digest: KeyText::from_secret([8; 28]).digest(),
        ..bobs
    };
    let deleted = h.database.meanwhile(|tx| rows::insert(tx, &another), || delete(KeysFate::Delete));
    assert!(value(deleted.unwrap()).1);
    assert!(keys_of(&h).is_empty());
}

fn who_is_removed_meanwhile_does_not_sign_in(database: Database) {
    let h = harmony(database);
    let bob = h.user("bob@example.com", h.built_in("User"));
    let sign_in = || sessions::sign_in(&h.workspace, &now(), "bob@example.com", PASSWORD, Browser::default());
    assert!(sign_in().unwrap().is_some());
    let refused = h.database.meanwhile(|tx| user_rows::delete(tx, bob).map(drop), sign_in);
    assert!(refused.unwrap().is_none());
}

/// Well formed, since it may be read before or after it is written, and the hash of nothing that anybody enters.
const HASH_OF_ANOTHER: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn a_password_that_is_changed_meanwhile_begins_no_session(database: Database) {
    let h = harmony(database);
    let bob = h.user("bob@example.com", h.built_in("User"));
    let sign_in = || sessions::sign_in(&h.workspace, &now(), "bob@example.com", PASSWORD, Browser::default());
    let change = |tx: &mut Tx<'_>| {
        workspaces::lock(tx, h.id)?;
        user_rows::set_password(tx, bob, HASH_OF_ANOTHER)
    };
    let refused = h.database.meanwhile(change, sign_in);
    assert!(refused.unwrap().is_none());
}

fn of_several_who_rotate_a_key_one_gets_its_successor(database: Database) {
    let h = harmony(database);
    for round in 0..ROUNDS {
        let (grace, left) = if round % 2 == 0 { (Duration::ZERO, 1) } else { (MAX_GRACE, 2) };
        let old = h.key(h.ann);
        let (done, refused) =
            all_at_once(&h.workspace, || api_keys::rotate(&h.workspace, &h.admin, &now(), old, grace, None));
        assert_eq!(done.len(), 1, "round {round}");
        let known = |error: &Error| {
            matches!(error, Error::NotFound | Error::Stale | Error::Conflict(Conflict::RotatedAlready))
        };
        assert!(refused.iter().all(known), "round {round}: {refused:?}");
        assert_eq!(keys_of(&h).len(), left, "round {round}");
        for key in keys_of(&h) {
            let _ = api_keys::delete(&h.workspace, &h.admin, &now(), key, None).unwrap();
        }
    }
}

fn of_several_who_set_up_one_does(database: Database) {
    let new = |email| NewWorkspace { name: "W", user_name: "Ann", email, password: None };
    let (done, refused) = all_at_once(&database.workspace, || {
        setup::create(&database.workspace, &now(), &new("ann@example.com"))
    });
    assert_eq!(done.len(), 1);
    assert!(
        refused.iter().all(|error| matches!(error, Error::Conflict(Conflict::SetUpAlready))),
        "{refused:?}"
    );
    let store = database.workspace.store();
    assert_eq!(store.read::<_, StoreError>(workspaces::list).unwrap().len(), 1);
    assert_eq!(store.read::<_, StoreError>(user_rows::count_all).unwrap(), 1);
}

/// Who succeeded and who did not, of so many who start together.
fn all_at_once<T: Send>(
    workspace: &Workspace,
    call: impl Fn() -> Result<T, Error> + Sync,
) -> (Vec<T>, Vec<Error>) {
    let start = Barrier::new(CALLERS);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let callers: Vec<ScopedJoinHandle<'_, _>> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| {
                    // Each has a connection at this point. One that is made first takes longer than the race.
                    let connected = workspace.store().read::<_, StoreError>(|_| Ok(start.wait()));
                    connected.unwrap();
                    call()
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    let (mut done, mut refused) = (vec![], vec![]);
    for outcome in outcomes {
        match outcome {
            Ok(value) => done.push(value),
            Err(error) => refused.push(error),
        }
    }
    (done, refused)
}

fn keys_of(h: &Harmony) -> Vec<ApiKeyId> {
    let page = Page { after: None, limit: 100 };
    let all = api_keys::list(&h.workspace, &h.admin, &Default::default(), &page).unwrap();
    all.into_iter().map(|(key, _)| key.id).collect()
}

/// A key of Ann's that is not kept yet.
fn key(h: &Harmony) -> rows::ApiKey {
    let text = KeyText::from_secret([7; 28]);
    rows::ApiKey {
        id: ApiKeyId::new(now().now, [7; 10]),
        workspace: h.id,
        owner: h.ann,
        role: None,
        name: "made meanwhile".to_owned(),
        digest: text.digest(),
        last_four: text.last_four(),
        foreign_text: false,
        display_rate_limit: None,
        expires_at: None,
        rotated_to: None,
        version: Version::FIRST,
        created_at: now().now,
        created_by: None,
    }
}
