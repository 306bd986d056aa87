//! A bounded, set-associative table, searched by digest.

use std::{array, iter};

use harmony_key::KeyDigest;

use crate::sync::{
    RwLock,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

/// Places in a set. The eight bits of [`Set::referenced`] are theirs.
const WAYS: usize = 8;

/// What a table keeps: something that knows the digest it is found by.
pub(crate) trait Kept: Clone {
    fn digest(&self) -> &KeyDigest;
}

impl Kept for KeyDigest {
    fn digest(&self) -> &KeyDigest {
        self
    }
}

/// Where a digest belongs: its bits mixed with a secret of the process ([`crate::mix::Mixer`]).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot(pub(crate) u64);

impl Spot {
    /// The upper bits choose the set (D. Lemire, "Fast random integer generation in an interval", 2019).
    const fn set_of(self, sets: usize) -> usize {
        ((self.0 as u128 * sets as u128) >> 64) as usize
    }

    /// Where it belongs when its first set is full.
    const fn second(self) -> Self {
        Self(self.0.rotate_left(32))
    }

    /// The lowest bits tell most of a set's entries apart without following their pointers.
    const fn tag(self) -> u8 {
        self.0 as u8
    }
}

/// Sets of [`WAYS`] places, each behind a lock of its own. What it holds never grows after it was made.
///
/// A digest has two sets and goes to the second only when the first is full. With one, in a table that is half full, 1 key
/// in 20 shares its set with more than there are places; whoever uses these keys in turn would miss each of them.
pub(crate) struct Table<V> {
    sets: Box<[RwLock<Set<V>>]>,
}

struct Set<V> {
    tags: [u8; WAYS],
    slots: [Option<V>; WAYS],
    /// One bit a place, set when it was read since the hand last passed (the clock algorithm, F. Corbató 1968).
    referenced: AtomicU8,
    /// The place that is looked at first when one must go.
    hand: u8,
    /// Answers given from this set. Here, since the lock has brought this cache line already.
    hits: AtomicU64,
}

impl<V: Kept> Table<V> {
    /// A table of at least `places` places, and of one set at least.
    pub(crate) fn with_places(places: usize) -> Self {
        let sets = places.div_ceil(WAYS).max(1);
        Self { sets: iter::repeat_with(|| RwLock::new(Set::empty())).take(sets).collect() }
    }

    /// What is kept for the digest. Takes one read lock, nearly always, and allocates nothing.
    pub(crate) fn get(&self, digest: &KeyDigest, spot: Spot) -> Option<V> {
        self.sets_of(spot).find_map(|set| set.read().recall(digest, spot.tag()))
    }

    /// Keeps `value` if `still_true` says so under the lock of the set it goes to; tells whether it did.
    pub(crate) fn insert(&self, spot: Spot, value: V, still_true: impl Fn() -> bool) -> bool {
        let room =
            self.sets_of(spot).map(|set| set.write()).find(|set| set.has_room(value.digest(), spot.tag()));
        let Some(mut set) = room.or_else(|| self.sets_of(spot).last().map(|set| set.write())) else {
            return false;
        };
        if !still_true() {
            return false;
        }
        let way = match set.find(value.digest(), spot.tag()) {
            Some((way, _)) => way,
            None => set.free_or_evicted(),
        };
        set.put(way, spot.tag(), Some(value));
        true
    }

    /// Drops what is kept for the digest.
    pub(crate) fn remove(&self, digest: &KeyDigest, spot: Spot) {
        for set in self.sets_of(spot) {
            let mut set = set.write();
            if let Some((way, _)) = set.find(digest, spot.tag()) {
                set.put(way, 0, None);
            }
        }
    }

    /// Visits every set under its lock and drops what `keep` denies.
    pub(crate) fn retain(&self, keep: impl Fn(&V) -> bool) {
        for set in &self.sets {
            for slot in &mut set.write().slots {
                if slot.as_ref().is_some_and(|value| !keep(value)) {
                    *slot = None;
                }
            }
        }
    }

    /// How many answers were given, and how many entries are kept.
    pub(crate) fn counts(&self) -> (u64, usize) {
        self.sets.iter().fold((0, 0), |(hits, kept), set| {
            let set = set.read();
            (hits + set.hits.load(Ordering::Relaxed), kept + set.slots.iter().flatten().count())
        })
    }

    fn sets_of(&self, spot: Spot) -> impl Iterator<Item = &RwLock<Set<V>>> {
        let sets = [spot, spot.second()].into_iter();
        sets.filter_map(|spot| self.sets.get(spot.set_of(self.sets.len())))
    }
}

impl<V: Kept> Set<V> {
    fn empty() -> Self {
        Self {
            tags: [0; WAYS],
            slots: array::from_fn(|_| None),
            referenced: AtomicU8::new(0),
            hand: 0,
            hits: AtomicU64::new(0),
        }
    }

    /// What is kept here for the digest, noted as read.
    fn recall(&self, digest: &KeyDigest, tag: u8) -> Option<V> {
        let (way, value) = self.find(digest, tag)?;
        let bit = 1 << way;
        // Looked at first, so that a hot set is not written to more than it must be.
        if self.referenced.load(Ordering::Relaxed) & bit == 0 {
            self.referenced.fetch_or(bit, Ordering::Relaxed);
        }
        self.hits.fetch_add(1, Ordering::Relaxed);
        Some(value.clone())
    }

    fn has_room(&self, digest: &KeyDigest, tag: u8) -> bool {
        self.slots.iter().any(Option::is_none) || self.find(digest, tag).is_some()
    }

    fn find(&self, digest: &KeyDigest, tag: u8) -> Option<(usize, &V)> {
        let slots = self.tags.iter().zip(&self.slots).enumerate();
        slots
            .filter(|(_, (slot_tag, _))| **slot_tag == tag)
            .filter_map(|(way, (_, slot))| slot.as_ref().map(|value| (way, value)))
            .find(|(_, value)| value.digest() == digest)
    }

    fn put(&mut self, way: usize, tag: u8, value: Option<V>) {
        if let (Some(slot), Some(slot_tag)) = (self.slots.get_mut(way), self.tags.get_mut(way)) {
            *slot = value;
            *slot_tag = tag;
        }
    }

    /// A free place, or that of the first entry from the hand on which nobody has read since the hand last passed.
    fn free_or_evicted(&mut self) -> usize {
        if let Some(free) = self.slots.iter().position(Option::is_none) {
            return free;
        }
        let referenced = self.referenced.get_mut();
        // Ends within one turn and a step: what the hand passes is not referenced any more.
        loop {
            let way = self.hand;
            self.hand = (self.hand + 1) % WAYS as u8;
            if *referenced & (1 << way) == 0 {
                return usize::from(way);
            }
            *referenced &= !(1 << way);
        }
    }
}

#[cfg(test)]
mod tests {
    use harmony_key::ApiKey;

    use super::*;

    fn digest(number: u8) -> KeyDigest {
        ApiKey::from_secret([number; 28]).digest()
    }

    fn one_set() -> Table<KeyDigest> {
        Table::with_places(1)
    }

    fn spot(number: u8) -> Spot {
        Spot(u64::from(number))
    }

    fn keep(table: &Table<KeyDigest>, number: u8) {
        assert!(table.insert(spot(number), digest(number), || true));
    }

    fn kept(table: &Table<KeyDigest>, number: u8) -> bool {
        table.get(&digest(number), spot(number)).is_some()
    }

    #[test]
    fn what_was_put_is_found_until_it_is_removed() {
        let table = one_set();
        assert!(!kept(&table, 1));
        keep(&table, 1);
        keep(&table, 2);
        assert!(kept(&table, 1));
        table.remove(&digest(1), spot(1));
        assert!(!kept(&table, 1));
        assert!(kept(&table, 2));
    }

    #[test]
    fn two_digests_with_one_tag_are_told_apart() {
        let table = one_set();
        assert!(table.insert(spot(0), digest(1), || true));
        assert!(table.insert(spot(0), digest(2), || true));
        assert_eq!(table.get(&digest(1), spot(0)), Some(digest(1)));
        assert_eq!(table.get(&digest(2), spot(0)), Some(digest(2)));
        assert_eq!(table.get(&digest(3), spot(0)), None);
    }

    #[test]
    fn a_digest_whose_first_set_is_full_goes_to_its_second() {
        let table = Table::with_places(16);
        // The first set for all: the lower one. The second: the upper one.
        let spot = |number: u8| Spot(1 << 31 | u64::from(number));
        (0..16).for_each(|number| assert!(table.insert(spot(number), digest(number), || true)));
        assert!((0..16).all(|number| table.get(&digest(number), spot(number)).is_some()));
        table.remove(&digest(12), spot(12));
        table.remove(&digest(3), spot(3));
        let left = (0..16).filter(|&number| table.get(&digest(number), spot(number)).is_some()).count();
        assert_eq!((left, table.counts().1), (14, 14));
    }

    #[test]
    fn what_is_not_true_any_more_is_not_kept() {
        let table = one_set();
        assert!(!table.insert(spot(1), digest(1), || false));
        assert!(!kept(&table, 1));
    }

    #[test]
    fn a_full_set_lets_go_of_what_nobody_reads() {
        let table = one_set();
        (0..8).for_each(|number| keep(&table, number));
        assert!(kept(&table, 0));
        keep(&table, 8);
        assert!(kept(&table, 0));
        assert!(!kept(&table, 1));
        assert_eq!(table.counts().1, 8);
    }

    #[test]
    fn a_full_set_that_is_all_read_still_takes_a_newcomer() {
        let table = one_set();
        (0..8).for_each(|number| keep(&table, number));
        assert!((0..8).all(|number| kept(&table, number)));
        keep(&table, 8);
        assert!(kept(&table, 8));
        assert_eq!(table.counts().1, 8);
    }

    #[test]
    fn a_sweep_drops_what_it_is_told_and_nothing_else() {
        let table = Table::with_places(64);
        let far = |number: u8| Spot(u64::from(number) << 58);
        (0..8).for_each(|number| assert!(table.insert(far(number), digest(number), || true)));
        table.retain(|kept| *kept != digest(3));
        assert_eq!(table.get(&digest(3), far(3)), None);
        assert_eq!(table.counts().1, 7);
    }
}
