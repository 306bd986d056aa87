use std::collections::TryReserveError;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bucket::{Bucket, Entry, Floor, Locked, TAG_BITS, likely_slot, wait};
use crate::clock::Moment;
use crate::decision::Fits;

/// Counts for a fixed number of clients, each in one of two buckets: its home or its second.
///
/// What must stay true:
///
/// 1. *A client is in one slot at most.* It enters, and moves, only under the locks of both its buckets. Whoever finds it
///    in a bucket may count under that bucket's lock alone.
/// 2. *A count is never below the number of requests let through in its window.* It starts from the floor of the client's home, and
///    whoever is dropped raises the floor of its own home to its count and start. So a client that was dropped and comes back has a
///    window that started no earlier and a count no lower than the one it lost (Space-Saving; Metwally, Agrawal, El Abbadi 2005).
/// 3. *A floor passes.* While a home has one, its newcomers join the floor's window and do not start one of their own, so no start that is
///    later than the first drop enters the floor, and a window after that drop it is gone, however long a flood lasts. If newcomers
///    brought starts of their own, or floors of two buckets were merged, the floor would grow from window to window until
///    it had reached the limit and shut everybody out.
///
/// Two buckets are locked in the order of their index. Who is moved or dropped may concern a third one: that lock is only
/// tried, and when it is taken nobody is moved, or everything is given back and done again. So nobody waits in a circle.
#[derive(Debug)]
pub(crate) struct Table {
    buckets: Box<[Bucket]>,
    index_bits: u32,
    limit: u32,
    window: u64,
    evictions: AtomicU64,
}

/// What one step decided. Two words, so that they travel in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Which request of the window this is; none if it does not fit.
    nth: u64,
    /// The tick at which the window ends.
    pub(crate) end: u64,
}

impl Taken {
    #[inline(always)]
    pub(crate) fn fits(self, limit: NonZeroU32) -> Fits {
        if self.nth == 0 { Fits::No } else { Fits::Yes { remaining: limit.get() - self.nth as u32 } }
    }
}

/// From this many clients on, a newcomer's home is compared with its second bucket. Below, it goes home, where the first look finds it.
const CROWDED: usize = 3;

/// How many clients of a full home are asked whether their other bucket has room.
const MOVES_TRIED: usize = 3;

/// The two buckets of a client, and what it is called in them.
#[derive(Clone, Copy)]
struct Place {
    home: usize,
    second: usize,
    rest: u64,
}

impl Place {
    /// A tag says whether the client is at home, as two clients may have the same rest and each the other's home.
    fn home_tag(self) -> u64 {
        self.rest << 1
    }

    fn second_tag(self) -> u64 {
        self.rest << 1 | 1
    }
}

impl Table {
    /// The smallest table: what of a key is not told by the bucket must fit into a tag.
    pub(crate) const MIN_INDEX_BITS: u32 = 64 - (TAG_BITS - 1);

    /// A table of 2 to the power of `index_bits` buckets, for windows of `window` ticks.
    pub(crate) fn new(index_bits: u32, limit: u32, window: u64) -> Result<Self, TryReserveError> {
        let mut buckets = Vec::new();
        buckets.try_reserve_exact(1 << index_bits)?;
        buckets.resize_with(1 << index_bits, Bucket::default);
        Ok(Self { buckets: buckets.into(), index_bits, limit, window, evictions: AtomicU64::new(0) })
    }

    /// Looks, decides and counts, in one step. `key` is uniform.
    #[inline(always)]
    pub(crate) fn take(&self, key: u64, moment: Moment) -> Taken {
        let place = self.place(key);
        match self.take_from(place.home, place.home_tag(), moment) {
            Some(taken) => taken,
            None => self.take_elsewhere(key, moment),
        }
    }

    /// Takes from a bucket that holds the client's running window, under that bucket's lock alone, or none if nothing is left.
    #[inline(always)]
    fn take_from(&self, index: usize, tag: u64, moment: Moment) -> Option<Taken> {
        let bucket = self.bucket(index);
        let peeked = bucket.peek(tag, moment)?;
        let Entry { count, start, .. } = peeked.entry;
        if !self.is_live(start, moment) {
            return None;
        }
        if count >= self.limit {
            return Some(self.refuse(start));
        }
        if bucket.add_one_to(&peeked) {
            return Some(self.admit(count + 1, start));
        }
        self.count_in(bucket, peeked.slot, tag, moment)
    }

