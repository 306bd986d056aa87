//! The barrier: a change that takes access away is answered when no process can accept it any more.

use std::time::Duration;

use harmony_access::{LEASE_TTL, Revision, Waiting, awaited};
use harmony_store::revocations;

use crate::{Answered, Error, Workspace};

/// How often the other processes are looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Without a clock: so many looks take longer than a lease.
const MAX_LOOKS: u128 = LEASE_TTL.as_millis() / LOOK_EVERY.as_millis() + 1;

/// The process that a [`Workspace`] works in, where one answers requests: the barrier begins and ends there.
pub trait Process: Send + Sync + 'static {
    /// Something was revoked: this process's own cache drops it now.
    fn wake(&self);
    /// The monotonic clock.
    fn boot(&self) -> Duration;
    /// A change was held back so long until it was true everywhere.
    fn waited(&self, span: Duration);
}

/// How the wait for the other processes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waited {
    /// Processes that have dropped what was revoked.
    pub acknowledged: usize,
    /// Processes that have not, but may not answer from memory any more either.
    pub expired: usize,
    /// How long it took; unknown outside a [`Process`].
    pub span: Option<Duration>,
}

impl Workspace {
    /// What a change answered, once it is true everywhere, and how the wait went if there was one.
    ///
    /// Whoever is told that something is not there relies on that as they would on its deletion, and the change that took it
    /// away may be waiting still. So that refusal waits as well, for everything that was revoked until now.
    ///
    /// # Errors
    ///
    /// Those of the change; and when the store cannot say what was revoked.
    pub fn settle<T>(&self, outcome: Result<Answered<T>, Error>) -> Result<(T, Option<Waited>), Error> {
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
    pub fn await_everywhere(&self, revision: Revision) -> Waited {
        let Some(process) = self.process() else {
            let mut looks = 0;
            return waited(
                self.look_around(revision, || {
                    looks += 1;
                    looks > MAX_LOOKS
                }),
                None,
            );
        };
        let began = process.boot();
        let span = || process.boot().saturating_sub(began);
        process.wake();
        let nodes = self.look_around(revision, || span() > LEASE_TTL);
        process.waited(span());
        waited(nodes, Some(span()))
    }

    /// Looks again and again until nobody is left to wait for, at the latest once a lease is over ([`awaited`] says why).
    fn look_around(&self, revision: Revision, mut is_over: impl FnMut() -> bool) -> Waiting {
        let (mut first, mut last) = (None, Waiting::default());
        while !is_over() {
            if let Ok(nodes) = self.read(|tx| Ok(revocations::list_nodes(tx)?)) {
                last = awaited(nodes.iter().map(|node| node.seen), revision);
                if last.is_over() {
                    return last;
                }
                first.get_or_insert(nodes);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        // A process that ended without a word is waited for once, and not at each change from then on.
        let lost = first.unwrap_or_default();
        let _ = self
            .write(|tx| lost.iter().try_for_each(|node| Ok(revocations::strike_off(tx, node, revision)?)));
        last
    }
}

/// Whoever is still pending when the wait ends has lost its lease by its own clock.
fn waited(nodes: Waiting, span: Option<Duration>) -> Waited {
    Waited { acknowledged: nodes.acknowledged, expired: nodes.pending, span }
}
