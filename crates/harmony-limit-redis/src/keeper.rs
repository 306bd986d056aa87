//! The one task that speaks to Redis for a domain: it gathers what is asked, takes grants, gives idle ones back, and says with each beat
//! that the node is there.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use harmony_limit::{Decision, Now, Secret};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use crate::domain::{Domain, Reach, millis};
use crate::entry::{CallTimes, Entry, Grant};
use crate::link::{Link, LinkError};
use crate::options::{Event, Listener, Mode, OnOutage};
use crate::script::{
    Answer, Back, Beat, Call, Counted, Keys, MAX_CLIENTS, Register, Row, Script, Terms, Wish,
};
use crate::stats::{Counters, add};
use crate::table::Evicted;
use crate::timing::{BEAT_MS, BEAT_VALID_MS, IDLE_MS, PATIENCE_CALLS, RETURN_MS};

/// The monotonic clock by which requests are told the time.
pub(crate) type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// A request that has to wait.
pub(crate) struct Ask {
    pub(crate) client: u64,
    pub(crate) now: Now,
    pub(crate) answer: oneshot::Sender<Decision>,
}

/// What every keeper of a node has in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) counters: Arc<Counters>,
    pub(crate) listener: Listener,
    pub(crate) clock: Clock,
    pub(crate) mode: Mode,
    pub(crate) on_outage: OnOutage,
    pub(crate) call_within: Duration,
    /// This process among all nodes.
    pub(crate) id: String,
    /// Where names of epochs come from.
    pub(crate) names: Arc<Secret>,
}

pub(crate) struct Keeper {
    pub(crate) common: Common,
    pub(crate) domain: Arc<Domain>,
    pub(crate) link: Link,
    pub(crate) script: Script,
    pub(crate) keys: Keys,
    asks: mpsc::Receiver<Ask>,
    stop: watch::Receiver<bool>,
    waiting: HashMap<u64, VecDeque<Ask>>,
    /// Unused rests, to be given back with the next call.
    pub(crate) backs: VecDeque<Back>,
    /// Clients whose rest is looked at, and when.
    idle: VecDeque<(u64, u64)>,
    pub(crate) epoch: String,
    epochs_named: u64,
    rows: Vec<Row>,
    rows_ms: u64,
    nodes: u32,
    /// Redis's clock, and this node's at the same time or a little before.
    redis_at: Option<(u64, u64)>,
    next_beat_ms: u64,
    /// Until when windows run of which this node can no longer tell what it took.
    pub(crate) forgotten_until_ms: u64,
    /// Whether Redis counts anew and has not been told yet.
    pub(crate) owes_all: bool,
    told_lost: bool,
}

enum Woken {
    Asked(Ask),
    Beat,
}

/// How many unused rests wait to be given back at most. More are lost, which lets nobody through too often.
const MAX_BACKS: usize = 65_536;
/// The part of the limit that all nodes claim together. What a node claims that crashed is nobody's until it is forgotten, and a
/// crash must never take more than that.
const CLAIMED_PART: u32 = 2;
/// How many of them go along with one call.
const BACKS_A_CALL: usize = MAX_CLIENTS / 2;

impl Keeper {
    pub(crate) fn new(
        common: Common,
        domain: Arc<Domain>,
        link: Link,
        keys: Keys,
        asks: mpsc::Receiver<Ask>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            common,
            domain,
            link,
            script: Script::default(),
            keys,
            asks,
            stop,
            waiting: HashMap::new(),
            backs: VecDeque::new(),
            idle: VecDeque::new(),
            epoch: String::new(),
            epochs_named: 0,
            rows: Vec::new(),
            rows_ms: 0,
            nodes: 1,
            redis_at: None,
            next_beat_ms: 0,
            forgotten_until_ms: 0,
            owes_all: false,
            told_lost: false,
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        millis((self.common.clock)())
    }

    pub(crate) fn is_registered(&self) -> bool {
        !self.epoch.is_empty()
    }

