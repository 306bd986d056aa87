//! One process: its clock, its memory, its keeper, and the requests that it is answering.

use std::{collections::HashMap, future::poll_fn, sync::Arc, task::Poll, time::Duration};

use harmony_access::{FindKey, Keeper, Now, Revision};
use harmony_key::KeyDigest;
use parking_lot::Mutex;

use super::{
    memory::{Memory, Search},
    world::{Fault, Micros},
};
use crate::store::{Answer, at};

pub struct Node {
    pub memory: Memory<Arc<Wire>>,
    pub wire: Arc<Wire>,
    pub keeper: Keeper,
    /// Whether the keeper is on an errand.
    pub busy: bool,
    /// Nothing happens in this process before that.
    pub paused_until: Micros,
    pub requests: Vec<Request>,
    /// Parts in a thousand by which its clock runs fast, or slow.
    pub drift: i64,
}

pub struct Request {
    pub key: usize,
    /// The oldest version that it may answer by: the last whose end was answered before it came.
    pub floor: usize,
    pub search: Search,
}

impl Node {
    pub fn new(fault: Fault, drift: i64) -> Self {
        let wire = Arc::new(Wire::default());
        Self {
            memory: Memory::new(Arc::clone(&wire), fault),
            wire,
            keeper: Keeper::new(Revision::default()),
            busy: false,
            paused_until: 0,
            requests: Vec::new(),
            drift,
        }
    }

    /// What this process's own clock says.
    pub fn boot(&self, now: Micros) -> Duration {
        let drifted = i128::from(now) * i128::from(1_000 + self.drift) / 1_000;
        Duration::from_micros(u64::try_from(drifted).unwrap())
    }

    pub fn now(&self, now: Micros) -> Now {
        Now { boot: self.boot(now), ..at(0) }
    }
}

/// What a process has asked the store, and what has come back: queries take their time on the way there and back.
#[derive(Default)]
pub struct Wire {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: Vec<(u64, KeyDigest)>,
    answers: HashMap<u64, Answer>,
    next: u64,
}

impl Wire {
    /// The queries that were asked since the last call.
    pub fn take_asked(&self) -> Vec<(u64, KeyDigest)> {
        std::mem::take(&mut self.state.lock().asked)
    }

    pub fn answer(&self, query: u64, answer: Answer) {
        self.state.lock().answers.insert(query, answer);
    }
}

impl FindKey for Wire {
    async fn find_key(&self, digest: KeyDigest, _: Now) -> Answer {
        let query = {
            let mut state = self.state.lock();
            state.next += 1;
            let query = state.next;
            state.asked.push((query, digest));
            query
        };
        poll_fn(|_| self.state.lock().answers.remove(&query).map_or(Poll::Pending, Poll::Ready)).await
    }
}
