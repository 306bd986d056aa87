//! The end of a team.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::TeamId;
use harmony_permission::{Scope, catalogue};
use harmony_workspace::{people, teams};

use super::id_of;
use crate::{
    Console,
    form::Posted,
    page,
    refusal::Refused,
    session::SignedIn,
    shell::{Shell, TEAMS},
};

#[derive(Template)]
#[template(path = "teams/delete.html")]
struct DeletePage {
    shell: Shell,
    id: TeamId,
    name: String,
    people: usize,
}

fn must(person: &SignedIn) -> Result<(), Refused> {
    person.must(catalogue::TEAMS_READ, Scope::Team)?;
    person.must(catalogue::TEAMS_DELETE, Scope::All)
}

pub(super) async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    must(&person)?;
    let (id, principal) = (id_of(&path)?, person.principal().clone());
    let found = console.run(move |workspace| people::team(workspace, &principal, id)).await?;
    let page = DeletePage {
        shell: person.shell(format!("Delete the team {}", found.team.name), TEAMS),
        id,
        people: found.people.len() + found.unseen,
        name: found.team.name,
    };
    page::html(StatusCode::OK, &page)
}

pub(super) async fn perform(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    must(&person)?;
    let (id, principal) = (id_of(&path)?, person.principal().clone());
    posted.by(&person)?;
    let occasion = person.occasion.clone();
    console
        .run(move |workspace| {
            people::team(workspace, &principal, id)?;
            teams::delete(workspace, &principal, &occasion, id, None)
        })
        .await?;
    Ok(page::see_other(&format!("{TEAMS}?deleted=1")))
}
