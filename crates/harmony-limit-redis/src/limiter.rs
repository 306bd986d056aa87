use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc as handover};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use harmony_limit::{Asked, ClientKey, Decision, Limiter, Now, Quota, Secret};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::domain::{Domain, Reach, Verdict};
use crate::inspect::look;
use crate::keeper::{Ask, Clock, Common, Keeper};
use crate::link::{Link, LinkError};
use crate::options::{Event, Listener, Options, StartError};
use crate::script::Keys;
use crate::stats::{Counters, Stats};
use crate::table::Table;
use crate::timing::{GRACE_MS, RETURN_MS, START_WITHIN};

/// Counts together with all others that have the same Redis, prefix and quota.
///
/// One thread of its own speaks to Redis. A request is answered at once from the grants that this node holds; only where there are none
/// it waits, for a call or a few, each of which has a deadline.
pub struct SharedLimiter {
    quota: Quota,
    domains: Vec<Seat>,
    counters: Arc<Counters>,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Seat {
    domain: Arc<Domain>,
    asks: mpsc::Sender<Ask>,
}

/// In how many parts a cluster's clients are kept, each in a slot of its own. Every node must agree on it.
const CLUSTER_DOMAINS: usize = 64;
/// How many requests may wait at once. More are decided without Redis.
const MAX_WAITING: usize = 65_536;

impl SharedLimiter {
    /// Connects, looks whether this Redis will do, and joins the other nodes. `clock` is the monotonic clock of the requests'
    /// [`Now::mono`]; `listener` is told what an operator should know.
    ///
    /// # Errors
    ///
    /// When Redis cannot be reached within 5 seconds, is too old, or may evict keys.
    pub fn start(
        options: &Options,
        clock: impl Fn() -> Duration + Send + Sync + 'static,
        listener: impl Fn(Event<'_>) + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let draw = || Secret::draw().map_err(|_| StartError::NoRandomness);
        let parts = if options.address.is_cluster() { CLUSTER_DOMAINS } else { 1 };
        let (clock, listener): (Clock, Listener) = (Arc::new(clock), Arc::new(listener));
        let counters = Arc::new(Counters::default());
        let names = draw()?;
        let common = Common {
            counters: Arc::clone(&counters),
            listener,
            clock,
            mode: options.mode,
            on_outage: options.on_outage,
            call_within: options.call_within,
            id: format!("{:016x}", names.permute(u64::MAX)),
            names: Arc::new(names),
        };
        let (stop, stopped) = watch::channel(false);
        let mut domains = Vec::with_capacity(parts);
        let mut places = Vec::with_capacity(parts);
        for part in 0..parts {
            let table = Table::new(options.memory, parts, draw()?);
            let domain = Arc::new(Domain::new(table, options.quota));
            let (asks, asked) = mpsc::channel(MAX_WAITING / parts);
            let keys = Keys::new(&options.prefix, part);
            places.push(Place { domain: Arc::clone(&domain), keys, asked, stopped: stopped.clone() });
            domains.push(Seat { domain, asks });
        }
        let thread = run_thread(options.clone(), common, places)?;
        Ok(Self { quota: options.quota, domains, counters, stop, thread: Mutex::new(Some(thread)) })
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        let capacity = self.domains.iter().map(|seat| seat.domain.table.capacity() as u64).sum();
        self.counters.stats(capacity)
    }

    /// Gives back what is held and leaves the other nodes. What comes afterwards is decided as without Redis.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        for seat in &self.domains {
            seat.domain.set_share(0);
            seat.domain.set_reach(Reach::Offline);
        }
    }

    /// The same on every node, whatever its secrets.
    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "the product of a fraction and the length is below the length"
    )]
    fn seat(&self, client: u64) -> &Seat {
        // Multiply-shift (Dietzfelbinger 1997): the golden ratio spreads neighbouring addresses.
        let spread = client.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        &self.domains[((spread * self.domains.len() as u64) >> 32) as usize]
    }
}

impl Drop for SharedLimiter {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for SharedLimiter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SharedLimiter").field("quota", &self.quota).finish_non_exhaustive()
    }
}

impl Limiter for SharedLimiter {
    type Waiting = SharedWaiting;

    fn quota(&self) -> Quota {
        self.quota
    }

