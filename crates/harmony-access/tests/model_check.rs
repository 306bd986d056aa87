//! The cache, the lease and the keeper under a model checker, which runs their threads in one order after the other:
//! `just test` builds this with `--cfg shuttle`.
#![cfg(shuttle)]

use std::{sync::Arc, time::Duration};

use harmony_access::{
    ApiKeyId, CacheCapacity, Errand, FindKey, FindKeyError, Keeper, KeyRecord, LEASE_TTL, Now, Outcome,
    Revision, Revocation, Timestamp, UserId, VerificationCache, WorkspaceId, awaited,
};
use harmony_key::{ApiKey, KeyDigest};
use harmony_permission::PermissionSet;
use shuttle::{
    future::block_on,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

/// Orders of the threads that are tried, of those that are drawn evenly and of those with few changes of thread.
const ORDERS: usize = 10_000;
/// How many times the thread changes at most in the latter (S. Burckhardt et al., "A Randomized Scheduler with Probabilistic
/// Guarantees of Finding Bugs", 2010).
const DEPTH: usize = 4;

/// What is known of two processes, and the one key that there is.
struct World {
    clock_ms: AtomicU64,
    store: Mutex<Store>,
    answered: AtomicBool,
}

struct Store {
    alive: bool,
    head: i64,
    /// Up to where each process has seen, once it has a row.
    seen: [Option<i64>; 2],
}

/// Asks the store, and may be held up both before and after it has read.
struct Query(Arc<World>);

impl FindKey for Query {
    async fn find_key(&self, digest: KeyDigest, _: Now) -> Result<Option<Arc<KeyRecord>>, FindKeyError> {
        let alive = self.0.store.lock().unwrap().alive;
        thread::yield_now();
        Ok(alive.then(|| Arc::new(record(digest))))
    }
}

type Cache = VerificationCache<Query>;

fn key() -> ApiKey {
    ApiKey::from_secret([7; 28])
}

fn record(digest: KeyDigest) -> KeyRecord {
    let at = Timestamp::from_millis(0);
    KeyRecord {
        id: ApiKeyId::new(at, [1; 10]),
        digest,
        workspace: WorkspaceId::new(at, [2; 10]),
        owner: UserId::new(at, [3; 10]),
        name: "raced".to_owned(),
        last_four: key().last_four(),
        role: None,
        permissions: PermissionSet::none(),
        expires_at: None,
    }
}

impl World {
    fn boot(&self) -> Duration {
        Duration::from_millis(self.clock_ms.load(Ordering::SeqCst))
    }

    fn now(&self) -> Now {
        Now { wall: Timestamp::from_millis(0), boot: self.boot() }
    }

    /// One turn of a process's keeper, with the other threads in between wherever the checker likes.
    fn turn(&self, node: usize, keeper: &mut Keeper, cache: &Cache) {
        let mut errand = keeper.begin(self.boot());
        while errand != Errand::Rest {
            let outcome = match errand {
                Errand::Rest => Outcome::Done,
                Errand::Renew(seen) | Errand::Acknowledge(seen) => {
                    self.store.lock().unwrap().seen[node] = Some(seen.number());
                    Outcome::Done
                }
                Errand::CatchUp(seen) => {
                    let head = self.store.lock().unwrap().head;
                    if head > seen.number() {
                        cache.revoke(&[Revocation::Key(key().digest())]);
                    }
                    Outcome::CaughtUp(Revision::new(head))
                }
            };
            errand = keeper.done(outcome, cache.lease());
        }
    }

    fn verify(&self, cache: &Cache) {
        let late = self.answered.load(Ordering::SeqCst);
        let now = self.now();
        let found = block_on(cache.find_key(key().digest(), now)).unwrap();
        assert!(!(late && found.is_some()), "accepted after the deletion was answered");
    }

    /// Deletes the key, and answers once both processes have seen that or a lease is over.
    fn delete(&self, waits: bool) {
        let revision = {
            let mut store = self.store.lock().unwrap();
            (store.alive, store.head) = (false, store.head + 1);
            store.head
        };
        let began = self.boot();
        while waits && self.boot() - began <= LEASE_TTL {
            let seen = self.store.lock().unwrap().seen;
            if awaited(seen.into_iter().flatten().map(Revision::new), Revision::new(revision)).is_over() {
                break;
            }
            // Somebody else's turn; and should nobody else do anything, time goes by.
            self.clock_ms.fetch_add(1_100, Ordering::SeqCst);
            thread::yield_now();
        }
        self.answered.store(true, Ordering::SeqCst);
    }
}

/// Two processes know the key, and it is deleted. One keeps its lease; the other is cut off from the store, but for queries.
fn deletion(waits: bool, leased: bool) {
    let store = Mutex::new(Store { alive: true, head: 0, seen: [None; 2] });
    let world = Arc::new(World { clock_ms: AtomicU64::new(1_000), store, answered: AtomicBool::new(false) });
    let processes = [0, 1].map(|node| {
        let capacity = CacheCapacity { live_keys: 1, unknown_digests: 1 };
        let query = Query(Arc::clone(&world));
        let cache = if leased {
            VerificationCache::new(query, capacity)
        } else {
            VerificationCache::alone(query, capacity)
        };
        let mut keeper = Keeper::new(Revision::new(0));
        world.turn(node, &mut keeper, &cache);
        let (here, kept) = (Arc::clone(&world), cache.clone());
        let keeping = thread::spawn(move || {
            for _ in 0..[3, 0][node] {
                here.turn(node, &mut keeper, &kept);
                thread::yield_now();
            }
        });
        let here = Arc::clone(&world);
        let answering = thread::spawn(move || (0..3).for_each(|_| here.verify(&cache)));
        [keeping, answering]
    });
    world.delete(waits);
    processes.into_iter().flatten().for_each(|thread| thread.join().unwrap());
}

#[test]
fn in_no_order_of_its_threads_is_a_deleted_key_accepted_after_the_answer() {
    shuttle::check_random(|| deletion(true, true), ORDERS);
    shuttle::check_pct(|| deletion(true, true), ORDERS, DEPTH);
}

#[test]
#[should_panic(expected = "accepted after the deletion was answered")]
fn without_the_waiting_it_would_be() {
    shuttle::check_random(|| deletion(false, true), ORDERS);
}

#[test]
#[should_panic(expected = "accepted after the deletion was answered")]
fn without_the_lease_it_would_be() {
    shuttle::check_random(|| deletion(true, false), ORDERS);
}
