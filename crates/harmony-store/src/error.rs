//! What can go wrong with a store, in its own words.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or not in time. Trying again later may help; nothing was changed.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// No space is left for the change; nothing was changed.
    #[error("no space is left for the database")]
    Full,
    /// A row with the same unique value exists.
    #[error("it exists already: {0}")]
    Taken(String),
    /// Other rows refer to the row, or the row refers to one that is gone.
    #[error("rows that refer to each other would part: {0}")]
    Referenced(String),
    /// Any other refusal of the database.
    #[error("the database refused")]
    Refused(#[source] DieselError),
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(kind, information) => {
                let message = information.message().to_owned();
                of_database(kind, message)
                    .unwrap_or_else(|| Self::Refused(DieselError::DatabaseError(kind, information)))
            }
            DieselError::BrokenTransactionManager => Self::Unavailable("the connection broke".to_owned()),
            other => Self::Refused(other),
        }
    }
}

/// The kinds that callers act upon. Both backends tell a lost connection, a busy or a full database by their message only.
fn of_database(kind: DatabaseErrorKind, message: String) -> Option<StoreError> {
    const LOST: [&str; 14] = [
        "server closed the connection",
        "no connection to the server",
        "terminating connection",
        "could not connect",
        "connection to server",
        "could not send data to server",
        "could not receive data from server",
        "SSL connection has been closed",
        "SSL SYSCALL error",
        "database is locked",
        "deadlock detected",
        "canceling statement due to",
        "the database system is",
        "unable to open database file",
    ];
    const FULL: [&str; 2] = ["database or disk is full", "No space left on device"];
    match kind {
        DatabaseErrorKind::UniqueViolation => Some(StoreError::Taken(message)),
        DatabaseErrorKind::ForeignKeyViolation => Some(StoreError::Referenced(message)),
        // After a fail-over the old primary takes no changes any more; the pool throws such connections away.
        DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::ReadOnlyTransaction => {
            Some(StoreError::Unavailable(message))
        }
        _ if FULL.iter().any(|sign| message.contains(sign)) => Some(StoreError::Full),
        _ if LOST.iter().any(|sign| message.contains(sign)) => Some(StoreError::Unavailable(message)),
        _ => None,
    }
}
