//! Who has a role, by name: some of them, and how many more.

use harmony_access::{RoleId, Timestamp, UserId};
use harmony_permission::{Scope, catalogue};
use harmony_store::{key_table::KeyRow, users::User};
use harmony_workspace::roles::{self, RoleHolders};

use crate::{
    Console,
    refusal::Refused,
    session::SignedIn,
    shell::API_KEYS,
    words::{self, Moment},
};

/// The most users and the most keys that are named.
const NAMED: u32 = 10;

/// Who has a role, as the pages show them.
pub(super) struct Holders {
    /// `2 users and 1 API key have it`; `None` when nobody has.
    pub said: Option<String>,
    pub users: Vec<NamedUser>,
    /// `and 3 more users`, whether they are too many or not for this person to see; nothing where none are named.
    pub more_users: Option<String>,
    pub keys: Vec<NamedKey>,
    pub more_keys: Option<String>,
    /// Where all the keys are, for whoever may see some.
    pub all_keys: Option<String>,
}

pub(super) struct NamedUser {
    pub id: String,
    pub name: String,
    pub email: String,
    pub is_you: bool,
}

pub(super) struct NamedKey {
    pub id: String,
    pub name: String,
    pub last_four: String,
    pub owner: String,
    pub used: Option<Moment>,
    /// There is nothing that it could lose.
    pub expired: bool,
}

impl Holders {
    pub(super) async fn of(person: &SignedIn, console: &Console, role: RoleId) -> Result<Self, Refused> {
        let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
        let found = console
            .run(move |workspace| roles::named_holders(workspace, &principal, &occasion, role, NAMED))
            .await?;
        let sees_keys = person.may(catalogue::API_KEYS_READ, Scope::Team);
        Ok(Self {
            all_keys: (sees_keys && found.key_count > 0).then(|| format!("{API_KEYS}?role={role}")),
            ..Self::shown(&found, person.principal().user(), person.occasion.now)
        })
    }

    fn shown(found: &RoleHolders, you: UserId, now: Timestamp) -> Self {
        let counts = (found.user_count, found.key_count);
        Self {
            said: (counts != (0, 0)).then(|| said(counts)),
            users: found.users.iter().map(|user| NamedUser::new(user, you)).collect(),
            more_users: more(found.users.len(), found.user_count, "user"),
            keys: found.keys.iter().map(|row| NamedKey::new(row, now)).collect(),
            more_keys: more(found.keys.len(), found.key_count, "API key"),
            all_keys: None,
        }
    }
}

impl NamedUser {
    fn new(user: &User, you: UserId) -> Self {
        let (name, email) = (user.name.clone(), user.email.clone());
        Self { id: user.id.to_string(), name, email, is_you: user.id == you }
    }
}

impl NamedKey {
    fn new(row: &KeyRow, now: Timestamp) -> Self {
        Self {
            id: row.key.id.to_string(),
            name: row.key.name.clone(),
            last_four: row.key.last_four.to_string(),
            owner: row.owner.clone(),
            expired: row.key.expires_at.is_some_and(|at| at <= now),
            used: row.last_use.as_ref().map(|last| Moment::new(last.at, now)),
        }
    }
}

/// How many have a role, in words.
pub(super) fn said((users, keys): (i64, i64)) -> String {
    let verb = if users + keys == 1 { "has" } else { "have" };
    match (words::counted(users, "user"), words::counted(keys, "API key")) {
        _ if users + keys == 0 => "Nobody has it".to_owned(),
        (users, _) if keys == 0 => format!("{users} {verb} it"),
        (_, keys) if users == 0 => format!("{keys} {verb} it"),
        (users, keys) => format!("{users} and {keys} have it"),
    }
}

fn more(named: usize, of: i64, what: &str) -> Option<String> {
    let rest = of.saturating_sub(i64::try_from(named).unwrap_or(i64::MAX));
    (named > 0 && rest > 0).then(|| {
        let plural = if rest == 1 { "" } else { "s" };
        format!("and {} more {what}{plural}", words::thousands(rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_counted_where_some_are_named() {
        let of = |named, all| more(named, all, "user");
        assert_eq!(of(10, 10), None);
        assert_eq!(of(10, 11).unwrap(), "and 1 more user");
        assert_eq!(of(10, 2_010).unwrap(), "and 2,000 more users");
        // Nobody is named to whom nobody is shown: how many there are is said already.
        assert_eq!(of(0, 5), None);
        // Somebody has got the role just now.
        assert_eq!(of(3, 2), None);
    }
}
