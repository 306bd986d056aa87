//! The queries of the list: what narrows it, how many keys each narrowing leaves, and the ids of one page.
//!
//! An expression instead of a bare column (`concat("")`, `+ 0`) keeps SQLite from an index that would be the wrong one.

use std::collections::{BTreeSet, HashSet};

use diesel::{
    dsl::{IntoBoxed, LeftJoin, LeftJoinQuerySource, Select, sql},
    prelude::*,
    sql_types::{BigInt, Bool},
};
use harmony_access::{Reach, Timestamp};

use super::{
    EXPIRING_MS, IDLE_MS, KeyQuery, KeyRole, KeyState, MAX_COUNTED, SortBy, Total,
    cursor::{Cursor, Side, Value},
};
use crate::{
    StoreError, Tx,
    api_keys::NEVER,
    connection::AnyConnection,
    reach,
    schema::{api_key_uses, api_keys},
};

/// So few keys are rather gathered and sorted than met on a walk along the order: of 500,000 keys a walk meets one of 5,000
/// at each hundredth step, and so takes as many steps for a page of 50.
const FEW: usize = 5_000;

type Ids<'a> = IntoBoxed<'a, Select<LeftJoin<api_keys::table, api_key_uses::table>, api_keys::id>, Backend>;
type Backend = <AnyConnection as Connection>::Backend;

/// What narrows the list, in the terms of the tables.
pub(super) struct Narrowing {
    workspace: String,
    owners: Option<BTreeSet<String>>,
    role: Option<KeyRole>,
    expires: Option<Span>,
    used_before: Option<Timestamp>,
    text: Option<String>,
}

/// Instants, from the first on and before the second.
#[derive(Clone, Copy)]
struct Span(Option<i64>, Option<i64>);

/// What was learned before the page is read.
pub(super) struct Probed {
    /// The ids that the narrowest narrowing leaves, if they are few.
    pub few: Option<Vec<String>>,
    /// How many keys the list has, unless that would have taken too long.
    pub total: Option<Total>,
}

/// Which narrowing is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Owner,
    Role,
    Expiration,
    Use,
    Text,
}

impl Narrowing {
    pub(super) fn of(
        tx: &mut Tx<'_>,
        reach: &Reach,
        wanted: &KeyQuery,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut owners: Option<BTreeSet<String>> = reach.own().map(|user| BTreeSet::from([user.to_string()]));
        if let Some(user) = reach.team() {
            owners = Some(reach::teammates(tx, user)?.into_iter().collect());
        }
        if let Some(owner) = wanted.owner {
            let owner = owner.to_string();
            let within = owners.as_ref().is_none_or(|owners| owners.contains(&owner));
            owners = Some(if within { BTreeSet::from([owner]) } else { BTreeSet::new() });
        }
        let now = now.as_millis();
        let (expires, used_before) = match wanted.state {
            None => (None, None),
            Some(KeyState::Active) => (Some(Span(Some(now.saturating_add(1)), None)), None),
            Some(KeyState::Expiring) => {
                let soon = now.saturating_add(EXPIRING_MS);
                (Some(Span(Some(now.saturating_add(1)), Some(soon.saturating_add(1)))), None)
            }
            Some(KeyState::Expired) => (Some(Span(None, Some(now.saturating_add(1)))), None),
            Some(KeyState::Unused) => (None, Some(Timestamp::from_millis(NEVER.as_millis() + 1))),
            Some(KeyState::Idle) => (None, Some(Timestamp::from_millis(now.saturating_sub(IDLE_MS)))),
        };
        let text = wanted.text.clone().filter(|text| !text.is_empty());
        let workspace = reach.workspace().to_string();
        Ok(Self { workspace, owners, role: wanted.role, expires, used_before, text })
    }

