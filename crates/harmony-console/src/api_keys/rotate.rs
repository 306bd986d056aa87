//! A successor for a key, which takes over at once or after a while.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_permission::{Scope, catalogue};
use harmony_workspace::{Once, api_keys, key_table};

use super::{
    create::{self, Replaced, Shown},
    id_of,
};
use crate::{
    Console,
    form::{Mistakes, Posted},
    page,
    refusal::Refused,
    session::{self, SignedIn},
    shell::{API_KEYS, Shell},
};

const GRACES: [(&str, &str); 5] = [
    ("0", "at once"),
    ("3600", "in 1 hour"),
    ("86400", "in 1 day"),
    ("604800", "in 7 days"),
    ("2592000", "in 30 days"),
];
const USUAL_GRACE: &str = "86400";

#[derive(Template)]
#[template(path = "api_keys/rotate.html")]
struct RotatePage<'a> {
    shell: Shell,
    id: &'a str,
    name: &'a str,
    once: String,
    graces: [(&'static str, &'static str); 5],
    grace: &'a str,
    mistakes: Mistakes,
}

fn must(person: &SignedIn) -> Result<(), Refused> {
    person.must(catalogue::API_KEYS_CREATE, Scope::All)?;
    person.must(catalogue::API_KEYS_DELETE, Scope::All)
}

pub(super) async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    must(&person)?;
    form_page(StatusCode::OK, &person, &console, &path, USUAL_GRACE, Mistakes::default()).await
}

async fn form_page(
    status: StatusCode,
    person: &SignedIn,
    console: &Console,
    path: &str,
    grace: &str,
    mistakes: Mistakes,
) -> Result<HttpResponse, Refused> {
    let (id, principal) = (id_of(path)?, person.principal().clone());
    let found = console.run(move |workspace| key_table::find(workspace, &principal, id)).await?;
    let name = &found.row.key.name;
    let shell = person.shell(format!("Rotate {name}"), API_KEYS);
    let once = session::draw_once()?;
    page::html(status, &RotatePage { shell, id: path, name, once, graces: GRACES, grace, mistakes })
}

pub(super) async fn perform(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
    request: HttpRequest,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    must(&person)?;
    let form = posted.by(&person)?;
    let chosen = GRACES.iter().find(|(value, _)| *value == form.text("grace"));
    let Some((secs, label)) = chosen.and_then(|(value, label)| Some((value.parse::<u64>().ok()?, label)))
    else {
        let mut mistakes = Mistakes::default();
        mistakes.add("grace_secs", "Choose when the old key ends.");
        return form_page(StatusCode::UNPROCESSABLE_ENTITY, &person, &console, &path, "", mistakes).await;
    };
    let once = person.once(&form, &format!("rotate {path}"))?;
    let (id, principal, occasion) = (id_of(&path)?, person.principal().clone(), person.occasion.clone());
    let grace = Duration::from_secs(secs);
    let made = console
        .change(move |workspace| api_keys::rotate(workspace, &principal, &occasion, id, grace, Some(&once)))
        .await?;
    match made {
        Once::Made(issued) => {
            let old = Replaced { id, ends: label, goes_on: secs > 0 };
            create::reveal(&person, &console, &request, &issued, Shown::Instead(old))
        }
        Once::Repeated(id) => create::repeated(&person, &id),
    }
}
