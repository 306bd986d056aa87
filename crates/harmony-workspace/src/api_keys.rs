//! API keys: issue, list, change, rotate, delete, import.

use std::time::Duration;

use harmony_access::{ApiKeyId, Principal, Reach, Revocation, RoleId, Timestamp, UserId};
use harmony_key::{ApiKey as KeyText, PresentedKey};
use harmony_permission::{PermissionSet, Scope, catalogue};
use harmony_store::{
    Page, StoreError, Tx, Version,
    api_keys::{self, ApiKey, Filter, LastUse},
    revocations, roles, users, workspaces,
};
use serde_json::json;

use crate::{
    Answered, Conflict, DisplayRateLimit, Error, Occasion, Once, Workspace, audit, check,
    workspace::{Idempotency, once, reach, require_all, revoke},
};

/// The longest grace period of a rotation: 30 days.
pub const MAX_GRACE: Duration = Duration::from_secs(30 * 86_400);
/// The last instant that a key may expire at: the end of the year 9999, the last that RFC 3339 can say.
pub const LAST_EXPIRATION: Timestamp = Timestamp::from_millis(253_402_300_799_999);

/// What a new key is to be.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// Its name.
    pub name: String,
    /// Whom it acts for; the actor, when `None`.
    pub owner: Option<UserId>,
    /// Its role; without one it has the workspace's default key permissions.
    pub role: Option<RoleId>,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// What is shown as its rate limit.
    pub display_rate_limit: Option<DisplayRateLimit>,
}

/// What is to change of a key; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct ApiKeyChange {
    /// Another name.
    pub name: Option<String>,
    /// Another display rate limit, or none.
    pub display_rate_limit: Option<Option<DisplayRateLimit>>,
    /// An earlier expiration.
    pub expires_at: Option<Timestamp>,
}

/// A key that was just made: the one answer that holds its text.
pub struct IssuedApiKey {
    /// The text, to be shown once.
    pub text: KeyText,
    /// What is kept of it.
    pub key: ApiKey,
}

/// A key and its last use.
pub type ListedApiKey = (ApiKey, Option<LastUse>);

/// Issues a key.
///
/// # Errors
///
/// Without `api-keys:create:all`, or with a role or default that holds more than the actor does; for a name, an owner, a
/// role or an expiration that is not well formed.
pub fn create(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    new: &NewApiKey,
    idempotency: Option<&Idempotency>,
) -> Result<Once<IssuedApiKey>, Error> {
    require_all(actor, catalogue::API_KEYS_CREATE)?;
    workspace.write(|tx| {
        once(tx, actor, occasion, idempotency, |tx| {
            let text = KeyText::draw()?;
            let mut key = checked(tx, actor, occasion, new, Lifetime::OfNewKeys)?;
            key.digest = text.digest();
            key.last_four = text.last_four();
            api_keys::insert(tx, &key)?;
            note(tx, actor, occasion, "api_key.created", &key)?;
            let id = key.id.to_string();
            Ok((IssuedApiKey { text, key }, id))
        })
    })
}

/// Takes in a key that was issued elsewhere in the same form, with or without check digits.
///
/// # Errors
///
/// As [`create`], and when a key with this text exists.
pub fn import(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    new: &NewApiKey,
    presented: PresentedKey<'_>,
) -> Result<Answered<ApiKey>, Error> {
    require_all(actor, catalogue::API_KEYS_CREATE)?;
    let (foreign_text, last_four) = (!presented.has_check_digits(), presented.last_four());
    let digest = presented.digest();
    workspace.write(|tx| {
        let mut key = checked(tx, actor, occasion, new, Lifetime::OfNewKeys)?;
        (key.foreign_text, key.last_four, key.digest) = (foreign_text, last_four, digest);
        match api_keys::insert(tx, &key) {
            Err(StoreError::Taken(_)) => return Err(Conflict::KeyExists.into()),
            other => other?,
        }
        note(tx, actor, occasion, "api_key.imported", &key)?;
        // Somebody may have tried the text before it was imported, and been remembered as unknown.
        let revoked = [Revocation::Key(key.digest)];
        Ok(revoke(tx, occasion, &revoked, key)?)
    })
}

/// How long a key may live.
#[derive(Clone, Copy)]
enum Lifetime {
    /// As long as the workspace's setting lets new keys live.
    OfNewKeys,
    /// As long as the key that it replaces.
    AsBefore,
}