    /// Counts what each narrowing leaves, the cheapest first, until one leaves few.
    pub(super) fn probe(&self, tx: &mut Tx<'_>) -> Result<Probed, StoreError> {
        let all = [
            (By::Owner, self.owners.is_some()),
            (By::Role, self.role.is_some()),
            (By::Expiration, self.expires.is_some()),
            (By::Use, self.used_before.is_some()),
            (By::Text, self.text.is_some()),
        ];
        let asked: Vec<By> = all.into_iter().filter(|(_, asked)| *asked).map(|(by, _)| by).collect();
        if asked.is_empty() {
            let ids: Vec<String> = self.in_workspace().limit(bound()).load(tx.connection)?;
            return Ok(Probed { few: None, total: Some(counted(ids.len())) });
        }
        for &by in &asked {
            let ids = self.left_by(tx, by)?;
            let alone = asked.len() == 1;
            if ids.len() > FEW && !alone {
                continue;
            }
            let total = if alone { ids.len() } else { self.count_among(tx, &ids)? };
            return Ok(Probed { total: Some(counted(total)), few: (ids.len() <= FEW).then_some(ids) });
        }
        Ok(Probed { few: None, total: None })
    }

    /// The ids that one narrowing alone leaves, one more than are counted at most.
    fn left_by(&self, tx: &mut Tx<'_>, by: By) -> Result<Vec<String>, StoreError> {
        let elsewhere = || self.in_workspace_by_the_way();
        let query = match by {
            By::Owner => self.by_owner(elsewhere(), Index::Used),
            By::Role => self.by_role(elsewhere(), Index::Used),
            By::Expiration => self.by_expiration(self.in_workspace(), Index::Used),
            By::Use => {
                let here = api_key_uses::workspace_id.eq(self.workspace.clone());
                self.by_use(elsewhere().filter(here))
            }
            By::Text => return self.left_by_text(tx),
        };
        Ok(query.limit(bound()).load(tx.connection)?)
    }

    /// By name along the index of names, which holds all that is needed, and by the last 4 digits along theirs.
    fn left_by_text(&self, tx: &mut Tx<'_>) -> Result<Vec<String>, StoreError> {
        let Some(text) = &self.text else { return Ok(Vec::new()) };
        let named = self.in_workspace().filter(named(text)).order(reach::lower(api_keys::name));
        let mut ids: Vec<String> = named.limit(bound()).load(tx.connection)?;
        if let Some(digits) = last_four(text) {
            let known: HashSet<&String> = ids.iter().collect();
            let ending = self.in_workspace().filter(api_keys::last_four.eq(digits)).limit(bound());
            let mut ending: Vec<String> = ending.load(tx.connection)?;
            ending.retain(|id| !known.contains(id));
            ids.extend(ending);
            ids.truncate(MAX_COUNTED + 1);
        }
        Ok(ids)
    }

    fn count_among(&self, tx: &mut Tx<'_>, ids: &[String]) -> Result<usize, StoreError> {
        let among = self.in_workspace_by_the_way().filter(api_keys::id.eq_any(ids.to_vec()));
        let ids: Vec<String> = self.narrowed(among, Index::Unused).load(tx.connection)?;
        Ok(ids.len())
    }

    /// The ids of a page: of `few`, or else of all along the index of the wanted order.
    pub(super) fn ids(
        &self,
        tx: &mut Tx<'_>,
        few: Option<&[String]>,
        page: &KeyQuery,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        let query = match few {
            Some(ids) => {
                let among = self.in_workspace_by_the_way().filter(api_keys::id.eq_any(ids.to_vec()));
                self.narrowed(among, Index::Unused)
            }
            None => self.walked(page),
        };
        Ok(ordered(query, page).limit(limit).load(tx.connection)?)
    }

