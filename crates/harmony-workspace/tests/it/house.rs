//! A workspace with Ann, its administrator, for things to happen in.

use harmony_access::{ApiKeyId, Principal, RoleId, Timestamp, UserId, UserRecord, WorkspaceId};
use harmony_permission::{Permission, PermissionSet};
use harmony_store::{Page, audit::Filter};
use harmony_workspace::{
    Answered, Conflict, Error, Occasion, Once, Workspace,
    api_keys::{self, NewApiKey},
    audit,
    roles::{self, NewRole},
    setup::{self, NewWorkspace},
    users::{self, NewUser},
};

use crate::backend::Database;

/// Everybody's.
pub const PASSWORD: &str = "correct horse battery";

pub struct Harmony {
    pub database: Database,
    pub workspace: Workspace,
    pub id: WorkspaceId,
    pub ann: UserId,
    pub admin: Principal,
}

pub fn now() -> Occasion {
    Occasion { now: Timestamp::from_millis(1_800_000_000_000), client: None, request_id: None }
}

pub fn harmony(database: Database) -> Harmony {
    let workspace = database.workspace.clone();
    let new =
        NewWorkspace { name: "W", user_name: "Ann", email: "ann@example.com", password: Some(PASSWORD) };
    let (id, ann) = setup::create(&workspace, &now(), &new).unwrap();
    Harmony { database, workspace, id, ann, admin: setup::operator(id, ann) }
}

pub fn new_key(owner: UserId, role: Option<RoleId>) -> NewApiKey {
    let name = "importer".to_owned();
    NewApiKey { name, owner: Some(owner), role, expires_at: None, display_rate_limit: None }
}

pub fn set(texts: &[&str]) -> PermissionSet {
    texts.iter().map(|text| Permission::parse(text).unwrap()).collect()
}

pub fn made<T>(once: Once<T>) -> T {
    match once {
        Once::Made(value) => value,
        Once::Repeated(id) => panic!("{id} was made before"),
    }
}

pub fn forbidden<T>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Forbidden { required, .. }) => required.to_string(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was let through"),
    }
}

pub fn conflict<T>(result: Result<T, Error>) -> Conflict {
    match result {
        Err(Error::Conflict(conflict)) => conflict,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was let through"),
    }
}

pub fn invalid<T>(result: Result<T, Error>) -> (&'static str, &'static str) {
    match result {
        Err(Error::Invalid(errors)) => (errors[0].field, errors[0].code),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was let through"),
    }
}

pub fn value<T>(answered: Answered<T>) -> (T, bool) {
    (answered.value, answered.revision.is_some())
}

impl Harmony {
    pub fn holding(&self, user: UserId, permissions: &[&str]) -> Principal {
        let permissions = set(permissions);
        Principal::of_user(UserRecord { id: user, workspace: self.id, permissions, session: None })
    }

    pub fn built_in(&self, name: &str) -> RoleId {
        let page = Page { after: None, limit: 50 };
        let all = roles::list(&self.workspace, &self.admin, &page).unwrap();
        all.into_iter().find(|role| role.name == name).unwrap().id
    }

    pub fn role(&self, name: &str, permissions: &[&str]) -> RoleId {
        let new =
            NewRole { name: name.to_owned(), description: String::new(), permissions: set(permissions) };
        made(roles::create(&self.workspace, &self.admin, &now(), &new, None).unwrap()).id
    }

    pub fn user(&self, email: &str, role: RoleId) -> UserId {
        let new = NewUser { email, name: "Somebody", role, password: Some(PASSWORD) };
        made(users::create(&self.workspace, &self.admin, &now(), &new, None).unwrap()).id
    }

    pub fn key(&self, owner: UserId) -> ApiKeyId {
        made(api_keys::create(&self.workspace, &self.admin, &now(), &new_key(owner, None), None).unwrap())
            .key
            .id
    }

    pub fn actions(&self) -> Vec<String> {
        let page = Page { after: None, limit: 100 };
        let events = audit::list(&self.workspace, &self.admin, &Filter::default(), &page).unwrap();
        let mut actions: Vec<_> = events.into_iter().map(|event| event.action).collect();
        actions.sort();
        actions
    }
}
