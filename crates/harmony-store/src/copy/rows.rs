//! Rows of any table: read in the order of their key, written in one statement.

use diesel::{
    QueryResult, QueryableByName, RunQueryDsl,
    backend::Backend,
    deserialize::{self, FromSql},
    pg::Pg,
    query_builder::{BoxedSqlQuery, SqlQuery},
    row::{Field, NamedRow},
    serialize::ToSql,
    sql_query,
    sql_types::{BigInt, Binary, Bool, Double, HasSqlType, Nullable, Text},
    sqlite::Sqlite,
};
use serde::{Deserialize, Serialize};

use super::tables::{Kind, Table};
use crate::connection::AnyConnection;

/// What lies in a column. Without `Debug`: it may be the hash of a password.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Value {
    Text(Option<String>),
    Integer(Option<i64>),
    Bytes(Option<Vec<u8>>),
    Bool(Option<bool>),
    Double(Option<f64>),
}

/// The values of a row, in the order of the table's columns.
pub(super) struct Row(pub(super) Vec<Value>);

/// The first rows after the one with this key, at most `limit`. Each database orders text in its own way, which does not
/// matter: a walk stays within one of them.
pub(super) fn page(
    connection: &mut AnyConnection,
    table: &Table,
    after: Option<&[Value]>,
    limit: usize,
) -> QueryResult<Vec<Row>> {
    let columns =
        table.columns.iter().map(|column| format!("t.\"{}\" AS \"{}\"", column.name, column.kind.name()));
    let key = list(table.key.iter().map(|name| format!("t.\"{name}\"")));
    let beyond = match after {
        Some(after) => format!("WHERE ({key}) > ({})", marks(0, after.len())),
        None => String::new(),
    };
    let sql =
        format!("SELECT {} FROM \"{}\" t {beyond} ORDER BY {key} LIMIT {limit}", list(columns), table.name);
    let after = after.unwrap_or_default();
    match connection {
        AnyConnection::Sqlite(inner) => bound::<Sqlite>(&sql, after).load(inner),
        AnyConnection::Postgres(inner) => bound::<Pg>(&sql, after).load(inner),
    }
}

/// Adds these rows; there must be one at least.
pub(super) fn insert(connection: &mut AnyConnection, table: &Table, rows: &[Row]) -> QueryResult<()> {
    let width = table.columns.len();
    let columns = list(table.columns.iter().map(|column| format!("\"{}\"", column.name)));
    let values = list((0..rows.len()).map(|row| format!("({})", marks(row * width, width))));
    let sql = format!("INSERT INTO \"{}\" ({columns}) VALUES {values}", table.name);
    run(connection, &sql, rows.iter().flat_map(|row| &row.0))
}

/// Runs a statement with these in the places of `$1`, `$2` and so on.
pub(super) fn run<'v>(
    connection: &mut AnyConnection,
    sql: &str,
    values: impl IntoIterator<Item = &'v Value>,
) -> QueryResult<()> {
    match connection {
        AnyConnection::Sqlite(inner) => bound::<Sqlite>(sql, values).execute(inner).map(drop),
        AnyConnection::Postgres(inner) => bound::<Pg>(sql, values).execute(inner).map(drop),
    }
}

impl Row {
    /// The values of the table's key.
    pub(super) fn key(&self, table: &Table) -> Vec<Value> {
        let at = |name: &&str| table.columns.iter().position(|column| column.name == *name);
        table.key.iter().filter_map(at).filter_map(|index| self.0.get(index)).cloned().collect()
    }
}

fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// `$4, $5, $6` for three values after three others. SQLite numbers such names in the order of their appearance.
fn marks(before: usize, count: usize) -> String {
    list((before + 1..=before + count).map(|number| format!("${number}")))
}

fn bound<'v, DB>(sql: &str, values: impl IntoIterator<Item = &'v Value>) -> BoxedSqlQuery<'v, DB, SqlQuery>
where
    DB: Backend
        + HasSqlType<Nullable<Text>>
        + HasSqlType<Nullable<BigInt>>
        + HasSqlType<Nullable<Binary>>
        + HasSqlType<Nullable<Bool>>
        + HasSqlType<Nullable<Double>>,
    Option<&'v str>: ToSql<Nullable<Text>, DB>,
    Option<i64>: ToSql<Nullable<BigInt>, DB>,
    Option<&'v [u8]>: ToSql<Nullable<Binary>, DB>,
    Option<bool>: ToSql<Nullable<Bool>, DB>,
    Option<f64>: ToSql<Nullable<Double>, DB>,
{
    let query = sql_query(sql).into_boxed();
    values.into_iter().fold(query, |query, value| match value {
        Value::Text(text) => query.bind::<Nullable<Text>, _>(text.as_deref()),
        Value::Integer(number) => query.bind::<Nullable<BigInt>, _>(*number),
        Value::Bytes(bytes) => query.bind::<Nullable<Binary>, _>(bytes.as_deref()),
        Value::Bool(truth) => query.bind::<Nullable<Bool>, _>(*truth),
        Value::Double(number) => query.bind::<Nullable<Double>, _>(*number),
    })
}

impl<DB: Backend> QueryableByName<DB> for Row
where
    String: FromSql<Text, DB>,
    i64: FromSql<BigInt, DB>,
    Vec<u8>: FromSql<Binary, DB>,
    bool: FromSql<Bool, DB>,
    f64: FromSql<Double, DB>,
{
    fn build<'a>(row: &impl NamedRow<'a, DB>) -> deserialize::Result<Self> {
        let read = |index: usize| {
            let field = diesel::row::Row::get(row, index).ok_or("a row is too short")?;
            let kind = field.field_name().and_then(Kind::named).ok_or("a column is of no kind")?;
            let raw = field.value();
            Ok(match kind {
                Kind::Text => Value::Text(FromSql::<Nullable<Text>, DB>::from_nullable_sql(raw)?),
                Kind::Integer => Value::Integer(FromSql::<Nullable<BigInt>, DB>::from_nullable_sql(raw)?),
                Kind::Bytes => Value::Bytes(FromSql::<Nullable<Binary>, DB>::from_nullable_sql(raw)?),
                Kind::Bool => Value::Bool(FromSql::<Nullable<Bool>, DB>::from_nullable_sql(raw)?),
                Kind::Double => Value::Double(FromSql::<Nullable<Double>, DB>::from_nullable_sql(raw)?),
            })
        };
        (0..row.field_count()).map(read).collect::<deserialize::Result<_>>().map(Self)
    }
}
