//! Users, and the teams that they share.

use diesel::prelude::*;
use harmony_access::{
    Reach, RoleId, RoleKind, TeamId, Timestamp, UserId, UserKind, WorkspaceId, WorkspaceKind,
};

use crate::{
    Page, StoreError, Tx, Version,
    columns::{IdText, Millis, VersionNumber},
    reach,
    schema::{conversations, team_users, users},
};

/// A person of a workspace.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
pub struct User {
    /// Their id.
    #[diesel(deserialize_as = IdText<UserKind>)]
    pub id: UserId,
    /// Their workspace.
    #[diesel(deserialize_as = IdText<WorkspaceKind>, column_name = workspace_id)]
    pub workspace: WorkspaceId,
    /// Their one role.
    #[diesel(deserialize_as = IdText<RoleKind>, column_name = role_id)]
    pub role: RoleId,
    /// Their address, in lower case.
    pub email: String,
    /// Their name.
    pub name: String,
    /// How often they were changed.
    #[diesel(deserialize_as = VersionNumber)]
    pub version: Version,
    /// When they were added.
    #[diesel(deserialize_as = Millis)]
    pub created_at: Timestamp,
}

/// The user with this id within `reach`; one's own user is always within it.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn find(tx: &mut Tx<'_>, reach: &Reach, id: UserId) -> Result<Option<User>, StoreError> {
    let mut query = users::table
        .filter(users::workspace_id.eq(reach.workspace().to_string()))
        .filter(users::id.eq(id.to_string()))
        .select(User::as_select())
        .into_boxed();
    if let Some(user) = reach.own() {
        query = query.filter(users::id.eq(user.to_string()));
    }
    if let Some(user) = reach.team() {
        query = query.filter(users::id.eq_any(reach::teammates(tx, user)?));
    }
    Ok(query.first(tx.connection).optional()?)
}

/// The user of this workspace with this id, whoever asks: for checks, not for showing.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn of_workspace(tx: &mut Tx<'_>, workspace: WorkspaceId, id: UserId) -> Result<Option<User>, StoreError> {
    let query = users::table
        .filter(users::workspace_id.eq(workspace.to_string()))
        .filter(users::id.eq(id.to_string()))
        .select(User::as_select());
    Ok(query.first(tx.connection).optional()?)
}

/// The user of this workspace with this address.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn with_email(tx: &mut Tx<'_>, workspace: WorkspaceId, email: &str) -> Result<Option<User>, StoreError> {
    let query = users::table
        .filter(users::workspace_id.eq(workspace.to_string()))
        .filter(users::email.eq(email))
        .select(User::as_select());
    Ok(query.first(tx.connection).optional()?)
}

/// The users within `reach`, oldest first.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn list(tx: &mut Tx<'_>, reach: &Reach, page: &Page<UserId>) -> Result<Vec<User>, StoreError> {
    search(tx, reach, "", page)
}

/// The users within `reach` whose name or address contains this text, in whatever case, oldest first.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn search(
    tx: &mut Tx<'_>,
    reach: &Reach,
    text: &str,
    page: &Page<UserId>,
) -> Result<Vec<User>, StoreError> {
    let mut query = users::table
        .filter(users::workspace_id.eq(reach.workspace().to_string()))
        .select(User::as_select())
        .order(users::id.asc())
        .limit(i64::from(page.limit))
        .into_boxed();
    if let Some(user) = reach.own() {
        query = query.filter(users::id.eq(user.to_string()));
    }
    if let Some(user) = reach.team() {
        query = query.filter(users::id.eq_any(reach::teammates(tx, user)?));
    }
    if !text.is_empty() {
        let pattern = || reach::lower(reach::containing(text));
        let named = reach::lower(users::name).like(pattern()).escape('\\');
        query = query.filter(named.or(users::email.like(pattern()).escape('\\')));
    }
    if let Some(after) = page.after {
        query = query.filter(users::id.gt(after.to_string()));
    }
    Ok(query.load(tx.connection)?)
}

/// The most users of one team that are answered.
const MAX_TEAM: i64 = 10_000;

/// The users of a team who are within `reach`, oldest first.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn in_team(tx: &mut Tx<'_>, reach: &Reach, team: TeamId) -> Result<Vec<User>, StoreError> {
    let mut query = team_users::table
        .inner_join(users::table.on(users::id.eq(team_users::user_id)))
        .filter(team_users::team_id.eq(team.to_string()))
        .filter(users::workspace_id.eq(reach.workspace().to_string()))
        .select(User::as_select())
        .order(users::id.asc())
        .limit(MAX_TEAM)
        .into_boxed();
    if let Some(user) = reach.own() {
        query = query.filter(users::id.eq(user.to_string()));
    }
    if let Some(user) = reach.team() {
        query = query.filter(users::id.eq_any(reach::teammates(tx, user)?));
    }
    Ok(query.load(tx.connection)?)
}

