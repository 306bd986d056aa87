//! API keys as a table for people: narrowed, sorted and paged in either direction, with the names that it shows.
//!
//! It must stay quick among hundreds of thousands of keys, and neither database can be left to choose how: SQLite keeps no
//! statistics of its own. So each narrowing is first counted, up to a bound, along an index of its own. If one of them
//! leaves few keys, those are gathered and sorted; if all leave many, the index of the wanted order is walked, and a page
//! is full after few steps.

mod cursor;
mod names;
mod query;

use std::collections::HashMap;

use diesel::prelude::*;
use harmony_access::{Reach, RoleId, Timestamp, UserId};

use crate::{
    StoreError, Tx,
    api_keys::{ApiKey, LastUse, NEVER, with_use},
    reach,
    schema::{api_key_uses, api_keys, roles, users},
};
use cursor::{Side, Value};
use query::Narrowing;

pub use cursor::Cursor;

/// The most keys of a list that are counted; of those that fit a text, fewer.
pub const MAX_COUNTED: usize = 10_000;
/// How long before its end a key is said to expire soon, in milliseconds: 7 days.
pub const EXPIRING_MS: i64 = 7 * 86_400_000;
/// How long a key was not used that is said to be idle, in milliseconds: 90 days.
pub const IDLE_MS: i64 = 90 * 86_400_000;
/// Where a key that never expires stands among expirations: after the year 9999. The index says the same number.
const NEVER_EXPIRES: i64 = 253_402_300_800_000;

/// What the list is sorted by. Keys that are equal in it are told apart by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SortBy {
    /// When they were made.
    #[default]
    Created,
    /// Their names, in lower case.
    Name,
    /// When they were last used; those that never were come before all others.
    LastUsed,
    /// When they expire; those that never do come after all others.
    Expiration,
}

/// Which keys are wanted, in which order, and which page of them. By default the first, with the newest key first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyQuery {
    /// Keys whose name contains this text, in whatever case, or whose last 4 digits it is.
    pub text: Option<String>,
    /// Keys of this user.
    pub owner: Option<UserId>,
    /// Keys with this role.
    pub role: Option<KeyRole>,
    /// Keys in this state.
    pub state: Option<KeyState>,
    /// The order.
    pub sort: SortBy,
    /// From the first to the last, rather than from the last to the first.
    pub ascending: bool,
    /// Beside which row the page lies; `None` is the first page.
    pub cursor: Option<Cursor>,
    /// How many rows at most.
    pub limit: u32,
}

/// What role a key is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRole {
    /// This one.
    Is(RoleId),
    /// None: it has the workspace's default key permissions.
    Default,
}

/// What a key is like at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// It has not expired.
    Active,
    /// It expires within the next [`EXPIRING_MS`].
    Expiring,
    /// It has expired.
    Expired,
    /// It was never used.
    Unused,
    /// It was not used for [`IDLE_MS`], or never.
    Idle,
}

/// One row of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRow {
    /// The key.
    pub key: ApiKey,
    /// Its last use.
    pub last_use: Option<LastUse>,
    /// The name of its owner.
    pub owner: String,
    /// The name of its role, if it has one.
    pub role: Option<String>,
    /// The name of who made it, if they are known and still there.
    pub creator: Option<String>,
}

/// A page of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyPage {
    /// Its rows, in the order that was asked for.
    pub rows: Vec<KeyRow>,
    /// Where the page before lies; `None` on the first.
    pub before: Option<Cursor>,
    /// Where the page after lies; `None` on the last.
    pub after: Option<Cursor>,
    /// How many keys the whole list has.
    pub total: Total,
}

/// How many keys there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// So many.
    Exactly(usize),
    /// More than so many; nobody waited for the rest to be counted.
    MoreThan(usize),
}

/// A page of the keys within `reach` that are wanted, as they are at `now`.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn page(
    tx: &mut Tx<'_>,
    reach: &Reach,
    wanted: &KeyQuery,
    now: Timestamp,
) -> Result<KeyPage, StoreError> {
    let narrowing = Narrowing::of(tx, reach, wanted, now)?;
    let probed = narrowing.probe(tx)?;
    let backwards = wanted.cursor.as_ref().is_some_and(|cursor| cursor.side == Side::Before);
    // One row more than wanted, to know whether there is another page.
    let mut ids = narrowing.ids(tx, &probed, wanted, i64::from(wanted.limit) + 1)?;
    let limit = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    let more = ids.len() > limit;
    ids.truncate(limit);
    if backwards {
        ids.reverse();
    }
    let rows = rows(tx, reach, &ids)?;
    let beside = |row: Option<&(KeyRow, String)>, side| row.map(|row| cursor_at(row, wanted.sort, side));
    let before = if backwards { more } else { wanted.cursor.is_some() };
    let after = backwards || more;
    let (before, after) = (
        beside(rows.first().filter(|_| before), Side::Before),
        beside(rows.last().filter(|_| after), Side::After),
    );
    let total = match probed.total {
        Some(total) => total,
        None if before.is_none() && after.is_none() && wanted.cursor.is_none() => Total::Exactly(rows.len()),
        None if after.is_some() => Total::MoreThan(rows.len()),
        None => Total::MoreThan(rows.len().saturating_sub(1)),
    };
    Ok(KeyPage { rows: rows.into_iter().map(|(row, _)| row).collect(), before, after, total })
}

/// The rows with these ids and their names in lower case, in this order.
fn rows(tx: &mut Tx<'_>, reach: &Reach, ids: &[String]) -> Result<Vec<(KeyRow, String)>, StoreError> {
    type Found = (ApiKey, Option<LastUse>, String, Option<String>, Option<String>, String);
    let creators = diesel::alias!(users as creators);
    let (creator_id, creator_name) = (creators.field(users::id), creators.field(users::name));
    let query = api_keys::table
        .left_join(api_key_uses::table)
        .inner_join(users::table.on(users::id.eq(api_keys::owner_id)))
        .left_join(roles::table.on(roles::id.nullable().eq(api_keys::role_id)))
        .left_join(creators.on(creator_id.nullable().eq(api_keys::created_by)))
        .filter(api_keys::id.eq_any(ids))
        .filter(api_keys::workspace_id.concat("").eq(reach.workspace().to_string()))
        .select((
            ApiKey::as_select(),
            Option::<LastUse>::as_select(),
            users::name,
            roles::name.nullable(),
            creator_name.nullable(),
            reach::lower(api_keys::name),
        ));
    let found: Vec<Found> = query.load(tx.connection)?;
    let row = |(key, last_use, owner, role, creator, folded): Found| {
        let (key, last_use) = with_use((key, last_use));
        (key.id.to_string(), (KeyRow { key, last_use, owner, role, creator }, folded))
    };
    let mut by_id: HashMap<String, (KeyRow, String)> = found.into_iter().map(row).collect();
    Ok(ids.iter().filter_map(|id| by_id.remove(id)).collect())
}

fn cursor_at((row, folded): &(KeyRow, String), sort: SortBy, side: Side) -> Cursor {
    let value = match sort {
        SortBy::Created => Value::Id,
        SortBy::Name => Value::Name(folded.clone()),
        SortBy::LastUsed => Value::Millis(row.last_use.as_ref().map_or(NEVER, |last| last.at).as_millis()),
        SortBy::Expiration => Value::Millis(row.key.expires_at.map_or(NEVER_EXPIRES, Timestamp::as_millis)),
    };
    Cursor { side, id: row.key.id, value }
}
