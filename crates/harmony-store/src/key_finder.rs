//! The store as the corridor asks it: by digest, from an async thread.

use std::sync::Arc;

use harmony_access::{FindKey, FindKeyError, KeyRecord, Now};
use harmony_key::KeyDigest;

use crate::{Store, StoreError, api_keys};

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
