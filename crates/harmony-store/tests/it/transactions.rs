//! Transactions: whole or not at all, and out of each other's way.

use std::{sync::Barrier, thread, time::Duration};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query,
    sql_types::BigInt,
};
use harmony_store::{OpenOptions, Store, StoreError, workspaces};

use crate::{
    backend::{self, Database, on_both},
    house::*,
};

on_both!(
    a_write_that_fails_leaves_nothing_and_the_next_one_works,
    a_read_beside_an_open_write_sees_what_was_before,
    one_read_sees_one_state,
    writers_of_two_stores_wait_for_each_other,
    stores_that_open_at_once_migrate_once,
);

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    found: i64,
}

fn a_write_that_fails_leaves_nothing_and_the_next_one_works(db: &Database) {
    let taken = db.store.write(|tx| {
        workspaces::insert(tx, &workspace(1))?;
        workspaces::insert(tx, &workspace(1))
    });
    assert!(matches!(taken, Err(StoreError::Taken(_))));
    let refused: Result<(), _> = db.store.write(|tx| {
        workspaces::insert(tx, &workspace(2))?;
        Err(StoreError::Full)
    });
    assert!(matches!(refused, Err(StoreError::Full)));
    assert_eq!(read(&db.store, workspaces::list), []);
    write(&db.store, |tx| workspaces::insert(tx, &workspace(3)));
    assert_eq!(read(&db.store, workspaces::list), [workspace(3)]);
}

fn a_read_beside_an_open_write_sees_what_was_before(db: &Database) {
    write(&db.store, |tx| {
        workspaces::insert(tx, &workspace(1))?;
        assert_eq!(read(&db.store, workspaces::list), []);
        Ok(())
    });
    assert_eq!(read(&db.store, workspaces::list).len(), 1);
}

fn one_read_sees_one_state(db: &Database) {
    let (before, after) = read(&db.store, |tx| {
        let before = workspaces::list(tx)?.len();
        write(&db.store, |tx| workspaces::insert(tx, &workspace(1)));
        Ok((before, workspaces::list(tx)?.len()))
    });
    assert_eq!((before, after), (0, 0));
}

fn writers_of_two_stores_wait_for_each_other(db: &Database) {
    let other = Store::open(&db.url, &OpenOptions::default()).unwrap();
    write(&db.store, |tx| workspaces::insert(tx, &workspace(1)));
    let longer = |store: &Store| {
        write(store, |tx| {
            let seen = workspaces::lock(tx, id(1)).and_then(|_| workspaces::find(tx, id(1)))?.unwrap();
            let secs = seen.longest_key_lifetime_secs.unwrap_or(0) + 1;
            workspaces::update(tx, &workspaces::Workspace { longest_key_lifetime_secs: Some(secs), ..seen })
        })
    };
    thread::scope(|scope| {
        for store in [&db.store, &other, &db.store, &other] {
            scope.spawn(move || (0..10).for_each(|_| assert!(longer(store))));
        }
    });
    let found = read(&other, |tx| workspaces::find(tx, id(1))).unwrap();
    assert_eq!(found.longest_key_lifetime_secs, Some(40));
}

fn stores_that_open_at_once_migrate_once(db: &Database) {
    const OPENERS: usize = 4;
    let url = &backend::empty_beside(db);
    let start = Barrier::new(OPENERS);
    thread::scope(|scope| {
        let openers: Vec<_> = (0..OPENERS)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    Store::open(url, &OpenOptions::default()).map(drop)
                })
            })
            .collect();
        for opener in openers {
            opener.join().unwrap().unwrap();
        }
    });
}

/// A long migration keeps those who start waiting for longer than any query may take, and then they go on.
#[test]
fn whoever_starts_while_another_migrates_waits_for_it() {
    const LOCK: i64 = 0x0068_6172_6d6f_6e79;
    const LONGER: &str = "SELECT count(*) AS found FROM pg_stat_activity WHERE wait_event = 'advisory' \
         AND datname = current_database() AND now() - query_start > interval '11 seconds'";
    let db = backend::postgres();
    let mut other = PgConnection::establish(&db.raw_url()).unwrap();
    other.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).unwrap();
    thread::scope(|scope| {
        let opener = scope.spawn(|| Store::open(&db.url, &OpenOptions::default()).map(drop));
        while sql_query(LONGER).get_result::<Found>(&mut other).unwrap().found == 0 {
            assert!(!opener.is_finished(), "it did not wait: {:?}", opener.join().unwrap());
            thread::park_timeout(Duration::from_millis(50));
        }
        other.batch_execute(&format!("SELECT pg_advisory_unlock({LOCK})")).unwrap();
        opener.join().unwrap().unwrap();
    });
}
