//! The store as the corridor asks it: by digest, from an async thread.

use std::sync::Arc;

use harmony_access::{FindKey, FindKeyError, KeyRecord, Now, RoleId, Timestamp, WorkspaceId};
use harmony_key::KeyDigest;

use crate::{
    Store, StoreError, api_keys,
    connection::AnyConnection,
    roles,
    transaction::{self, Intent},
    workspaces,
};

/// Finds keys in a [`Store`], on a blocking thread of the tokio runtime that it is polled in, in the order of
/// [`Store::look_ups`].
#[derive(Clone)]
pub struct KeyFinder {
    store: Store,
}

impl KeyFinder {
    /// Over this store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }
}

impl FindKey for KeyFinder {
    async fn find_key(&self, digest: KeyDigest, _now: Now) -> Result<Option<Arc<KeyRecord>>, FindKeyError> {
        let store = self.store.clone();
        let look_up = move || store.read(|tx| api_keys::record(tx, &digest));
        let found: Result<_, StoreError> = self.store.look_ups().run(look_up).await;
        Ok(found.map_err(FindKeyError::new)?.map(Arc::new))
    }
}

/// Asks everything that a look-up asks, on each new connection before anybody has it, and for a key that cannot be: a database reads
/// its catalog and plans each query when it is asked for the first time, and the first caller does not wait for that.
#[derive(Debug)]
pub(crate) struct WarmUp;

impl r2d2::CustomizeConnection<AnyConnection, StoreError> for WarmUp {
    fn on_acquire(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        let long_ago = Timestamp::from_millis(0);
        let nowhere = WorkspaceId::new(long_ago, [0; 10]);
        transaction::run(connection, Intent::Read, |tx| {
            if let Some(digest) = KeyDigest::from_stored(&[0; 32]) {
                api_keys::record(tx, &digest)?;
            }
            roles::find(tx, nowhere, RoleId::new(long_ago, [0; 10]))?;
            workspaces::find(tx, nowhere).map(drop)
        })
    }
}

#[cfg(test)]
mod tests {
    use diesel::{Connection, PgConnection, RunQueryDsl, connection::SimpleConnection, sql_query};

    use super::*;
    use crate::{DatabaseUrl, Tx};

    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }

    /// The queries of tables that this connection has ready.
    fn prepared(tx: &mut Tx<'_>) -> i64 {
        let query = sql_query(
            "SELECT count(*) AS count FROM pg_prepared_statements WHERE statement LIKE 'SELECT%FROM%'",
        );
        query.get_result::<Count>(tx.connection).unwrap().count
    }

    #[test]
    fn a_new_connection_has_every_query_of_a_look_up_ready() {
        let Ok(maintenance) = std::env::var("TEST_POSTGRES_URL") else {
            panic!("run the tests through `just test`, which starts a private PostgreSQL");
        };
        let name = format!("warm_{}", std::process::id());
        let mut server = PgConnection::establish(&maintenance).unwrap();
        server.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).unwrap();
        server.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        let (before, after) = maintenance.split_once("/postgres").unwrap();
        let url = DatabaseUrl::parse(&format!("{before}/{name}{after}")).unwrap();
        let store = Store::open(&url, &Default::default()).unwrap();
        let ready: Result<i64, StoreError> = store.read(|tx| Ok(prepared(tx)));
        // The key, its role, its workspace.
        assert_eq!(ready.unwrap(), 3);
        drop(store);
        server.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).unwrap();
    }
}
