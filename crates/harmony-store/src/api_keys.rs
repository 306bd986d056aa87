//! API keys: digests and what is known of them.

use std::collections::HashSet;

use diesel::prelude::*;
use harmony_access::{
    ApiKeyId, ApiKeyKind, KeyRecord, Reach, RoleId, RoleKind, Timestamp, UserId, UserKind, WorkspaceId,
    WorkspaceKind,
};
use harmony_key::{KeyDigest, LastFour};

use crate::{
    Page, StoreError, Tx, Version,
    columns::{Digest, IdText, LastFourText, MaybeId, MaybeMillis, Millis, VersionNumber},
    connection::AnyConnection,
    reach, roles,
    schema::{api_key_uses, api_keys},
    workspaces,
};

/// A key: everything but its text, which nobody keeps.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = api_keys)]
pub struct ApiKey {
    /// Its id.
    #[diesel(deserialize_as = IdText<ApiKeyKind>)]
    pub id: ApiKeyId,
    /// Its workspace.
    #[diesel(deserialize_as = IdText<WorkspaceKind>, column_name = workspace_id)]
    pub workspace: WorkspaceId,
    /// The user it acts for.
    #[diesel(deserialize_as = IdText<UserKind>, column_name = owner_id)]
    pub owner: UserId,
    /// Its role; without one it has the workspace's default key permissions.
    #[diesel(deserialize_as = MaybeId<RoleKind>, column_name = role_id)]
    pub role: Option<RoleId>,
    /// Its name.
    pub name: String,
    /// The digest of its text.
    #[diesel(deserialize_as = Digest)]
    pub digest: KeyDigest,
    /// The last 4 digits of its text.
    #[diesel(deserialize_as = LastFourText)]
    pub last_four: LastFour,
    /// Whether it was issued elsewhere, and so may have no check digits.
    pub foreign_text: bool,
    /// What is shown as its rate limit, as JSON: a string or a number. Never enforced.
    pub display_rate_limit: Option<String>,
    /// From when on it is refused.
    #[diesel(deserialize_as = MaybeMillis)]
    pub expires_at: Option<Timestamp>,
    /// The key that replaced it, if it was rotated and lives out a grace period.
    #[diesel(deserialize_as = MaybeId<ApiKeyKind>)]
    pub rotated_to: Option<ApiKeyId>,
    /// How often it was changed.
    #[diesel(deserialize_as = VersionNumber)]
    pub version: Version,
    /// When it was made.
    #[diesel(deserialize_as = Millis)]
    pub created_at: Timestamp,
    /// The user who made it, who may have been removed since; `None` when the operator did, or a release that kept no note.
    #[diesel(deserialize_as = MaybeId<UserKind>)]
    pub created_by: Option<UserId>,
}

/// When and from where a key was last used.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = api_key_uses)]
pub struct LastUse {
    /// When.
    #[diesel(deserialize_as = Millis, column_name = last_used_at)]
    pub at: Timestamp,
    /// The client's address.
    #[diesel(column_name = last_used_ip)]
    pub ip: String,
}

/// What a list of keys may be narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Keys of this user.
    pub owner: Option<UserId>,
    /// Keys with this role.
    pub role: Option<RoleId>,
    /// Keys whose name contains this text, in whatever case.
    pub name: Option<String>,
}

/// Adds a key.
///
/// # Errors
///
/// [`StoreError::Taken`] when a key with this digest exists, [`StoreError::Referenced`] when its owner or role does not.
pub fn insert(tx: &mut Tx<'_>, key: &ApiKey) -> Result<(), StoreError> {
    diesel::insert_into(api_keys::table)
        .values((
            api_keys::id.eq(key.id.to_string()),
            api_keys::workspace_id.eq(key.workspace.to_string()),
            api_keys::owner_id.eq(key.owner.to_string()),
            api_keys::role_id.eq(key.role.map(|role| role.to_string())),
            api_keys::name.eq(&key.name),
            api_keys::digest.eq(key.digest.as_bytes().to_vec()),
            api_keys::last_four.eq(key.last_four.to_string()),
            api_keys::foreign_text.eq(key.foreign_text),
            api_keys::display_rate_limit.eq(&key.display_rate_limit),
            api_keys::expires_at.eq(key.expires_at.map(Timestamp::as_millis)),
            api_keys::rotated_to.eq(key.rotated_to.map(|next| next.to_string())),
            api_keys::version.eq(key.version.number()),
            api_keys::created_at.eq(key.created_at.as_millis()),
            api_keys::created_by.eq(key.created_by.map(|user| user.to_string())),
        ))
        .execute(tx.connection)?;
    note_first(tx, key.workspace, key.id, NEVER, "")
}

/// The instant that stands for never in `last_used_at`: a key that was not used yet has a row there too.
pub(crate) const NEVER: Timestamp = Timestamp::from_millis(0);

