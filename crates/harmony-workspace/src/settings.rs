//! The settings of the workspace.

use harmony_access::{Principal, Revocation};
use harmony_permission::{PermissionSet, catalogue};
use harmony_store::{
    Version,
    workspaces::{self, Workspace as Settings},
};
use serde_json::json;

use crate::{
    Answered, Error, Occasion, Workspace,
    administration::hold,
    audit, check,
    roles::handed_out,
    workspace::{reach, require_all, revoke},
};

/// The shortest bound of key lifetimes, in seconds: a day, since expirations may be dates.
pub const MIN_KEY_LIFETIME_SECS: i64 = 86_400;
/// The longest bound of key lifetimes, in seconds: 36,525 days, which is 100 years; who wants more wants none.
pub const MAX_KEY_LIFETIME_SECS: i64 = 36_525 * 86_400;

/// What is to change of the settings; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct SettingsChange {
    /// Another name of the workspace.
    pub name: Option<String>,
    /// What keys without a role may do, and no more than the actor holds.
    pub default_permissions: Option<PermissionSet>,
    /// The longest lifetime that a new key may have, in seconds; `Some(None)` is no bound. Keys there are keep theirs.
    pub longest_key_lifetime_secs: Option<Option<i64>>,
}

/// The workspace and its settings.
///
/// # Errors
///
/// Without `workspace:read`.
pub fn find(workspace: &Workspace, actor: &Principal) -> Result<Settings, Error> {
    let reach = reach(actor, catalogue::WORKSPACE_READ)?;
    workspace.read(|tx| workspaces::find(tx, reach.workspace())?.ok_or(Error::NotFound))
}

/// Changes the settings. Keys without a role have the new default permissions once the answer is sent.
///
/// # Errors
///
/// Without `workspace:update:all`, or with a default permission that the actor lacks; for values that are not well
/// formed; when the settings were changed since `seen`.
pub fn change(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    change: &SettingsChange,
    seen: Option<Version>,
) -> Result<Answered<Settings>, Error> {
    require_all(actor, catalogue::WORKSPACE_UPDATE)?;
    workspace.write(|tx| {
        hold(tx, actor)?;
        let before = workspaces::find(tx, actor.workspace())?.ok_or(Error::NotFound)?;
        if seen.is_some_and(|version| version != before.version) {
            return Err(Error::Stale);
        }
        let mut settings = before.clone();
        apply(&mut settings, actor, change)?;
        if !workspaces::update(tx, &settings)? {
            return Err(Error::Stale);
        }
        settings.version = settings.version.next();
        let permissions: Vec<_> =
            settings.default_permissions.to_permissions().iter().map(ToString::to_string).collect();
        let detail = json!({ "name": settings.name, "default_permissions": permissions,
            "longest_key_lifetime_secs": settings.longest_key_lifetime_secs });
        audit::note(tx, actor, occasion, "workspace.changed", &settings.id, &detail)?;
        let narrowed = before.default_permissions != settings.default_permissions;
        let revoked = narrowed.then_some(Revocation::Workspace(settings.id));
        Ok(revoke(tx, occasion, revoked.as_slice(), settings)?)
    })
}

fn apply(settings: &mut Settings, actor: &Principal, change: &SettingsChange) -> Result<(), Error> {
    if let Some(name) = &change.name {
        settings.name = check::name("name", name)?;
    }
    if let Some(permissions) = &change.default_permissions {
        settings.default_permissions = handed_out("default_permissions", actor, permissions)?;
    }
    if let Some(longest) = change.longest_key_lifetime_secs {
        if longest.is_some_and(|secs| !(MIN_KEY_LIFETIME_SECS..=MAX_KEY_LIFETIME_SECS).contains(&secs)) {
            let detail = format!("it has {MIN_KEY_LIFETIME_SECS} to {MAX_KEY_LIFETIME_SECS} seconds");
            return Err(Error::invalid("longest_key_lifetime_secs", "out_of_range", detail));
        }
        settings.longest_key_lifetime_secs = longest;
    }
    Ok(())
}
