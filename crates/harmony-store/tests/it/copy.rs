//! A copy into an empty database: all of it or a refusal, and the same on both sides.

use std::{
    collections::BTreeSet,
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, connection::SimpleConnection,
    sql_query, sql_types::Integer,
};
use harmony_access::{NodeId, Revision, Timestamp};
use harmony_store::{
    DatabaseUrl, OpenError, Store,
    copy::{self, Copied, CopyError, Ends, Phase, Progress, Source, Target},
    revocations, workspaces,
};

use crate::{
    backend::{self, Database, on_both},
    house::*,
};

on_both!(
    what_is_copied_is_compared_and_opens,
    a_target_with_rows_is_refused_and_left_as_it_is,
    a_source_that_is_served_is_refused,
    a_target_that_is_served_is_refused,
    what_is_served_is_not_migrated_before_it_is_refused,
    a_server_that_was_killed_is_waited_for_and_left_behind,
    a_server_that_starts_on_the_target_meanwhile_is_noticed,
    a_copy_that_broke_off_goes_on_where_it_stopped,
    nobody_opens_half_a_copy,
    half_a_copy_is_neither_copied_nor_the_same_as_its_source,
    a_copy_that_lacks_only_the_last_word_is_half_a_copy,
    a_source_that_has_changed_since_is_not_copied_on,
    a_tampered_target_is_found_by_the_name_of_the_table,
    a_database_of_a_newer_release_is_refused,
    the_source_cannot_be_changed_while_it_is_copied,
);

/// Enough for several batches of one table.
const TEAMS: usize = 1_000;

/// Fills the house, and one table with many rows.
fn fill(db: &Database) {
    furnish(&db.store);
    tamper(
        db,
        &format!(
            "INSERT INTO teams WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {TEAMS}) \
             SELECT 'many ' || i, (SELECT min(id) FROM workspaces), 'Ünï ' || i, 1, i FROM n"
        ),
    );
}

/// A target of the other kind than the source.
fn target(source: &Database) -> Database {
    if source.url.sqlite_path().is_some() { backend::postgres() } else { backend::sqlite() }
}

fn ends(source: &Database, target: &Database) -> Ends {
    Ends::new(Source(source.url.clone()), Target(target.url.clone()), false).unwrap()
}

fn copied(source: &Database, target: &Database) -> Result<Copied, CopyError> {
    copy::copy(&ends(source, target), &mut |_| {})
}

fn compared(source: &Database, target: &Database) -> Result<Copied, CopyError> {
    copy::compare(&ends(source, target), &mut |_| {})
}

/// Copies until so many rows have arrived, and breaks off as a crash would: with a panic.
fn break_off(source: &Database, target: &Database, rows: u64) {
    let ends = ends(source, target);
    let broken = std::panic::catch_unwind(|| {
        copy::copy(&ends, &mut |progress: Progress| {
            assert!(progress.phase != Phase::Copying || progress.rows < rows, "broken off");
        })
    });
    assert!(broken.is_err(), "it was not broken off");
}

/// Changes a database past the store.
fn tamper(db: &Database, statement: &str) {
    if db.url.sqlite_path().is_some() {
        SqliteConnection::establish(&db.raw_url()).unwrap().batch_execute(statement).unwrap();
    } else {
        PgConnection::establish(&db.raw_url()).unwrap().batch_execute(statement).unwrap();
    }
}

/// Does `work` while a process renews its lease, as a server does.
fn served<T>(db: &Database, work: impl FnOnce() -> T) -> T {
    let (ended, end) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        renew(db);
        scope.spawn(move || {
            while end.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
                renew(db);
            }
        });
        let done = work();
        drop(ended);
        done
    })
}

/// A lease that is as long as no real one, so that only what is done with it tells whether its holder is alive.
fn renew(db: &Database) {
    let node = NodeId::new(Timestamp::from_millis(1), [1; 10]);
    write(&db.store, |tx| revocations::renew(tx, node, Revision::new(0), 3_600_000, at(1)));
}

fn what_is_copied_is_compared_and_opens(source: &Database) {
    fill(source);
    let target = target(source);
    let report = copied(source, &target).unwrap();
    assert_eq!(report.resumed_after, None);
    let teams = report.tables.iter().find(|(name, _)| *name == "teams").unwrap();
    assert!(teams.1.rows > TEAMS as u64);
    compared(source, &target).unwrap();
    Store::open(&target.url, &Default::default()).unwrap();
    assert_eq!(read(&target.store, workspaces::list), read(&source.store, workspaces::list));

    let back = crate::copy::target(&target);
    copied(&target, &back).unwrap();
    compared(source, &back).unwrap();
}

