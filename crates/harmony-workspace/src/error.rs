//! Why a use case was refused, in the words of this room.

use std::fmt;

use harmony_access::{ApiKeyId, Principal, UserId};
use harmony_key::DrawError;
use harmony_permission::Permission;
use harmony_store::{Refusal, StoreError};

/// Why something was not done; nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The actor lacks this permission.
    #[error("the permission {required} is needed")]
    Forbidden {
        /// The narrowest permission that would do.
        required: Permission,
        /// What the actor holds for the same resource.
        held: Vec<Permission>,
    },
    /// There is no such thing within the actor's reach.
    #[error("there is no such thing within reach")]
    NotFound,
    /// What was wanted is not well formed.
    #[error("the input is not valid: {0:?}")]
    Invalid(Vec<FieldError>),
    /// What was wanted does not fit what there is.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The thing was changed since the actor saw it.
    #[error("it was changed meanwhile")]
    Stale,
    /// The idempotency key was used with another request.
    #[error("the idempotency key was used with another request")]
    IdempotencyMismatch,
    /// The first request with the idempotency key is still under way.
    #[error("the first request with the idempotency key is still under way")]
    IdempotencyInProgress,
    /// The store refused or could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gave no random bytes.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// A password could not be hashed.
    #[error("a password could not be hashed: {0}")]
    Password(String),
}

impl Refusal for Error {
    fn of_store(&self) -> Option<&StoreError> {
        if let Self::Store(error) = self { Some(error) } else { None }
    }
}

/// What is wrong with one field of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name.
    pub field: &'static str,
    /// A stable word for machines.
    pub code: &'static str,
    /// What was wrong and what would be right.
    pub detail: String,
}

/// Who has a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// How many users.
    pub user_count: i64,
    /// How many keys.
    pub key_count: i64,
    /// The first of the users, as far as the actor may see them.
    pub users: Vec<UserId>,
    /// Of the keys that the actor may see, those that were used last.
    pub keys: Vec<ApiKeyId>,
}

impl fmt::Display for InUse {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [(self.user_count, "user"), (self.key_count, "API key")];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let said: Vec<_> = counts.map(|(count, what)| counted(count, what)).collect();
        out.write_str(&said.join(" and "))
    }
}

/// `1 API key`, `2 API keys`.
fn counted(count: impl fmt::Display, what: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Why a change does not fit what there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A role that somebody has cannot be deleted.
    #[error("the role is in use by {0}; give them another role first")]
    RoleInUse(InUse),
    /// The keys of a removed user must go somewhere.
    #[error("the user owns {}; say `?keys=delete` or `?keys=transfer&to=usr_…`", counted(*keys, "API key"))]
    KeysRemain {
        /// How many.
        keys: usize,
    },
    /// Somebody must be left who can manage roles and users.
    #[error("this is the last user who can manage roles and users; give another user such a role first")]
    LastAdministrator,
    /// Addresses are unique in a workspace.
    #[error("the workspace has a user with this e-mail address")]
    EmailTaken,
    /// Names of roles and teams are unique in a workspace.
    #[error("the workspace has a {what} with this name")]
    NameTaken {
        /// `role` or `team`.
        what: &'static str,
    },
    /// Built-in roles are the same everywhere.
    #[error("a built-in role can be neither changed nor deleted")]
    BuiltInRole,
    /// A key is rotated once.
    #[error("the key was rotated already, and lives out its grace period")]
    RotatedAlready,
    /// A key with this text exists.
    #[error("a key with this text exists")]
    KeyExists,
    /// There is a workspace already.
    #[error("a workspace with users exists already")]
    SetUpAlready,
}

impl Error {
    pub(crate) fn forbidden(actor: &Principal, required: Permission) -> Self {
        let mut held = actor.permissions().to_permissions();
        held.retain(|permission| permission.action().resource() == required.action().resource());
        Self::Forbidden { required, held }
    }

    pub(crate) fn invalid(field: &'static str, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field, code, detail: detail.into() }])
    }
}
