//! The sequence of revocations, and the processes that hear of them.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use harmony_access::{NodeId, Revision, Revocation};
use harmony_key::ApiKey as KeyText;
use harmony_store::{
    StoreError,
    revocations::{self, MAX_POLLED},
};

use crate::{
    backend::{Database, Place, on_both},
    house::*,
};

on_both!(
    every_kind_of_revocation_reads_back_in_order,
    who_is_too_far_behind_is_told_to_drop_everything,
    a_revocation_of_a_failed_change_is_not_in_the_sequence,
    revisions_of_changes_at_once_have_no_gaps_and_appear_in_order,
    a_node_renews_acknowledges_and_leaves,
    only_a_node_that_has_neither_renewed_nor_seen_is_struck_off,
    a_listener_hears_of_what_is_committed_where_the_database_can_tell,
);

fn every_kind_of_revocation_reads_back_in_order(db: &Database) {
    let all = [
        Revocation::Key(KeyText::from_secret([1; 28]).digest()),
        Revocation::Role(id(1)),
        Revocation::User(id(2)),
        Revocation::Workspace(id(3)),
    ];
    assert_eq!(read(&db.store, revocations::head), Revision::new(0));
    let head = write(&db.store, |tx| revocations::append(tx, at(5), &all));
    assert_eq!(head, Revision::new(4));
    assert_eq!(write(&db.store, |tx| revocations::append(tx, at(5), &[])), head);
    let since = |seen| read(&db.store, |tx| revocations::since(tx, Revision::new(seen), head));
    assert_eq!((since(0), since(3), since(4)), (Some(all.to_vec()), Some(all[3..].to_vec()), Some(vec![])));
}

fn who_is_too_far_behind_is_told_to_drop_everything(db: &Database) {
    let many: Vec<_> = (0..=MAX_POLLED).map(|_| Revocation::User(id(1))).collect();
    let head = write(&db.store, |tx| revocations::append(tx, at(5), &many));
    let since = |seen| read(&db.store, |tx| revocations::since(tx, Revision::new(seen), head));
    assert_eq!(since(0), None);
    assert_eq!(since(1).unwrap().len(), 1_000);
    write(&db.store, |tx| revocations::prune(tx, at(5 + 3_600_000)));
    assert!(since(1).is_some());
    write(&db.store, |tx| revocations::prune(tx, at(6 + 3_600_000)));
    assert_eq!(since(1), None);
    assert_eq!(read(&db.store, revocations::head), head);
}

fn a_revocation_of_a_failed_change_is_not_in_the_sequence(db: &Database) {
    let failed: Result<(), _> = db.store.write(|tx| {
        revocations::append(tx, at(5), &[Revocation::User(id(1))])?;
        Err(StoreError::Full)
    });
    assert!(matches!(failed, Err(StoreError::Full)));
    let head = write(&db.store, |tx| revocations::append(tx, at(5), &[Revocation::User(id(2))]));
    assert_eq!(head, Revision::new(1));
    let since = read(&db.store, |tx| revocations::since(tx, Revision::new(0), head));
    assert_eq!(since, Some(vec![Revocation::User(id(2))]));
}

fn revisions_of_changes_at_once_have_no_gaps_and_appear_in_order(db: &Database) {
    const WRITERS: u8 = 6;
    const CHANGES: i64 = 8;
    let done = AtomicBool::new(false);
    let mut heads = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = Revision::new(0);
            loop {
                let last_look = done.load(Ordering::SeqCst);
                let (head, found) = read(&db.store, |tx| {
                    let head = revocations::head(tx)?;
                    Ok((head, revocations::since(tx, seen, head)?))
                });
                let found = found.expect("a revision that is passed has appeared").len();
                assert_eq!(i64::try_from(found).unwrap(), head.number() - seen.number());
                seen = head;
                if last_look {
                    return seen;
                }
            }
        });
        let append = |writer| {
            let both = [Revocation::User(id(writer)), Revocation::Role(id(writer))];
            (0..CHANGES)
                .map(|_| write(&db.store, |tx| revocations::append(tx, at(5), &both)).number())
                .collect()
        };
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || append(writer))).collect();
        let heads: Vec<Vec<i64>> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        done.store(true, Ordering::SeqCst);
        assert_eq!(watcher.join().unwrap().number(), 2 * CHANGES * i64::from(WRITERS));
        heads.concat()
    });
    heads.sort_unstable();
    assert_eq!(heads, (1..=CHANGES * i64::from(WRITERS)).map(|n| 2 * n).collect::<Vec<_>>());
}

