//! Teams, and who is in them.

use std::collections::HashMap;

use diesel::{dsl::count_star, prelude::*};
use harmony_access::{Reach, TeamId, TeamKind, Timestamp, UserId, UserKind, WorkspaceId, WorkspaceKind};

use crate::{
    Page, StoreError, Tx, Version,
    columns::{IdText, Millis, VersionNumber},
    schema::{team_users, teams},
};

/// The most users of one team that are answered.
const MAX_USERS: i64 = 10_000;

/// A team of a workspace.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
pub struct Team {
    /// Its id.
    #[diesel(deserialize_as = IdText<TeamKind>)]
    pub id: TeamId,
    /// Its workspace.
    #[diesel(deserialize_as = IdText<WorkspaceKind>, column_name = workspace_id)]
    pub workspace: WorkspaceId,
    /// Its name.
    pub name: String,
    /// How often it was changed, its users included.
    #[diesel(deserialize_as = VersionNumber)]
    pub version: Version,
    /// When it was made.
    #[diesel(deserialize_as = Millis)]
    pub created_at: Timestamp,
}

/// The team with this id within `reach`: short of the whole workspace, the teams that the user is in.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn find(tx: &mut Tx<'_>, reach: &Reach, id: TeamId) -> Result<Option<Team>, StoreError> {
    let mut query = teams::table
        .filter(teams::workspace_id.eq(reach.workspace().to_string()))
        .filter(teams::id.eq(id.to_string()))
        .select(Team::as_select())
        .into_boxed();
    if let Some(user) = reach.own().or(reach.team()) {
        query = query.filter(teams::id.eq_any(ids_of(tx, user)?));
    }
    Ok(query.first(tx.connection).optional()?)
}

/// The teams within `reach`, oldest first: short of the whole workspace, those that the user is in.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn list(tx: &mut Tx<'_>, reach: &Reach, page: &Page<TeamId>) -> Result<Vec<Team>, StoreError> {
    let mut query = teams::table
        .filter(teams::workspace_id.eq(reach.workspace().to_string()))
        .select(Team::as_select())
        .order(teams::id.asc())
        .limit(i64::from(page.limit))
        .into_boxed();
    if let Some(user) = reach.own().or(reach.team()) {
        query = query.filter(teams::id.eq_any(ids_of(tx, user)?));
    }
    if let Some(after) = page.after {
        query = query.filter(teams::id.gt(after.to_string()));
    }
    Ok(query.load(tx.connection)?)
}

/// The teams that `user` is in, as far as they are within `reach`; oldest first.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn of_user(tx: &mut Tx<'_>, reach: &Reach, user: UserId) -> Result<Vec<Team>, StoreError> {
    let mut query = teams::table
        .filter(teams::workspace_id.eq(reach.workspace().to_string()))
        .filter(teams::id.eq_any(ids_of(tx, user)?))
        .select(Team::as_select())
        .order(teams::id.asc())
        .into_boxed();
    if let Some(actor) = reach.own().or(reach.team()) {
        query = query.filter(teams::id.eq_any(ids_of(tx, actor)?));
    }
    Ok(query.load(tx.connection)?)
}

/// How many users each of these teams has; a team without users is left out.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn sizes(tx: &mut Tx<'_>, teams: &[TeamId]) -> Result<HashMap<TeamId, i64>, StoreError> {
    let teams: Vec<String> = teams.iter().map(ToString::to_string).collect();
    let counted: Vec<Size> = team_users::table
        .filter(team_users::team_id.eq_any(teams))
        .group_by(team_users::team_id)
        .select((team_users::team_id, count_star()))
        .load(tx.connection)?;
    Ok(counted.into_iter().map(|size| (size.team, size.users)).collect())
}

#[derive(Queryable)]
struct Size {
    #[diesel(deserialize_as = IdText<TeamKind>)]
    team: TeamId,
    users: i64,
}

/// The ids of the teams that `user` is in.
fn ids_of(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<String>, StoreError> {
    let query = team_users::table
        .filter(team_users::user_id.eq(user.to_string()))
        .select(team_users::team_id)
        .limit(MAX_USERS);
    Ok(query.load(tx.connection)?)
}

/// Adds a team.
///
/// # Errors
///
/// [`StoreError::Taken`] when the workspace has a team of this name.
pub fn insert(tx: &mut Tx<'_>, team: &Team) -> Result<(), StoreError> {
    diesel::insert_into(teams::table)
        .values((
            teams::id.eq(team.id.to_string()),
            teams::workspace_id.eq(team.workspace.to_string()),
            teams::name.eq(&team.name),
            teams::version.eq(team.version.number()),
            teams::created_at.eq(team.created_at.as_millis()),
        ))
        .execute(tx.connection)?;
    Ok(())
}

/// Writes a team that still has the version before; `false` when it has not.
///
/// # Errors
///
/// [`StoreError::Taken`] when the workspace has another team of this name.
pub fn update(tx: &mut Tx<'_>, team: &Team) -> Result<bool, StoreError> {
    let unchanged = teams::table
        .filter(teams::id.eq(team.id.to_string()))
        .filter(teams::version.eq(team.version.number()));
    let changed = diesel::update(unchanged)
        .set((teams::name.eq(&team.name), teams::version.eq(team.version.next().number())))
        .execute(tx.connection)?;
    Ok(changed == 1)
}

/// Removes a team; its users stay in the workspace. `false` when there is none.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn delete(tx: &mut Tx<'_>, id: TeamId) -> Result<bool, StoreError> {
    Ok(diesel::delete(teams::table.filter(teams::id.eq(id.to_string()))).execute(tx.connection)? == 1)
}

/// Puts a user into a team; `false` when they are in it already. Whoever holds the workspace
/// ([`crate::workspaces::lock`]) is not raced.
///
/// # Errors
///
/// [`StoreError::Referenced`] when there is no such team or user.
pub fn add_user(tx: &mut Tx<'_>, team: TeamId, user: UserId) -> Result<bool, StoreError> {
    let known: i64 = team_users::table
        .filter(team_users::team_id.eq(team.to_string()))
        .filter(team_users::user_id.eq(user.to_string()))
        .count()
        .get_result(tx.connection)?;
    if known > 0 {
        return Ok(false);
    }
    diesel::insert_into(team_users::table)
        .values((team_users::team_id.eq(team.to_string()), team_users::user_id.eq(user.to_string())))
        .execute(tx.connection)?;
    Ok(true)
}

/// Takes a user out of a team; `false` when they are not in it.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn remove_user(tx: &mut Tx<'_>, team: TeamId, user: UserId) -> Result<bool, StoreError> {
    let row = team_users::table
        .filter(team_users::team_id.eq(team.to_string()))
        .filter(team_users::user_id.eq(user.to_string()));
    Ok(diesel::delete(row).execute(tx.connection)? == 1)
}

/// Who is in a team, in the order in which they came to the workspace.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn users_of(tx: &mut Tx<'_>, team: TeamId) -> Result<Vec<UserId>, StoreError> {
    let rows: Vec<Member> = team_users::table
        .filter(team_users::team_id.eq(team.to_string()))
        .order(team_users::user_id.asc())
        .limit(MAX_USERS)
        .select(Member::as_select())
        .load(tx.connection)?;
    Ok(rows.into_iter().map(|row| row.user).collect())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = team_users)]
struct Member {
    #[diesel(deserialize_as = IdText<UserKind>, column_name = user_id)]
    user: UserId,
}
