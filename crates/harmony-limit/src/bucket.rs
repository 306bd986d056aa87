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
/// | tags, one word a slot | tag 51, upper part of the start 13 |
/// | tallies, two words for all | for each slot: lower part of the start 5, count 20 |
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
    tallies: [AtomicU64; 2],
}

/// What a bucket knows of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) tag: u64,
    pub(crate) count: u32,
    /// The tick at which the window started.
    pub(crate) start: u64,
}

/// No client whose home this is and who was dropped had a higher count, or a later start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Floor {
    pub(crate) count: u32,
    pub(crate) start: u64,
}

impl Bucket {
    /// What the bucket holds under `tag`, without the lock; `None` when it is not there or nothing certain can be said.
    pub(crate) fn peek(&self, tag: u64, moment: Moment) -> Option<(usize, Entry)> {
        let before = self.header.load(Ordering::Acquire);
        if is_locked(before) || ERA.get(before) != ERA.cut(moment.era()) {
            return None;
        }
        let slot = self.tags.iter().position(|word| TAG.get(word.load(Ordering::Relaxed)) == tag)?;
        let entry = self.entry(slot, moment.era());
        fence(Ordering::Acquire);
        (self.header.load(Ordering::Relaxed) == before && entry.count > 0).then_some((slot, entry))
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
        self.header
            .compare_exchange(header, LOCK.put(header, 1), Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        fence(Ordering::Release);
        Some(Locked { bucket: self, header })
    }

    #[expect(clippy::indexing_slicing, reason = "slots are numbered by this file alone, from 0 to 4")]
    fn entry(&self, slot: usize, era: u64) -> Entry {
        let word = self.tags[slot].load(Ordering::Relaxed);
        let tally = self.tallies() >> tally_shift(slot) & TALLY_MASK;
        let start = START_UPPER.get(word) << START_LOWER_BITS | tally_start(tally);
        Entry { tag: TAG.get(word), count: tally_count(tally), start: full_start(start, era) }
    }

    fn tallies(&self) -> u128 {
        let [lower, upper] = &self.tallies;
        u128::from(upper.load(Ordering::Relaxed)) << 64 | u128::from(lower.load(Ordering::Relaxed))
    }
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

    /// `moment`, or the start of the bucket's era if another thread has already brought the bucket there.
    pub(crate) fn not_before(&self, moment: Moment) -> Moment {
        let ahead = ERA.cut(ERA.get(self.header).wrapping_sub(moment.era()));
        if ahead == 0 || ahead > Self::MAX_ERAS_AHEAD {
            return moment;
        }
        let tick = (moment.era() + ahead) << ERA_BITS;
        Moment { tick, next: tick }
    }

    /// Brings the bucket to the moment's era and drops what is older than the era before. The moment must not be before the bucket's
    /// own era (see [`Locked::not_before`]).
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
        self.bucket.entry(slot, era)
    }

    pub(crate) fn entries(&self, era: u64) -> impl Iterator<Item = (usize, Entry)> {
        (0..SLOTS).map(move |slot| (slot, self.entry(slot, era)))
    }

    #[expect(clippy::indexing_slicing, reason = "slots are numbered by this file alone, from 0 to 4")]
    pub(crate) fn put(&mut self, slot: usize, entry: Entry) {
        let word = START_UPPER.put(TAG.put(0, entry.tag), START.cut(entry.start) >> START_LOWER_BITS);
        self.bucket.tags[slot].store(word, Ordering::Relaxed);
        let shift = tally_shift(slot);
        let others = self.bucket.tallies() & !(TALLY_MASK << shift);
        self.store_tallies(others | tally(entry) << shift);
    }

    /// Adds one to the count of a slot; it must not be full.
    pub(crate) fn add_one(&mut self, slot: usize) {
        self.store_tallies(self.bucket.tallies() + (1 << (tally_shift(slot) + START_LOWER_BITS)));
    }

    pub(crate) fn free(&mut self, slot: usize) {
        self.put(slot, FREE);
    }

    pub(crate) fn floor(&self, era: u64) -> Option<Floor> {
        let count = count_from(FLOOR_COUNT.get(self.header));
        (count > 0).then(|| Floor { count, start: full_start(FLOOR_START.get(self.header), era) })
    }

    pub(crate) fn set_floor(&mut self, floor: Floor) {
        let header = FLOOR_COUNT.put(self.header, u64::from(floor.count));
        self.header = FLOOR_START.put(header, floor.start);
    }

    fn store_tallies(&self, tallies: u128) {
        let [lower, upper] = &self.bucket.tallies;
        lower.store(low_word(tallies), Ordering::Relaxed);
        upper.store(low_word(tallies >> 64), Ordering::Relaxed);
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
const FLOOR_COUNT: Field = Field { shift: 26, bits: COUNT_BITS };
const FLOOR_START: Field = Field { shift: 46, bits: START.bits };

const TAG: Field = Field { shift: 0, bits: TAG_BITS };
const START_UPPER: Field = Field { shift: TAG_BITS, bits: START.bits - START_LOWER_BITS };

/// A start: the parity of its era and the time within it.
const START: Field = Field { shift: 0, bits: ERA_BITS + 1 };
const START_LOWER_BITS: u32 = 5;

const TALLY_BITS: u32 = START_LOWER_BITS + COUNT_BITS;
const TALLY_MASK: u128 = (1 << TALLY_BITS) - 1;

const _: () = {
    assert!(FLOOR_START.shift + FLOOR_START.bits == 64);
    assert!(START_UPPER.shift + START_UPPER.bits == 64);
    assert!(TALLY_BITS * 5 <= 128 && SLOTS == 5);
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

fn tally_shift(slot: usize) -> u32 {
    slot as u32 * TALLY_BITS
}

fn tally(entry: Entry) -> u128 {
    u128::from(entry.count) << START_LOWER_BITS | u128::from(entry.start & ((1 << START_LOWER_BITS) - 1))
}

fn tally_start(tally: u128) -> u64 {
    low_word(tally) & ((1 << START_LOWER_BITS) - 1)
}

fn tally_count(tally: u128) -> u32 {
    count_from(low_word(tally >> START_LOWER_BITS))
}

fn count_from(bits: u64) -> u32 {
    bits as u32
}

fn low_word(bits: u128) -> u64 {
    bits as u64
}
