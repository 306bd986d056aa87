//! A new user, with a first password that is shown once: in the answer to the form, which nobody keeps.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::RoleId;
use harmony_permission::{Scope, catalogue};
use harmony_store::users::User;
use harmony_workspace::{
    DrawnPassword, Once,
    users::{self, NewUser},
};

use super::{Choice, RevealPage, choices, mistakes_of, role_of};
use crate::{
    Console,
    form::{Form, Mistakes, Posted},
    page,
    refusal::Refused,
    session::{self, SignedIn},
    shell::{Shell, USERS},
};

#[derive(Template)]
#[template(path = "users/new.html")]
struct NewPage<'a> {
    shell: Shell,
    once: String,
    name: &'a str,
    email: &'a str,
    role: &'a str,
    roles: Vec<Choice>,
    mistakes: Mistakes,
}

fn must(person: &SignedIn) -> Result<(), Refused> {
    person.must(catalogue::USERS_READ, Scope::Own)?;
    person.must(catalogue::USERS_CREATE, Scope::All)
}

pub(super) async fn show(person: SignedIn, console: web::Data<Console>) -> Result<HttpResponse, Refused> {
    must(&person)?;
    form_page(StatusCode::OK, &person, &console, &Form::default(), Mistakes::default()).await
}

async fn form_page(
    status: StatusCode,
    person: &SignedIn,
    console: &Console,
    form: &Form,
    mistakes: Mistakes,
) -> Result<HttpResponse, Refused> {
    let page = NewPage {
        shell: person.shell("Add a user", USERS),
        once: session::draw_once()?,
        name: form.text("name"),
        email: form.text("email"),
        role: form.text("role"),
        roles: choices(person, console).await?,
        mistakes,
    };
    page::html(status, &page)
}

pub(super) async fn perform(
    person: SignedIn,
    console: web::Data<Console>,
    request: HttpRequest,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    must(&person)?;
    let form = posted.by(&person)?;
    let (status, mistakes) = match role_of(&form) {
        Ok(role) => match add(&person, &console, &form, role).await {
            Ok((Once::Made(user), password)) => {
                let title = format!("{} was added", user.name);
                let page = RevealPage::new(&person, &console, &request, title, "first", &user, &password);
                return page::html(StatusCode::CREATED, &page);
            }
            Ok((Once::Repeated(id), _)) => return repeated(&person, &id),
            Err(refused) => mistakes_of(refused)?,
        },
        Err(mistakes) => (StatusCode::UNPROCESSABLE_ENTITY, mistakes),
    };
    form_page(status, &person, &console, &form, mistakes).await
}

async fn add(
    person: &SignedIn,
    console: &Console,
    form: &Form,
    role: RoleId,
) -> Result<(Once<User>, DrawnPassword), Refused> {
    let once = person.once(form, "add a user")?;
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    let (name, email) = (form.text("name").to_owned(), form.text("email").to_owned());
    console
        .hash(move |workspace| {
            let password = DrawnPassword::draw()?;
            let new = NewUser { email: &email, name: &name, role, password: Some(password.reveal()) };
            let made = users::create(workspace, &principal, &occasion, &new, Some(&once))?;
            Ok((made, password))
        })
        .await
}

#[derive(Template)]
#[template(path = "users/repeated.html")]
struct RepeatedPage<'a> {
    shell: Shell,
    id: &'a str,
    may_remove: bool,
}

/// The form was sent before: no second user, and no second look at the password.
fn repeated(person: &SignedIn, id: &str) -> Result<HttpResponse, Refused> {
    let page = RepeatedPage {
        shell: person.shell("The user was added already", USERS),
        id,
        may_remove: person.may(catalogue::USERS_DELETE, Scope::All),
    };
    page::html(StatusCode::OK, &page)
}
