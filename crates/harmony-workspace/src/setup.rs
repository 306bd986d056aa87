//! The first workspace and its first user.

use std::time::Duration;

use harmony_access::{Principal, UserId, UserRecord, WorkspaceId};
use harmony_key::TokenDigest;
use harmony_permission::{BuiltInRole, Permission, PermissionSet};
use harmony_store::{
    Tx, Version, revocations,
    roles::{self, Role},
    setup_links,
    users::{self, User},
    workspaces,
};
use serde_json::json;

use crate::{Conflict, Error, Occasion, Workspace, audit, check, password};

/// What keys without a role may do in a new workspace.
const DEFAULT_KEY_PERMISSION: Permission = Permission::literal("conversations:read:own");

/// A workspace to be made, with its first administrator.
pub struct NewWorkspace<'a> {
    /// The workspace's name.
    pub name: &'a str,
    /// The administrator's name.
    pub user_name: &'a str,
    /// The administrator's e-mail address.
    pub email: &'a str,
    /// The administrator's password; without one they cannot sign in yet.
    pub password: Option<&'a str>,
}

/// Whether nobody has set anything up yet.
///
/// # Errors
///
/// When the store cannot be asked.
pub fn is_needed(workspace: &Workspace) -> Result<bool, Error> {
    workspace.read(|tx| Ok(users::count_all(tx)? == 0))
}

/// Makes the first workspace, the built-in roles and the first administrator.
///
/// # Errors
///
/// When there is a user already; for names, an address or a password that are not well formed.
pub fn create(
    workspace: &Workspace,
    occasion: &Occasion,
    new: &NewWorkspace<'_>,
) -> Result<(WorkspaceId, UserId), Error> {
    let hash = new.password.map(password::hash).transpose()?;
    workspace.write(|tx| make(tx, occasion, new, hash.as_deref()))
}

/// Whether a one-time link is good: it was drawn, is neither used nor expired, and nobody has set anything up.
///
/// # Errors
///
/// When the store cannot be asked.
pub fn link_is_open(workspace: &Workspace, occasion: &Occasion, link: TokenDigest) -> Result<bool, Error> {
    workspace.read(|tx| Ok(setup_links::is_live(tx, link, occasion.now)? && users::count_all(tx)? == 0))
}

/// Does what [`create`] does, once for a link; `None` when the link is not good.
///
/// # Errors
///
/// As [`create`].
pub fn through_link(
    workspace: &Workspace,
    occasion: &Occasion,
    link: TokenDigest,
    new: &NewWorkspace<'_>,
) -> Result<Option<(WorkspaceId, UserId)>, Error> {
    if !link_is_open(workspace, occasion, link)? {
        return Ok(None);
    }
    // Slow on purpose, and so not done for whoever comes without a link.
    let hash = new.password.map(password::hash).transpose()?;
    workspace.write(|tx| {
        if !setup_links::take(tx, link, occasion.now)? {
            return Ok(None);
        }
        make(tx, occasion, new, hash.as_deref()).map(Some)
    })
}

fn make(
    tx: &mut Tx<'_>,
    occasion: &Occasion,
    new: &NewWorkspace<'_>,
    password_hash: Option<&str>,
) -> Result<(WorkspaceId, UserId), Error> {
    // Of two at once, one waits here and then finds a user.
    revocations::hold(tx)?;
    if users::count_all(tx)? > 0 {
        return Err(Conflict::SetUpAlready.into());
    }
    let id = occasion.id()?;
    workspaces::insert(
        tx,
        &workspaces::Workspace {
            id,
            name: check::name("workspace", new.name)?,
            default_permissions: PermissionSet::from_iter([DEFAULT_KEY_PERMISSION]),
            longest_key_lifetime_secs: None,
            version: Version::FIRST,
            created_at: occasion.now,
        },
    )?;
    let admin = built_in_roles(tx, occasion, id)?;
    let user = User {
        id: occasion.id()?,
        workspace: id,
        role: admin,
        email: check::email("email", new.email)?,
        name: check::name("name", new.user_name)?,
        version: Version::FIRST,
        created_at: occasion.now,
    };
    users::insert(tx, &user, password_hash)?;
    let detail = json!({ "name": new.name, "administrator": user.email });
    audit::append(tx, id, (None, None), occasion, "workspace.created", &id, &detail)?;
    Ok((id, user.id))
}

fn built_in_roles(
    tx: &mut Tx<'_>,
    occasion: &Occasion,
    workspace: WorkspaceId,
) -> Result<harmony_access::RoleId, Error> {
    let mut admin = None;
    for (place, built_in) in (1..).zip(BuiltInRole::ALL.into_iter().rev()) {
        // Lists are in the order of ids: the built-in roles lead, the most powerful first.
        let earlier = Occasion { now: occasion.now.minus(Duration::from_millis(place)), ..occasion.clone() };
        let role = Role {
            id: earlier.id()?,
            workspace,
            name: built_in.name().to_owned(),
            description: built_in.description().to_owned(),
            built_in: Some(built_in.name().to_owned()),
            custom: PermissionSet::none(),
            version: Version::FIRST,
            created_at: occasion.now,
        };
        roles::insert(tx, &role)?;
        admin = Some(role.id).filter(|_| built_in == BuiltInRole::Admin).or(admin);
    }
    admin.ok_or(Error::NotFound)
}

/// The operator at the command line, who acts for a user of the workspace with everything permitted: whoever can run
/// commands on the store can change it anyway, and so leaves a trace in the audit log.
#[must_use]
pub fn operator(workspace: WorkspaceId, user: UserId) -> Principal {
    Principal::of_user(UserRecord {
        id: user,
        workspace,
        permissions: PermissionSet::everything(),
        session: None,
    })
}
