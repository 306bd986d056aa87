//! Users: who is in the workspace, and with which role.

mod create;
mod detail;
mod list;
mod remove;
mod reset;

use actix_web::{HttpRequest, http::StatusCode, web};
use askama::Template;
use harmony_access::{RoleId, UserId};
use harmony_actix::get;
use harmony_store::{roles::Role, users::User};
use harmony_workspace::{Conflict, DrawnPassword, people};

use crate::{
    Console,
    form::{Form, Mistakes},
    origin,
    refusal::{Refused, sentence},
    session::SignedIn,
    shell::{Shell, USERS},
};

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/users").route(get().to(list::show)))
        .service(
            web::resource("/users/new").route(get().to(create::show)).route(web::post().to(create::perform)),
        )
        .service(
            web::resource("/users/{id}").route(get().to(detail::show)).route(web::post().to(detail::change)),
        )
        .service(
            web::resource("/users/{id}/password")
                .route(get().to(reset::show))
                .route(web::post().to(reset::perform)),
        )
        .service(
            web::resource("/users/{id}/remove")
                .route(get().to(remove::show))
                .route(web::post().to(remove::perform)),
        );
}

/// The id in a path. One that cannot be any is told like one that is not there.
fn id_of(path: &str) -> Result<UserId, Refused> {
    UserId::parse(path).map_err(|_| Refused::NotFound)
}

/// The one page that shows a password.
#[derive(Template)]
#[template(path = "users/reveal.html")]
struct RevealPage<'a> {
    shell: Shell,
    /// What password it is: the `first`, or a `new` one.
    which: &'static str,
    id: String,
    name: &'a str,
    email: &'a str,
    password: &'a str,
    base: String,
}

impl<'a> RevealPage<'a> {
    fn new(
        person: &SignedIn,
        console: &Console,
        request: &HttpRequest,
        title: String,
        which: &'static str,
        user: &'a User,
        password: &'a DrawnPassword,
    ) -> Self {
        Self {
            shell: person.shell(title, USERS),
            which,
            id: user.id.to_string(),
            name: &user.name,
            email: &user.email,
            password: password.reveal(),
            base: origin::address(request, console.public_url.as_ref()),
        }
    }
}

/// A role to choose.
struct Choice {
    id: String,
    name: String,
    description: String,
}

impl From<Role> for Choice {
    fn from(role: Role) -> Self {
        Self { id: role.id.to_string(), name: role.name, description: role.description }
    }
}

/// The roles that the person can give. Nobody hands out more than they hold, so nobody is offered it.
async fn choices(person: &SignedIn, console: &Console) -> Result<Vec<Choice>, Refused> {
    let principal = person.principal().clone();
    let found = console.run(move |workspace| people::roles_to_give(workspace, &principal)).await?;
    Ok(found.into_iter().map(Choice::from).collect())
}

fn role_of(form: &Form) -> Result<RoleId, Mistakes> {
    RoleId::parse(form.text("role")).map_err(|_| {
        let mut mistakes = Mistakes::default();
        mistakes.add("role", "Choose one of the roles.");
        mistakes
    })
}

/// What was wrong with what was entered about a user, and the status to say it with. Anything else has a page of its own.
fn mistakes_of(refused: Refused) -> Result<(StatusCode, Mistakes), Refused> {
    let (status, field, detail) = match refused {
        Refused::Forbidden { required } => {
            let detail = format!("It permits {required}, which you do not hold yourself");
            (StatusCode::UNPROCESSABLE_ENTITY, "role", detail)
        }
        Refused::Conflict(why @ Conflict::EmailTaken) => (StatusCode::CONFLICT, "email", why.to_string()),
        Refused::Conflict(why @ Conflict::LastAdministrator) => {
            (StatusCode::CONFLICT, "role", why.to_string())
        }
        other => return Ok((StatusCode::UNPROCESSABLE_ENTITY, Mistakes::of(other)?)),
    };
    let mut mistakes = Mistakes::default();
    mistakes.add(field, sentence(&detail));
    Ok((status, mistakes))
}

/// The user with the address in a form's field, for whoever may read users.
pub(crate) async fn with_email(
    person: &SignedIn,
    console: &Console,
    form: &Form,
    field: &'static str,
) -> Result<Result<UserId, Mistakes>, Refused> {
    let mut mistakes = Mistakes::default();
    let Some(email) = form.filled(field).map(str::to_owned) else {
        mistakes.add(field, "Enter the e-mail address of somebody in this workspace.");
        return Ok(Err(mistakes));
    };
    let principal = person.principal().clone();
    let found = console.run(move |workspace| people::with_email(workspace, &principal, &email)).await?;
    Ok(found.map(|user| user.id).ok_or_else(|| {
        mistakes.add(field, "Nobody in this workspace has this e-mail address.");
        mistakes
    }))
}
