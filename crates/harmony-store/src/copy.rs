//! Copies a whole database into an empty one, of the other kind or of the same, and proves that nothing is missing.
//!
//! *Promise: when [`copy`] returns `Ok`, the target holds what the source held while it was copied, row by row. When it does
//! not return, because the process was killed, the next one goes on where it stopped.*
//!
//! - **The source stands still.** One transaction is open on it from the first row to the last and lets nobody write: the
//!   write lock on SQLite, `LOCK TABLE … IN SHARE MODE` on PostgreSQL. A copy of a snapshot beside a running server was
//!   rejected: what the server answers after the snapshot is lost in the move, a deletion among it, and the dead key
//!   would live on in the target. So a server that renews its lease on the source refuses the copy.
//! - **The same copy is told by what is in it.** The digests of all tables of the source are written into the target before the
//!   first row. They must be the same when a copy goes on, so that no target is half of one state and half of another.
//! - **Each batch is one transaction** with the place that it leads to. Nothing is written twice, and nothing is left out.
//! - **Nobody serves half a copy.** The place lies in a table that is dropped in the transaction that has compared the digests
//!   of the target; until then [`Store::open`](crate::Store::open) refuses the database, and so do [`copy`] as a source and
//!   [`compare`] on either side.

mod alone;
mod outcome;
mod place;
mod rows;
mod silent;
mod tables;
mod tally;

use diesel::connection::SimpleConnection;

pub(crate) use self::place::is_half_a_copy;
pub use self::{
    outcome::{Copied, CopyError, Difference, Phase, Progress},
    tally::Tally,
};
use self::{
    place::Place,
    rows::{Row, Value},
    silent::Silent,
    tables::{Table, tables},
};
use crate::{
    DatabaseUrl, OpenError, OpenOptions, StoreError, Tx,
    connection::AnyConnection,
    open,
    transaction::{self, Intent},
};

/// Rows of one batch. A row may be as large as a request, 1 MiB, so this bounds the memory of a copy as well.
const BATCH: usize = 200;

/// The database that is copied. It is not changed, apart from the migrations that it may lack.
#[derive(Debug, Clone)]
pub struct Source(pub DatabaseUrl);

/// The database that is copied into, which must be empty.
#[derive(Debug, Clone)]
pub struct Target(pub DatabaseUrl);

/// From where to where.
#[derive(Debug, Clone)]
pub struct Ends {
    from: DatabaseUrl,
    to: DatabaseUrl,
    /// Whether a PostgreSQL on another machine may be spoken to in plain text.
    allow_plaintext: bool,
}

/// Told how far it has come.
pub type Watch<'w> = &'w mut dyn FnMut(Progress);

/// Copies everything but the leases of the processes, or goes on with that, and compares what has arrived.
///
/// On SQLite the caller makes sure that no second copy into the same file runs, and that no server starts on either.
///
/// # Errors
///
/// When an end cannot be opened, when a server runs on it or somebody else is at work in it, when the source is half a copy,
/// when the target is not empty, when an earlier copy into it was of something else, and when the target is not like the source in the end.
pub fn copy(ends: &Ends, watch: Watch<'_>) -> Result<Copied, CopyError> {
    let (tables, (mut source, at_source), (mut target, at_target)) =
        (tables(), ends.open(&ends.from)?, ends.open(&ends.to)?);
    alone::copies_into(&mut target, &at_target.url)?;
    transaction::run(&mut source, Intent::Write, |source| {
        stand_still(source, &tables, &at_source)?;
        refuse_half(source, &at_source)?;
        let tallies = tally_all(source, &tables, Phase::Reading, None, watch)?;
        let (mut place, resumed_after) = transaction::run(&mut target, Intent::Write, |target| {
            begin(target, &tables, &tallies, &at_target)
        })?;
        let all = rows_of(&tallies);
        while let Some(table) = tables.get(place.whole) {
            place = copy_batch(source, &mut target, table, place, &at_target)?;
            watch(Progress { phase: Phase::Copying, table: table.name, rows: place.rows, of: Some(all) });
        }
        transaction::run(&mut target, Intent::Write, |target| {
            stand_still(target, &tables, &at_target)?;
            let arrived = tally_all(target, &tables, Phase::Verifying, Some(all), watch)?;
            same(&tables, &tallies, &arrived)?;
            // Had the source's connection been lost, others could have changed it since, and the target would lack that.
            at_source.still(source)?;
            Ok::<_, CopyError>(Place::forget(target.connection)?)
        })?;
        Ok(Copied { tables: named(&tables, &tallies), resumed_after })
    })
}

