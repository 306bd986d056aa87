//! The tables that the migrations make, on both sides, and those that the queries are written for.

use std::collections::BTreeMap;

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection,
    sql_types::{Bool, Text},
};
use harmony_store::{migrate_down_and_up, workspaces};

use crate::{
    backend::{self, Database, on_both},
    house::*,
};

/// The columns of each table, with their types.
pub type Tables = BTreeMap<String, Vec<(String, String)>>;

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    of: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    optional: bool,
}

on_both!(the_migrations_go_down_and_up_again);

fn the_migrations_go_down_and_up_again(db: &Database) {
    write(&db.store, |tx| workspaces::insert(tx, &workspace(1)));
    migrate_down_and_up(&db.url).unwrap();
    assert_eq!(tables(db), written());
}

#[test]
fn both_backends_have_the_tables_that_the_queries_are_written_for() {
    let expected = written();
    assert_eq!(expected.len(), 18);
    assert_eq!(tables(&backend::sqlite()), expected);
    assert_eq!(tables(&backend::postgres()), expected);
}

fn tables(db: &Database) -> Tables {
    if db.url.sqlite_path().is_some() {
        of_sqlite(&mut SqliteConnection::establish(&db.raw_url()).unwrap())
    } else {
        of_postgres(&mut PgConnection::establish(&db.raw_url()).unwrap())
    }
}

pub fn of_sqlite(connection: &mut SqliteConnection) -> Tables {
    let columns = diesel::sql_query(
        "SELECT t.name AS of, c.name AS name, c.type AS kind, c.\"notnull\" = 0 AS optional \
         FROM sqlite_schema t, pragma_table_info(t.name) c \
         WHERE t.type = 'table' AND t.name NOT LIKE '\\_\\_%' ESCAPE '\\' AND t.name NOT LIKE 'sqlite%' \
         ORDER BY t.name, c.cid",
    );
    by_table(columns.load(connection).unwrap())
}

pub fn of_postgres(connection: &mut PgConnection) -> Tables {
    let columns = diesel::sql_query(
        "SELECT table_name::text AS of, column_name::text AS name, data_type::text AS kind, \
         is_nullable = 'YES' AS optional FROM information_schema.columns \
         WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_%' \
         ORDER BY table_name, ordinal_position",
    );
    by_table(columns.load(connection).unwrap())
}

fn by_table(columns: Vec<Column>) -> Tables {
    let mut tables = Tables::new();
    for column in columns {
        let kind = kind(&column.kind);
        let kind = if column.optional { format!("Nullable<{kind}>") } else { kind.to_owned() };
        tables.entry(column.of).or_default().push((column.name, kind));
    }
    tables
}

fn kind(sql: &str) -> &'static str {
    match sql.to_uppercase().as_str() {
        "TEXT" => "Text",
        "BIGINT" => "BigInt",
        "BLOB" | "BYTEA" => "Binary",
        "BOOLEAN" => "Bool",
        "DOUBLE PRECISION" => "Double",
        other => panic!("a column of type {other}"),
    }
}

/// What `schema.rs` says, read as text.
fn written() -> Tables {
    let mut tables = Tables::new();
    for block in include_str!("../../src/schema.rs").split("diesel::table! {").skip(1) {
        let (head, body) = block.trim_start().split_once('{').unwrap();
        let (table, _) = head.split_once(' ').unwrap();
        let (body, _) = body.split_once('}').unwrap();
        let columns = body.lines().filter_map(|line| line.trim().trim_end_matches(',').split_once(" -> "));
        let columns = columns.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
        tables.insert(table.to_owned(), columns.collect());
    }
    tables
}
