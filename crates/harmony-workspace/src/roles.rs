//! Roles: list, create, change, delete.

use std::collections::HashMap;

use harmony_access::{Principal, Revocation, RoleId};
use harmony_permission::{MAX_PERMISSIONS, PermissionSet, catalogue};
use harmony_store::{
    Page, StoreError, Tx, Version,
    key_table::{self, KeyQuery, KeyRole, KeyRow, SortBy},
    roles::{self, Role},
    users::{self, User},
};
use serde_json::json;

use crate::{
    Answered, Conflict, Error, Idempotency, InUse, Occasion, Once, Workspace,
    administration::{hold, manages, somebody_manages},
    api_keys::{hands_out_no_more, reading_reach},
    audit, check,
    workspace::{once, reach, require_all, revoke},
};

/// What a new role is to be.
#[derive(Debug, Clone)]
pub struct NewRole {
    /// Its name.
    pub name: String,
    /// What it is for; may be empty.
    pub description: String,
    /// What it permits, and no more than the actor holds.
    pub permissions: PermissionSet,
}

/// What is to change of a role; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct RoleChange {
    /// Another name.
    pub name: Option<String>,
    /// Another description.
    pub description: Option<String>,
    /// Other permissions, in place of all it has.
    pub permissions: Option<PermissionSet>,
}

/// The roles of the workspace, oldest first: the built-in ones lead.
///
/// # Errors
///
/// Without `roles:read:all`.
pub fn list(workspace: &Workspace, actor: &Principal, page: &Page<RoleId>) -> Result<Vec<Role>, Error> {
    require_all(actor, catalogue::ROLES_READ)?;
    workspace.read(|tx| Ok(roles::list(tx, actor.workspace(), page)?))
}

/// How many users and how many keys have each role; roles that nobody has are left out.
///
/// # Errors
///
/// Without `roles:read:all`.
pub fn holders(workspace: &Workspace, actor: &Principal) -> Result<HashMap<String, (i64, i64)>, Error> {
    require_all(actor, catalogue::ROLES_READ)?;
    workspace.read(|tx| Ok(roles::all_holders(tx, actor.workspace())?))
}

/// Who has a role: how many, and some of them by name.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleHolders {
    /// How many users.
    pub user_count: i64,
    /// How many keys.
    pub key_count: i64,
    /// The first of the users that the actor may see.
    pub users: Vec<User>,
    /// Of the keys that the actor may see, those that were used last.
    pub keys: Vec<KeyRow>,
}

/// The most users and the most keys that a refusal names.
const MOST_NAMED: u32 = 10;

impl InUse {
    fn by(holders: &RoleHolders) -> Self {
        Self {
            user_count: holders.user_count,
            key_count: holders.key_count,
            users: holders.users.iter().map(|user| user.id).collect(),
            keys: holders.keys.iter().map(|row| row.key.id).collect(),
        }
    }
}

/// Who has this role, so many users and so many keys of them by name.
///
/// # Errors
///
/// Without `roles:read:all`, and when there is no such role.
pub fn named_holders(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: RoleId,
    most: u32,
) -> Result<RoleHolders, Error> {
    require_all(actor, catalogue::ROLES_READ)?;
    workspace.read(|tx| {
        let role = roles::find(tx, actor.workspace(), id)?.ok_or(Error::NotFound)?;
        holders_of(tx, actor, occasion, role.id, most)
    })
}

fn holders_of(
    tx: &mut Tx<'_>,
    actor: &Principal,
    occasion: &Occasion,
    id: RoleId,
    most: u32,
) -> Result<RoleHolders, Error> {
    let last_used =
        KeyQuery { role: Some(KeyRole::Is(id)), sort: SortBy::LastUsed, limit: most, ..KeyQuery::default() };
    let (user_count, key_count) = roles::holders(tx, id)?;
    let users = match reach(actor, catalogue::USERS_READ) {
        Ok(reach) if user_count > 0 => users::of_role(tx, &reach, id, most)?,
        Ok(_) | Err(_) => Vec::new(),
    };
    let keys = match reading_reach(actor) {
        Ok(reach) if key_count > 0 => key_table::page(tx, &reach, &last_used, occasion.now)?.rows,
        Ok(_) | Err(_) => Vec::new(),
    };
    Ok(RoleHolders { user_count, key_count, users, keys })
}

/// One role.
///
/// # Errors
///
/// Without `roles:read:all`, and when there is no such role.
pub fn find(workspace: &Workspace, actor: &Principal, id: RoleId) -> Result<Role, Error> {
    require_all(actor, catalogue::ROLES_READ)?;
    workspace.read(|tx| roles::find(tx, actor.workspace(), id)?.ok_or(Error::NotFound))
}

/// The role that the actor made before, under an idempotency key: creating takes no permission to read.
///
/// # Errors
///
/// Without `roles:create:all`, and when the role is gone.
pub fn find_created(workspace: &Workspace, actor: &Principal, id: RoleId) -> Result<Role, Error> {
    require_all(actor, catalogue::ROLES_CREATE)?;
    workspace.read(|tx| roles::find(tx, actor.workspace(), id)?.ok_or(Error::NotFound))
}