    /// All keys in question, such that the database takes the index of the wanted order.
    fn walked(&self, page: &KeyQuery) -> Ids<'_> {
        // With the newest first, one owner's or role's keys have that order in their own index.
        let one_owner = self.owners.as_ref().is_some_and(|owners| owners.len() == 1);
        let own_index = page.sort == SortBy::Created && (one_owner || self.role.is_some());
        if own_index {
            let (owner, role) =
                if one_owner { (Index::Used, Index::Unused) } else { (Index::Unused, Index::Used) };
            let query = self.by_role(self.by_owner(self.in_workspace_by_the_way(), owner), role);
            return self.by_text(self.by_use(self.by_expiration(query, Index::Unused)));
        }
        match page.sort {
            SortBy::LastUsed => {
                let here = api_key_uses::workspace_id.eq(self.workspace.clone());
                self.narrowed(self.in_workspace_by_the_way().filter(here), Index::Unused)
            }
            SortBy::Created | SortBy::Name => self.narrowed(self.in_workspace(), Index::Unused),
            SortBy::Expiration => {
                let query = self.by_expiration(self.in_workspace(), Index::Used);
                let query = self.by_role(self.by_owner(query, Index::Unused), Index::Unused);
                self.by_text(self.by_use(query))
            }
        }
    }

    fn narrowed<'a>(&self, query: Ids<'a>, index: Index) -> Ids<'a> {
        let query = self.by_role(self.by_owner(query, index), index);
        self.by_text(self.by_use(self.by_expiration(query, index)))
    }

    fn in_workspace<'a>(&self) -> Ids<'a> {
        ids().filter(api_keys::workspace_id.eq(self.workspace.clone()))
    }

    /// The workspace as a filter that no index is chosen by.
    fn in_workspace_by_the_way<'a>(&self) -> Ids<'a> {
        ids().filter(api_keys::workspace_id.concat("").eq(self.workspace.clone()))
    }

    fn by_owner<'a>(&self, query: Ids<'a>, index: Index) -> Ids<'a> {
        let Some(owners) = &self.owners else { return query };
        match (owners.iter().next(), index) {
            (Some(owner), Index::Used) if owners.len() == 1 => {
                query.filter(api_keys::owner_id.eq(owner.clone()))
            }
            (_, Index::Used) => query.filter(api_keys::owner_id.eq_any(Vec::from_iter(owners.clone()))),
            (_, Index::Unused) => {
                query.filter(api_keys::owner_id.concat("").eq_any(Vec::from_iter(owners.clone())))
            }
        }
    }

    fn by_role<'a>(&self, query: Ids<'a>, index: Index) -> Ids<'a> {
        match (self.role, index) {
            (None, _) => query,
            (Some(KeyRole::Is(role)), Index::Used) => query.filter(api_keys::role_id.eq(role.to_string())),
            (Some(KeyRole::Is(role)), Index::Unused) => {
                query.filter(api_keys::role_id.concat("").eq(role.to_string()))
            }
            (Some(KeyRole::Default), Index::Used) => query.filter(api_keys::role_id.is_null()),
            (Some(KeyRole::Default), Index::Unused) => query.filter(api_keys::role_id.concat("").is_null()),
        }
    }

    fn by_expiration<'a>(&self, query: Ids<'a>, index: Index) -> Ids<'a> {
        let Some(Span(from, before)) = self.expires else { return query };
        let mut query = query;
        let at = || match index {
            Index::Used => sql::<BigInt>(EXPIRATION),
            Index::Unused => sql::<BigInt>(EXPIRATION_BY_THE_WAY),
        };
        if let Some(from) = from {
            query = query.filter(at().ge(from));
        }
        if let Some(before) = before {
            query = query.filter(at().lt(before));
        }
        query
    }

    fn by_use<'a>(&self, query: Ids<'a>) -> Ids<'a> {
        match self.used_before {
            None => query,
            Some(before) => query.filter(api_key_uses::last_used_at.lt(before.as_millis())),
        }
    }

    fn by_text<'a>(&self, query: Ids<'a>) -> Ids<'a> {
        let Some(text) = &self.text else { return query };
        match last_four(text) {
            None => query.filter(named(text)),
            Some(digits) => query.filter(named(text).or(api_keys::last_four.concat("").eq(digits))),
        }
    }
}

/// Whether a filter may be what an index is chosen by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Index {
    Used,
    Unused,
}

/// What the index of expirations holds, to the letter.
const EXPIRATION: &str = "COALESCE(api_keys.expires_at, 253402300800000)";
const EXPIRATION_BY_THE_WAY: &str = "COALESCE(api_keys.expires_at, 253402300800000) + 0";

