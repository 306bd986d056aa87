//! One part of the clients, all in one hash slot of Redis, and what this node may do for them without asking.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use harmony_limit::{Decision, Now, Quota};

use crate::entry::{Entry, Standing};
use crate::stats::{Counters, add};
use crate::table::{Evicted, Table};
use crate::timing::{GUARD_MS, HOLD_MS};

/// How the node stands to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reach {
    /// It may ask.
    Online = 0,
    /// It may not ask, and its share is not its own.
    Offline = 1,
    /// Redis is out of reach; the others leave this node its share, or will soon.
    Away = 2,
}

pub(crate) struct Domain {
    pub(crate) table: Table,
    pub(crate) quota: Quota,
    window_ms: u64,
    reach: AtomicU8,
    /// When the last beat was sent with which the node called itself live.
    beat_ms: AtomicU64,
    /// How much of the limit is this node's own while it is away.
    share: AtomicU32,
}

/// What can be said without asking.
pub(crate) enum Verdict {
    Decided(Decision),
    Ask,
}

/// How long a client is told to wait when nobody knows.
const RETRY: Duration = Duration::from_secs(1);

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Domain {
    pub(crate) fn new(table: Table, quota: Quota) -> Self {
        let window_ms = millis(quota.window());
        let offline = AtomicU8::new(Reach::Offline as u8);
        Self { table, quota, window_ms, reach: offline, beat_ms: AtomicU64::new(0), share: AtomicU32::new(0) }
    }

    pub(crate) fn reach(&self) -> Reach {
        match self.reach.load(Ordering::SeqCst) {
            0 => Reach::Online,
            2 => Reach::Away,
            _ => Reach::Offline,
        }
    }

    pub(crate) fn set_reach(&self, reach: Reach) {
        self.reach.store(reach as u8, Ordering::SeqCst);
    }

    pub(crate) fn beat_ms(&self) -> u64 {
        self.beat_ms.load(Ordering::SeqCst)
    }

    pub(crate) fn set_beat_ms(&self, sent_ms: u64) {
        self.beat_ms.store(sent_ms, Ordering::SeqCst);
    }

    pub(crate) fn share(&self) -> u32 {
        self.share.load(Ordering::SeqCst)
    }

    pub(crate) fn set_share(&self, share: u32) {
        self.share.store(share, Ordering::SeqCst);
    }

    /// Decides from what is held and remembered, if that is enough.
    #[inline]
    pub(crate) fn check(&self, client: u64, now: Now, counters: &Counters) -> Verdict {
        let now_ms = millis(now.mono);
        let mut bucket = self.table.bucket(client);
        if let Some(entry) = bucket.find(client)
            && entry.is_running(now_ms)
        {
            if entry.spend(now_ms) {
                return Verdict::Decided(self.allowed(entry, now));
            }
            if entry.refuses(now_ms) {
                return Verdict::Decided(self.refused(entry, now));
            }
        }
        drop(bucket);
        match self.reach() {
            Reach::Online => Verdict::Ask,
            Reach::Offline | Reach::Away => Verdict::Decided(self.without_redis(client, now, counters)),
        }
    }

    /// Decides when nobody can be asked. How the node stands is read under the lock of the client: who changes it visits every client
    /// afterwards, and finds what was spent before.
    #[cold]
    pub(crate) fn without_redis(&self, client: u64, now: Now, counters: &Counters) -> Decision {
        let now_ms = millis(now.mono);
        let mut bucket = self.table.bucket(client);
        let mut known_until = 0;
        if let Some(entry) = bucket.find(client) {
            if entry.is_running(now_ms) && entry.spend(now_ms) {
                return self.allowed(entry, now);
            }
            if entry.is_running(now_ms) && entry.standing == Standing::Share {
                let spent = self.reach() == Reach::Away && entry.spend_share(self.share());
                return self.shared(entry, spent, now, counters);
            }
            if !entry.is_over(now_ms) {
                add(&counters.refused_in_outage, 1);
                return self.refused(entry, now);
            }
            known_until = entry.late_ms;
        }
        if self.reach() == Reach::Away && self.may_begin(known_until, now_ms) {
            // What would have to make room could not be told of any more.
            if let Some(entry) = bucket.enter_free(client, now_ms) {
                *entry = Entry::share_window(now_ms, self.window_ms, now.wall_unix_ms);
                let spent = entry.spend_share(self.share());
                return self.shared(entry, spent, now, counters);
            }
        }
        add(&counters.refused_in_outage, 1);
        self.refused_for(RETRY, now)
    }

    /// Whether a window may begin without Redis: if every window of the client that the others can still count in began when they
    /// left this node its share. A client that is not known may have begun one just before that.
    fn may_begin(&self, known_until_ms: u64, now_ms: u64) -> bool {
        let left_since = self.beat_ms() + GUARD_MS;
        let sure =
            known_until_ms >= left_since || now_ms >= left_since + self.window_ms + self.window_ms / 1_000;
        sure && self.share() > 0 && now_ms < self.beat_ms() + HOLD_MS - GUARD_MS
    }

    fn shared(&self, entry: &Entry, spent: bool, now: Now, counters: &Counters) -> Decision {
        if !spent {
            add(&counters.refused_in_outage, 1);
            return self.refused(entry, now);
        }
        add(&counters.shared_in_outage, 1);
        let remaining = self.share().saturating_sub(entry.taken);
        Decision::allowed(self.quota.limit(), remaining, entry.reset_unix_secs(), entry.reset_after(now.mono))
    }

    pub(crate) fn allowed(&self, entry: &Entry, now: Now) -> Decision {
        let limit = self.quota.limit();
        let remaining = entry.remaining(limit.get());
        Decision::allowed(limit, remaining, entry.reset_unix_secs(), entry.reset_after(now.mono))
    }

    pub(crate) fn refused(&self, entry: &Entry, now: Now) -> Decision {
        Decision::refused(self.quota.limit(), entry.reset_unix_secs(), entry.reset_after(now.mono))
    }

    fn refused_for(&self, after: Duration, now: Now) -> Decision {
        let reset = (now.wall_unix_ms + millis(after)).div_ceil(1_000);
        Decision::refused(self.quota.limit(), reset, after)
    }

    /// What is known of a client after `act` has changed it; somebody else may have had to make room. Where there is no room at all, it
    /// is changed and forgotten.
    pub(crate) fn update(
        &self,
        client: u64,
        now_ms: u64,
        act: impl FnOnce(&mut Entry),
    ) -> (Entry, Option<Evicted>) {
        let mut bucket = self.table.bucket(client);
        let (place, evicted) = bucket.enter(client, now_ms);
        let mut homeless = Entry::default();
        let entry = place.unwrap_or(&mut homeless);
        act(entry);
        (*entry, evicted)
    }
}

