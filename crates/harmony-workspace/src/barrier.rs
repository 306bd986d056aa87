//! The barrier: a change that takes access away is answered when no process can accept it any more.

use std::{sync::Arc, time::Duration};

use harmony_access::{LEASE_TTL, NodeState, Revision, Waiting, awaited};
use harmony_store::revocations;

use crate::{Answered, Error, Workspace};

/// How often the other processes are looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// So many looks take longer than a lease. By then every lease that was held at the commit is over by its holder's own
/// monotonic clock, and whoever has renewed it since has read the revocation first: nobody is left to wait for, whatever the
/// stored leases and the clocks behind them say.
const MAX_LOOKS: u128 = LEASE_TTL.as_millis() / LOOK_EVERY.as_millis() + 1;

/// Wakes whoever drops revoked entries from this process's own cache.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

impl Workspace {
    /// What a change answered, once it is true everywhere, and how the wait went if there was one.
    ///
    /// Whoever is told that something is not there relies on that as they would on its deletion, and the change that took it
    /// away may be waiting still. So that refusal waits as well, for everything that was revoked until now.
    ///
    /// # Errors
    ///
    /// Those of the change; and when the store cannot say what was revoked.
    pub fn settle<T>(&self, outcome: Result<Answered<T>, Error>) -> Result<(T, Option<Waiting>), Error> {
        match outcome {
            Ok(answered) => {
                let waited = answered.revision.map(|revision| self.await_everywhere(revision));
                Ok((answered.value, waited))
            }
            Err(Error::NotFound) => {
                let head = self.read(|tx| Ok(revocations::head(tx)?))?;
                let _ = self.await_everywhere(head);
                Err(Error::NotFound)
            }
            Err(other) => Err(other),
        }
    }

    /// Waits until every process has dropped what was revoked up to `revision`, or lost its lease; never longer than a lease
    /// lasts. It blocks. A store that cannot be asked meanwhile only makes the wait as long as that.
    #[must_use]
    pub fn await_everywhere(&self, revision: Revision) -> Waiting {
        self.wake();
        let mut last = Waiting::default();
        for _ in 0..MAX_LOOKS {
            if let Ok(nodes) = self.read(|tx| Ok(revocations::list_nodes(tx)?)) {
                let states: Vec<NodeState> = nodes.iter().map(state).collect();
                last = awaited(&states, revision);
                if last.is_over() {
                    return last;
                }
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Waiting {
            acknowledged: last.acknowledged,
            expired: last.expired + last.pending,
            ..Waiting::default()
        }
    }
}

fn state(node: &revocations::Node) -> NodeState {
    let left = Duration::from_millis(u64::try_from(node.lease_left_ms).unwrap_or(0));
    NodeState { seen: node.seen, lease_left: left }
}
