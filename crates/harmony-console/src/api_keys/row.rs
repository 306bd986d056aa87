//! A key as the pages show it.

use std::time::Duration;

use harmony_access::Timestamp;
use harmony_store::{api_keys::LastUse, key_table::KeyRow};
use harmony_workspace::DisplayRateLimit;

use crate::words::{self, Moment};

/// From when on it is said that a key expires soon.
pub(super) const SOON: Duration = Duration::from_secs(7 * 86_400);
/// A key that was used within this time is in use: deleting it breaks something.
const IN_USE: Duration = Duration::from_secs(30 * 86_400);

pub(super) struct Row {
    pub id: String,
    pub name: String,
    pub last_four: String,
    pub role: String,
    pub owner: String,
    pub limit: String,
    pub created: Moment,
    pub creator: Option<Creator>,
    pub used: Option<Moment>,
    pub from: String,
    pub in_use: bool,
    /// Requests in 24 hours, where that was asked.
    pub recent: Option<String>,
    pub expires: Option<Moment>,
    /// `expired`, `soon`, or nothing.
    pub badge: &'static str,
    /// A successor takes over from it.
    pub rotated: bool,
}

/// Who made a key.
pub(super) enum Creator {
    /// By their name.
    Named(String),
    /// By what was their id.
    Removed(String),
}

impl Row {
    pub(super) fn new(row: &KeyRow, now: Timestamp) -> Self {
        let KeyRow { key, last_use, owner, role, creator } = row;
        let limit = key.display_rate_limit.as_deref().and_then(DisplayRateLimit::from_column);
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            last_four: key.last_four.to_string(),
            role: role.clone().unwrap_or_else(|| "Default".to_owned()),
            owner: owner.clone(),
            limit: limit.map_or_else(|| "–".to_owned(), shown_limit),
            created: Moment::new(key.created_at, now),
            creator: key.created_by.map(|id| match creator {
                Some(name) => Creator::Named(name.clone()),
                None => Creator::Removed(id.to_string()),
            }),
            used: last_use.as_ref().map(|last| Moment::new(last.at, now)),
            from: last_use.as_ref().map_or_else(String::new, |last| last.ip.clone()),
            recent: None,
            in_use: last_use.as_ref().is_some_and(|last| is_recent(last, now)),
            expires: key.expires_at.map(|at| Moment::new(at, now)),
            rotated: key.rotated_to.is_some(),
            badge: key.expires_at.map_or("", |at| badge(at, now)),
        }
    }
}

fn shown_limit(limit: DisplayRateLimit) -> String {
    match limit {
        DisplayRateLimit::Number(number) => {
            number.as_i64().map_or_else(|| number.to_string(), words::thousands)
        }
        DisplayRateLimit::Text(text) => text,
    }
}

fn is_recent(last: &LastUse, now: Timestamp) -> bool {
    last.at.plus(IN_USE) > now
}

fn badge(expires_at: Timestamp, now: Timestamp) -> &'static str {
    if expires_at <= now {
        "expired"
    } else if expires_at <= now.plus(SOON) {
        "soon"
    } else {
        ""
    }
}
