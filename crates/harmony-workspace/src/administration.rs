//! Who can still manage a workspace: the one rule that changes of roles and of users share.

use harmony_access::{Principal, WorkspaceId};
use harmony_permission::{PermissionSet, Scope, catalogue};
use harmony_store::{Page, Tx, roles, users, workspaces};

use crate::{Conflict, Error};

/// The roles that are looked at, oldest first. With more of them a change may be refused without need, but never let
/// through: the built-in roles are the oldest.
const MAX_ROLES: u32 = 10_000;

/// Holds the actor's workspace until the transaction ends, so that what is checked next stays true until the change.
pub(crate) fn hold(tx: &mut Tx<'_>, actor: &Principal) -> Result<(), Error> {
    if workspaces::lock(tx, actor.workspace())? { Ok(()) } else { Err(Error::NotFound) }
}

/// Whether who holds this can manage roles and users, and so let anybody else in again.
pub(crate) fn manages(held: &PermissionSet) -> bool {
    held.allows(&catalogue::ROLES_UPDATE.at(Scope::All))
        && held.allows(&catalogue::USERS_UPDATE.at(Scope::All))
}

/// That somebody can manage roles and users still; to be asked after the change, which is undone if nobody can.
pub(crate) fn somebody_manages(tx: &mut Tx<'_>, workspace: WorkspaceId) -> Result<(), Error> {
    let page = Page { after: None, limit: MAX_ROLES };
    let managing: Vec<_> = roles::list(tx, workspace, &page)?
        .into_iter()
        .filter(|role| manages(&role.permissions()))
        .map(|role| role.id)
        .collect();
    if users::with_roles(tx, workspace, &managing)?.is_empty() {
        return Err(Conflict::LastAdministrator.into());
    }
    Ok(())
}
