//! API keys as a table for people: with the names of those they belong to, filtered, sorted and cut into pages.

use diesel::prelude::*;
use harmony_access::{Reach, RoleId, Timestamp, UserId};

use crate::{
    StoreError, Tx,
    api_keys::{ApiKey, LastUse},
    reach,
    schema::{api_key_uses, api_keys, roles, users},
};

/// The last row that a page may begin at. Rows before a page have to be walked past; who is looking for one key among so
/// many searches, and does not turn pages.
pub const MAX_OFFSET: u32 = 10_000;

/// What a key is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    /// When it was made.
    #[default]
    Created,
    /// Its name, in whatever case.
    Name,
    /// When it was last used; keys that never were are left out.
    LastUsed,
    /// When it expires; keys that never do are left out.
    Expiration,
}

/// What a key may be narrowed to by its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Accepted now.
    Active,
    /// Accepted now, and not beyond this instant.
    ExpiringBy(Timestamp),
    /// Refused since it expired.
    Expired,
    /// Never used.
    Unused,
}

/// Which rows, in which order.
#[derive(Debug, Clone, Default)]
pub struct KeyQuery {
    /// Names that contain this text in whatever case, or keys that end in these 4 digits.
    pub text: Option<String>,
    /// Keys of this user.
    pub owner: Option<UserId>,
    /// Keys with this role.
    pub role: Option<RoleId>,
    /// Keys in this state.
    pub state: Option<KeyState>,
    /// The order.
    pub sort: SortBy,
    /// From the first to the last, rather than from the last to the first.
    pub ascending: bool,
    /// How many rows to pass over, [`MAX_OFFSET`] at most.
    pub offset: u32,
    /// How many rows at most.
    pub limit: u32,
}

/// A key with the names of its owner and its role.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRow {
    /// The key.
    pub key: ApiKey,
    /// When and from where it was last used.
    pub last_use: Option<LastUse>,
    /// The name of the user it acts for.
    pub owner: String,
    /// The name of its role.
    pub role: Option<String>,
}

type Columns = (ApiKey, Option<LastUse>, String, Option<String>);

impl From<Columns> for KeyRow {
    fn from((key, last_use, owner, role): Columns) -> Self {
        Self { key, last_use, owner, role }
    }
}

/// The rows within `reach`.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn list(
    tx: &mut Tx<'_>,
    within: &Reach,
    wanted: &KeyQuery,
    now: Timestamp,
) -> Result<Vec<KeyRow>, StoreError> {
    let mut query = api_keys::table
        .left_join(api_key_uses::table)
        .inner_join(users::table.on(users::id.eq(api_keys::owner_id)))
        .left_join(roles::table.on(roles::id.nullable().eq(api_keys::role_id)))
        .filter(api_keys::workspace_id.eq(within.workspace().to_string()))
        .select((ApiKey::as_select(), Option::<LastUse>::as_select(), users::name, roles::name.nullable()))
        .offset(i64::from(wanted.offset.min(MAX_OFFSET)))
        .limit(i64::from(wanted.limit))
        .into_boxed();
    if let Some(user) = within.own() {
        query = query.filter(api_keys::owner_id.eq(user.to_string()));
    }
    if let Some(user) = within.team() {
        query = query.filter(api_keys::owner_id.eq_any(reach::teammates(tx, user)?));
    }
    if let Some(owner) = wanted.owner {
        query = query.filter(api_keys::owner_id.eq(owner.to_string()));
    }
    if let Some(role) = wanted.role {
        query = query.filter(api_keys::role_id.eq(role.to_string()));
    }
    if let Some(text) = &wanted.text {
        let named = reach::lower(api_keys::name).like(reach::lower(reach::containing(text))).escape('\\');
        query = query.filter(named.or(api_keys::last_four.eq(text.to_lowercase())));
    }
    let now = now.as_millis();
    query = match wanted.state {
        None => query,
        Some(KeyState::Active) => {
            query.filter(api_keys::expires_at.is_null().or(api_keys::expires_at.gt(now)))
        }
        Some(KeyState::ExpiringBy(end)) => {
            query.filter(api_keys::expires_at.gt(now).and(api_keys::expires_at.le(end.as_millis())))
        }
        Some(KeyState::Expired) => query.filter(api_keys::expires_at.le(now)),
        Some(KeyState::Unused) => query.filter(api_key_uses::key_id.is_null()),
    };
    query = match (wanted.sort, wanted.ascending) {
        (SortBy::Created, true) => query.order(api_keys::id.asc()),
        (SortBy::Created, false) => query.order(api_keys::id.desc()),
        (SortBy::Name, true) => query.order((reach::lower(api_keys::name).asc(), api_keys::id.asc())),
        (SortBy::Name, false) => query.order((reach::lower(api_keys::name).desc(), api_keys::id.desc())),
        (SortBy::LastUsed, true) => {
            query.filter(api_key_uses::key_id.is_not_null()).order(api_key_uses::last_used_at.asc())
        }
        (SortBy::LastUsed, false) => {
            query.filter(api_key_uses::key_id.is_not_null()).order(api_key_uses::last_used_at.desc())
        }
        (SortBy::Expiration, ascending) => {
            let ending = query.filter(api_keys::expires_at.is_not_null());
            if ascending {
                ending.order((api_keys::expires_at.asc(), api_keys::id.asc()))
            } else {
                ending.order((api_keys::expires_at.desc(), api_keys::id.desc()))
            }
        }
    };
    let rows: Vec<Columns> = query.load(tx.connection)?;
    Ok(rows.into_iter().map(KeyRow::from).collect())
}
