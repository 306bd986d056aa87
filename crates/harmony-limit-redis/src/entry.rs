//! What a node knows of one client.

use crate::timing::{DRIFT, IDLE_MS, RECHECK_GROWTH, RECHECK_MS};

/// How much more is asked for each time, while Redis grants it: 1, 8, 64 and so on.
const GROWTH: u32 = 8;

/// What happens to a request for which no grant is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Standing {
    /// More may be asked for.
    #[default]
    Open,
    /// Refused, until Redis is asked again at [`Entry::recheck_ms`]: others may have given back what they did not need.
    Refused,
    /// Refused until the window ends.
    Exhausted,
    /// A window of this node alone, begun without Redis: what its share holds is let through.
    Share,
}

/// One client's window. All times are the node's monotonic clock in milliseconds, but for `stop_unix_ms`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entry {
    /// Until when a grant of this window may be spent: Redis's clock cannot show the window's end before.
    pub(crate) end_ms: u64,
    /// From when the window has certainly ended; 0 when nothing is known at all.
    pub(crate) late_ms: u64,
    /// The window's end as it is told to clients, by Redis's clock.
    pub(crate) stop_unix_ms: u64,
    /// When a grant was last used or asked for.
    pub(crate) spent_ms: u64,
    pub(crate) recheck_ms: u64,
    /// Grants held and not used.
    pub(crate) left: u32,
    /// All that this node took in the window, used or held.
    pub(crate) taken: u32,
    /// What of it Redis has not been told, or has forgotten.
    pub(crate) owed: u32,
    /// What all nodes had taken when Redis last said so.
    pub(crate) used: u32,
    /// What to ask for next.
    pub(crate) step: u32,
    pub(crate) standing: Standing,
    /// Whether the keeper looks after an unused rest.
    pub(crate) watched: bool,
}

/// What Redis answered for one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) given: u32,
    pub(crate) used: u32,
    pub(crate) stop_unix_ms: u64,
}

/// When a call was sent and when it was answered, and what Redis's clock showed in between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallTimes {
    pub(crate) sent_ms: u64,
    pub(crate) answered_ms: u64,
    pub(crate) redis_unix_ms: u64,
}

impl CallTimes {
    /// The earliest and the latest that this node's clock can show at an instant of Redis's clock.
    fn range(self, stop_unix_ms: u64) -> (u64, u64) {
        let left = stop_unix_ms.saturating_sub(self.redis_unix_ms);
        (self.sent_ms + left - left / DRIFT, self.answered_ms + left + left / DRIFT + 1)
    }
}

impl Entry {
    pub(crate) fn is_empty(&self) -> bool {
        self.late_ms == 0
    }

    pub(crate) fn is_running(&self, now_ms: u64) -> bool {
        now_ms < self.end_ms
    }

