//! The two backends: an empty database of its own for each test.

use std::sync::atomic::{AtomicU32, Ordering};

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use harmony_store::{DatabaseUrl, Store};

/// Makes of each scenario a test on SQLite and a test on PostgreSQL.
macro_rules! on_both {
    ($($scenario:ident),* $(,)?) => {$(
        mod $scenario {
            #[test]
            fn on_sqlite() {
                super::$scenario(&crate::backend::sqlite());
            }

            #[test]
            fn on_postgres() {
                super::$scenario(&crate::backend::postgres());
            }
        }
    )*};
}
pub(crate) use on_both;

pub struct Database {
    pub store: Store,
    pub url: DatabaseUrl,
    pub place: Place,
}

pub enum Place {
    Folder { _folder: tempfile::TempDir },
    Server { maintenance: String, name: String },
}

pub fn sqlite() -> Database {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::sqlite(folder.path().join("harmony.sqlite"));
    open(url, Place::Folder { _folder: folder })
}

pub fn postgres() -> Database {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let Ok(maintenance) = std::env::var("TEST_POSTGRES_URL") else {
        panic!("run the tests through `just test`, which starts a private PostgreSQL");
    };
    let name = format!("store_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    ask(&maintenance, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
    ask(&maintenance, &format!("CREATE DATABASE {name}"));
    let url = DatabaseUrl::parse(&named(&maintenance, &name)).unwrap();
    open(url, Place::Server { maintenance, name })
}

fn open(url: DatabaseUrl, place: Place) -> Database {
    Database { store: Store::open(&url, &Default::default()).unwrap(), url, place }
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

impl Database {
    /// The database in the words of Diesel's own connections.
    pub fn raw_url(&self) -> String {
        match (&self.place, self.url.sqlite_path()) {
            (Place::Server { maintenance, name }, _) => named(maintenance, name),
            (Place::Folder { .. }, path) => path.unwrap().to_string_lossy().into_owned(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Server { maintenance, name } = self
            && let Ok(mut connection) = PgConnection::establish(maintenance)
        {
            // The whole server is thrown away soon.
            for name in [name, &format!("{name}_beside")] {
                let _ = connection.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            }
        }
    }
}

/// Another database beside this one, which nobody has opened yet.
pub fn empty_beside(db: &Database) -> DatabaseUrl {
    match (&db.place, db.url.sqlite_path()) {
        (Place::Server { maintenance, name }, _) => {
            let beside = format!("{name}_beside");
            ask(maintenance, &format!("DROP DATABASE IF EXISTS {beside} WITH (FORCE)"));
            ask(maintenance, &format!("CREATE DATABASE {beside}"));
            DatabaseUrl::parse(&named(maintenance, &beside)).unwrap()
        }
        (Place::Folder { .. }, path) => {
            let beside = path.unwrap().with_file_name("beside.sqlite");
            let _ = std::fs::remove_file(&beside);
            DatabaseUrl::sqlite(beside)
        }
    }
}

/// That one in the words of Diesel's own connections.
pub fn raw_beside(db: &Database) -> String {
    match (&db.place, db.url.sqlite_path()) {
        (Place::Server { maintenance, name }, _) => named(maintenance, &format!("{name}_beside")),
        (Place::Folder { .. }, path) => {
            path.unwrap().with_file_name("beside.sqlite").to_string_lossy().into_owned()
        }
    }
}
