use std::future::{Future, Ready};

use crate::{ClientKey, Decision, MemoryLimiter, Now, Quota};

/// What stands behind a rate limit: memory, or something that several machines share.
///
/// It is asked without `async`, so that a limiter that knows the answer costs neither an allocation nor a state machine.
pub trait Limiter {
    /// A decision under way, of a limiter that has to ask somebody.
    type Waiting: Future<Output = Decision> + 'static;

    /// The quota of every client.
    fn quota(&self) -> Quota;

    /// Looks, decides and counts, at once or in a while.
    fn ask(&self, client: ClientKey, now: Now) -> Asked<Self::Waiting>;
}

/// What [`Limiter::ask`] answers.
#[derive(Debug)]
pub enum Asked<Waiting> {
    /// The decision.
    Decided(Decision),
    /// It has to be waited for. Who drops it may have spent a request.
    Waiting(Waiting),
}

impl Limiter for MemoryLimiter {
    type Waiting = Ready<Decision>;

    fn quota(&self) -> Quota {
        self.quota()
    }

    #[inline]
    fn ask(&self, client: ClientKey, now: Now) -> Asked<Self::Waiting> {
        Asked::Decided(self.check(client, now))
    }
}
