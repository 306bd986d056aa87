//! The page behind the one-time link of the first run.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_actix::get;
use harmony_key::TokenDigest;
use harmony_workspace::{
    Browser, Conflict, Error, Occasion, Workspace, sessions,
    setup::{self, NewWorkspace},
};

use crate::{
    Console,
    form::{Form, Mistakes, Posted},
    page,
    refusal::Refused,
    session::{self, occasion},
    shell::{API_KEYS, Shell},
};

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config.service(web::resource("/setup/{token}").route(get().to(show)).route(web::post().to(perform)));
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    shell: Shell,
    form: Form,
    mistakes: Mistakes,
}

#[derive(Template)]
#[template(path = "setup_gone.html")]
struct GonePage {
    shell: Shell,
}

async fn show(
    console: web::Data<Console>,
    token: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    let (digest, occasion) = (TokenDigest::of(&token), occasion(&request)?);
    let open = console.run(move |workspace| setup::link_is_open(workspace, &occasion, digest)).await?;
    if open { form_page(StatusCode::OK, Form::default(), Mistakes::default()) } else { gone() }
}

async fn perform(
    console: web::Data<Console>,
    token: web::Path<String>,
    request: HttpRequest,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    let form = posted.by_anybody()?;
    let (digest, occasion) = (TokenDigest::of(&token), occasion(&request)?);
    let browser = session::browser(&request);
    let done = console
        .hash(move |workspace| {
            let outcome = set_up(workspace, &occasion, digest, &form, browser);
            Ok((outcome, form))
        })
        .await?;
    match done {
        (Ok(Some(signed_in)), _) => Ok(session::welcome(&console, &signed_in.token, API_KEYS)),
        (Ok(None) | Err(Error::Conflict(Conflict::SetUpAlready)), _) => gone(),
        (Err(error), form) => form_page(StatusCode::UNPROCESSABLE_ENTITY, form, Mistakes::of(error.into())?),
    }
}

/// The first form wins; `None` when the link is wrong, used or expired.
fn set_up(
    workspace: &Workspace,
    occasion: &Occasion,
    link: TokenDigest,
    form: &Form,
    browser: Browser,
) -> Result<Option<sessions::SignedIn>, Error> {
    let new = NewWorkspace {
        name: form.text("workspace"),
        user_name: form.text("name"),
        email: form.text("email"),
        password: Some(form.text("password")),
    };
    if setup::through_link(workspace, occasion, link, &new)?.is_none() {
        return Ok(None);
    }
    sessions::sign_in(workspace, occasion, form.text("email"), form.text("password"), browser)
}

fn form_page(status: StatusCode, form: Form, mistakes: Mistakes) -> Result<HttpResponse, Refused> {
    page::html(status, &SetupPage { shell: Shell::plain("Set Harmony up"), form, mistakes })
}

/// One answer for wrong, used and expired links: nothing can be probed.
fn gone() -> Result<HttpResponse, Refused> {
    page::html(StatusCode::NOT_FOUND, &GonePage { shell: Shell::plain("This link leads nowhere") })
}
