//! Opening a store: one connection to see whether it works, the migrations, then the pools.

use std::{sync::Arc, time::Duration};

use diesel::{migration::MigrationSource, pg::Pg, sqlite::Sqlite};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::{
    DatabaseUrl, Refusal, StoreError, Tx,
    ballast::Ballast,
    connection::{AnyConnection, Manager, POSTGRES_LIMITS},
    copy,
    transaction::{self, Intent},
};

pub(crate) const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// A number that no other program is likely to lock with: "harmony" in ASCII.
const MIGRATION_LOCK: i64 = 0x0068_6172_6d6f_6e79;
/// A statement of a migration may take this long, and so may those wait who start meanwhile: an index on a large table takes
/// longer than any query may.
const MIGRATE_WITHIN: &str = "10min";
/// A migration waits no longer than this for a table: meanwhile everybody else waits behind it.
const TABLE_WITHIN: &str = "5s";

/// An open store: cheap to clone, shared by all threads.
#[derive(Clone)]
pub struct Store {
    pub(crate) manager: Manager,
    readers: r2d2::Pool<Manager>,
    writers: r2d2::Pool<Manager>,
    ballast: Option<Arc<Ballast>>,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Connections in the pool; on SQLite the readers, beside one writer.
    pub connections: u32,
    /// How long a caller waits for a free connection before it is told that the store is unavailable.
    pub wait: Duration,
    /// Whether a PostgreSQL on another machine may be spoken to in plain text.
    pub allow_plaintext: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { connections: 8, wait: Duration::from_secs(2), allow_plaintext: false }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No connection could be made.
    #[error("cannot open the database {url}: {message}")]
    Connect {
        /// The database, without its password.
        url: String,
        /// What the database said.
        message: String,
    },
    /// The server is on another machine, and this build speaks no TLS.
    #[error(
        "the database {url} is on another machine, and would be spoken to in plain text; set database_allow_plaintext \
         to accept that on a private network"
    )]
    Plaintext {
        /// The database, without its password.
        url: String,
    },
    /// A copy into the database was not finished.
    #[error(
        "the copy into the database {url} was not finished; run the same `harmony copy` again, or empty the database"
    )]
    HalfACopy {
        /// The database, without its password.
        url: String,
    },
    /// The schema could not be brought up to date.
    #[error("the migrations of the database failed: {0}")]
    Migrate(String),
}

impl From<diesel::result::Error> for OpenError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Migrate(error.to_string())
    }
}

impl Store {
    /// Opens the store and applies the migrations that it lacks.
    ///
    /// # Errors
    ///
    /// When no connection can be made, when it would be in plain text to another machine without leave, when a migration
    /// fails, and when the database is half a copy.
    pub fn open(url: &DatabaseUrl, options: &OpenOptions) -> Result<Self, OpenError> {
        let mut first = connect(url, options)?;
        if copy::is_half_a_copy(&mut first)? {
            return Err(OpenError::HalfACopy { url: url.to_string() });
        }
        drop(first);
        let manager = Manager { url: url.clone() };
        let refused = |message: String| OpenError::Connect { url: url.to_string(), message };
        let pool = |size: u32| {
            r2d2::Pool::builder()
                .max_size(size.max(1))
                .min_idle(Some(1))
                .connection_timeout(options.wait)
                .test_on_check_out(url.sqlite_path().is_none())
                .error_handler(Box::new(r2d2::NopErrorHandler))
                .build(manager.clone())
                .map_err(|error| refused(error.to_string()))
        };
        let readers = pool(options.connections)?;
        let writers = if url.sqlite_path().is_some() { pool(1)? } else { readers.clone() };
        let ballast = url.sqlite_path().map(|path| Arc::new(Ballast::beside(path)));
        Ok(Self { manager, readers, writers, ballast })
    }

    /// Runs queries that change nothing, all on one state of the database.
    ///
    /// # Errors
    ///
    /// Those of `work`, and [`StoreError::Unavailable`] when no connection is free in time.
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        run(&self.readers, Intent::Read, work)
    }

    /// Runs queries that change something: all of it is on the disk when this returns `Ok`, and none of it otherwise.
    ///
    /// # Errors
    ///
    /// Those of `work`, [`StoreError::Unavailable`] when no connection is free in time, and what the commit says.
    pub fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        run(&self.writers, Intent::Write, work)
    }

    /// Like [`Store::write`], for a change that takes something away and must find room even on a full disk. On SQLite a
    /// ballast lies beside the database: when there is no space left, it is thrown off and `work` is done once more.
    /// The next [`Store::open`] that finds room takes a new ballast in.
    ///
    /// # Errors
    ///
    /// Those of [`Store::write`].
    pub fn write_revoking<T, E: Refusal>(&self, work: impl Fn(&mut Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        let outcome = self.write(&work);
        let full = matches!(outcome.as_ref().err().and_then(Refusal::of_store), Some(StoreError::Full));
        match &self.ballast {
            Some(ballast) if full && ballast.throw_off() => self.write(&work),
            _ => outcome,
        }
    }

    /// Connections in use and connections open, for metrics.
    #[must_use]
    pub fn pool_use(&self) -> (u32, u32) {
        let state = self.readers.state();
        (state.connections.saturating_sub(state.idle_connections), state.connections)
    }
}