    pub(crate) fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.late_ms
    }

    /// Lets one through from what is held.
    #[inline]
    pub(crate) fn spend(&mut self, now_ms: u64) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.spent_ms = now_ms;
        true
    }

    /// Whether asking is of no use.
    #[inline]
    pub(crate) fn refuses(&self, now_ms: u64) -> bool {
        match self.standing {
            Standing::Open | Standing::Share => false,
            Standing::Refused => now_ms < self.recheck_ms,
            Standing::Exhausted => true,
        }
    }

    /// How many are left for the client as far as this node knows: what it holds, and what nobody had taken.
    pub(crate) fn remaining(&self, limit: u32) -> u32 {
        limit.saturating_sub(self.used).saturating_add(self.left).min(limit)
    }

    /// Takes note of an answer; `keeps` is what of the grant is left when those who waited have been served. A window that ends at
    /// another time is another one, and what was left of the one before is worth nothing. Where it should still be running, it was put
    /// together with what another node had counted by itself, and what this one took in it stays taken.
    pub(crate) fn credit(&mut self, grant: Grant, keeps: u32, times: CallTimes, returns: bool) {
        let (end_ms, late_ms) = times.range(grant.stop_unix_ms);
        if self.stop_unix_ms != grant.stop_unix_ms || self.standing == Standing::Share {
            let goes_on = self.is_running(times.sent_ms) && self.standing != Standing::Share;
            let (taken, owed) = if goes_on { (self.taken, self.owed) } else { (0, 0) };
            let (watched, stop_unix_ms) = (self.watched, grant.stop_unix_ms);
            *self = Self { watched, taken, owed, step: 1, stop_unix_ms, ..Self::default() };
        }
        // The same instant was seen before, perhaps from nearer.
        self.end_ms = self.end_ms.max(end_ms);
        self.late_ms = if self.late_ms == 0 { late_ms } else { self.late_ms.min(late_ms) };
        self.used = grant.used;
        self.taken += grant.given;
        self.left += keeps;
        let paused_ms = self.recheck_ms.saturating_sub(self.spent_ms);
        let pause_ms = RECHECK_MS.max(paused_ms * RECHECK_GROWTH);
        self.spent_ms = times.answered_ms;
        if grant.given > 0 {
            self.step = self.step.saturating_mul(GROWTH).max(1);
            self.standing = Standing::Open;
        } else if returns {
            self.standing = Standing::Refused;
            self.recheck_ms = times.answered_ms + pause_ms;
        } else {
            self.standing = Standing::Exhausted;
        }
    }

    pub(crate) fn is_idle(&self, now_ms: u64) -> bool {
        now_ms >= self.spent_ms + IDLE_MS
    }

    /// Takes an unused rest away, to be given back.
    pub(crate) fn release(&mut self) -> u32 {
        let rest = std::mem::take(&mut self.left);
        self.taken -= rest;
        self.owed = self.owed.min(self.taken);
        self.step = 1;
        rest
    }

    /// A window of this node alone.
    pub(crate) fn share_window(now_ms: u64, window_ms: u64, wall_unix_ms: u64) -> Self {
        Self {
            end_ms: now_ms + window_ms,
            late_ms: now_ms + window_ms,
            stop_unix_ms: wall_unix_ms + window_ms,
            standing: Standing::Share,
            ..Self::default()
        }
    }

    /// Lets one through from the node's share.
    pub(crate) fn spend_share(&mut self, share: u32) -> bool {
        if self.standing != Standing::Share || self.taken >= share {
            return false;
        }
        self.taken += 1;
        self.owed += 1;
        true
    }

    /// Redis was told of `told` requests, and says how the window stands now.
    pub(crate) fn settle(&mut self, told: u32, used: u32, stop_unix_ms: u64, times: CallTimes) {
        self.owed = self.owed.saturating_sub(told);
        let (end_ms, late_ms) = times.range(stop_unix_ms);
        if self.standing == Standing::Share {
            self.standing = Standing::Open;
            self.left = 0;
        }
        // A grant that is still held belonged to the window as it was, and must not outlive that.
        self.end_ms = if self.left > 0 { self.end_ms.min(end_ms) } else { end_ms };
        self.late_ms = late_ms;
        self.used = used;
        self.stop_unix_ms = stop_unix_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: CallTimes = CallTimes { sent_ms: 10_000, answered_ms: 10_004, redis_unix_ms: 1_000_000 };

    fn grant(given: u32, used: u32) -> Grant {
        Grant { given, used, stop_unix_ms: 1_050_000 }
    }

    #[test]
    fn a_window_ends_early_for_who_spends_and_late_for_who_begins_another() {
        let mut entry = Entry::default();
        entry.credit(grant(4, 4), 3, TIMES, true);
        assert_eq!((entry.end_ms, entry.late_ms), (10_000 + 50_000 - 50, 10_004 + 50_000 + 50 + 1));
        assert!(entry.is_running(59_949) && !entry.is_running(59_950));
        assert!(!entry.is_over(60_054) && entry.is_over(60_055));
    }

    #[test]
    fn a_grant_of_another_window_is_worth_nothing() {
        let mut entry = Entry::default();
        entry.credit(grant(8, 8), 7, TIMES, true);
        let next = CallTimes { sent_ms: 59_950, answered_ms: 59_951, redis_unix_ms: 1_050_001 };
        entry.credit(Grant { stop_unix_ms: 1_110_000, ..grant(2, 2) }, 1, next, true);
        assert_eq!((entry.left, entry.taken, entry.used, entry.step), (1, 2, 2, 8));
    }

    #[test]
    fn what_was_taken_in_a_window_that_was_put_together_with_another_stays_taken() {
        let mut entry = Entry::default();
        entry.credit(grant(8, 8), 7, TIMES, true);
        entry.credit(Grant { stop_unix_ms: 1_060_000, ..grant(2, 12) }, 1, TIMES, true);
        assert_eq!((entry.left, entry.taken, entry.used), (1, 10, 12));
    }

    #[test]
    fn asking_grows_until_something_is_given_back() {
        let mut entry = Entry::default();
        for step in [8, 64, 512] {
            entry.credit(grant(1, 1), 1, TIMES, true);
            assert_eq!(entry.step, step);
        }
        assert!(!entry.is_idle(TIMES.answered_ms + IDLE_MS - 1));
        assert!(entry.is_idle(TIMES.answered_ms + IDLE_MS));
        assert_eq!(entry.release(), 3);
        assert_eq!((entry.left, entry.taken, entry.step), (0, 0, 1));
    }

    #[test]
    fn a_refusal_is_looked_at_again_ever_more_seldom_and_a_counted_one_never() {
        let mut entry = Entry::default();
        entry.credit(grant(1, 1_000), 0, TIMES, true);
        let mut pauses_ms = Vec::new();
        let mut times = TIMES;
        for _ in 0..4 {
            // However late it is asked for.
            times.answered_ms += 30_000;
            entry.credit(grant(0, 1_000), 0, times, true);
            assert!(entry.refuses(entry.recheck_ms - 1) && !entry.refuses(entry.recheck_ms));
            pauses_ms.push(entry.recheck_ms - times.answered_ms);
            times.answered_ms = entry.recheck_ms;
        }
        assert_eq!(pauses_ms, [RECHECK_MS, 4 * RECHECK_MS, 16 * RECHECK_MS, 64 * RECHECK_MS]);
        entry.credit(grant(8, 1_000), 7, times, true);
        assert!(entry.spend(times.answered_ms) && entry.standing == Standing::Open);
        // A rest that turned out to be worth something yet may have been used while it was refused.
        let mut rest = Entry::default();
        rest.credit(grant(0, 1_000), 1, TIMES, true);
        assert!(rest.spend(rest.recheck_ms + 10));
        let late = CallTimes { answered_ms: rest.recheck_ms + 20, ..TIMES };
        rest.credit(grant(0, 1_000), 0, late, true);
        assert_eq!(rest.recheck_ms, late.answered_ms + RECHECK_MS);
        let mut exact = Entry::default();
        exact.credit(grant(0, 1_000), 0, TIMES, false);
        assert!(exact.refuses(u64::MAX));
    }

    #[test]
    fn a_share_is_spent_once_and_owed_until_it_is_told() {
        let mut entry = Entry::share_window(5_000, 60_000, 1_000);
        assert_eq!((0..5).filter(|_| entry.spend_share(3)).count(), 3);
        assert_eq!((entry.taken, entry.owed), (3, 3));
        entry.settle(3, 9, 1_050_000, TIMES);
        assert_eq!((entry.owed, entry.used, entry.left), (0, 9, 0));
        assert!(!entry.spend_share(3), "the window belongs to all again");
    }
}
