//! How SQLite goes about a query, for the tests of those that must not read whole tables.

use diesel::{prelude::*, sql_query, sql_types::Text};
use diesel_migrations::MigrationHarness as _;

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

/// The steps, for a query as `diesel::debug_query` shows it.
pub(crate) fn steps(shown: &str) -> Vec<String> {
    let mut connection = SqliteConnection::establish(":memory:").unwrap();
    connection.run_pending_migrations(crate::open::SQLITE_MIGRATIONS).unwrap();
    // What is bound comes behind.
    let query = shown.split(" -- ").next().unwrap();
    let steps: Vec<Step> = sql_query(format!("EXPLAIN QUERY PLAN {query}")).load(&mut connection).unwrap();
    steps.into_iter().map(|step| step.detail).collect()
}
