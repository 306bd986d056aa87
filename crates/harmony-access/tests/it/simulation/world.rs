//! The store, the messages, and what is promised.

use std::{cmp::Reverse, collections::BinaryHeap, fmt, sync::Arc, time::Duration};

use harmony_access::{
    Errand, FindKeyError, KeyRecord, LEASE_TTL, Outcome, POLL_EVERY, Revision, Revocation, awaited,
};

use super::node::{Node, Request};
use crate::store::{Answer, digest, poll, record};

pub type Micros = u64;

const KEYS: usize = 6;
/// How often a deleter looks whether everybody has heard.
const LOOK_EVERY: Micros = 2_000;
const LEASE: Micros = LEASE_TTL.as_micros() as u64;

/// Which safeguard is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Memory answers for ever.
    NoLease,
    /// What the store said is remembered even if access was taken away while it was asked.
    NoEpoch,
    /// A deletion is answered as soon as it is committed.
    NoWaiting,
}

/// What happens, and when it does the processor time of the process that it happens in.
enum Event {
    /// The keeper may begin a turn.
    Look(usize),
    /// What the keeper sent has arrived in the store.
    Arrived(usize, Errand),
    /// And this is what has come back.
    Returned(usize, Reply),
    Request(usize),
    QueryRead {
        node: usize,
        query: u64,
        key: usize,
    },
    QueryAnswered {
        node: usize,
        query: u64,
        answer: Answer,
    },
    /// Somebody deletes a key, or imports it again.
    Change,
    /// The deleter looks whether everybody has heard.
    Await(Deletion),
    Pause(usize),
}

struct Deletion {
    key: usize,
    version: usize,
    revision: Revision,
    began: Micros,
    /// How often each process had renewed its lease then.
    renewals: Vec<u64>,
}

enum Reply {
    Done,
    Revoked(Revision, Vec<Revocation>),
    Lost,
}

/// An event at its time; those of one moment happen in the order in which they were thought of.
struct Due {
    at: Micros,
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same world for the same seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// How long a message takes: a fraction of a millisecond, now and then many, rarely longer than a lease.
    fn delay(&mut self) -> Micros {
        match self.below(100) {
            0 => self.below(3_000_000),
            1..=4 => self.below(200_000),
            _ => 50 + self.below(1_500),
        }
    }
}

/// What was seen of a world.
#[derive(Default)]
pub struct Report {
    pub requests: usize,
    /// Answered without a query.
    pub hits: usize,
    pub deletions: usize,
    pub acknowledged: usize,
    pub expired: usize,
    pub failed_errands: usize,
    pub buried: usize,
    pub longest_wait: Micros,
    pub violations: Vec<String>,
}

impl Report {
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.hits += other.hits;
        self.deletions += other.deletions;
        self.acknowledged += other.acknowledged;
        self.expired += other.expired;
        self.failed_errands += other.failed_errands;
        self.buried += other.buried;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            hits,
            deletions,
            acknowledged,
            expired,
            failed_errands,
            buried,
            longest_wait,
            ..
        } = self;
        let longest = Duration::from_micros(*longest_wait);
        write!(
            out,
            "{requests} requests, {hits} from memory; {deletions} changes: {acknowledged} acknowledged, {expired} waited out, \
             at most {longest:?}; {failed_errands} errands lost, {buried} processes given up"
        )
    }
}

pub struct World {
    fault: Fault,
    chance: Chance,
    now: Micros,
    due: BinaryHeap<Reverse<Due>>,
    number: u64,
    nodes: Vec<Node>,
    /// For each key, whether it was alive: the last is so now.
    versions: Vec<Vec<bool>>,
    /// For each key, the version whose beginning was answered.
    floors: Vec<usize>,
    revoked: Vec<Revocation>,
    /// For each process that has a row in the store, up to where it has seen.
    seen: Vec<Option<Revision>>,
    /// How often each process has renewed its lease.
    renewals: Vec<u64>,
    report: Report,
}

impl World {
    pub fn new(seed: u64, fault: Fault) -> Self {
        let mut chance = Chance(seed);
        let count = 2 + chance.below(4) as usize;
        let nodes = (0..count).map(|_| Node::new(fault, chance.below(11) as i64 - 5)).collect();
        let mut world = Self {
            fault,
            chance,
            now: 0,
            due: BinaryHeap::new(),
            number: 0,
            nodes,
            versions: vec![vec![true]; KEYS],
            floors: vec![0; KEYS],
            revoked: Vec::new(),
            seen: vec![None; count],
            renewals: vec![0; count],
            report: Report::default(),
        };
        for node in 0..count {
            world.after(0, Event::Look(node));
            world.after(100, Event::Request(node));
            world.after(1_000_000, Event::Pause(node));
        }
        world.after(10_000, Event::Change);
        world
    }

