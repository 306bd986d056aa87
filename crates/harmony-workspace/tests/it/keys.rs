//! API keys: nobody reaches further through a key than they reach themselves, and a barrier never waits without end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use harmony_access::{NodeId, Principal, Revision, Timestamp, UserId, UserRecord};
use harmony_permission::Permission;
use harmony_store::{
    StoreError, Tx,
    api_keys::{self as rows, ApiKey},
    revocations,
};
use harmony_workspace::{
    Answered, Error, Occasion, Once, Workspace,
    api_keys::{self, IssuedApiKey, NewApiKey},
    barrier::{Process, Waited},
    settings::{self, SettingsChange},
    setup::{self, NewWorkspace},
};

use crate::backend::{Database, on_both};

on_both!(
    a_key_that_acts_for_another_user_takes_what_reaches_that_users_things,
    rotating_another_users_key_takes_what_reaches_that_users_things,
    a_key_from_before_a_shorter_lifetime_was_set_is_still_rotated,
    a_process_that_never_answers_is_waited_for_once_and_no_longer_than_its_lease,
    a_process_that_renews_while_it_is_waited_for_stays_on_the_list,
    nobody_is_told_that_a_key_is_gone_while_a_process_may_accept_it,
);

/// Longer than any test takes.
const LEASE_MS: i64 = 60_000;

struct Place {
    _database: Database,
    workspace: Workspace,
    admin: Principal,
    ann: UserId,
}

fn now() -> Occasion {
    Occasion { now: Timestamp::from_millis(1_800_000_000_000), client: None, request_id: None }
}

fn place(database: Database) -> Place {
    let workspace = database.workspace.clone();
    let new = NewWorkspace { name: "W", user_name: "Ann", email: "ann@example.com", password: None };
    let (id, ann) = setup::create(&workspace, &now(), &new).unwrap();
    Place { _database: database, workspace, admin: setup::operator(id, ann), ann }
}

impl Place {
    /// Somebody else than Ann, who holds just this.
    fn bob(&self, texts: &[&str]) -> Principal {
        let permissions = texts.iter().map(|text| Permission::parse(text).unwrap()).collect();
        let id = UserId::new(Timestamp::from_millis(7), [7; 10]);
        Principal::of_user(UserRecord { id, workspace: self.admin.workspace(), permissions, session: None })
    }

    fn create_for_ann(&self, actor: &Principal) -> Result<IssuedApiKey, Error> {
        let new = NewApiKey {
            name: "sync".to_owned(),
            owner: Some(self.ann),
            role: None,
            expires_at: None,
            display_rate_limit: None,
        };
        api_keys::create(&self.workspace, actor, &now(), &new, None).map(made)
    }
}

fn made<T>(once: Once<T>) -> T {
    match once {
        Once::Made(value) => value,
        Once::Repeated(id) => panic!("{id} was made before"),
    }
}

fn required<T>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(Error::Forbidden { required, .. }) => required.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => "nothing".to_owned(),
    }
}

fn a_key_that_acts_for_another_user_takes_what_reaches_that_users_things(database: Database) {
    let place = place(database);
    let own = place.bob(&["api-keys:create:all", "conversations:read:own"]);
    assert_eq!(required(place.create_for_ann(&own)), "conversations:read:all");
    let all = place.bob(&["api-keys:create:all", "conversations:read:all"]);
    assert_eq!(required(place.create_for_ann(&all)), "nothing");
}

fn rotating_another_users_key_takes_what_reaches_that_users_things(database: Database) {
    let place = place(database);
    let key = place.create_for_ann(&place.admin).unwrap().key;
    let rotate =
        |actor: &Principal| api_keys::rotate(&place.workspace, actor, &now(), key.id, Duration::ZERO, None);
    let own = place.bob(&["api-keys:create:all", "api-keys:delete:all", "conversations:read:own"]);
    assert_eq!(required(rotate(&own)), "conversations:read:all");
    let all = place.bob(&["api-keys:create:all", "api-keys:delete:all", "conversations:read:all"]);
    assert_eq!(required(rotate(&all)), "nothing");
}

fn a_key_from_before_a_shorter_lifetime_was_set_is_still_rotated(database: Database) {
    let place = place(database);
    let key = place.create_for_ann(&place.admin).unwrap().key;
    let change = SettingsChange { longest_key_lifetime_secs: Some(Some(86_400)), ..Default::default() };
    let Answered { .. } = settings::change(&place.workspace, &place.admin, &now(), &change, None).unwrap();
    assert!(matches!(place.create_for_ann(&place.admin), Err(Error::Invalid(_))));
    let rotated =
        api_keys::rotate(&place.workspace, &place.admin, &now(), key.id, Duration::ZERO, None).unwrap();
    assert_eq!(made(rotated.value).key.expires_at, None);
}