fn a_target_with_rows_is_refused_and_left_as_it_is(source: &Database) {
    fill(source);
    let target = target(source);
    write(&target.store, |tx| workspaces::insert(tx, &workspace(9)));
    let refusal = copied(source, &target).unwrap_err();
    assert!(matches!(refusal, CopyError::NotEmpty { table: "workspaces", .. }), "{refusal}");
    assert_eq!(read(&target.store, workspaces::list), [workspace(9)]);
    let differs = compared(source, &target).unwrap_err();
    assert!(matches!(differs, CopyError::Differs(_)), "{differs}");

    let used = crate::copy::target(source);
    tamper(&used, "UPDATE revocation_head SET revision = 7");
    let refusal = copied(source, &used).unwrap_err();
    assert!(matches!(refusal, CopyError::NotEmpty { table: "revocation_head", .. }), "{refusal}");

    let finished = crate::copy::target(source);
    copied(source, &finished).unwrap();
    assert!(matches!(copied(source, &finished), Err(CopyError::NotEmpty { .. })));
}

fn a_source_that_is_served_is_refused(source: &Database) {
    fill(source);
    let target = target(source);
    served(source, || {
        let refusal = copied(source, &target).unwrap_err();
        assert!(matches!(refusal, CopyError::Served { servers: 1, .. }), "{refusal}");
        assert!(matches!(compared(source, &target), Err(CopyError::Served { .. })));
    });
    assert_eq!(read(&target.store, workspaces::list), []);
}

fn a_target_that_is_served_is_refused(source: &Database) {
    fill(source);
    let target = target(source);
    served(&target, || assert!(matches!(copied(source, &target), Err(CopyError::Served { .. }))));
    assert_eq!(read(&target.store, workspaces::list), []);
}

fn what_is_served_is_not_migrated_before_it_is_refused(source: &Database) {
    let target = target(source);
    // The newest migration is applied again by whoever migrates, and fails.
    let newest = "SELECT max(version) FROM __diesel_schema_migrations";
    tamper(source, &format!("DELETE FROM __diesel_schema_migrations WHERE version = ({newest})"));
    served(source, || {
        for refusal in [copied(source, &target), copied(&target, source), compared(&target, source)] {
            assert!(matches!(refusal, Err(CopyError::Served { servers: 1, .. })), "{refusal:?}");
        }
    });
    let refusal = copied(source, &target);
    assert!(matches!(refusal, Err(CopyError::Open(OpenError::Migrate(_)))), "{refusal:?}");
}

fn a_server_that_was_killed_is_waited_for_and_left_behind(source: &Database) {
    fill(source);
    let target = target(source);
    renew(source);
    renew(&target);
    copied(source, &target).unwrap();
    assert_eq!(read(&target.store, revocations::list_nodes).len(), 1);
    let back = crate::copy::target(&target);
    copied(&target, &back).unwrap();
    assert_eq!(read(&back.store, revocations::list_nodes), []);
}

fn a_server_that_starts_on_the_target_meanwhile_is_noticed(source: &Database) {
    fill(source);
    let target = target(source);
    let mut started = false;
    let refusal = copy::copy(&ends(source, &target), &mut |progress| {
        if progress.phase == Phase::Copying && !std::mem::replace(&mut started, true) {
            renew(&target);
        }
    });
    assert!(matches!(refusal, Err(CopyError::Served { .. })));
}

fn a_copy_that_broke_off_goes_on_where_it_stopped(source: &Database) {
    fill(source);
    let target = target(source);
    break_off(source, &target, 300);
    break_off(source, &target, 700);
    let mut first = None;
    let report = copy::copy(&ends(source, &target), &mut |progress| {
        if progress.phase == Phase::Copying && first.is_none() {
            first = Some((progress.table, progress.rows));
        }
    });
    let before = report.unwrap().resumed_after.unwrap();
    assert!((700..900).contains(&before), "{before}");
    assert_eq!(first, Some(("teams", before + 200)));
    compared(source, &target).unwrap();
}

fn nobody_opens_half_a_copy(source: &Database) {
    fill(source);
    let target = target(source);
    break_off(source, &target, 300);
    let open = || Store::open(&target.url, &Default::default()).map(drop);
    assert!(matches!(open(), Err(OpenError::HalfACopy { .. })));
    copied(source, &target).unwrap();
    open().unwrap();
}