    /// Until the node stops.
    pub(crate) async fn run(mut self) {
        loop {
            if self.now_ms() >= self.next_beat_ms {
                self.beat().await;
            }
            while let Ok(ask) = self.asks.try_recv() {
                self.accept(ask);
            }
            if self.domain.reach() != Reach::Online {
                self.turn_away();
            } else if !self.waiting.is_empty() || !self.backs.is_empty() {
                self.round().await;
                continue;
            }
            match self.woken().await {
                Some(Woken::Asked(ask)) => self.accept(ask),
                Some(Woken::Beat) => {}
                None => break,
            }
        }
        self.turn_away();
        self.leave().await;
    }

    /// Waits for something to do; `None` at the end.
    async fn woken(&mut self) -> Option<Woken> {
        let pause = Duration::from_millis(self.next_beat_ms.saturating_sub(self.now_ms()));
        tokio::select! {
            ask = self.asks.recv() => ask.map(Woken::Asked),
            () = sleep(pause) => Some(Woken::Beat),
            _ = self.stop.wait_for(|stop| *stop) => None,
        }
    }

    fn accept(&mut self, ask: Ask) {
        self.waiting.entry(ask.client).or_default().push_back(ask);
    }

    /// Answers all who wait from what is held, as nobody can be asked.
    fn turn_away(&mut self) {
        for (client, asks) in self.waiting.drain() {
            for ask in asks {
                let now = Now { mono: (self.common.clock)(), ..ask.now };
                // Who has gone has spent nothing.
                if !ask.answer.is_closed() {
                    let _ = ask.answer.send(self.domain.without_redis(client, now, &self.common.counters));
                }
            }
        }
    }

    /// One call for as many clients as fit, and for what is to be given back.
    async fn round(&mut self) {
        let now_ms = self.now_ms();
        let backs = self.backs.len().min(BACKS_A_CALL);
        let clients: Vec<u64> = self.waiting.keys().copied().take(MAX_CLIENTS - backs).collect();
        let wishes: Vec<Wish> = clients.iter().filter_map(|client| self.wish(*client, now_ms)).collect();
        let backs: Vec<Back> = self.backs.drain(..backs).collect();
        if wishes.is_empty() && backs.is_empty() {
            return;
        }
        let limit = self.domain.quota.limit().get();
        let terms =
            Terms { epoch: &self.epoch, limit, window_ms: self.window_ms(), nodes: self.nodes.max(1) };
        let called = (self.common.clock)();
        let answer = self.script.take(&self.link, &self.keys, terms, &wishes, &backs).await;
        self.called(called, answer.is_err());
        match answer {
            Ok(Answer::Done(counted)) => {
                add(&self.common.counters.given_back, backs.iter().map(|back| u64::from(back.back)).sum());
                self.counted(&wishes, &counted, millis(called));
            }
            Ok(Answer::OtherEpoch | Answer::Closed | Answer::Late) => {
                self.domain.set_reach(Reach::Offline);
                self.next_beat_ms = 0;
            }
            Err(error) => self.lost(&error),
        }
    }

    /// Serves who waits from what is held by now, and says what else is needed.
    fn wish(&mut self, client: u64, now_ms: u64) -> Option<Wish> {
        let asks = self.waiting.get_mut(&client)?;
        let patience = millis(self.common.call_within * PATIENCE_CALLS);
        // Who has gone needs nothing.
        asks.retain(|ask| !ask.answer.is_closed());
        let mut wish = Wish { client, waiting: 0, ahead: 1, taken: 0 };
        if let Some(entry) = self.domain.table.bucket(client).find(client)
            && entry.is_running(now_ms)
        {
            if entry.is_idle(now_ms) {
                entry.step = 1;
            }
            (wish.taken, wish.ahead) = (entry.taken, entry.step);
            while let Some(ask) = asks.pop_front() {
                let decided = if entry.spend(now_ms) {
                    self.domain.allowed(entry, ask.now)
                } else if entry.refuses(now_ms) {
                    self.domain.refused(entry, ask.now)
                } else {
                    asks.push_front(ask);
                    break;
                };
                let _ = ask.answer.send(decided);
            }
        }
        while let Some(ask) = asks.pop_front_if(|ask| now_ms > millis(ask.now.mono) + patience) {
            let now = Now { mono: Duration::from_millis(now_ms), ..ask.now };
            let _ = ask.answer.send(self.domain.without_redis(client, now, &self.common.counters));
        }
        wish.waiting = u32::try_from(asks.len()).unwrap_or(u32::MAX);
        if wish.waiting == 0 {
            self.waiting.remove(&client);
            return None;
        }
        if self.common.mode == Mode::Exact {
            wish.ahead = 0;
        }
        Some(wish)
    }

