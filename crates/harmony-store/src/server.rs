//! How a PostgreSQL was set up, for an operator who wants to know whether it keeps what it is told.

use diesel::{
    QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Bool, Text},
};

use crate::{StoreError, Tx, connection::AnyConnection};

/// A PostgreSQL in its own words.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Server {
    /// Its version.
    #[diesel(sql_type = Text)]
    pub version: String,
    /// The connections that this user may have to this database, together with all others that are not kept for superusers.
    #[diesel(sql_type = BigInt)]
    pub connections: i64,
    /// Whether it waits for the disk at all. Without it a power cut may destroy the database.
    #[diesel(sql_type = Bool)]
    pub fsync: bool,
    /// Whether a page that was half written in a power cut can be mended.
    #[diesel(sql_type = Bool)]
    pub full_page_writes: bool,
    /// What a commit waits for: `off`, `local`, `remote_write`, `on` or `remote_apply`.
    #[diesel(sql_type = Text)]
    pub synchronous_commit: String,
    /// Which standbys a commit waits for; empty if for none.
    #[diesel(sql_type = Text)]
    pub synchronous_standbys: String,
    /// How many standbys follow it now.
    #[diesel(sql_type = BigInt)]
    pub standbys: i64,
}

/// What is in force for this connection, by the settings of the server, the database and the user.
const ASKED: &str = "SELECT current_setting('server_version') AS version, \
    LEAST( \
        current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint \
            - coalesce(current_setting('reserved_connections', true), '0')::bigint, \
        (SELECT NULLIF(datconnlimit, -1) FROM pg_database WHERE datname = current_database()), \
        (SELECT NULLIF(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user) \
    ) AS connections, \
    current_setting('fsync')::bool AS fsync, \
    current_setting('full_page_writes')::bool AS full_page_writes, \
    current_setting('synchronous_commit') AS synchronous_commit, \
    current_setting('synchronous_standby_names') AS synchronous_standbys, \
    (SELECT count(*) FROM pg_stat_replication) AS standbys";

/// How the server was set up; `None` on SQLite, which has none.
///
/// # Errors
///
/// When the database does not answer.
pub fn server(tx: &mut Tx<'_>) -> Result<Option<Server>, StoreError> {
    match tx.connection {
        AnyConnection::Sqlite(_) => Ok(None),
        AnyConnection::Postgres(connection) => Ok(Some(sql_query(ASKED).get_result(connection)?)),
    }
}
