//! The sequence of revocations, and the processes that must hear of them.

use diesel::prelude::*;
use harmony_access::{NodeId, Revision, Revocation, RoleId, Timestamp, UserId, WorkspaceId};
use harmony_key::KeyDigest;

use crate::{
    StoreError, Tx,
    connection::AnyConnection,
    schema::{nodes, revocation_head, revocations},
};

/// The most revocations that one poll takes in; a process further behind empties its cache instead.
pub const MAX_POLLED: i64 = 1_000;
/// What PostgreSQL tells those who listen that something was revoked by.
pub(crate) const CHANNEL: &str = "harmony_revocations";
/// How long a revocation is kept, in milliseconds: far longer than any lease, so that who holds one finds them all.
const KEPT_MS: i64 = 3_600_000;

/// A process that may hold a lease, as whoever revokes sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Which.
    pub id: NodeId,
    /// Up to where it has dropped what was revoked.
    pub seen: Revision,
    /// When it began, by its own wall clock.
    pub started_at: Timestamp,
    /// How much of its lease is left by the database's clock, in milliseconds; negative once it is over. It is there to be shown:
    /// that clock may have been set, so nothing is decided by it.
    pub lease_left_ms: i64,
    /// Grows with each renewal.
    pub renewal: i64,
}

/// Appends revocations, in the transaction of the change itself. The head row is held until the commit, so that
/// revisions become visible in their order and without gaps.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn append(tx: &mut Tx<'_>, now: Timestamp, revoked: &[Revocation]) -> Result<Revision, StoreError> {
    let count = i64::try_from(revoked.len()).unwrap_or(i64::MAX);
    diesel::update(revocation_head::table)
        .set(revocation_head::revision.eq(revocation_head::revision + count))
        .execute(tx.connection)?;
    let head = head(tx)?;
    for (revision, revocation) in (head.number() - count + 1..).zip(revoked) {
        let (kind, subject) = to_columns(revocation);
        diesel::insert_into(revocations::table)
            .values((
                revocations::revision.eq(revision),
                revocations::at.eq(now.as_millis()),
                revocations::kind.eq(kind),
                revocations::subject.eq(subject),
            ))
            .execute(tx.connection)?;
    }
    notify(tx)?;
    Ok(head)
}

/// Told when the transaction is committed, and not if it is not.
fn notify(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    if let AnyConnection::Postgres(connection) = tx.connection {
        diesel::sql_query(format!("NOTIFY {CHANNEL}")).execute(connection)?;
    }
    Ok(())
}

/// Holds the one row that every revocation changes until the transaction ends: for what must happen once in the whole store.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn hold(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    diesel::update(revocation_head::table)
        .set(revocation_head::revision.eq(revocation_head::revision))
        .execute(tx.connection)?;
    Ok(())
}

/// The last revision.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn head(tx: &mut Tx<'_>) -> Result<Revision, StoreError> {
    Ok(Revision::new(revocation_head::table.select(revocation_head::revision).first(tx.connection)?))
}

/// The revocations after `seen`; `None` when they are too many or no longer kept, so that all must be dropped.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn since(tx: &mut Tx<'_>, seen: Revision, head: Revision) -> Result<Option<Vec<Revocation>>, StoreError> {
    let rows: Vec<(String, String)> = revocations::table
        .filter(revocations::revision.gt(seen.number()))
        .filter(revocations::revision.le(head.number()))
        .order(revocations::revision.asc())
        .limit(MAX_POLLED)
        .select((revocations::kind, revocations::subject))
        .load(tx.connection)?;
    let complete = i64::try_from(rows.len()).is_ok_and(|found| found == head.number() - seen.number());
    let read: Option<Vec<_>> = rows.iter().map(|(kind, subject)| from_columns(kind, subject)).collect();
    Ok(read.filter(|_| complete))
}

