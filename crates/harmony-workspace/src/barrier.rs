//! The barrier: a change that takes access away is answered when no process can accept it any more.

use std::{sync::Arc, time::Duration};

use harmony_access::{NodeState, Revision, Waiting, awaited};
use harmony_store::revocations;

use crate::{Error, Workspace};

/// How often the other processes are looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The most looks: a lease lasts 2 seconds, and so does the longest wait; past 20 something is broken.
const MAX_LOOKS: u32 = 10_000;

/// Wakes whoever drops revoked entries from this process's own cache.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

impl Workspace {
    /// Waits until every process has dropped what was revoked up to `revision`, or lost its lease. It blocks.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked. The change itself is made, and stays made.
    pub fn await_everywhere(&self, revision: Revision) -> Result<Waiting, Error> {
        self.wake();
        for _ in 0..MAX_LOOKS {
            let nodes = self.read(|tx| Ok(revocations::list_nodes(tx)?))?;
            let states: Vec<NodeState> = nodes.iter().map(state).collect();
            let waiting = awaited(&states, revision);
            if waiting.is_over() {
                return Ok(waiting);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Err(Error::Store(harmony_store::StoreError::Unavailable(
            "a process never let go of its lease".to_owned(),
        )))
    }
}

fn state(node: &revocations::Node) -> NodeState {
    let left = Duration::from_millis(u64::try_from(node.lease_left_ms).unwrap_or(0));
    NodeState { seen: node.seen, lease_left: left }
}
