//! One call changes one row: whatever else is in the database stays as it was, row by row and table by table.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use harmony_access::{ApiKeyId, NodeId, Principal, Revision, Timestamp};
use harmony_key::{ApiKey as KeyText, Fingerprint, TokenDigest};
use harmony_store::{
    StoreError, Tx, Version,
    api_keys::{self as rows, ApiKey, LastUse},
    conversations::Segment,
    revocations, setup_links,
    usage::{self, Counted, Grain, Outcome},
};
use harmony_workspace::{
    Browser, DisplayRateLimit, Occasion,
    api_keys::{self, ApiKeyChange},
    conversations::{self, NewConversation},
    sessions, teams,
};
use serde_json::{Map, Value};

use crate::{
    backend::{Database, Rows, on_both},
    house::*,
};

on_both!(
    a_deleted_key_takes_its_own_rows_with_it_and_no_others,
    a_key_that_ends_itself_takes_its_own_rows_with_it_and_no_others,
    a_changed_key_is_one_changed_row,
    a_key_rotated_at_once_is_one_row_that_goes_and_one_that_comes,
    a_key_rotated_with_grace_is_one_changed_row_and_one_that_comes,
    a_made_key_is_one_more_row,
);

/// The keys that are there, the one that something is done to among them.
const KEYS: u16 = 10_000;
/// The one.
const CHOSEN: usize = 5_000;
/// Every so many-th key was used; the chosen one was.
const USED_EVERY: usize = 40;
/// Every table there is: a new one is thought of in [`furnish`].
const TABLES: [&str; 19] = [
    "__diesel_schema_migrations",
    "api_key_usage",
    "api_key_uses",
    "api_keys",
    "audit_events",
    "conversations",
    "idempotency_keys",
    "known_networks",
    "nodes",
    "revocation_head",
    "revocations",
    "roles",
    "sessions",
    "setup_links",
    "team_users",
    "teams",
    "transcript_segments",
    "users",
    "workspaces",
];

