//! What there is to copy: the tables of `schema.rs`, in an order in which each finds the rows that it refers to.

use diesel::{
    Column as SchemaColumn, Table as SchemaTable,
    sql_types::{BigInt, Binary, Bool, Double, Nullable, SqlType, Text, is_nullable},
};

use crate::schema;

/// A table as a copy sees it.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// All columns, as the schema has them.
    pub(super) columns: Vec<Column>,
    /// The columns of the primary key, by which rows are walked through.
    pub(super) key: Vec<&'static str>,
}

/// A column, and what lies in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What both databases can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Bytes,
    Bool,
    Double,
}

/// Stays where it is: the processes that serve one database serve no other.
#[cfg(test)]
const LEFT_BEHIND: [&str; 1] = ["nodes"];

/// The one row that the migrations make themselves. A database with no other is empty.
pub(super) const SEEDED: (&str, [i64; 2]) = ("revocation_head", [1, 0]);

/// Takes columns and their kinds from the schema, so that a new column is copied without a word here. The key is
/// written out: the schema has it, but no name of it.
macro_rules! tables {
    ($($table:ident($($key:ident),+))*) => {
        vec![$(Table {
            name: stringify!($table),
            columns: <<schema::$table::table as SchemaTable>::AllColumns as Columns>::list(),
            key: vec![$(<schema::$table::$key as SchemaColumn>::NAME),+],
        }),*]
    };
}

/// All tables that are copied, those first that others refer to.
pub(super) fn tables() -> Vec<Table> {
    tables! {
        workspaces(id)
        roles(id)
        users(id)
        teams(id)
        team_users(team_id, user_id)
        api_keys(id)
        api_key_uses(key_id)
        api_key_usage(key_id, grain_secs, starts_at, outcome)
        known_networks(user_id, network)
        conversations(id)
        transcript_segments(conversation_id, position)
        sessions(id)
        setup_links(digest)
        audit_events(id)
        idempotency_keys(principal_id, idempotency_key)
        revocation_head(id)
        revocations(revision)
    }
}

impl Kind {
    /// What a query calls a column of this kind, so that whoever reads the row knows what is in it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Bytes => "bytes",
            Self::Bool => "bool",
            Self::Double => "double",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Text, Self::Integer, Self::Bytes, Self::Bool, Self::Double]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// A type of the schema that has a [`Kind`]; a column of any other does not compile.
trait Held {
    const KIND: Kind;
}

impl Held for Text {
    const KIND: Kind = Kind::Text;
}

impl Held for BigInt {
    const KIND: Kind = Kind::Integer;
}

impl Held for Binary {
    const KIND: Kind = Kind::Bytes;
}

impl Held for Bool {
    const KIND: Kind = Kind::Bool;
}

impl Held for Double {
    const KIND: Kind = Kind::Double;
}

impl<T: Held + SqlType<IsNull = is_nullable::NotNull>> Held for Nullable<T> {
    const KIND: Kind = T::KIND;
}

/// The columns of a table as the schema lists them: a tuple.
trait Columns {
    fn list() -> Vec<Column>;
}

macro_rules! columns_of_tuples {
    () => {};
    ($first:ident $($rest:ident)*) => {
        impl<$first: SchemaColumn, $($rest: SchemaColumn),*> Columns for ($first, $($rest,)*)
        where
            $first::SqlType: Held,
            $($rest::SqlType: Held),*
        {
            fn list() -> Vec<Column> {
                vec![
                    Column { name: $first::NAME, kind: <$first::SqlType as Held>::KIND },
                    $(Column { name: $rest::NAME, kind: <$rest::SqlType as Held>::KIND }),*
                ]
            }
        }
        columns_of_tuples!($($rest)*);
    };
}
columns_of_tuples!(A B C D E F G H I J K L M N O P Q R S T U V W X);

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};

    use super::*;
    use crate::{DatabaseUrl, Store};

    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        of: String,
        #[diesel(sql_type = Text)]
        what: String,
    }

    /// Asks a database that was just made; PostgreSQL's has the same tables, which `tests/it/schema.rs` compares.
    fn ask(query: &str) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("harmony.sqlite");
        Store::open(&DatabaseUrl::sqlite(&path), &Default::default()).unwrap();
        let mut connection = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        let found: Vec<Found> = sql_query(query).load(&mut connection).unwrap();
        found.into_iter().map(|found| (found.of, found.what)).collect()
    }

    fn all_but(left_behind: &[&str], found: Vec<(String, String)>) -> BTreeMap<String, Vec<String>> {
        let mut tables = BTreeMap::<String, Vec<String>>::new();
        for (table, what) in found.into_iter().filter(|(table, _)| !left_behind.contains(&table.as_str())) {
            tables.entry(table).or_default().push(what);
        }
        tables
    }

    const OURS: &str =
        "t.type = 'table' AND t.name NOT LIKE '\\_\\_%' ESCAPE '\\' AND t.name NOT LIKE 'sqlite%'";

    #[test]
    fn every_column_of_every_table_is_copied_or_left_behind_by_name() {
        let there = ask(&format!(
            "SELECT t.name AS of, c.name AS what FROM sqlite_schema t, pragma_table_info(t.name) c \
             WHERE {OURS} ORDER BY t.name, c.cid"
        ));
        let names = |table: Table| {
            (table.name.to_owned(), table.columns.iter().map(|column| column.name.to_owned()).collect())
        };
        let copied: BTreeMap<String, Vec<String>> = tables().into_iter().map(names).collect();
        assert_eq!(copied, all_but(&LEFT_BEHIND, there));
    }

    #[test]
    fn every_key_is_the_primary_key() {
        let there = ask(&format!(
            "SELECT t.name AS of, c.name AS what FROM sqlite_schema t, pragma_table_info(t.name) c \
             WHERE {OURS} AND c.pk > 0 ORDER BY t.name, c.pk"
        ));
        let names =
            |table: Table| (table.name.to_owned(), table.key.into_iter().map(str::to_owned).collect());
        let keys: BTreeMap<String, Vec<String>> = tables().into_iter().map(names).collect();
        assert_eq!(keys, all_but(&LEFT_BEHIND, there));
    }

    #[test]
    fn no_table_comes_before_one_that_it_refers_to() {
        let references = ask(&format!(
            "SELECT t.name AS of, f.\"table\" AS what FROM sqlite_schema t, pragma_foreign_key_list(t.name) f WHERE {OURS}"
        ));
        assert!(references.contains(&("users".to_owned(), "roles".to_owned())));
        let mut before = BTreeSet::new();
        for table in tables() {
            let missing = references.iter().find(|(of, to)| of == table.name && !before.contains(to));
            assert_eq!(missing, None);
            before.insert(table.name.to_owned());
        }
    }

    #[test]
    fn a_kind_is_found_by_its_name_and_nothing_else_is() {
        for kind in [Kind::Text, Kind::Integer, Kind::Bytes, Kind::Bool, Kind::Double] {
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        assert_eq!(Kind::named("id"), None);
    }
}
