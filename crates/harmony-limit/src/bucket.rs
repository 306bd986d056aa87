use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::{hint, thread};

use crate::clock::{ERA_BITS, Moment};

/// How many clients fit into a bucket.
pub(crate) const SLOTS: usize = 5;
/// How many bits tell the clients of a bucket apart.
pub(crate) const TAG_BITS: u32 = 51;
/// How many bits a count has.
pub(crate) const COUNT_BITS: u32 = 20;

/// One cache line, 512 bits: a header and five slots of 89 bits.
///
/// | where | bits |
/// |---|---|
/// | header | lock 1, sequence 7, era 18, floor's count 20, floor's start 18 |
/// | tags, one word a slot | tag 51, lower part of the count 13: a count goes up in one word but once in 8,192 times |
/// | rests, two words for all | for each slot: start 18, upper part of the count 7 |
///
/// A slot is free when its count is 0 or its window has passed.
///
/// **Starts** are kept as the low 18 bits of a tick: the era's parity and the time within the era. The header's era says what they
/// are relative to: everything in a bucket has started in its era or in the one before. Whoever locks a bucket in a later era first
/// drops what is older, and all of that has ended, as no window lasts longer than an era. So a start never comes back to life when a
/// counter wraps, after whatever time. Only the header's era wraps, after 2¹⁸ eras: 10.9 years in which nobody touched the bucket.
///
/// **The lock** guards all writes. Readers without it follow the sequence (Boehm 2012, "Can seqlocks get along with programming language
/// memory models?"): a writer's fence puts its lock before its writes, a reader's fence puts its reads before its second look at the
/// header, so a reader that has seen any part of a write sees another header. With 7 bits, 128 writes between two loads could go
/// unnoticed; therefore such a reading refuses at most, and never lets through.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    header: AtomicU64,
    tags: [AtomicU64; SLOTS],
    rests: [AtomicU64; 2],
}

/// What a bucket knows of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) tag: u64,
    pub(crate) count: u32,
    /// The tick at which the window started.
    pub(crate) start: u64,
}

/// An entry as it was seen without the lock, and the words it was read from.
pub(crate) struct Peeked {
    pub(crate) slot: usize,
    pub(crate) entry: Entry,
    header: u64,
    word: u64,
    rests: u128,
}

/// No client whose home this is and who was dropped had a higher count, or a later start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Floor {
    pub(crate) count: u32,
    pub(crate) start: u64,
}

impl Bucket {
    /// What the bucket holds under `tag`, without the lock; `None` when it is not there or nothing certain can be said.
    #[inline(always)]
    pub(crate) fn peek(&self, tag: u64, moment: Moment) -> Option<Peeked> {
        let header = self.header.load(Ordering::Acquire);
        if LOCK_AND_ERA & header != ERA.put(0, moment.era()) {
            return None;
        }
        let likely = likely_slot(tag);
        let slot = if TAG.get(self.word(likely)) == tag { likely } else { self.slot_of(tag)? };
        let (word, rests) = (self.word(slot), self.rests());
        fence(Ordering::Acquire);
        let entry = entry(word, rests, slot, moment.era());
        let certain = self.header.load(Ordering::Relaxed) == header && entry.count > 0;
        certain.then_some(Peeked { slot, entry, header, word, rests })
    }

    /// All are compared: a branch for each would be mispredicted half of the time.
    #[inline(always)]
    fn slot_of(&self, tag: u64) -> Option<usize> {
        let equal = |slot: usize| u32::from(TAG.get(self.word(slot)) == tag) << slot;
        let found = equal(0) | equal(1) | equal(2) | equal(3) | equal(4);
        (found > 0).then_some(found.trailing_zeros() as usize)
    }

    /// Adds one to what was seen without the lock, if nothing has changed since. The count must be below the largest.
    ///
    /// The lock is taken from the header that was seen, and under it the words are compared: so an unnoticed write is noticed here.
    #[inline(always)]
    pub(crate) fn add_one_to(&self, peeked: &Peeked) -> bool {
        let Some(mut locked) = self.lock_from(peeked.header) else { return false };
        let unchanged = self.word(peeked.slot) == peeked.word && self.rests() == peeked.rests;
        if unchanged {
            locked.add_one(peeked.slot, peeked.entry);
        }
        unchanged
    }