    #[inline(never)]
    fn take_elsewhere(&self, key: u64, moment: Moment) -> Taken {
        let place = self.place(key);
        if let Some(taken) = self.take_from(place.second, place.second_tag(), moment) {
            return taken;
        }
        let mut turn = 0;
        loop {
            if let Some(taken) = self.count_anywhere(place, moment) {
                return taken;
            }
            turn = wait(turn);
        }
    }

    /// How many live clients had to make room.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Counts where a look without the lock found the client, if it is still there when the lock is free.
    #[cold]
    #[inline(never)]
    fn count_in(&self, bucket: &Bucket, slot: usize, tag: u64, moment: Moment) -> Option<Taken> {
        let mut bucket = bucket.lock();
        if !bucket.is_at(moment.era()) {
            return None;
        }
        let entry = bucket.entry(slot, moment.era());
        let found = entry.tag == tag && entry.count > 0 && self.is_live(entry.start, moment);
        found.then(|| self.count(&mut bucket, slot, entry))
    }

    fn count(&self, bucket: &mut Locked<'_>, slot: usize, entry: Entry) -> Taken {
        if entry.count >= self.limit {
            return self.refuse(entry.start);
        }
        bucket.add_one(slot, entry);
        self.admit(entry.count + 1, entry.start)
    }

    /// Counts under the locks of both buckets; `None` when it must be tried again.
    #[inline(never)]
    fn count_anywhere(&self, place: Place, moment: Moment) -> Option<Taken> {
        let mut both = self.lock_both(place);
        let moment = both.second.not_before(both.home.not_before(moment));
        both.home.roll(moment);
        both.second.roll(moment);
        self.find(&mut both, place, moment).or_else(|| self.enter(&mut both, place, moment))
    }

    /// Counts the client where it is; a window of its own that has passed is freed.
    fn find(&self, both: &mut Both<'_>, place: Place, moment: Moment) -> Option<Taken> {
        for (bucket, tag) in [(&mut both.home, place.home_tag()), (&mut both.second, place.second_tag())] {
            let mine = |(_, entry): &(usize, Entry)| entry.tag == tag && entry.count > 0;
            let Some((slot, entry)) = bucket.entries(moment.era()).find(mine) else { continue };
            if self.is_live(entry.start, moment) {
                return Some(self.count(bucket, slot, entry));
            }
            bucket.free(slot);
        }
        None
    }

    /// Lets a newcomer in, from the floor of its home.
    fn enter(&self, both: &mut Both<'_>, place: Place, moment: Moment) -> Option<Taken> {
        let floor = both.home.floor(moment.era()).filter(|floor| self.is_live(floor.start, moment));
        let floor = floor.unwrap_or(Floor { count: 0, start: moment.next });
        if floor.count >= self.limit {
            return Some(self.refuse(floor.start));
        }
        let (home, second) = (
            self.survey(&both.home, place.home_tag(), moment),
            self.survey(&both.second, place.second_tag(), moment),
        );
        let goes_home = home.live < CROWDED || home.live <= second.live;
        let (at_home, slot) = match (home.free, second.free) {
            (Some(slot), second) if goes_home || second.is_none() => (true, slot),
            (_, Some(slot)) => (false, slot),
            (Some(slot), None) => (true, slot),
            (None, None) => match self.move_one_away(both, place, floor, moment) {
                Some(slot) => (true, slot),
                None => self.evict(both, place, home.smallest, second.smallest, moment)?,
            },
        };
        let count = floor.count + 1;
        if at_home {
            both.home.put(slot, Entry { tag: place.home_tag(), count, start: floor.start });
        } else {
            both.second.put(slot, Entry { tag: place.second_tag(), count, start: floor.start });
        }
        Some(self.admit(count, floor.start))
    }

    /// Makes room at home by moving somebody to their other bucket (Pagh and Rodler 2001), so that nobody is dropped while there is
    /// room next door. Where somebody has been dropped already there is none, and a flood is not worth the walk.
    fn move_one_away(
        &self,
        both: &mut Both<'_>,
        place: Place,
        floor: Floor,
        moment: Moment,
    ) -> Option<usize> {
        if floor.count > 0 {
            return None;
        }
        (0..MOVES_TRIED).find(|slot| {
            let entry = both.home.entry(*slot, moment.era());
            let other = self.other(place.home, entry.tag >> 1);
            let Some(mut other) = self.bucket(other).try_lock() else { return false };
            let moment = other.not_before(moment);
            other.roll(moment);
            let Some(free) = self.survey(&other, entry.tag, moment).free else { return false };
            if self.is_live(entry.start, moment) {
                other.put(free, Entry { tag: entry.tag ^ 1, ..entry });
            }
            both.home.free(*slot);
            true
        })
    }

