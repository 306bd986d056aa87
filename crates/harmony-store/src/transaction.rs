//! Transactions: everything that the crate does happens in one.

use diesel::{
    QueryResult,
    connection::{AnsiTransactionManager, TransactionManager},
};

use crate::{StoreError, connection::AnyConnection};

/// A transaction that is open, and what every query of this crate asks for first.
pub struct Tx<'c> {
    pub(crate) connection: &'c mut AnyConnection,
}

/// Whether a transaction means to write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    Read,
    Write,
}

/// Runs `work` in a transaction, which is committed if `work` succeeds and rolled back if not.
pub(crate) fn run<T, E: From<StoreError>>(
    connection: &mut AnyConnection,
    intent: Intent,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    begin(connection, intent).map_err(StoreError::from)?;
    match work(&mut Tx { connection }) {
        Ok(value) => {
            commit(connection).map_err(|error| {
                let refusal = StoreError::from(error);
                // What cannot be rolled back is thrown away by the pool.
                let _ = roll_back(connection);
                refusal
            })?;
            Ok(value)
        }
        Err(error) => {
            let _ = roll_back(connection);
            Err(error)
        }
    }
}

/// A writer on SQLite takes its lock at once: a transaction that reads first and writes later is refused as soon as
/// another process has written in between, and no waiting would help it.
fn begin(connection: &mut AnyConnection, intent: Intent) -> QueryResult<()> {
    match connection {
        AnyConnection::Sqlite(inner) if intent == Intent::Write => {
            AnsiTransactionManager::begin_transaction_sql(inner, "BEGIN IMMEDIATE")
        }
        AnyConnection::Sqlite(inner) => AnsiTransactionManager::begin_transaction(inner),
        AnyConnection::Postgres(inner) if intent == Intent::Read => {
            AnsiTransactionManager::begin_transaction_sql(
                inner,
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            )
        }
        AnyConnection::Postgres(inner) => AnsiTransactionManager::begin_transaction(inner),
    }
}

fn commit(connection: &mut AnyConnection) -> QueryResult<()> {
    match connection {
        AnyConnection::Sqlite(inner) => AnsiTransactionManager::commit_transaction(inner),
        AnyConnection::Postgres(inner) => AnsiTransactionManager::commit_transaction(inner),
    }
}

fn roll_back(connection: &mut AnyConnection) -> QueryResult<()> {
    match connection {
        AnyConnection::Sqlite(inner) => AnsiTransactionManager::rollback_transaction(inner),
        AnyConnection::Postgres(inner) => AnsiTransactionManager::rollback_transaction(inner),
    }
}
