//! The room's door: the store, and what must be told when access was taken away.

use std::sync::Arc;

use harmony_access::{Principal, Reach, Revision, Revocation};
use harmony_key::Fingerprint;
use harmony_permission::{Action, Permission, Scope};
use harmony_store::{
    Store, StoreError, Tx,
    idempotency::{self, Known},
    revocations,
};

use crate::{Error, Occasion, barrier::Process};

/// The use cases over one store.
#[derive(Clone)]
pub struct Workspace {
    store: Store,
    process: Option<Arc<dyn Process>>,
}

/// What a change answered, and up to where the caches must have read before the answer may be sent: while some process
/// could still accept what the change took away, it has not happened yet.
#[derive(Debug)]
#[must_use = "wait for the revision before the answer is sent"]
pub struct Answered<T> {
    /// The answer.
    pub value: T,
    /// The revision to wait for; `None` when nothing was taken away.
    pub revision: Option<Revision>,
}

/// What a POST with an idempotency key did.
#[derive(Debug)]
pub enum Once<T> {
    /// It was made now.
    Made(T),
    /// The same request made the thing with this id before.
    Repeated(String),
}

/// An idempotency key with the fingerprint of its request.
pub type Idempotency = (String, Fingerprint);

impl Workspace {
    /// Over this store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store, process: None }
    }

    /// In a process that answers requests.
    #[must_use]
    pub fn in_process(self, process: Arc<dyn Process>) -> Self {
        Self { process: Some(process), ..self }
    }

    pub(crate) fn process(&self) -> Option<&dyn Process> {
        self.process.as_deref()
    }

    /// The store, for those who look after it.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn read<T>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error>) -> Result<T, Error> {
        self.store.read(work)
    }

    pub(crate) fn write<T>(&self, mut work: impl FnMut(&mut Tx<'_>) -> Result<T, Error>) -> Result<T, Error> {
        until_whole(|| self.store.write(&mut work))
    }

    /// For changes that take something away, which find room even on a full disk.
    pub(crate) fn write_revoking<T>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        until_whole(|| self.store.write_revoking(&work))
    }
}

/// How often a change is tried that others part from what it refers to.
const MAX_TRIES: u32 = 3;

/// Between a check and its change another transaction may take away what the change refers to, or refer to what it takes
/// away. The database then refuses, with no word for people, and nothing was done. Done once more, the check sees what the
/// other did and says so: an unknown owner, a role in use.
fn until_whole<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..MAX_TRIES {
        match attempt() {
            Err(Error::Store(StoreError::Referenced(_))) => {}
            other => return other,
        }
    }
    attempt()
}

/// How far the actor may go with `action`.
pub(crate) fn reach(actor: &Principal, action: Action) -> Result<Reach, Error> {
    actor.reach(&action).ok_or_else(|| Error::forbidden(actor, action.at(Scope::Own)))
}

/// That the actor may do `action` in the whole workspace.
pub(crate) fn require_all(actor: &Principal, action: Action) -> Result<(), Error> {
    require(actor, action.at(Scope::All))
}

/// That the actor holds `permission`.
pub(crate) fn require(actor: &Principal, permission: Permission) -> Result<(), Error> {
    if actor.permissions().allows(&permission) { Ok(()) } else { Err(Error::forbidden(actor, permission)) }
}

/// Appends revocations to the transaction of their change.
pub(crate) fn revoke<T>(
    tx: &mut Tx<'_>,
    occasion: &Occasion,
    revoked: &[Revocation],
    value: T,
) -> Result<Answered<T>, StoreError> {
    let revision =
        if revoked.is_empty() { None } else { Some(revocations::append(tx, occasion.now, revoked)?) };
    Ok(Answered { value, revision })
}

/// Makes something once for each idempotency key; without a key, each time.
pub(crate) fn once<T>(
    tx: &mut Tx<'_>,
    actor: &Principal,
    occasion: &Occasion,
    idempotency: Option<&Idempotency>,
    make: impl FnOnce(&mut Tx<'_>) -> Result<(T, String), Error>,
) -> Result<Once<T>, Error> {
    let Some((key, fingerprint)) = idempotency else { return Ok(Once::Made(make(tx)?.0)) };
    let principal = actor.key().map_or_else(|| actor.user().to_string(), |key| key.id.to_string());
    match idempotency::find(tx, &principal, key, *fingerprint, occasion.now)? {
        Some(Known::Repetition(made)) => Ok(Once::Repeated(made)),
        Some(Known::OtherRequest) => Err(Error::IdempotencyMismatch),
        None => {
            let (value, id) = make(tx)?;
            match idempotency::note(tx, &principal, key, *fingerprint, &id, occasion.now) {
                Ok(()) => Ok(Once::Made(value)),
                Err(StoreError::Taken(_)) => Err(Error::IdempotencyInProgress),
                Err(other) => Err(other.into()),
            }
        }
    }
}