/// The key as it would be kept, with a digest still to come.
fn checked(
    tx: &mut Tx<'_>,
    actor: &Principal,
    occasion: &Occasion,
    new: &NewApiKey,
    lifetime: Lifetime,
) -> Result<ApiKey, Error> {
    let settings = workspaces::find(tx, actor.workspace())?.ok_or(Error::NotFound)?;
    let name = check::name("name", &new.name)?;
    let owner = new.owner.unwrap_or(actor.user());
    users::of_workspace(tx, actor.workspace(), owner)?
        .ok_or_else(|| Error::invalid("owner", "unknown", "there is no such user in this workspace"))?;
    let granted = match new.role {
        None => settings.default_permissions,
        Some(role) => roles::find(tx, actor.workspace(), role)?
            .ok_or_else(|| Error::invalid("role", "unknown", "there is no such role in this workspace"))?
            .permissions(),
    };
    hands_out_no_more_for(actor, owner, &granted)?;
    let longest_secs = match lifetime {
        Lifetime::OfNewKeys => settings.longest_key_lifetime_secs,
        Lifetime::AsBefore => None,
    };
    expiration_is_ahead(occasion, new.expires_at, longest_secs)?;
    Ok(ApiKey {
        id: occasion.id()?,
        workspace: actor.workspace(),
        owner,
        role: new.role,
        name,
        digest: KeyText::from_secret([0; 28]).digest(),
        last_four: KeyText::from_secret([0; 28]).last_four(),
        foreign_text: false,
        display_rate_limit: new.display_rate_limit.as_ref().map(DisplayRateLimit::to_column).transpose()?,
        expires_at: new.expires_at,
        rotated_to: None,
        version: Version::FIRST,
        created_at: occasion.now,
        created_by: audit::person(actor),
    })
}

/// Nobody hands out more than they hold.
pub(crate) fn hands_out_no_more(actor: &Principal, granted: &PermissionSet) -> Result<(), Error> {
    match actor.permissions().lacking(granted).first() {
        None => Ok(()),
        Some(&required) => Err(Error::forbidden(actor, required)),
    }
}

/// The same for a key that acts for `owner`. What is another user's `own` or `team` is not the actor's, and reaches things
/// that only `all` would let the actor reach.
pub(crate) fn hands_out_no_more_for(
    actor: &Principal,
    owner: UserId,
    granted: &PermissionSet,
) -> Result<(), Error> {
    if owner == actor.user() || granted.is_everything() {
        return hands_out_no_more(actor, granted);
    }
    let widened = granted.to_permissions().into_iter().map(|permission| permission.action().at(Scope::All));
    hands_out_no_more(actor, &widened.collect())
}

/// What a key permits: its role's permissions, or the workspace's default key permissions.
pub(crate) fn granted_to(tx: &mut Tx<'_>, key: &ApiKey) -> Result<PermissionSet, Error> {
    Ok(api_keys::record(tx, &key.digest)?.map(|record| record.permissions).unwrap_or_default())
}

fn expiration_is_ahead(
    occasion: &Occasion,
    at: Option<Timestamp>,
    longest_secs: Option<i64>,
) -> Result<(), Error> {
    let wrong = |code, detail: String| Err(Error::invalid("expires_at", code, detail));
    let longest = longest_secs.and_then(|secs| u64::try_from(secs).ok()).map(Duration::from_secs);
    match (at, longest) {
        (Some(at), _) if at <= occasion.now => {
            wrong("in_the_past", "the expiration must lie ahead".to_owned())
        }
        (Some(at), _) if at > LAST_EXPIRATION => wrong("too_late", "the year 9999 is the last".to_owned()),
        (None, Some(longest)) => wrong(
            "required",
            format!("keys of this workspace live {} days at most", longest.as_secs() / 86_400),
        ),
        // An expiration by date lasts to the end of its day, which is why a day is added.
        (Some(at), Some(longest)) if at > occasion.now.plus(longest + Duration::from_secs(86_400)) => wrong(
            "too_late",
            format!("keys of this workspace live {} days at most", longest.as_secs() / 86_400),
        ),
        (Some(_) | None, _) => Ok(()),
    }
}

/// The keys within the actor's reach, newest first.
///
/// # Errors
///
/// Without `api-keys:read:team` or wider.
pub fn list(
    workspace: &Workspace,
    actor: &Principal,
    filter: &Filter,
    page: &Page<ApiKeyId>,
) -> Result<Vec<ListedApiKey>, Error> {
    let reach = reading_reach(actor)?;
    workspace.read(|tx| Ok(api_keys::list(tx, &reach, filter, page)?))
}

