use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::clock::ERA_BITS;

const WINDOW: u64 = 1_000;

fn at(tick: u64) -> Moment {
    Moment { tick, next: tick }
}

/// Asks, and reads the answer.
fn take(table: &Table, key: u64, moment: Moment) -> (Fits, u64) {
    let taken = table.take(key, moment);
    (taken.fits(NonZeroU32::new(table.limit).unwrap()), taken.end)
}

fn fits(table: &Table, key: u64, tick: u64) -> Fits {
    take(table, key, at(tick)).0
}

/// What a client was let through and told, by an observer who forgets nothing.
#[derive(Clone, Copy, Default)]
struct Seen {
    admitted: u32,
    end: u64,
}

/// Asks, and holds the answer against everything that this client was ever told.
fn ask(table: &Table, seen: &mut HashMap<u64, Seen>, key: u64, tick: u64) {
    let (fits, end) = take(table, key, at(tick));
    let client = seen.entry(key).or_default();
    if client.end <= tick {
        *client = Seen::default();
    }
    assert!(end > tick && end <= tick + table.window, "the window is neither over nor longer than asked");
    assert!(end >= client.end, "a window that was told never ends earlier");
    client.end = end;
    if let Fits::Yes { remaining } = fits {
        client.admitted += 1;
        assert!(table.limit - remaining >= client.admitted, "the stored count is below the true one");
    }
    assert!(client.admitted <= table.limit);
}

fn holds(table: &Table, key: u64, moment: Moment) -> usize {
    let place = table.place(key);
    let both = table.lock_both(place);
    let mine = |bucket: &Locked<'_>, tag: u64| {
        bucket.entries(moment.era()).filter(|(_, entry)| entry.tag == tag && entry.count > 0).count()
    };
    mine(&both.home, place.home_tag()) + mine(&both.second, place.second_tag())
}

proptest! {
    #[test]
    fn with_evictions_a_stored_count_is_never_below_the_true_one(
        index_bits in 1_u32..4,
        limit in 1_u32..40,
        start in prop_oneof![Just(0), Just((1_u64 << ERA_BITS) - 1_500), 0_u64..1 << 40],
        steps in prop::collection::vec((0_u64..120, prop_oneof![9 => Just(0_u64), 9 => 0_u64..40, 1 => 0_u64..200_000]), 1..3_000),
    ) {
        let table = Table::new(index_bits, limit, WINDOW).unwrap();
        let (mut seen, mut tick) = (HashMap::new(), start);
        for (client, pause) in steps {
            tick += pause;
            // Few clients often and many rarely, spread over buckets and rests.
            let key = (client * client / 120).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 14;
            ask(&table, &mut seen, key, tick);
            prop_assert!(holds(&table, key, at(tick)) <= 1);
        }
    }
}

#[test]
fn who_is_dropped_and_comes_back_has_no_more_than_before() {
    let table = Table::new(1, 10, WINDOW).unwrap();
    let mut seen = HashMap::new();
    for tick in 0..20 {
        for key in 0..1_000 {
            ask(&table, &mut seen, key, 5 + tick);
        }
    }
    assert!(table.evictions() > 50, "{}", table.evictions());
    assert!((0..1_000).all(|key| fits(&table, key, 100) == Fits::No));
    assert_eq!(fits(&table, 999, WINDOW + 25), Fits::Yes { remaining: 9 });
}

#[test]
fn a_floor_is_gone_a_window_after_the_first_who_was_dropped() {
    let table = Table::new(2, 1_000, WINDOW).unwrap();
    // A flood without end, a stranger a tick, for 200 windows: 50 strangers a slot in each.
    for key in 0..200 * WINDOW {
        let Fits::Yes { remaining } = fits(&table, key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 12, key) else {
            panic!("stranger {key} was shut out");
        };
        assert!(remaining > 800, "{remaining} for stranger {key}");
    }
}

#[test]
fn a_window_in_a_new_table_is_no_longer_than_asked_just_before_the_eras_wrap() {
    for eras_left in [1, 16, 17] {
        let table = Table::new(1, 10, WINDOW).unwrap();
        let mut seen = HashMap::new();
        let tick = (1 << 18 << ERA_BITS) - (eras_left << ERA_BITS);
        for key in 0..100 {
            ask(&table, &mut seen, key, tick + key);
        }
    }
}

#[test]
fn a_window_that_ended_does_not_come_back_when_a_counter_wraps() {
    let era = 1_u64 << ERA_BITS;
    for wait in [
        WINDOW,
        era - 1,
        era,
        era + 1,
        2 * era - 1,
        2 * era,
        2 * era + 1,
        3 * era,
        100 * era,
        1 << 32,
        1 << 33,
    ] {
        for start in [0, 1, era - 1, era, era + 1, 12_345_678] {
            let table = Table::new(1, 1, WINDOW).unwrap();
            assert_eq!(fits(&table, 7, start), Fits::Yes { remaining: 0 });
            assert_eq!(fits(&table, 7, start + WINDOW - 1), Fits::No);
            let end = start + wait + WINDOW;
            assert_eq!(
                take(&table, 7, at(start + wait)),
                (Fits::Yes { remaining: 0 }, end),
                "{start} + {wait}"
            );
        }
    }
}

#[test]
fn a_window_as_long_as_an_era_lasts_to_its_end() {
    let era = 1_u64 << ERA_BITS;
    for start in [0, 1, era / 2, era - 1, 5 * era - 1] {
        let table = Table::new(1, 1, era).unwrap();
        assert_eq!(fits(&table, 7, start), Fits::Yes { remaining: 0 });
        assert_eq!(take(&table, 7, at(start + era - 1)), (Fits::No, start + era));
        assert_eq!(fits(&table, 7, start + era), Fits::Yes { remaining: 0 });
    }
}

#[test]
fn a_late_thread_counts_in_the_era_that_others_have_begun() {
    let era = 1_u64 << ERA_BITS;
    let table = Table::new(1, 2, WINDOW).unwrap();
    let early = Moment { tick: era - 1, next: era };
    assert_eq!(take(&table, 7, at(era + 3)), (Fits::Yes { remaining: 1 }, era + 3 + WINDOW));
    assert_eq!(take(&table, 7, early), (Fits::Yes { remaining: 0 }, era + 3 + WINDOW));
    assert_eq!(take(&table, 7, at(era - 50)), (Fits::No, era + 3 + WINDOW));
    assert_eq!(take(&table, 9, at(era - 50)), (Fits::Yes { remaining: 1 }, era + WINDOW));
}

#[test]
fn both_buckets_of_a_client_are_found_from_either() {
    let table = Table::new(10, 1, WINDOW).unwrap();
    for key in (0..1 << 60).step_by(1 << 47).map(|key: u64| key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 4) {
        let place = table.place(key);
        assert_ne!(place.home, place.second);
        assert_eq!(table.other(place.second, place.rest), place.home);
    }
}
