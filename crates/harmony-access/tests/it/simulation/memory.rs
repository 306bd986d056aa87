//! What a process remembers: the real cache, or one from which a safeguard has been taken.

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc};

use harmony_access::{CacheCapacity, FindKey, KeyRecord, Lease, Now, Revocation, VerificationCache};
use harmony_key::KeyDigest;
use parking_lot::Mutex;

use super::world::Fault;
use crate::store::Answer;

pub type Search = Pin<Box<dyn Future<Output = Answer>>>;

pub enum Memory<F> {
    Real(VerificationCache<F>),
    WithoutEpoch(Arc<WithoutEpoch<F>>),
}

/// Remembers whatever the store said, whenever it said it.
pub struct WithoutEpoch<F> {
    inner: F,
    lease: Lease,
    kept: Mutex<HashMap<KeyDigest, Option<Arc<KeyRecord>>>>,
}

impl<F: FindKey> Memory<F> {
    pub fn new(inner: F, fault: Fault) -> Self {
        let capacity = CacheCapacity { live_keys: 16, unknown_digests: 16 };
        match fault {
            Fault::NoEpoch => {
                let (lease, kept) = (Lease::lost(), Mutex::default());
                Self::WithoutEpoch(Arc::new(WithoutEpoch { inner, lease, kept }))
            }
            Fault::NoLease => Self::Real(VerificationCache::alone(inner, capacity)),
            Fault::None | Fault::NoWaiting => Self::Real(VerificationCache::new(inner, capacity)),
        }
    }

    pub fn find(&self, digest: KeyDigest, now: Now) -> Search {
        match self {
            Self::Real(cache) => {
                let cache = cache.clone();
                Box::pin(async move { cache.find_key(digest, now).await })
            }
            Self::WithoutEpoch(cache) => {
                let cache = Arc::clone(cache);
                Box::pin(async move { cache.find(digest, now).await })
            }
        }
    }

    pub fn lease(&self) -> &Lease {
        match self {
            Self::Real(cache) => cache.lease(),
            Self::WithoutEpoch(cache) => &cache.lease,
        }
    }

    pub fn revoke(&self, revocations: &[Revocation]) {
        match self {
            Self::Real(cache) => cache.revoke(revocations),
            Self::WithoutEpoch(cache) => cache.revoke(revocations),
        }
    }
}

impl<F: FindKey> WithoutEpoch<F> {
    async fn find(&self, digest: KeyDigest, now: Now) -> Answer {
        let kept = self.kept.lock().get(&digest).cloned();
        match kept.filter(|_| self.lease.holds(now.boot)) {
            Some(answer) => Ok(answer),
            None => {
                let answer = self.inner.find_key(digest, now).await?;
                self.kept.lock().insert(digest, answer.clone());
                Ok(answer)
            }
        }
    }

    fn revoke(&self, revocations: &[Revocation]) {
        for revocation in revocations {
            if let Revocation::Key(digest) = revocation {
                self.kept.lock().remove(digest);
            }
        }
    }
}