fn half_a_copy_is_neither_copied_nor_the_same_as_its_source(source: &Database) {
    fill(source);
    let (half, next) = (target(source), backend::sqlite());
    break_off(source, &half, 300);
    for refusal in [copied(&half, &next), compared(&half, source), compared(source, &half)] {
        assert!(is_half(refusal.as_ref().unwrap_err()), "{refusal:?}");
    }
    assert_eq!(read(&next.store, workspaces::list), []);
    Store::open(&next.url, &Default::default()).unwrap();
}

fn a_copy_that_lacks_only_the_last_word_is_half_a_copy(source: &Database) {
    fill(source);
    let half = target(source);
    let ends = ends(source, &half);
    let broken = std::panic::catch_unwind(|| {
        copy::copy(&ends, &mut |progress: Progress| assert!(progress.phase != Phase::Verifying, "broken off"))
    });
    assert!(broken.is_err(), "it was not broken off");
    let refusal = compared(source, &half).unwrap_err();
    assert!(is_half(&refusal), "{refusal}");
    copied(source, &half).unwrap();
    compared(source, &half).unwrap();
}

fn is_half(refusal: &CopyError) -> bool {
    matches!(refusal, CopyError::Open(OpenError::HalfACopy { .. }))
}

fn a_source_that_has_changed_since_is_not_copied_on(source: &Database) {
    fill(source);
    let target = target(source);
    break_off(source, &target, 300);
    tamper(source, "UPDATE teams SET name = 'another' WHERE id = 'many 1'");
    let refusal = copied(source, &target).unwrap_err();
    assert!(matches!(refusal, CopyError::AnotherCopy(_)), "{refusal}");
    tamper(source, "UPDATE teams SET name = 'Ünï 1' WHERE id = 'many 1'");
    copied(source, &target).unwrap();
}

fn a_tampered_target_is_found_by_the_name_of_the_table(source: &Database) {
    fill(source);
    let target = target(source);
    break_off(source, &target, 1_000);
    tamper(&target, "UPDATE users SET name = name || '.' WHERE id = (SELECT min(id) FROM users)");
    let CopyError::Differs(differences) = copied(source, &target).unwrap_err() else { panic!() };
    assert_eq!(differences.iter().map(|one| one.table).collect::<Vec<_>>(), ["users"]);
    assert!(matches!(Store::open(&target.url, &Default::default()), Err(OpenError::HalfACopy { .. })));

    let whole = crate::copy::target(source);
    copied(source, &whole).unwrap();
    tamper(&whole, "DELETE FROM teams WHERE id = 'many 7'");
    let said = compared(source, &whole).unwrap_err().to_string();
    assert!(said.starts_with("the target is not like the source: table teams (source: "), "{said}");
}

fn a_database_of_a_newer_release_is_refused(source: &Database) {
    fill(source);
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')";
    let empty = target(source);
    tamper(&empty, newer);
    assert!(matches!(copied(source, &empty), Err(CopyError::OtherRelease(_))));
    let empty = target(source);
    tamper(source, newer);
    assert!(matches!(copied(source, &empty), Err(CopyError::OtherRelease(_))));
}

fn the_source_cannot_be_changed_while_it_is_copied(source: &Database) {
    fill(source);
    let target = target(source);
    let mut refused = BTreeSet::new();
    copy::copy(&ends(source, &target), &mut |progress| {
        if refused.insert(format!("{:?}", progress.phase)) {
            let renamed = "UPDATE teams SET name = 'late' WHERE id = 'many 1'";
            let (refusal, why) = if source.url.sqlite_path().is_some() {
                let mut other = SqliteConnection::establish(&source.raw_url()).unwrap();
                (other.batch_execute(renamed), "database is locked")
            } else {
                let mut other = PgConnection::establish(&source.raw_url()).unwrap();
                let renamed = format!("SET lock_timeout = 1; {renamed}");
                (other.batch_execute(&renamed), "canceling statement due to lock timeout")
            };
            assert_eq!(refusal.unwrap_err().to_string(), why);
        }
    })
    .unwrap();
    assert_eq!(refused.len(), 3);
}

