//! One query for all who wait.

use harmony_access::{FindKey, Revocation};

use crate::store::{End, FakeStore, at, digest, find, poll, record, small};

#[test]
fn a_thousand_who_wait_for_one_key_make_one_query() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    let gate = store.gate();
    let mut waiters: Vec<_> = (0..1_000).map(|_| Box::pin(cache.find_key(digest(1), at(1)))).collect();
    assert!(waiters.iter_mut().all(|waiter| poll(waiter).is_none()));
    assert_eq!(cache.stats().queries_under_way, 1);
    gate.open();
    for waiter in &mut waiters {
        assert_eq!(poll(waiter).unwrap().unwrap().as_deref(), Some(&record(1)));
    }
    assert_eq!((store.queries(), cache.stats().misses), (1, 1_000));
    assert_eq!(cache.stats().queries_under_way, 0);
}

#[test]
fn those_who_wait_for_different_keys_do_not_wait_for_each_other() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(2));
    let _gate = store.gate();
    let mut held_up = Box::pin(cache.find_key(digest(1), at(1)));
    assert!(poll(&mut held_up).is_none());
    assert_eq!(find(&cache, 2), Some(record(2)));
}

#[tokio::test]
async fn the_first_to_wait_may_go_without_stranding_the_others() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    let gate = store.gate();
    let mut first = Box::pin(cache.find_key(digest(1), at(1)));
    assert!(poll(&mut first).is_none());
    let second = tokio::spawn({
        let cache = cache.clone();
        async move { cache.find_key(digest(1), at(1)).await }
    });
    while cache.stats().misses < 2 {
        tokio::task::yield_now().await;
    }
    drop(first);
    gate.open();
    assert_eq!(second.await.unwrap().unwrap().as_deref(), Some(&record(1)));
    assert_eq!(store.queries(), 1);
}

#[test]
fn a_query_that_nobody_waits_for_any_more_ends() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    let _gate = store.gate();
    let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(cache.find_key(digest(1), at(1)))).collect();
    assert!(waiters.iter_mut().all(|waiter| poll(waiter).is_none()));
    assert_eq!(cache.stats().queries_under_way, 1);
    drop(waiters);
    assert_eq!(cache.stats().queries_under_way, 0);
    assert_eq!(find(&cache, 1), Some(record(1)));
    assert_eq!(store.queries(), 2);
}

#[test]
fn a_query_that_began_before_a_revocation_is_not_joined_after_it() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    let old_gate = store.gate();
    let mut before = Box::pin(cache.find_key(digest(1), at(1)));
    assert!(poll(&mut before).is_none());
    store.delete(digest(1));
    cache.revoke(&[Revocation::Key(digest(1))]);

    let new_gate = store.gate();
    let mut after = Box::pin(cache.find_key(digest(1), at(1)));
    assert!(poll(&mut after).is_none());
    assert_eq!(store.queries(), 2);
    // The old one ends first, and its waiter then joins the new one.
    old_gate.open();
    assert!(poll(&mut before).is_none());
    assert!(poll(&mut after).is_none());
    assert_eq!((store.queries(), cache.stats().queries_under_way), (2, 1));
    new_gate.open();
    assert_eq!(poll(&mut after).unwrap().unwrap(), None);
    assert_eq!(poll(&mut before).unwrap().unwrap(), None);
    assert_eq!((store.queries(), cache.stats().stale_fills), (2, 1));
}

#[test]
fn a_revocation_of_one_key_makes_every_query_under_way_try_again() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    let gate = store.gate();
    let mut look_up = Box::pin(cache.find_key(digest(1), at(1)));
    assert!(poll(&mut look_up).is_none());
    cache.revoke(&[Revocation::Key(digest(2))]);
    gate.open();
    assert_eq!(poll(&mut look_up).unwrap().unwrap().as_deref(), Some(&record(1)));
    assert_eq!(store.queries(), 2);
}

#[test]
fn all_who_wait_hear_of_a_failure_and_of_a_panic() {
    for broken in [End::Fail, End::Panic] {
        let (store, cache) = FakeStore::cached(small());
        store.put(record(1));
        let gate = store.gate_before(broken);
        let mut waiters: Vec<_> = (0..2).map(|_| Box::pin(cache.find_key(digest(1), at(1)))).collect();
        assert!(waiters.iter_mut().all(|waiter| poll(waiter).is_none()));
        gate.open();
        assert!(waiters.iter_mut().all(|waiter| poll(waiter).unwrap().is_err()), "{broken:?}");
        assert_eq!((store.queries(), cache.stats().queries_under_way), (1, 0));
        // Who comes later asks anew.
        assert_eq!(find(&cache, 1), Some(record(1)));
    }
}
