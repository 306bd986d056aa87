//! Sessions: people sign in, are recognised, and sign out.
//!
//! Hashing a password takes tens of milliseconds and 19 MiB: whoever offers signing in to the world bounds how many do it at
//! once.

use std::time::Duration;

use harmony_access::{Principal, SessionId, Timestamp, UserRecord};
use harmony_key::{SecretToken, TokenDigest};
use harmony_store::{
    StoreError, Tx, roles,
    sessions::{self, Session},
    users::User,
};
use serde_json::json;

use crate::{Error, Occasion, Workspace, audit, password};

/// A session ends after this long, however much it is used: 30 days.
pub const ABSOLUTE_LIFETIME: Duration = Duration::from_secs(30 * 86_400);
/// A session ends after this long without use: 7 days.
pub const IDLE_LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// A use is noted when the one noted before is older: one write a minute for each session, and not one a request.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// A session that just began: the one answer that holds its token.
pub struct SignedIn {
    /// The token, for the browser alone.
    pub token: SecretToken,
    /// What is kept of it.
    pub session: Session,
}

/// Signs a user in. An unknown address and a wrong password have the same answer, and take the same time.
///
/// # Errors
///
/// When the store cannot be asked; `Ok(None)` is a refusal.
pub fn sign_in(
    workspace: &Workspace,
    occasion: &Occasion,
    email: &str,
    secret: &str,
) -> Result<Option<SignedIn>, Error> {
    let email = email.trim().to_lowercase();
    let known = workspace.read(|tx| Ok(sessions::credentials(tx, &email)?))?;
    let hash = known.as_ref().and_then(|(_, hash)| hash.as_deref());
    if !password::matches(secret, hash)? {
        return Ok(None);
    }
    let Some((user, _)) = known else { return Ok(None) };
    let token = SecretToken::draw()?;
    let session = Session {
        id: occasion.id()?,
        user: user.id,
        created_at: occasion.now,
        last_seen_at: occasion.now,
        expires_at: occasion.now.plus(ABSOLUTE_LIFETIME),
    };
    let begun = workspace.write(|tx| {
        sessions::delete_ended(tx, occasion.now)?;
        sessions::insert(tx, &session, &token.digest())?;
        let actor = principal(tx, &user, session.id)?;
        audit::note(tx, &actor, occasion, "session.began", &session.id, &json!({}))
    });
    match begun {
        Ok(()) => Ok(Some(SignedIn { token, session })),
        // The user was removed while the password was hashed.
        Err(Error::Store(StoreError::Referenced(_))) => Ok(None),
        Err(other) => Err(other),
    }
}

/// A person who holds a live session.
#[derive(Debug, Clone)]
pub struct Recognised {
    /// Who they are to the use cases.
    pub principal: Principal,
    /// Their row.
    pub user: User,
    /// The session they came with.
    pub session: Session,
}

/// Who holds this token; `None` when nobody does, or the session has ended.
///
/// # Errors
///
/// When the store cannot be asked.
pub fn recognise(
    workspace: &Workspace,
    occasion: &Occasion,
    token: &TokenDigest,
) -> Result<Option<Recognised>, Error> {
    let found = workspace.read(|tx| match sessions::find(tx, token)? {
        Some((session, user)) if is_alive(&session, occasion.now) => {
            let principal = principal(tx, &user, session.id)?;
            Ok(Some(Recognised { principal, user, session }))
        }
        Some(_) | None => Ok(None),
    })?;
    let Some(recognised) = found else { return Ok(None) };
    if occasion.now >= recognised.session.last_seen_at.plus(TOUCH_EVERY) {
        workspace.write(|tx| Ok(sessions::touch(tx, recognised.session.id, occasion.now)?))?;
    }
    Ok(Some(recognised))
}

/// The actor's own sessions that are alive, newest first.
///
/// # Errors
///
/// When the store cannot be asked.
pub fn list(workspace: &Workspace, actor: &Principal, occasion: &Occasion) -> Result<Vec<Session>, Error> {
    let mut all = workspace.read(|tx| Ok(sessions::of_user(tx, actor.user())?))?;
    all.retain(|session| is_alive(session, occasion.now));
    Ok(all)
}

/// Ends one of the actor's own sessions: it is recognised no more, since each request asks the store.
///
/// # Errors
///
/// When the actor has no such session.
pub fn end(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: SessionId,
) -> Result<(), Error> {
    workspace.write(|tx| {
        if !sessions::delete(tx, actor.user(), id)? {
            return Err(Error::NotFound);
        }
        audit::note(tx, actor, occasion, "session.ended", &id, &json!({}))
    })
}

fn is_alive(session: &Session, now: Timestamp) -> bool {
    now < session.expires_at && now < session.last_seen_at.plus(IDLE_LIFETIME)
}

fn principal(tx: &mut Tx<'_>, user: &User, session: SessionId) -> Result<Principal, Error> {
    let role = roles::find(tx, user.workspace, user.role)?;
    Ok(Principal::of_user(UserRecord {
        id: user.id,
        workspace: user.workspace,
        permissions: role.map(|role| role.permissions()).unwrap_or_default(),
        session: Some(session),
    }))
}
