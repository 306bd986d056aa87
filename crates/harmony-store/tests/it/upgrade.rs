//! The last release goes on working on the schema of the next one. `migrations/released` says which that is.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    sql_query,
    sql_types::{Bool, Text},
};
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use harmony_store::{DatabaseUrl, Store};

use crate::{
    backend::{self, Database, on_both},
    schema::{self, Tables},
};

on_both!(
    the_released_server_works_on_the_newest_schema,
    what_would_break_the_released_server_is_found,
    what_does_not_concern_the_released_server_is_let_be,
);

/// What the last release knows of the schema.
struct Released {
    migration: String,
    /// `TABLE` or `TABLE.COLUMN`: still there, and not used any more.
    unused: BTreeSet<String>,
}

fn released() -> Released {
    let (mut migration, mut unused) = (None, BTreeSet::new());
    for line in include_str!("../../migrations/released").lines() {
        match line.split_once(' ') {
            Some(("migration", name)) => assert!(migration.replace(name.to_owned()).is_none(), "{name}"),
            Some(("unused", what)) => assert!(unused.insert(what.to_owned()), "{what}"),
            _ => assert!(line.starts_with('#'), "{line}"),
        }
    }
    Released { migration: migration.expect("the released migration"), unused }
}

/// A connection past the store.
enum Raw {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Raw {
    fn of(db: &Database, beside: &str) -> Self {
        if db.url.sqlite_path().is_some() {
            let mut connection = SqliteConnection::establish(beside).unwrap();
            connection.batch_execute("PRAGMA foreign_keys = ON").unwrap();
            Self::Sqlite(connection)
        } else {
            Self::Postgres(PgConnection::establish(beside).unwrap())
        }
    }

    fn run(&mut self, statement: &str) -> Result<(), String> {
        let outcome = match self {
            Self::Sqlite(connection) => connection.batch_execute(statement),
            Self::Postgres(connection) => connection.batch_execute(statement),
        };
        outcome.map_err(|error| format!("{statement}: {error}"))
    }

    fn load<Q>(&mut self, sqlite: &str, postgres: &str) -> Vec<Q>
    where
        Q: QueryableByName<diesel::sqlite::Sqlite> + QueryableByName<diesel::pg::Pg> + 'static,
    {
        match self {
            Self::Sqlite(connection) => sql_query(sqlite).load(connection).unwrap(),
            Self::Postgres(connection) => sql_query(postgres).load(connection).unwrap(),
        }
    }

