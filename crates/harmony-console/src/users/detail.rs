//! One user: who they are, which role they have, and what is theirs.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::UserId;
use harmony_permission::{Scope, catalogue};
use harmony_store::Version;
use harmony_workspace::{
    people::{self, PersonDetail},
    users::{self, UserChange},
};

use super::{Choice, choices, id_of, mistakes_of, role_of};
use crate::{
    Console,
    form::{Form, Mistakes, Posted},
    page,
    refusal::Refused,
    session::SignedIn,
    shell::{Shell, USERS},
    words::{self, Moment},
};

#[derive(Template)]
#[template(path = "users/detail.html")]
struct DetailPage {
    shell: Shell,
    id: String,
    /// As it is, whatever was entered.
    known_as: String,
    may_change: bool,
    may_reset: bool,
    may_remove: bool,
    saved: bool,
    name: String,
    email: String,
    role: String,
    role_name: String,
    roles: Vec<Choice>,
    version: i64,
    created: Moment,
    teams: Option<Vec<TeamLink>>,
    keys: Option<i64>,
    mistakes: Mistakes,
}

impl DetailPage {
    fn counted(&self) -> String {
        words::counted(self.keys.unwrap_or_default(), "key")
    }
}

struct TeamLink {
    id: String,
    name: String,
}

pub(super) async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    let found = find(&person, &console, id_of(&path)?).await?;
    let mut page = page_of(&person, &console, found).await?;
    page.saved = Form::of_query(&request).filled("saved").is_some();
    page::html(StatusCode::OK, &page)
}

async fn find(person: &SignedIn, console: &Console, id: UserId) -> Result<PersonDetail, Refused> {
    person.must(catalogue::USERS_READ, Scope::Own)?;
    let principal = person.principal().clone();
    console.run(move |workspace| people::find(workspace, &principal, id)).await
}

/// The page of a user as they are.
async fn page_of(person: &SignedIn, console: &Console, found: PersonDetail) -> Result<DetailPage, Refused> {
    let PersonDetail { person: found, teams, keys, resettable } = found;
    let (user, role_name) = (found.user, found.role);
    let may_change = person.may(catalogue::USERS_UPDATE, Scope::All);
    let mut roles = if may_change { choices(person, console).await? } else { Vec::new() };
    let role = user.role.to_string();
    // One may leave a role that one could not give.
    if roles.iter().all(|choice| choice.id != role) {
        roles.insert(0, Choice { id: role.clone(), name: role_name.clone(), description: String::new() });
    }
    let others = user.id != person.principal().user();
    let link = |team: harmony_store::teams::Team| TeamLink { id: team.id.to_string(), name: team.name };
    let sees_teams = person.may(catalogue::TEAMS_READ, Scope::Team);
    Ok(DetailPage {
        shell: person.shell(user.name.clone(), USERS),
        id: user.id.to_string(),
        known_as: user.name.clone(),
        may_change,
        may_reset: resettable,
        may_remove: others && person.may(catalogue::USERS_DELETE, Scope::All),
        saved: false,
        name: user.name,
        email: user.email,
        role,
        role_name,
        roles,
        version: user.version.number(),
        created: Moment::new(user.created_at, person.occasion.now),
        teams: sees_teams.then(|| teams.into_iter().map(link).collect()),
        keys,
        mistakes: Mistakes::default(),
    })
}

pub(super) async fn change(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    let id = id_of(&path)?;
    // Whoever may not see the user is not told that there is one.
    let found = find(&person, &console, id).await?;
    person.must(catalogue::USERS_UPDATE, Scope::All)?;
    let form = posted.by(&person)?;
    let (status, mistakes, found) = match role_of(&form) {
        Ok(role) => {
            let wanted = UserChange {
                email: Some(form.text("email").to_owned()),
                name: Some(form.text("name").to_owned()),
                role: Some(role),
            };
            match save(&person, &console, id, wanted, form.version()).await {
                Ok(()) => return Ok(page::see_other(&format!("{USERS}/{id}?saved=1"))),
                Err(Refused::Stale) => {
                    let now = find(&person, &console, id).await?;
                    (StatusCode::CONFLICT, changed_meanwhile(&now), now)
                }
                Err(refused) => {
                    let (status, mistakes) = mistakes_of(refused)?;
                    (status, mistakes, found)
                }
            }
        }
        Err(mistakes) => (StatusCode::UNPROCESSABLE_ENTITY, mistakes, found),
    };
    let mut page = page_of(&person, &console, found).await?;
    form.text("name").clone_into(&mut page.name);
    form.text("email").clone_into(&mut page.email);
    form.text("role").clone_into(&mut page.role);
    page.mistakes = mistakes;
    page::html(status, &page)
}

async fn save(
    person: &SignedIn,
    console: &Console,
    id: UserId,
    wanted: UserChange,
    seen: Version,
) -> Result<(), Refused> {
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    console
        .change(move |workspace| users::change(workspace, &principal, &occasion, id, &wanted, Some(seen)))
        .await?;
    Ok(())
}

/// What was entered is kept, and what it would replace is said.
fn changed_meanwhile(now: &PersonDetail) -> Mistakes {
    let mut mistakes = Mistakes::default();
    let user = &now.person.user;
    mistakes.add(
        "version",
        format!(
            "Somebody else changed this user meanwhile, to “{}”, {}, {}. Saving again replaces that by what you entered.",
            user.name, user.email, now.person.role
        ),
    );
    mistakes
}