    /// Waits until nobody else has the lock.
    pub(crate) fn lock(&self) -> Locked<'_> {
        let mut turn = 0;
        loop {
            if let Some(locked) = self.try_lock() {
                return locked;
            }
            turn = wait(turn);
        }
    }

    pub(crate) fn try_lock(&self) -> Option<Locked<'_>> {
        let header = self.header.load(Ordering::Relaxed);
        if is_locked(header) {
            return None;
        }
        self.lock_from(header)
    }

    fn lock_from(&self, header: u64) -> Option<Locked<'_>> {
        let locked = LOCK.put(header, 1);
        self.header.compare_exchange(header, locked, Ordering::Acquire, Ordering::Relaxed).ok()?;
        fence(Ordering::Release);
        Some(Locked { bucket: self, header })
    }

    #[expect(clippy::indexing_slicing, reason = "slots are numbered by this file alone, from 0 to 4")]
    fn word(&self, slot: usize) -> u64 {
        self.tags[slot].load(Ordering::Relaxed)
    }

    fn rests(&self) -> u128 {
        let [lower, upper] = &self.rests;
        u128::from(upper.load(Ordering::Relaxed)) << 64 | u128::from(lower.load(Ordering::Relaxed))
    }
}

/// The slot in which a newcomer is put if it is free, and looked for first.
#[inline(always)]
pub(crate) fn likely_slot(tag: u64) -> usize {
    (((tag >> 1 & 0xffff) * SLOTS as u64) >> 16) as usize
}

/// Spends a turn waiting and numbers the next: first on the processor, then letting others run, one of whom may have the lock.
pub(crate) fn wait(turn: u32) -> u32 {
    if turn < 64 {
        hint::spin_loop()
    } else {
        thread::yield_now()
    }
    turn.saturating_add(1)
}

/// A bucket that nobody else may change.
pub(crate) struct Locked<'a> {
    bucket: &'a Bucket,
    /// The header as it will be stored when the lock is given back.
    header: u64,
}

impl Locked<'_> {
    /// How far the bucket may be ahead of a thread that was held up; beyond that it has been untouched for years.
    const MAX_ERAS_AHEAD: u64 = 16;

    /// `moment`, or the start of the bucket's era if another thread has already brought the bucket there. A bucket that holds
    /// nothing is nowhere: one that was never touched has era 0, which is ahead of the last eras before the counter wraps.
    pub(crate) fn not_before(&self, moment: Moment) -> Moment {
        let ahead = ERA.cut(ERA.get(self.header).wrapping_sub(moment.era()));
        if ahead == 0 || ahead > Self::MAX_ERAS_AHEAD || self.is_empty(moment.era()) {
            return moment;
        }
        let tick = (moment.era() + ahead) << ERA_BITS;
        Moment { tick, next: tick }
    }

    fn is_empty(&self, era: u64) -> bool {
        FLOOR_COUNT.get(self.header) == 0 && self.entries(era).all(|(_, entry)| entry.count == 0)
    }

    /// Brings the bucket to the moment's era and drops what is older than the era before. The moment must not be before the own era
    /// of a bucket that holds something (see [`Locked::not_before`]).
    pub(crate) fn roll(&mut self, moment: Moment) {
        let old = ERA.get(self.header);
        let passed = ERA.cut(moment.era().wrapping_sub(old));
        if passed == 0 {
            return;
        }
        let stays = |start: u64| passed == 1 && start >> ERA_BITS == old & 1;
        for slot in 0..SLOTS {
            if !stays(START.cut(self.entry(slot, old).start)) {
                self.put(slot, FREE);
            }
        }
        if !stays(FLOOR_START.get(self.header)) {
            self.header = FLOOR_COUNT.put(self.header, 0);
        }
        self.header = ERA.put(self.header, moment.era());
    }

    pub(crate) fn is_at(&self, era: u64) -> bool {
        ERA.get(self.header) == ERA.cut(era)
    }

    pub(crate) fn entry(&self, slot: usize, era: u64) -> Entry {
        entry(self.bucket.word(slot), self.bucket.rests(), slot, era)
    }

    pub(crate) fn entries(&self, era: u64) -> impl Iterator<Item = (usize, Entry)> {
        (0..SLOTS).map(move |slot| (slot, self.entry(slot, era)))
    }

    pub(crate) fn put(&mut self, slot: usize, entry: Entry) {
        let count = u64::from(entry.count);
        self.store_word(slot, COUNT_LOWER.put(TAG.put(0, entry.tag), count));
        let rest = COUNT_UPPER.put(START.put(0, entry.start), count >> COUNT_LOWER.bits);
        let shift = rest_shift(slot);
        let rests = self.bucket.rests() & !(REST_MASK << shift) | u128::from(rest) << shift;
        let [lower, upper] = &self.bucket.rests;
        lower.store(rests as u64, Ordering::Relaxed);
        upper.store((rests >> 64) as u64, Ordering::Relaxed);
    }

    /// Adds one to the entry of a slot; its count must be below the largest.
    #[inline(always)]
    pub(crate) fn add_one(&mut self, slot: usize, entry: Entry) {
        let count = entry.count + 1;
        if COUNT_LOWER.cut(u64::from(count)) == 0 {
            return self.carry(slot, Entry { count, ..entry });
        }
        self.store_word(slot, COUNT_LOWER.put(entry.tag, u64::from(count)));
    }

    #[cold]
    #[inline(never)]
    fn carry(&mut self, slot: usize, entry: Entry) {
        self.put(slot, entry);
    }

    pub(crate) fn free(&mut self, slot: usize) {
        self.put(slot, FREE);
    }

    pub(crate) fn floor(&self, era: u64) -> Option<Floor> {
        let count = FLOOR_COUNT.get(self.header) as u32;
        (count > 0).then(|| Floor { count, start: full_start(FLOOR_START.get(self.header), era) })
    }

    pub(crate) fn set_floor(&mut self, floor: Floor) {
        let header = FLOOR_COUNT.put(self.header, u64::from(floor.count));
        self.header = FLOOR_START.put(header, floor.start);
    }

    #[expect(clippy::indexing_slicing, reason = "slots are numbered by this file alone, from 0 to 4")]
    fn store_word(&self, slot: usize, word: u64) {
        self.bucket.tags[slot].store(word, Ordering::Relaxed);
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let next = SEQUENCE.put(self.header, SEQUENCE.get(self.header) + 1);
        self.bucket.header.store(next, Ordering::Release);
    }
}

