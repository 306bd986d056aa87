//! API keys as people look at them: a table, one key with what it may do, and several ended at once.

use harmony_access::{ApiKeyId, Principal};
use harmony_permission::{PermissionSet, catalogue};
use harmony_store::{
    api_keys::ApiKey,
    key_table::{self, KeyPage, KeyQuery, KeyRow},
    roles, users, workspaces,
};

use crate::{
    Answered, Error, Occasion, Workspace,
    api_keys::{self, reading_reach},
    workspace::require_all,
};

/// The most keys that are deleted at once.
pub const MAX_AT_ONCE: usize = 200;

/// One key, and what it may do.
#[derive(Debug, Clone)]
pub struct KeyDetail {
    /// The key with the names of its owner and role.
    pub row: KeyRow,
    /// What it may do: its role's permissions, or the workspace's default key permissions.
    pub permissions: PermissionSet,
}

/// A page of the keys that the actor may see.
///
/// # Errors
///
/// Without `api-keys:read:team`.
pub fn page(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    query: &KeyQuery,
) -> Result<KeyPage, Error> {
    let reach = reading_reach(actor)?;
    workspace.read(|tx| Ok(key_table::page(tx, &reach, query, occasion.now)?))
}

/// One key.
///
/// # Errors
///
/// Without `api-keys:read:team`; when there is no such key within the actor's reach.
pub fn find(workspace: &Workspace, actor: &Principal, id: ApiKeyId) -> Result<KeyDetail, Error> {
    let reach = reading_reach(actor)?;
    workspace.read(|tx| {
        let (key, last_use) = harmony_store::api_keys::find(tx, &reach, id)?.ok_or(Error::NotFound)?;
        let mut named = |id| -> Result<_, Error> {
            Ok(users::of_workspace(tx, key.workspace, id)?.map(|user| user.name))
        };
        let (owner, creator) = (named(key.owner)?, key.created_by.map(named).transpose()?.flatten());
        let role = key.role.map(|role| roles::find(tx, key.workspace, role)).transpose()?.flatten();
        let permissions = match (&key.role, &role) {
            (Some(_), Some(role)) => role.permissions(),
            // A role that is gone grants nothing.
            (Some(_), None) => PermissionSet::none(),
            (None, _) => workspaces::find(tx, key.workspace)?
                .map(|found| found.default_permissions)
                .unwrap_or_default(),
        };
        let (owner, role) = (owner.unwrap_or_default(), role.map(|role| role.name));
        let row = KeyRow { key, last_use, owner, role, creator };
        Ok(KeyDetail { row, permissions })
    })
}

/// Deletes several keys for good: all of them, or none.
///
/// # Errors
///
/// Without `api-keys:delete:all`; when there are more than [`MAX_AT_ONCE`]; when one of them is not there.
pub fn delete_all(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    ids: &[ApiKeyId],
) -> Result<Answered<Vec<ApiKey>>, Error> {
    require_all(actor, catalogue::API_KEYS_DELETE)?;
    if ids.len() > MAX_AT_ONCE {
        return Err(Error::invalid("id", "too_many", "200 keys at most are deleted at once"));
    }
    workspace.write_revoking(|tx| {
        let mut answered = Answered { value: Vec::new(), revision: None };
        for id in ids {
            let deleted = api_keys::delete_within(tx, actor, occasion, *id, None)?;
            answered.value.push(deleted.value);
            // Revisions grow: who has seen the last has seen them all.
            answered.revision = deleted.revision.or(answered.revision);
        }
        Ok(answered)
    })
}