/// Compares two databases and changes neither, apart from the migrations that they may lack: whether one is still the copy
/// of the other.
///
/// # Errors
///
/// When an end is not there, cannot be opened or is half a copy, when a server runs on it, and when they do not hold the same.
pub fn compare(ends: &Ends, watch: Watch<'_>) -> Result<Copied, CopyError> {
    ends.are_there()?;
    let (tables, (mut source, at_source), (mut target, at_target)) =
        (tables(), ends.open(&ends.from)?, ends.open(&ends.to)?);
    transaction::run(&mut source, Intent::Write, |source| {
        stand_still(source, &tables, &at_source)?;
        refuse_half(source, &at_source)?;
        let tallies = tally_all(source, &tables, Phase::Reading, None, watch)?;
        let all = Some(rows_of(&tallies));
        let found = transaction::run(&mut target, Intent::Write, |target| {
            stand_still(target, &tables, &at_target)?;
            refuse_half(target, &at_target)?;
            tally_all(target, &tables, Phase::Verifying, all, watch)
        })?;
        same(&tables, &tallies, &found)?;
        Ok(Copied { tables: named(&tables, &tallies), resumed_after: None })
    })
}

impl Ends {
    /// From one database to another.
    ///
    /// # Errors
    ///
    /// When both are the same, and when the source is a file that is not there.
    pub fn new(Source(from): Source, Target(to): Target, allow_plaintext: bool) -> Result<Self, CopyError> {
        let file = |url: &DatabaseUrl| url.sqlite_path().and_then(|path| path.canonicalize().ok());
        if from == to || file(&from).is_some_and(|source| file(&to) == Some(source)) {
            return Err(CopyError::Same);
        }
        refuse_missing(&from)?;
        Ok(Self { from, to, allow_plaintext })
    }

    /// That no file is missing: for whoever only compares it is a typing error.
    ///
    /// # Errors
    ///
    /// When one is.
    pub fn are_there(&self) -> Result<(), CopyError> {
        refuse_missing(&self.from)?;
        refuse_missing(&self.to)
    }

    /// Both databases, the source first.
    #[must_use]
    pub const fn urls(&self) -> [&DatabaseUrl; 2] {
        [&self.from, &self.to]
    }

    /// Opens one of the two, sees that nobody serves it, and applies the migrations that it lacks.
    fn open(&self, url: &DatabaseUrl) -> Result<(AnyConnection, Silent), CopyError> {
        let options = OpenOptions { allow_plaintext: self.allow_plaintext, ..OpenOptions::default() };
        let mut connection = open::reach(url, &options)?;
        alone::undisturbed(&mut connection)?;
        let silent = Silent::watch(&mut connection, url)?;
        open::migrate(&mut connection)?;
        if open::is_of_this_release(&mut connection)? {
            Ok((connection, silent))
        } else {
            Err(CopyError::OtherRelease(url.clone()))
        }
    }
}

/// Opening makes a file that is not there, and would hide a typing error.
fn refuse_missing(url: &DatabaseUrl) -> Result<(), CopyError> {
    match url.sqlite_path() {
        Some(path) if !path.is_file() => Err(CopyError::Missing(url.clone())),
        Some(_) | None => Ok(()),
    }
}

/// Half a copy is no source, and no copy either: what it lacks may be only the word that it is whole.
fn refuse_half(tx: &mut Tx<'_>, silent: &Silent) -> Result<(), CopyError> {
    match is_half_a_copy(tx.connection).map_err(StoreError::from)? {
        true => Err(OpenError::HalfACopy { url: silent.url.to_string() }.into()),
        false => Ok(()),
    }
}

/// From now on and until the transaction ends nobody writes, nor renews a lease.
fn stand_still(tx: &mut Tx<'_>, tables: &[Table], silent: &Silent) -> Result<(), CopyError> {
    alone::changes(tx, tables, &silent.url)?;
    silent.still(tx)
}