/// Renews a process's lease for `ttl_ms` from now on, and says up to where it has seen.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn renew(
    tx: &mut Tx<'_>,
    node: NodeId,
    seen: Revision,
    ttl_ms: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let until = clock_ms(tx)? + ttl_ms;
    let own = || nodes::table.filter(nodes::id.eq(node.to_string()));
    let before: Option<i64> = own().select(nodes::lease_until).first(tx.connection).optional()?;
    if let Some(before) = before {
        // Never the same twice, whatever the clock says: by that a renewal is told.
        let values = (nodes::lease_until.eq(until.max(before + 1)), nodes::seen_revision.eq(seen.number()));
        if diesel::update(own()).set(values).execute(tx.connection)? > 0 {
            return Ok(());
        }
    }
    let values = (
        nodes::id.eq(node.to_string()),
        nodes::lease_until.eq(until),
        nodes::seen_revision.eq(seen.number()),
        nodes::started_at.eq(now.as_millis()),
    );
    diesel::insert_into(nodes::table).values(values).execute(tx.connection)?;
    Ok(())
}

/// Says up to where a process has seen.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn acknowledge(tx: &mut Tx<'_>, node: NodeId, seen: Revision) -> Result<(), StoreError> {
    let own = nodes::table.filter(nodes::id.eq(node.to_string()));
    diesel::update(own).set(nodes::seen_revision.eq(seen.number())).execute(tx.connection)?;
    Ok(())
}

/// Every process that may hold a lease.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn list_nodes(tx: &mut Tx<'_>) -> Result<Vec<Node>, StoreError> {
    let clock = clock_ms(tx)?;
    let rows: Vec<(String, i64, i64, i64)> = nodes::table
        .order(nodes::id.asc())
        .select((nodes::id, nodes::seen_revision, nodes::started_at, nodes::lease_until))
        .load(tx.connection)?;
    let read = |(id, seen, started_at, until): (String, i64, i64, i64)| {
        Some(Node {
            id: NodeId::parse(&id).ok()?,
            seen: Revision::new(seen),
            started_at: Timestamp::from_millis(started_at),
            lease_left_ms: until - clock,
            renewal: until,
        })
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Strikes off a process that was waited for as long as a lease lasts: unless it has renewed since it was seen like this, or has
/// seen `revision`, it holds none. Should it live, its next renewal puts it on the list again.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn strike_off(tx: &mut Tx<'_>, node: &Node, revision: Revision) -> Result<(), StoreError> {
    let unchanged = nodes::table
        .filter(nodes::id.eq(node.id.to_string()))
        .filter(nodes::lease_until.eq(node.renewal))
        .filter(nodes::seen_revision.lt(revision.number()));
    diesel::delete(unchanged).execute(tx.connection)?;
    Ok(())
}

/// Gives a process's lease back, when it stops in order.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn leave(tx: &mut Tx<'_>, node: NodeId) -> Result<(), StoreError> {
    diesel::delete(nodes::table.filter(nodes::id.eq(node.to_string()))).execute(tx.connection)?;
    Ok(())
}

/// Forgets revocations that everybody has seen or lost their lease over.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn prune(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    let old = now.as_millis() - KEPT_MS;
    diesel::delete(revocations::table.filter(revocations::at.lt(old))).execute(tx.connection)?;
    Ok(())
}

/// A clock that all processes over this database have in common: its own, or on SQLite, which has none, that of the machine that
/// they share.
fn clock_ms(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    use diesel::{dsl::sql, sql_types::BigInt};
    Ok(match tx.connection {
        AnyConnection::Sqlite(_) => {
            let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
            boot.tv_sec * 1_000 + boot.tv_nsec / 1_000_000
        }
        AnyConnection::Postgres(connection) => {
            diesel::select(sql::<BigInt>("CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"))
                .get_result(connection)?
        }
    })
}

fn to_columns(revocation: &Revocation) -> (&'static str, String) {
    match revocation {
        Revocation::Key(digest) => {
            ("key", digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        Revocation::Role(role) => ("role", role.to_string()),
        Revocation::User(user) => ("user", user.to_string()),
        Revocation::Workspace(workspace) => ("workspace", workspace.to_string()),
    }
}

fn from_columns(kind: &str, subject: &str) -> Option<Revocation> {
    match kind {
        "key" => {
            let digits = subject.as_bytes().chunks_exact(2);
            let bytes = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
            KeyDigest::from_stored(&bytes.collect::<Option<Vec<u8>>>()?).map(Revocation::Key)
        }
        "role" => RoleId::parse(subject).ok().map(Revocation::Role),
        "user" => UserId::parse(subject).ok().map(Revocation::User),
        "workspace" => WorkspaceId::parse(subject).ok().map(Revocation::Workspace),
        _ => None,
    }
}