/// Makes a role.
///
/// # Errors
///
/// Without `roles:create:all`, or with a permission that the actor lacks; for texts that are not well formed, too many
/// permissions and a name that is taken.
pub fn create(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    new: &NewRole,
    idempotency: Option<&Idempotency>,
) -> Result<Once<Role>, Error> {
    require_all(actor, catalogue::ROLES_CREATE)?;
    workspace.write(|tx| {
        hold(tx, actor)?;
        once(tx, actor, occasion, idempotency, |tx| {
            let role = Role {
                id: occasion.id()?,
                workspace: actor.workspace(),
                name: check::name("name", &new.name)?,
                description: check::line("description", &new.description, check::MAX_TEXT_CHARS)?,
                built_in: None,
                custom: handed_out("permissions", actor, &new.permissions)?,
                version: Version::FIRST,
                created_at: occasion.now,
            };
            roles::insert(tx, &role).map_err(name_taken)?;
            note(tx, actor, occasion, "role.created", &role)?;
            let id = role.id.to_string();
            Ok((role, id))
        })
    })
}

/// Changes a role that is not built in. Its users and keys have the new permissions once the answer is sent.
///
/// # Errors
///
/// Without `roles:update:all`, or with a new permission that the actor lacks; when there is no such role, it is built in
/// or was changed since `seen`; when nobody would be left to manage roles and users; as [`create`].
pub fn change(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: RoleId,
    change: &RoleChange,
    seen: Option<Version>,
) -> Result<Answered<Role>, Error> {
    require_all(actor, catalogue::ROLES_UPDATE)?;
    workspace.write(|tx| {
        hold(tx, actor)?;
        let before = current(tx, actor, id, seen)?;
        let mut role = before.clone();
        apply(&mut role, actor, change)?;
        if !roles::update(tx, &role).map_err(name_taken)? {
            return Err(Error::Stale);
        }
        role.version = role.version.next();
        if manages(&before.custom) && !manages(&role.custom) {
            somebody_manages(tx, actor.workspace())?;
        }
        note(tx, actor, occasion, "role.changed", &role)?;
        let revoked = (before.custom != role.custom).then_some(Revocation::Role(id));
        Ok(revoke(tx, occasion, revoked.as_slice(), role)?)
    })
}

fn apply(role: &mut Role, actor: &Principal, change: &RoleChange) -> Result<(), Error> {
    if let Some(name) = &change.name {
        role.name = check::name("name", name)?;
    }
    if let Some(description) = &change.description {
        role.description = check::line("description", description, check::MAX_TEXT_CHARS)?;
    }
    if let Some(permissions) = &change.permissions {
        role.custom = handed_out("permissions", actor, permissions)?;
    }
    Ok(())
}

/// Deletes a role that is not built in and that nobody has; so it takes nothing away from anybody.
///
/// # Errors
///
/// Without `roles:delete:all`; when there is no such role, it is built in, in use or was changed since `seen`.
pub fn delete(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: RoleId,
    seen: Option<Version>,
) -> Result<Role, Error> {
    require_all(actor, catalogue::ROLES_DELETE)?;
    workspace.write(|tx| {
        hold(tx, actor)?;
        let role = current(tx, actor, id, seen)?;
        let holders = holders_of(tx, actor, occasion, id, MOST_NAMED)?;
        if holders.user_count > 0 || holders.key_count > 0 {
            return Err(Conflict::RoleInUse(InUse::by(&holders)).into());
        }
        if !roles::delete(tx, id)? {
            return Err(Error::NotFound);
        }
        note(tx, actor, occasion, "role.deleted", &role)?;
        Ok(role)
    })
}

/// The permissions as they are kept, if they are not too many and no more than the actor holds. Everything becomes the
/// list of what the server knows: only the built-in Admin has what later releases and other resources add.
pub(crate) fn handed_out(
    field: &'static str,
    actor: &Principal,
    wanted: &PermissionSet,
) -> Result<PermissionSet, Error> {
    hands_out_no_more(actor, wanted)?;
    let listed = wanted.to_permissions();
    if listed.len() > MAX_PERMISSIONS {
        let detail = format!("there are {} permissions; {MAX_PERMISSIONS} at most", listed.len());
        return Err(Error::invalid(field, "too_many", detail));
    }
    Ok(listed.into_iter().collect())
}

fn current(tx: &mut Tx<'_>, actor: &Principal, id: RoleId, seen: Option<Version>) -> Result<Role, Error> {
    let role = roles::find(tx, actor.workspace(), id)?.ok_or(Error::NotFound)?;
    if role.built_in.is_some() {
        return Err(Conflict::BuiltInRole.into());
    }
    match seen {
        Some(version) if version != role.version => Err(Error::Stale),
        Some(_) | None => Ok(role),
    }
}

fn name_taken(error: StoreError) -> Error {
    match error {
        StoreError::Taken(_) => Conflict::NameTaken { what: "role" }.into(),
        other => other.into(),
    }
}

fn note(
    tx: &mut Tx<'_>,
    actor: &Principal,
    occasion: &Occasion,
    what: &str,
    role: &Role,
) -> Result<(), Error> {
    let permissions: Vec<_> = role.custom.to_permissions().iter().map(ToString::to_string).collect();
    let detail = json!({ "name": role.name, "permissions": permissions });
    audit::note(tx, actor, occasion, what, &role.id, &detail)
}
