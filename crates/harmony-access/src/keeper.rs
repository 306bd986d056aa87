//! What a process does about its lease: it is asked what to do next, and told what came of it.

use std::time::Duration;

use crate::{LEASE_TTL, Lease, RENEW_EVERY, Revision, lease_until};

/// Keeps a [`Lease`] and drops what was revoked, as a machine without a clock, a thread or a store: the program does its
/// errands, and a simulation can do them late, slowly, or not at all.
///
/// A turn is a renewal when one is due, and else only a look at what was revoked. Whoever revokes waits until this process
/// has acknowledged that or lost its lease; so a lease is extended only when everything that was revoked before the
/// renewal has been dropped and acknowledged.
#[derive(Debug)]
pub struct Keeper {
    seen: Revision,
    /// When the last renewal that came through was sent.
    renewed_at: Option<Duration>,
    turn: Turn,
}

/// One thing to do. [`Keeper::done`] is told of it, and says what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Errand {
    /// Nothing, until somebody tells of a revocation or it is time to look: then [`Keeper::begin`] again.
    Rest,
    /// Renew the lease in the store for [`LEASE_TTL`], and write down that this process has seen that much.
    Renew(Revision),
    /// Read the store's last revision and all that was revoked after this one, hand that to
    /// [`crate::VerificationCache::revoke`], and report the last revision.
    CatchUp(Revision),
    /// Write down that this process has seen that much.
    Acknowledge(Revision),
}

/// What came of an [`Errand`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The store has done it.
    Done,
    /// Of [`Errand::CatchUp`]: everything up to this revision, the store's last, has been dropped from memory. One that is behind what
    /// was seen before is that of a store that has lost some, and then everything has been dropped.
    CaughtUp(Revision),
    /// The store could not be asked. What is held is held until it runs out.
    Failed,
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    Resting,
    /// The renewal was sent at this moment of the boot clock.
    Renewing(Duration),
    /// After a renewal that was sent then, or without one.
    CatchingUp(Option<Duration>),
    Acknowledging(Option<Duration>),
}

impl Keeper {
    /// For a process that has just read the store's last revision, and remembers nothing yet.
    #[must_use]
    pub const fn new(seen: Revision) -> Self {
        Self { seen, renewed_at: None, turn: Turn::Resting }
    }

    /// Up to where this process has dropped what was revoked.
    #[must_use]
    pub const fn seen(&self) -> Revision {
        self.seen
    }

    /// When the last renewal that came through was sent, by the boot clock.
    #[must_use]
    pub const fn renewed_at(&self) -> Option<Duration> {
        self.renewed_at
    }

    /// Begins a turn at this moment of the boot clock, read before anything is sent.
    pub fn begin(&mut self, boot: Duration) -> Errand {
        if self.renewed_at.is_none_or(|at| boot.saturating_sub(at) >= RENEW_EVERY) {
            self.turn = Turn::Renewing(boot);
            Errand::Renew(self.seen)
        } else {
            self.turn = Turn::CatchingUp(None);
            Errand::CatchUp(self.seen)
        }
    }

    /// Takes note of what came of the errand, and extends the lease where that ends a renewal.
    pub fn done(&mut self, outcome: Outcome, lease: &Lease) -> Errand {
        match (self.turn, outcome) {
            (Turn::Renewing(sent), Outcome::Done) => {
                self.turn = Turn::CatchingUp(Some(sent));
                Errand::CatchUp(self.seen)
            }
            (Turn::CatchingUp(renewal), Outcome::CaughtUp(head)) if head != self.seen => {
                self.seen = head;
                self.turn = Turn::Acknowledging(renewal);
                Errand::Acknowledge(head)
            }
            (Turn::CatchingUp(renewal), Outcome::CaughtUp(_))
            | (Turn::Acknowledging(renewal), Outcome::Done) => self.rest(renewal, lease),
            // It failed, or is no answer to this errand.
            _ => {
                self.turn = Turn::Resting;
                Errand::Rest
            }
        }
    }