fn run<T, E: From<StoreError>>(
    pool: &r2d2::Pool<Manager>,
    intent: Intent,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let mut connection = pool.get().map_err(|error| StoreError::Unavailable(error.to_string()))?;
    transaction::run(&mut connection, intent, work)
}

/// Makes one connection, and brings the schema up to date.
pub(crate) fn connect(url: &DatabaseUrl, options: &OpenOptions) -> Result<AnyConnection, OpenError> {
    refuse_plaintext(url, options)?;
    let refused = |message: String| OpenError::Connect { url: url.to_string(), message };
    let mut connection =
        Manager { url: url.clone() }.establish().map_err(|error| refused(error.to_string()))?;
    migrate(&mut connection)?;
    Ok(connection)
}

fn refuse_plaintext(url: &DatabaseUrl, options: &OpenOptions) -> Result<(), OpenError> {
    match url {
        DatabaseUrl::Postgres(postgres) if !options.allow_plaintext && !postgres.is_local() => {
            Err(OpenError::Plaintext { url: url.to_string() })
        }
        DatabaseUrl::Postgres(_) | DatabaseUrl::Sqlite(_) => Ok(()),
    }
}

/// Nodes may start at once: on PostgreSQL an advisory lock lets one migrate while the others wait, on SQLite the
/// database's own lock does.
fn migrate(connection: &mut AnyConnection) -> Result<(), OpenError> {
    use diesel::connection::SimpleConnection;
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| OpenError::Migrate(error.to_string());
    match connection {
        AnyConnection::Sqlite(inner) => inner.immediate_transaction(|inner| {
            inner
                .run_pending_migrations(SQLITE_MIGRATIONS)
                .map(drop)
                .map_err(|error| OpenError::Migrate(error.to_string()))
        }),
        AnyConnection::Postgres(inner) => {
            let mut run =
                |statement: &str| inner.batch_execute(statement).map_err(|error| failed(Box::new(error)));
            run(&format!(
                "SET statement_timeout = '{MIGRATE_WITHIN}'; SET lock_timeout = '{MIGRATE_WITHIN}'"
            ))?;
            run(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK}); SET lock_timeout = '{TABLE_WITHIN}'"))?;
            let outcome = inner.run_pending_migrations(POSTGRES_MIGRATIONS).map(drop).map_err(failed);
            inner
                .batch_execute(&format!("SELECT pg_advisory_unlock({MIGRATION_LOCK}); {POSTGRES_LIMITS}"))
                .map_err(|error| failed(Box::new(error)))?;
            outcome
        }
    }
}

/// Whether the migrations of the database are those of this program, and none besides.
pub(crate) fn is_of_this_release(connection: &mut AnyConnection) -> Result<bool, OpenError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| OpenError::Migrate(error.to_string());
    let (applied, known) = match connection {
        AnyConnection::Sqlite(inner) => {
            let known = MigrationSource::<Sqlite>::migrations(&SQLITE_MIGRATIONS).map_err(failed)?;
            (inner.applied_migrations().map_err(failed)?, known.len())
        }
        AnyConnection::Postgres(inner) => {
            let known = MigrationSource::<Pg>::migrations(&POSTGRES_MIGRATIONS).map_err(failed)?;
            (inner.applied_migrations().map_err(failed)?, known.len())
        }
    };
    // Those that were missing have just been applied, so that only a longer list can differ.
    Ok(applied.len() == known)
}

/// Takes every migration back and applies all of them again: for tests of the migrations only.
///
/// # Errors
///
/// When one of them fails.
#[doc(hidden)]
pub fn migrate_down_and_up(url: &DatabaseUrl) -> Result<(), OpenError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| OpenError::Migrate(error.to_string());
    let mut connection =
        Manager { url: url.clone() }.establish().map_err(|error| OpenError::Migrate(error.to_string()))?;
    match &mut connection {
        AnyConnection::Sqlite(inner) => {
            inner.revert_all_migrations(SQLITE_MIGRATIONS).map(drop).map_err(failed)?
        }
        AnyConnection::Postgres(inner) => {
            inner.revert_all_migrations(POSTGRES_MIGRATIONS).map(drop).map_err(failed)?
        }
    }
    migrate(&mut connection)
}