    fn counted(&mut self, wishes: &[Wish], counted: &Counted, sent_ms: u64) {
        let times =
            CallTimes { sent_ms, answered_ms: self.now_ms() + 1, redis_unix_ms: counted.redis_unix_ms };
        for (wish, grant) in wishes.iter().zip(&counted.grants) {
            self.granted(wish.client, *grant, times);
        }
    }

    fn granted(&mut self, client: u64, grant: Grant, times: CallTimes) {
        let mut asks = self.waiting.remove(&client).unwrap_or_default();
        asks.retain(|ask| !ask.answer.is_closed());
        let served = u32::try_from(asks.len()).unwrap_or(u32::MAX).min(grant.given);
        let keeps = grant.given - served;
        let returns = self.common.mode == Mode::Lease;
        if grant.given > 0 {
            add(&self.common.counters.grants, 1);
            add(&self.common.counters.granted, u64::from(grant.given));
        }
        let mut watch = false;
        let (entry, evicted) = self.domain.update(client, times.answered_ms, |entry| {
            entry.credit(grant, keeps, times, returns);
            watch = entry.left > 0 && !entry.watched && self.idle.len() < self.domain.table.capacity();
            entry.watched |= watch;
        });
        if watch {
            self.idle.push_back((times.answered_ms + IDLE_MS, client));
        }
        if let Some(evicted) = evicted {
            self.evicted(evicted, times.answered_ms);
        }
        for nth in 0..served {
            let Some(ask) = asks.pop_front() else { break };
            // What it shows is what was left when its turn came.
            let shown = Entry { left: grant.given - 1 - nth, ..entry };
            let _ = ask.answer.send(self.domain.allowed(&shown, ask.now));
        }
        // All that wait are granted, or nothing is left.
        for ask in asks {
            let _ = ask.answer.send(self.domain.refused(&entry, ask.now));
        }
    }

    fn evicted(&mut self, evicted: Evicted, now_ms: u64) {
        let Evicted { client, mut entry } = evicted;
        add(&self.common.counters.evictions, 1);
        if entry.left > 0 && entry.is_running(now_ms) {
            self.give_back(client, &mut entry);
        }
        if entry.taken > 0 {
            self.forgotten_until_ms = self.forgotten_until_ms.max(entry.late_ms);
        }
    }

    fn give_back(&mut self, client: u64, entry: &mut Entry) {
        let back = entry.release();
        if self.backs.len() < MAX_BACKS {
            self.backs.push_back(Back { client, back, of_unix_ms: entry.stop_unix_ms });
        }
    }

    /// Takes back what was not used for a while.
    fn gather_idle(&mut self, now_ms: u64) {
        while let Some((_, client)) = self.idle.pop_front_if(|(due_ms, _)| *due_ms <= now_ms) {
            let domain = Arc::clone(&self.domain);
            let mut bucket = domain.table.bucket(client);
            let Some(entry) = bucket.find(client) else { continue };
            entry.watched = false;
            if entry.left == 0 || !entry.is_running(now_ms) {
                continue;
            }
            if entry.is_idle(now_ms) {
                self.give_back(client, entry);
            } else {
                entry.watched = true;
                self.idle.push_back((entry.spent_ms + IDLE_MS, client));
            }
        }
    }

    async fn beat(&mut self) {
        match self.domain.reach() {
            Reach::Away => self.come_back().await,
            Reach::Online | Reach::Offline => self.live_beat().await,
        }
        let now_ms = self.now_ms();
        let online = self.domain.reach() == Reach::Online;
        if online {
            self.gather_idle(now_ms);
        }
        self.next_beat_ms = now_ms + if online { BEAT_MS } else { RETURN_MS };
    }

