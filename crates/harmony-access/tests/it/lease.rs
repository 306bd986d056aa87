//! Memory speaks only while the lease holds.

use std::{sync::Arc, time::Duration};

use harmony_access::{CacheStats, FindKey, LEASE_TTL, Revocation, VerificationCache, lease_until};

use crate::store::{Cache, End, FakeStore, at, digest, find, poll, record, small};

fn shared() -> (Arc<FakeStore>, Cache) {
    let store = Arc::new(FakeStore::default());
    store.put(record(1));
    (Arc::clone(&store), VerificationCache::new(store, small()))
}

#[test]
fn without_a_lease_each_look_up_asks_the_store_and_none_is_remembered() {
    let (store, cache) = shared();
    for _ in 0..3 {
        assert_eq!(find(&cache, 1), Some(record(1)));
        assert_eq!(find(&cache, 2), None);
    }
    assert_eq!(store.queries(), 6);
    assert_eq!(cache.stats(), CacheStats { without_lease: 6, ..CacheStats::default() });
}

#[test]
fn memory_speaks_until_the_moment_the_lease_ends() {
    let (store, cache) = shared();
    // Renewed at 10 s for 2 s, so that it holds until 11.8 s.
    cache.lease().extend(lease_until(Duration::from_secs(10), LEASE_TTL));
    let find_at = |boot_ms| {
        let now = harmony_access::Now { boot: Duration::from_millis(boot_ms), ..at(0) };
        poll(&mut Box::pin(cache.find_key(digest(1), now))).unwrap().unwrap().is_some()
    };
    assert!(find_at(10_000));
    store.delete(digest(1));
    assert!(find_at(11_799));
    assert!(!find_at(11_800));
    assert!(!find_at(60_000));
}

#[test]
fn a_failing_store_without_a_lease_is_an_error_and_never_an_unknown_key() {
    let (store, cache) = shared();
    cache.lease().extend(Duration::from_secs(100));
    assert_eq!(find(&cache, 1), Some(record(1)));
    cache.lease().drop_now();
    store.next(End::Fail);
    assert!(poll(&mut Box::pin(cache.find_key(digest(1), at(1)))).unwrap().is_err());
}

#[test]
fn a_lost_lease_joins_no_query_under_way() {
    let (store, cache) = shared();
    cache.lease().extend(Duration::from_secs(100));
    let _gate = store.gate();
    let mut with_lease = Box::pin(cache.find_key(digest(1), at(1)));
    assert!(poll(&mut with_lease).is_none());
    cache.lease().drop_now();
    store.delete(digest(1));
    assert_eq!(find(&cache, 1), None);
}

#[test]
fn a_lease_that_comes_back_finds_what_was_not_revoked() {
    let (store, cache) = shared();
    store.put(record(2));
    cache.lease().extend(Duration::from_secs(100));
    find(&cache, 1);
    find(&cache, 2);
    cache.lease().drop_now();
    store.delete(digest(1));
    cache.revoke(&[Revocation::Key(digest(1))]);
    cache.lease().extend(Duration::from_secs(200));
    let before = store.queries();
    assert_eq!(find(&cache, 2), Some(record(2)));
    assert_eq!(store.queries(), before);
    assert_eq!(find(&cache, 1), None);
}
