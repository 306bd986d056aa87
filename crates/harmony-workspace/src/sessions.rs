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
    users::{self, User},
    workspaces,
};
use serde_json::json;

use crate::{Browser, Error, Occasion, Workspace, administration::hold, audit, network, password};

/// A session ends after this long, however much it is used: 30 days.
pub const ABSOLUTE_LIFETIME: Duration = Duration::from_secs(30 * 86_400);
/// A session ends after this long without use: 7 days.
pub const IDLE_LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// A use, and from where, is noted when the one noted before is older: one write a minute for each session, and not one a
/// request.
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
    browser: Browser,
) -> Result<Option<SignedIn>, Error> {
    let email = email.trim().to_lowercase();
    let known = workspace.read(|tx| Ok(sessions::credentials(tx, &email)?))?;
    let (user, hash) = known.unzip();
    let hash = hash.flatten();
    if !password::matches(secret, hash.as_deref())? {
        return Ok(None);
    }
    let Some(user) = user else { return Ok(None) };
    let token = SecretToken::draw()?;
    let id = occasion.id()?;
    let begun = workspace.write(|tx| {
        // The password may have been changed while this one was hashed: then its session would outlive it.
        workspaces::lock(tx, user.workspace)?;
        if sessions::password_hash(tx, user.id)? != hash {
            return Ok(None);
        }
        let session = Session {
            id,
            user: user.id,
            created_at: occasion.now,
            last_seen_at: occasion.now,
            expires_at: occasion.now.plus(ABSOLUTE_LIFETIME),
            rights: rights(tx, &user)?,
            browser: browser.to_string(),
            began_ip: occasion.ip(),
            last_seen_ip: occasion.ip(),
        };
        sessions::delete_ended(tx, occasion.now)?;
        sessions::insert(tx, &session, &token.digest())?;
        let actor = principal(tx, &user, session.id)?;
        network::note(tx, occasion, user.id)?;
        audit::note(tx, &actor, occasion, "session.began", &session.id, &json!({}))?;
        Ok(Some(session))
    });
    match begun {
        Ok(session) => Ok(session.map(|session| SignedIn { token, session })),
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
    /// Whether their rights have changed since the session's token was drawn: [`renew`] it.
    pub outdated: bool,
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
            let outdated = rights(tx, &user)? != session.rights;
            Ok(Some(Recognised { principal, user, session, outdated }))
        }
        Some(_) | None => Ok(None),
    })?;
    let Some(recognised) = found else { return Ok(None) };
    if occasion.now >= recognised.session.last_seen_at.plus(TOUCH_EVERY) {
        workspace
            .write(|tx| Ok(sessions::touch(tx, recognised.session.id, occasion.now, &occasion.ip())?))?;
    }
    Ok(Some(recognised))
}

/// Draws another token for a session whose person's rights have changed, in place of the one that it has: whoever kept a token
/// from before has none afterwards (ASVS 5.0, 7.2.4). `None` when another request has drawn it already, or the session is over:
/// the token of the first one is the good one.
///
/// # Errors
///
/// When the store cannot be asked.
pub fn renew(workspace: &Workspace, outdated: &Recognised) -> Result<Option<SecretToken>, Error> {
    let (session, token) = (&outdated.session, SecretToken::draw()?);
    let renewed = workspace.write(|tx| {
        let rights = rights(tx, &outdated.user)?;
        Ok(sessions::renew(tx, session.id, &session.rights, &token.digest(), &rights)?)
    })?;
    Ok(renewed.then_some(token))
}

/// Changes the actor's own password, and ends all their other sessions.
///
/// # Errors
///
/// When `current` is not their password, or `new` is none that is allowed.
pub fn change_password(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    current: &str,
    new: &str,
) -> Result<SecretToken, Error> {
    let session = actor.session().ok_or(Error::NotFound)?;
    let wrong = || Error::invalid("current", "wrong", "this is not your password");
    let known = workspace.read(|tx| Ok(sessions::password_hash(tx, actor.user())?))?;
    if !password::matches(current, known.as_deref())? {
        return Err(wrong());
    }
    let hash = password::hash(new).map_err(|error| match error {
        Error::Invalid(_) => {
            Error::invalid("new", "length", "10 characters at least and 1,024 bytes at most")
        }
        other => other,
    })?;
    let token = SecretToken::draw()?;
    workspace.write(|tx| {
        // Nobody signs in, and nobody else changes it, between what is checked here and the change.
        hold(tx, actor)?;
        if sessions::password_hash(tx, actor.user())? != known {
            return Err(wrong());
        }
        users::set_password(tx, actor.user(), &hash)?;
        sessions::delete_others(tx, actor.user(), session)?;
        if !sessions::replace_token(tx, session, &token.digest())? {
            return Err(Error::NotFound);
        }
        audit::note(tx, actor, occasion, "user.password_changed", &actor.user(), &json!({}))
    })?;
    Ok(token)
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

/// What a session's token was drawn for: a role, and what it was then.
fn rights(tx: &mut Tx<'_>, user: &User) -> Result<String, Error> {
    let role = roles::find(tx, user.workspace, user.role)?;
    Ok(role.map_or_else(String::new, |role| format!("{} {}", role.id, role.version.number())))
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
