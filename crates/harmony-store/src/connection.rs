//! One connection to either database, and how the pool makes and judges it.

use diesel::{
    Connection, PgConnection, SqliteConnection,
    connection::{AnsiTransactionManager, SimpleConnection, TransactionManager},
};

use crate::{DatabaseUrl, StoreError};

/// A connection to SQLite or PostgreSQL. Queries are written once, in what both understand.
#[derive(diesel::MultiConnection)]
pub enum AnyConnection {
    /// SQLite, linked into the program.
    Sqlite(SqliteConnection),
    /// PostgreSQL, through libpq.
    Postgres(PgConnection),
}

/// Makes connections for a pool. Diesel's own manager tries one backend after the other, and so hides the true error of
/// the one that was meant.
#[derive(Debug, Clone)]
pub(crate) struct Manager {
    pub(crate) url: DatabaseUrl,
}

/// A writer waits this long for another process to finish its transaction, in milliseconds.
const BUSY_TIMEOUT_MS: u32 = 5_000;
/// A PostgreSQL that does not answer is given up after this many seconds.
const CONNECT_TIMEOUT_SECS: u32 = 5;

/// How long a statement may take, and how long it may wait for a lock.
pub(crate) const POSTGRES_LIMITS: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s'";

impl Manager {
    pub(crate) fn establish(&self) -> Result<AnyConnection, diesel::ConnectionError> {
        match &self.url {
            DatabaseUrl::Sqlite(path) => {
                let mut connection = SqliteConnection::establish(&path.to_string_lossy())?;
                set_up_sqlite(&mut connection).map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
                Ok(AnyConnection::Sqlite(connection))
            }
            DatabaseUrl::Postgres(url) => {
                let separator = if url.as_str().contains('?') { '&' } else { '?' };
                let text = format!("{}{separator}connect_timeout={CONNECT_TIMEOUT_SECS}", url.as_str());
                let mut connection = PgConnection::establish(&text)?;
                connection
                    .batch_execute(&format!("{POSTGRES_LIMITS}; SET client_min_messages = warning"))
                    .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
                Ok(AnyConnection::Postgres(connection))
            }
        }
    }
}

/// WAL lets readers go on beside the writer; under `synchronous = NORMAL` a power cut would lose acknowledged deletions.
/// The WAL keeps its size, so that a deletion finds room on a full disk.
fn sqlite_settings() -> String {
    format!(
        "PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
         PRAGMA foreign_keys = ON; PRAGMA secure_delete = FAST; PRAGMA journal_size_limit = -1;"
    )
}

/// SQLite does not wait when several connections turn a new file to WAL at once: whoever is refused queues up for the
/// write lock, for which SQLite does wait, and tries again.
fn set_up_sqlite(connection: &mut SqliteConnection) -> diesel::QueryResult<()> {
    const TRIES: u32 = 20;
    for _ in 1..TRIES {
        let Err(refusal) = connection.batch_execute(&sqlite_settings()) else { return Ok(()) };
        if !matches!(StoreError::from(refusal), StoreError::Unavailable(_)) {
            break;
        }
        // Refused again, it is only the sooner to try again.
        let _ = connection.batch_execute("BEGIN IMMEDIATE; COMMIT");
    }
    connection.batch_execute(&sqlite_settings())
}

impl r2d2::ManageConnection for Manager {
    type Connection = AnyConnection;
    type Error = StoreError;

    fn connect(&self) -> Result<AnyConnection, StoreError> {
        self.establish().map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    fn is_valid(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        Ok(connection.batch_execute("SELECT 1")?)
    }

    fn has_broken(&self, connection: &mut AnyConnection) -> bool {
        std::thread::panicking()
            || match connection {
                AnyConnection::Sqlite(inner) => AnsiTransactionManager::is_broken_transaction_manager(inner),
                AnyConnection::Postgres(inner) => {
                    AnsiTransactionManager::is_broken_transaction_manager(inner)
                }
            }
    }
}
