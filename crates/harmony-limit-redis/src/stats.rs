use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// The upper ends of [`Stats::calls_by_secs`], in seconds; the last of the counts is for all that took longer.
pub const CALL_SECS: [f64; 8] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1];

const BUCKETS: usize = CALL_SECS.len() + 1;

/// What a [`crate::SharedLimiter`] has done since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// How many clients can be known at once.
    pub capacity: u64,
    /// Calls of Redis, of all kinds.
    pub calls: u64,
    /// Calls that failed or took too long.
    pub calls_failed: u64,
    /// Calls by the time that they took: up to each of [`CALL_SECS`], and longer.
    pub calls_by_secs: [u64; BUCKETS],
    /// The time that all calls took together, in seconds.
    pub calls_secs: f64,
    /// Grants that Redis gave.
    pub grants: u64,
    /// Requests in them.
    pub granted: u64,
    /// Requests that were given back unused.
    pub given_back: u64,
    /// How often Redis went out of reach.
    pub outages: u64,
    /// Parts of Redis that are out of reach now: 1 of 1 for a server, some of 64 for a cluster.
    pub out_of_reach: u64,
    /// Requests that were refused because nobody could be asked.
    pub refused_in_outage: u64,
    /// Requests that were let through from the node's own share.
    pub shared_in_outage: u64,
    /// How often Redis had lost its counts and was told of them anew.
    pub told_anew: u64,
    /// Live clients that had to make room in the node's table.
    pub evictions: u64,
    /// Nodes that Redis knew as live when it was last asked, this one included.
    pub nodes: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) calls: AtomicU64,
    pub(crate) calls_failed: AtomicU64,
    calls_by_secs: [AtomicU64; BUCKETS],
    calls_nanos: AtomicU64,
    pub(crate) grants: AtomicU64,
    pub(crate) granted: AtomicU64,
    pub(crate) given_back: AtomicU64,
    pub(crate) outages: AtomicU64,
    pub(crate) out_of_reach: AtomicI64,
    pub(crate) refused_in_outage: AtomicU64,
    pub(crate) shared_in_outage: AtomicU64,
    pub(crate) told_anew: AtomicU64,
    pub(crate) evictions: AtomicU64,
    pub(crate) nodes: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn called(&self, took: Duration) {
        add(&self.calls, 1);
        add(&self.calls_nanos, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        let secs = took.as_secs_f64();
        let bucket = CALL_SECS.iter().position(|upper| secs <= *upper).unwrap_or(CALL_SECS.len());
        if let Some(count) = self.calls_by_secs.get(bucket) {
            add(count, 1);
        }
    }

    pub(crate) fn stats(&self, capacity: u64) -> Stats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            capacity,
            calls: of(&self.calls),
            calls_failed: of(&self.calls_failed),
            calls_by_secs: self.calls_by_secs.each_ref().map(of),
            calls_secs: Duration::from_nanos(of(&self.calls_nanos)).as_secs_f64(),
            grants: of(&self.grants),
            granted: of(&self.granted),
            given_back: of(&self.given_back),
            outages: of(&self.outages),
            out_of_reach: u64::try_from(self.out_of_reach.load(Ordering::Relaxed)).unwrap_or(0),
            refused_in_outage: of(&self.refused_in_outage),
            shared_in_outage: of(&self.shared_in_outage),
            told_anew: of(&self.told_anew),
            evictions: of(&self.evictions),
            nodes: of(&self.nodes),
        }
    }
}
