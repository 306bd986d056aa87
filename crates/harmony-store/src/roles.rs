//! Roles: named sets of permissions.

use std::collections::HashMap;

use diesel::{dsl::count_star, prelude::*};
use harmony_access::{RoleId, RoleKind, Timestamp, WorkspaceId, WorkspaceKind};
use harmony_permission::{BuiltInRole, PermissionSet};

use crate::{
    Page, StoreError, Tx, Version,
    columns::{IdText, Millis, PermissionText, VersionNumber, permissions_to_text},
    schema::{api_keys, roles, users},
};

/// A role of a workspace.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
pub struct Role {
    /// Its id.
    #[diesel(deserialize_as = IdText<RoleKind>)]
    pub id: RoleId,
    /// Its workspace.
    #[diesel(deserialize_as = IdText<WorkspaceKind>, column_name = workspace_id)]
    pub workspace: WorkspaceId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The name of the built-in role that it is; `None` for a custom one.
    pub built_in: Option<String>,
    /// The permissions of a custom role; ask [`Role::permissions`].
    #[diesel(deserialize_as = PermissionText, column_name = permissions)]
    pub custom: PermissionSet,
    /// How often it was changed.
    #[diesel(deserialize_as = VersionNumber)]
    pub version: Version,
    /// When it was made.
    #[diesel(deserialize_as = Millis)]
    pub created_at: Timestamp,
}

impl Role {
    /// What it permits. A built-in role that this release does not know permits nothing.
    #[must_use]
    pub fn permissions(&self) -> PermissionSet {
        match &self.built_in {
            None => self.custom.clone(),
            Some(name) => BuiltInRole::named(name).map_or_else(PermissionSet::none, BuiltInRole::permissions),
        }
    }
}

/// What these roles of a workspace are called; one that is gone is left out.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn names(
    tx: &mut Tx<'_>,
    workspace: WorkspaceId,
    ids: &[RoleId],
) -> Result<HashMap<RoleId, String>, StoreError> {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let query = roles::table
        .filter(roles::workspace_id.eq(workspace.to_string()))
        .filter(roles::id.eq_any(ids))
        .select(Role::as_select());
    Ok(query.load(tx.connection)?.into_iter().map(|role| (role.id, role.name)).collect())
}

/// The role with this id in this workspace.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn find(tx: &mut Tx<'_>, workspace: WorkspaceId, id: RoleId) -> Result<Option<Role>, StoreError> {
    let query = roles::table
        .filter(roles::workspace_id.eq(workspace.to_string()))
        .filter(roles::id.eq(id.to_string()))
        .select(Role::as_select());
    Ok(query.first(tx.connection).optional()?)
}

/// The role with this name in this workspace.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn named(tx: &mut Tx<'_>, workspace: WorkspaceId, name: &str) -> Result<Option<Role>, StoreError> {
    let query = roles::table
        .filter(roles::workspace_id.eq(workspace.to_string()))
        .filter(roles::name.eq(name))
        .select(Role::as_select());
    Ok(query.first(tx.connection).optional()?)
}

/// The roles of a workspace, oldest first: the built-in ones lead.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn list(tx: &mut Tx<'_>, workspace: WorkspaceId, page: &Page<RoleId>) -> Result<Vec<Role>, StoreError> {
    let mut query = roles::table
        .filter(roles::workspace_id.eq(workspace.to_string()))
        .select(Role::as_select())
        .order(roles::id.asc())
        .limit(i64::from(page.limit))
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(roles::id.gt(after.to_string()));
    }
    Ok(query.load(tx.connection)?)
}

/// Adds a role.
///
/// # Errors
///
/// [`StoreError::Taken`] when the workspace has a role of this name.
pub fn insert(tx: &mut Tx<'_>, role: &Role) -> Result<(), StoreError> {
    diesel::insert_into(roles::table)
        .values((
            roles::id.eq(role.id.to_string()),
            roles::workspace_id.eq(role.workspace.to_string()),
            roles::name.eq(&role.name),
            roles::description.eq(&role.description),
            roles::built_in.eq(&role.built_in),
            roles::permissions.eq(permissions_to_text(&role.custom)),
            roles::version.eq(role.version.number()),
            roles::created_at.eq(role.created_at.as_millis()),
        ))
        .execute(tx.connection)?;
    Ok(())
}

/// Writes a role that still has the version before; `false` when it has not.
///
/// # Errors
///
/// [`StoreError::Taken`] when the workspace has another role of this name.
pub fn update(tx: &mut Tx<'_>, role: &Role) -> Result<bool, StoreError> {
    let unchanged = roles::table
        .filter(roles::id.eq(role.id.to_string()))
        .filter(roles::version.eq(role.version.number()));
    let changed = diesel::update(unchanged)
        .set((
            roles::name.eq(&role.name),
            roles::description.eq(&role.description),
            roles::permissions.eq(permissions_to_text(&role.custom)),
            roles::version.eq(role.version.next().number()),
        ))
        .execute(tx.connection)?;
    Ok(changed == 1)
}

/// Removes a role that nobody has.
///
/// # Errors
///
/// [`StoreError::Referenced`] when a user or a key has it.
pub fn delete(tx: &mut Tx<'_>, id: RoleId) -> Result<bool, StoreError> {
    Ok(diesel::delete(roles::table.filter(roles::id.eq(id.to_string()))).execute(tx.connection)? == 1)
}

/// How many users and how many keys have each role of a workspace; roles that nobody has are left out.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn all_holders(
    tx: &mut Tx<'_>,
    workspace: WorkspaceId,
) -> Result<HashMap<String, (i64, i64)>, StoreError> {
    let mut all: HashMap<String, (i64, i64)> = HashMap::new();
    let of_users: Vec<(String, i64)> = users::table
        .filter(users::workspace_id.eq(workspace.to_string()))
        .group_by(users::role_id)
        .select((users::role_id, count_star()))
        .load(tx.connection)?;
    let of_keys: Vec<(Option<String>, i64)> = api_keys::table
        .filter(api_keys::workspace_id.eq(workspace.to_string()))
        .group_by(api_keys::role_id)
        .select((api_keys::role_id, count_star()))
        .load(tx.connection)?;
    of_users.into_iter().for_each(|(role, count)| all.entry(role).or_default().0 = count);
    of_keys
        .into_iter()
        .filter_map(|(role, count)| Some((role?, count)))
        .for_each(|(role, count)| all.entry(role).or_default().1 = count);
    Ok(all)
}

/// How many users and how many keys have the role.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn holders(tx: &mut Tx<'_>, id: RoleId) -> Result<(i64, i64), StoreError> {
    let id = id.to_string();
    let of_users = users::table.filter(users::role_id.eq(&id)).count().get_result(tx.connection)?;
    let of_keys = api_keys::table.filter(api_keys::role_id.eq(&id)).count().get_result(tx.connection)?;
    Ok((of_users, of_keys))
}
