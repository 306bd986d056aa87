//! A workspace that moves to another database and back is what it was, row by row and value by value.

use std::collections::{BTreeMap, BTreeSet};

use harmony_access::Principal;
use harmony_store::{
    StoreError, Tx, api_keys as rows,
    conversations::Segment,
    copy::{self, Ends, Source, Target},
};
use harmony_workspace::conversations::{self, NewConversation};

use crate::{
    backend::{self, Database, Rows, on_both},
    house::*,
    rows::among_many,
};

on_both!(a_workspace_that_moves_there_and_back_is_what_it_was);

/// What each database keeps for itself: the processes that serve it, and when it was migrated.
const ITS_OWN: [&str; 2] = ["__diesel_schema_migrations", "nodes"];

fn a_workspace_that_moves_there_and_back_is_what_it_was(database: Database) {
    let postgres = database.url().sqlite_path().is_none();
    let (h, key) = among_many(database);
    oddities(&h);
    let before = h.database.rows();
    let empty: Vec<_> = before.iter().filter(|(_, rows)| rows.is_empty()).map(|(table, _)| table).collect();
    assert_eq!(empty, [""; 0], "a table whose rows nobody would miss");

    let (there, back) = if postgres {
        (backend::sqlite(), backend::postgres())
    } else {
        (backend::postgres(), backend::sqlite())
    };
    move_to(&h.database, &there);
    move_to(&there, &back);
    let (before, after) = (moving(before), moving(back.rows()));
    for (table, rows) in &before {
        assert_eq!(difference(rows, &after[table]), "", "{table}");
    }
    assert_eq!(before.len(), after.len());
    assert_eq!(back.rows()["nodes"].len(), 0);

    let holder = |tx: &mut Tx<'_>| rows::record(tx, &key.digest);
    let record = back.workspace.store().read::<_, StoreError>(holder).unwrap().unwrap();
    Principal::of_key(record.into(), now().now).unwrap();
}

/// Values that one database might write otherwise than the other.
fn oddities(h: &Harmony) {
    let starts = [0.1, 1.0 / 3.0, 1e-300, 123_456_789.125, f64::from(u32::MAX)];
    let segment = |start_secs| Segment {
        speaker: "Zoë 🦉".into(),
        start_secs,
        content: "it's \"quoted\" \\ and\nbroken\t$1 ?1 {}".into(),
    };
    let talk = NewConversation {
        owner: None,
        title: "Ünïcode, e\u{301} and 漢字".to_owned(),
        started_at: now().now,
        duration_secs: 60,
        participants: vec!["Ann, the first".into()],
        summary: String::new(),
        action_items: vec!["é".into(), "NULL".into()],
        segments: starts.map(segment).to_vec(),
    };
    made(conversations::create(&h.workspace, &h.admin, &now(), &talk, None).unwrap());
}

fn move_to(from: &Database, to: &Database) {
    let ends = Ends::new(Source(from.url()), Target(to.url()), false).unwrap();
    copy::copy(&ends, &mut |_| {}).unwrap();
    copy::compare(&ends, &mut |_| {}).unwrap();
}

fn moving(rows: Rows) -> BTreeMap<String, BTreeSet<String>> {
    rows.into_iter().filter(|(table, _)| !ITS_OWN.contains(&table.as_str())).collect()
}

/// The first row that only one of the two has; all of them would be too many to read.
fn difference(before: &BTreeSet<String>, after: &BTreeSet<String>) -> String {
    before.symmetric_difference(after).next().cloned().unwrap_or_default()
}
