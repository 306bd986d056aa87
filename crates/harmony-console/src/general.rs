//! General settings: the workspace's name, what keys without a role may do, and how long a key may live.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::Principal;
use harmony_actix::get;
use harmony_permission::{Scope, catalogue};
use harmony_workspace::{
    Error, Workspace,
    nodes::{self, Node},
    settings::{self, SettingsChange},
};

use crate::{
    Console,
    form::{Form, Mistakes, Posted},
    matrix::{self, Resource},
    page,
    refusal::Refused,
    session::SignedIn,
    shell::{GENERAL, Shell},
    words,
};

const DAY_SECS: i64 = 86_400;

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config.service(web::resource("/general").route(get().to(show)).route(web::post().to(change)));
}

#[derive(Template)]
#[template(path = "general.html")]
struct GeneralPage {
    shell: Shell,
    may_change: bool,
    saved: bool,
    name: String,
    permissions: Vec<Resource>,
    days: String,
    /// Who serves the workspace, for those who may know.
    servers: Option<String>,
    mistakes: Mistakes,
}

async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::WORKSPACE_READ, Scope::Own)?;
    let principal = person.principal().clone();
    let operates = person.may(catalogue::WORKSPACE_READ, Scope::All);
    let look = move |workspace: &Workspace| {
        let servers = operates.then(|| servers(workspace, &principal)).transpose()?;
        Ok((settings::find(workspace, &principal)?, servers))
    };
    let (found, servers) = console.run(look).await?;
    let page = GeneralPage {
        servers,
        may_change: person.may(catalogue::WORKSPACE_UPDATE, Scope::All),
        saved: Form::of_query(&request).filled("saved").is_some(),
        name: found.name,
        permissions: matrix::resources(&found.default_permissions),
        days: found.longest_key_lifetime_secs.map_or_else(String::new, |secs| (secs / DAY_SECS).to_string()),
        shell: person.shell("General", GENERAL),
        mistakes: Mistakes::default(),
    };
    page::html(StatusCode::OK, &page)
}

/// What an operator wants to see at a glance; `/v1/workspace/nodes` has it by process.
fn servers(workspace: &Workspace, actor: &Principal) -> Result<String, Error> {
    let nodes = nodes::list(workspace, actor)?;
    let (alive, lost): (Vec<&Node>, Vec<&Node>) = nodes.iter().partition(|node| node.is_alive());
    let behind = alive.iter().map(|node| node.revisions_behind).max().unwrap_or(0);
    let counted = |nodes: &[&Node]| words::counted(i64::try_from(nodes.len()).unwrap_or(i64::MAX), "server");
    let mut said = format!("{} serving", counted(&alive));
    if behind > 0 {
        said.push_str(&format!(", up to {behind} revocations behind"));
    }
    if !lost.is_empty() {
        said.push_str(&format!("; {} without a lease", counted(&lost)));
    }
    Ok(said + ".")
}

async fn change(
    person: SignedIn,
    console: web::Data<Console>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::WORKSPACE_UPDATE, Scope::All)?;
    let form = posted.by(&person)?;
    let wanted = match read(&form) {
        Ok(wanted) => wanted,
        Err(mistakes) => return again(&person, &form, mistakes),
    };
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    let changed = console
        .change(move |workspace| settings::change(workspace, &principal, &occasion, &wanted, None))
        .await;
    match changed {
        Ok(_) => Ok(page::see_other("/settings/general?saved=1")),
        Err(Refused::Forbidden { required }) => {
            let mut mistakes = Mistakes::default();
            mistakes.add("default_permissions", format!("You do not hold {required} yourself."));
            again(&person, &form, mistakes)
        }
        Err(refused) => again(&person, &form, Mistakes::of(refused)?),
    }
}

fn read(form: &Form) -> Result<SettingsChange, Mistakes> {
    let mut mistakes = Mistakes::default();
    let days = form.filled("days").map(|days| days.parse::<i64>());
    let lifetime = match days {
        None => None,
        Some(Ok(days)) if (1..=36_500).contains(&days) => Some(days * DAY_SECS),
        Some(_) => {
            mistakes.add("longest_key_lifetime_secs", "A number of days from 1 to 36,500, or nothing.");
            None
        }
    };
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    Ok(SettingsChange {
        name: Some(form.text("name").to_owned()),
        default_permissions: Some(matrix::chosen(form)),
        longest_key_lifetime_secs: Some(lifetime),
    })
}

fn again(person: &SignedIn, form: &Form, mistakes: Mistakes) -> Result<HttpResponse, Refused> {
    let page = GeneralPage {
        may_change: true,
        saved: false,
        name: form.text("name").to_owned(),
        permissions: matrix::resources(&matrix::chosen(form)),
        days: form.text("days").to_owned(),
        servers: None,
        shell: person.shell("General", GENERAL),
        mistakes,
    };
    page::html(StatusCode::UNPROCESSABLE_ENTITY, &page)
}
