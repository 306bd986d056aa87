//! The cache before a store: what it remembers, and the one door by which it is told to forget.

use std::sync::Arc;

use harmony_key::KeyDigest;

use crate::{
    FindKey, FindKeyError, KeyRecord, Lease, Now, Revocation,
    flight::{Answer, Flights},
    mix::Mixer,
    sync::atomic::{AtomicU64, Ordering},
    table::{Kept, Table},
};

/// How often a look-up begins anew because access was taken away meanwhile, before it gives up.
const TRIES_MAX: usize = 16;

/// How many roles, users and workspaces one sweep compares each entry with; beyond, everything is forgotten instead.
const SWEPT_MAX: usize = 64;

/// The table of live keys has this many places for each key it is meant for: of so many keys, fewer than 1 in 1,000 finds
/// both of its sets full.
const PLACES_PER_KEY: usize = 2;

/// How much a [`VerificationCache`] remembers. Its memory is taken once, when it is made, and never grows: some 25 bytes
/// for each live key besides its record, and 40 for each unknown digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheCapacity {
    /// Live keys that it is meant for. It holds at most twice as many, rounded up to a whole set of 8.
    pub live_keys: usize,
    /// Digests that it holds, rounded up to a whole set of 8, of which the store has said that no key has them.
    pub unknown_digests: usize,
}

impl Default for CacheCapacity {
    /// 100,000 of each.
    fn default() -> Self {
        Self { live_keys: 100_000, unknown_digests: 100_000 }
    }
}

/// Decorates a store with a bounded memory that never answers by what was revoked.
///
/// - What [`revoke`](Self::revoke) names is never again answered from memory once that has returned, not even by a query
///   that began before and ends after (the fill tokens of R. Nishtala et al., "Scaling Memcache at Facebook", 2013).
/// - Many who miss the same key make one query. Errors are not remembered.
/// - Unknown digests are remembered apart from live keys, so that garbage never evicts these.
/// - While its [`Lease`] does not hold, it asks the store each time.
///
/// Clones are handles of one cache.
pub struct VerificationCache<F> {
    state: Arc<State<F>>,
}

struct State<F> {
    inner: F,
    lease: Lease,
    /// Grows with each revocation; begins at 0.
    epoch: AtomicU64,
    mixer: Mixer,
    live: Table<Arc<KeyRecord>>,
    unknown: Table<KeyDigest>,
    flights: Arc<Flights>,
    misses: AtomicU64,
    stale_fills: AtomicU64,
    without_lease: AtomicU64,
}

/// What a [`VerificationCache`] has done since it was made, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// Look-ups of live keys that were answered from memory.
    pub hits: u64,
    /// Look-ups of unknown keys that were answered from memory.
    pub unknown_hits: u64,
    /// Look-ups that had to wait for the store, though the lease held.
    pub misses: u64,
    /// Look-ups that went to the store because the lease did not hold.
    pub without_lease: u64,
    /// Answers of the store that were thrown away because access was taken away while it was being asked.
    pub stale_fills: u64,
    /// Live keys held now.
    pub live_keys: usize,
    /// Unknown digests held now.
    pub unknown_digests: usize,
    /// Queries of the store under way now that others may wait for.
    pub queries_under_way: usize,
}

/// Access was taken away each time the store was asked.
#[derive(Debug, thiserror::Error)]
#[error("what the store said kept changing while it was asked")]
struct KeptChanging;

impl<F: FindKey> VerificationCache<F> {
    /// A cache for a process that shares its store with others: it remembers nothing until its [`lease`](Self::lease) is
    /// extended.
    #[must_use]
    pub fn new(inner: F, capacity: CacheCapacity) -> Self {
        Self::with_lease(inner, capacity, Lease::lost())
    }

    /// A cache for the only process over its store, with a lease that always holds. Each change that takes access away,
    /// and each import of a key, must be handed to [`revoke`](Self::revoke) before it is answered.
    #[must_use]
    pub fn alone(inner: F, capacity: CacheCapacity) -> Self {
        Self::with_lease(inner, capacity, Lease::unbounded())
    }

    fn with_lease(inner: F, capacity: CacheCapacity, lease: Lease) -> Self {
        let state = State {
            inner,
            lease,
            epoch: AtomicU64::new(0),
            mixer: Mixer::drawn(),
            live: Table::with_places(capacity.live_keys.saturating_mul(PLACES_PER_KEY)),
            unknown: Table::with_places(capacity.unknown_digests),
            flights: Arc::new(Flights::new()),
            misses: AtomicU64::new(0),
            stale_fills: AtomicU64::new(0),
            without_lease: AtomicU64::new(0),
        };
        Self { state: Arc::new(state) }
    }

    /// The store behind the cache.
    #[must_use]
    pub fn inner(&self) -> &F {
        &self.state.inner
    }