/// How many users there are, in all workspaces.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn count_all(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    Ok(users::table.count().get_result(tx.connection)?)
}

/// The users of a workspace who have one of these roles.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn with_roles(
    tx: &mut Tx<'_>,
    workspace: WorkspaceId,
    roles: &[RoleId],
) -> Result<Vec<UserId>, StoreError> {
    let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
    let query = users::table
        .filter(users::workspace_id.eq(workspace.to_string()))
        .filter(users::role_id.eq_any(roles))
        .select(User::as_select());
    Ok(query.load(tx.connection)?.into_iter().map(|user| user.id).collect())
}

/// The first users with this role who are within `reach`, oldest first.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn of_role(tx: &mut Tx<'_>, reach: &Reach, role: RoleId, limit: u32) -> Result<Vec<User>, StoreError> {
    let mut query = in_order(reach.workspace().to_string(), role.to_string())
        .select(User::as_select())
        .limit(i64::from(limit))
        .into_boxed();
    if let Some(user) = reach.own() {
        query = query.filter(users::id.eq(user.to_string()));
    }
    if let Some(user) = reach.team() {
        query = query.filter(users::id.eq_any(reach::teammates(tx, user)?));
    }
    Ok(query.load(tx.connection)?)
}

#[diesel::dsl::auto_type]
fn in_order(workspace: String, role: String) -> _ {
    users::table
        .filter(users::workspace_id.eq(workspace))
        .filter(users::role_id.eq(role))
        .order(users::id.asc())
}

/// Adds a user. `password_hash` is in the PHC string format; a user without one cannot sign in.
///
/// # Errors
///
/// [`StoreError::Taken`] when the workspace has a user with this address.
pub fn insert(tx: &mut Tx<'_>, user: &User, password_hash: Option<&str>) -> Result<(), StoreError> {
    diesel::insert_into(users::table)
        .values((
            users::id.eq(user.id.to_string()),
            users::workspace_id.eq(user.workspace.to_string()),
            users::role_id.eq(user.role.to_string()),
            users::email.eq(&user.email),
            users::name.eq(&user.name),
            users::password_hash.eq(password_hash),
            users::version.eq(user.version.number()),
            users::created_at.eq(user.created_at.as_millis()),
        ))
        .execute(tx.connection)?;
    Ok(())
}

/// Writes the changeable columns of a user who still has the version before; `false` when they have not.
///
/// # Errors
///
/// [`StoreError::Taken`] when the workspace has another user with this address.
pub fn update(tx: &mut Tx<'_>, user: &User) -> Result<bool, StoreError> {
    let unchanged = users::table
        .filter(users::id.eq(user.id.to_string()))
        .filter(users::version.eq(user.version.number()));
    let changed = diesel::update(unchanged)
        .set((
            users::role_id.eq(user.role.to_string()),
            users::email.eq(&user.email),
            users::name.eq(&user.name),
            users::version.eq(user.version.next().number()),
        ))
        .execute(tx.connection)?;
    Ok(changed == 1)
}

/// Gives a user another password.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn set_password(tx: &mut Tx<'_>, id: UserId, password_hash: &str) -> Result<(), StoreError> {
    diesel::update(users::table.filter(users::id.eq(id.to_string())))
        .set(users::password_hash.eq(password_hash))
        .execute(tx.connection)?;
    Ok(())
}

/// Removes a user who owns nothing more.
///
/// # Errors
///
/// [`StoreError::Referenced`] when keys or conversations are theirs.
pub fn delete(tx: &mut Tx<'_>, id: UserId) -> Result<bool, StoreError> {
    Ok(diesel::delete(users::table.filter(users::id.eq(id.to_string()))).execute(tx.connection)? == 1)
}

/// Gives all conversations of one user to another, and says how many.
///
/// # Errors
///
/// [`StoreError::Referenced`] when there is no such user to give them to.
pub fn hand_over_conversations(tx: &mut Tx<'_>, from: UserId, to: UserId) -> Result<usize, StoreError> {
    let theirs = conversations::table.filter(conversations::owner_id.eq(from.to_string()));
    let changed = diesel::update(theirs)
        .set((
            conversations::owner_id.eq(to.to_string()),
            conversations::version.eq(conversations::version + 1),
        ))
        .execute(tx.connection)?;
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use diesel::{debug_query, sqlite::Sqlite};

    use super::*;
    use crate::plan;

    #[test]
    fn the_first_users_of_a_role_are_found_without_reading_the_others() {
        let steps =
            plan::steps(&debug_query::<Sqlite, _>(&in_order(String::new(), String::new())).to_string());
        // And no step that sorts.
        assert_eq!(steps, ["SEARCH users USING INDEX users_by_role_in_order (role_id=? AND workspace_id=?)"]);
    }
}
