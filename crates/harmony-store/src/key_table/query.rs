//! The queries of the list: what narrows it, how many keys each narrowing leaves, and the ids of one page.
//!
//! An expression instead of a bare column (`concat("")`, `+ 0`) keeps SQLite from an index that would be the wrong one.

use std::collections::{BTreeSet, HashSet};

use diesel::{
    dsl::{Eq, IntoBoxed, LeftJoin, LeftJoinQuerySource, Select, sql},
    prelude::*,
    sql_types::{BigInt, Bool},
};
use harmony_access::{Reach, Timestamp};

use super::{
    EXPIRING_MS, IDLE_MS, KeyQuery, KeyRole, KeyState, MAX_COUNTED, SortBy, Total,
    cursor::{Cursor, Side, Value},
    names,
};
use crate::{
    StoreError, Tx,
    api_keys::NEVER,
    connection::AnyConnection,
    reach,
    schema::{api_key_uses, api_keys},
};

/// So few keys are rather gathered and sorted than met on a walk along the order: of 500,000 keys a walk meets one of 2,000
/// at each 250th step, and so takes 12,500 steps for a page of 50.
const FEW: usize = 2_000;
/// One more, as the databases count.
const FEW_AND_ONE: i64 = 2_001;

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
    /// How the page is come by.
    way: Way,
    /// How many keys the list has, unless that would have taken too long.
    pub total: Option<Total>,
}

/// How a page is come by.
enum Way {
    /// By gathering the few keys that this narrowing leaves, along its own index.
    Gather(By),
    /// By gathering these, which fit a text.
    Among(Vec<String>),
    /// By walking along the wanted order.
    Walk,
}

