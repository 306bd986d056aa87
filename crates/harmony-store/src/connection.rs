//! One connection to either database, and how the pool makes and judges it.

use diesel::{
    Connection, PgConnection, RunQueryDsl, SqliteConnection,
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
/// How long a statement may take, and how long it may wait for a lock.
pub(crate) const POSTGRES_LIMITS: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s'";

diesel::define_sql_function! {
    /// A setting of the server as it is in force.
    fn current_setting(name: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Failed(#[from] diesel::ConnectionError),
    /// A standby, or a server that was told to change nothing.
    #[error("it takes no changes: it is a standby, or default_transaction_read_only is on")]
    ReadOnly,
}

impl Manager {
    pub(crate) fn establish(&self) -> Result<AnyConnection, ConnectError> {
        let wrong = diesel::ConnectionError::CouldntSetupConfiguration;
        match &self.url {
            DatabaseUrl::Sqlite(path) => {
                let mut connection = SqliteConnection::establish(&path.to_string_lossy())?;
                set_up_sqlite(&mut connection).map_err(wrong)?;
                Ok(AnyConnection::Sqlite(connection))
            }
            DatabaseUrl::Postgres(url) => {
                // OpenSSL would clean up while the process exits, and the threads of the pools, which nobody can join, may be in
                // the middle of a handshake then. Who initializes it first decides.
                #[cfg(feature = "postgres-tls")]
                openssl_sys::init();
                let mut connection = PgConnection::establish(&url.for_libpq()).map_err(silence)?;
                let set_up = format!("{POSTGRES_LIMITS}; SET client_min_messages = warning");
                connection.batch_execute(&set_up).map_err(wrong)?;
                if is_read_only(&mut connection).map_err(wrong)? {
                    return Err(ConnectError::ReadOnly);
                }
                Ok(AnyConnection::Postgres(connection))
            }
        }
    }
}

/// A standby lags: what it says of a key may have been true before the key was deleted. So it is not even read from. The
/// question is also the proof that the connection lives.
fn is_read_only(connection: &mut PgConnection) -> diesel::QueryResult<bool> {
    let setting: String = diesel::select(current_setting("transaction_read_only")).get_result(connection)?;
    Ok(setting != "off")
}

#[derive(diesel::QueryableByName)]
struct Encryption {
    #[diesel(sql_type = diesel::sql_types::Text)]
    encryption: String,
}

/// The protocol and the cipher of this connection, if there are any.
pub(crate) fn encryption(connection: &mut AnyConnection) -> diesel::QueryResult<Option<String>> {
    let AnyConnection::Postgres(inner) = connection else { return Ok(None) };
    let rows: Vec<Encryption> = diesel::sql_query(
        "SELECT version || ' ' || cipher AS encryption FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl",
    )
    .load(inner)?;
    Ok(rows.into_iter().next().map(|row| row.encryption))
}

/// What libpq says of a URL that it cannot read quotes it, and what was quoted may be a password.
fn silence(error: diesel::ConnectionError) -> diesel::ConnectionError {
    match error {
        diesel::ConnectionError::BadConnection(message)
            if ["URI", "percent-encoded"].iter().any(|sign| message.contains(sign)) =>
        {
            diesel::ConnectionError::BadConnection("the client library cannot read the URL".to_owned())
        }
        other => other,
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
        let read_only = match connection {
            AnyConnection::Sqlite(inner) => {
                inner.batch_execute("SELECT 1")?;
                false
            }
            AnyConnection::Postgres(inner) => is_read_only(inner)?,
        };
        if read_only { Err(StoreError::Unavailable(ConnectError::ReadOnly.to_string())) } else { Ok(()) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_library_says_of_a_url_is_not_repeated() {
        // A password with an `&` in it, whose end is taken for the name of a parameter.
        let url = DatabaseUrl::parse("postgres:///d?host=/nowhere&password=ope&sesame=1").unwrap();
        let error = Manager { url }.establish().err().unwrap().to_string();
        assert!(!error.contains("sesame") && error.contains("cannot read the URL"), "{error}");
        let url = DatabaseUrl::parse("postgres:///d?host=/nowhere").unwrap();
        let error = Manager { url }.establish().err().unwrap().to_string();
        assert!(error.contains("/nowhere"), "{error}");
    }
}
