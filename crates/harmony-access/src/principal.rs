//! Who is calling, and how far a permission lets them reach.

use std::sync::Arc;

use harmony_key::{KeyDigest, LastFour};
use harmony_permission::{Action, PermissionSet, Scope};

use crate::{ApiKeyId, RoleId, SessionId, Timestamp, UserId, WorkspaceId};

/// What the store knows of one API key: everything that a request with it needs to be judged.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRecord {
    /// The key's id.
    pub id: ApiKeyId,
    /// The digest that it was found by.
    pub digest: KeyDigest,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// The user it acts for.
    pub owner: UserId,
    /// Its name.
    pub name: String,
    /// The last 4 digits of its text.
    pub last_four: LastFour,
    /// Its role; a key without one has the workspace's default key permissions.
    pub role: Option<RoleId>,
    /// What it may do: its role's permissions, or the workspace's default key permissions.
    pub permissions: PermissionSet,
    /// From this instant on it is refused.
    pub expires_at: Option<Timestamp>,
}

/// Proof that somebody was recognised, and is alive, at the moment of this request.
///
/// There are two doors to it and no other: [`Principal::of_key`], for a key that was found, and
/// [`Principal::of_user`], for a signed-in person or the operator's own command line.
#[derive(Debug, Clone)]
pub struct Principal {
    door: Door,
}

#[derive(Debug, Clone)]
enum Door {
    Key(Arc<KeyRecord>),
    User(Arc<UserRecord>),
}

/// What the store knows of one signed-in user.
#[derive(Debug, Clone, PartialEq)]
pub struct UserRecord {
    /// The user's id.
    pub id: UserId,
    /// Their workspace.
    pub workspace: WorkspaceId,
    /// What their role lets them do.
    pub permissions: PermissionSet,
    /// The session they came with; `None` on the operator's command line.
    pub session: Option<SessionId>,
}

/// The key was found, and had expired.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the API key has expired")]
pub struct Expired {
    /// The key.
    pub key: Arc<KeyRecord>,
    /// Since when.
    pub at: Timestamp,
}

impl Principal {
    /// The door of keys. Expiration is judged here, at each request, and not when the record was cached.
    ///
    /// # Errors
    ///
    /// From the key's expiration instant on.
    pub fn of_key(key: Arc<KeyRecord>, now: Timestamp) -> Result<Self, Expired> {
        match key.expires_at {
            Some(at) if now >= at => Err(Expired { key, at }),
            Some(_) | None => Ok(Self { door: Door::Key(key) }),
        }
    }

    /// The door of people: a signed-in user, or the operator acting for one.
    #[must_use]
    pub fn of_user(record: UserRecord) -> Self {
        Self { door: Door::User(Arc::new(record)) }
    }

    /// The workspace that the principal belongs to, and never leaves.
    #[must_use]
    pub fn workspace(&self) -> WorkspaceId {
        match &self.door {
            Door::Key(key) => key.workspace,
            Door::User(user) => user.workspace,
        }
    }

    /// The user who acts; for a key, the one it acts for.
    #[must_use]
    pub fn user(&self) -> UserId {
        match &self.door {
            Door::Key(key) => key.owner,
            Door::User(user) => user.id,
        }
    }

    /// The key, if the principal came with one.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<KeyRecord>> {
        match &self.door {
            Door::Key(key) => Some(key),
            Door::User(_) => None,
        }
    }

    /// The session, if the principal came with one.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        match &self.door {
            Door::Key(_) => None,
            Door::User(user) => user.session,
        }
    }

    /// Everything that the principal may do.
    #[must_use]
    pub fn permissions(&self) -> &PermissionSet {
        match &self.door {
            Door::Key(key) => &key.permissions,
            Door::User(user) => &user.permissions,
        }
    }

    /// How far the principal may go with `action`; `None` is not at all.
    #[must_use]
    pub fn reach(&self, action: &Action) -> Option<Reach> {
        let span = match self.permissions().scope_of(action)? {
            Scope::Own => Span::Own(self.user()),
            Scope::Team => Span::Team(self.user()),
            Scope::All => Span::All,
        };
        Some(Reach { workspace: self.workspace(), span })
    }
}

/// How far a principal may reach: a workspace, and a part of it. Reads of the store take one, so that neither the
/// workspace nor the part can be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    workspace: WorkspaceId,
    span: Span,
}

/// The part of a workspace that a [`Reach`] covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// What this user owns.
    Own(UserId),
    /// What anyone owns who shares a team with this user, and what the user owns.
    Team(UserId),
    /// The whole workspace.
    All,
}

impl Reach {
    /// The workspace, which is never left.
    #[must_use]
    pub const fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// The user whose things alone are reached, if it is no wider than that.
    #[must_use]
    pub const fn own(&self) -> Option<UserId> {
        match self.span {
            Span::Own(user) => Some(user),
            Span::Team(_) | Span::All => None,
        }
    }

    /// The user whose teammates' things are reached, if it is just that wide.
    #[must_use]
    pub const fn team(&self) -> Option<UserId> {
        match self.span {
            Span::Team(user) => Some(user),
            Span::Own(_) | Span::All => None,
        }
    }

    /// The part of it.
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }
}

#[cfg(test)]
mod tests {
    use harmony_key::ApiKey;
    use harmony_permission::{Permission, catalogue};

    use super::*;

    fn record(expires_at: Option<i64>) -> Arc<KeyRecord> {
        let at = Timestamp::from_millis(1);
        let key = ApiKey::from_secret([1; 28]);
        Arc::new(KeyRecord {
            id: ApiKeyId::new(at, [1; 10]),
            digest: key.digest(),
            workspace: WorkspaceId::new(at, [2; 10]),
            owner: UserId::new(at, [3; 10]),
            name: "importer".to_owned(),
            last_four: key.last_four(),
            role: None,
            permissions: PermissionSet::from_iter([Permission::literal("conversations:read:team")]),
            expires_at: expires_at.map(Timestamp::from_millis),
        })
    }

    #[test]
    fn a_key_is_alive_until_its_expiration_and_not_from_then_on() {
        let alive = |now| Principal::of_key(record(Some(1_000)), Timestamp::from_millis(now)).is_ok();
        assert!(alive(999));
        assert!(!alive(1_000));
        assert!(!alive(1_001));
    }

    #[test]
    fn a_reach_names_the_workspace_and_the_widest_part_held() {
        let record = record(None);
        let principal = Principal::of_key(Arc::clone(&record), Timestamp::from_millis(5)).unwrap();
        let reach = principal.reach(&catalogue::CONVERSATIONS_READ).unwrap();
        assert_eq!(reach.workspace(), record.workspace);
        assert_eq!(reach.span(), Span::Team(record.owner));
        assert_eq!(principal.reach(&catalogue::CONVERSATIONS_DELETE), None);
    }
}
