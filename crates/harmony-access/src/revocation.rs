//! What takes access away, in the words that caches and other processes are told.

use harmony_key::KeyDigest;

use crate::{KeyRecord, RoleId, UserId, WorkspaceId};

/// A change after which some cached [`crate::KeyRecord`] may say more than is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// This key was deleted, ended, narrowed, renamed, or came to be with a text that was known before (an import).
    Key(KeyDigest),
    /// The role's permissions changed.
    Role(RoleId),
    /// The user was removed, or their keys changed hands.
    User(UserId),
    /// The workspace's default key permissions changed.
    Workspace(WorkspaceId),
}

impl Revocation {
    /// Whether the record may say more than is true after this.
    pub(crate) fn names(&self, record: &KeyRecord) -> bool {
        match self {
            Self::Key(digest) => record.digest == *digest,
            Self::Role(role) => record.role == Some(*role),
            Self::User(user) => record.owner == *user,
            Self::Workspace(workspace) => record.workspace == *workspace,
        }
    }
}

/// The position of a [`Revocation`] in the store's one sequence of them: 1, 2, 3 … without gaps, in the order of commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Revision(i64);

impl Revision {
    /// From the stored number.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The stored number.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }
}
