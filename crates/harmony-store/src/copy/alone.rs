//! How a copy keeps a PostgreSQL to itself. On SQLite the caller holds the locks of files, and a transaction keeps everybody out.

use std::time::Duration;

use diesel::{QueryableByName, RunQueryDsl, sql_query, sql_types::Bool};

use super::{CopyError, run, tables::Table};
use crate::{DatabaseUrl, StoreError, Tx, connection::AnyConnection};

/// Held by the one copy into a database: "harmcopy" in ASCII.
const COPY_LOCK: i64 = 0x6861_726d_636f_7079;
/// How often it is tried to be had, since a server takes its time to notice that a copy was killed.
const TRY_EVERY: Duration = Duration::from_millis(100);
/// So often in all, which is as long as anybody waits for a lock.
const TRIES: u32 = 50;

#[derive(QueryableByName)]
struct Tried {
    #[diesel(sql_type = Bool)]
    held: bool,
}

/// Takes back what an operator may have set against connections that do nothing or whose transaction does not end: each end
/// waits for the other. A server knows those of them that its version has.
pub(super) fn undisturbed(connection: &mut AnyConnection) -> Result<(), StoreError> {
    match connection {
        AnyConnection::Sqlite(_) => Ok(()),
        AnyConnection::Postgres(_) => run(
            connection,
            "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN \
             ('idle_session_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')",
        ),
    }
}

/// Lets no other copy into this database for as long as the connection lives.
pub(super) fn copies_into(connection: &mut AnyConnection, url: &DatabaseUrl) -> Result<(), CopyError> {
    let AnyConnection::Postgres(inner) = connection else { return Ok(()) };
    // Trying says that it is held in a word that is not one of the server's language.
    let attempt = sql_query(format!("SELECT pg_try_advisory_lock({COPY_LOCK}) AS held"));
    for _ in 0..TRIES {
        let tried: Tried = attempt.clone().get_result(inner).map_err(StoreError::from)?;
        if tried.held {
            return Ok(());
        }
        std::thread::sleep(TRY_EVERY);
    }
    Err(CopyError::UnderWay(url.clone()))
}

/// Lets nobody else change anything until the transaction ends.
pub(super) fn changes(tx: &mut Tx<'_>, tables: &[Table], url: &DatabaseUrl) -> Result<(), CopyError> {
    let AnyConnection::Postgres(_) = tx.connection else { return Ok(()) };
    let names: Vec<_> = tables.iter().map(|table| table.name).collect();
    let statement = format!("LOCK TABLE nodes, {} IN SHARE MODE", names.join(", "));
    run(tx.connection, &statement).map_err(|error| match error {
        StoreError::Unavailable(message) if message.contains("lock timeout") => CopyError::InUse(url.clone()),
        other => other.into(),
    })
}
