//! Idempotency keys: what a POST made, so that its repetition makes nothing more. Never an answer, which may hold a key.

use diesel::prelude::*;
use harmony_access::Timestamp;
use harmony_key::Fingerprint;

use crate::{StoreError, Tx, schema::idempotency_keys};

/// How long a repetition is recognised, in milliseconds: 24 hours.
pub const KEPT_MS: i64 = 86_400_000;

/// What is known of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// The same request made this resource.
    Repetition(String),
    /// It was used with another request.
    OtherRequest,
}

/// What `principal` used this key for, in the last 24 hours.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn find(
    tx: &mut Tx<'_>,
    principal: &str,
    key: &str,
    fingerprint: Fingerprint,
    now: Timestamp,
) -> Result<Option<Known>, StoreError> {
    let query = idempotency_keys::table
        .filter(idempotency_keys::principal_id.eq(principal))
        .filter(idempotency_keys::idempotency_key.eq(key))
        .filter(idempotency_keys::created_at.gt(now.as_millis() - KEPT_MS))
        .select((idempotency_keys::fingerprint, idempotency_keys::resource_id));
    let known: Option<(Vec<u8>, String)> = query.first(tx.connection).optional()?;
    Ok(known.map(|(stored, resource)| {
        if stored == fingerprint.as_bytes() { Known::Repetition(resource) } else { Known::OtherRequest }
    }))
}

/// Notes what was made, and forgets what is older than 24 hours.
///
/// # Errors
///
/// [`StoreError::Taken`] when the key was noted meanwhile.
pub fn note(
    tx: &mut Tx<'_>,
    principal: &str,
    key: &str,
    fingerprint: Fingerprint,
    resource: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let old = idempotency_keys::created_at.le(now.as_millis() - KEPT_MS);
    diesel::delete(idempotency_keys::table.filter(old)).execute(tx.connection)?;
    diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::principal_id.eq(principal),
            idempotency_keys::idempotency_key.eq(key),
            idempotency_keys::fingerprint.eq(fingerprint.as_bytes().to_vec()),
            idempotency_keys::resource_id.eq(resource),
            idempotency_keys::created_at.eq(now.as_millis()),
        ))
        .execute(tx.connection)?;
    Ok(())
}