    /// Applies migrations up to this one.
    fn migrate_to(&mut self, last: &str) {
        let source = |backend: &str| FileBasedMigrations::from_path(format!("migrations/{backend}")).unwrap();
        let names: Vec<String> = match self {
            Self::Sqlite(connection) => up_to(connection, source("sqlite"), last),
            Self::Postgres(connection) => up_to(connection, source("postgres"), last),
        };
        assert_eq!(names.last().map(String::as_str), Some(last), "there is no such migration");
    }
}

fn up_to<DB: diesel::backend::Backend>(
    connection: &mut impl MigrationHarness<DB>,
    source: FileBasedMigrations,
    last: &str,
) -> Vec<String> {
    let mut names = Vec::new();
    for migration in connection.pending_migrations(source).unwrap() {
        let name = migration.name().to_string();
        if name.as_str() > last {
            break;
        }
        connection.run_migration(&migration).unwrap();
        names.push(name);
    }
    names
}

/// Something that the rows of a table have to fulfil.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, QueryableByName)]
struct Constraint {
    #[diesel(sql_type = Text)]
    of: String,
    /// The columns that it is about, separated by commas.
    #[diesel(sql_type = Text)]
    columns: String,
    #[diesel(sql_type = Text)]
    what: String,
    /// Whether a row that is referred to can go all the same.
    #[diesel(sql_type = Bool)]
    lets_go: bool,
}

const SQLITE_CONSTRAINTS: &str = "WITH ours AS (SELECT name, sql FROM sqlite_schema WHERE type = 'table' \
    AND name NOT LIKE '\\_\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%') \
    SELECT t.name AS of, (SELECT group_concat(coalesce(i.name, '?')) FROM pragma_index_info(l.name) i) AS columns, \
        'unique' AS what, true AS lets_go FROM ours t, pragma_index_list(t.name) l WHERE l.\"unique\" \
    UNION SELECT t.name, f.\"from\", 'refers to ' || f.\"table\" || ', on delete ' || f.on_delete, \
        f.on_delete IN ('CASCADE', 'SET NULL') FROM ours t, pragma_foreign_key_list(t.name) f \
    UNION SELECT t.name, c.name, 'place ' || c.pk || ' of the key', true FROM ours t, pragma_table_info(t.name) c WHERE c.pk > 0 \
    UNION SELECT t.name, '', ((length(sql) - length(replace(upper(sql), 'CHECK', ''))) / 5) || ' checks', true FROM ours t";

const POSTGRES_CONSTRAINTS: &str = "SELECT c.conrelid::regclass::text AS of, \
        coalesce((SELECT string_agg(a.attname, ',') FROM pg_attribute a \
            WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)), '') AS columns, \
        pg_get_constraintdef(c.oid) AS what, c.confdeltype IN ('c', 'n', ' ') AS lets_go \
    FROM pg_constraint c WHERE c.connamespace = 'public'::regnamespace AND c.contype <> 'n' AND c.conrelid <> 0 \
    UNION SELECT i.indrelid::regclass::text, \
        (SELECT string_agg(coalesce(a.attname, '?'), ',') FROM unnest(i.indkey) k \
            LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k AND k <> 0), \
        regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING', 'unique'), true \
    FROM pg_index i JOIN pg_class r ON r.oid = i.indrelid \
    WHERE i.indisunique AND r.relnamespace = 'public'::regnamespace";

/// A schema as those see it who write into it.
struct Schema {
    tables: Tables,
    /// Columns that may be left out, as `TABLE.COLUMN`.
    optional: BTreeSet<String>,
    constraints: BTreeSet<Constraint>,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

impl Schema {
    fn of(raw: &mut Raw) -> Self {
        let tables = match raw {
            Raw::Sqlite(connection) => schema::of_sqlite(connection),
            Raw::Postgres(connection) => schema::of_postgres(connection),
        };
        let optional = raw.load::<Name>(
            "SELECT t.name || '.' || c.name AS name FROM sqlite_schema t, pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND (c.\"notnull\" = 0 OR c.dflt_value IS NOT NULL)",
            "SELECT table_name || '.' || column_name AS name FROM information_schema.columns \
             WHERE table_schema = 'public' AND (is_nullable = 'YES' OR column_default IS NOT NULL)",
        );
        let optional = optional.into_iter().map(|one| one.name).collect();
        // Diesel's own list is nobody else's.
        let constraints = raw.load::<Constraint>(SQLITE_CONSTRAINTS, POSTGRES_CONSTRAINTS);
        let constraints = constraints.into_iter().filter(|one| tables.contains_key(&one.of)).collect();
        Self { tables, optional, constraints }
    }

    /// What a release sees that does not use these.
    fn without(mut self, unused: &BTreeSet<String>) -> Self {
        self.tables.retain(|table, _| !unused.contains(table));
        for (table, columns) in &mut self.tables {
            columns.retain(|(column, _)| !unused.contains(&format!("{table}.{column}")));
        }
        let (tables, known) = (&self.tables, |one: &Constraint| {
            one.columns.split(',').all(|column| !unused.contains(&format!("{}.{column}", one.of)))
        });
        self.constraints.retain(|one| tables.contains_key(&one.of) && known(one));
        self
    }