    pub fn run(mut self, events: usize) -> Report {
        for _ in 0..events {
            let Some(Reverse(due)) = self.due.pop() else { break };
            self.now = due.at;
            match self.process_of(&due.event).map(|node| self.nodes[node].paused_until) {
                Some(until) if until > self.now => self.due.push(Reverse(Due { at: until, ..due })),
                _ => self.happen(due.event),
            }
        }
        self.report
    }

    fn after(&mut self, delay: Micros, event: Event) {
        self.number += 1;
        self.due.push(Reverse(Due { at: self.now + delay, number: self.number, event }));
    }

    /// The process that has to be running for it.
    fn process_of(&self, event: &Event) -> Option<usize> {
        match event {
            Event::Look(node) | Event::Returned(node, _) | Event::Request(node) => Some(*node),
            Event::QueryAnswered { node, .. } => Some(*node),
            Event::Arrived(..)
            | Event::QueryRead { .. }
            | Event::Change
            | Event::Await(_)
            | Event::Pause(_) => None,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Look(node) => self.look(node),
            Event::Arrived(node, errand) => self.arrived(node, errand),
            Event::Returned(node, reply) => self.returned(node, reply),
            Event::Request(node) => self.request(node),
            Event::QueryRead { node, query, key } => self.read(node, query, key),
            Event::QueryAnswered { node, query, answer } => {
                self.nodes[node].wire.answer(query, answer);
                self.go_on(node);
            }
            Event::Change => self.change(),
            Event::Await(deletion) => self.look_around(deletion),
            Event::Pause(node) => {
                let length = if self.chance.one_in(4) { 5_000_000 } else { 100_000 };
                self.nodes[node].paused_until = self.now + self.chance.below(length);
                let next = self.chance.below(10_000_000);
                self.after(next, Event::Pause(node));
            }
        }
    }

    fn look(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        if !it.busy {
            it.busy = true;
            let errand = it.keeper.begin(it.boot(self.now));
            self.send(node, errand);
        }
    }

    fn send(&mut self, node: usize, errand: Errand) {
        if errand == Errand::Rest {
            self.nodes[node].busy = false;
            self.after(POLL_EVERY.as_micros() as u64, Event::Look(node));
        } else if self.chance.one_in(50) {
            self.after(500_000, Event::Returned(node, Reply::Lost));
        } else {
            let delay = self.chance.delay();
            self.after(delay, Event::Arrived(node, errand));
        }
    }

    /// One transaction of the store. Its answer may be lost, but what it did is done.
    fn arrived(&mut self, node: usize, errand: Errand) {
        let reply = match errand {
            Errand::Rest => Reply::Done,
            Errand::Renew(seen) => {
                self.seen[node] = Some(seen);
                self.renewals[node] += 1;
                Reply::Done
            }
            Errand::Acknowledge(seen) => {
                self.seen[node] = self.seen[node].map(|_| seen);
                Reply::Done
            }
            Errand::CatchUp(seen) => {
                let after = usize::try_from(seen.number()).unwrap();
                Reply::Revoked(self.head(), self.revoked[after..].to_vec())
            }
        };
        let (lost, delay) = (self.chance.one_in(50), self.chance.delay());
        self.after(delay, Event::Returned(node, if lost { Reply::Lost } else { reply }));
    }

    fn head(&self) -> Revision {
        Revision::new(self.revoked.len() as i64)
    }

    fn returned(&mut self, node: usize, reply: Reply) {
        let it = &mut self.nodes[node];
        let outcome = match reply {
            Reply::Done => Outcome::Done,
            Reply::Revoked(head, revoked) => {
                it.memory.revoke(&revoked);
                Outcome::CaughtUp(head)
            }
            Reply::Lost => {
                self.report.failed_errands += 1;
                Outcome::Failed
            }
        };
        let next = it.keeper.done(outcome, it.memory.lease());
        self.send(node, next);
    }

