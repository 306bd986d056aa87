//! Users: list, add, change, remove.

use harmony_access::{Principal, Reach, Revocation, RoleId, UserId};
use harmony_permission::{PermissionSet, catalogue};
use harmony_store::{
    Page, StoreError, Tx, Version,
    api_keys::{self, ApiKey},
    revocations, roles, sessions,
    users::{self, User},
};
use serde_json::json;

use crate::{
    Answered, Conflict, Error, Idempotency, Occasion, Once, Workspace,
    administration::{hold, manages, somebody_manages},
    api_keys::{granted_to, hands_out_no_more, hands_out_no_more_for},
    audit, check, password,
    workspace::{once, reach, require_all, revoke},
};

/// Who a new user is to be. Not `Debug`: it may hold a password.
pub struct NewUser<'a> {
    /// Their address.
    pub email: &'a str,
    /// Their name.
    pub name: &'a str,
    /// Their one role, which permits no more than the actor holds.
    pub role: RoleId,
    /// Their password; without one they cannot sign in.
    pub password: Option<&'a str>,
}

/// What is to change of a user; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// Another address.
    pub email: Option<String>,
    /// Another name.
    pub name: Option<String>,
    /// Another role, which permits no more than the actor holds.
    pub role: Option<RoleId>,
}

/// What becomes of a removed user's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeysFate {
    /// Nobody said; fine if there are none.
    Unsaid,
    /// They are deleted.
    Delete,
    /// They act for this user from now on.
    Transfer(UserId),
}

/// The users within the actor's reach, oldest first.
///
/// # Errors
///
/// Without `users:read`.
pub fn list(workspace: &Workspace, actor: &Principal, page: &Page<UserId>) -> Result<Vec<User>, Error> {
    let reach = reach(actor, catalogue::USERS_READ)?;
    workspace.read(|tx| Ok(users::list(tx, &reach, page)?))
}

/// One user.
///
/// # Errors
///
/// Without `users:read`, and when there is no such user within reach.
pub fn find(workspace: &Workspace, actor: &Principal, id: UserId) -> Result<User, Error> {
    let reach = reach(actor, catalogue::USERS_READ)?;
    workspace.read(|tx| users::find(tx, &reach, id)?.ok_or(Error::NotFound))
}

/// The user that the actor made before, under an idempotency key: creating takes no permission to read.
///
/// # Errors
///
/// Without `users:create:all`, and when the user is gone.
pub fn find_created(workspace: &Workspace, actor: &Principal, id: UserId) -> Result<User, Error> {
    require_all(actor, catalogue::USERS_CREATE)?;
    let reach = reach(actor, catalogue::USERS_CREATE)?;
    workspace.read(|tx| users::find(tx, &reach, id)?.ok_or(Error::NotFound))
}

/// Adds a user.
///
/// # Errors
///
/// Without `users:create:all`, or with a role that permits more than the actor holds; for texts that are not well
/// formed, an unknown role and an address that is taken.
pub fn create(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    new: &NewUser<'_>,
    idempotency: Option<&Idempotency>,
) -> Result<Once<User>, Error> {
    require_all(actor, catalogue::USERS_CREATE)?;
    // Slow on purpose, and so done before anybody has to wait for the workspace.
    let hash = new.password.map(password::hash).transpose()?;
    workspace.write(|tx| {
        hold(tx, actor)?;
        once(tx, actor, occasion, idempotency, |tx| {
            let user = User {
                id: occasion.id()?,
                workspace: actor.workspace(),
                role: new.role,
                email: check::email("email", new.email)?,
                name: check::name("name", new.name)?,
                version: Version::FIRST,
                created_at: occasion.now,
            };
            hands_out_no_more(actor, &assignable(tx, actor, new.role)?)?;
            users::insert(tx, &user, hash.as_deref()).map_err(email_taken)?;
            note(tx, actor, occasion, "user.created", &user)?;
            let id = user.id.to_string();
            Ok((user, id))
        })
    })
}