fn a_node_renews_acknowledges_and_leaves(db: &Database) {
    let node = |n| -> NodeId { id(n) };
    let nodes = || read(&db.store, revocations::list_nodes);
    let renew = |n, seen, ttl| {
        write(&db.store, |tx| revocations::renew(tx, node(n), Revision::new(seen), ttl, at(5)));
    };
    assert_eq!(nodes(), []);
    renew(1, 3, 50_000);
    renew(2, 0, -5);
    let mut found = nodes();
    found.sort_by_key(|node| node.id);
    assert_eq!((found[0].id, found[0].seen, found.len()), (node(1), Revision::new(3), 2));
    assert!((40_000..=50_000).contains(&found[0].lease_left_ms), "{found:?}");
    assert!(found[1].lease_left_ms < 0, "{found:?}");
    write(&db.store, |tx| revocations::acknowledge(tx, node(2), Revision::new(9)));
    renew(1, 4, 60_000);
    write(&db.store, |tx| revocations::acknowledge(tx, node(7), Revision::new(9)));
    let mut found = nodes();
    found.sort_by_key(|node| node.id);
    assert_eq!(found.iter().map(|node| node.seen.number()).collect::<Vec<_>>(), [4, 9]);
    assert!(found[0].lease_left_ms > 50_000 && found[1].lease_left_ms < 0, "{found:?}");
    write(&db.store, |tx| revocations::leave(tx, node(1)));
    assert_eq!(nodes().len(), 1);
}

fn only_a_node_that_has_neither_renewed_nor_seen_is_struck_off(db: &Database) {
    let node: NodeId = id(1);
    let nodes = || read(&db.store, revocations::list_nodes);
    // The clock has been set far back since the first renewal.
    for ttl in [4_000_000, 10] {
        write(&db.store, |tx| revocations::renew(tx, node, Revision::new(3), ttl, at(5)));
    }
    let strike_off = |seen: &revocations::Node, revision| {
        write(&db.store, |tx| revocations::strike_off(tx, seen, Revision::new(revision)));
        nodes().len()
    };
    let seen = nodes()[0];
    assert_eq!(strike_off(&seen, 3), 1, "it has seen the revision");
    write(&db.store, |tx| revocations::renew(tx, node, Revision::new(3), 10, at(5)));
    assert_eq!(strike_off(&seen, 4), 1, "it has renewed");
    assert_eq!(strike_off(&nodes()[0], 4), 0);
}

fn a_listener_hears_of_what_is_committed_where_the_database_can_tell(db: &Database) {
    let Some(mut listener) = db.store.listen().unwrap() else {
        assert!(matches!(db.place, Place::Folder { .. }), "PostgreSQL tells");
        return;
    };
    assert!(!listener.heard().unwrap());
    let _: Result<(), _> = db.store.write(|tx| {
        revocations::append(tx, at(5), &[Revocation::User(id(1))])?;
        Err(StoreError::Full)
    });
    assert!(!listener.heard().unwrap(), "it was rolled back");
    write(&db.store, |tx| revocations::append(tx, at(5), &[Revocation::User(id(1))]));
    // Committed means sent, but not that it has arrived.
    let heard = (0..20_000).any(|_| {
        // What is asked of the database takes a while as well.
        read(&db.store, revocations::head);
        listener.heard().unwrap()
    });
    assert!(heard);
    assert!(!listener.heard().unwrap(), "it is told once");
}