    /// Until when it may answer from memory.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.state.lease
    }

    /// The one door by which it forgets. Call it after the change was committed and before it is answered.
    ///
    /// A key that comes to be with a text that may have been tried before (an import, a creation) is told in the same way.
    pub fn revoke(&self, revocations: &[Revocation]) {
        if !revocations.is_empty() {
            self.state.forget(revocations);
        }
    }

    /// Forgets everything: for a process that may have missed revocations and cannot learn which.
    pub fn revoke_all(&self) {
        self.state.forget_all();
    }

    /// What it has done and what it holds. Visits the whole table: for a scrape of metrics, not for a request.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let (hits, live_keys) = self.state.live.counts();
        let (unknown_hits, unknown_digests) = self.state.unknown.counts();
        CacheStats {
            hits,
            unknown_hits,
            misses: self.state.misses.load(Ordering::Relaxed),
            without_lease: self.state.without_lease.load(Ordering::Relaxed),
            stale_fills: self.state.stale_fills.load(Ordering::Relaxed),
            live_keys,
            unknown_digests,
            queries_under_way: self.state.flights.under_way(),
        }
    }
}

impl<F> Clone for VerificationCache<F> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state) }
    }
}

impl<F: FindKey> FindKey for VerificationCache<F> {
    async fn find_key(&self, digest: KeyDigest, now: Now) -> Answer {
        if let Some(answer) = self.state.remembered(&digest, now) {
            return Ok(answer);
        }
        // Boxed, so that the future of the usual case stays small.
        Box::pin(State::ask(&self.state, digest, now)).await
    }

    fn remembered(&self, digest: &KeyDigest, now: Now) -> Option<Arc<KeyRecord>> {
        self.state.remembered(digest, now).flatten()
    }
}

impl<F: FindKey> State<F> {
    /// What memory says, while it may speak. `Some(None)`: no key has this digest.
    fn remembered(&self, digest: &KeyDigest, now: Now) -> Option<Option<Arc<KeyRecord>>> {
        if !self.lease.holds(now.boot) {
            return None;
        }
        let spot = self.mixer.spot(digest);
        if let Some(record) = self.live.get(digest, spot) {
            return Some(Some(record));
        }
        self.unknown.get(digest, spot).map(|_| None)
    }

    /// Asks the store, with all who ask the same, until an answer was read in an epoch that still lasts.
    async fn ask(this: &Arc<Self>, digest: KeyDigest, now: Now) -> Answer {
        for attempt in 0..TRIES_MAX {
            if !this.lease.holds(now.boot) {
                this.without_lease.fetch_add(1, Ordering::Relaxed);
                return this.inner.find_key(digest, now).await;
            }
            // Read after the request arrived. A query under way that began in an earlier epoch may have read before what
            // was revoked since, so it is not joined.
            let epoch = this.epoch.load(Ordering::SeqCst);
            let fill = || Self::fill(Arc::clone(this), digest, now, epoch);
            let remembered = || this.remembered(&digest, now);
            let flight = match this.flights.join_or_start(digest, epoch, remembered, fill) {
                Ok(answer) => return Ok(answer),
                Err(flight) => flight,
            };
            if attempt == 0 {
                this.misses.fetch_add(1, Ordering::Relaxed);
            }
            let answer = flight.await?;
            if this.epoch.load(Ordering::SeqCst) == epoch {
                return Ok(answer);
            }
        }
        Err(FindKeyError::new(KeptChanging))
    }

    /// Asks the store once, and remembers the answer if no access was taken away since `epoch`, under which it began.
    ///
    /// Why nothing revoked is ever put back: [`State::forget`] moves the epoch *first* and only then visits the sets,
    /// each under its lock. An insertion compares the epoch under that same lock. If its turn at the lock comes before the
    /// visit's, the visit finds the entry and drops it; if after, the lock has made the moved epoch visible, and the
    /// insertion is refused.
    async fn fill(this: Arc<Self>, digest: KeyDigest, now: Now, epoch: u64) -> Answer {
        let answer = this.inner.find_key(digest, now).await?;
        let spot = this.mixer.spot(&digest);
        let still_true = || this.epoch.load(Ordering::SeqCst) == epoch;
        let kept = match &answer {
            Some(record) => this.live.insert(spot, Arc::clone(record), still_true),
            None => this.unknown.insert(spot, digest, still_true),
        };
        if !kept {
            this.stale_fills.fetch_add(1, Ordering::Relaxed);
        }
        Ok(answer)
    }

    fn forget(&self, revocations: &[Revocation]) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        let mut swept = Vec::new();
        for revocation in revocations {
            match revocation {
                Revocation::Key(digest) => {
                    let spot = self.mixer.spot(digest);
                    self.live.remove(digest, spot);
                    self.unknown.remove(digest, spot);
                }
                Revocation::Role(_) | Revocation::User(_) | Revocation::Workspace(_) => {
                    swept.push(*revocation)
                }
            }
        }
        match swept.len() {
            0 => {}
            1..=SWEPT_MAX => {
                self.live.retain(|record| !swept.iter().any(|revocation| revocation.names(record)))
            }
            _ => self.live.retain(|_| false),
        }
    }

    fn forget_all(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.live.retain(|_| false);
        self.unknown.retain(|_| false);
    }
}

impl Kept for Arc<KeyRecord> {
    fn digest(&self) -> &KeyDigest {
        &self.digest
    }
}
