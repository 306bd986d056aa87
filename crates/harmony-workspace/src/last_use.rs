//! When and from where keys were last used, without a write for each request.

use std::{collections::HashMap, net::IpAddr};

use harmony_access::{ApiKeyId, Timestamp};
use harmony_store::api_keys::{self, LastUse};
use parking_lot::Mutex;

use crate::{Error, Workspace};

/// The most keys whose last use is kept between two flushes; the uses of further ones are noted at the next.
pub const MAX_PENDING: usize = 200_000;
/// The rows of one flush's transaction: other writers get in between.
const BATCH: usize = 500;

/// The last uses since the last flush: memory only, lost in a crash, at most one flush interval behind.
#[derive(Default)]
pub struct LastUses {
    pending: Mutex<HashMap<ApiKeyId, (Timestamp, IpAddr)>>,
}

impl LastUses {
    /// Notes that a key was used.
    pub fn note(&self, key: ApiKeyId, at: Timestamp, from: IpAddr) {
        let mut pending = self.pending.lock();
        if pending.len() < MAX_PENDING || pending.contains_key(&key) {
            pending.insert(key, (at, from));
        }
    }

    /// Writes what was noted. What could not be written is kept for the next time.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    pub fn flush(&self, workspace: &Workspace) -> Result<(), Error> {
        let noted = std::mem::take(&mut *self.pending.lock());
        let uses: Vec<(ApiKeyId, LastUse)> =
            noted.iter().map(|(key, (at, from))| (*key, LastUse { at: *at, ip: from.to_string() })).collect();
        for batch in uses.chunks(BATCH) {
            if let Err(error) = workspace.write(|tx| Ok(api_keys::note_uses(tx, batch)?)) {
                let mut pending = self.pending.lock();
                noted.into_iter().for_each(|(key, last)| {
                    pending.entry(key).or_insert(last);
                });
                return Err(error);
            }
        }
        Ok(())
    }
}