fn note_first(
    tx: &mut Tx<'_>,
    workspace: WorkspaceId,
    key: ApiKeyId,
    at: Timestamp,
    ip: &str,
) -> Result<(), StoreError> {
    diesel::insert_into(api_key_uses::table)
        .values((
            api_key_uses::key_id.eq(key.to_string()),
            api_key_uses::last_used_at.eq(at.as_millis()),
            api_key_uses::last_used_ip.eq(ip),
            api_key_uses::workspace_id.eq(workspace.to_string()),
        ))
        .execute(tx.connection)?;
    Ok(())
}

/// The key with its last use, if there was one.
pub(crate) fn with_use((key, last): (ApiKey, Option<LastUse>)) -> (ApiKey, Option<LastUse>) {
    (key, last.filter(|last| last.at > NEVER))
}

/// The key with this id within `reach`, and its last use.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn find(
    tx: &mut Tx<'_>,
    reach: &Reach,
    id: ApiKeyId,
) -> Result<Option<(ApiKey, Option<LastUse>)>, StoreError> {
    let mut query = api_keys::table
        .left_join(api_key_uses::table)
        .filter(api_keys::id.eq(id.to_string()))
        .filter(api_keys::workspace_id.eq(reach.workspace().to_string()))
        .select((ApiKey::as_select(), Option::<LastUse>::as_select()))
        .into_boxed();
    if let Some(user) = reach.own() {
        query = query.filter(api_keys::owner_id.eq(user.to_string()));
    }
    if let Some(user) = reach.team() {
        query = query.filter(api_keys::owner_id.eq_any(reach::teammates(tx, user)?));
    }
    Ok(query.first(tx.connection).optional()?.map(with_use))
}

/// The keys within `reach`, newest first.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn list(
    tx: &mut Tx<'_>,
    reach: &Reach,
    filter: &Filter,
    page: &Page<ApiKeyId>,
) -> Result<Vec<(ApiKey, Option<LastUse>)>, StoreError> {
    let mut query = api_keys::table
        .left_join(api_key_uses::table)
        .filter(api_keys::workspace_id.eq(reach.workspace().to_string()))
        .select((ApiKey::as_select(), Option::<LastUse>::as_select()))
        .order(api_keys::id.desc())
        .limit(i64::from(page.limit))
        .into_boxed();
    if let Some(user) = reach.own() {
        query = query.filter(api_keys::owner_id.eq(user.to_string()));
    }
    if let Some(user) = reach.team() {
        query = query.filter(api_keys::owner_id.eq_any(reach::teammates(tx, user)?));
    }
    if let Some(owner) = filter.owner {
        query = query.filter(api_keys::owner_id.eq(owner.to_string()));
    }
    if let Some(role) = filter.role {
        query = query.filter(api_keys::role_id.eq(role.to_string()));
    }
    if let Some(name) = &filter.name {
        query = query
            .filter(reach::lower(api_keys::name).like(reach::lower(reach::containing(name))).escape('\\'));
    }
    if let Some(after) = page.after {
        query = query.filter(api_keys::id.lt(after.to_string()));
    }
    Ok(query.load(tx.connection)?.into_iter().map(with_use).collect())
}

/// The key of this workspace with this id, whoever asks: for a key that acts on itself.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn by_id(tx: &mut Tx<'_>, workspace: WorkspaceId, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
    let query = api_keys::table
        .filter(api_keys::workspace_id.eq(workspace.to_string()))
        .filter(api_keys::id.eq(id.to_string()))
        .select(ApiKey::as_select());
    Ok(query.first(tx.connection).optional()?)
}

/// Every key of a user, for those who remove the user.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn of_owner(tx: &mut Tx<'_>, owner: UserId) -> Result<Vec<ApiKey>, StoreError> {
    let query = api_keys::table.filter(api_keys::owner_id.eq(owner.to_string())).select(ApiKey::as_select());
    Ok(query.load(tx.connection)?)
}

/// How many keys within `reach` a user has.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn count_of_owner(tx: &mut Tx<'_>, within: &Reach, owner: UserId) -> Result<i64, StoreError> {
    let mut query = api_keys::table
        .filter(api_keys::workspace_id.eq(within.workspace().to_string()))
        .filter(api_keys::owner_id.eq(owner.to_string()))
        .into_boxed();
    if let Some(user) = within.own() {
        query = query.filter(api_keys::owner_id.eq(user.to_string()));
    }
    if let Some(user) = within.team() {
        query = query.filter(api_keys::owner_id.eq_any(reach::teammates(tx, user)?));
    }
    Ok(query.count().get_result(tx.connection)?)
}