const FREE: Entry = Entry { tag: 0, count: 0, start: 0 };

/// Some bits of a word.
#[derive(Clone, Copy)]
struct Field {
    shift: u32,
    bits: u32,
}

const LOCK: Field = Field { shift: 0, bits: 1 };
const SEQUENCE: Field = Field { shift: 1, bits: 7 };
const ERA: Field = Field { shift: 8, bits: 18 };
const LOCK_AND_ERA: u64 = LOCK.mask() << LOCK.shift | ERA.mask() << ERA.shift;
const FLOOR_COUNT: Field = Field { shift: 26, bits: COUNT_BITS };
const FLOOR_START: Field = Field { shift: 46, bits: START.bits };

const TAG: Field = Field { shift: 0, bits: TAG_BITS };
const COUNT_LOWER: Field = Field { shift: TAG_BITS, bits: 64 - TAG_BITS };

/// A start: the parity of its era and the time within it.
const START: Field = Field { shift: 0, bits: ERA_BITS + 1 };
const COUNT_UPPER: Field = Field { shift: START.bits, bits: COUNT_BITS - COUNT_LOWER.bits };

const REST_BITS: u32 = COUNT_UPPER.shift + COUNT_UPPER.bits;
const REST_MASK: u128 = (1 << REST_BITS) - 1;

const _: () = {
    assert!(FLOOR_START.shift + FLOOR_START.bits == 64);
    assert!(REST_BITS * SLOTS as u32 <= 128);
    assert!(size_of::<Bucket>() == 64);
};

impl Field {
    const fn mask(self) -> u64 {
        (1 << self.bits) - 1
    }

    const fn cut(self, value: u64) -> u64 {
        value & self.mask()
    }

    const fn get(self, word: u64) -> u64 {
        self.cut(word >> self.shift)
    }

    const fn put(self, word: u64, value: u64) -> u64 {
        word & !(self.mask() << self.shift) | self.cut(value) << self.shift
    }
}

fn is_locked(header: u64) -> bool {
    LOCK.get(header) == 1
}

/// The whole tick of a start in a bucket of this era: the one with these low bits in this era or the one before.
fn full_start(start: u64, era: u64) -> u64 {
    let earliest = (era << ERA_BITS).wrapping_sub(1 << ERA_BITS);
    earliest.wrapping_add(START.cut(start.wrapping_sub(earliest)))
}

fn entry(word: u64, rests: u128, slot: usize, era: u64) -> Entry {
    let rest = (rests >> rest_shift(slot)) as u64;
    let count = COUNT_UPPER.get(rest) << COUNT_LOWER.bits | COUNT_LOWER.get(word);
    Entry { tag: TAG.get(word), count: count as u32, start: full_start(START.get(rest), era) }
}

fn rest_shift(slot: usize) -> u32 {
    slot as u32 * REST_BITS
}