impl Entry {
    pub(crate) fn reset_unix_secs(&self) -> u64 {
        self.stop_unix_ms.div_ceil(1_000)
    }

    pub(crate) fn reset_after(&self, mono: Duration) -> Duration {
        Duration::from_millis(self.late_ms).saturating_sub(mono)
    }
}

#[cfg(test)]
mod tests {
    use harmony_limit::{Secret, TableMemory};

    use super::*;

    const CLIENT: u64 = 7;

    fn domain() -> Domain {
        let table = Table::new(TableMemory::default(), 1, Secret::from_bytes(&[1; 24]));
        let domain = Domain::new(table, Quota::new(12, Duration::from_secs(60)).unwrap());
        domain.set_share(4);
        domain.set_beat_ms(100_000);
        domain
    }

    fn at(ms: u64) -> Now {
        Now { mono: Duration::from_millis(ms), wall_unix_ms: 1_800_000_000_000 + ms }
    }

    fn allowed(domain: &Domain, ms: u64) -> bool {
        match domain.check(CLIENT, at(ms), &Counters::default()) {
            Verdict::Decided(decision) => decision.allowed,
            Verdict::Ask => panic!("nobody can be asked"),
        }
    }

    #[test]
    fn online_an_unknown_client_is_asked_for_and_offline_refused() {
        let domain = domain();
        assert!(!allowed(&domain, 1_000_000));
        domain.set_reach(Reach::Online);
        assert!(matches!(domain.check(CLIENT, at(1_000_000), &Counters::default()), Verdict::Ask));
    }

    #[test]
    fn away_an_unknown_client_gets_its_share_when_every_other_window_leaves_it() {
        let domain = domain();
        domain.set_reach(Reach::Away);
        let first = 100_000 + GUARD_MS + 60_060;
        assert!(!allowed(&domain, first - 1));
        assert_eq!((0..20).filter(|_| allowed(&domain, first)).count(), 4);
        assert!(!allowed(&domain, first + 59_999));
        assert!(allowed(&domain, first + 60_000), "the next window");
        assert!(!allowed(&domain, 100_000 + HOLD_MS), "the others hold the share no longer");
    }

    #[test]
    fn away_a_known_window_is_spent_and_its_successor_shared_if_it_ended_late_enough() {
        for (late_ms, shared) in [(100_000 + GUARD_MS - 1, 0), (100_000 + GUARD_MS, 4)] {
            let domain = domain();
            domain.set_reach(Reach::Away);
            let known = Entry {
                end_ms: late_ms - 10,
                late_ms,
                stop_unix_ms: 1,
                taken: 5,
                left: 3,
                ..Entry::default()
            };
            domain.update(CLIENT, 0, |entry| *entry = known);
            assert_eq!((0..20).filter(|_| allowed(&domain, late_ms - 11)).count(), 3);
            assert!(!allowed(&domain, late_ms - 1), "it may still be counted elsewhere");
            assert_eq!((0..20).filter(|_| allowed(&domain, late_ms)).count(), shared);
        }
    }

    #[test]
    fn a_share_is_not_spent_on_the_way_back() {
        let domain = domain();
        domain.set_reach(Reach::Away);
        let first = 100_000 + GUARD_MS + 60_060;
        assert!(allowed(&domain, first));
        domain.set_reach(Reach::Offline);
        assert!(!allowed(&domain, first));
        domain.set_reach(Reach::Away);
        assert!(allowed(&domain, first));
    }
}
