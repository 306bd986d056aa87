//! What is remembered, and how much of it.

use harmony_access::{CacheCapacity, FindKey};

use crate::store::{End, FakeStore, at, digest, find, poll, record, small};

#[test]
fn a_live_key_is_asked_for_once() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    for _ in 0..3 {
        assert_eq!(find(&cache, 1), Some(record(1)));
    }
    assert_eq!(store.queries(), 1);
    let stats = cache.stats();
    assert_eq!((stats.misses, stats.hits, stats.unknown_hits), (1, 2, 0));
    assert_eq!((stats.live_keys, stats.unknown_digests), (1, 0));
}

#[test]
fn an_unknown_key_is_asked_for_once() {
    let (store, cache) = FakeStore::cached(small());
    for _ in 0..3 {
        assert_eq!(find(&cache, 1), None);
    }
    assert_eq!(store.queries(), 1);
    let stats = cache.stats();
    assert_eq!((stats.misses, stats.hits, stats.unknown_hits), (1, 0, 2));
    assert_eq!((stats.live_keys, stats.unknown_digests), (0, 1));
}

#[test]
fn two_keys_are_told_apart() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    store.put(record(2));
    for number in [1, 2, 1, 2] {
        assert_eq!(find(&cache, number), Some(record(number)));
    }
}

#[test]
fn an_error_is_told_as_one_and_not_remembered() {
    let (store, cache) = FakeStore::cached(small());
    store.put(record(1));
    for broken in [End::Fail, End::Panic] {
        store.next(broken);
        let answer = poll(&mut Box::pin(cache.find_key(digest(1), at(1)))).unwrap();
        assert!(answer.is_err());
        assert_eq!(cache.stats().queries_under_way, 0);
    }
    assert_eq!(find(&cache, 1), Some(record(1)));
    assert_eq!(store.queries(), 3);
}

#[test]
fn what_it_holds_is_bounded() {
    let capacity = CacheCapacity { live_keys: 100, unknown_digests: 50 };
    let (store, cache) = FakeStore::cached(capacity);
    (0..2_000).for_each(|number| store.put(record(number)));
    (0..4_000).for_each(|number| assert_eq!(find(&cache, number).is_some(), number < 2_000));
    let stats = cache.stats();
    assert_eq!((stats.live_keys, stats.unknown_digests), (200, 56));
}

#[test]
fn as_many_keys_as_it_is_meant_for_nearly_all_stay() {
    let capacity = CacheCapacity { live_keys: 5_000, unknown_digests: 1 };
    let (store, cache) = FakeStore::cached(capacity);
    (0..5_000).for_each(|number| store.put(record(number)));
    (0..5_000).for_each(|number| assert!(find(&cache, number).is_some()));
    assert!(cache.stats().live_keys >= 4_990, "{:?}", cache.stats());
}

#[test]
fn garbage_evicts_no_live_key() {
    let (store, cache) = FakeStore::cached(small());
    (0..4).for_each(|number| store.put(record(number)));
    (0..4).for_each(|number| assert_eq!(find(&cache, number), Some(record(number))));
    (100..5_000).for_each(|number| assert_eq!(find(&cache, number), None));
    let before = store.queries();
    (0..4).for_each(|number| assert_eq!(find(&cache, number), Some(record(number))));
    assert_eq!(store.queries(), before);
}
