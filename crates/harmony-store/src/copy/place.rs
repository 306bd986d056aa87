//! How far a copy has come: a row in the target, changed in the transaction of each batch and gone when all is verified.

use diesel::{
    OptionalExtension, QueryResult, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query,
    sql_types::Text,
};
use serde::{Deserialize, Serialize};

use super::{
    rows::{self, Value},
    tally::Tally,
};
use crate::{StoreError, connection::AnyConnection};

/// The table is no part of the schema: while it is there, the database is half a copy, which nobody may serve.
const TABLE: &str = "copy_under_way";

/// How far a copy has come.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Place {
    /// What the source held when the copy began, table by table.
    pub(super) source: Vec<(String, Tally)>,
    /// How many tables are copied whole.
    pub(super) whole: usize,
    /// The key of the last row that was copied of the one after these.
    pub(super) after: Option<Vec<Value>>,
    /// How many rows are copied in all.
    pub(super) rows: u64,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    place: String,
}

/// Whether a copy into this database has begun and not ended.
pub(crate) fn is_half_a_copy(connection: &mut AnyConnection) -> QueryResult<bool> {
    has_table(connection, TABLE)
}

/// Whether the database has a table of this name.
pub(super) fn has_table(connection: &mut AnyConnection, table: &str) -> QueryResult<bool> {
    let sqlite = format!("SELECT name AS place FROM sqlite_schema WHERE name = '{table}'");
    let postgres = format!("SELECT '' AS place WHERE to_regclass('{table}') IS NOT NULL");
    Ok(first(connection, &sqlite, &postgres)?.is_some())
}

impl Place {
    pub(super) fn at_the_beginning(source: Vec<(String, Tally)>) -> Self {
        Self { source, whole: 0, after: None, rows: 0 }
    }

    /// Where an earlier copy into this database stopped.
    pub(super) fn find(connection: &mut AnyConnection) -> Result<Option<Self>, StoreError> {
        if !is_half_a_copy(connection)? {
            return Ok(None);
        }
        let query = format!("SELECT place FROM {TABLE}");
        let found = first(connection, &query, &query)?;
        // A place that cannot be read is one of another release, whose copy this one cannot go on with.
        Ok(Some(
            found.and_then(|found| serde_json::from_str(&found.place).ok()).unwrap_or_else(Self::unknown),
        ))
    }

    /// The place of a copy of something else.
    fn unknown() -> Self {
        Self::at_the_beginning(Vec::new())
    }

    pub(super) fn write_first(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        connection.batch_execute(&format!("CREATE TABLE {TABLE} (place TEXT NOT NULL)"))?;
        Ok(rows::run(connection, &format!("INSERT INTO {TABLE} (place) VALUES ($1)"), [&self.column()])?)
    }

    pub(super) fn write(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        Ok(rows::run(connection, &format!("UPDATE {TABLE} SET place = $1"), [&self.column()])?)
    }

    pub(super) fn forget(connection: &mut AnyConnection) -> Result<(), StoreError> {
        Ok(connection.batch_execute(&format!("DROP TABLE {TABLE}"))?)
    }

    fn column(&self) -> Value {
        // Numbers, texts and lists of them: there is nothing that JSON could not say.
        Value::Text(Some(serde_json::to_string(self).unwrap_or_default()))
    }
}

fn first(connection: &mut AnyConnection, sqlite: &str, postgres: &str) -> QueryResult<Option<Found>> {
    match connection {
        AnyConnection::Sqlite(inner) => sql_query(sqlite).get_result(inner).optional(),
        AnyConnection::Postgres(inner) => sql_query(postgres).get_result(inner).optional(),
    }
}
