//! One query for all who wait for the same digest.

use std::{collections::HashMap, future::Future, panic::AssertUnwindSafe, sync::Arc};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use harmony_key::KeyDigest;

use crate::{FindKeyError, KeyRecord, sync::Mutex};

/// What a look-up says.
pub(crate) type Answer = Result<Option<Arc<KeyRecord>>, FindKeyError>;

/// A query under way. It goes on while anyone who waits is still there, whoever came first.
pub(crate) type Flight = Shared<BoxFuture<'static, Answer>>;

/// The queries under way. Bounded by the requests under way: each leaves when its query ends, and when the last who
/// waited for it has gone.
pub(crate) struct Flights {
    board: Mutex<Board>,
}

struct Board {
    by_digest: HashMap<KeyDigest, Entry>,
    next: u64,
}

struct Entry {
    number: u64,
    epoch: u64,
    /// Weak, so that a query that nobody waits for any more ends.
    flight: WeakShared<BoxFuture<'static, Answer>>,
}

impl Flights {
    pub(crate) fn new() -> Self {
        Self { board: Mutex::new(Board { by_digest: HashMap::new(), next: 0 }) }
    }

    /// Joins the query under way for the digest, if it began under `epoch` or later, or starts `query`; unless
    /// `remembered` has something by now. That is looked at under the lock: a query remembers before it leaves, so
    /// whoever finds it gone finds what it brought.
    pub(crate) fn join_or_start<Q>(
        self: &Arc<Self>,
        digest: KeyDigest,
        epoch: u64,
        remembered: impl FnOnce() -> Option<Option<Arc<KeyRecord>>>,
        query: impl FnOnce() -> Q,
    ) -> Result<Option<Arc<KeyRecord>>, Flight>
    where
        Q: Future<Output = Answer> + Send + 'static,
    {
        let mut board = self.board.lock();
        // The epoch is looked at first: a flight that was upgraded must not be let go of under this lock, which its
        // `Landing` takes.
        let under_way = board.by_digest.get(&digest).filter(|entry| entry.epoch >= epoch);
        if let Some(flight) = under_way.and_then(|entry| entry.flight.upgrade()) {
            return Err(flight);
        }
        if let Some(answer) = remembered() {
            return Ok(answer);
        }
        let number = board.next;
        board.next += 1;
        let flight = fly(Landing { flights: Arc::clone(self), digest, number }, query()).boxed().shared();
        if let Some(weak) = flight.downgrade() {
            board.by_digest.insert(digest, Entry { number, epoch, flight: weak });
        }
        Err(flight)
    }

    pub(crate) fn under_way(&self) -> usize {
        self.board.lock().by_digest.len()
    }
}

/// Runs the query and leaves the board. A panic becomes an error for all who wait: those who come later must not find a
/// query that will never end.
async fn fly(landing: Landing, query: impl Future<Output = Answer> + Send) -> Answer {
    let answer = AssertUnwindSafe(query).catch_unwind().await;
    drop(landing);
    answer.unwrap_or_else(|_| Err(FindKeyError::new(Panicked)))
}

#[derive(Debug, thiserror::Error)]
#[error("the look-up panicked")]
struct Panicked;

/// Takes a query off the board when it ends, however it does.
struct Landing {
    flights: Arc<Flights>,
    digest: KeyDigest,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut board = self.flights.board.lock();
        // A younger one under a later epoch may have taken its place.
        if board.by_digest.get(&self.digest).is_some_and(|entry| entry.number == self.number) {
            board.by_digest.remove(&self.digest);
        }
    }
}
