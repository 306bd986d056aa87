//! Signing in and out, and the way to the first page.

mod throttle;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_actix::get;
use harmony_workspace::{Occasion, network, sessions};

use throttle::Attempt;
pub(crate) use throttle::Throttle;

use crate::{
    Console,
    form::{Form, Posted},
    page,
    refusal::Refused,
    session::{self, SignedIn, occasion},
    shell::Shell,
};

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/").route(get().to(home)))
        .service(web::resource("/sign-in").route(get().to(show)).route(web::post().to(perform)))
        .service(web::resource("/sign-out").route(web::post().to(sign_out)));
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    shell: Shell,
    email: &'a str,
    next: &'a str,
    /// The same sentence for an unknown address and a wrong password.
    refused: bool,
}

impl Console {
    /// Counts an attempt to enter this account's password, unless it comes too early.
    pub(crate) async fn may_try(&self, email: &str, occasion: &Occasion) -> Result<Attempt, Refused> {
        let attempt = Attempt::new(email, occasion.client);
        let begin = || self.throttle.begin(&attempt, occasion.now);
        let begun = match begin() {
            Err(early) if early.for_strangers && self.knows(email, occasion).await? => {
                self.throttle.know(&attempt);
                begin()
            }
            otherwise => otherwise,
        };
        begun.map_err(|early| Refused::Slow { secs: early.secs })?;
        Ok(attempt)
    }

    /// Whether the account has signed in from this client before, as the store remembers beyond a restart.
    async fn knows(&self, email: &str, occasion: &Occasion) -> Result<bool, Refused> {
        let (email, occasion) = (email.to_owned(), occasion.clone());
        self.run(move |workspace| network::is_known(workspace, &occasion, &email)).await
    }
}

async fn home(person: SignedIn) -> HttpResponse {
    page::see_other(person.first_section())
}

async fn show(request: HttpRequest) -> Result<HttpResponse, Refused> {
    let query = Form::of_query(&request);
    let next = session::local_path(query.text("next"));
    if session::recognised(&request).await?.is_some() {
        return Ok(page::see_other(next));
    }
    sign_in_page(StatusCode::OK, "", next, false)
}

async fn perform(
    console: web::Data<Console>,
    request: HttpRequest,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    let form = posted.by_anybody()?;
    let occasion = occasion(&request)?;
    let attempt = console.may_try(form.text("email"), &occasion).await?;
    let (before, browser) = (session::recognised(&request).await?, session::browser(&request));
    let (signed_in, form) = console
        .hash(move |workspace| {
            let signed_in =
                sessions::sign_in(workspace, &occasion, form.text("email"), form.text("password"), browser)?;
            // The browser forgets the session that it had, and so nobody else is to go on with it.
            if let (Some(_), Some(before)) = (&signed_in, before) {
                sessions::end(workspace, before.principal(), &before.occasion, before.session())?;
            }
            Ok((signed_in, form))
        })
        .await?;
    match signed_in {
        Some(signed_in) => {
            console.throttle.succeeded(&attempt);
            Ok(session::welcome(&console, &signed_in.token, form.text("next")))
        }
        None => refused(&form),
    }
}

fn refused(form: &Form) -> Result<HttpResponse, Refused> {
    let next = session::local_path(form.text("next"));
    sign_in_page(StatusCode::UNPROCESSABLE_ENTITY, form.text("email"), next, true)
}

fn sign_in_page(status: StatusCode, email: &str, next: &str, refused: bool) -> Result<HttpResponse, Refused> {
    page::html(status, &SignInPage { shell: Shell::plain("Sign in"), email, next, refused })
}

async fn sign_out(
    console: web::Data<Console>,
    person: SignedIn,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    posted.by(&person)?;
    let (principal, occasion, id) = (person.principal().clone(), person.occasion.clone(), person.session());
    console.run(move |workspace| sessions::end(workspace, &principal, &occasion, id)).await?;
    Ok(page::see_other_with("/sign-in", &session::no_cookie(&console)))
}
