//! Reaches, as queries need them.

use diesel::prelude::*;
use harmony_access::UserId;

use crate::{StoreError, Tx, schema::team_users};

/// The most teammates that a reach of `team` takes in.
const MAX_TEAMMATES: i64 = 10_000;

/// The ids of all who share a team with `user`, and the user's own.
pub(crate) fn teammates(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<String>, StoreError> {
    let (mine, theirs) = diesel::alias!(team_users as mine, team_users as theirs);
    let mut teammates: Vec<String> = mine
        .inner_join(theirs.on(theirs.field(team_users::team_id).eq(mine.field(team_users::team_id))))
        .filter(mine.field(team_users::user_id).eq(user.to_string()))
        .select(theirs.field(team_users::user_id))
        .distinct()
        .limit(MAX_TEAMMATES)
        .load(tx.connection)?;
    teammates.push(user.to_string());
    Ok(teammates)
}

diesel::define_sql_function! {
    /// Lower case, as the database folds it: SQLite the letters of ASCII only. PostgreSQL's `LIKE` tells cases apart and
    /// SQLite's does not, so that both sides go through this.
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// A `LIKE` pattern for texts that contain `text`, to be escaped by a backslash.
pub(crate) fn containing(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}
