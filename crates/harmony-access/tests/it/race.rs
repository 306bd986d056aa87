//! Real threads: some look up while one deletes and brings back.

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    thread,
};

use harmony_access::{FindKey, KeyRecord, Now, Revocation, VerificationCache};
use harmony_key::KeyDigest;
use parking_lot::Mutex;

use crate::store::{Answer, at, digest, owner, record, small};

const KEYS: usize = 4;
const SEEKERS: usize = 3;
const LOOK_UPS: usize = 20_000;

/// A store in which a key's version is odd while it lives.
#[derive(Default)]
struct Store {
    live: Mutex<HashMap<KeyDigest, Arc<KeyRecord>>>,
    /// Moves before the truth does.
    announced: [AtomicUsize; KEYS],
    /// Moves when the revocation has returned.
    revoked: [AtomicUsize; KEYS],
}

impl FindKey for Store {
    async fn find_key(&self, digest: KeyDigest, _: Now) -> Answer {
        let read = self.live.lock().get(&digest).cloned();
        yield_once().await;
        Ok(read)
    }
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        thread::yield_now();
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Store {
    fn change(&self, cache: &VerificationCache<Arc<Self>>, key: usize) {
        let version = self.announced[key].load(Ordering::SeqCst) + 1;
        self.announced[key].store(version, Ordering::SeqCst);
        let digest = digest(key as u32);
        if !version.is_multiple_of(2) {
            let record = KeyRecord { name: version.to_string(), ..record(key as u32) };
            self.live.lock().insert(digest, Arc::new(record));
            cache.revoke(&[Revocation::Key(digest)]);
        } else {
            self.live.lock().remove(&digest);
            // Both ways to forget a live key: one place, and a sweep.
            let sweep = version.is_multiple_of(4);
            cache.revoke(&[if sweep {
                Revocation::User(owner(key as u32))
            } else {
                Revocation::Key(digest)
            }]);
        }
        self.revoked[key].store(version, Ordering::SeqCst);
    }

    async fn seek(&self, cache: &VerificationCache<Arc<Self>>, key: usize) {
        let floor = self.revoked[key].load(Ordering::SeqCst);
        let Ok(answer) = cache.find_key(digest(key as u32), at(1)).await else { return };
        let newest = self.announced[key].load(Ordering::SeqCst);
        match answer {
            Some(record) => {
                let version: usize = record.name.parse().unwrap();
                assert!(version >= floor, "version {version} was revoked before {floor}");
            }
            None => assert!(floor.is_multiple_of(2) || newest > floor, "refused at {floor}, when it lived"),
        }
    }
}

#[test]
fn no_thread_is_answered_by_what_was_revoked_before_it_asked() {
    let store = Arc::new(Store::default());
    let cache = VerificationCache::alone(Arc::clone(&store), small());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let seekers: Vec<_> = (0..SEEKERS)
            .map(|seeker| {
                let (store, cache) = (&store, &cache);
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    runtime.block_on(async {
                        for turn in 0..LOOK_UPS {
                            store.seek(cache, (turn / 8 + seeker) % KEYS).await;
                        }
                    });
                })
            })
            .collect();
        scope.spawn(|| {
            let keys = (0..KEYS).cycle();
            keys.take_while(|_| !done.load(Ordering::Relaxed)).for_each(|key| {
                store.change(&cache, key);
                thread::yield_now();
            });
        });
        let ended: Vec<_> = seekers.into_iter().map(|seeker| seeker.join().is_ok()).collect();
        done.store(true, Ordering::Relaxed);
        assert_eq!(ended, [true; SEEKERS]);
    });
    assert_eq!(cache.stats().queries_under_way, 0);
}
