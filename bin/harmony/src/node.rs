//! This process among all that share the store: it keeps the lease that lets the cache answer, and drops what was revoked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use harmony_access::{
    LEASE_TTL, NodeId, Now, POLL_EVERY, RENEW_EVERY, Revision, VerificationCache, lease_until,
};
use harmony_store::{KeyFinder, Store, StoreError, api_keys, revocations};

/// The cache that the corridor asks.
pub type Cache = VerificationCache<KeyFinder>;

/// How often old revocations are forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// What the thread is told.
enum Word {
    /// Something was revoked: look now.
    Look,
    /// Give the lease back and end.
    Stop,
}

/// The thread that keeps the lease.
pub struct Node {
    words: Sender<Word>,
    thread: JoinHandle<()>,
}

struct Keeper {
    id: NodeId,
    store: Store,
    cache: Arc<Cache>,
    /// Whether keys without check digits were imported.
    foreign_keys: Arc<AtomicBool>,
    clock: fn() -> Now,
    seen: Revision,
    renewed_at: Option<Duration>,
    pruned_at: Duration,
}

impl Node {
    /// Takes the lease for the first time, and starts the thread that keeps it.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    pub fn start(
        id: NodeId,
        store: Store,
        cache: Arc<Cache>,
        foreign_keys: Arc<AtomicBool>,
        clock: fn() -> Now,
    ) -> Result<Self, StoreError> {
        let (seen, any) =
            store.read(|tx| Ok::<_, StoreError>((revocations::head(tx)?, api_keys::any_foreign(tx)?)))?;
        foreign_keys.store(any, Ordering::Release);
        let pruned_at = clock().boot;
        let mut keeper = Keeper { id, store, cache, foreign_keys, clock, seen, renewed_at: None, pruned_at };
        keeper.renew()?;
        let (words, heard) = channel();
        let thread = std::thread::spawn(move || keeper.run(&heard));
        Ok(Self { words, thread })
    }

    /// Something to wake the thread with.
    pub fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let words = self.words.clone();
        Arc::new(move || drop(words.send(Word::Look)))
    }

    /// Gives the lease back, so that nobody has to wait for it to run out.
    pub fn stop(self) {
        let _ = self.words.send(Word::Stop);
        let _ = self.thread.join();
    }
}

impl Keeper {
    fn run(mut self, words: &Receiver<Word>) {
        let mut troubled = false;
        while let Ok(Word::Look) | Err(RecvTimeoutError::Timeout) = words.recv_timeout(POLL_EVERY) {
            match self.turn() {
                Ok(()) if troubled => tracing::info!("the store answers again; the lease is held"),
                Err(error) if !troubled => tracing::warn!(%error, "the lease cannot be renewed"),
                Ok(()) | Err(_) => {}
            }
            troubled = self.behind();
        }
        self.cache.lease().drop_now();
        let _ = self.store.write(|tx| revocations::leave(tx, self.id));
    }

    fn behind(&self) -> bool {
        !self.cache.lease().holds((self.clock)().boot)
    }

    fn turn(&mut self) -> Result<(), StoreError> {
        let boot = (self.clock)().boot;
        if self.renewed_at.is_none_or(|at| boot.saturating_sub(at) >= RENEW_EVERY) {
            return self.renew();
        }
        if self.catch_up()? {
            self.store.write(|tx| revocations::acknowledge(tx, self.id, self.seen))?;
        }
        Ok(())
    }

    /// The lease is measured from before the renewal is sent, and held only once everything that was revoked before the
    /// renewal has been dropped: whoever revokes later waits for this process again.
    fn renew(&mut self) -> Result<(), StoreError> {
        let sent = (self.clock)();
        let ttl_ms = i64::try_from(LEASE_TTL.as_millis()).unwrap_or(i64::MAX);
        self.store.write(|tx| revocations::renew(tx, self.id, self.seen, ttl_ms, sent.wall))?;
        if self.catch_up()? {
            self.store.write(|tx| revocations::acknowledge(tx, self.id, self.seen))?;
        }
        self.cache.lease().extend(lease_until(sent.boot, LEASE_TTL));
        self.renewed_at = Some(sent.boot);
        if sent.boot.saturating_sub(self.pruned_at) >= PRUNE_EVERY {
            self.pruned_at = sent.boot;
            self.store.write(|tx| revocations::prune(tx, sent.wall))?;
        }
        Ok(())
    }

    /// Drops what was revoked since the last look; `true` when there was something.
    fn catch_up(&mut self) -> Result<bool, StoreError> {
        let seen = self.seen;
        let news = self.store.read(|tx| {
            let head = revocations::head(tx)?;
            let revoked = if head > seen { revocations::since(tx, seen, head)? } else { Some(Vec::new()) };
            let foreign = if head > seen { api_keys::any_foreign(tx)? } else { false };
            Ok::<_, StoreError>((head, revoked, foreign))
        })?;
        if news.0 == seen {
            return Ok(false);
        }
        // An import is a revocation too: it is answered when every process would ask the store for such a key.
        self.foreign_keys.store(news.2, Ordering::Release);
        match news.1 {
            Some(revoked) => self.cache.revoke(&revoked),
            None => self.cache.revoke_all(),
        }
        self.seen = news.0;
        Ok(true)
    }
}
