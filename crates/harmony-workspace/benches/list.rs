//! What a list of 50 conversations costs among a million, on SQLite: by how far its reader reaches, for the first page and
//! for one from the middle of what is there.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use harmony_access::{Id, Kind, Principal, Timestamp, UserRecord};
use harmony_permission::{Permission, PermissionSet};
use harmony_store::{
    DatabaseUrl, Page, Store, Version,
    conversations::{self as rows, Cursor, Filter},
    roles, teams, users, workspaces,
};
use harmony_workspace::{Workspace, conversations};

const CONVERSATIONS: u64 = 1_000_000;
/// One conversation in a thousand is one user's.
const USERS: u64 = 1_000;
const PAGE: u32 = 50;
/// The rows of one transaction.
const BATCH: u64 = 10_000;
const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// Between the starts of two conversations.
const STEP: Duration = Duration::from_secs(30);

type Failure = Box<dyn std::error::Error>;

fn lists(criterion: &mut Criterion) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let url = DatabaseUrl::sqlite(folder.path().join("harmony.sqlite"));
    let store = Store::open(&url, &Default::default())?;
    fill(&store)?;
    let workspace = Workspace::new(store);
    let mut group = criterion.benchmark_group("50 of 1,000,000 conversations");
    // User 0 shares a team with 19 others, user 20 one with 499.
    for (who, user, scope) in
        [("own", 0, "own"), ("a team of 20", 0, "team"), ("a team of 500", 20, "team"), ("all", 0, "all")]
    {
        let reader = reader(user, scope)?;
        let middle = (moment(CONVERSATIONS / 2), id(CONVERSATIONS / 2));
        for (place, after) in [("first page", None), ("from the middle", Some(middle))] {
            let page = Page { after, limit: PAGE };
            assert_eq!(list(&workspace, &reader, &page), PAGE as usize, "{who}, {place}");
            group.bench_function(BenchmarkId::new(who, place), |b| {
                b.iter(|| list(&workspace, &reader, &page))
            });
        }
    }
    group.finish();
    Ok(())
}

fn list(workspace: &Workspace, reader: &Principal, page: &Page<Cursor>) -> usize {
    conversations::list(workspace, reader, &Filter::default(), page).map_or(0, |found| found.len())
}

fn reader(user: u64, scope: &str) -> Result<Principal, Failure> {
    let permission = Permission::parse(&format!("conversations:read:{scope}"))?;
    Ok(Principal::of_user(UserRecord {
        id: id(user),
        workspace: id(0),
        permissions: PermissionSet::from_iter([permission]),
        session: None,
    }))
}

fn fill(store: &Store) -> Result<(), Failure> {
    store.write(people)?;
    for first in (0..CONVERSATIONS).step_by(usize::try_from(BATCH)?) {
        store.write(|tx| {
            (first..first + BATCH).try_for_each(|number| rows::insert(tx, &conversation(number), &[]))
        })?;
    }
    Ok(())
}

fn people(tx: &mut harmony_store::Tx<'_>) -> Result<(), harmony_store::StoreError> {
    let (version, created_at) = (Version::FIRST, START);
    let here = workspaces::Workspace {
        id: id(0),
        name: "Acme".to_owned(),
        default_permissions: PermissionSet::default(),
        longest_key_lifetime_secs: None,
        version,
        created_at,
    };
    workspaces::insert(tx, &here)?;
    let role = roles::Role {
        id: id(0),
        workspace: here.id,
        name: "Reader".to_owned(),
        description: String::new(),
        built_in: None,
        custom: PermissionSet::default(),
        version,
        created_at,
    };
    roles::insert(tx, &role)?;
    for number in 0..USERS {
        let name = format!("user {number}");
        let email = format!("user{number}@acme.example");
        let user = users::User {
            id: id(number),
            workspace: here.id,
            role: role.id,
            email,
            name,
            version,
            created_at,
        };
        users::insert(tx, &user, None)?;
    }
    for (number, people) in [(0, 0..20), (1, 20..520)] {
        let team = teams::Team {
            id: id(number),
            workspace: here.id,
            name: format!("team {number}"),
            version,
            created_at,
        };
        teams::insert(tx, &team)?;
        for user in people {
            teams::add_user(tx, team.id, id(user))?;
        }
    }
    Ok(())
}

fn conversation(number: u64) -> rows::Conversation {
    rows::Conversation {
        id: id(number),
        workspace: id(0),
        // Neighbours in time belong to different users.
        owner: id(number.wrapping_mul(7_919) % USERS),
        title: format!("Weekly review {number}"),
        started_at: moment(number),
        duration_secs: 1_800,
        participants: vec!["Ann Admin".to_owned(), "Tom Manager".to_owned(), "Uma User".to_owned()],
        summary: "Where we stand, what comes next, and who takes care of it until the week after. ".repeat(3),
        action_items: vec!["Tom sends the notes.".to_owned()],
        version: Version::FIRST,
        created_at: moment(number),
    }
}

fn moment(number: u64) -> Timestamp {
    START.plus(STEP * u32::try_from(number).unwrap_or(u32::MAX))
}

fn id<K: Kind>(number: u64) -> Id<K> {
    let mut rest = [0; 10];
    rest.iter_mut().zip(number.to_be_bytes()).for_each(|(byte, digit)| *byte = digit);
    Id::new(moment(number), rest)
}

fn bench_lists(criterion: &mut Criterion) {
    // A figure of something that failed is worth nothing.
    let outcome = lists(criterion);
    assert!(outcome.is_ok(), "{outcome:?}");
}

criterion_group!(benches, bench_lists);
criterion_main!(benches);