    /// Drops the smaller of two candidates and raises the floor of its home. The answer is its slot, and whether in `both.home`.
    fn evict(
        &self,
        both: &mut Both<'_>,
        place: Place,
        home: (usize, Entry),
        second: (usize, Entry),
        moment: Moment,
    ) -> Option<(bool, usize)> {
        let at_home = home.1.count <= second.1.count;
        let ((slot, victim), index) = if at_home { (home, place.home) } else { (second, place.second) };
        let victims_home = if victim.tag & 1 == 0 { index } else { self.other(index, victim.tag >> 1) };
        if victims_home == place.home {
            self.raise_floor(&mut both.home, victim, moment);
        } else if victims_home == place.second {
            self.raise_floor(&mut both.second, victim, moment);
        } else {
            let mut third = self.bucket(victims_home).try_lock()?;
            let moment = third.not_before(moment);
            third.roll(moment);
            self.raise_floor(&mut third, victim, moment);
        }
        self.evictions.fetch_add(1, Ordering::Relaxed);
        Some((at_home, slot))
    }

    fn raise_floor(&self, home: &mut Locked<'_>, victim: Entry, moment: Moment) {
        if !self.is_live(victim.start, moment) {
            return;
        }
        let Entry { count, start, .. } = victim;
        let floor = match home.floor(moment.era()).filter(|floor| self.is_live(floor.start, moment)) {
            Some(floor) => Floor { count: floor.count.max(count), start: floor.start.max(start) },
            None => Floor { count, start },
        };
        home.set_floor(floor);
    }

    fn survey(&self, bucket: &Locked<'_>, tag: u64, moment: Moment) -> Survey {
        let likely = likely_slot(tag);
        let first = (0, bucket.entry(0, moment.era()));
        let mut survey = Survey { live: 0, free: None, smallest: first };
        for (slot, entry) in bucket.entries(moment.era()) {
            if entry.count == 0 || !self.is_live(entry.start, moment) {
                survey.free = if slot == likely { Some(slot) } else { survey.free.or(Some(slot)) };
                continue;
            }
            survey.live += 1;
            if entry.count < survey.smallest.1.count {
                survey.smallest = (slot, entry);
            }
        }
        survey
    }

    fn lock_both(&self, place: Place) -> Both<'_> {
        let (home, second) = (self.bucket(place.home), self.bucket(place.second));
        if place.home < place.second {
            let home = home.lock();
            Both { home, second: second.lock() }
        } else {
            let second = second.lock();
            Both { home: home.lock(), second }
        }
    }

    fn is_live(&self, start: u64, moment: Moment) -> bool {
        start + self.window > moment.tick
    }

    fn admit(&self, count: u32, start: u64) -> Taken {
        Taken { nth: u64::from(count), end: start + self.window }
    }

    fn refuse(&self, start: u64) -> Taken {
        Taken { nth: 0, end: start + self.window }
    }

    fn place(&self, key: u64) -> Place {
        let home = self.index(key);
        let rest = key >> self.index_bits;
        Place { home, second: self.other(home, rest), rest }
    }

    /// The other bucket of a client, from either: never the same one, and back again when done twice.
    fn other(&self, index: usize, rest: u64) -> usize {
        index ^ (self.index(rest) | 1)
    }

    fn index(&self, bits: u64) -> usize {
        bits as usize & (self.buckets.len() - 1)
    }

    #[expect(clippy::indexing_slicing, reason = "every index is masked to the length, a power of two")]
    fn bucket(&self, index: usize) -> &Bucket {
        &self.buckets[index & (self.buckets.len() - 1)]
    }
}

struct Both<'a> {
    home: Locked<'a>,
    second: Locked<'a>,
}

/// What room there is in a bucket.
struct Survey {
    live: usize,
    free: Option<usize>,
    /// The slot with the smallest count, if none is free.
    smallest: (usize, Entry),
}

#[cfg(test)]
mod tests;