fn a_process_that_never_answers_is_waited_for_once_and_no_longer_than_its_lease(database: Database) {
    let place = place(database);
    let node = NodeId::new(Timestamp::from_millis(1), [1; 10]);
    let stuck = |ttl_ms| {
        let renew = |tx: &mut Tx<'_>| revocations::renew(tx, node, Revision::new(0), ttl_ms, now().now);
        place.workspace.store().write::<_, StoreError>(renew).unwrap();
        let waited = place.workspace.await_everywhere(Revision::new(1));
        (waited.acknowledged, waited.expired)
    };
    let there = || place.workspace.store().read::<_, StoreError>(revocations::list_nodes).unwrap().len();
    // Whatever the stored clock says: renewed for ten seconds, which no process does, and long over.
    for ttl_ms in [10_000, -600_000] {
        assert_eq!(stuck(ttl_ms), (0, 1));
        assert_eq!(there(), 0, "nobody waits for it again");
    }
    assert_eq!(place.workspace.await_everywhere(Revision::new(1)), Waited::default());
}

fn a_process_that_renews_while_it_is_waited_for_stays_on_the_list(database: Database) {
    let place = place(database);
    let node = NodeId::new(Timestamp::from_millis(1), [1; 10]);
    let store = place.workspace.store().clone();
    let renew = move || {
        let renew = |tx: &mut Tx<'_>| revocations::renew(tx, node, Revision::new(0), LEASE_MS, now().now);
        store.write::<_, StoreError>(renew).unwrap();
    };
    renew();
    let workspace = place.workspace.clone().in_process(Hears::new(renew));
    assert_eq!(workspace.await_everywhere(Revision::new(1)).expired, 1);
    assert_eq!(workspace.store().read::<_, StoreError>(revocations::list_nodes).unwrap().len(), 1);
}

/// A process that does this when its clock is read for the tenth time since it was woken: while it is waited for, and after the
/// others were first looked at. Its clock goes on by 5 ms whenever it is read.
struct Hears<F> {
    hear: F,
    read: AtomicU64,
    woken_at: AtomicU64,
}

impl<F: Fn() + Send + Sync + 'static> Hears<F> {
    fn new(hear: F) -> Arc<Self> {
        Arc::new(Self { hear, read: AtomicU64::new(0), woken_at: AtomicU64::new(0) })
    }
}

impl<F: Fn() + Send + Sync + 'static> Process for Hears<F> {
    fn wake(&self) {
        self.woken_at.store(self.read.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn boot(&self) -> Duration {
        let read = self.read.fetch_add(1, Ordering::Relaxed);
        if read == self.woken_at.load(Ordering::Relaxed) + 10 {
            (self.hear)();
        }
        Duration::from_millis(5 * read)
    }

    fn waited(&self, _: Duration) {}
}

fn nobody_is_told_that_a_key_is_gone_while_a_process_may_accept_it(database: Database) {
    let place = place(database);
    let node = NodeId::new(Timestamp::from_millis(1), [1; 10]);
    let everybody = |it: &Workspace| it.store().read::<_, StoreError>(revocations::list_nodes).unwrap();
    // It hears of what was revoked only when somebody is woken for it, and not before the waiting has begun.
    let hears = {
        let store = place.workspace.store().clone();
        move || {
            let hear = move |tx: &mut Tx<'_>| {
                let head = revocations::head(tx)?;
                revocations::acknowledge(tx, node, head)
            };
            store.write::<_, StoreError>(hear).unwrap();
        }
    };
    let workspace = place.workspace.clone().in_process(Hears::new(hears));
    let renew = |tx: &mut Tx<'_>| revocations::renew(tx, node, Revision::new(0), LEASE_MS, now().now);
    workspace.store().write::<_, StoreError>(renew).unwrap();

    let key = place.create_for_ann(&place.admin).unwrap().key;
    let record =
        workspace.store().read::<_, StoreError>(|tx| rows::record(tx, &key.digest)).unwrap().unwrap();
    let holder = Principal::of_key(Arc::new(record), now().now).unwrap();
    let delete = || api_keys::delete(&workspace, &place.admin, &now(), key.id, None);
    let delete_own = || api_keys::delete_own(&workspace, &holder, &now());
    let rotate = || {
        let rotated = api_keys::rotate(&workspace, &place.admin, &now(), key.id, Duration::ZERO, None)?;
        Ok(Answered { value: key.clone(), revision: rotated.revision })
    };
    // Committed, and waiting still.
    let mut revision = delete().unwrap().revision.unwrap();
    let again: [&dyn Fn() -> Result<Answered<ApiKey>, Error>; 3] = [&delete, &delete_own, &rotate];
    for second in again {
        assert!(everybody(&workspace)[0].seen < revision);
        assert!(matches!(workspace.settle(second()), Err(Error::NotFound)));
        assert!(everybody(&workspace)[0].seen >= revision);
        // Something else is taken away for the next one to wait for.
        let other = place.create_for_ann(&place.admin).unwrap().key.id;
        revision = api_keys::delete(&workspace, &place.admin, &now(), other, None).unwrap().revision.unwrap();
    }
}
