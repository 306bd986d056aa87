//! The one-time link of the first run, and the page behind it.

use std::{net::SocketAddr, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use harmony_access::Timestamp;
use harmony_actix::{Code, Problem, RequestContext, read_body};
use harmony_key::{SecretToken, TokenDigest};
use harmony_store::setup_links;
use harmony_workspace::{Conflict, Error, Occasion, Workspace, setup};
use serde::Deserialize;

use crate::{failure::Failure, output, serve::read_clock};

/// How long a link is valid.
const VALID_FOR: Duration = Duration::from_secs(30 * 60);
/// The largest form, in bytes: four short fields.
const MAX_FORM_BYTES: usize = 16 * 1024;
const POLICY: &str = "default-src 'none'; style-src 'sha256-cGlVzyJ7raPEUgX0k3OaTcslD6oL89RZRl40mKW+Q6g='; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// A link that was just drawn; only its digest is kept.
pub struct SetupLink(SecretToken);

impl SetupLink {
    pub fn draw(workspace: &Workspace) -> Result<Self, Failure> {
        let (token, now) = (SecretToken::draw()?, read_clock().wall);
        workspace.store().write(|tx| setup_links::insert(tx, token.digest(), now, now.plus(VALID_FOR)))?;
        Ok(Self(token))
    }

    pub fn print(&self, address: SocketAddr) -> Result<(), Failure> {
        output::line("nobody can sign in yet; set the first workspace up within 30 minutes:")?;
        output::line(&format!("  http://{address}/setup/{}", self.0.reveal()))?;
        output::line(
            "or: harmony init --workspace NAME --name NAME --email ADDRESS --password-stdin (on this data folder)",
        )
    }
}

/// Mounts `/setup/{token}`.
pub fn mount(config: &mut web::ServiceConfig) {
    let page = web::resource("/setup/{token}").route(web::get().to(show)).route(web::post().to(perform));
    config.service(page);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    workspace: String,
    name: String,
    email: String,
    password: String,
}

/// What became of a form.
enum Outcome {
    Done,
    Again(String),
    Gone,
}

async fn show(
    workspace: web::Data<Workspace>,
    token: web::Path<String>,
    context: RequestContext,
) -> Result<HttpResponse, Problem> {
    let (digest, now) = (TokenDigest::of(&token), context.now().wall);
    match blocking(move || link_state(&workspace, digest, now)).await? {
        Outcome::Gone => Ok(gone()),
        Outcome::Done | Outcome::Again(_) => Ok(page(StatusCode::OK, "Set Harmony up", &form("", None))),
    }
}

async fn perform(
    workspace: web::Data<Workspace>,
    token: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    context: RequestContext,
) -> Result<HttpResponse, Problem> {
    is_form(&request)?;
    let form_data = read_form(&read_body(&request, payload.into_inner(), MAX_FORM_BYTES).await?)?;
    let (digest, occasion) = (TokenDigest::of(&token), occasion(&context));
    let email = form_data.email.trim().to_owned();
    let outcome = blocking(move || set_up(&workspace, digest, &occasion, &form_data)).await?;
    Ok(match outcome {
        Outcome::Done => page(StatusCode::CREATED, "Harmony is set up", &done(&email)),
        Outcome::Again(why) => {
            page(StatusCode::UNPROCESSABLE_ENTITY, "Set Harmony up", &form(&email, Some(&why)))
        }
        Outcome::Gone => gone(),
    })
}

fn is_form(request: &HttpRequest) -> Result<(), Problem> {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(());
    }
    Err(Problem::new(Code::UnsupportedMediaType)
        .with_detail("The form must be sent as `Content-Type: application/x-www-form-urlencoded`."))
}

/// The four fields. What was sent is not repeated: a password is in it.
fn read_form(bytes: &[u8]) -> Result<Form, Problem> {
    let text = std::str::from_utf8(bytes).ok();
    let form = text.and_then(|text| web::Query::<Form>::from_query(text).ok());
    form.map(web::Query::into_inner).ok_or_else(|| {
        Problem::new(Code::MalformedRequest)
            .with_detail("The form has the fields workspace, name, email and password.")
    })
}

/// The first form wins: `setup::create` refuses once there is a user, in the transaction that would make another.
fn set_up(
    workspace: &Workspace,
    link: TokenDigest,
    occasion: &Occasion,
    form: &Form,
) -> Result<Outcome, Error> {
    if let Outcome::Gone = link_state(workspace, link, occasion.now)? {
        return Ok(Outcome::Gone);
    }
    let new = setup::NewWorkspace {
        name: &form.workspace,
        user_name: &form.name,
        email: &form.email,
        password: Some(&form.password),
    };
    match setup::create(workspace, occasion, &new) {
        Ok(_) => {
            workspace.store().write(|tx| setup_links::take(tx, link, occasion.now))?;
            Ok(Outcome::Done)
        }
        Err(Error::Conflict(Conflict::SetUpAlready)) => Ok(Outcome::Gone),
        Err(error @ Error::Invalid(_)) => Ok(Outcome::Again(Failure::from(error).to_string())),
        Err(other) => Err(other),
    }
}

