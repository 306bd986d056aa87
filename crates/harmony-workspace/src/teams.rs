//! Teams: list, create, change, delete, and who is in them.
//!
//! Nothing here is revoked: a reach of `team` is read from the tables at each request, so whoever leaves a team is out of
//! it for every transaction that begins after the change.

use harmony_access::{Principal, Reach, TeamId, UserId};
use harmony_permission::catalogue;
use harmony_store::{
    Page, StoreError, Tx, Version,
    teams::{self, Team},
    users,
};
use serde_json::json;

use crate::{
    Conflict, Error, Idempotency, Occasion, Once, Workspace,
    administration::hold,
    audit, check,
    workspace::{once, reach, require_all},
};

/// A team and the ids of its users; what more is known of them takes `users:read`.
pub type TeamWithUsers = (Team, Vec<UserId>);

/// The teams within the actor's reach, oldest first: with less than `all`, those that the actor's user is in.
///
/// # Errors
///
/// Without `teams:read`.
pub fn list(workspace: &Workspace, actor: &Principal, page: &Page<TeamId>) -> Result<Vec<Team>, Error> {
    let reach = reach(actor, catalogue::TEAMS_READ)?;
    workspace.read(|tx| Ok(teams::list(tx, &reach, page)?))
}

/// One team and its users.
///
/// # Errors
///
/// Without `teams:read`, and when there is no such team within reach.
pub fn find(workspace: &Workspace, actor: &Principal, id: TeamId) -> Result<TeamWithUsers, Error> {
    let reach = reach(actor, catalogue::TEAMS_READ)?;
    workspace.read(|tx| {
        let team = current(tx, &reach, id, None)?;
        Ok((team, teams::users_of(tx, id)?))
    })
}

/// The team that the actor made before, under an idempotency key: creating takes no permission to read.
///
/// # Errors
///
/// Without `teams:create:all`, and when the team is gone.
pub fn find_created(workspace: &Workspace, actor: &Principal, id: TeamId) -> Result<TeamWithUsers, Error> {
    require_all(actor, catalogue::TEAMS_CREATE)?;
    let reach = reach(actor, catalogue::TEAMS_CREATE)?;
    workspace.read(|tx| {
        let team = current(tx, &reach, id, None)?;
        Ok((team, teams::users_of(tx, id)?))
    })
}

/// Makes a team, with nobody in it yet.
///
/// # Errors
///
/// Without `teams:create:all`; for a name that is not well formed or taken.
pub fn create(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    name: &str,
    idempotency: Option<&Idempotency>,
) -> Result<Once<Team>, Error> {
    require_all(actor, catalogue::TEAMS_CREATE)?;
    workspace.write(|tx| {
        hold(tx, actor)?;
        once(tx, actor, occasion, idempotency, |tx| {
            let team = Team {
                id: occasion.id()?,
                workspace: actor.workspace(),
                name: check::name("name", name)?,
                version: Version::FIRST,
                created_at: occasion.now,
            };
            teams::insert(tx, &team).map_err(name_taken)?;
            audit::note(tx, actor, occasion, "team.created", &team.id, &json!({ "name": team.name }))?;
            let id = team.id.to_string();
            Ok((team, id))
        })
    })
}

/// Renames a team, if there is a name.
///
/// # Errors
///
/// Without `teams:update:all`; when there is no such team or it was changed since `seen`; as [`create`].
pub fn change(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: TeamId,
    name: Option<&str>,
    seen: Option<Version>,
) -> Result<TeamWithUsers, Error> {
    require_all(actor, catalogue::TEAMS_UPDATE)?;
    let reach = reach(actor, catalogue::TEAMS_UPDATE)?;
    workspace.write(|tx| {
        hold(tx, actor)?;
        let mut team = current(tx, &reach, id, seen)?;
        if let Some(name) = name {
            team.name = check::name("name", name)?;
        }
        let detail = json!({ "name": team.name });
        write(tx, team, |tx| audit::note(tx, actor, occasion, "team.changed", &id, &detail))
    })
}

/// Deletes a team. Its users, and what they own, stay.
///
/// # Errors
///
/// Without `teams:delete:all`; when there is no such team or it was changed since `seen`.
pub fn delete(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: TeamId,
    seen: Option<Version>,
) -> Result<Team, Error> {
    require_all(actor, catalogue::TEAMS_DELETE)?;
    let reach = reach(actor, catalogue::TEAMS_DELETE)?;
    workspace.write(|tx| {
        hold(tx, actor)?;
        let team = current(tx, &reach, id, seen)?;
        if !teams::delete(tx, id)? {
            return Err(Error::NotFound);
        }
        audit::note(tx, actor, occasion, "team.deleted", &id, &json!({ "name": team.name }))?;
        Ok(team)
    })
}

/// Puts a user into a team; one who is in it stays, and nothing is noted.
///
/// # Errors
///
/// Without `teams:update:all`; when there is no such team or no such user.
pub fn add_user(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: TeamId,
    user: UserId,
) -> Result<TeamWithUsers, Error> {
    require_all(actor, catalogue::TEAMS_UPDATE)?;
    let reach = reach(actor, catalogue::TEAMS_UPDATE)?;
    workspace.write(|tx| {
        hold(tx, actor)?;
        let team = current(tx, &reach, id, None)?;
        users::of_workspace(tx, actor.workspace(), user)?.ok_or(Error::NotFound)?;
        if !teams::add_user(tx, id, user)? {
            return Ok((team, teams::users_of(tx, id)?));
        }
        let detail = json!({ "name": team.name, "user": user.to_string() });
        write(tx, team, |tx| audit::note(tx, actor, occasion, "team.user_added", &id, &detail))
    })
}

/// Takes a user out of a team.
///
/// # Errors
///
/// Without `teams:update:all`; when there is no such team, or the user is not in it.
pub fn remove_user(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: TeamId,
    user: UserId,
) -> Result<TeamWithUsers, Error> {
    require_all(actor, catalogue::TEAMS_UPDATE)?;
    let reach = reach(actor, catalogue::TEAMS_UPDATE)?;
    workspace.write(|tx| {
        hold(tx, actor)?;
        let team = current(tx, &reach, id, None)?;
        if !teams::remove_user(tx, id, user)? {
            return Err(Error::NotFound);
        }
        let detail = json!({ "name": team.name, "user": user.to_string() });
        write(tx, team, |tx| audit::note(tx, actor, occasion, "team.user_removed", &id, &detail))
    })
}

/// Writes a changed team, which has a new version also when only its users changed.
fn write(
    tx: &mut Tx<'_>,
    mut team: Team,
    note: impl FnOnce(&mut Tx<'_>) -> Result<(), Error>,
) -> Result<TeamWithUsers, Error> {
    if !teams::update(tx, &team).map_err(name_taken)? {
        return Err(Error::Stale);
    }
    team.version = team.version.next();
    note(tx)?;
    let users = teams::users_of(tx, team.id)?;
    Ok((team, users))
}

fn current(tx: &mut Tx<'_>, reach: &Reach, id: TeamId, seen: Option<Version>) -> Result<Team, Error> {
    let team = teams::find(tx, reach, id)?.ok_or(Error::NotFound)?;
    match seen {
        Some(version) if version != team.version => Err(Error::Stale),
        Some(_) | None => Ok(team),
    }
}

fn name_taken(error: StoreError) -> Error {
    match error {
        StoreError::Taken(_) => Conflict::NameTaken { what: "team" }.into(),
        other => other.into(),
    }
}
