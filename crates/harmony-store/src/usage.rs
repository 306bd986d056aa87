//! How many requests came with each key, by hour and by day, and how they were answered.

use std::{collections::BTreeMap, time::Duration};

use diesel::prelude::*;
use harmony_access::{ApiKeyId, Timestamp};

use crate::{StoreError, Tx, schema::api_key_usage};

/// How wide a bucket of the counts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// Kept for [`HOURS_KEPT`].
    Hour,
    /// Kept for [`DAYS_KEPT`]. Days begin at midnight in UTC.
    Day,
}

/// How long hours are kept: two days, and the hour that has begun.
pub const HOURS_KEPT: Duration = Duration::from_secs(49 * 3_600);
/// How long days are kept.
pub const DAYS_KEPT: Duration = Duration::from_secs(91 * 86_400);

impl Grain {
    /// The width, in seconds.
    #[must_use]
    pub const fn secs(self) -> i64 {
        match self {
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// When the bucket began that `at` is in.
    #[must_use]
    pub const fn start(self, at: Timestamp) -> Timestamp {
        let width = self.secs() * 1_000;
        Timestamp::from_millis(at.as_millis().div_euclid(width) * width)
    }
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// 2xx and 3xx.
    Success,
    /// 401: the key had expired.
    Unauthorized,
    /// 403: the key lacks a permission.
    Forbidden,
    /// 429: the client was over the rate limit.
    TooManyRequests,
    /// Any other 4xx.
    ClientError,
    /// 5xx.
    ServerError,
}

impl Outcome {
    /// All of them, in the order that people look for them.
    pub const ALL: [Self; 6] = [
        Self::Success,
        Self::ClientError,
        Self::Unauthorized,
        Self::Forbidden,
        Self::TooManyRequests,
        Self::ServerError,
    ];

    /// Of a status.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            429 => Self::TooManyRequests,
            400..=499 => Self::ClientError,
            500.. => Self::ServerError,
            _ => Self::Success,
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "2xx",
            Self::Unauthorized => "401",
            Self::Forbidden => "403",
            Self::TooManyRequests => "429",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// Requests of one key within one hour that were answered alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counted {
    /// The key.
    pub key: ApiKeyId,
    /// When the hour began.
    pub hour: Timestamp,
    /// How they were answered.
    pub outcome: Outcome,
    /// How many.
    pub requests: u64,
}

/// Adds requests to the counts, in one statement: those of several processes add up. The keys are there: see
/// [`api_keys::keep`](crate::api_keys::keep).
///
/// # Errors
///
/// When the database cannot be asked.
pub fn add(tx: &mut Tx<'_>, counted: &[Counted]) -> Result<(), StoreError> {
    // In the order of the rows, so that two processes never wait for each other in a ring.
    let mut rows: BTreeMap<(ApiKeyId, Grain, i64, Outcome), u64> = BTreeMap::new();
    for one in counted {
        for grain in [Grain::Hour, Grain::Day] {
            let row = (one.key, grain, grain.start(one.hour).as_millis(), one.outcome);
            *rows.entry(row).or_default() += one.requests;
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    // Ids, numbers and the names of outcomes are this program's own and hold no quotes: nothing is bound, because neither
    // database takes as many parameters as this has values.
    let values: Vec<String> = rows
        .iter()
        .map(|((key, grain, start, outcome), requests)| {
            format!("('{key}', {}, {start}, '{}', {requests})", grain.secs(), outcome.as_str())
        })
        .collect();
    let statement = format!(
        "INSERT INTO api_key_usage (key_id, grain_secs, starts_at, outcome, requests) VALUES {} \
         ON CONFLICT (key_id, grain_secs, starts_at, outcome) \
         DO UPDATE SET requests = api_key_usage.requests + excluded.requests",
        values.join(", ")
    );
    diesel::sql_query(statement).execute(tx.connection)?;
    Ok(())
}

/// The counts of a key from an instant on: the start of each bucket, how its requests were answered, and how many.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn of_key(
    tx: &mut Tx<'_>,
    key: ApiKeyId,
    grain: Grain,
    from: Timestamp,
) -> Result<Vec<(Timestamp, Outcome, u64)>, StoreError> {
    let rows: Vec<(i64, String, i64)> = api_key_usage::table
        .filter(api_key_usage::key_id.eq(key.to_string()))
        .filter(api_key_usage::grain_secs.eq(grain.secs()))
        .filter(api_key_usage::starts_at.ge(from.as_millis()))
        .order((api_key_usage::starts_at.asc(), api_key_usage::outcome.asc()))
        .select((api_key_usage::starts_at, api_key_usage::outcome, api_key_usage::requests))
        .load(tx.connection)?;
    let known = rows.into_iter().filter_map(|(start, outcome, requests)| {
        let requests = u64::try_from(requests).unwrap_or(0);
        Some((Timestamp::from_millis(start), Outcome::named(&outcome)?, requests))
    });
    Ok(known.collect())
}

/// Forgets what is older than it is kept.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn prune(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    for (grain, kept) in [(Grain::Hour, HOURS_KEPT), (Grain::Day, DAYS_KEPT)] {
        let old = api_key_usage::table
            .filter(api_key_usage::grain_secs.eq(grain.secs()))
            .filter(api_key_usage::starts_at.lt(now.minus(kept).as_millis()));
        diesel::delete(old).execute(tx.connection)?;
    }
    Ok(())
}
