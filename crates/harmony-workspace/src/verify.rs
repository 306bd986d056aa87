//! Verifying keys for services that cannot embed the check themselves.

use std::sync::Arc;

use harmony_access::{KeyRecord, Principal};
use harmony_key::PresentedKey;
use harmony_permission::{Permission, catalogue};
use harmony_store::api_keys;

use crate::{Error, Occasion, Workspace, workspace::require_all};

/// What a key turned out to be.
#[derive(Debug)]
pub enum Verdict {
    /// It is alive, and holds what was asked for.
    Valid(Arc<KeyRecord>),
    /// It is no key of the actor's workspace: malformed, unknown, deleted, or another's.
    Invalid,
    /// It has expired.
    Expired(Arc<KeyRecord>),
    /// It is alive, and lacks the permission that was asked for.
    Lacking(Arc<KeyRecord>),
}

/// Judges a key as this very moment's request with it would be judged. It reads the store, so that no cache is in between.
///
/// # Errors
///
/// Without `api-keys:verify:all`.
pub fn verify(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    presented: Option<PresentedKey<'_>>,
    wanted: Option<Permission>,
) -> Result<Verdict, Error> {
    require_all(actor, catalogue::API_KEYS_VERIFY)?;
    let Some(digest) = presented.map(PresentedKey::digest) else { return Ok(Verdict::Invalid) };
    let found = workspace.read(|tx| Ok(api_keys::record(tx, &digest)?))?;
    let Some(record) = found.filter(|key| key.workspace == actor.workspace()).map(Arc::new) else {
        return Ok(Verdict::Invalid);
    };
    if Principal::of_key(Arc::clone(&record), occasion.now).is_err() {
        return Ok(Verdict::Expired(record));
    }
    if wanted.is_some_and(|wanted| !record.permissions.allows(&wanted)) {
        return Ok(Verdict::Lacking(record));
    }
    Ok(Verdict::Valid(record))
}
