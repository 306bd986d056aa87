//! Whether anybody serves a database: told by what they do, not by a clock.

use std::time::Duration;

use harmony_access::{LEASE_TTL, NodeId};

use super::{CopyError, place};
use crate::{
    DatabaseUrl, StoreError, Tx,
    connection::AnyConnection,
    revocations,
    transaction::{self, Intent},
};

/// How often the list of processes is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// So often in all.
const LOOKS: u32 = 25;
/// Longer than a lease: whoever has not renewed meanwhile has none any more.
const _: () = assert!(LOOK_EVERY.as_millis() * LOOKS as u128 > LEASE_TTL.as_millis());

/// The processes on the list of a database that are gone: none of them has renewed its lease for as long as one lasts. The
/// time that is left of a lease is not asked, since the clock that it was noted by may have been set, or have begun anew.
pub(super) struct Silent {
    pub(super) url: DatabaseUrl,
    gone: Vec<(NodeId, i64)>,
}

impl Silent {
    /// Watches the list for as long as a lease lasts, or not at all if nobody is on it, and refuses a database that is served.
    /// It looks at the schema as it is found, since a database may not be migrated beneath a server of any release.
    pub(super) fn watch(connection: &mut AnyConnection, url: &DatabaseUrl) -> Result<Self, CopyError> {
        let is_there = place::has_table(connection, "nodes").map_err(StoreError::from)?;
        let gone = if is_there { transaction::run(connection, Intent::Read, list)? } else { Vec::new() };
        let silent = Self { url: url.clone(), gone };
        if silent.gone.is_empty() {
            return Ok(silent);
        }
        for _ in 0..LOOKS {
            std::thread::sleep(LOOK_EVERY);
            transaction::run(connection, Intent::Read, |tx| silent.still(tx))?;
        }
        Ok(silent)
    }

    /// That nobody has renewed or come since.
    pub(super) fn still(&self, tx: &mut Tx<'_>) -> Result<(), CopyError> {
        let alive = list(tx)?.into_iter().filter(|one| !self.gone.contains(one)).count();
        if alive == 0 { Ok(()) } else { Err(CopyError::Served { url: self.url.clone(), servers: alive }) }
    }
}

/// Each process with what grows when it renews its lease.
fn list(tx: &mut Tx<'_>) -> Result<Vec<(NodeId, i64)>, StoreError> {
    Ok(revocations::list_nodes(tx)?.into_iter().map(|node| (node.id, node.renewal)).collect())
}
