//! A new team, with nobody in it yet.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_permission::{Scope, catalogue};
use harmony_workspace::{Once, teams};

use super::mistakes_of;
use crate::{
    Console,
    form::{Mistakes, Posted},
    page,
    refusal::Refused,
    session::{self, SignedIn},
    shell::{Shell, TEAMS},
};

#[derive(Template)]
#[template(path = "teams/new.html")]
struct NewPage<'a> {
    shell: Shell,
    once: String,
    name: &'a str,
    mistakes: Mistakes,
}

fn must(person: &SignedIn) -> Result<(), Refused> {
    person.must(catalogue::TEAMS_READ, Scope::Team)?;
    person.must(catalogue::TEAMS_CREATE, Scope::All)
}

pub(super) async fn show(person: SignedIn) -> Result<HttpResponse, Refused> {
    must(&person)?;
    form_page(StatusCode::OK, &person, "", Mistakes::default())
}

fn form_page(
    status: StatusCode,
    person: &SignedIn,
    name: &str,
    mistakes: Mistakes,
) -> Result<HttpResponse, Refused> {
    let (shell, once) = (person.shell("Add a team", TEAMS), session::draw_once()?);
    page::html(status, &NewPage { shell, once, name, mistakes })
}

pub(super) async fn perform(
    person: SignedIn,
    console: web::Data<Console>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    must(&person)?;
    let form = posted.by(&person)?;
    let once = person.once(&form, "add a team")?;
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    let name = form.text("name").to_owned();
    let made = console
        .run(move |workspace| teams::create(workspace, &principal, &occasion, &name, Some(&once)))
        .await;
    match made {
        // Whoever sees only their own teams is not in this one yet.
        Ok(_) if !person.may(catalogue::TEAMS_READ, Scope::All) => Ok(page::see_other(TEAMS)),
        Ok(Once::Made(team)) => Ok(page::see_other(&format!("{TEAMS}/{}", team.id))),
        Ok(Once::Repeated(id)) => Ok(page::see_other(&format!("{TEAMS}/{id}"))),
        Err(refused) => {
            let (status, mistakes) = mistakes_of(refused)?;
            form_page(status, &person, form.text("name"), mistakes)
        }
    }
}
