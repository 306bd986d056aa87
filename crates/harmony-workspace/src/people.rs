//! Users and teams as people look at them: with names beside ids, and with how many there are.

use harmony_access::{Principal, TeamId, UserId};
use harmony_permission::{Scope, catalogue};
use harmony_store::{
    Page, Tx, api_keys,
    roles::{self, Role},
    teams::{self, Team},
    users::{self, User},
};

use crate::{
    Error, Workspace,
    api_keys::reading_reach,
    users::may_reset_password,
    workspace::{reach, require, require_all},
};

/// The roles that are looked at for some to give, oldest first.
const MAX_ROLES: u32 = 10_000;

/// A user, and what their role is called.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// The user.
    pub user: User,
    /// The name of their role.
    pub role: String,
}

/// A user with what belongs to them.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonDetail {
    /// The user.
    pub person: Person,
    /// Their teams, as far as the actor may see them.
    pub teams: Vec<Team>,
    /// How many keys they have; `None` when that is not for the actor to see.
    pub keys: Option<i64>,
    /// Whether the actor may reset their password.
    pub resettable: bool,
}

/// A team, and how many are in it.
#[derive(Debug, Clone, PartialEq)]
pub struct TeamRow {
    /// The team.
    pub team: Team,
    /// How many users it has.
    pub size: i64,
}

/// A team and who is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct TeamDetail {
    /// The team.
    pub team: Team,
    /// Its users, as far as the actor may see them.
    pub people: Vec<User>,
    /// How many more there are.
    pub unseen: usize,
}

/// The users within the actor's reach whose name or e-mail address contains this text, in whatever case, oldest first.
///
/// # Errors
///
/// Without `users:read`.
pub fn search(
    workspace: &Workspace,
    actor: &Principal,
    text: &str,
    page: &Page<UserId>,
) -> Result<Vec<Person>, Error> {
    let reach = reach(actor, catalogue::USERS_READ)?;
    workspace.read(|tx| {
        let found = users::search(tx, &reach, text, page)?;
        named(tx, actor, found)
    })
}

/// One user.
///
/// # Errors
///
/// Without `users:read`, and when there is no such user within reach.
pub fn find(workspace: &Workspace, actor: &Principal, id: UserId) -> Result<PersonDetail, Error> {
    let reach = reach(actor, catalogue::USERS_READ)?;
    workspace.read(|tx| {
        let user = users::find(tx, &reach, id)?.ok_or(Error::NotFound)?;
        let person = named(tx, actor, vec![user])?.pop().ok_or(Error::NotFound)?;
        let teams = match teams_reach(actor) {
            Ok(reach) => teams::of_user(tx, &reach, id)?,
            Err(_) => Vec::new(),
        };
        let keys = reading_reach(actor).ok().map(|reach| api_keys::count_of_owner(tx, &reach, id));
        let resettable = may_reset_password(tx, actor, &person.user).is_ok();
        Ok(PersonDetail { person, teams, keys: keys.transpose()?, resettable })
    })
}

fn named(tx: &mut Tx<'_>, actor: &Principal, found: Vec<User>) -> Result<Vec<Person>, Error> {
    let ids: Vec<_> = found.iter().map(|user| user.role).collect();
    let names = roles::names(tx, actor.workspace(), &ids)?;
    let person = |user: User| Person { role: names.get(&user.role).cloned().unwrap_or_default(), user };
    Ok(found.into_iter().map(person).collect())
}

/// The user with this address; `None` when there is none within the actor's reach.
///
/// # Errors
///
/// Without `users:read`.
pub fn with_email(workspace: &Workspace, actor: &Principal, email: &str) -> Result<Option<User>, Error> {
    let reach = reach(actor, catalogue::USERS_READ)?;
    let email = email.trim().to_lowercase();
    workspace.read(|tx| match users::with_email(tx, actor.workspace(), &email)? {
        Some(user) => Ok(users::find(tx, &reach, user.id)?),
        None => Ok(None),
    })
}

/// The roles that the actor can give to users: those that permit no more than the actor holds.
///
/// # Errors
///
/// Without `users:create:all` and without `users:update:all`.
pub fn roles_to_give(workspace: &Workspace, actor: &Principal) -> Result<Vec<Role>, Error> {
    require_all(actor, catalogue::USERS_CREATE).or_else(|_| require_all(actor, catalogue::USERS_UPDATE))?;
    let page = Page { after: None, limit: MAX_ROLES };
    let all = workspace.read(|tx| Ok(roles::list(tx, actor.workspace(), &page)?))?;
    Ok(all.into_iter().filter(|role| actor.permissions().covers(&role.permissions())).collect())
}

/// How many keys must go somewhere before this user can be removed.
///
/// # Errors
///
/// Without `users:delete:all`, and when there is no such user.
pub fn keys_to_part_from(workspace: &Workspace, actor: &Principal, id: UserId) -> Result<i64, Error> {
    require_all(actor, catalogue::USERS_DELETE)?;
    let reach = reach(actor, catalogue::USERS_DELETE)?;
    workspace.read(|tx| {
        users::find(tx, &reach, id)?.ok_or(Error::NotFound)?;
        Ok(api_keys::count_of_owner(tx, &reach, id)?)
    })
}

/// Seeing teams takes `team` at least: nobody owns one.
fn teams_reach(actor: &Principal) -> Result<harmony_access::Reach, Error> {
    require(actor, catalogue::TEAMS_READ.at(Scope::Team))?;
    reach(actor, catalogue::TEAMS_READ)
}

/// The teams within the actor's reach, oldest first.
///
/// # Errors
///
/// Without `teams:read:team`.
pub fn teams(workspace: &Workspace, actor: &Principal, page: &Page<TeamId>) -> Result<Vec<TeamRow>, Error> {
    let reach = teams_reach(actor)?;
    workspace.read(|tx| {
        let found = teams::list(tx, &reach, page)?;
        let sizes = teams::sizes(tx, &found.iter().map(|team| team.id).collect::<Vec<_>>())?;
        let row = |team: Team| TeamRow { size: sizes.get(&team.id).copied().unwrap_or_default(), team };
        Ok(found.into_iter().map(row).collect())
    })
}

/// One team. Who is in it is told as far as the actor may read users.
///
/// # Errors
///
/// Without `teams:read:team`, and when there is no such team within reach.
pub fn team(workspace: &Workspace, actor: &Principal, id: TeamId) -> Result<TeamDetail, Error> {
    let within = teams_reach(actor)?;
    workspace.read(|tx| {
        let team = teams::find(tx, &within, id)?.ok_or(Error::NotFound)?;
        let people = match reach(actor, catalogue::USERS_READ) {
            Ok(reach) => users::in_team(tx, &reach, id)?,
            Err(_) => Vec::new(),
        };
        let unseen = teams::users_of(tx, id)?.len().saturating_sub(people.len());
        Ok(TeamDetail { team, people, unseen })
    })
}
