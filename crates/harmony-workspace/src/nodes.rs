//! The processes that answer requests over one store.

use harmony_access::{NodeId, Principal, Timestamp};
use harmony_permission::catalogue;
use harmony_store::revocations;

use crate::{Error, Workspace, workspace::require_all};

/// A process that answers requests, or did until a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Which.
    pub id: NodeId,
    /// When it began, by its own clock.
    pub started_at: Timestamp,
    /// How long it may answer from memory unless it renews its lease, in milliseconds by the database's clock; negative for a
    /// process that ended without a word or is cut off.
    pub lease_left_ms: i64,
    /// How many revocations it has not dropped from memory yet.
    pub revisions_behind: i64,
}

impl Node {
    /// Whether it holds its lease.
    #[must_use]
    pub const fn is_alive(&self) -> bool {
        self.lease_left_ms > 0
    }
}

/// All of them, in the order in which they began.
///
/// # Errors
///
/// Without `workspace:read:all`.
pub fn list(workspace: &Workspace, actor: &Principal) -> Result<Vec<Node>, Error> {
    require_all(actor, catalogue::WORKSPACE_READ)?;
    workspace.read(|tx| {
        let head = revocations::head(tx)?;
        let read = |node: revocations::Node| Node {
            id: node.id,
            started_at: node.started_at,
            lease_left_ms: node.lease_left_ms,
            revisions_behind: (head.number() - node.seen.number()).max(0),
        };
        Ok(revocations::list_nodes(tx)?.into_iter().map(read).collect())
    })
}