/// What becomes of a table's rows: so many go and so many come. One that changes does both.
type Count = (&'static str, usize, usize);

/// What every call that takes access away writes beside the key's own rows.
const TOLD: [Count; 3] = [("audit_events", 0, 1), ("revocation_head", 1, 1), ("revocations", 0, 1)];

fn a_deleted_key_takes_its_own_rows_with_it_and_no_others(database: Database) {
    let (h, key) = among_many(database);
    let (_, difference) = difference(&h, || {
        let deleted = api_keys::delete(&h.workspace, &h.admin, &now(), key.id, None);
        assert!(value(deleted.unwrap()).1);
    });
    difference
        .is(&[&[("api_key_usage", 2, 0), ("api_key_uses", 1, 0), ("api_keys", 1, 0)], TOLD.as_slice()]
            .concat());
    difference.is_of(&[key.id]);
    difference.revokes(&key);
}

fn a_key_that_ends_itself_takes_its_own_rows_with_it_and_no_others(database: Database) {
    let (h, key) = among_many(database);
    let holder = h.workspace.store().read::<_, StoreError>(|tx| rows::record(tx, &key.digest)).unwrap();
    let holder = Principal::of_key(Arc::new(holder.unwrap()), now().now).unwrap();
    let (_, difference) = difference(&h, || {
        assert!(value(api_keys::delete_own(&h.workspace, &holder, &now()).unwrap()).1);
    });
    difference
        .is(&[&[("api_key_usage", 2, 0), ("api_key_uses", 1, 0), ("api_keys", 1, 0)], TOLD.as_slice()]
            .concat());
    difference.is_of(&[key.id]);
    difference.revokes(&key);
}

fn a_changed_key_is_one_changed_row(database: Database) {
    let (h, key) = among_many(database);
    let change = ApiKeyChange {
        name: Some("another".to_owned()),
        display_rate_limit: Some(DisplayRateLimit::from_column("7")),
        expires_at: Some(now().now.plus(Duration::from_secs(60))),
    };
    let (_, difference) = difference(&h, || {
        let changed = api_keys::change(&h.workspace, &h.admin, &now(), key.id, &change, None);
        assert!(value(changed.unwrap()).1);
    });
    difference.is(&[&[("api_keys", 1, 1)], TOLD.as_slice()].concat());
    difference.is_of(&[key.id]);
    difference.revokes(&key);
    let columns = ["display_rate_limit", "expires_at", "name", "version"];
    assert_eq!(difference.changed_columns("api_keys", key.id), columns);
}

fn a_key_rotated_at_once_is_one_row_that_goes_and_one_that_comes(database: Database) {
    let (h, key) = among_many(database);
    let (new, difference) = difference(&h, || rotate(&h, key.id, Duration::ZERO));
    let own =
        [("api_key_usage", 2, 0), ("api_key_uses", 1, 1), ("api_keys", 1, 1), ("idempotency_keys", 0, 1)];
    difference.is(&[own.as_slice(), TOLD.as_slice()].concat());
    difference.is_of(&[key.id, new]);
    difference.revokes(&key);
}

fn a_key_rotated_with_grace_is_one_changed_row_and_one_that_comes(database: Database) {
    let (h, key) = among_many(database);
    let (new, difference) = difference(&h, || rotate(&h, key.id, Duration::from_secs(600)));
    let own = [("api_key_uses", 0, 1), ("api_keys", 1, 2), ("idempotency_keys", 0, 1)];
    difference.is(&[own.as_slice(), TOLD.as_slice()].concat());
    difference.is_of(&[key.id, new]);
    difference.revokes(&key);
    let columns = ["expires_at", "rotated_to", "version"];
    assert_eq!(difference.changed_columns("api_keys", key.id), columns);
}

fn a_made_key_is_one_more_row(database: Database) {
    let (h, _) = among_many(database);
    let (new, difference) = difference(&h, || h.key(h.ann));
    difference.is(&[("api_key_uses", 0, 1), ("api_keys", 0, 1), ("audit_events", 0, 1)]);
    difference.is_of(&[new]);
}

/// Rotates under an idempotency key of its own.
fn rotate(h: &Harmony, id: ApiKeyId, grace: Duration) -> ApiKeyId {
    let text = id.to_string();
    let once = (text.clone(), Fingerprint::of(&[text.as_bytes()]));
    let rotated = api_keys::rotate(&h.workspace, &h.admin, &now(), id, grace, Some(&once));
    made(value(rotated.unwrap()).0).key.id
}

/// A key among many others, in a database with something in each of its tables.
pub fn among_many(database: Database) -> (Harmony, ApiKey) {
    let h = harmony(database);
    furnish(&h);
    let keys: Vec<ApiKey> = (0..KEYS).map(|number| key(&h, number)).collect();
    let used = |key: &ApiKey| (key.id, LastUse { at: now().now, ip: "192.0.2.1".to_owned() });
    let uses: Vec<_> = keys.iter().step_by(USED_EVERY).map(used).collect();
    let once = |key: &ApiKey| {
        let (key, hour) = (key.id, Grain::Hour.start(now().now));
        Counted { key, hour, outcome: Outcome::Success, requests: 1 }
    };
    let counted: Vec<_> = keys.iter().step_by(USED_EVERY).map(once).collect();
    write(&h, |tx| {
        keys.iter().try_for_each(|key| rows::insert(tx, key))?;
        rows::note_uses(tx, &uses)?;
        usage::add(tx, &counted)
    });
    let chosen = keys[CHOSEN].clone();
    (h, chosen)
}

fn key(h: &Harmony, number: u16) -> ApiKey {
    let mut secret = [0; 28];
    secret[..2].copy_from_slice(&number.to_be_bytes());
    let text = KeyText::from_secret(secret);
    ApiKey {
        id: ApiKeyId::new(now().now.plus(Duration::from_millis(number.into())), [1; 10]),
        workspace: h.id,
        owner: h.ann,
        role: None,
        name: format!("key {number}"),
        digest: text.digest(),
        last_four: text.last_four(),
        foreign_text: false,
        display_rate_limit: None,
        expires_at: Some(now().now.plus(Duration::from_secs(86_400))),
        rotated_to: None,
        version: Version::FIRST,
        created_at: now().now,
        created_by: None,
    }
}

/// Puts something into each of the other tables.
fn furnish(h: &Harmony) {
    let team = made(teams::create(&h.workspace, &h.admin, &now(), "Sales", None).unwrap());
    teams::add_user(&h.workspace, &h.admin, &now(), team.id, h.ann).unwrap();
    let talk = NewConversation {
        owner: None,
        title: "Kick-off".to_owned(),
        started_at: now().now,
        duration_secs: 60,
        participants: vec![],
        summary: String::new(),
        action_items: vec![],
        segments: vec![Segment { speaker: "Ann".into(), start_secs: 0.0, content: "Hello".into() }],
    };
    made(conversations::create(&h.workspace, &h.admin, &now(), &talk, None).unwrap());
    let somewhere = Occasion { client: Some([192, 0, 2, 1].into()), ..now() };
    sessions::sign_in(&h.workspace, &somewhere, "ann@example.com", PASSWORD, Browser::default())
        .unwrap()
        .unwrap();
    rotate(h, h.key(h.ann), Duration::ZERO);
    let node = NodeId::new(Timestamp::from_millis(1), [1; 10]);
    write(h, |tx| {
        setup_links::insert(
            tx,
            TokenDigest::of("a link"),
            now().now,
            now().now.plus(Duration::from_secs(1)),
        )?;
        revocations::renew(tx, node, Revision::new(0), 60_000, now().now)
    });
}

fn write(h: &Harmony, work: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError>) {
    h.workspace.store().write(work).unwrap();
}

/// What one call changes.
struct Difference {
    /// Each row that went, with its table.
    gone: BTreeSet<(String, String)>,
    /// Each row that came.
    come: BTreeSet<(String, String)>,
}

fn difference<T>(h: &Harmony, call: impl FnOnce() -> T) -> (T, Difference) {
    let before = h.database.rows();
    assert_eq!(before.keys().map(String::as_str).collect::<Vec<_>>(), TABLES);
    let empty: Vec<_> = before.iter().filter(|(_, rows)| rows.is_empty()).collect();
    assert_eq!(empty, [], "a table in which nothing can be seen to stay");
    assert!(before["api_keys"].len() > usize::from(KEYS));
    let answered = call();
    let (before, after) = (flat(before), flat(h.database.rows()));
    let difference = Difference {
        gone: before.difference(&after).cloned().collect(),
        come: after.difference(&before).cloned().collect(),
    };
    (answered, difference)
}

fn flat(rows: Rows) -> BTreeSet<(String, String)> {
    let of_table =
        |(table, rows): (String, BTreeSet<String>)| rows.into_iter().map(move |row| (table.clone(), row));
    rows.into_iter().flat_map(of_table).collect()
}

impl Difference {
    /// That just so many rows went and came, and none of any other table.
    fn is(&self, expected: &[Count]) {
        let count =
            |rows: &BTreeSet<(String, String)>, table| rows.iter().filter(|row| row.0 == table).count();
        let counts: Vec<Count> = TABLES
            .into_iter()
            .map(|table| (table, count(&self.gone, table), count(&self.come, table)))
            .filter(|(_, gone, come)| gone + come > 0)
            .collect();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(counts, expected);
    }

    /// That each row which tells of a key tells of one of these.
    fn is_of(&self, keys: &[ApiKeyId]) {
        for (table, row) in self.gone.iter().chain(&self.come) {
            let told = keys.iter().any(|key| row.contains(&key.to_string()));
            assert!(told || table.starts_with("revocation"), "{table}: {row}");
        }
    }

    /// That the one revocation is of this key.
    fn revokes(&self, key: &ApiKey) {
        let digest: String = key.digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let (_, row) = self.come.iter().find(|(table, _)| table == "revocations").unwrap();
        assert!(row.contains(&digest), "{row}");
    }

    /// The columns in which the row with this id is not as it was.
    fn changed_columns(&self, table: &str, id: ApiKeyId) -> Vec<String> {
        let row = |rows: &BTreeSet<(String, String)>| -> Map<String, Value> {
            let mut all =
                rows.iter().filter(|row| row.0 == table).map(|row| serde_json::from_str(&row.1).unwrap());
            all.find(|row: &Map<String, Value>| row["id"].as_str().unwrap().contains(&id.to_string()))
                .unwrap()
        };
        let (before, after) = (row(&self.gone), row(&self.come));
        after
            .into_iter()
            .filter(|(column, value)| before[column] != *value)
            .map(|(column, _)| column)
            .collect()
    }
}
