//! Random interleavings of changes, revocations and look-ups, each look-up advanced step by step, against the whole
//! history of the truth.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use harmony_access::{CacheCapacity, FindKey, KeyRecord, Now, Revocation, VerificationCache};
use harmony_key::KeyDigest;
use parking_lot::Mutex;
use proptest::prelude::*;

use crate::store::{Answer, at, digest, owner, poll, record, role, workspace};

const KEYS: usize = 20;

/// What happens next. Numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    Change {
        key: usize,
        live: bool,
    },
    /// Tells the cache of all changes so far, of those that narrow in this way.
    Revoke(Wide),
    Start {
        key: usize,
    },
    Advance(usize),
    Abandon(usize),
    /// Queries from now on answer this many steps after they have read.
    Slow(u32),
    LoseLease,
    RegainLease,
}

#[derive(Debug, Clone, Copy)]
enum Wide {
    Key,
    Role,
    User,
    Workspace,
}

fn step() -> impl Strategy<Value = Step> {
    let wide = prop_oneof![Just(Wide::Key), Just(Wide::Role), Just(Wide::User), Just(Wide::Workspace)];
    // Half of all happens to three keys, so that they meet; the others crowd the small tables.
    let key = prop_oneof![0..3_usize, 0..KEYS];
    prop_oneof![
        4 => (key.clone(), any::<bool>()).prop_map(|(key, live)| Step::Change { key, live }),
        3 => wide.prop_map(Step::Revoke),
        8 => key.prop_map(|key| Step::Start { key }),
        12 => any::<usize>().prop_map(Step::Advance),
        1 => any::<usize>().prop_map(Step::Abandon),
        2 => (0..4_u32).prop_map(Step::Slow),
        1 => Just(Step::LoseLease),
        1 => Just(Step::RegainLease),
    ]
}

/// A store that keeps, for each key, all it ever was: the record's name tells which.
struct History {
    live: Mutex<Vec<Vec<bool>>>,
    slowness: AtomicU32,
}

impl History {
    fn version(&self, key: usize) -> usize {
        self.live.lock()[key].len() - 1
    }

    fn read(&self, digest_asked: KeyDigest) -> Option<Arc<KeyRecord>> {
        let key = (0..KEYS).find(|&key| digest(key as u32) == digest_asked).unwrap();
        let live = *self.live.lock()[key].last().unwrap();
        let name = self.version(key).to_string();
        live.then(|| Arc::new(KeyRecord { name, ..record(key as u32) }))
    }
}

