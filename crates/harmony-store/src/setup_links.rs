//! One-time links by which the first user sets the first workspace up; only their digests are kept.

use diesel::prelude::*;
use harmony_access::Timestamp;
use harmony_key::TokenDigest;

use crate::{StoreError, Tx, schema::setup_links};

/// Adds a link that is valid until `expires_at`, and forgets those that ended before `now`.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn insert(
    tx: &mut Tx<'_>,
    digest: TokenDigest,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    delete_old(tx, now)?;
    diesel::insert_into(setup_links::table)
        .values((
            setup_links::digest.eq(digest.as_bytes().to_vec()),
            setup_links::expires_at.eq(expires_at.as_millis()),
        ))
        .execute(tx.connection)?;
    Ok(())
}

/// Whether the link is there and valid still.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn is_live(tx: &mut Tx<'_>, digest: TokenDigest, now: Timestamp) -> Result<bool, StoreError> {
    let query = setup_links::table
        .filter(setup_links::digest.eq(digest.as_bytes().to_vec()))
        .filter(setup_links::expires_at.gt(now.as_millis()))
        .select(setup_links::expires_at);
    Ok(query.first::<i64>(tx.connection).optional()?.is_some())
}

/// Uses the link up; `false` when it is not there or not valid any more.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn take(tx: &mut Tx<'_>, digest: TokenDigest, now: Timestamp) -> Result<bool, StoreError> {
    let live = setup_links::table
        .filter(setup_links::digest.eq(digest.as_bytes().to_vec()))
        .filter(setup_links::expires_at.gt(now.as_millis()));
    Ok(diesel::delete(live).execute(tx.connection)? == 1)
}

/// Forgets the links that ended before `now`, and says how many.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn delete_old(tx: &mut Tx<'_>, now: Timestamp) -> Result<usize, StoreError> {
    let old = setup_links::table.filter(setup_links::expires_at.le(now.as_millis()));
    Ok(diesel::delete(old).execute(tx.connection)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DatabaseUrl, Store};

    #[test]
    fn a_link_is_used_once_and_only_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Store::open(&DatabaseUrl::sqlite(folder.path().join("h.sqlite")), &Default::default()).unwrap();
        let (link, late, at) = (TokenDigest::of("a"), TokenDigest::of("b"), Timestamp::from_millis);
        let outcome: Result<_, StoreError> = store.write(|tx| {
            insert(tx, link, at(0), at(100))?;
            insert(tx, late, at(0), at(50))?;
            let live = (
                is_live(tx, link, at(60))?,
                is_live(tx, late, at(50))?,
                is_live(tx, TokenDigest::of("c"), at(0))?,
            );
            let taken = (take(tx, link, at(60))?, take(tx, link, at(60))?, take(tx, late, at(50))?);
            Ok((live, taken, delete_old(tx, at(60))?))
        });
        assert_eq!(outcome.unwrap(), ((true, false, false), (true, false, false), 1));
    }
}