/// One key.
///
/// # Errors
///
/// Without `api-keys:read:team` or wider, and when there is no such key within reach.
pub fn find(workspace: &Workspace, actor: &Principal, id: ApiKeyId) -> Result<ListedApiKey, Error> {
    let reach = reading_reach(actor)?;
    workspace.read(|tx| api_keys::find(tx, &reach, id)?.ok_or(Error::NotFound))
}

/// The key that the actor made before, under an idempotency key: creating takes no permission to read.
///
/// # Errors
///
/// Without `api-keys:create:all`, and when the key is gone.
pub fn find_created(workspace: &Workspace, actor: &Principal, id: ApiKeyId) -> Result<ListedApiKey, Error> {
    let reach = reach(actor, catalogue::API_KEYS_CREATE)?;
    workspace.read(|tx| api_keys::find(tx, &reach, id)?.ok_or(Error::NotFound))
}

/// Seeing keys takes `team` at least: `own` grants nothing here.
pub(crate) fn reading_reach(actor: &Principal) -> Result<Reach, Error> {
    let team = catalogue::API_KEYS_READ.at(Scope::Team);
    crate::workspace::require(actor, team)?;
    reach(actor, catalogue::API_KEYS_READ)
}

/// Changes a key's name, its display rate limit, or brings its expiration forward.
///
/// # Errors
///
/// Without `api-keys:create:all`; when there is no such key; when it was changed since `seen`; when the expiration is not
/// earlier than before.
pub fn change(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: ApiKeyId,
    change: &ApiKeyChange,
    seen: Option<Version>,
) -> Result<Answered<ListedApiKey>, Error> {
    require_all(actor, catalogue::API_KEYS_CREATE)?;
    let reach = reach(actor, catalogue::API_KEYS_CREATE)?;
    workspace.write(|tx| {
        let (mut key, last_use) = current(tx, &reach, id, seen)?;
        apply(&mut key, change, occasion)?;
        if !api_keys::update(tx, &key)? {
            return Err(Error::Stale);
        }
        key.version = key.version.next();
        note(tx, actor, occasion, "api_key.changed", &key)?;
        let revoked = [Revocation::Key(key.digest)];
        Ok(revoke(tx, occasion, &revoked, (key, last_use))?)
    })
}

fn apply(key: &mut ApiKey, change: &ApiKeyChange, occasion: &Occasion) -> Result<(), Error> {
    if let Some(name) = &change.name {
        key.name = check::name("name", name)?;
    }
    if let Some(limit) = &change.display_rate_limit {
        key.display_rate_limit = limit.as_ref().map(DisplayRateLimit::to_column).transpose()?;
    }
    if let Some(at) = change.expires_at {
        if key.expires_at.is_some_and(|before| at > before) {
            return Err(Error::invalid("expires_at", "later", "the expiration can only be brought forward"));
        }
        expiration_is_ahead(occasion, Some(at), None)?;
        key.expires_at = Some(at);
    }
    Ok(())
}

/// Rotates a key: a new one with the same name, role, owner and expiration; the old one ends after `grace`, and never
/// later than it would have.
///
/// # Errors
///
/// Without `api-keys:create:all` and `api-keys:delete:all`; when there is no such key or it was rotated already; for a
/// grace period of more than 30 days.
pub fn rotate(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: ApiKeyId,
    grace: Duration,
    idempotency: Option<&Idempotency>,
) -> Result<Answered<Once<IssuedApiKey>>, Error> {
    require_all(actor, catalogue::API_KEYS_CREATE)?;
    require_all(actor, catalogue::API_KEYS_DELETE)?;
    if grace > MAX_GRACE {
        return Err(Error::invalid(
            "grace_secs",
            "too_long",
            "a grace period has 0 to 2592000 seconds (30 days)",
        ));
    }
    let reach = reach(actor, catalogue::API_KEYS_DELETE)?;
    workspace.write(|tx| {
        let mut revoked = None;
        let made = once(tx, actor, occasion, idempotency, |tx| {
            let (old, _) = current(tx, &reach, id, None)?;
            revoked = Some(Revocation::Key(old.digest));
            let issued = replace(tx, actor, occasion, old, grace)?;
            let id = issued.key.id.to_string();
            Ok((issued, id))
        })?;
        if matches!(made, Once::Repeated(_)) {
            // The first request may still be waiting for the others.
            return Ok(Answered { value: made, revision: Some(revocations::head(tx)?) });
        }
        Ok(revoke(tx, occasion, revoked.as_slice(), made)?)
    })
}