    fn has(&self, table: &str, column: &str) -> bool {
        self.tables.get(table).is_some_and(|columns| columns.iter().any(|(name, _)| name == column))
    }
}

/// What a server that was written for `old` would stumble over in `new`.
fn complaints(old: &Schema, new: &Schema) -> Vec<String> {
    let mut found = Vec::new();
    for (table, columns) in &old.tables {
        let now: BTreeMap<_, _> = new.tables.get(table).into_iter().flatten().cloned().collect();
        for (column, kind) in columns.iter().filter(|(column, kind)| now.get(column) != Some(kind)) {
            found.push(format!("{table}.{column} is no longer {kind}"));
        }
        let added =
            now.keys().filter(|column| !old.has(table, column)).map(|column| format!("{table}.{column}"));
        found.extend(
            added
                .filter(|name| !new.optional.contains(name))
                .map(|name| format!("{name} cannot be left out")),
        );
    }
    for gone in old.constraints.difference(&new.constraints) {
        found.push(format!("{}({}) no longer has: {}", gone.of, gone.columns, gone.what));
    }
    for added in new.constraints.difference(&old.constraints) {
        let of_old_columns =
            added.columns.split(',').all(|column| column.is_empty() || old.has(&added.of, column));
        if old.tables.contains_key(&added.of) && of_old_columns {
            found.push(format!("{}({}) has to fulfil more: {}", added.of, added.columns, added.what));
        } else if !added.lets_go {
            found.push(format!(
                "{}({}) keeps rows from being deleted: {}",
                added.of, added.columns, added.what
            ));
        }
    }
    found
}

/// One row in each table, made of the same few values, so that every reference finds what it refers to.
fn insert(raw: &mut Raw, tables: &Tables, number: u8) -> Result<(), String> {
    in_some_order(tables, |table, columns| {
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<String> = columns.iter().map(|(_, kind)| raw.value(kind, number)).collect();
        raw.run(&format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", ")))
    })
}

/// Those rows read, changed and deleted, by the columns that are known.
fn use_and_delete(raw: &mut Raw, tables: &Tables, number: u8) -> Result<(), String> {
    for (table, columns) in tables {
        let same: Vec<String> =
            columns.iter().map(|(name, kind)| format!("{name} = {}", raw.value(kind, number))).collect();
        let query = format!("SELECT '{table}' AS name FROM {table} WHERE {}", same.join(" AND "));
        assert_eq!(raw.load::<Name>(&query, &query).len(), 1, "{query}");
        raw.run(&format!("UPDATE {table} SET {} WHERE {}", same.join(", "), same.join(" AND ")))?;
    }
    in_some_order(tables, |table, columns| {
        let (name, kind) = &columns[0];
        raw.run(&format!("DELETE FROM {table} WHERE {name} = {}", raw.value(kind, number)))
    })
}

/// Goes through the tables again and again, as some refer to others, as long as there is one more that works.
fn in_some_order(
    tables: &Tables,
    mut act: impl FnMut(&str, &[(String, String)]) -> Result<(), String>,
) -> Result<(), String> {
    let mut left: Vec<_> = tables.iter().collect();
    while !left.is_empty() {
        let (before, mut refusals) = (left.len(), Vec::new());
        left.retain(|(table, columns)| act(table, columns).map_err(|error| refusals.push(error)).is_err());
        if left.len() == before {
            return Err(refusals.join("\n"));
        }
    }
    Ok(())
}

impl Raw {
    fn value(&self, kind: &str, number: u8) -> String {
        match (kind.trim_start_matches("Nullable<").trim_end_matches('>'), self) {
            ("Text", _) => format!("'one {number}'"),
            ("BigInt", _) => format!("{number}"),
            ("Double", _) => format!("{number}.5"),
            ("Bool", _) => "true".to_owned(),
            ("Binary", Self::Sqlite(_)) => format!("X'{number:064x}'"),
            ("Binary", Self::Postgres(_)) => format!("'\\x{number:064x}'"),
            other => panic!("{other:?}", other = other.0),
        }
    }
}

/// A database as the last release left it, with a row in each table.
fn as_released(db: &Database) -> (DatabaseUrl, Raw, Schema) {
    let (url, released) = (backend::empty_beside(db), released());
    let mut raw = Raw::of(db, &backend::raw_beside(db));
    raw.migrate_to(&released.migration);
    let old = Schema::of(&mut raw).without(&released.unused);
    assert!(old.tables.len() > 10 && old.constraints.len() > 20);
    insert(&mut raw, &old.tables, 2).unwrap();
    (url, raw, old)
}

fn the_released_server_works_on_the_newest_schema(db: &Database) {
    let (url, mut raw, old) = as_released(db);
    Store::open(&url, &Default::default()).unwrap();
    assert_eq!(complaints(&old, &Schema::of(&mut raw)), [""; 0]);
    insert(&mut raw, &old.tables, 3).unwrap();
    for number in [2, 3] {
        use_and_delete(&mut raw, &old.tables, number).unwrap();
    }
}