/// Which narrowing is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Owner,
    Role,
    Expiration,
    Use,
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
        ];
        let asked: Vec<By> = all.into_iter().filter(|(_, asked)| *asked).map(|(by, _)| by).collect();
        let alone = asked.len() + usize::from(self.text.is_some()) == 1;
        for &by in &asked {
            let left = self.left_by(tx, by)?;
            if alone || left.is_few() {
                let total = if alone { left } else { counted(tx, || self.gathered(by))? };
                let way = if left.is_few() { Way::Gather(by) } else { Way::Walk };
                return Ok(Probed { way, total: Some(total) });
            }
        }
        if self.text.is_some() {
            let ids = self.left_by_text(tx)?;
            if ids.len() > FEW {
                return Ok(Probed { way: Way::Walk, total: alone.then_some(Total::MoreThan(FEW)) });
            }
            let total = if alone { Total::Exactly(ids.len()) } else { counted(tx, || self.among(&ids))? };
            return Ok(Probed { way: Way::Among(ids), total: Some(total) });
        }
        let total = if asked.is_empty() { Some(counted(tx, || self.in_workspace())?) } else { None };
        Ok(Probed { way: Way::Walk, total })
    }

    /// How many keys one narrowing alone leaves.
    fn left_by(&self, tx: &mut Tx<'_>, by: By) -> Result<Total, StoreError> {
        match (by, self.used_before) {
            (By::Owner, _) => counted(tx, || self.by_owner(self.in_workspace(), Index::Used)),
            (By::Role, _) => counted(tx, || self.by_role(self.in_workspace(), Index::Used)),
            (By::Expiration, _) => counted(tx, || self.by_expiration(self.in_workspace(), Index::Used)),
            (By::Use, None) => Ok(Total::Exactly(0)),
            (By::Use, Some(before)) => self.used(tx, before),
        }
    }

    /// How many keys were last used before an instant; their other table need not be asked.
    fn used(&self, tx: &mut Tx<'_>, before: Timestamp) -> Result<Total, StoreError> {
        let query = || {
            api_key_uses::table
                .filter(api_key_uses::workspace_id.eq(&self.workspace))
                .filter(api_key_uses::last_used_at.lt(before.as_millis()))
        };
        let beyond: Option<String> =
            query().select(api_key_uses::key_id).offset(MOST).limit(1).first(tx.connection).optional()?;
        if beyond.is_some() {
            return Ok(Total::MoreThan(MAX_COUNTED));
        }
        let count: i64 = query().count().get_result(tx.connection)?;
        Ok(Total::of(usize::try_from(count).unwrap_or(0)))
    }

    /// The ids of the keys that fit the text, one more than are few at most: by name, and by the last 4 digits along their
    /// index.
    fn left_by_text(&self, tx: &mut Tx<'_>) -> Result<Vec<String>, StoreError> {
        let Some(text) = &self.text else { return Ok(Vec::new()) };
        let mut ids = match names::containing(tx, &self.workspace, text, FEW_AND_ONE)? {
            Some(ids) => ids,
            None => self.left_by_name(tx, text)?,
        };
        if let Some(digits) = last_four(text) {
            let known: HashSet<&String> = ids.iter().collect();
            let ending = self.in_workspace().filter(api_keys::last_four.eq(digits)).limit(FEW_AND_ONE);
            let mut ending: Vec<String> = ending.load(tx.connection)?;
            ending.retain(|id| !known.contains(id));
            ids.extend(ending);
            ids.truncate(FEW + 1);
        }
        Ok(ids)
    }

    /// Along the index of names, which holds all that is needed.
    fn left_by_name(&self, tx: &mut Tx<'_>, text: &str) -> Result<Vec<String>, StoreError> {
        let named = self.in_workspace().filter(named(text)).order(reach::lower(api_keys::name));
        Ok(named.limit(FEW_AND_ONE).load(tx.connection)?)
    }

    /// The ids of a page, in its order.
    pub(super) fn ids(
        &self,
        tx: &mut Tx<'_>,
        probed: &Probed,
        page: &KeyQuery,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        let query = match &probed.way {
            Way::Gather(by) => self.gathered(*by),
            Way::Among(ids) => self.among(ids),
            Way::Walk => self.walked(page),
        };
        Ok(ordered(query, page).limit(limit).load(tx.connection)?)
    }

    /// All keys in question, along the index of one narrowing.
    fn gathered(&self, by: By) -> Ids<'_> {
        let index = |of| if of == by { Index::Used } else { Index::Unused };
        let query = match by {
            By::Use => self.in_workspace_by_the_way().filter(self.used_here()),
            // The workspace would lead to the index of the order, and past all other keys.
            By::Owner | By::Role => self.in_workspace_by_the_way(),
            By::Expiration => self.in_workspace(),
        };
        let query = self.by_role(self.by_owner(query, index(By::Owner)), index(By::Role));
        self.by_text(self.by_use(self.by_expiration(query, index(By::Expiration))))
    }

    /// All keys in question that are among these.
    fn among(&self, ids: &[String]) -> Ids<'_> {
        let among = self.in_workspace_by_the_way().filter(api_keys::id.eq_any(ids.to_vec()));
        self.narrowed(among)
    }

    /// All keys in question, such that the database takes the index of the wanted order.
    fn walked(&self, page: &KeyQuery) -> Ids<'_> {
        // With the newest first, one owner's or role's keys have that order in their own index.
        let one_owner = self.owners.as_ref().is_some_and(|owners| owners.len() == 1);
        let own_index = page.sort == SortBy::Created && (one_owner || self.role.is_some());
        if own_index {
            let (owner, role) =
                if one_owner { (Index::Used, Index::Unused) } else { (Index::Unused, Index::Used) };
            let query = self.by_role(self.by_owner(self.in_workspace(), owner), role);
            return self.by_text(self.by_use(self.by_expiration(query, Index::Unused)));
        }
        match page.sort {
            SortBy::LastUsed => self.narrowed(self.in_workspace_by_the_way().filter(self.used_here())),
            SortBy::Created | SortBy::Name => self.narrowed(self.in_workspace()),
            SortBy::Expiration => {
                let query = self.by_expiration(self.in_workspace(), Index::Used);
                let query = self.by_role(self.by_owner(query, Index::Unused), Index::Unused);
                self.by_text(self.by_use(query))
            }
        }
    }

    /// Narrowed in every way, such that no narrowing chooses the index.
    fn narrowed<'a>(&self, query: Ids<'a>) -> Ids<'a> {
        let query = self.by_role(self.by_owner(query, Index::Unused), Index::Unused);
        self.by_text(self.by_use(self.by_expiration(query, Index::Unused)))
    }

    /// The workspace as the uses know it, which is what leads to their index.
    fn used_here(&self) -> Eq<api_key_uses::workspace_id, String> {
        api_key_uses::workspace_id.eq(self.workspace.clone())
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

/// [`MAX_COUNTED`], as the databases count.
const MOST: i64 = 10_000;

/// How many keys a query finds. SQLite leaves out a join that changes nothing, but not below a `COUNT`: so it is asked for
/// the one beyond the most, and then for the few that there are.
fn counted<'a>(tx: &mut Tx<'_>, query: impl Fn() -> Ids<'a>) -> Result<Total, StoreError> {
    let beyond: Option<String> = query().offset(MOST).limit(1).first(tx.connection).optional()?;
    if beyond.is_some() {
        return Ok(Total::MoreThan(MAX_COUNTED));
    }
    let ids: Vec<String> = query().load(tx.connection)?;
    Ok(Total::of(ids.len()))
}

impl Total {
    fn of(found: usize) -> Self {
        if found > MAX_COUNTED { Self::MoreThan(MAX_COUNTED) } else { Self::Exactly(found) }
    }

    fn is_few(self) -> bool {
        matches!(self, Self::Exactly(count) if count <= FEW)
    }
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
