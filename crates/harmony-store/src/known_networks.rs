//! From which networks users have signed in lately.

use diesel::prelude::*;
use harmony_access::{Timestamp, UserId};

use crate::{
    StoreError, Tx,
    schema::{known_networks, users},
};

/// Notes that a user has signed in from a network, and forgets where they did so before `forgotten`, and all but the latest
/// `most`. Two sign-ins of one user are not noted at once: the caller sees to that.
///
/// # Errors
///
/// [`StoreError::Referenced`] when there is no such user.
pub fn note(
    tx: &mut Tx<'_>,
    user: UserId,
    network: &str,
    now: Timestamp,
    forgotten: Timestamp,
    most: i64,
) -> Result<(), StoreError> {
    let theirs = || known_networks::table.filter(known_networks::user_id.eq(user.to_string()));
    let before = theirs().filter(known_networks::network.eq(network));
    let noted = diesel::update(before)
        .set(known_networks::signed_in_at.eq(now.as_millis()))
        .execute(tx.connection)?;
    if noted == 0 {
        let values = (
            known_networks::user_id.eq(user.to_string()),
            known_networks::network.eq(network),
            known_networks::signed_in_at.eq(now.as_millis()),
        );
        diesel::insert_into(known_networks::table).values(values).execute(tx.connection)?;
    }
    let latest: Vec<String> = theirs()
        .filter(known_networks::signed_in_at.gt(forgotten.as_millis()))
        .order((known_networks::signed_in_at.desc(), known_networks::network.asc()))
        .select(known_networks::network)
        .limit(most)
        .load(tx.connection)?;
    diesel::delete(theirs().filter(known_networks::network.ne_all(latest))).execute(tx.connection)?;
    Ok(())
}

/// Whether the user with this address has signed in from this network after `since`.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn is_known(tx: &mut Tx<'_>, email: &str, network: &str, since: Timestamp) -> Result<bool, StoreError> {
    let query = known_networks::table
        .inner_join(users::table)
        .filter(users::email.eq(email))
        .filter(known_networks::network.eq(network))
        .filter(known_networks::signed_in_at.gt(since.as_millis()))
        .select(known_networks::user_id);
    Ok(query.first::<String>(tx.connection).optional()?.is_some())
}
