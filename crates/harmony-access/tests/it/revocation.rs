//! What was taken away is never answered again.

use harmony_access::{FindKey, KeyRecord, Principal, Revocation, RoleId, Timestamp, UserId, WorkspaceId};
use harmony_permission::{Permission, PermissionSet};

use crate::store::{Cache, FakeStore, at, digest, find, owner, poll, record, role, small, workspace};

fn narrowed(number: u32) -> KeyRecord {
    let permissions = PermissionSet::from_iter([Permission::literal("conversations:read:own")]);
    KeyRecord { permissions, ..record(number) }
}

/// Whether the key is answered from memory: the truth behind it is gone, and nobody told the cache.
fn is_remembered(store: &FakeStore, cache: &Cache, number: u32) -> bool {
    store.delete(digest(number));
    find(cache, number).is_some()
}

#[test]
fn a_deleted_key_is_unknown_once_revoked_and_its_neighbour_is_not_asked_for() {
    let (store, cache) = FakeStore::cached(small());
    for number in [1, 2] {
        store.put(record(number));
        find(&cache, number);
    }
    store.delete(digest(1));
    cache.revoke(&[Revocation::Key(digest(1))]);
    assert_eq!(find(&cache, 1), None);
    assert!(is_remembered(&store, &cache, 2));
}

#[test]
fn a_narrowed_key_may_do_less_once_revoked() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    assert_eq!(find(&cache, 1), Some(record(1)));
    store.put(narrowed(1));
    cache.revoke(&[Revocation::Key(digest(1))]);
    assert_eq!(find(&cache, 1), Some(narrowed(1)));
}

#[test]
fn an_earlier_expiration_is_seen_and_judged_at_each_request() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    find(&cache, 1);
    let end = Timestamp::from_millis(5_000);
    store.put(KeyRecord { expires_at: Some(end), ..record(1) });
    cache.revoke(&[Revocation::Key(digest(1))]);
    let principal_at = |millis| {
        let found = find(&cache, 1).unwrap();
        let judged = Principal::of_key(found.into(), Timestamp::from_millis(millis));
        judged.map(|principal| principal.user()).map_err(|expired| expired.at)
    };
    assert_eq!(principal_at(4_999), Ok(owner(1)));
    assert_eq!(principal_at(5_000), Err(end));
    assert_eq!(store.queries(), 2);
}

#[test]
fn a_role_a_user_and_a_workspace_take_their_keys_and_no_others() {
    let other_role = RoleId::new(at(0).wall, [99; 10]);
    let other_user = UserId::new(at(0).wall, [99; 10]);
    let other_workspace = WorkspaceId::new(at(0).wall, [99; 10]);
    // Of the keys 0 to 7, those that share key 1's role are 1, 4 and 7; those that share its owner are 1 and 6.
    for (revocation, gone) in [
        (Revocation::Role(role(1)), vec![1, 4, 7]),
        (Revocation::User(owner(1)), vec![1, 6]),
        (Revocation::Workspace(workspace()), (0..8).collect()),
        (Revocation::Role(other_role), vec![]),
        (Revocation::User(other_user), vec![]),
        (Revocation::Workspace(other_workspace), vec![]),
    ] {
        let (store, cache) = FakeStore::cached(small());
        (0..8).for_each(|number| store.put(record(number)));
        (0..8).for_each(|number| assert!(find(&cache, number).is_some()));
        cache.revoke(&[revocation]);
        let forgotten: Vec<u32> = (0..8).filter(|&number| !is_remembered(&store, &cache, number)).collect();
        assert_eq!(forgotten, gone, "{revocation:?}");
    }
}

#[test]
fn more_than_a_sweep_compares_forgets_every_key() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    find(&cache, 1);
    let strangers: Vec<_> = (50..150).map(|n| Revocation::Role(RoleId::new(at(0).wall, [n; 10]))).collect();
    cache.revoke(&strangers);
    assert!(!is_remembered(&store, &cache, 1));
}

#[test]
fn forgetting_everything_forgets_the_unknown_as_well() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    find(&cache, 1);
    find(&cache, 2);
    cache.revoke_all();
    assert_eq!((cache.stats().live_keys, cache.stats().unknown_digests), (0, 0));
    store.put(record(2));
    assert_eq!(find(&cache, 2), Some(record(2)));
}

#[test]
fn nothing_to_revoke_disturbs_nothing() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    let gate = store.gate();
    let mut look_up = Box::pin(cache.find_key(digest(1), at(1)));
    assert!(poll(&mut look_up).is_none());
    cache.revoke(&[]);
    gate.open();
    assert_eq!(poll(&mut look_up).unwrap().unwrap().as_deref(), Some(&record(1)));
    assert_eq!((store.queries(), cache.stats().stale_fills), (1, 0));
}

#[test]
fn a_key_that_comes_to_be_after_its_text_was_tried_is_not_refused() {
    let (store, cache) = FakeStore::cached(small());
    assert_eq!(find(&cache, 1), None);
    store.put(record(1));
    cache.revoke(&[Revocation::Key(digest(1))]);
    assert_eq!(find(&cache, 1), Some(record(1)));
}

#[test]
fn what_was_read_before_a_revocation_is_used_for_nothing_but_to_try_again() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    let gate = store.gate();
    let mut look_up = Box::pin(cache.find_key(digest(1), at(1)));
    assert!(poll(&mut look_up).is_none());
    store.delete(digest(1));
    cache.revoke(&[Revocation::Key(digest(1))]);
    gate.open();
    assert_eq!(poll(&mut look_up).unwrap().unwrap(), None);
    assert_eq!(find(&cache, 1), None);
    assert_eq!((store.queries(), cache.stats().stale_fills, cache.stats().live_keys), (2, 1, 0));
}

#[test]
fn an_answer_that_was_kept_and_revoked_before_its_waiter_took_it_is_not_taken() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    let gate = store.gate();
    let mut first = Box::pin(cache.find_key(digest(1), at(1)));
    let mut second = Box::pin(cache.find_key(digest(1), at(1)));
    assert!(poll(&mut first).is_none());
    assert!(poll(&mut second).is_none());
    gate.open();
    assert_eq!(poll(&mut first).unwrap().unwrap().as_deref(), Some(&record(1)));
    store.delete(digest(1));
    cache.revoke(&[Revocation::Key(digest(1))]);
    assert_eq!(poll(&mut second).unwrap().unwrap(), None);
}

#[test]
fn a_look_up_that_is_overtaken_each_time_ends_with_an_error() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    let mut gate = store.gate();
    let mut look_up = Box::pin(cache.find_key(digest(1), at(1)));
    let mut steps = 0;
    let answer = loop {
        if let Some(answer) = poll(&mut look_up) {
            break answer;
        }
        steps += 1;
        cache.revoke(&[Revocation::Key(digest(1))]);
        std::mem::replace(&mut gate, store.gate()).open();
    };
    assert!(answer.is_err());
    assert_eq!((steps, store.queries(), cache.stats().stale_fills), (16, 16, 16));
    assert_eq!((cache.stats().live_keys, cache.stats().queries_under_way), (0, 0));
}
