//! What a copy says of itself: how far it has come, what it found, and why it was refused.

use std::fmt;

use super::Tally;
use crate::{DatabaseUrl, OpenError, StoreError};

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The source is read and digested.
    Reading,
    /// Rows are written into the target.
    Copying,
    /// The target is read and compared.
    Verifying,
}

/// How far it has come, told after each batch.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// With which table.
    pub table: &'static str,
    /// Rows done in this phase, those of an earlier attempt included.
    pub rows: u64,
    /// Rows in all; unknown until the source is read.
    pub of: Option<u64>,
}

/// What a copy or a comparison found.
#[derive(Debug, Clone)]
pub struct Copied {
    /// Each table, with what is in it on both sides.
    pub tables: Vec<(&'static str, Tally)>,
    /// The rows that an earlier attempt had copied already; `None` if there was none.
    pub resumed_after: Option<u64>,
}

/// One table that is not the same on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// Which.
    pub table: &'static str,
    /// What the source has.
    pub source: Tally,
    /// What the target has.
    pub target: Tally,
}

/// Why a copy was refused, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A database does not answer as it should.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The same, with the table in hand.
    #[error("table {table}")]
    Table {
        /// Which.
        table: &'static str,
        /// What the database said.
        #[source]
        source: StoreError,
    },
    /// Both ends are one.
    #[error("the source and the target are the same database")]
    Same,
    /// There is no such file.
    #[error("there is no database {0}")]
    Missing(DatabaseUrl),
    /// A server lives on it.
    #[error("{servers} server(s) run on {url}; stop them first")]
    Served {
        /// Which end.
        url: DatabaseUrl,
        /// How many.
        servers: usize,
    },
    /// Another copy into it has not ended.
    #[error("another copy into {0} is under way; let it end first")]
    UnderWay(DatabaseUrl),
    /// Somebody who is no server has changed something in it and not ended, or has locked a table.
    #[error("somebody else is at work in {0}; let them end first")]
    InUse(DatabaseUrl),
    /// It has migrations that this program does not know, and so columns that it would forget.
    #[error("{0} was migrated by another release; copy it with that one")]
    OtherRelease(DatabaseUrl),
    /// There is something in the target that no copy has put there.
    #[error("{url} is not empty: table {table} has rows; a copy goes into an empty database")]
    NotEmpty {
        /// The target.
        url: DatabaseUrl,
        /// The first table with rows.
        table: &'static str,
    },
    /// The copy that was begun is of something else.
    #[error(
        "{0} holds the beginning of another copy: the source was another one, or has changed since; empty the target and \
         begin anew"
    )]
    AnotherCopy(DatabaseUrl),
    /// The two do not hold the same.
    #[error("the target is not like the source: {}", list(.0))]
    Differs(Vec<Difference>),
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, source, target } = self;
        write!(out, "table {table} (source: {source}; target: {target})")
    }
}

fn list(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
