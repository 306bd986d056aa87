//! Sessions of people who have signed in: digests of their tokens, never the tokens.

use diesel::prelude::*;
use harmony_access::{SessionId, SessionKind, Timestamp, UserId, UserKind};
use harmony_key::TokenDigest;

use crate::{
    StoreError, Tx,
    columns::{IdText, Millis},
    schema::{sessions, users},
    users::User,
};

/// A session.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = sessions)]
pub struct Session {
    /// Its id.
    #[diesel(deserialize_as = IdText<SessionKind>)]
    pub id: SessionId,
    /// Whose it is.
    #[diesel(deserialize_as = IdText<UserKind>, column_name = user_id)]
    pub user: UserId,
    /// When it began.
    #[diesel(deserialize_as = Millis)]
    pub created_at: Timestamp,
    /// When it was last used.
    #[diesel(deserialize_as = Millis)]
    pub last_seen_at: Timestamp,
    /// When it ends, however much it is used.
    #[diesel(deserialize_as = Millis)]
    pub expires_at: Timestamp,
    /// The rights of its user when its token was drawn, as the use cases write them.
    pub rights: String,
    /// What it was begun with, in words for people.
    pub browser: String,
    /// The client's address when it began.
    pub began_ip: String,
    /// The client's address when it was last used.
    pub last_seen_ip: String,
}

/// The user with this address, and the hash of their password, if they have one. Where several workspaces know the address,
/// it is the user who was added first.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn credentials(tx: &mut Tx<'_>, email: &str) -> Result<Option<(User, Option<String>)>, StoreError> {
    let query = users::table
        .filter(users::email.eq(email))
        .order(users::id.asc())
        .select((User::as_select(), users::password_hash));
    Ok(query.first(tx.connection).optional()?)
}

/// The hash of a user's password, if they have one.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn password_hash(tx: &mut Tx<'_>, user: UserId) -> Result<Option<String>, StoreError> {
    let query = users::table.filter(users::id.eq(user.to_string())).select(users::password_hash);
    Ok(query.first::<Option<String>>(tx.connection).optional()?.flatten())
}

/// Adds a session.
///
/// # Errors
///
/// [`StoreError::Referenced`] when its user does not exist.
pub fn insert(tx: &mut Tx<'_>, session: &Session, token: &TokenDigest) -> Result<(), StoreError> {
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(session.id.to_string()),
            sessions::user_id.eq(session.user.to_string()),
            sessions::digest.eq(token.as_bytes().to_vec()),
            sessions::created_at.eq(session.created_at.as_millis()),
            sessions::last_seen_at.eq(session.last_seen_at.as_millis()),
            sessions::expires_at.eq(session.expires_at.as_millis()),
            sessions::rights.eq(&session.rights),
            sessions::browser.eq(&session.browser),
            sessions::began_ip.eq(&session.began_ip),
            sessions::last_seen_ip.eq(&session.last_seen_ip),
        ))
        .execute(tx.connection)?;
    Ok(())
}

/// The session of this token, and its user.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn find(tx: &mut Tx<'_>, token: &TokenDigest) -> Result<Option<(Session, User)>, StoreError> {
    let query = sessions::table
        .inner_join(users::table)
        .filter(sessions::digest.eq(token.as_bytes().to_vec()))
        .select((Session::as_select(), User::as_select()));
    Ok(query.first(tx.connection).optional()?)
}

/// The sessions of a user, newest first.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn of_user(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<Session>, StoreError> {
    let query = sessions::table
        .filter(sessions::user_id.eq(user.to_string()))
        .select(Session::as_select())
        .order(sessions::id.desc());
    Ok(query.load(tx.connection)?)
}

/// Notes that a session was used, and from where.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn touch(tx: &mut Tx<'_>, id: SessionId, now: Timestamp, ip: &str) -> Result<(), StoreError> {
    diesel::update(sessions::table.filter(sessions::id.eq(id.to_string())))
        .set((sessions::last_seen_at.eq(now.as_millis()), sessions::last_seen_ip.eq(ip)))
        .execute(tx.connection)?;
    Ok(())
}

/// Gives a session another token for other rights; `false` when it has ended, or does not have the rights any more that it had.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn renew(
    tx: &mut Tx<'_>,
    id: SessionId,
    before: &str,
    token: &TokenDigest,
    rights: &str,
) -> Result<bool, StoreError> {
    let outdated =
        sessions::table.filter(sessions::id.eq(id.to_string())).filter(sessions::rights.eq(before));
    let renewed = diesel::update(outdated)
        .set((sessions::digest.eq(token.as_bytes().to_vec()), sessions::rights.eq(rights)))
        .execute(tx.connection)?;
    Ok(renewed == 1)
}

/// Gives a session another token; `false` when it has ended.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn replace_token(tx: &mut Tx<'_>, id: SessionId, token: &TokenDigest) -> Result<bool, StoreError> {
    let replaced = diesel::update(sessions::table.filter(sessions::id.eq(id.to_string())))
        .set(sessions::digest.eq(token.as_bytes().to_vec()))
        .execute(tx.connection)?;
    Ok(replaced == 1)
}

/// Ends all sessions of this user but one, and says how many.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn delete_others(tx: &mut Tx<'_>, user: UserId, kept: SessionId) -> Result<usize, StoreError> {
    let others = sessions::table
        .filter(sessions::user_id.eq(user.to_string()))
        .filter(sessions::id.ne(kept.to_string()));
    Ok(diesel::delete(others).execute(tx.connection)?)
}

/// Ends all sessions of this user, and says how many.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn delete_all(tx: &mut Tx<'_>, user: UserId) -> Result<usize, StoreError> {
    let all = sessions::table.filter(sessions::user_id.eq(user.to_string()));
    Ok(diesel::delete(all).execute(tx.connection)?)
}

/// Ends a session of this user; `false` when there is none.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn delete(tx: &mut Tx<'_>, user: UserId, id: SessionId) -> Result<bool, StoreError> {
    let own = sessions::table
        .filter(sessions::user_id.eq(user.to_string()))
        .filter(sessions::id.eq(id.to_string()));
    Ok(diesel::delete(own).execute(tx.connection)? == 1)
}

/// Forgets the sessions that have ended.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn delete_ended(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    diesel::delete(sessions::table.filter(sessions::expires_at.le(now.as_millis())))
        .execute(tx.connection)?;
    Ok(())
}
