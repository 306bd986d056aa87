//! Who is signed in: the cookie, and the proof that handlers take.

use std::{fmt, future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpMessage as _, HttpRequest,
    cookie::{Cookie, SameSite, time::Duration},
    dev::Payload,
    http::header,
    web,
};
use harmony_access::{Principal, SessionId};
use harmony_actix::RequestContext;
use harmony_key::{Fingerprint, SecretToken, TokenDigest};
use harmony_permission::{Action, Scope};
use harmony_workspace::{
    Browser, Idempotency, Occasion,
    sessions::{self, ABSOLUTE_LIFETIME, Recognised},
};

use crate::{Console, form::Form, origin::PublicUrl, page, refusal::Refused, words};

/// Proof that a signed-in person sent the request, and when and from where. Without it a handler is not reached: the
/// browser is sent to the sign-in page instead.
pub(crate) struct SignedIn {
    pub(crate) who: Recognised,
    pub(crate) occasion: Occasion,
    /// What every form of this session carries: derived from the token that only the person's cookie holds.
    pub(crate) form_token: String,
}

impl SignedIn {
    /// The person, as use cases know them.
    pub(crate) fn principal(&self) -> &Principal {
        &self.who.principal
    }

    pub(crate) fn session(&self) -> SessionId {
        self.who.session.id
    }

    /// Whether the person may do this, at this scope at least.
    pub(crate) fn may(&self, action: Action, scope: Scope) -> bool {
        self.principal().permissions().allows(&action.at(scope))
    }

    /// A page that takes this permission is not there for anybody else.
    pub(crate) fn must(&self, action: Action, scope: Scope) -> Result<(), Refused> {
        if self.may(action, scope) { Ok(()) } else { Err(Refused::NotFound) }
    }

    /// Whether this form token was given to the session. Both are hashed first: the comparison tells nothing by its time.
    pub(crate) fn gave(&self, token: &str) -> bool {
        Fingerprint::of(&[token.as_bytes()]) == Fingerprint::of(&[self.form_token.as_bytes()])
    }

    /// What makes a form's change happen once, however often the form is sent: the `once` that its page drew, and nothing
    /// that no page draws.
    pub(crate) fn once(&self, form: &Form, what: &str) -> Result<Idempotency, Refused> {
        let drawn = form.text("once");
        let digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if drawn.len() != ONCE_DIGITS || !drawn.bytes().all(digit) {
            return Err(Refused::Malformed(
                "It lacks what its page drew. Go back, reload the page and send it again.",
            ));
        }
        Ok((drawn.to_owned(), Fingerprint::of(&[what.as_bytes(), drawn.as_bytes()])))
    }
}

/// The hexadecimal digits of a `once`: 128 bits.
const ONCE_DIGITS: usize = 32;

/// A fresh value for a form that makes something.
pub(crate) fn draw_once() -> Result<String, Refused> {
    let token = SecretToken::draw().map_err(|_| Refused::Unavailable)?;
    Ok(token.reveal().chars().take(ONCE_DIGITS).collect())
}

impl FromRequest for SignedIn {
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refused>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            match recognised(&request).await? {
                Some(person) if person.who.outdated && request.method().is_safe() => {
                    Err(renewed(&request, &person).await?)
                }
                Some(person) => Ok(person),
                None => Err(Refused::SignIn { next: next_of(&request) }),
            }
        })
    }
}

/// Rights that have changed have another token: the page is asked for again, with it. Where another request was first, the
/// browser has it already.
async fn renewed(request: &HttpRequest, person: &SignedIn) -> Result<Refused, Refused> {
    let console = request.app_data::<web::Data<Console>>().ok_or(Refused::Unavailable)?;
    let who = person.who.clone();
    let token = console.run(move |workspace| sessions::renew(workspace, &who)).await?;
    let cookie = token.map(|token| Kept(Box::new(cookie(console, &token))));
    Ok(Refused::Renewed { path: request.uri().to_string(), cookie })
}

