//! How keys are used: noted in memory, written now and then, added up, and forgotten in time.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use harmony_access::{ApiKeyId, Timestamp};
use harmony_workspace::{
    Error, Occasion, api_keys,
    usage::{self, Bucket, Uses},
};

use crate::{
    backend::{Database, on_both},
    house::*,
};

on_both!(
    what_several_processes_flush_adds_up_by_hour_and_by_day,
    only_what_was_flushed_is_there_after_a_crash,
    hours_and_days_are_forgotten_when_they_are_too_old,
    the_use_of_a_deleted_key_goes_with_it_and_later_counts_are_passed_over,
    only_whoever_may_see_a_key_sees_its_use,
    keys_are_deleted_while_their_use_is_written,
);

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
/// Few enough for a second, and many enough to meet a flush.
const KEYS_DELETED: usize = 100;
const HOUR: Duration = Duration::from_secs(3_600);

fn later(hours: u32) -> Occasion {
    Occasion { now: now().now.plus(HOUR * hours), ..now() }
}

fn busy(buckets: &[Bucket]) -> Vec<(Timestamp, [u64; 6])> {
    let busy = buckets.iter().filter(|bucket| bucket.total() > 0);
    busy.map(|bucket| (bucket.start, bucket.requests)).collect()
}

fn what_several_processes_flush_adds_up_by_hour_and_by_day(database: Database) {
    let h = harmony(database);
    let (key, other) = (h.key(h.ann), h.key(h.ann));
    let (one, two) = (Uses::default(), Uses::default());
    for uses in [&one, &two] {
        let noting = uses.notebook();
        for status in [200, 201, 302, 404, 401, 403, 429, 500] {
            noting.note(key, now().now, HERE, status);
        }
        noting.note(key, later(2).now, HERE, 200);
        uses.flush(&h.workspace).unwrap();
        // Nothing is counted twice.
        uses.flush(&h.workspace).unwrap();
    }
    let use_of = |key| usage::of_key(&h.workspace, &h.admin, &later(3), key).unwrap();
    let used = use_of(key);
    assert_eq!((used.hours.len(), used.days.len(), used.last_day()), (48, 90, 18));
    let hour = Timestamp::from_millis(now().now.as_millis() / 3_600_000 * 3_600_000);
    assert_eq!(busy(&used.hours), [(hour, [6, 2, 2, 2, 2, 2]), (hour.plus(HOUR * 2), [2, 0, 0, 0, 0, 0])]);
    let day = Timestamp::from_millis(now().now.as_millis() / 86_400_000 * 86_400_000);
    assert_eq!(busy(&used.days), [(day, [8, 2, 2, 2, 2, 2])]);
    assert_eq!(busy(&use_of(other).days), []);
    let (_, last) = api_keys::find(&h.workspace, &h.admin, key).unwrap();
    assert_eq!(last.unwrap().at, later(2).now);
}

fn only_what_was_flushed_is_there_after_a_crash(database: Database) {
    let h = harmony(database);
    let (key, uses) = (h.key(h.ann), Uses::default());
    let noting = uses.notebook();
    noting.note(key, now().now, HERE, 200);
    uses.flush(&h.workspace).unwrap();
    noting.note(key, now().now, HERE, 200);
    drop(uses);
    assert_eq!(usage::of_key(&h.workspace, &h.admin, &now(), key).unwrap().last_day(), 1);
}

fn hours_and_days_are_forgotten_when_they_are_too_old(database: Database) {
    let h = harmony(database);
    let (key, uses) = (h.key(h.ann), Uses::default());
    let noting = uses.notebook();
    noting.note(key, now().now, HERE, 200);
    uses.flush(&h.workspace).unwrap();
    let rows = |hours| {
        usage::prune(&h.workspace, later(hours).now).unwrap();
        h.database.rows()["api_key_usage"].len()
    };
    assert_eq!(rows(48), 2);
    assert_eq!(rows(50), 1, "the hour is gone, the day is there");
    assert_eq!(rows(24 * 90), 1);
    assert_eq!(rows(24 * 92), 0);
}

fn the_use_of_a_deleted_key_goes_with_it_and_later_counts_are_passed_over(database: Database) {
    let h = harmony(database);
    let (gone, kept, uses) = (h.key(h.ann), h.key(h.ann), Uses::default());
    let noting = uses.notebook();
    noting.note(gone, now().now, HERE, 200);
    uses.flush(&h.workspace).unwrap();
    value(api_keys::delete(&h.workspace, &h.admin, &now(), gone, None).unwrap());
    noting.note(gone, now().now, HERE, 200);
    noting.note(kept, now().now, HERE, 200);
    uses.flush(&h.workspace).unwrap();
    let used = usage::of_key(&h.workspace, &h.admin, &now(), gone);
    assert!(matches!(used, Err(Error::NotFound)));
    assert_eq!(usage::of_key(&h.workspace, &h.admin, &now(), kept).unwrap().last_day(), 1);
}

fn only_whoever_may_see_a_key_sees_its_use(database: Database) {
    let h = harmony(database);
    let (key, bob) = (h.key(h.ann), h.user("bob@example.com", h.built_in("User")));
    let ask = |permissions| {
        usage::of_key(&h.workspace, &h.holding(bob, permissions), &now(), key).map(|used| used.last_day())
    };
    assert!(ask(&["api-keys:read:all"]).is_ok());
    assert!(matches!(ask(&["api-keys:read:team"]), Err(Error::NotFound)));
    assert_eq!(forbidden(ask(&["api-keys:read:own"])), "api-keys:read:team");
}

fn keys_are_deleted_while_their_use_is_written(database: Database) {
    let h = harmony(database);
    let keys: Vec<_> = (0..KEYS_DELETED).map(|_| h.key(h.ann)).collect();
    let (uses, done) = (Uses::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        let flushing = scope.spawn(|| {
            let noting = uses.notebook();
            while !done.load(Ordering::Relaxed) {
                keys.iter().for_each(|key| noting.note(*key, now().now, HERE, 200));
                uses.flush(&h.workspace)?;
            }
            Ok::<(), Error>(())
        });
        // The last first: a flush takes its keys in their order.
        let delete = |key: &ApiKeyId| api_keys::delete(&h.workspace, &h.admin, &now(), *key, None).map(value);
        let deleted: Result<Vec<_>, _> = keys.iter().rev().map(delete).collect();
        done.store(true, Ordering::Relaxed);
        assert!(deleted.unwrap().iter().all(|(_, revoked)| *revoked));
        flushing.join().unwrap().unwrap();
    });
}