fn replace(
    tx: &mut Tx<'_>,
    actor: &Principal,
    occasion: &Occasion,
    mut old: ApiKey,
    grace: Duration,
) -> Result<IssuedApiKey, Error> {
    if old.rotated_to.is_some() {
        return Err(Conflict::RotatedAlready.into());
    }
    let alike = NewApiKey {
        name: old.name.clone(),
        owner: Some(old.owner),
        role: old.role,
        expires_at: old.expires_at,
        display_rate_limit: None,
    };
    let text = KeyText::draw()?;
    let mut key = checked(tx, actor, occasion, &alike, Lifetime::AsBefore)?;
    key.display_rate_limit.clone_from(&old.display_rate_limit);
    key.digest = text.digest();
    key.last_four = text.last_four();
    api_keys::insert(tx, &key)?;
    if grace.is_zero() {
        // Somebody else may have ended it since it was read; then nothing follows it.
        if !api_keys::delete(tx, old.id)? {
            return Err(Error::NotFound);
        }
    } else {
        let end = occasion.now.plus(grace);
        old.expires_at = Some(old.expires_at.map_or(end, |before| before.min(end)));
        old.rotated_to = Some(key.id);
        if !api_keys::update(tx, &old)? {
            return Err(Error::Stale);
        }
    }
    let detail = json!({ "name": old.name, "last_four": old.last_four.to_string(),
        "replaced_by": key.id.to_string(), "grace_secs": grace.as_secs() });
    audit::note(tx, actor, occasion, "api_key.rotated", &old.id, &detail)?;
    Ok(IssuedApiKey { text, key })
}

/// Deletes a key for good. The audit log keeps its id, its name and its last 4 digits.
///
/// # Errors
///
/// Without `api-keys:delete:all`; when there is no such key; when it was changed since `seen`.
pub fn delete(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: ApiKeyId,
    seen: Option<Version>,
) -> Result<Answered<ApiKey>, Error> {
    require_all(actor, catalogue::API_KEYS_DELETE)?;
    workspace.write_revoking(|tx| delete_within(tx, actor, occasion, id, seen))
}

/// The same as part of a transaction.
pub(crate) fn delete_within(
    tx: &mut Tx<'_>,
    actor: &Principal,
    occasion: &Occasion,
    id: ApiKeyId,
    seen: Option<Version>,
) -> Result<Answered<ApiKey>, Error> {
    let reach = reach(actor, catalogue::API_KEYS_DELETE)?;
    let (key, _) = current(tx, &reach, id, seen)?;
    remove(tx, actor, occasion, key)
}

/// The holder of a key ends it. Whoever holds a key may always do that.
///
/// # Errors
///
/// When the actor did not come with a key, or it is gone.
pub fn delete_own(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
) -> Result<Answered<ApiKey>, Error> {
    let id = actor.key().ok_or(Error::NotFound)?.id;
    workspace.write_revoking(|tx| {
        let key = api_keys::by_id(tx, actor.workspace(), id)?.ok_or(Error::NotFound)?;
        remove(tx, actor, occasion, key)
    })
}

fn remove(
    tx: &mut Tx<'_>,
    actor: &Principal,
    occasion: &Occasion,
    key: ApiKey,
) -> Result<Answered<ApiKey>, Error> {
    if !api_keys::delete(tx, key.id)? {
        return Err(Error::NotFound);
    }
    note(tx, actor, occasion, "api_key.deleted", &key)?;
    let revoked = [Revocation::Key(key.digest)];
    Ok(revoke(tx, occasion, &revoked, key)?)
}

fn current(
    tx: &mut Tx<'_>,
    reach: &Reach,
    id: ApiKeyId,
    seen: Option<Version>,
) -> Result<ListedApiKey, Error> {
    let found = api_keys::find(tx, reach, id)?.ok_or(Error::NotFound)?;
    match seen {
        Some(version) if version != found.0.version => Err(Error::Stale),
        Some(_) | None => Ok(found),
    }
}

fn note(
    tx: &mut Tx<'_>,
    actor: &Principal,
    occasion: &Occasion,
    what: &str,
    key: &ApiKey,
) -> Result<(), Error> {
    let detail = json!({ "name": key.name, "last_four": key.last_four.to_string() });
    audit::note(tx, actor, occasion, what, &key.id, &detail)
}