/// Whoever sent the request, if they are signed in.
pub(crate) async fn recognised(request: &HttpRequest) -> Result<Option<SignedIn>, Refused> {
    let console = request.app_data::<web::Data<Console>>().ok_or(Refused::Unavailable)?;
    let Some(cookie) = request.cookie(cookie_name(console.public_url.as_ref())) else { return Ok(None) };
    let (digest, occasion) = (TokenDigest::of(cookie.value()), occasion(request)?);
    let now = occasion.clone();
    let found = console.run(move |workspace| sessions::recognise(workspace, &now, &digest)).await?;
    let form_token = words::hex(Fingerprint::of(&[b"form token", cookie.value().as_bytes()]).as_bytes());
    Ok(found.map(|who| SignedIn { who, occasion, form_token }))
}

/// When and from where a request came.
pub(crate) fn occasion(request: &HttpRequest) -> Result<Occasion, Refused> {
    let extensions = request.extensions();
    let context = extensions.get::<RequestContext>().ok_or(Refused::Unavailable)?;
    Ok(Occasion {
        now: context.now().wall,
        client: Some(context.client()),
        request_id: Some(context.request_id().to_string()),
    })
}

/// What the request says it was sent with.
pub(crate) fn browser(request: &HttpRequest) -> Browser {
    let said = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    said.map(Browser::of).unwrap_or_default()
}

/// The page to come back to; a form that was sent is not sent again.
fn next_of(request: &HttpRequest) -> String {
    let path = if request.method().is_safe() { request.uri().to_string() } else { "/".to_owned() };
    form_urlencoded::byte_serialize(path.as_bytes()).collect()
}

/// Browsers hold cookies with this prefix to `Secure`, the whole host and no other (RFC 6265bis §4.1.3.2).
fn cookie_name(public_url: Option<&PublicUrl>) -> &'static str {
    if public_url.is_some_and(PublicUrl::is_secure) { "__Host-harmony_session" } else { "harmony_session" }
}

/// A cookie for the browser, whose token no log is told.
pub(crate) struct Kept(pub(crate) Box<Cookie<'static>>);

impl fmt::Debug for Kept {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Kept")
    }
}

/// The cookie that holds a session's token.
pub(crate) fn cookie(console: &Console, token: &SecretToken) -> Cookie<'static> {
    let seconds = i64::try_from(ABSOLUTE_LIFETIME.as_secs()).unwrap_or(i64::MAX);
    built(console, token.reveal().to_owned(), Duration::seconds(seconds))
}

/// The cookie that makes a browser forget it.
pub(crate) fn no_cookie(console: &Console) -> Cookie<'static> {
    built(console, String::new(), Duration::ZERO)
}

fn built(console: &Console, value: String, age: Duration) -> Cookie<'static> {
    let public_url = console.public_url.as_ref();
    Cookie::build(cookie_name(public_url), value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(public_url.is_some_and(PublicUrl::is_secure))
        .max_age(age)
        .finish()
}

/// Sends the browser where it wanted to go before it signed in: to a path of this server, and nowhere else.
pub(crate) fn local_path(next: &str) -> &str {
    let follows = next.strip_prefix('/').unwrap_or("/");
    let foreign = follows.starts_with(['/', '\\']) || next.chars().any(char::is_control);
    if next.starts_with('/') && !foreign { next } else { "/" }
}

/// To the page behind the sign-in.
pub(crate) fn welcome(console: &Console, token: &SecretToken, next: &str) -> actix_web::HttpResponse {
    page::see_other_with(local_path(next), &cookie(console, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        for path in ["/", "/settings/api-keys?q=a%20b", "/account"] {
            assert_eq!(local_path(path), path);
        }
        for path in ["", "settings", "//evil.example", "/\\evil.example", "https://evil.example", "/a\n"] {
            assert_eq!(local_path(path), "/", "{path:?}");
        }
    }
}