impl FindKey for History {
    async fn find_key(&self, digest: KeyDigest, _: Now) -> Answer {
        let read = self.read(digest);
        let mut left = self.slowness.load(Ordering::Relaxed);
        poll_fn(|_| {
            let wait = left > 0;
            left = left.saturating_sub(1);
            if wait { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        Ok(read)
    }
}

struct LookUp {
    key: usize,
    /// The oldest version that it may answer by.
    floor: usize,
    /// Held the lease from its start on: then it answers by nothing that was revoked before it *ends*.
    leased: bool,
    future: Pin<Box<dyn Future<Output = Answer>>>,
}

struct World {
    store: Arc<History>,
    cache: VerificationCache<Arc<History>>,
    /// For each key, the version at its last revocation.
    floors: Vec<usize>,
    leased: bool,
    look_ups: Vec<LookUp>,
}

impl World {
    fn new() -> Self {
        let live = Mutex::new(vec![vec![false]; KEYS]);
        let store = Arc::new(History { live, slowness: AtomicU32::new(0) });
        let capacity = CacheCapacity { live_keys: 8, unknown_digests: 8 };
        let cache = VerificationCache::new(Arc::clone(&store), capacity);
        cache.lease().extend(Duration::from_secs(1_000));
        Self { store, cache, floors: vec![0; KEYS], leased: true, look_ups: Vec::new() }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Change { key, live } => self.store.live.lock()[key].push(live),
            Step::Revoke(wide) => self.revoke(wide),
            Step::Start { key } => self.start(key),
            Step::Advance(which) => self.advance(which),
            Step::Abandon(which) => {
                if !self.look_ups.is_empty() {
                    self.look_ups.swap_remove(which % self.look_ups.len());
                }
            }
            Step::Slow(steps) => self.store.slowness.store(steps, Ordering::Relaxed),
            Step::LoseLease => {
                self.cache.lease().drop_now();
                self.leased = false;
                self.look_ups.iter_mut().for_each(|look_up| look_up.leased = false);
            }
            Step::RegainLease => {
                // As the protocol has it: first all that was missed, then the lease.
                self.revoke(Wide::Key);
                self.cache.lease().extend(Duration::from_secs(1_000));
                self.leased = true;
            }
        }
    }

    fn revoke(&mut self, wide: Wide) {
        let revocations: Vec<_> = (0..KEYS).filter_map(|key| self.revocation(key, wide)).collect();
        self.cache.revoke(&revocations);
        self.floors = (0..KEYS).map(|key| self.store.version(key)).collect();
    }

    /// What to tell of a key that changed since its last revocation.
    fn revocation(&self, key: usize, wide: Wide) -> Option<Revocation> {
        let history = &self.store.live.lock()[key][self.floors[key]..];
        let came_to_be = history.windows(2).any(|pair| pair == [false, true]);
        let number = key as u32;
        match wide {
            _ if history.len() < 2 => None,
            // An unknown digest belongs to no role yet.
            _ if came_to_be => Some(Revocation::Key(digest(number))),
            Wide::Key => Some(Revocation::Key(digest(number))),
            Wide::Role => Some(Revocation::Role(role(number))),
            Wide::User => Some(Revocation::User(owner(number))),
            Wide::Workspace => Some(Revocation::Workspace(workspace())),
        }
    }

    fn start(&mut self, key: usize) {
        let cache = self.cache.clone();
        let future = Box::pin(async move { cache.find_key(digest(key as u32), at(1)).await });
        self.look_ups.push(LookUp { key, floor: self.floors[key], leased: self.leased, future });
    }

    fn advance(&mut self, which: usize) {
        if self.look_ups.is_empty() {
            return;
        }
        let which = which % self.look_ups.len();
        if let Some(answer) = poll(&mut self.look_ups[which].future) {
            let look_up = self.look_ups.swap_remove(which);
            self.judge(&look_up, answer);
        }
    }

    fn judge(&self, look_up: &LookUp, answer: Answer) {
        // Only "kept changing" is left: this store never fails.
        let Ok(answer) = answer else { return };
        let floor = if look_up.leased { self.floors[look_up.key] } else { look_up.floor };
        match answer {
            Some(record) => {
                assert_eq!(record.digest, digest(look_up.key as u32));
                let version: usize = record.name.parse().unwrap();
                assert!(version >= floor, "version {version} was revoked before {floor}");
            }
            None => {
                let history = &self.store.live.lock()[look_up.key][floor..];
                assert!(history.contains(&false), "refused, though it has been there since it was announced");
            }
        }
    }

    fn settle(mut self) {
        while !self.look_ups.is_empty() {
            self.advance(0);
        }
        assert_eq!(self.cache.stats().queries_under_way, 0);
        self.take(Step::Slow(0));
        self.take(Step::RegainLease);
        for key in 0..KEYS {
            let answer = poll(&mut Box::pin(self.cache.find_key(digest(key as u32), at(1)))).unwrap();
            assert_eq!(answer.unwrap(), self.store.read(digest(key as u32)));
        }
        let stats = self.cache.stats();
        assert!(stats.live_keys <= 16 && stats.unknown_digests <= 8, "{stats:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_look_up_answers_by_what_was_revoked(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.take(step));
        world.settle();
    }
}
