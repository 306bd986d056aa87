//! One's own account: the password, and the sessions.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::SessionId;
use harmony_actix::get;
use harmony_workspace::sessions;

use crate::{
    Console,
    form::{Form, Mistakes, Posted},
    page,
    refusal::Refused,
    session::{self, SignedIn},
    shell::Shell,
    words::Moment,
};

const ACCOUNT: &str = "/account";

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource(ACCOUNT).route(get().to(show)))
        .service(web::resource("/account/password").route(web::post().to(change_password)))
        .service(web::resource("/account/sessions/{id}/end").route(web::post().to(end)));
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    shell: Shell,
    email: String,
    done: Option<&'static str>,
    sessions: Vec<Row>,
    mistakes: Mistakes,
}

struct Row {
    id: String,
    browser: String,
    begun: Moment,
    begun_from: String,
    seen: Moment,
    seen_from: String,
    ends: Moment,
    is_this: bool,
}

async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    let done = match Form::of_query(&request).text("done") {
        "password" => Some("Your password is changed, and your other sessions have ended."),
        "session" => Some("The session has ended."),
        _ => None,
    };
    account_page(StatusCode::OK, &person, &console, done, Mistakes::default()).await
}

async fn account_page(
    status: StatusCode,
    person: &SignedIn,
    console: &Console,
    done: Option<&'static str>,
    mistakes: Mistakes,
) -> Result<HttpResponse, Refused> {
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    let found = console.run(move |workspace| sessions::list(workspace, &principal, &occasion)).await?;
    let now = person.occasion.now;
    let sessions = found.into_iter().map(|session| Row {
        id: session.id.to_string(),
        browser: session.browser,
        begun: Moment::new(session.created_at, now),
        begun_from: session.began_ip,
        seen: Moment::new(session.last_seen_at, now),
        seen_from: session.last_seen_ip,
        ends: Moment::new(session.expires_at, now),
        is_this: session.id == person.session(),
    });
    let page = AccountPage {
        shell: person.shell("Account", ACCOUNT),
        email: person.who.user.email.clone(),
        done,
        sessions: sessions.collect(),
        mistakes,
    };
    page::html(status, &page)
}

async fn change_password(
    person: SignedIn,
    console: web::Data<Console>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    let form = posted.by(&person)?;
    let attempt = console.may_try(&person.who.user.email, &person.occasion).await?;
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    let changed = console
        .hash(move |workspace| {
            sessions::change_password(
                workspace,
                &principal,
                &occasion,
                form.text("current"),
                form.text("new"),
            )
        })
        .await;
    match changed {
        Ok(token) => {
            console.throttle.succeeded(&attempt);
            Ok(page::see_other_with("/account?done=password", &session::cookie(&console, &token)))
        }
        Err(refused) => {
            let mistakes = Mistakes::of(refused)?;
            account_page(StatusCode::UNPROCESSABLE_ENTITY, &person, &console, None, mistakes).await
        }
    }
}

async fn end(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    posted.by(&person)?;
    let id = SessionId::parse(&path).map_err(|_| Refused::NotFound)?;
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    console.run(move |workspace| sessions::end(workspace, &principal, &occasion, id)).await?;
    Ok(page::see_other("/account?done=session"))
}