/// Makes the target ready for the first row, or finds how far an earlier copy of the same has come.
fn begin(
    tx: &mut Tx<'_>,
    tables: &[Table],
    tallies: &[Tally],
    silent: &Silent,
) -> Result<(Place, Option<u64>), CopyError> {
    silent.still(tx)?;
    let source: Vec<_> =
        named(tables, tallies).into_iter().map(|(name, tally)| (name.to_owned(), tally)).collect();
    if let Some(place) = Place::find(tx.connection)? {
        let rows = place.rows;
        return if place.source == source {
            Ok((place, Some(rows)))
        } else {
            Err(CopyError::AnotherCopy(silent.url.clone()))
        };
    }
    if let Some(table) = first_with_rows(tx, tables)? {
        return Err(CopyError::NotEmpty { url: silent.url.clone(), table });
    }
    let (seeded, _) = tables::SEEDED;
    run(tx.connection, &format!("DELETE FROM {seeded}"))?;
    let place = Place::at_the_beginning(source);
    place.write_first(tx.connection)?;
    Ok((place, None))
}

fn first_with_rows(tx: &mut Tx<'_>, tables: &[Table]) -> Result<Option<&'static str>, CopyError> {
    let (seeded, values) = tables::SEEDED;
    let seed = values.map(|value| Value::Integer(Some(value)));
    for table in tables {
        let rows = read(tx, table, None, 2)?;
        let as_made = match rows.as_slice() {
            [] => true,
            [Row(only)] => table.name == seeded && *only == seed,
            _ => false,
        };
        if !as_made {
            return Ok(Some(table.name));
        }
    }
    Ok(None)
}

/// Copies the rows after `place`, and returns the place after them.
fn copy_batch(
    source: &mut Tx<'_>,
    target: &mut AnyConnection,
    table: &Table,
    place: Place,
    silent: &Silent,
) -> Result<Place, CopyError> {
    let rows = read(source, table, place.after.as_deref(), BATCH)?;
    let next = match rows.last() {
        Some(last) if rows.len() == BATCH => {
            Place { after: Some(last.key(table)), rows: place.rows + rows.len() as u64, ..place }
        }
        Some(_) | None => {
            Place { whole: place.whole + 1, after: None, rows: place.rows + rows.len() as u64, ..place }
        }
    };
    transaction::run(target, Intent::Write, |tx| {
        silent.still(tx)?;
        if !rows.is_empty() {
            rows::insert(tx.connection, table, &rows).map_err(|error| at(table, error))?;
        }
        Ok::<_, CopyError>(next.write(tx.connection)?)
    })?;
    Ok(next)
}

fn tally_all(
    tx: &mut Tx<'_>,
    tables: &[Table],
    phase: Phase,
    of: Option<u64>,
    watch: Watch<'_>,
) -> Result<Vec<Tally>, CopyError> {
    let (mut tallies, mut rows) = (Vec::new(), 0);
    for table in tables {
        let (mut tally, mut after) = (Tally::default(), None);
        loop {
            let page = read(tx, table, after.as_deref(), BATCH)?;
            page.iter().for_each(|row| tally.add(row));
            rows += page.len() as u64;
            watch(Progress { phase, table: table.name, rows, of });
            match page.last() {
                Some(last) if page.len() == BATCH => after = Some(last.key(table)),
                Some(_) | None => break,
            }
        }
        tallies.push(tally);
    }
    Ok(tallies)
}

fn read(
    tx: &mut Tx<'_>,
    table: &Table,
    after: Option<&[Value]>,
    limit: usize,
) -> Result<Vec<Row>, CopyError> {
    rows::page(tx.connection, table, after, limit).map_err(|error| at(table, error))
}

fn at(table: &Table, error: diesel::result::Error) -> CopyError {
    CopyError::Table { table: table.name, source: error.into() }
}

fn run(connection: &mut AnyConnection, statement: &str) -> Result<(), StoreError> {
    Ok(connection.batch_execute(statement)?)
}

fn same(tables: &[Table], source: &[Tally], target: &[Tally]) -> Result<(), CopyError> {
    let differences: Vec<_> = tables
        .iter()
        .zip(source.iter().zip(target))
        .filter(|(_, (source, target))| source != target)
        .map(|(table, (source, target))| Difference { table: table.name, source: *source, target: *target })
        .collect();
    if differences.is_empty() { Ok(()) } else { Err(CopyError::Differs(differences)) }
}

fn named(tables: &[Table], tallies: &[Tally]) -> Vec<(&'static str, Tally)> {
    tables.iter().map(|table| table.name).zip(tallies.iter().copied()).collect()
}

fn rows_of(tallies: &[Tally]) -> u64 {
    tallies.iter().map(|tally| tally.rows).sum()
}
