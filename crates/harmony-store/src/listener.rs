//! Hearing of revocations as they are committed, where the database can tell.

use diesel::connection::SimpleConnection as _;

use r2d2::ManageConnection as _;

use crate::{Store, StoreError, connection::AnyConnection, revocations::CHANNEL};

/// A connection of its own, on which PostgreSQL tells of revocations. Nothing depends on it: who hears late only keeps the
/// one who revokes waiting.
pub struct Listener {
    connection: diesel::PgConnection,
}

impl Store {
    /// Listens from now on; `None` on SQLite, which tells nobody.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached.
    pub fn listen(&self) -> Result<Option<Listener>, StoreError> {
        if self.manager.url.sqlite_path().is_some() {
            return Ok(None);
        }
        match self.manager.connect()? {
            AnyConnection::Sqlite(_) => Ok(None),
            AnyConnection::Postgres(mut connection) => {
                connection.batch_execute(&format!("LISTEN {CHANNEL}"))?;
                Ok(Some(Listener { connection }))
            }
        }
    }
}

impl Listener {
    /// Whether something was revoked since the last call. It looks at what has arrived, and does not wait.
    ///
    /// # Errors
    ///
    /// When the connection is lost.
    pub fn heard(&mut self) -> Result<bool, StoreError> {
        let mut heard = false;
        for notification in self.connection.notifications_iter() {
            // Libpq tells of a connection that broke in words of its own only.
            notification.map_err(|error| StoreError::Unavailable(error.to_string()))?;
            heard = true;
        }
        Ok(heard)
    }
}
