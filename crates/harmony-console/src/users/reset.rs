//! Another password for somebody who lost theirs: shown once, in the answer to the form, which nobody keeps.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::UserId;
use harmony_permission::{Scope, catalogue};
use harmony_store::users::User;
use harmony_workspace::{DrawnPassword, Once, people, users};

use super::{RevealPage, id_of};
use crate::{
    Console,
    form::{Form, Posted},
    page,
    refusal::Refused,
    session::{self, SignedIn},
    shell::{Shell, USERS},
};

#[derive(Template)]
#[template(path = "users/reset.html")]
struct ResetPage {
    shell: Shell,
    once: String,
    id: UserId,
    user: User,
}

/// The user, for whoever may do this with them.
async fn whose(person: &SignedIn, console: &Console, path: &str) -> Result<User, Refused> {
    person.must(catalogue::USERS_READ, Scope::Own)?;
    let (id, principal) = (id_of(path)?, person.principal().clone());
    let found = console.run(move |workspace| people::find(workspace, &principal, id)).await?;
    if found.resettable { Ok(found.person.user) } else { Err(Refused::NotFound) }
}

pub(super) async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let user = whose(&person, &console, &path).await?;
    let page = ResetPage {
        shell: person.shell(format!("Reset the password of {}", user.name), USERS),
        once: session::draw_once()?,
        id: user.id,
        user,
    };
    page::html(StatusCode::OK, &page)
}

pub(super) async fn perform(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
    request: HttpRequest,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    let user = whose(&person, &console, &path).await?;
    let form = posted.by(&person)?;
    match reset(&person, &console, &form, user.id).await? {
        (Once::Made(user), password) => {
            let title = format!("{} has a new password", user.name);
            let page = RevealPage::new(&person, &console, &request, title, "new", &user, &password);
            page::html(StatusCode::OK, &page)
        }
        (Once::Repeated(_), _) => repeated(&person, user.id),
    }
}

async fn reset(
    person: &SignedIn,
    console: &Console,
    form: &Form,
    id: UserId,
) -> Result<(Once<User>, DrawnPassword), Refused> {
    let once = person.once(form, &format!("reset the password of {id}"))?;
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    let (outcome, password) = console
        .hash(move |workspace| {
            let password = DrawnPassword::draw()?;
            let new = password.reveal();
            let outcome = users::reset_password(workspace, &principal, &occasion, id, new, Some(&once));
            Ok((outcome, password))
        })
        .await?;
    // What is waited for takes nobody's turn to hash.
    Ok((console.change(move |_| outcome).await?, password))
}

#[derive(Template)]
#[template(path = "users/reset_repeated.html")]
struct RepeatedPage {
    shell: Shell,
    id: UserId,
}

/// The form was sent before: the password that was shown then is the good one, and is not shown again.
fn repeated(person: &SignedIn, id: UserId) -> Result<HttpResponse, Refused> {
    let page = RepeatedPage { shell: person.shell("The password was reset already", USERS), id };
    page::html(StatusCode::OK, &page)
}
