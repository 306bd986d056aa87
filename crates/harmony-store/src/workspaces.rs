//! Workspaces: what all else belongs to.

use diesel::prelude::*;
use harmony_access::{Timestamp, WorkspaceId, WorkspaceKind};
use harmony_permission::PermissionSet;

use crate::{
    StoreError, Tx, Version,
    columns::{IdText, Millis, PermissionText, VersionNumber, permissions_to_text},
    schema::workspaces,
};

/// A workspace and its settings.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
pub struct Workspace {
    /// Its id.
    #[diesel(deserialize_as = IdText<WorkspaceKind>)]
    pub id: WorkspaceId,
    /// Its name.
    pub name: String,
    /// What keys without a role may do.
    #[diesel(deserialize_as = PermissionText)]
    pub default_permissions: PermissionSet,
    /// The longest lifetime that a new key may have, in seconds; `None` is no bound.
    pub longest_key_lifetime_secs: Option<i64>,
    /// How often it was changed.
    #[diesel(deserialize_as = VersionNumber)]
    pub version: Version,
    /// When it was made.
    #[diesel(deserialize_as = Millis)]
    pub created_at: Timestamp,
}

/// All workspaces, oldest first.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<Workspace>, StoreError> {
    Ok(workspaces::table.select(Workspace::as_select()).order(workspaces::id.asc()).load(tx.connection)?)
}

/// The workspace with this id.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn find(tx: &mut Tx<'_>, id: WorkspaceId) -> Result<Option<Workspace>, StoreError> {
    let query = workspaces::table.filter(workspaces::id.eq(id.to_string())).select(Workspace::as_select());
    Ok(query.first(tx.connection).optional()?)
}

/// Adds a workspace.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn insert(tx: &mut Tx<'_>, workspace: &Workspace) -> Result<(), StoreError> {
    diesel::insert_into(workspaces::table)
        .values((
            workspaces::id.eq(workspace.id.to_string()),
            workspaces::name.eq(&workspace.name),
            workspaces::default_permissions.eq(permissions_to_text(&workspace.default_permissions)),
            workspaces::longest_key_lifetime_secs.eq(workspace.longest_key_lifetime_secs),
            workspaces::version.eq(workspace.version.number()),
            workspaces::created_at.eq(workspace.created_at.as_millis()),
        ))
        .execute(tx.connection)?;
    Ok(())
}

/// Writes the settings of a workspace that still has the version before; `false` when it has not.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn update(tx: &mut Tx<'_>, workspace: &Workspace) -> Result<bool, StoreError> {
    let unchanged = workspaces::table
        .filter(workspaces::id.eq(workspace.id.to_string()))
        .filter(workspaces::version.eq(workspace.version.number()));
    let changed = diesel::update(unchanged)
        .set((
            workspaces::name.eq(&workspace.name),
            workspaces::default_permissions.eq(permissions_to_text(&workspace.default_permissions)),
            workspaces::longest_key_lifetime_secs.eq(workspace.longest_key_lifetime_secs),
            workspaces::version.eq(workspace.version.next().number()),
        ))
        .execute(tx.connection)?;
    Ok(changed == 1)
}

/// Holds the workspace until the transaction ends: whoever changes its people, teams or roles does so alone, so that
/// two removals cannot each believe that the other administrator stays.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn lock(tx: &mut Tx<'_>, id: WorkspaceId) -> Result<bool, StoreError> {
    let row = workspaces::table.filter(workspaces::id.eq(id.to_string()));
    Ok(diesel::update(row).set(workspaces::id.eq(id.to_string())).execute(tx.connection)? == 1)
}