fn what_would_break_the_released_server_is_found(db: &Database) {
    let cases = [
        ("ALTER TABLE sessions DROP COLUMN browser", "sessions.browser is no longer Text"),
        ("ALTER TABLE teams RENAME COLUMN name TO title", "teams.name is no longer Text"),
        ("DROP TABLE setup_links", "setup_links.digest is no longer Binary"),
        ("CREATE UNIQUE INDEX one_name ON api_keys (name)", "api_keys(name) has to fulfil more: "),
        (
            "DROP INDEX api_keys_by_last_four; CREATE UNIQUE INDEX api_keys_by_last_four ON api_keys (last_four)",
            "api_keys(last_four) has to fulfil more: ",
        ),
        (
            "CREATE TABLE notes (id TEXT NOT NULL PRIMARY KEY, key_id TEXT NOT NULL REFERENCES api_keys (id))",
            "notes(key_id) keeps rows from being deleted: ",
        ),
    ];
    let on_postgres = [
        (
            "ALTER TABLE teams ADD COLUMN motto TEXT NOT NULL DEFAULT ''; ALTER TABLE teams ALTER COLUMN motto DROP DEFAULT",
            "teams.motto cannot be left out",
        ),
        ("ALTER TABLE teams ALTER COLUMN version TYPE TEXT", "teams.version is no longer BigInt"),
        (
            "ALTER TABLE api_keys ALTER COLUMN expires_at SET NOT NULL",
            "api_keys.expires_at is no longer Nullable<BigInt>",
        ),
        ("ALTER TABLE users ALTER COLUMN role_id DROP NOT NULL", "users.role_id is no longer Text"),
        ("ALTER TABLE teams ADD CHECK (length(name) < 9)", "teams(name) has to fulfil more: "),
        (
            "ALTER TABLE team_users DROP CONSTRAINT team_users_pkey",
            "team_users(team_id,user_id) no longer has: ",
        ),
        (
            "ALTER TABLE sessions ADD FOREIGN KEY (rights) REFERENCES roles (id)",
            "sessions(rights) has to fulfil more: ",
        ),
    ];
    let on_sqlite = [(
        "CREATE TABLE other (id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, workspace_id TEXT NOT NULL, version BIGINT NOT NULL, \
         created_at BIGINT NOT NULL CHECK (created_at > 0)); DROP TABLE teams; ALTER TABLE other RENAME TO teams",
        "teams() has to fulfil more: 1 checks",
    )];
    let own = if db.url.sqlite_path().is_some() { &on_sqlite[..] } else { &on_postgres[..] };
    for (statement, expected) in cases.iter().chain(own) {
        let (_, mut raw, old) = as_released(db);
        raw.run(statement).unwrap();
        let found = complaints(&old, &Schema::of(&mut raw));
        assert!(found.iter().any(|one| one.starts_with(expected)), "{statement}: {found:?}");
    }
    // What the comparison does not see, the rows do.
    let (_, mut raw, old) = as_released(db);
    raw.run("ALTER TABLE teams ADD COLUMN motto TEXT NOT NULL DEFAULT ''; CREATE UNIQUE INDEX one_motto ON teams (motto)").unwrap();
    assert_eq!(complaints(&old, &Schema::of(&mut raw)), [""; 0]);
    assert!(insert(&mut raw, &old.tables, 3).unwrap_err().contains("INTO teams"));
}

fn what_does_not_concern_the_released_server_is_let_be(db: &Database) {
    let (_, mut raw, old) = as_released(db);
    for statement in [
        "ALTER TABLE teams ADD COLUMN motto TEXT",
        "ALTER TABLE teams ADD COLUMN rank BIGINT NOT NULL DEFAULT 0",
        "CREATE TABLE notes (id TEXT NOT NULL PRIMARY KEY, key_id TEXT NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE)",
        "CREATE INDEX teams_by_age ON teams (created_at)",
        "DROP INDEX api_keys_by_last_four",
    ] {
        raw.run(statement).unwrap();
    }
    assert_eq!(complaints(&old, &Schema::of(&mut raw)), [""; 0]);
    insert(&mut raw, &old.tables, 3).unwrap();
    use_and_delete(&mut raw, &old.tables, 3).unwrap();

    let unused = BTreeSet::from(["sessions.browser".to_owned(), "setup_links".to_owned()]);
    let old = old.without(&unused);
    raw.run("ALTER TABLE sessions DROP COLUMN browser; DROP TABLE setup_links").unwrap();
    assert_eq!(complaints(&old, &Schema::of(&mut raw)), [""; 0]);
}
