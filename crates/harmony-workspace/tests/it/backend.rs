//! The two backends: an empty database of its own for each test.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use diesel::{Connection, PgConnection, RunQueryDsl, SqliteConnection, connection::SimpleConnection};
use harmony_store::{DatabaseUrl, Store, StoreError, Tx};
use harmony_workspace::Workspace;

/// Makes of each scenario a test on SQLite and a test on PostgreSQL.
macro_rules! on_both {
    ($($scenario:ident),* $(,)?) => {$(
        mod $scenario {
            #[test]
            fn on_sqlite() {
                super::$scenario(crate::backend::sqlite());
            }

            #[test]
            fn on_postgres() {
                super::$scenario(crate::backend::postgres());
            }
        }
    )*};
}
pub(crate) use on_both;

/// The database's file.
const FILE: &str = "harmony.sqlite";
/// So often it is looked whether somebody waits, every [`LOOK_EVERY`]: ten seconds.
const MAX_LOOKS: usize = 5_000;
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A database that nobody has set up yet.
pub struct Database {
    pub workspace: Workspace,
    place: Place,
}

enum Place {
    Folder { folder: tempfile::TempDir },
    Server { maintenance: String, name: String },
}

pub fn sqlite() -> Database {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::sqlite(folder.path().join(FILE));
    open(&url, Place::Folder { folder })
}

pub fn postgres() -> Database {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let Ok(maintenance) = std::env::var("TEST_POSTGRES_URL") else {
        panic!("run the tests through `just test`, which starts a private PostgreSQL");
    };
    let name = format!("workspace_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    ask(&maintenance, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
    ask(&maintenance, &format!("CREATE DATABASE {name}"));
    let url = DatabaseUrl::parse(&named(&maintenance, &name)).unwrap();
    open(&url, Place::Server { maintenance, name })
}

fn open(url: &DatabaseUrl, place: Place) -> Database {
    Database { workspace: Workspace::new(Store::open(url, &Default::default()).unwrap()), place }
}

fn ask(maintenance: &str, statement: &str) {
    PgConnection::establish(maintenance).unwrap().batch_execute(statement).unwrap();
}

fn named(maintenance: &str, name: &str) -> String {
    let (place, query) = maintenance.split_once('?').unwrap_or((maintenance, ""));
    let (server, _) = place.rsplit_once('/').unwrap();
    let separator = if query.is_empty() { "" } else { "?" };
    format!("{server}/{name}{separator}{query}")
}

/// A connection past the store, to see what is really there.
enum Raw {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

#[derive(diesel::QueryableByName)]
struct Text {
    #[diesel(sql_type = diesel::sql_types::Text)]
    text: String,
}

/// The rows of each table. Every table has a primary key, so that no row is there twice.
pub type Rows = BTreeMap<String, BTreeSet<String>>;

impl Raw {
    fn rows_of(&mut self, table: &str) -> BTreeSet<String> {
        let row = match self {
            Self::Sqlite(_) => {
                let columns = format!(
                    "SELECT quote(name) || ', quote(\"' || name || '\")' AS text FROM pragma_table_info('{table}')"
                );
                format!("json_object({})", self.texts(&columns).join(", "))
            }
            Self::Postgres(_) => "row_to_json(it)::text".to_owned(),
        };
        self.texts(&format!("SELECT {row} AS text FROM \"{table}\" AS it")).into_iter().collect()
    }

    /// The one column of a query, which is called `text`.
    fn texts(&mut self, query: &str) -> Vec<String> {
        let query = diesel::sql_query(query);
        let rows: Vec<Text> = match self {
            Self::Sqlite(connection) => query.load(connection).unwrap(),
            Self::Postgres(connection) => query.load(connection).unwrap(),
        };
        rows.into_iter().map(|row| row.text).collect()
    }
}

impl Database {
    /// Every row of every table of the database, each as JSON; on SQLite its values are written as SQL would, and what it
    /// keeps its index of names in is left out: the store's own tests ask that index what it holds.
    pub fn rows(&self) -> Rows {
        let mut raw = self.raw();
        let tables = match &raw {
            Raw::Sqlite(_) => {
                "SELECT name AS text FROM sqlite_master \
                 WHERE type = 'table' AND name NOT LIKE '\\_\\_api\\_key\\_%' ESCAPE '\\'"
            }
            Raw::Postgres(_) => {
                "SELECT table_name::text AS text FROM information_schema.tables WHERE table_schema = 'public'"
            }
        };
        raw.texts(tables).into_iter().map(|table| (table.clone(), raw.rows_of(&table))).collect()
    }

    /// Where it is.
    pub fn url(&self) -> DatabaseUrl {
        match &self.place {
            Place::Folder { folder } => DatabaseUrl::sqlite(folder.path().join(FILE)),
            Place::Server { maintenance, name } => DatabaseUrl::parse(&named(maintenance, name)).unwrap(),
        }
    }

    fn raw(&self) -> Raw {
        match &self.place {
            Place::Folder { folder } => {
                let path = folder.path().join(FILE);
                Raw::Sqlite(SqliteConnection::establish(path.to_str().unwrap()).unwrap())
            }
            Place::Server { maintenance, name } => {
                Raw::Postgres(PgConnection::establish(&named(maintenance, name)).unwrap())
            }
        }
    }

    /// Runs `call` while `change` is made and not committed yet. On PostgreSQL the call has checked what it wants and waits
    /// for the change when that is committed; on SQLite, which has one writer, it begins before the change or after it.
    pub fn meanwhile<T: Send>(
        &self,
        change: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError>,
        call: impl FnOnce() -> T + Send,
    ) -> T {
        std::thread::scope(|scope| {
            let changed = self.workspace.store().write::<_, StoreError>(|tx| {
                change(tx)?;
                let calling = scope.spawn(call);
                self.somebody_waits();
                Ok(calling)
            });
            changed.unwrap().join().unwrap()
        })
    }

    fn somebody_waits(&self) {
        let mut raw = self.raw();
        if matches!(raw, Raw::Sqlite(_)) {
            return;
        }
        let waiting = "SELECT pid::text AS text FROM pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waits = (0..MAX_LOOKS).any(|_| {
            std::thread::park_timeout(LOOK_EVERY);
            !raw.texts(waiting).is_empty()
        });
        assert!(waits, "the call did not come upon the change");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Server { maintenance, name } = self
            && let Ok(mut connection) = PgConnection::establish(maintenance)
        {
            // The whole server is thrown away soon.
            let _ = connection.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}
