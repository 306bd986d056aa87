//! A store whose queries are counted, held at a gate after they have read, made to fail or to panic.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use harmony_access::{
    ApiKeyId, CacheCapacity, FindKey, FindKeyError, KeyRecord, Now, RoleId, Timestamp, UserId,
    VerificationCache, WorkspaceId,
};
use harmony_key::{ApiKey, KeyDigest};
use harmony_permission::{Permission, PermissionSet};
use parking_lot::Mutex;
use tokio::sync::oneshot;

pub type Answer = Result<Option<Arc<KeyRecord>>, FindKeyError>;
pub type Cache = VerificationCache<Arc<FakeStore>>;

#[derive(Default)]
pub struct FakeStore {
    truth: Mutex<HashMap<KeyDigest, Arc<KeyRecord>>>,
    queries: AtomicUsize,
    next: Mutex<VecDeque<Behaviour>>,
}

/// What the next query does once it has read, and has waited for its gate, if it has one.
pub struct Behaviour {
    gate: Option<oneshot::Receiver<()>>,
    end: End,
}

#[derive(Debug, Clone, Copy)]
pub enum End {
    Tell,
    Fail,
    Panic,
}

#[derive(Debug, thiserror::Error)]
#[error("the connection was lost")]
struct Lost;

impl FakeStore {
    /// A store, and a cache before it whose lease always holds.
    pub fn cached(capacity: CacheCapacity) -> (Arc<Self>, Cache) {
        let store = Arc::new(Self::default());
        (Arc::clone(&store), VerificationCache::alone(store, capacity))
    }

    pub fn put(&self, record: KeyRecord) {
        self.truth.lock().insert(record.digest, Arc::new(record));
    }

    pub fn delete(&self, digest: KeyDigest) {
        self.truth.lock().remove(&digest);
    }

    pub fn queries(&self) -> usize {
        self.queries.load(Ordering::Relaxed)
    }

    /// The next query ends in this way.
    pub fn next(&self, end: End) {
        self.next.lock().push_back(Behaviour { gate: None, end });
    }

    /// The next query waits, after it has read, until the gate is opened.
    pub fn gate(&self) -> Gate {
        self.gate_before(End::Tell)
    }

    /// The next query waits, after it has read, until the gate is opened, and then ends in this way.
    pub fn gate_before(&self, end: End) -> Gate {
        let (open, opened) = oneshot::channel();
        self.next.lock().push_back(Behaviour { gate: Some(opened), end });
        Gate(open)
    }
}

pub struct Gate(oneshot::Sender<()>);

impl Gate {
    pub fn open(self) {
        let _ = self.0.send(());
    }
}

impl FindKey for FakeStore {
    async fn find_key(&self, digest: KeyDigest, _: Now) -> Answer {
        self.queries.fetch_add(1, Ordering::Relaxed);
        let read = self.truth.lock().get(&digest).cloned();
        let behaviour = self.next.lock().pop_front();
        let Some(Behaviour { gate, end }) = behaviour else { return Ok(read) };
        if let Some(gate) = gate {
            let _ = gate.await;
        }
        match end {
            End::Tell => Ok(read),
            End::Fail => Err(FindKeyError::new(Lost)),
            End::Panic => panic!("the store has a bug"),
        }
    }
}

pub fn small() -> CacheCapacity {
    CacheCapacity { live_keys: 8, unknown_digests: 8 }
}

pub fn at(boot_secs: u64) -> Now {
    Now { wall: Timestamp::from_millis(1_800_000_000_000), boot: Duration::from_secs(boot_secs) }
}

pub fn digest(number: u32) -> KeyDigest {
    key(number).digest()
}

fn key(number: u32) -> ApiKey {
    let mut secret = [7; 28];
    secret[..4].copy_from_slice(&number.to_be_bytes());
    ApiKey::from_secret(secret)
}

/// A live key. Keys whose numbers leave the same rest by 3 share a role, by 5 an owner; all share a workspace.
pub fn record(number: u32) -> KeyRecord {
    let key = key(number);
    KeyRecord {
        id: ApiKeyId::new(at(0).wall, [number.to_be_bytes()[3]; 10]),
        digest: key.digest(),
        workspace: workspace(),
        owner: owner(number),
        name: format!("key {number}"),
        last_four: key.last_four(),
        role: Some(role(number)),
        permissions: PermissionSet::from_iter([Permission::literal("conversations:read:all")]),
        expires_at: None,
    }
}

pub fn role(number: u32) -> RoleId {
    RoleId::new(at(0).wall, [(number % 3) as u8; 10])
}

pub fn owner(number: u32) -> UserId {
    UserId::new(at(0).wall, [(number % 5) as u8; 10])
}

pub fn workspace() -> WorkspaceId {
    WorkspaceId::new(at(0).wall, [1; 10])
}

/// What the cache says of a key when nothing holds the store up.
pub fn find(cache: &Cache, number: u32) -> Option<KeyRecord> {
    let answer = poll(&mut Box::pin(cache.find_key(digest(number), at(1))));
    answer.expect("nothing holds it up").unwrap().map(|record| (*record).clone())
}

/// One step of a look-up.
pub fn poll<T>(look_up: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    look_up.now_or_never()
}