/// `Again` while the link is good: it was not used yet, and nobody else set anything up.
fn link_state(workspace: &Workspace, link: TokenDigest, now: Timestamp) -> Result<Outcome, Error> {
    let live = workspace.store().read(|tx| setup_links::is_live(tx, link, now))?;
    Ok(if live && setup::is_needed(workspace)? { Outcome::Again(String::new()) } else { Outcome::Gone })
}

fn occasion(context: &RequestContext) -> Occasion {
    Occasion {
        now: context.now().wall,
        client: Some(context.client()),
        request_id: Some(context.request_id().as_str().to_owned()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Problem> {
    match web::block(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            tracing::error!(%error, "the set-up failed");
            Err(Problem::new(Code::Internal))
        }
        Err(_) => Err(Problem::new(Code::Internal)),
    }
}

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem}\
label{display:block;margin:1rem 0 0}input{font:inherit;width:100%;box-sizing:border-box;padding:.4rem}\
button{font:inherit;margin-top:1.5rem;padding:.5rem 1.5rem}[role=alert]{color:#a00}";

fn page(status: StatusCode, title: &str, body: &str) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\
             <body><main><h1>{title}</h1>{body}</main></body></html>"
        ))
}

fn form(email: &str, wrong: Option<&str>) -> String {
    let alert = wrong.map_or_else(String::new, |why| format!("<p role=\"alert\">{}</p>", escape(why)));
    format!(
        "<p>This makes the first workspace, and you its administrator.</p>{alert}<form method=\"post\">\
         <label>Workspace <input name=\"workspace\" required maxlength=\"100\"></label>\
         <label>Your name <input name=\"name\" required maxlength=\"100\" autocomplete=\"name\"></label>\
         <label>E-mail <input name=\"email\" type=\"email\" required value=\"{}\" autocomplete=\"username\"></label>\
         <label>Password (10 characters at least) <input name=\"password\" type=\"password\" required \
         minlength=\"10\" autocomplete=\"new-password\"></label><button>Set up</button></form>",
        escape(email)
    )
}

fn done(email: &str) -> String {
    format!(
        "<p>The workspace and its administrator are made. Create the first API key on the server:</p>\
         <pre>harmony key create --name first --owner {} --role Admin</pre><p><a href=\"/docs\">The API</a></p>",
        escape(email)
    )
}

/// One answer for wrong, used and expired links: nothing can be probed.
fn gone() -> HttpResponse {
    let body = "<p>This link is wrong, expired or used. While nobody is set up, restarting the server prints a new \
                one; <code>harmony init</code> is the other way.</p>";
    page(StatusCode::NOT_FOUND, "This link leads nowhere", body)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_its_four_fields_and_no_other() {
        let form = read_form(b"workspace=A+b&name=%C3%9C&email=a%40b&password=x%26y").unwrap();
        assert_eq!((form.workspace, form.name), ("A b".to_owned(), "\u{dc}".to_owned()));
        assert_eq!((form.email, form.password), ("a@b".to_owned(), "x&y".to_owned()));
        for wrong in
            [&b"workspace=A&name=B&email=c"[..], b"workspace=A&name=B&email=c&password=d&more=e", b"\xff"]
        {
            assert_eq!(read_form(wrong).err().map(|problem| problem.code()), Some(Code::MalformedRequest));
        }
    }

    #[test]
    fn only_a_form_is_read_as_one() {
        let sent = |kind: &str| {
            let request = actix_web::test::TestRequest::post().insert_header(("content-type", kind));
            is_form(&request.to_http_request()).err().map(|problem| problem.code())
        };
        assert_eq!(sent("application/x-www-form-urlencoded; charset=UTF-8"), None);
        assert_eq!(sent("text/plain"), Some(Code::UnsupportedMediaType));
        assert_eq!(sent("application/json"), Some(Code::UnsupportedMediaType));
    }

    #[test]
    fn what_was_typed_cannot_become_markup() {
        let page = form("\"><script>alert('x')</script>", Some("<b>&"));
        assert!(!page.contains("<script>") && !page.contains("<b>"));
        assert!(page.contains("&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)"));
        assert!(page.contains("&lt;b&gt;&amp;"));
    }
}
