//! What a person is told when something was not done.
#![deny(clippy::wildcard_enum_match_arm)]

use std::fmt;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    body::BoxBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    middleware::Next,
};
use askama::Template;
use harmony_store::StoreError;
use harmony_workspace::{Conflict, Error, FieldError};

use crate::{
    page,
    session::{self, Kept},
    shell::{Shell, section_of},
    words::{self, capitalised},
};

/// Said when two people changed the same.
pub(crate) const STALE: &str = "It was changed by somebody else meanwhile. Reload the page and look again.";

/// Why there is another page than the one that was asked for.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Nobody is signed in: to the sign-in page, and back here afterwards.
    SignIn { next: String },
    /// The session has another token from now on: here again, with it.
    Renewed { path: String, cookie: Option<Kept> },
    /// There is no such thing, or it is not for this person to see.
    NotFound,
    /// The address is asked in a way that it does not know; it knows these.
    WrongMethod { allow: Option<HeaderValue> },
    /// The person may see it, and may not do this with it.
    Forbidden { required: String },
    /// The form did not come from one of our pages, or from one that is out of date.
    Foreign,
    /// The form is not one.
    Malformed(&'static str),
    /// It does not fit what there is.
    Conflict(Conflict),
    /// Somebody else changed it since the page was made.
    Stale,
    /// Fields that no form shows.
    Fields(Vec<FieldError>),
    /// Try again in a moment.
    Unavailable,
    /// Too many attempts; so many seconds.
    Slow { secs: u64 },
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalPage<'a> {
    shell: Shell,
    text: &'a str,
}

impl Refused {
    fn title(&self) -> &'static str {
        match self {
            Self::SignIn { .. } | Self::Renewed { .. } => "Sign in",
            Self::NotFound => "There is nothing here",
            Self::WrongMethod { .. } => "This address works differently",
            Self::Forbidden { .. } => "You may not do this",
            Self::Foreign => "This form is out of date",
            Self::Malformed(_) => "This form could not be read",
            Self::Conflict(_) | Self::Stale | Self::Fields(_) => "This could not be done",
            Self::Unavailable => "Please try again in a moment",
            Self::Slow { .. } => "Too many attempts",
        }
    }

    fn text(&self) -> String {
        match self {
            Self::SignIn { .. } | Self::Renewed { .. } => String::new(),
            Self::NotFound => "The address is wrong, or it leads to something that you may not see.".to_owned(),
            Self::WrongMethod { .. } => {
                "It may take nothing but the form of another page. Go back, and start from there.".to_owned()
            }
            Self::Forbidden { required } => {
                format!("It takes the permission {required}, which your role does not have. Ask an administrator.")
            }
            Self::Foreign => {
                "It was sent from another site, or from a page of an earlier session. Go back, reload the page and \
                 send it again; nothing was changed."
                    .to_owned()
            }
            Self::Malformed(why) => (*why).to_owned(),
            Self::Conflict(why) => sentence(&why.to_string()),
            Self::Stale => STALE.to_owned(),
            Self::Fields(errors) => {
                errors.iter().map(|error| error.detail.as_str()).collect::<Vec<_>>().join("; ")
            }
            Self::Unavailable => "The database did not answer. Nothing was changed.".to_owned(),
            Self::Slow { secs } => {
                let wait = words::counted(i64::try_from(*secs).unwrap_or(i64::MAX), "second");
                format!("Wait {wait}, and try again.")
            }
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.title())
    }
}

impl std::error::Error for Refused {}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::SignIn { .. } | Self::Renewed { .. } => StatusCode::SEE_OTHER,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Forbidden { .. } | Self::Foreign => StatusCode::FORBIDDEN,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) | Self::Stale => StatusCode::CONFLICT,
            Self::Fields(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Slow { .. } => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::SignIn { next } = self {
            return page::see_other(&format!("/sign-in?next={next}"));
        }
        if let Self::Renewed { path, cookie } = self {
            return match cookie {
                Some(Kept(cookie)) => page::see_other_with(path, cookie),
                None => page::see_other(path),
            };
        }
        self.page(Shell::plain(self.title()))
    }
}

impl Refused {
    /// The page that says so.
    fn page(&self, shell: Shell) -> HttpResponse {
        let written = RefusalPage { shell, text: &self.text() };
        let mut response = page::html(self.status_code(), &written)
            .unwrap_or_else(|_| HttpResponse::build(self.status_code()).body(self.title()));
        let told = match self {
            Self::Unavailable => Some((header::RETRY_AFTER, 1.into())),
            Self::Slow { secs } => Some((header::RETRY_AFTER, (*secs).into())),
            Self::WrongMethod { allow } => allow.clone().map(|methods| (header::ALLOW, methods)),
            Self::SignIn { .. }
            | Self::Renewed { .. }
            | Self::NotFound
            | Self::Forbidden { .. }
            | Self::Foreign
            | Self::Malformed(_)
            | Self::Conflict(_)
            | Self::Stale
            | Self::Fields(_) => None,
        };
        if let Some((name, value)) = told {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Whoever is signed in stays where they are: what is refused is said beside their name and their sections. But not to what may
/// have come from another site, which is told nothing of anybody, and not when the store did not answer: it is not asked again.
pub(crate) async fn in_place(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let response = next.call(request).await?;
    let page = match response.response().error().and_then(|error| error.as_error::<Refused>()) {
        None
        | Some(Refused::SignIn { .. } | Refused::Renewed { .. } | Refused::Foreign | Refused::Unavailable) => {
            None
        }
        Some(refused) => around(refused, response.request()).await,
    };
    Ok(match page {
        Some(page) => response.into_response(page),
        None => response,
    })
}

/// The framework refuses a wrong method and names the right ones; here it gets a page.
pub(crate) async fn of_method(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let response = next.call(request).await?;
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return Ok(response);
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    Ok(response.into_response(HttpResponse::from_error(Refused::WrongMethod { allow })))
}

async fn around(refused: &Refused, request: &HttpRequest) -> Option<HttpResponse> {
    let person = session::recognised(request).await.ok().flatten()?;
    Some(refused.page(person.shell(refused.title(), section_of(request.path()))))
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            Error::Forbidden { required, .. } => Self::Forbidden { required: required.to_string() },
            Error::NotFound => Self::NotFound,
            Error::Invalid(errors) => Self::Fields(errors),
            Error::Conflict(conflict) => Self::Conflict(conflict),
            Error::IdempotencyMismatch | Error::IdempotencyInProgress => Self::Foreign,
            Error::Stale | Error::Store(StoreError::Taken(_) | StoreError::Referenced(_)) => Self::Stale,
            Error::Store(StoreError::Unavailable(_) | StoreError::Full | StoreError::Refused(_))
            | Error::Draw(_)
            | Error::Password(_) => {
                tracing::error!(%error, "a page could not be answered");
                Self::Unavailable
            }
        }
    }
}

/// With a capital letter and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    format!("{}.", capitalised(text.trim_end_matches('.')))
}
