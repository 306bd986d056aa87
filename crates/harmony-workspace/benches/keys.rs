//! What a page of 50 keys costs people among 10,000 and among 500,000, on SQLite: in each order, narrowed in each way, with
//! the total and the owners and roles to choose from. With `KEYS=10000` only among so many.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use harmony_access::{Id, Kind, Principal, Timestamp, UserRecord};
use harmony_key::ApiKey as KeyText;
use harmony_permission::{Permission, PermissionSet};
use harmony_store::{
    DatabaseUrl, Page, Store, StoreError, Tx, Version,
    api_keys::{self, ApiKey, LastUse},
    key_table::{Cursor, KeyQuery, KeyRole, KeyState, SortBy},
    roles, teams, users, workspaces,
};
use harmony_workspace::{self as use_cases, Occasion, Workspace, key_table};

const SIZES: [u64; 2] = [10_000, 500_000];
/// One key in a thousand is one user's.
const USERS: u64 = 1_000;
/// Of ten keys one has each role but the last, which hardly any has, and two have none.
const ROLES: u64 = 8;
const PAGE: u32 = 50;
/// The most owners and roles to choose from.
const CHOICES: u32 = 200;
/// The rows of one transaction.
const BATCH: u64 = 10_000;
const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);
/// The keys were made over a year, whatever their number.
const YEAR_SECS: u64 = 365 * 86_400;
const WORDS: [&str; 8] = ["Billing", "sync", "production", "export", "CRM", "nightly", "webhook", "partner"];

type Failure = Box<dyn std::error::Error>;

struct Place {
    workspace: Workspace,
    occasion: Occasion,
    keys: u64,
}

fn tables(criterion: &mut Criterion) -> Result<(), Failure> {
    let only: Option<u64> = std::env::var("KEYS").ok().and_then(|text| text.parse().ok());
    for keys in SIZES.into_iter().filter(|keys| only.is_none_or(|only| only == *keys)) {
        let folder = tempfile::tempdir()?;
        let url = DatabaseUrl::sqlite(folder.path().join("harmony.sqlite"));
        let store = Store::open(&url, &Default::default())?;
        fill(&store, keys)?;
        let occasion = Occasion { now: made_at(keys, keys), client: None, request_id: None };
        measure(criterion, &Place { workspace: Workspace::new(store), occasion, keys })?;
    }
    Ok(())
}

fn measure(criterion: &mut Criterion, place: &Place) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group(format!("50 of {} keys", place.keys));
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    let (all, team) = (reader("all")?, reader("team")?);
    for (order, sort, ascending) in [
        ("newest", SortBy::Created, false),
        ("name", SortBy::Name, true),
        ("last used", SortBy::LastUsed, false),
        ("soonest to expire", SortBy::Expiration, true),
    ] {
        for (what, narrowed) in narrowings(place) {
            let query = KeyQuery { sort, ascending, limit: PAGE, ..narrowed };
            let reader = if what == "a team of 20" { &team } else { &all };
            group.bench_function(BenchmarkId::new(order, what), |b| b.iter(|| page(place, reader, &query)));
        }
        let first = KeyQuery { sort, ascending, limit: PAGE, ..KeyQuery::default() };
        let after = key_table::page(&place.workspace, &all, &place.occasion, &first)?.after;
        assert!(after.is_some(), "{order}");
        let middle = middle(place, sort);
        assert!(middle.is_some(), "{order}");
        for (what, cursor) in [("second page", after), ("a page in the middle", middle)] {
            let query = KeyQuery { cursor, ..first.clone() };
            group.bench_function(BenchmarkId::new(order, what), |b| b.iter(|| page(place, &all, &query)));
        }
    }
    group.finish();
    Ok(())
}

/// What the console asks for a page of the table.
fn page(place: &Place, reader: &Principal, query: &KeyQuery) -> usize {
    let choices = Page { after: None, limit: CHOICES };
    let page = key_table::page(&place.workspace, reader, &place.occasion, query);
    let roles = use_cases::roles::list(&place.workspace, reader, &choices);
    let owners = use_cases::users::list(&place.workspace, reader, &Page { after: None, limit: CHOICES });
    // A figure of something that failed is worth nothing.
    assert!(page.is_ok() && roles.is_ok() && owners.is_ok(), "{page:?}");
    page.map_or(0, |page| page.rows.len())
}