    /// Says that the node is there. From when this is sent, it no longer counts as one that others leave its share.
    pub(crate) async fn live_beat(&mut self) {
        let sent_ms = self.now_ms();
        self.domain.set_beat_ms(sent_ms);
        let target = match self.common.on_outage {
            OnOutage::Share => self.domain.quota.limit().get() / CLAIMED_PART / self.nodes.max(1),
            OnOutage::Refuse => 0,
        };
        // Should the answer get lost, the smaller one is certainly its own.
        self.domain.set_share(self.domain.share().min(target));
        match self.send_beat(Call::Live, target).await {
            Ok(Answer::Done(register)) if register.epoch == self.epoch || !self.is_registered() => {
                self.domain.set_share(register.share.min(target));
                self.open_or_close(register.opens_in_ms == 0);
                self.registered(register, sent_ms);
            }
            Ok(Answer::Done(register)) => {
                self.domain.set_reach(Reach::Offline);
                self.other_epoch(&register.epoch);
                self.registered(register, sent_ms);
                self.settle_and_live().await;
            }
            Ok(_) => self.lost(&LinkError::Slow(Duration::from_millis(BEAT_VALID_MS))),
            Err(error) => self.lost(&error),
        }
    }

    pub(crate) fn registered(&mut self, register: Register, sent_ms: u64) {
        self.epoch = register.epoch;
        self.nodes = register.live;
        self.redis_at = Some((register.now_unix_ms, sent_ms));
        (self.rows, self.rows_ms) = (register.rows, sent_ms);
        self.common.counters.nodes.store(u64::from(register.live), std::sync::atomic::Ordering::Relaxed);
    }

    fn open_or_close(&mut self, open: bool) {
        self.domain.set_reach(if open { Reach::Online } else { Reach::Offline });
        if open && std::mem::take(&mut self.told_lost) {
            self.common.counters.out_of_reach.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            (self.common.listener)(Event::Back);
        }
    }

    pub(crate) async fn send_beat(&mut self, call: Call, share: u32) -> Result<Answer<Register>, LinkError> {
        let (called, now_ms) = ((self.common.clock)(), self.now_ms());
        self.epochs_named += 1;
        let fresh_epoch = format!("{:08x}", self.common.names.permute(self.epochs_named) >> 32);
        let valid = self.redis_at.filter(|_| call == Call::Live);
        let since = now_ms.saturating_sub(self.rows_ms);
        let rows: Vec<Row> =
            self.rows.iter().map(|row| Row { age_ms: row.age_ms + since, ..row.clone() }).collect();
        let beat = Beat {
            epoch: &self.epoch,
            fresh_epoch: &fresh_epoch,
            id: &self.common.id,
            call,
            valid_until_unix_ms: valid.map_or(0, |(redis, ours)| redis + (now_ms - ours) + BEAT_VALID_MS),
            window_ms: self.window_ms(),
            limit: self.domain.quota.limit().get(),
            share,
            rows: &rows,
        };
        let answer = self.script.beat(&self.link, &self.keys, &beat).await;
        self.called(called, answer.is_err());
        answer
    }

    pub(crate) fn called(&self, called: Duration, failed: bool) {
        self.common.counters.called((self.common.clock)().saturating_sub(called));
        if failed {
            add(&self.common.counters.calls_failed, 1);
        }
    }

    /// Redis is out of reach: the connection is given up, and nobody waits.
    pub(crate) fn lost(&mut self, error: &LinkError) {
        self.link.drop_connection();
        self.domain.set_reach(Reach::Away);
        self.next_beat_ms = self.now_ms() + RETURN_MS;
        if !std::mem::replace(&mut self.told_lost, true) {
            add(&self.common.counters.outages, 1);
            self.common.counters.out_of_reach.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            (self.common.listener)(Event::Lost(&error.to_string()));
        }
        self.turn_away();
    }

    pub(crate) fn window_ms(&self) -> u64 {
        millis(self.domain.quota.window())
    }

    /// Gives back all that is held.
    pub(crate) fn release_all(&mut self, now_ms: u64) {
        let domain = Arc::clone(&self.domain);
        domain.table.each(|client, entry| {
            if entry.left > 0 && entry.is_running(now_ms) {
                self.give_back(client, entry);
            }
        });
    }

    pub(crate) async fn send_backs(&mut self) {
        while !self.backs.is_empty() && self.domain.reach() == Reach::Online {
            self.round().await;
        }
    }
}
