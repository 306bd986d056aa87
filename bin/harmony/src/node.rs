//! This process among all that share the store: it keeps the lease that lets the cache answer, and drops what was revoked.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use harmony_access::{
    Errand, Keeper, LEASE_TTL, NodeId, Now, Outcome, POLL_EVERY, RENEW_EVERY, Revision, VerificationCache,
};
use harmony_store::{KeyFinder, Store, StoreError, api_keys, revocations};
use harmony_workspace::barrier::Process;
use prometheus_client::metrics::histogram::Histogram;

use crate::listening::Listening;

/// The cache that the corridor asks.
pub type Cache = VerificationCache<KeyFinder>;

/// How often old revocations are forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// The upper ends of the histogram of waits, in seconds: up to a lease and beyond.
const WAITS_SECS: [f64; 9] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 2.1];

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
    listening: Listening,
    standing: Arc<Standing>,
}

/// Where this process stands among the others, for its metrics.
pub struct Standing {
    clock: fn() -> Now,
    /// When the lease was last renewed, in milliseconds of the boot clock.
    renewed_at_ms: AtomicU64,
    head: AtomicI64,
    acknowledged: AtomicI64,
    alive: AtomicI64,
    pub waits: Histogram,
}

impl Standing {
    fn new(clock: fn() -> Now) -> Self {
        let waits = Histogram::new(WAITS_SECS);
        let (renewed_at_ms, head) = (AtomicU64::new(0), AtomicI64::new(0));
        Self { clock, renewed_at_ms, head, acknowledged: AtomicI64::new(0), alive: AtomicI64::new(0), waits }
    }

    /// How long ago the last renewal was sent that came through, in seconds.
    pub fn lease_age_secs(&self) -> f64 {
        let renewed_at = Duration::from_millis(self.renewed_at_ms.load(Ordering::Relaxed));
        (self.clock)().boot.saturating_sub(renewed_at).as_secs_f64()
    }

    /// How many revocations this process knows of and has not acknowledged.
    pub fn revisions_behind(&self) -> i64 {
        (self.head.load(Ordering::Relaxed) - self.acknowledged.load(Ordering::Relaxed)).max(0)
    }

    /// How many processes held a lease when this one last renewed its own.
    pub fn nodes_alive(&self) -> i64 {
        self.alive.load(Ordering::Relaxed)
    }
}

struct Runner {
    id: NodeId,
    store: Store,
    cache: Arc<Cache>,
    /// Whether keys without check digits were imported.
    foreign_keys: Arc<AtomicBool>,
    clock: fn() -> Now,
    keeper: Keeper,
    /// Whether the database tells of revocations.
    hears: Arc<AtomicBool>,
    standing: Arc<Standing>,
    pruned_at: Duration,
}

/// How the barrier sees this process.
struct Here {
    words: Mutex<Sender<Word>>,
    standing: Arc<Standing>,
}

impl Process for Here {
    fn wake(&self) {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = words.send(Word::Look);
    }

    fn boot(&self) -> Duration {
        (self.standing.clock)().boot
    }

    fn waited(&self, span: Duration) {
        self.standing.waits.observe(span.as_secs_f64());
    }
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
        let (hears, standing) = (Arc::new(AtomicBool::new(false)), Arc::new(Standing::new(clock)));
        let (keeper, pruned_at) = (Keeper::new(seen), clock().boot);
        let (told, kept, heard_of) = (Arc::clone(&hears), Arc::clone(&standing), store.clone());
        let mut runner =
            Runner { id, store, cache, foreign_keys, clock, keeper, hears, standing: kept, pruned_at };
        runner.turn()?;
        let (words, heard) = channel();
        let look = words.clone();
        let no_thread = |error: std::io::Error| StoreError::Unavailable(error.to_string());
        let wake = move || drop(look.send(Word::Look));
        let listening = Listening::start(heard_of, told, wake).map_err(no_thread)?;
        let thread = std::thread::Builder::new().name("lease".to_owned());
        let thread = thread.spawn(move || runner.run(&heard)).map_err(no_thread)?;
        Ok(Self { words, thread, listening, standing })
    }

    /// What the barrier wakes and tells.
    pub fn process(&self) -> Arc<dyn Process> {
        Arc::new(Here { words: Mutex::new(self.words.clone()), standing: Arc::clone(&self.standing) })
    }

    /// For the metrics.
    pub fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.standing)
    }

    /// Gives the lease back, so that nobody has to wait for it to run out.
    pub fn stop(self) {
        self.listening.stop();
        let _ = self.words.send(Word::Stop);
        let _ = self.thread.join();
    }
}

impl Runner {
    fn run(mut self, words: &Receiver<Word>) {
        let mut troubled = false;
        while self.waits(words) {
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

    /// Waits until somebody says something, or it is time to look; `false` at the end. Where the database tells of revocations,
    /// only renewals are due in between.
    fn waits(&self, words: &Receiver<Word>) -> bool {
        let pause = if self.hears.load(Ordering::SeqCst) { RENEW_EVERY } else { POLL_EVERY };
        matches!(words.recv_timeout(pause), Ok(Word::Look) | Err(RecvTimeoutError::Timeout))
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
        if let Some(sent) = self.keeper.renewed_at() {
            let sent_ms = u64::try_from(sent.as_millis()).unwrap_or(u64::MAX);
            self.standing.renewed_at_ms.store(sent_ms, Ordering::Relaxed);
        }
        Ok(())
    }

    fn run_errand(&self, errand: Errand, now: Now) -> Result<Outcome, StoreError> {
        match errand {
            Errand::Rest => Ok(Outcome::Done),
            Errand::Renew(seen) => {
                let ttl_ms = i64::try_from(LEASE_TTL.as_millis()).unwrap_or(i64::MAX);
                let nodes = self.store.write(|tx| {
                    revocations::renew(tx, self.id, seen, ttl_ms, now.wall)?;
                    revocations::list_nodes(tx)
                })?;
                let alive = nodes.iter().filter(|node| node.lease_left_ms > 0).count();
                self.standing.alive.store(i64::try_from(alive).unwrap_or(i64::MAX), Ordering::Relaxed);
                self.standing.acknowledged.store(seen.number(), Ordering::Relaxed);
                Ok(Outcome::Done)
            }
            Errand::CatchUp(seen) => Ok(Outcome::CaughtUp(self.catch_up(seen)?)),
            Errand::Acknowledge(seen) => {
                self.store.write(|tx| revocations::acknowledge(tx, self.id, seen))?;
                self.standing.acknowledged.store(seen.number(), Ordering::Relaxed);
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
        self.standing.head.store(head.number(), Ordering::Relaxed);
        if head < seen {
            // Another database, or one that has lost what it had: nothing remembered is certain.
            self.cache.revoke_all();
        } else if head > seen {
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
