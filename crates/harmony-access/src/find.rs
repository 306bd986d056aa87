//! The port: one method, implemented by a store and decorated by the cache.

use std::{error::Error, future::Future, sync::Arc};

use harmony_key::KeyDigest;

use crate::{KeyRecord, Now};

/// Finds the record of a key by the digest of its text.
///
/// The store implements it, [`crate::VerificationCache`] decorates it, and a caller cannot tell which it holds.
pub trait FindKey: Send + Sync + 'static {
    /// The live or expired key with this digest; `None` when there is none. `now` is the moment of the request: a cache
    /// measures its lease with it. Expiration is not judged here but by [`crate::Principal::of_key`].
    ///
    /// # Errors
    ///
    /// When the store cannot be asked. That is never to be told as "no such key".
    fn find_key(
        &self,
        digest: KeyDigest,
        now: Now,
    ) -> impl Future<Output = Result<Option<Arc<KeyRecord>>, FindKeyError>> + Send;

    /// The key with this digest, if it is known without asking anybody. A store knows none.
    fn remembered(&self, _: &KeyDigest, _: Now) -> Option<Arc<KeyRecord>> {
        None
    }
}

impl<F: FindKey> FindKey for Arc<F> {
    fn find_key(
        &self,
        digest: KeyDigest,
        now: Now,
    ) -> impl Future<Output = Result<Option<Arc<KeyRecord>>, FindKeyError>> + Send {
        (**self).find_key(digest, now)
    }

    fn remembered(&self, digest: &KeyDigest, now: Now) -> Option<Arc<KeyRecord>> {
        (**self).remembered(digest, now)
    }
}

/// The store could not be asked. Cloneable, since many may wait for one answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store of API keys cannot be asked")]
pub struct FindKeyError {
    #[source]
    cause: Arc<dyn Error + Send + Sync>,
}

impl FindKeyError {
    /// Wraps what the store said.
    #[must_use]
    pub fn new(cause: impl Error + Send + Sync + 'static) -> Self {
        Self { cause: Arc::new(cause) }
    }
}