    #[inline]
    fn ask(&self, client: ClientKey, now: Now) -> Asked<SharedWaiting> {
        let client = client.bits();
        let seat = self.seat(client);
        match seat.domain.check(client, now, &self.counters) {
            Verdict::Decided(decision) => Asked::Decided(decision),
            Verdict::Ask => self.wait(seat, client, now),
        }
    }
}

impl SharedLimiter {
    #[inline(never)]
    fn wait(&self, seat: &Seat, client: u64, now: Now) -> Asked<SharedWaiting> {
        let (answer, decision) = oneshot::channel();
        if seat.asks.try_send(Ask { client, now, answer }).is_err() {
            return Asked::Decided(seat.domain.without_redis(client, now, &self.counters));
        }
        let (domain, counters) = (Arc::clone(&seat.domain), Arc::clone(&self.counters));
        Asked::Waiting(SharedWaiting { decision, domain, counters, client, now })
    }
}

/// A request that waits for a grant.
pub struct SharedWaiting {
    decision: oneshot::Receiver<Decision>,
    domain: Arc<Domain>,
    counters: Arc<Counters>,
    client: u64,
    now: Now,
}

impl Future for SharedWaiting {
    type Output = Decision;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Decision> {
        Pin::new(&mut self.decision).poll(context).map(|decided| {
            // The keeper has gone: the limiter has been stopped.
            decided.unwrap_or_else(|_| self.domain.without_redis(self.client, self.now, &self.counters))
        })
    }
}

impl fmt::Debug for SharedWaiting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SharedWaiting")
    }
}

struct Place {
    domain: Arc<Domain>,
    keys: Keys,
    asked: mpsc::Receiver<Ask>,
    stopped: watch::Receiver<bool>,
}

/// Starts the thread, and waits until it is of use.
fn run_thread(options: Options, common: Common, places: Vec<Place>) -> Result<JoinHandle<()>, StartError> {
    let (ready, is_ready) = handover::channel();
    let thread = thread::Builder::new().name("limit-redis".to_owned());
    let running = thread.spawn(move || {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = ready.send(Err(StartError::Thread(error)));
                return;
            }
        };
        runtime.block_on(async move {
            match prepare(&options, common, places).await {
                Ok(keepers) => {
                    let mut tasks: JoinSet<()> = keepers.into_iter().map(Keeper::run).collect();
                    let _ = ready.send(Ok(()));
                    while tasks.join_next().await.is_some() {}
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        });
    });
    let running = running.map_err(StartError::Thread)?;
    match is_ready.recv() {
        Ok(Ok(())) => Ok(running),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(StartError::Thread(std::io::Error::other("it ended"))),
    }
}

async fn prepare(options: &Options, common: Common, places: Vec<Place>) -> Result<Vec<Keeper>, StartError> {
    let failed = |source| StartError::Link { address: options.address.to_string(), source };
    let mut first = Link::new(&options.address, options.call_within).map_err(failed)?;
    look(&mut first, &options.address).await?;
    let mut joining = JoinSet::new();
    for Place { domain, keys, asked, stopped } in places {
        let link = first.twin(&options.address).map_err(failed)?;
        joining.spawn(join(Keeper::new(common.clone(), domain, link, keys, asked, stopped)));
    }
    joining.join_all().await.into_iter().collect::<Result<_, _>>().map_err(failed)
}

/// Joins the other nodes, and waits a little for those that may know of counts which Redis has lost.
async fn join(mut keeper: Keeper) -> Result<Keeper, LinkError> {
    let begun = keeper.now_ms();
    let mut last = LinkError::Slow(START_WITHIN);
    loop {
        match keeper.link.connect().await {
            Ok(()) => keeper.live_beat().await,
            Err(error) => last = error,
        }
        let waited = keeper.now_ms() - begun;
        let closed_for_long = keeper.is_registered() && waited > 2 * GRACE_MS;
        if keeper.domain.reach() == Reach::Online || closed_for_long {
            return Ok(keeper);
        }
        if u128::from(waited) > START_WITHIN.as_millis() {
            return Err(last);
        }
        // Nobody tells when a Redis is there, or when the others have told it what they took.
        sleep(Duration::from_millis(RETURN_MS)).await;
    }
}