    fn rest(&mut self, renewal: Option<Duration>, lease: &Lease) -> Errand {
        if let Some(sent) = renewal {
            lease.extend(lease_until(sent, LEASE_TTL));
            self.renewed_at = Some(sent);
        }
        self.turn = Turn::Resting;
        Errand::Rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Duration = Duration::from_secs(100);

    fn revision(number: i64) -> Revision {
        Revision::new(number)
    }

    #[test]
    fn a_lease_is_extended_from_the_moment_its_renewal_was_sent_once_the_rest_of_the_turn_is_done() {
        let (mut keeper, lease) = (Keeper::new(revision(3)), Lease::lost());
        assert_eq!(keeper.begin(SENT), Errand::Renew(revision(3)));
        assert_eq!(keeper.done(Outcome::Done, &lease), Errand::CatchUp(revision(3)));
        assert_eq!(keeper.done(Outcome::CaughtUp(revision(5)), &lease), Errand::Acknowledge(revision(5)));
        assert!(!lease.holds(SENT), "what was revoked is not acknowledged yet");
        assert_eq!(keeper.done(Outcome::Done, &lease), Errand::Rest);
        assert!(lease.holds(lease_until(SENT, LEASE_TTL) - Duration::from_nanos(1)));
        assert!(!lease.holds(lease_until(SENT, LEASE_TTL)));
    }

    #[test]
    fn between_renewals_it_only_looks_and_leaves_the_lease_as_it_is() {
        let (mut keeper, lease) = (Keeper::new(revision(0)), Lease::lost());
        let _ = keeper.begin(SENT);
        let _ = keeper.done(Outcome::Done, &lease);
        assert_eq!(keeper.done(Outcome::CaughtUp(revision(0)), &lease), Errand::Rest);
        let just_before = SENT + RENEW_EVERY - Duration::from_nanos(1);
        assert_eq!(keeper.begin(just_before), Errand::CatchUp(revision(0)));
        assert_eq!(keeper.done(Outcome::CaughtUp(revision(0)), &lease), Errand::Rest);
        assert!(!lease.holds(lease_until(SENT, LEASE_TTL)));
        assert_eq!(keeper.begin(SENT + RENEW_EVERY), Errand::Renew(revision(0)));
    }

    #[test]
    fn a_turn_that_fails_anywhere_extends_nothing_and_is_due_again() {
        for fails_after in 0..3 {
            let (mut keeper, lease) = (Keeper::new(revision(0)), Lease::lost());
            let _ = keeper.begin(SENT);
            for outcome in [Outcome::Done, Outcome::CaughtUp(revision(1))].into_iter().take(fails_after) {
                let _ = keeper.done(outcome, &lease);
            }
            assert_eq!(keeper.done(Outcome::Failed, &lease), Errand::Rest);
            assert!(!lease.holds(SENT));
            assert!(matches!(keeper.begin(SENT), Errand::Renew(_)), "failed after {fails_after}");
        }
    }

    #[test]
    fn a_store_that_has_lost_revisions_is_followed_back() {
        let (mut keeper, lease) = (Keeper::new(revision(9)), Lease::lost());
        let _ = keeper.begin(SENT);
        let _ = keeper.done(Outcome::Done, &lease);
        assert_eq!(keeper.done(Outcome::CaughtUp(revision(4)), &lease), Errand::Acknowledge(revision(4)));
        assert_eq!(keeper.seen(), revision(4));
    }

    #[test]
    fn what_was_dropped_and_not_acknowledged_is_acknowledged_by_the_next_renewal() {
        let (mut keeper, lease) = (Keeper::new(revision(0)), Lease::lost());
        let _ = keeper.begin(SENT);
        let _ = keeper.done(Outcome::Done, &lease);
        let _ = keeper.done(Outcome::CaughtUp(revision(1)), &lease);
        let _ = keeper.done(Outcome::Failed, &lease);
        assert_eq!(keeper.begin(SENT), Errand::Renew(revision(1)));
    }
}