    fn request(&mut self, node: usize) {
        let key = self.chance.below(KEYS as u64) as usize;
        let it = &mut self.nodes[node];
        let search = it.memory.find(digest(key as u32), it.now(self.now));
        it.requests.push(Request { key, floor: self.floors[key], search });
        self.report.requests += 1;
        let waiting = self.nodes[node].requests.len();
        self.go_on(node);
        self.report.hits += usize::from(self.nodes[node].requests.len() < waiting);
        let next = self.chance.below(20_000);
        self.after(next, Event::Request(node));
    }

    /// Whatever this process can do now, it does, and sends what it has to ask.
    fn go_on(&mut self, node: usize) {
        let mut requests = std::mem::take(&mut self.nodes[node].requests);
        requests.retain_mut(|request| match poll(&mut request.search) {
            Some(answer) => {
                self.judge(node, request, answer);
                false
            }
            None => true,
        });
        self.nodes[node].requests = requests;
        for (query, asked) in self.nodes[node].wire.take_asked() {
            let key = (0..KEYS).find(|key| digest(*key as u32) == asked).unwrap();
            let delay = self.chance.delay();
            self.after(delay, Event::QueryRead { node, query, key });
        }
    }

    fn read(&mut self, node: usize, query: u64, key: usize) {
        let version = self.versions[key].len() - 1;
        let live = self.versions[key][version];
        let record = || Arc::new(KeyRecord { name: version.to_string(), ..record(key as u32) });
        let answer = if self.chance.one_in(100) {
            Err(FindKeyError::new(std::io::Error::other("the connection was lost")))
        } else {
            Ok(live.then(record))
        };
        let delay = self.chance.delay();
        self.after(delay, Event::QueryAnswered { node, query, answer });
    }

    /// The promise: nobody is accepted by what was taken away before they came, and nobody is refused who was let in before.
    fn judge(&mut self, node: usize, request: &Request, answer: Answer) {
        let Ok(answer) = answer else { return };
        let kept = match &answer {
            Some(record) => record.name.parse::<usize>().unwrap() >= request.floor,
            None => self.versions[request.key][request.floor..].contains(&false),
        };
        if !kept {
            let (key, floor, now) = (request.key, request.floor, self.now);
            let said =
                answer.map_or_else(|| "unknown".to_owned(), |record| format!("version {}", record.name));
            let violation = format!(
                "at {now} µs process {node} said of key {key}: {said}, after version {floor} was answered"
            );
            self.report.violations.push(violation);
        }
    }

    fn change(&mut self) {
        let key = self.chance.below(KEYS as u64) as usize;
        let live = !self.versions[key].last().unwrap();
        self.versions[key].push(live);
        self.revoked.push(Revocation::Key(digest(key as u32)));
        let (version, renewals) = (self.versions[key].len() - 1, self.renewals.clone());
        let deletion = Deletion { key, version, revision: self.head(), began: self.now, renewals };
        self.report.deletions += 1;
        for node in 0..self.nodes.len() {
            // Told at once, late, or not at all.
            if !self.chance.one_in(5) {
                let delay = self.chance.delay();
                self.after(delay, Event::Look(node));
            }
        }
        if self.fault == Fault::NoWaiting {
            self.answer(&deletion)
        } else {
            self.after(0, Event::Await(deletion))
        }
        let next = self.chance.below(400_000);
        self.after(next, Event::Change);
    }

    fn look_around(&mut self, deletion: Deletion) {
        let waiting = awaited(self.seen.iter().copied().flatten(), deletion.revision);
        let waited = self.now - deletion.began;
        if waiting.is_over() || waited > LEASE {
            self.report.acknowledged += waiting.acknowledged;
            self.report.expired += waiting.pending;
            self.report.longest_wait = self.report.longest_wait.max(waited);
            self.bury(&deletion);
            self.answer(&deletion);
        } else {
            self.after(LOOK_EVERY, Event::Await(deletion));
        }
    }

    /// Nobody waits again for a process that was waited for and has done nothing all the while.
    fn bury(&mut self, deletion: &Deletion) {
        for (node, seen) in self.seen.iter_mut().enumerate() {
            let behind = seen.is_some_and(|seen| seen < deletion.revision);
            if behind && self.renewals[node] == deletion.renewals[node] {
                *seen = None;
                self.report.buried += 1;
            }
        }
    }

    fn answer(&mut self, deletion: &Deletion) {
        let floor = &mut self.floors[deletion.key];
        *floor = (*floor).max(deletion.version);
    }
}
