//! Opening a store: one connection to see whether it works, the migrations, then the pools.

use std::{sync::Arc, time::Duration};

use diesel::{migration::MigrationSource, pg::Pg, sqlite::Sqlite};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::{
    DatabaseUrl, Refusal, StoreError, Transport, Turns, Tx,
    ballast::Ballast,
    connection::{AnyConnection, ConnectError, Manager, POSTGRES_LIMITS},
    copy,
    key_finder::WarmUp,
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

/// Use cases that are on a thread at once. Most of their time they wait: for a connection, or for other processes to drop
/// what was revoked.
const USE_CASES_AT_ONCE: usize = 128;
/// A use case is answered for after this long: a turn, a connection and a statement have ended before, unless the database
/// hangs without a word. What it was about to change may happen yet.
const USE_CASE_WITHIN: Duration = Duration::from_secs(15);
/// A look-up that has begun is given up after this long. Its statement may go on until it is ended by the database.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(4);

/// An open store: cheap to clone, shared by all threads.
#[derive(Clone)]
pub struct Store {
    pub(crate) manager: Manager,
    options: OpenOptions,
    readers: r2d2::Pool<Manager>,
    writers: r2d2::Pool<Manager>,
    ballast: Option<Arc<Ballast>>,
    look_ups: Turns,
    use_cases: Turns,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Connections in the pool; on SQLite the readers, beside one writer.
    pub connections: u32,
    /// How long a caller waits for its turn, and then for a free connection, before it is told that the store is
    /// unavailable.
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
    /// The server is on another machine, and the URL does not insist on TLS.
    #[error(
        "the database {url} is on another machine, and would be spoken to in plain text; {advice}set \
         database_allow_plaintext to accept that on a private network"
    )]
    Plaintext {
        /// The database, without its password.
        url: String,
        /// What else could be done, in the words that come before.
        advice: &'static str,
    },
    /// The URL insists on TLS, and this build speaks none.
    #[error(
        "the URL of the database {url} asks for TLS, which this build does not speak; build it with the feature \
         postgres-tls"
    )]
    NoTls {
        /// The database, without its password.
        url: String,
    },
    /// The server takes no changes.
    #[error(
        "the database {url} takes no changes: it is a standby, or default_transaction_read_only is on; name the primary, \
         or all servers with target_session_attrs=read-write"
    )]
    ReadOnly {
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
    /// When no connection can be made, when it would be in plain text to another machine without leave or should be
    /// encrypted and cannot, when the server is a standby, when a migration fails, and when the database is half a copy.
    pub fn open(url: &DatabaseUrl, options: &OpenOptions) -> Result<Self, OpenError> {
        let mut first = connect(url, options)?;
        if copy::is_half_a_copy(&mut first)? {
            return Err(OpenError::HalfACopy { url: url.to_string() });
        }
        drop(first);
        let manager = Manager { url: url.clone() };
        let refused = |message: String| OpenError::Connect { url: url.to_string(), message };
        let pool = |size: u32| new_pool(&manager, options, size).map_err(|error| refused(error.to_string()));
        let readers = pool(options.connections)?;
        let writers = if url.sqlite_path().is_some() { pool(1)? } else { readers.clone() };
        let ballast = url.sqlite_path().map(|path| Arc::new(Ballast::beside(path)));
        let connections = usize::try_from(options.connections.max(1)).unwrap_or(usize::MAX);
        let look_ups = Turns::new(connections, options.wait).answering_within(LOOK_UP_WITHIN);
        let use_cases = Turns::new(USE_CASES_AT_ONCE, options.wait).answering_within(USE_CASE_WITHIN);
        let options = options.clone();
        Ok(Self { manager, options, readers, writers, ballast, look_ups, use_cases })
    }

    /// The same store by way of a connection that nobody else uses, for what must not wait behind requests. On SQLite, where
    /// it would wait for the same writer, it is this one.
    ///
    /// # Errors
    ///
    /// When no connection can be made.
    pub fn apart(&self) -> Result<Self, OpenError> {
        let url = &self.manager.url;
        if url.sqlite_path().is_some() {
            return Ok(self.clone());
        }
        let own = new_pool(&self.manager, &self.options, 1)
            .map_err(|error| OpenError::Connect { url: url.to_string(), message: error.to_string() })?;
        Ok(Self { readers: own.clone(), writers: own, ..self.clone() })
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

    /// The turns of those who look up a key: as many at once as there are connections.
    #[must_use]
    pub const fn look_ups(&self) -> &Turns {
        &self.look_ups
    }

    /// The turns of all others who ask from an async thread. They are apart from the look-ups, so that a deletion that waits
    /// for a process that hangs keeps nobody out.
    #[must_use]
    pub const fn use_cases(&self) -> &Turns {
        &self.use_cases
    }

    /// How the way to the database is encrypted, in the database's own words; `None` when it is not.
    ///
    /// # Errors
    ///
    /// When the database cannot be asked.
    pub fn encryption(&self) -> Result<Option<String>, StoreError> {
        self.read(|tx| crate::connection::encryption(tx.connection).map_err(StoreError::from))
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
    let mut connection = reach(url, options)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Makes one connection, to a schema of any age.
pub(crate) fn reach(url: &DatabaseUrl, options: &OpenOptions) -> Result<AnyConnection, OpenError> {
    refuse_plaintext(url, options)?;
    let text = || url.to_string();
    Manager { url: url.clone() }.establish().map_err(|error| match error {
        ConnectError::ReadOnly => OpenError::ReadOnly { url: text() },
        ConnectError::Failed(error) => OpenError::Connect { url: text(), message: error.to_string() },
    })
}

fn new_pool(manager: &Manager, options: &OpenOptions, size: u32) -> Result<r2d2::Pool<Manager>, r2d2::Error> {
    r2d2::Pool::builder()
        .max_size(size.max(1))
        .min_idle(Some(1))
        .connection_timeout(options.wait)
        .test_on_check_out(manager.url.sqlite_path().is_none())
        .error_handler(Box::new(r2d2::NopErrorHandler))
        .connection_customizer(Box::new(WarmUp))
        .build(manager.clone())
}

/// Whether this build can encrypt the way to a PostgreSQL: by the cargo feature `postgres-tls`.
const SPEAKS_TLS: bool = cfg!(feature = "postgres-tls");

/// libpq without TLS would go in plain text without a word, and with it, if the server has none.
fn refuse_plaintext(url: &DatabaseUrl, options: &OpenOptions) -> Result<(), OpenError> {
    const ADVICE: &str = if SPEAKS_TLS { "say sslmode=verify-full in its URL, or " } else { "" };
    let DatabaseUrl::Postgres(postgres) = url else { return Ok(()) };
    if postgres.demands_tls() && !SPEAKS_TLS {
        return Err(OpenError::NoTls { url: url.to_string() });
    }
    if postgres.transport() == Transport::Plain && !options.allow_plaintext {
        return Err(OpenError::Plaintext { url: url.to_string(), advice: ADVICE });
    }
    Ok(())
}

/// Nodes may start at once: on PostgreSQL an advisory lock lets one migrate while the others wait, on SQLite the
/// database's own lock does.
pub(crate) fn migrate(connection: &mut AnyConnection) -> Result<(), OpenError> {
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