/// Writes the changeable columns of a key that still has the version before; `false` when it has not.
///
/// # Errors
///
/// [`StoreError::Referenced`] when its owner or role does not exist.
pub fn update(tx: &mut Tx<'_>, key: &ApiKey) -> Result<bool, StoreError> {
    let unchanged = api_keys::table
        .filter(api_keys::id.eq(key.id.to_string()))
        .filter(api_keys::version.eq(key.version.number()));
    let changed = diesel::update(unchanged)
        .set((
            api_keys::owner_id.eq(key.owner.to_string()),
            api_keys::name.eq(&key.name),
            api_keys::display_rate_limit.eq(&key.display_rate_limit),
            api_keys::expires_at.eq(key.expires_at.map(Timestamp::as_millis)),
            api_keys::rotated_to.eq(key.rotated_to.map(|next| next.to_string())),
            api_keys::version.eq(key.version.next().number()),
        ))
        .execute(tx.connection)?;
    Ok(changed == 1)
}

/// Removes a key; `false` when there is none.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn delete(tx: &mut Tx<'_>, id: ApiKeyId) -> Result<bool, StoreError> {
    let removed =
        diesel::delete(api_keys::table.filter(api_keys::id.eq(id.to_string()))).execute(tx.connection)?;
    Ok(removed == 1)
}

/// What a request with a key of this digest is judged by.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn record(tx: &mut Tx<'_>, digest: &KeyDigest) -> Result<Option<KeyRecord>, StoreError> {
    let query =
        api_keys::table.filter(api_keys::digest.eq(digest.as_bytes().to_vec())).select(ApiKey::as_select());
    let Some(key) = query.first(tx.connection).optional()? else { return Ok(None) };
    let permissions = match key.role {
        Some(role) => roles::find(tx, key.workspace, role)?.map(|role| role.permissions()),
        None => workspaces::find(tx, key.workspace)?.map(|workspace| workspace.default_permissions),
    };
    Ok(Some(KeyRecord {
        id: key.id,
        digest: key.digest,
        workspace: key.workspace,
        owner: key.owner,
        name: key.name,
        last_four: key.last_four,
        role: key.role,
        // A role or workspace that is gone grants nothing.
        permissions: permissions.unwrap_or_default(),
        expires_at: key.expires_at,
    }))
}

/// Whether any key was issued elsewhere: while none was, wrong check digits are refused without a look-up.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn any_foreign(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    Ok(foreign().first::<String>(tx.connection).optional()?.is_some())
}

/// As the partial index has it: compared with a parameter, SQLite would read the whole table, and a start among a million
/// keys took a second.
#[diesel::dsl::auto_type]
fn foreign() -> _ {
    api_keys::table.filter(api_keys::foreign_text).select(api_keys::id)
}

/// Which of these keys are there, and keeps them there until the transaction ends: first thing for whoever writes rows that
/// belong to keys. Keys that another transaction is about to delete are left out rather than waited for, and so the two never wait
/// for each other.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn keep(tx: &mut Tx<'_>, keys: &[ApiKeyId]) -> Result<HashSet<ApiKeyId>, StoreError> {
    let wanted: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let found = api_keys::table.filter(api_keys::id.eq_any(wanted)).select(api_keys::id);
    let kept: Vec<String> = match tx.connection {
        // Whoever writes is alone.
        AnyConnection::Sqlite(connection) => found.load(connection)?,
        AnyConnection::Postgres(connection) => found.for_key_share().skip_locked().load(connection)?,
    };
    Ok(kept.iter().filter_map(|id| ApiKeyId::parse(id).ok()).collect())
}

/// Notes the last uses of keys; those of keys that are gone are dropped.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn note_uses(tx: &mut Tx<'_>, uses: &[(ApiKeyId, LastUse)]) -> Result<(), StoreError> {
    let mut uses: Vec<_> = uses.iter().collect();
    // Two nodes that note the same keys take their rows in the same order, and so never wait for each other in a ring.
    uses.sort_by_key(|(key, _)| *key);
    for (key, last) in uses {
        let id = key.to_string();
        let values =
            (api_key_uses::last_used_at.eq(last.at.as_millis()), api_key_uses::last_used_ip.eq(&last.ip));
        let earlier = api_key_uses::table
            .filter(api_key_uses::key_id.eq(&id))
            .filter(api_key_uses::last_used_at.le(last.at.as_millis()));
        if diesel::update(earlier).set(values).execute(tx.connection)? == 1 {
            continue;
        }
        let known = api_key_uses::table
            .filter(api_key_uses::key_id.eq(&id))
            .count()
            .get_result::<i64>(tx.connection)?;
        // A key that another release of the program made has no row yet; a key that is gone needs none.
        if known == 0 {
            let alive = api_keys::table.filter(api_keys::id.eq(&id)).select(ApiKey::as_select());
            if let Some(alive) = alive.first(tx.connection).optional()? {
                note_first(tx, alive.workspace, alive.id, last.at, &last.ip)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use diesel::{debug_query, sqlite::Sqlite};

    use super::*;
    use crate::plan;

    #[test]
    fn keys_issued_elsewhere_are_looked_for_without_reading_the_others() {
        let steps = plan::steps(&debug_query::<Sqlite, _>(&foreign()).to_string());
        assert_eq!(steps, ["SCAN api_keys USING INDEX api_keys_foreign"]);
    }
}