/// Where half of the keys, or about as many, come before in this order.
fn middle(place: &Place, sort: SortBy) -> Option<Cursor> {
    let (at, number) = (made_at(place.keys / 2, place.keys), place.keys / 2);
    let id = id::<harmony_access::ApiKeyKind>(at, number).to_string();
    let id = id.strip_prefix("key_")?;
    let text = match sort {
        SortBy::Created => format!("a{id}"),
        SortBy::Name => {
            format!("a{id}.{}", "nightly".bytes().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        SortBy::LastUsed | SortBy::Expiration => format!("a{id}.{}", at.plus(DAY * 90).as_millis()),
    };
    Cursor::parse(&text, sort)
}

fn narrowings(place: &Place) -> Vec<(&'static str, KeyQuery)> {
    let any = KeyQuery::default;
    let text = |text: &str| KeyQuery { text: Some(text.to_owned()), ..any() };
    let state = |state| KeyQuery { state: Some(state), ..any() };
    let role = |number| KeyQuery { role: Some(KeyRole::Is(id(START, number))), ..any() };
    vec![
        ("all keys", any()),
        ("a team of 20", any()),
        ("an owner", KeyQuery { owner: Some(id(START, 7)), ..any() }),
        ("a role of many", role(1)),
        ("a role of few", role(ROLES)),
        ("no role", KeyQuery { role: Some(KeyRole::Default), ..any() }),
        ("active", state(KeyState::Active)),
        ("expiring", state(KeyState::Expiring)),
        ("expired", state(KeyState::Expired)),
        ("never used", state(KeyState::Unused)),
        ("idle", state(KeyState::Idle)),
        ("a text of many", text("SYNC")),
        ("a text of some", text(&format!("production {}", place.keys / 1_000 - 1))),
        ("a text of one", text(&format!(" {}", place.keys - 5))),
        ("a text of none", text("no such name")),
        ("a letter of many", text("s")),
        ("a letter of none", text("z")),
        ("last 4 digits", text(&KeyText::from_secret(secret(5)).last_four().to_string())),
        ("a role of many, active", KeyQuery { state: Some(KeyState::Active), ..role(1) }),
    ]
}

fn reader(scope: &str) -> Result<Principal, Failure> {
    let of = |resource: &str, scope: &str| Permission::parse(&format!("{resource}:read:{scope}"));
    let permissions = [of("api-keys", scope)?, of("users", scope)?, of("roles", "all")?];
    Ok(Principal::of_user(UserRecord {
        id: id(START, 0),
        workspace: id(START, 0),
        permissions: PermissionSet::from_iter(permissions),
        session: None,
    }))
}

fn fill(store: &Store, keys: u64) -> Result<(), Failure> {
    store.write(people)?;
    for first in (0..keys).step_by(usize::try_from(BATCH)?) {
        let batch = first..first + BATCH;
        store.write::<_, StoreError>(|tx| {
            batch.clone().try_for_each(|number| api_keys::insert(tx, &key(number, keys)))?;
            let uses: Vec<_> = batch.filter_map(|number| last_use(number, keys)).collect();
            api_keys::note_uses(tx, &uses)
        })?;
    }
    Ok(())
}

fn people(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let (version, created_at, workspace) = (Version::FIRST, START, id(START, 0));
    workspaces::insert(
        tx,
        &workspaces::Workspace {
            id: workspace,
            name: "Acme".to_owned(),
            default_permissions: PermissionSet::default(),
            longest_key_lifetime_secs: None,
            version,
            created_at,
        },
    )?;
    for number in 0..=ROLES {
        let role = roles::Role {
            id: id(START, number),
            workspace,
            name: format!("Role {number}"),
            description: String::new(),
            built_in: None,
            custom: PermissionSet::default(),
            version,
            created_at,
        };
        roles::insert(tx, &role)?;
    }
    let team = teams::Team { id: id(START, 0), workspace, name: "Team".to_owned(), version, created_at };
    teams::insert(tx, &team)?;
    for number in 0..USERS {
        let (name, email) = (format!("User {number}"), format!("user{number}@acme.example"));
        let (id, role) = (id(START, number), id(START, 0));
        users::insert(tx, &users::User { id, workspace, role, email, name, version, created_at }, None)?;
        if number < 20 {
            teams::add_user(tx, team.id, id)?;
        }
    }
    Ok(())
}

/// Numbers without a pattern, the same each time (splitmix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn word(mixed: u64) -> &'static str {
    usize::try_from(mixed % 8).ok().and_then(|place| WORDS.get(place)).copied().unwrap_or_default()
}

fn key(number: u64, keys: u64) -> ApiKey {
    let (chance, text) = (mixed(number), KeyText::from_secret(secret(number)));
    let made_at = made_at(number, keys);
    let role = match (number % 1_000, chance % 10) {
        (999, _) => Some(ROLES),
        (_, tenth) => (tenth < ROLES).then_some(tenth % ROLES),
    };
    ApiKey {
        id: id(made_at, number),
        workspace: id(START, 0),
        owner: id(START, (chance >> 8) % USERS),
        role: role.map(|role| id(START, role)),
        name: format!("{} {} {number}", word(chance >> 20), word(chance >> 30)),
        digest: text.digest(),
        last_four: text.last_four(),
        foreign_text: false,
        display_rate_limit: None,
        // Three of four expire, a week to a year after they were made: those that have expired are the old ones.
        expires_at: (chance & 3 > 0).then(|| made_at.plus(DAY * (7 + days(chance >> 40, 358)))),
        rotated_to: None,
        version: Version::FIRST,
        created_at: made_at,
        created_by: Some(id(START, (chance >> 16) % USERS)),
    }
}

/// Four of five were used, up to half a year after they were made.
fn last_use(number: u64, keys: u64) -> Option<(harmony_access::ApiKeyId, LastUse)> {
    let chance = mixed(number.wrapping_mul(31));
    let made_at = made_at(number, keys);
    let at = made_at.plus(DAY * days(chance >> 8, 180)).min(self::made_at(keys, keys));
    (!chance.is_multiple_of(5)).then(|| (id(made_at, number), LastUse { at, ip: "203.0.113.7".to_owned() }))
}

fn days(chance: u64, bound: u64) -> u32 {
    u32::try_from(chance % bound).unwrap_or(0)
}

fn made_at(number: u64, keys: u64) -> Timestamp {
    START.plus(Duration::from_secs(number.saturating_mul(YEAR_SECS / keys)))
}

fn secret(number: u64) -> [u8; 28] {
    let mut secret = [0; 28];
    secret.iter_mut().zip(number.to_be_bytes()).for_each(|(byte, digit)| *byte = digit);
    secret
}

fn id<K: Kind>(at: Timestamp, number: u64) -> Id<K> {
    let mut rest = [0; 10];
    rest.iter_mut().zip(number.to_be_bytes()).for_each(|(byte, digit)| *byte = digit);
    Id::new(at, rest)
}

fn bench_tables(criterion: &mut Criterion) {
    let outcome = tables(criterion);
    assert!(outcome.is_ok(), "{outcome:?}");
}

criterion_group!(benches, bench_tables);
criterion_main!(benches);