/// Changes a user.
///
/// # Errors
///
/// Without `users:update:all`, or with a new role that permits more than the actor holds; when there is no such user or
/// they were changed since `seen`; when nobody would be left to manage roles and users; as [`create`].
pub fn change(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: UserId,
    change: &UserChange,
    seen: Option<Version>,
) -> Result<Answered<User>, Error> {
    require_all(actor, catalogue::USERS_UPDATE)?;
    let reach = reach(actor, catalogue::USERS_UPDATE)?;
    workspace.write(|tx| {
        hold(tx, actor)?;
        let before = current(tx, &reach, id, seen)?;
        let mut user = before.clone();
        apply(tx, &mut user, actor, change)?;
        if !users::update(tx, &user).map_err(email_taken)? {
            return Err(Error::Stale);
        }
        user.version = user.version.next();
        let reassigned = user.role != before.role;
        if reassigned && manages(&permissions_of(tx, &before)?) {
            somebody_manages(tx, actor.workspace())?;
        }
        note(tx, actor, occasion, "user.changed", &user)?;
        // The user's keys have roles of their own; told all the same, for whoever remembers what a user may do.
        let revoked = reassigned.then_some(Revocation::User(id));
        Ok(revoke(tx, occasion, revoked.as_slice(), user)?)
    })
}

fn apply(tx: &mut Tx<'_>, user: &mut User, actor: &Principal, change: &UserChange) -> Result<(), Error> {
    if let Some(email) = &change.email {
        user.email = check::email("email", email)?;
    }
    if let Some(name) = &change.name {
        user.name = check::name("name", name)?;
    }
    if let Some(role) = change.role.filter(|role| *role != user.role) {
        hands_out_no_more(actor, &assignable(tx, actor, role)?)?;
        user.role = role;
    }
    Ok(())
}

/// Gives a user who lost theirs another password, and ends all their sessions. Whoever knows a password can be its user: so
/// that takes what reaches the things of that user as well.
///
/// # Errors
///
/// Without `users:update:all`, or for a user whose role permits more than the actor holds; when there is no such user; for a
/// password that is none; for one's own while one is signed in, which takes the password that one has.
pub fn reset_password(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: UserId,
    new: &str,
    idempotency: Option<&Idempotency>,
) -> Result<Answered<Once<User>>, Error> {
    require_all(actor, catalogue::USERS_UPDATE)?;
    let reach = reach(actor, catalogue::USERS_UPDATE)?;
    // Slow on purpose, and so done before anybody has to wait for the workspace.
    let hash = password::hash(new)?;
    workspace.write(|tx| {
        hold(tx, actor)?;
        let made = once(tx, actor, occasion, idempotency, |tx| {
            let user = current(tx, &reach, id, None)?;
            may_reset_password(tx, actor, &user)?;
            users::set_password(tx, id, &hash)?;
            let ended = sessions::delete_all(tx, id)?;
            let detail = json!({ "email": user.email, "sessions": ended });
            audit::note(tx, actor, occasion, "user.password_reset", &id, &detail)?;
            Ok((user, id.to_string()))
        })?;
        if matches!(made, Once::Repeated(_)) {
            // The first request may still be waiting for the others.
            return Ok(Answered { value: made, revision: Some(revocations::head(tx)?) });
        }
        Ok(revoke(tx, occasion, &[Revocation::User(id)], made)?)
    })
}

/// That the actor may give this user another password.
pub(crate) fn may_reset_password(tx: &mut Tx<'_>, actor: &Principal, user: &User) -> Result<(), Error> {
    require_all(actor, catalogue::USERS_UPDATE)?;
    if user.id == actor.user() && actor.session().is_some() {
        return Err(Error::invalid("id", "own_user", "you change your own password under Account"));
    }
    hands_out_no_more_for(actor, user.id, &permissions_of(tx, user)?)
}

/// Removes a user. Their keys go where `keys` says, their conversations to the actor's user, who decides what becomes of
/// them; for that reason nobody removes themselves. Their sessions end, and they are out of their teams.
///
/// # Errors
///
/// Without `users:delete:all`; when there is no such user or they were changed since `seen`; when they have keys and
/// nobody said what becomes of them; when they are to go to somebody unknown; when nobody would be left to manage roles
/// and users; when the actor acts for the user.
pub fn delete(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: UserId,
    keys: KeysFate,
    seen: Option<Version>,
) -> Result<Answered<User>, Error> {
    require_all(actor, catalogue::USERS_DELETE)?;
    let reach = reach(actor, catalogue::USERS_DELETE)?;
    workspace.write(|tx| {
        hold(tx, actor)?;
        let user = current(tx, &reach, id, seen)?;
        if id == actor.user() {
            return Err(Error::invalid("id", "own_user", "somebody else must remove you"));
        }
        let managed = manages(&permissions_of(tx, &user)?);
        let mut revoked = part_from_keys(tx, actor, occasion, id, keys)?;
        revoked.push(Revocation::User(id));
        let conversations = users::hand_over_conversations(tx, id, actor.user())?;
        if !users::delete(tx, id)? {
            return Err(Error::NotFound);
        }
        if managed {
            somebody_manages(tx, actor.workspace())?;
        }
        let detail = json!({ "email": user.email, "name": user.name, "keys": revoked.len() - 1,
            "conversations": conversations });
        audit::note(tx, actor, occasion, "user.deleted", &id, &detail)?;
        Ok(revoke(tx, occasion, &revoked, user)?)
    })
}

