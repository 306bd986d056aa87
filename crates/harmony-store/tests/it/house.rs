//! Two workspaces with people in them, for scenarios to happen in.

use harmony_access::{
    ApiKeyId, ConversationId, Id, Kind, Principal, Reach, RoleId, TeamId, Timestamp, UserId, UserRecord,
    WorkspaceId,
};
use harmony_key::ApiKey as KeyText;
use harmony_permission::{Permission, PermissionSet};
use harmony_store::{
    Page, Store, StoreError, Tx, Version, api_keys::ApiKey, conversations::Conversation, roles, roles::Role,
    teams, teams::Team, users, users::User, workspaces, workspaces::Workspace,
};

pub const HERE: u8 = 1;
pub const ELSEWHERE: u8 = 2;
pub const ANN: u8 = 11;
pub const BOB: u8 = 12;
pub const CYD: u8 = 13;
/// Who is elsewhere.
pub const DAN: u8 = 14;

pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// The id that sorts as its number does.
pub fn id<K: Kind>(number: u8) -> Id<K> {
    Id::new(at(1_000_000 + i64::from(number)), [number; 10])
}

pub fn set(texts: &[&str]) -> PermissionSet {
    texts.iter().map(|text| Permission::parse(text).unwrap()).collect()
}

/// How far `user` reaches `here` with a permission of this scope.
pub fn reach(here: u8, user: u8, scope: &str) -> Reach {
    let permission = Permission::parse(&format!("conversations:read:{scope}")).unwrap();
    let record = UserRecord {
        id: id(user),
        workspace: id(here),
        permissions: PermissionSet::from_iter([permission]),
        session: None,
    };
    Principal::of_user(record).reach(&permission.action()).unwrap()
}

pub fn page<C>(after: Option<C>, limit: u32) -> Page<C> {
    Page { after, limit }
}

/// Runs a write that must succeed.
pub fn write<T>(store: &Store, work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>) -> T {
    store.write(work).unwrap()
}

/// Runs a read that must succeed.
pub fn read<T>(store: &Store, work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>) -> T {
    store.read(work).unwrap()
}

pub fn workspace(number: u8) -> Workspace {
    Workspace {
        id: id(number),
        name: format!("workspace {number}"),
        default_permissions: set(&["conversations:read:own"]),
        longest_key_lifetime_secs: None,
        version: Version::FIRST,
        created_at: at(5),
    }
}

pub fn role(number: u8, here: u8) -> Role {
    Role {
        id: id(number),
        workspace: id(here),
        name: format!("role {number}"),
        description: "what for".to_owned(),
        built_in: None,
        custom: set(&["conversations:read:team", "teams:read:all"]),
        version: Version::FIRST,
        created_at: at(6),
    }
}

pub fn user(number: u8, here: u8) -> User {
    User {
        id: id(number),
        workspace: id(here),
        role: id(here),
        email: format!("user{number}@example.com"),
        name: format!("user {number}"),
        version: Version::FIRST,
        created_at: at(7),
    }
}

pub fn team(number: u8, here: u8) -> Team {
    Team {
        id: id(number),
        workspace: id(here),
        name: format!("team {number}"),
        version: Version::FIRST,
        created_at: at(8),
    }
}

pub fn key(number: u8, here: u8, owner: u8) -> ApiKey {
    let text = KeyText::from_secret([number; 28]);
    ApiKey {
        id: id(number),
        workspace: id(here),
        owner: id(owner),
        role: None,
        name: format!("key {number}"),
        digest: text.digest(),
        last_four: text.last_four(),
        foreign_text: false,
        display_rate_limit: None,
        expires_at: None,
        rotated_to: None,
        version: Version::FIRST,
        created_at: at(9),
        created_by: None,
    }
}

pub fn conversation(number: u8, here: u8, owner: u8) -> Conversation {
    Conversation {
        id: id(number),
        workspace: id(here),
        owner: id(owner),
        title: format!("conversation {number}"),
        started_at: at(i64::from(number)),
        duration_secs: 60,
        participants: vec!["Ann \"A\"".to_owned(), "Bob".to_owned()],
        summary: "they spoke".to_owned(),
        action_items: vec![],
        version: Version::FIRST,
        created_at: at(10),
    }
}

/// Ann and Bob share a team here and Cyd is in none; Dan is elsewhere, in a team that Ann was put into by mistake.
pub fn furnish(store: &Store) {
    write(store, |tx| {
        for number in [HERE, ELSEWHERE] {
            workspaces::insert(tx, &workspace(number))?;
            roles::insert(tx, &role(number, number))?;
            teams::insert(tx, &team(number, number))?;
        }
        for (number, here) in [(ANN, HERE), (BOB, HERE), (CYD, HERE), (DAN, ELSEWHERE)] {
            users::insert(tx, &user(number, here), None)?;
        }
        for (team, user) in [(HERE, ANN), (HERE, BOB), (ELSEWHERE, DAN), (ELSEWHERE, ANN)] {
            teams::add_user(tx, id(team), id(user))?;
        }
        Ok(())
    });
}

/// The last byte of each id, which is the number that it was made of.
pub trait Number {
    fn number(&self) -> u8;
}

macro_rules! numbered {
    ($($id:ty),*) => {$(
        impl Number for $id {
            fn number(&self) -> u8 {
                let text = self.to_string();
                u8::from_str_radix(&text[text.len() - 2..], 16).unwrap()
            }
        }
    )*};
}
numbered!(ApiKeyId, ConversationId, RoleId, TeamId, UserId, WorkspaceId, harmony_access::AuditEventId);

pub fn numbers<I: Number>(ids: impl IntoIterator<Item = I>) -> Vec<u8> {
    ids.into_iter().map(|id| id.number()).collect()
}