#[test]
fn a_database_is_not_copied_into_itself_and_one_that_is_not_there_is_not_made() {
    let db = backend::sqlite();
    let path = db.url.sqlite_path().unwrap();
    let again = DatabaseUrl::sqlite(path.parent().unwrap().join(".").join(path.file_name().unwrap()));
    for to in [db.url.clone(), again] {
        assert!(matches!(Ends::new(Source(db.url.clone()), Target(to), false), Err(CopyError::Same)));
    }
    let missing = path.with_file_name("typo.sqlite");
    let (from, to) = (Source(DatabaseUrl::sqlite(&missing)), Target(db.url.clone()));
    let refusal = Ends::new(from, to, false).unwrap_err();
    assert!(matches!(refusal, CopyError::Missing(_)), "{refusal}");
    assert!(!missing.exists());
}

#[test]
fn a_second_copy_into_a_server_is_refused_and_the_first_ends_well() {
    let (source, target) = (backend::postgres(), backend::postgres());
    fill(&source);
    let mut second = None;
    copy::copy(&ends(&source, &target), &mut |progress| {
        if progress.phase == Phase::Copying && second.is_none() {
            second = Some(copied(&source, &target));
        }
    })
    .unwrap();
    assert!(matches!(second, Some(Err(CopyError::UnderWay(_)))), "{second:?}");
    compared(&source, &target).unwrap();
}

#[test]
fn who_holds_a_row_is_told_of_as_such() {
    let (source, target) = (backend::postgres(), backend::sqlite());
    fill(&source);
    let mut other = PgConnection::establish(&source.raw_url()).unwrap();
    other.batch_execute("BEGIN; UPDATE teams SET name = 'late' WHERE id = 'many 1'").unwrap();
    let refusal = copied(&source, &target).unwrap_err();
    assert!(matches!(refusal, CopyError::InUse(_)), "{refusal}");
    drop(other);
    copied(&source, &target).unwrap();
}

#[test]
fn a_target_is_not_given_free_when_the_source_was_lost_meanwhile() {
    let (source, target) = (backend::postgres(), backend::sqlite());
    fill(&source);
    let mut lost = false;
    let outcome = copy::copy(&ends(&source, &target), &mut |progress| {
        if progress.phase == Phase::Verifying && !std::mem::replace(&mut lost, true) {
            let others = "pid <> pg_backend_pid() AND datname = current_database()";
            tamper(
                &source,
                &format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}"),
            );
        }
    });
    assert!(lost && outcome.is_err(), "{outcome:?}");
    let refusal = Store::open(&target.url, &Default::default()).map(drop);
    assert!(matches!(refusal, Err(OpenError::HalfACopy { .. })), "{refusal:?}");
    copied(&source, &target).unwrap();
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Integer)]
    number: i32,
}

fn number(connection: &mut PgConnection, query: &str) -> i32 {
    sql_query(query).get_result::<Number>(connection).unwrap().number
}

/// Returns when the server has put out somebody who began to do nothing now.
fn until_one_is_put_out(db: &Database, begin: &str) {
    let mut idle = PgConnection::establish(&db.raw_url()).unwrap();
    let mut other = PgConnection::establish(&db.raw_url()).unwrap();
    other.batch_execute("SET idle_session_timeout = 0").unwrap();
    let pid = number(&mut idle, "SELECT pg_backend_pid() AS number");
    idle.batch_execute(begin).unwrap();
    let is_there = format!("SELECT count(*)::int AS number FROM pg_stat_activity WHERE pid = {pid}");
    while number(&mut other, &is_there) > 0 {}
}

#[test]
fn a_server_that_puts_idle_connections_out_lets_a_copy_end() {
    let (source, target) = (backend::postgres(), backend::postgres());
    fill(&source);
    // Somebody who is gone, whom the source waits for the target to be sure of.
    renew(&target);
    for db in [&source, &target] {
        let name = "SELECT format('ALTER DATABASE %I SET ' || name || ' = 300', current_database())";
        let settings = "name IN ('idle_session_timeout', 'idle_in_transaction_session_timeout')";
        tamper(
            db,
            &format!(
                "DO $$ DECLARE change text; BEGIN FOR change IN {name} FROM pg_settings WHERE {settings} \
                 LOOP EXECUTE change; END LOOP; END $$"
            ),
        );
    }
    let mut phases = BTreeSet::new();
    copy::copy(&ends(&source, &target), &mut |progress| {
        if phases.insert(format!("{:?}", progress.phase)) {
            until_one_is_put_out(&source, "SELECT 1");
            until_one_is_put_out(&target, "BEGIN");
        }
    })
    .unwrap();
    assert_eq!(phases.len(), 3);
}
