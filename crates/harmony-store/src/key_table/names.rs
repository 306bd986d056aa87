//! Names that contain a text, found by the index of three letters in a row that SQLite keeps.
//!
//! PostgreSQL has such an index only as an extension, which not every operator may install; there all names of the
//! workspace are looked through.

use diesel::{
    prelude::*,
    sql_types::{BigInt, Text},
};

use crate::{StoreError, Tx, connection::AnyConnection};

/// How many letters the index holds together.
const GRAM: usize = 3;
/// The longest text that the index is asked for, in characters: twice the longest name.
const LONGEST: usize = 200;

/// Where the three letters stand one after the other, as the text has them.
const BY_GRAMS: &str = "SELECT places.key_id AS id FROM __api_key_names \
     CROSS JOIN __api_key_places places ON places.place = __api_key_names.rowid \
     WHERE __api_key_names MATCH ? AND places.workspace_id = ? LIMIT ?";

/// Where three letters begin with the text. No text has a byte 255, so that all which begin with it come before that.
const BY_LETTERS: &str = "SELECT DISTINCT places.key_id AS id FROM __api_key_letters letters \
     CROSS JOIN __api_key_places places ON places.place = letters.doc \
     WHERE letters.term >= ? AND letters.term < ? || CAST(x'FF' AS TEXT) AND places.workspace_id = ? LIMIT ?";

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    id: String,
}

/// The ids of so many keys at most whose name contains the text, in whatever case; `None` where no index says so.
pub(super) fn containing(
    tx: &mut Tx<'_>,
    workspace: &str,
    text: &str,
    limit: i64,
) -> Result<Option<Vec<String>>, StoreError> {
    let AnyConnection::Sqlite(connection) = tx.connection else { return Ok(None) };
    // As SQLite folds.
    let text = text.to_ascii_lowercase();
    let length = text.chars().count();
    // A control character ends each name in the index, or ends what is read; and the three last have one letter for all.
    let unclear = |letter: char| letter.is_control() || matches!(letter, '\u{FFFD}'..='\u{FFFF}');
    if length == 0 || length > LONGEST || text.contains(unclear) {
        return Ok(None);
    }
    let found: Vec<Found> = if length < GRAM {
        diesel::sql_query(BY_LETTERS)
            .bind::<Text, _>(&text)
            .bind::<Text, _>(&text)
            .bind::<Text, _>(workspace)
            .bind::<BigInt, _>(limit)
            .load(connection)?
    } else {
        let phrase = format!("\"{}\"", text.replace('"', "\"\""));
        diesel::sql_query(BY_GRAMS)
            .bind::<Text, _>(phrase)
            .bind::<Text, _>(workspace)
            .bind::<BigInt, _>(limit)
            .load(connection)?
    };
    Ok(Some(found.into_iter().map(|found| found.id).collect()))
}