fn ids<'a>() -> Ids<'a> {
    // Nothing of the other table is read unless a filter or the order says so; then the join costs nothing.
    api_keys::table.left_join(api_key_uses::table).select(api_keys::id).into_boxed()
}

fn bound() -> i64 {
    i64::try_from(MAX_COUNTED + 1).unwrap_or(i64::MAX)
}

fn counted(found: usize) -> Total {
    if found > MAX_COUNTED { Total::MoreThan(MAX_COUNTED) } else { Total::Exactly(found) }
}

type Named = Box<
    dyn BoxableExpression<LeftJoinQuerySource<api_keys::table, api_key_uses::table>, Backend, SqlType = Bool>,
>;

fn named(text: &str) -> Named {
    let pattern = reach::lower(reach::containing(text));
    Box::new(reach::lower(api_keys::name).like(pattern).escape('\\'))
}

/// The text as the last 4 digits of a key, with or without the dots before them.
fn last_four(text: &str) -> Option<String> {
    let digits = text.trim_start_matches("lk_").trim_start_matches(['…', '.']).to_ascii_lowercase();
    (digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}

/// The order that is asked for, turned round for a page before its cursor, and what lies beyond the cursor in it.
fn ordered<'a>(query: Ids<'a>, page: &KeyQuery) -> Ids<'a> {
    let backwards = page.cursor.as_ref().is_some_and(|cursor| cursor.side == Side::Before);
    let query = match &page.cursor {
        None => query,
        Some(cursor) => beyond(query, cursor, page.sort, page.ascending == backwards),
    };
    let (id, name) = (api_keys::id, reach::lower(api_keys::name));
    let (used, expires) = (api_key_uses::last_used_at, sql::<BigInt>(EXPIRATION));
    match (page.sort, page.ascending == backwards) {
        (SortBy::Created, false) => query.order(id.asc()),
        (SortBy::Created, true) => query.order(id.desc()),
        (SortBy::Name, false) => query.order((name.asc(), id.asc())),
        (SortBy::Name, true) => query.order((name.desc(), id.desc())),
        (SortBy::LastUsed, false) => query.order((used.asc(), api_key_uses::key_id.asc())),
        (SortBy::LastUsed, true) => query.order((used.desc(), api_key_uses::key_id.desc())),
        (SortBy::Expiration, false) => query.order((expires.asc(), id.asc())),
        (SortBy::Expiration, true) => query.order((expires.desc(), id.desc())),
    }
}

macro_rules! beyond {
    ($query:ident, $id:expr, $column:expr, $value:expr, $after:expr, $descending:expr) => {
        if $descending {
            $query.filter($column.le($value)).filter($column.lt($value).or($id.lt($after)))
        } else {
            $query.filter($column.ge($value)).filter($column.gt($value).or($id.gt($after)))
        }
    };
}

fn beyond<'a>(query: Ids<'a>, cursor: &Cursor, sort: SortBy, descending: bool) -> Ids<'a> {
    let after = cursor.id.to_string();
    match (sort, &cursor.value) {
        (SortBy::Created, _) if descending => query.filter(api_keys::id.lt(after)),
        (SortBy::Created, _) => query.filter(api_keys::id.gt(after)),
        (SortBy::Name, Value::Name(value)) => {
            let name = || reach::lower(api_keys::name);
            beyond!(query, api_keys::id, name(), value.clone(), after, descending)
        }
        (SortBy::LastUsed, Value::Millis(value)) => {
            beyond!(query, api_key_uses::key_id, api_key_uses::last_used_at, *value, after, descending)
        }
        (SortBy::Expiration, Value::Millis(value)) => {
            beyond!(query, api_keys::id, sql::<BigInt>(EXPIRATION), *value, after, descending)
        }
        // A cursor of another sort: no row is beyond it.
        (SortBy::Name | SortBy::LastUsed | SortBy::Expiration, _) => query.filter(sql::<Bool>("1 = 0")),
    }
}