/// Deletes or hands over the user's keys, and says which digests are to be forgotten.
fn part_from_keys(
    tx: &mut Tx<'_>,
    actor: &Principal,
    occasion: &Occasion,
    owner: UserId,
    fate: KeysFate,
) -> Result<Vec<Revocation>, Error> {
    let keys = api_keys::of_owner(tx, owner)?;
    if let KeysFate::Transfer(to) = fate {
        let known = users::of_workspace(tx, actor.workspace(), to)?.is_some();
        if !known || to == owner {
            return Err(Error::invalid("to", "unknown", "there is no such other user in this workspace"));
        }
    }
    if fate == KeysFate::Unsaid && !keys.is_empty() {
        return Err(Conflict::KeysRemain { keys: keys.len() }.into());
    }
    let revoked = keys.iter().map(|key| Revocation::Key(key.digest)).collect();
    for key in keys {
        match fate {
            KeysFate::Unsaid | KeysFate::Delete => delete_key(tx, actor, occasion, &key)?,
            KeysFate::Transfer(to) => transfer_key(tx, actor, occasion, key, to)?,
        }
    }
    Ok(revoked)
}

fn delete_key(tx: &mut Tx<'_>, actor: &Principal, occasion: &Occasion, key: &ApiKey) -> Result<(), Error> {
    if !api_keys::delete(tx, key.id)? {
        return Err(Error::Stale);
    }
    let detail = json!({ "name": key.name, "last_four": key.last_four.to_string() });
    audit::note(tx, actor, occasion, "api_key.deleted", &key.id, &detail)
}

fn transfer_key(
    tx: &mut Tx<'_>,
    actor: &Principal,
    occasion: &Occasion,
    mut key: ApiKey,
    to: UserId,
) -> Result<(), Error> {
    let granted = granted_to(tx, &key)?;
    hands_out_no_more_for(actor, to, &granted)?;
    let from = std::mem::replace(&mut key.owner, to);
    if !api_keys::update(tx, &key)? {
        return Err(Error::Stale);
    }
    let detail = json!({ "name": key.name, "last_four": key.last_four.to_string(),
        "from": from.to_string(), "to": to.to_string() });
    audit::note(tx, actor, occasion, "api_key.transferred", &key.id, &detail)
}

/// What a role permits that is to be given to a user.
fn assignable(tx: &mut Tx<'_>, actor: &Principal, role: RoleId) -> Result<PermissionSet, Error> {
    let found = roles::find(tx, actor.workspace(), role)?;
    found
        .map(|role| role.permissions())
        .ok_or_else(|| Error::invalid("role", "unknown", "there is no such role in this workspace"))
}

fn permissions_of(tx: &mut Tx<'_>, user: &User) -> Result<PermissionSet, Error> {
    let role = roles::find(tx, user.workspace, user.role)?;
    Ok(role.map_or_else(PermissionSet::none, |role| role.permissions()))
}

fn current(tx: &mut Tx<'_>, reach: &Reach, id: UserId, seen: Option<Version>) -> Result<User, Error> {
    let user = users::find(tx, reach, id)?.ok_or(Error::NotFound)?;
    match seen {
        Some(version) if version != user.version => Err(Error::Stale),
        Some(_) | None => Ok(user),
    }
}

fn email_taken(error: StoreError) -> Error {
    match error {
        StoreError::Taken(_) => Conflict::EmailTaken.into(),
        other => other.into(),
    }
}

fn note(
    tx: &mut Tx<'_>,
    actor: &Principal,
    occasion: &Occasion,
    what: &str,
    user: &User,
) -> Result<(), Error> {
    let detail = json!({ "email": user.email, "name": user.name, "role": user.role.to_string() });
    audit::note(tx, actor, occasion, what, &user.id, &detail)
}
