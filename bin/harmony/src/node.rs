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
    Errand, Keeper, LEASE_TTL, NodeId, Now, Outcome, POLL_EVERY, Revision, VerificationCache,
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

struct Runner {
    id: NodeId,
    store: Store,
    cache: Arc<Cache>,
    /// Whether keys without check digits were imported.
    foreign_keys: Arc<AtomicBool>,
    clock: fn() -> Now,
    keeper: Keeper,
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
        let keeper = Keeper::new(seen);
        let mut runner = Runner { id, store, cache, foreign_keys, clock, keeper, pruned_at };
        runner.turn()?;
        let (words, heard) = channel();
        let thread = std::thread::spawn(move || runner.run(&heard));
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

impl Runner {
    fn run(mut self, words: &Receiver<Word>) {
        let mut troubled = false;
        while let Ok(Word::Look) | Err(RecvTimeoutError::Timeout) = words.recv_timeout(POLL_EVERY) {
            match self.turn().and_then(|()| self.prune()) {
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

    /// Does one errand after the other, until there is none left.
    fn turn(&mut self) -> Result<(), StoreError> {
        let now = (self.clock)();
        let mut errand = self.keeper.begin(now.boot);
        while errand != Errand::Rest {
            let outcome = self.run_errand(errand, now);
            let told = *outcome.as_ref().unwrap_or(&Outcome::Failed);
            errand = self.keeper.done(told, self.cache.lease());
            outcome?;
        }
        Ok(())
    }

    fn run_errand(&self, errand: Errand, now: Now) -> Result<Outcome, StoreError> {
        match errand {
            Errand::Rest => Ok(Outcome::Done),
            Errand::Renew(seen) => {
                let ttl_ms = i64::try_from(LEASE_TTL.as_millis()).unwrap_or(i64::MAX);
                self.store.write(|tx| revocations::renew(tx, self.id, seen, ttl_ms, now.wall))?;
                Ok(Outcome::Done)
            }
            Errand::CatchUp(seen) => Ok(Outcome::CaughtUp(self.catch_up(seen)?)),
            Errand::Acknowledge(seen) => {
                self.store.write(|tx| revocations::acknowledge(tx, self.id, seen))?;
                Ok(Outcome::Done)
            }
        }
    }

    /// Drops what was revoked since the last look, and says up to where that was.
    fn catch_up(&self, seen: Revision) -> Result<Revision, StoreError> {
        let (head, revoked, foreign) = self.store.read(|tx| {
            let head = revocations::head(tx)?;
            let revoked = if head > seen { revocations::since(tx, seen, head)? } else { Some(Vec::new()) };
            let foreign = if head > seen { api_keys::any_foreign(tx)? } else { false };
            Ok::<_, StoreError>((head, revoked, foreign))
        })?;
        if head > seen {
            // An import is a revocation too: it is answered when every process would ask the store for such a key.
            self.foreign_keys.store(foreign, Ordering::Release);
            match revoked {
                Some(revoked) => self.cache.revoke(&revoked),
                None => self.cache.revoke_all(),
            }
        }
        Ok(head)
    }

    fn prune(&mut self) -> Result<(), StoreError> {
        let now = (self.clock)();
        if now.boot.saturating_sub(self.pruned_at) >= PRUNE_EVERY {
            self.pruned_at = now.boot;
            self.store.write(|tx| revocations::prune(tx, now.wall))?;
        }
        Ok(())
    }
}
