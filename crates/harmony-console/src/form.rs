//! Forms, read from one of our own pages and from nowhere else.

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web};
use harmony_actix::read_body;
use harmony_store::Version;
use harmony_workspace::FieldError;

use crate::{
    Console, origin,
    refusal::{Refused, sentence},
    session::SignedIn,
};

/// The largest form, in bytes: a role's matrix, or the ids of a whole page of keys.
const MAX_BYTES: usize = 64 * 1024;
/// The most fields of one form.
const MAX_FIELDS: usize = 1_000;

/// A form that has arrived, and is not to be read before it is known who sent it.
pub(crate) struct Posted(Result<Form, Refused>);

/// The fields of a form.
#[derive(Debug, Default)]
pub(crate) struct Form {
    fields: Vec<(String, String)>,
}

impl Posted {
    /// The form, if it was on a page that this person was given.
    pub(crate) fn by(self, person: &SignedIn) -> Result<Form, Refused> {
        let form = self.0?;
        if person.gave(form.text("form_token")) { Ok(form) } else { Err(Refused::Foreign) }
    }

    /// The form of somebody who has not signed in.
    pub(crate) fn by_anybody(self) -> Result<Form, Refused> {
        self.0
    }
}

impl Form {
    /// The query string, which is written like a form.
    pub(crate) fn of_query(request: &HttpRequest) -> Self {
        let pairs = form_urlencoded::parse(request.query_string().as_bytes());
        Self { fields: pairs.into_owned().take(MAX_FIELDS).filter(|field| !holds_nul(field)).collect() }
    }

    /// What was entered in a field; empty when there is no such field.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// What was entered, trimmed, unless that is nothing.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        Some(self.text(name).trim()).filter(|text| !text.is_empty())
    }

    /// The version that the form was made of; one that never was, when somebody has taken it out.
    pub(crate) fn version(&self) -> Version {
        Version::new(self.text("version").parse().unwrap_or_default())
    }

    /// All fields and what was entered in them.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What was chosen of several.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

impl FromRequest for Posted {
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refused>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { Ok(Self(read(&request, payload).await)) })
    }
}

async fn read(request: &HttpRequest, payload: Payload) -> Result<Form, Refused> {
    let console = request.app_data::<web::Data<Console>>().ok_or(Refused::Unavailable)?;
    if !origin::is_ours(request, console.public_url.as_ref()) {
        return Err(Refused::Foreign);
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Refused::Malformed("Forms are sent as application/x-www-form-urlencoded."));
    }
    let body = read_body(request, payload, MAX_BYTES).await;
    let body = body.map_err(|_| Refused::Malformed("It is too large, or did not arrive in time."))?;
    let fields: Vec<_> = form_urlencoded::parse(&body).into_owned().take(MAX_FIELDS).collect();
    if fields.iter().any(holds_nul) {
        return Err(Refused::Malformed("It holds a character that cannot be entered."));
    }
    Ok(Form { fields })
}

fn said(error: FieldError) -> FieldError {
    FieldError { detail: sentence(&error.detail), ..error }
}

/// No browser lets anybody enter NUL, and PostgreSQL takes none.
fn holds_nul((name, text): &(String, String)) -> bool {
    name.contains('\0') || text.contains('\0')
}

/// What is wrong with a form that is shown again, by field.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(Vec<FieldError>);

impl Mistakes {
    /// What the use case said of the fields. Anything else is no mistake of whoever filled in the form.
    pub(crate) fn of(refused: Refused) -> Result<Self, Refused> {
        match refused {
            Refused::Fields(errors) => Ok(Self(errors.into_iter().map(said).collect())),
            other => Err(other),
        }
    }

    pub(crate) fn add(&mut self, field: &'static str, detail: impl Into<String>) {
        self.0.push(FieldError { field, code: "invalid", detail: detail.into() });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong with this field; empty when nothing is.
    pub(crate) fn at(&self, field: &str) -> &str {
        self.0.iter().find(|error| error.field == field).map_or("", |error| &error.detail)
    }

    /// What puts the cursor into this field as the page comes: it was the first that was entered wrongly.
    pub(crate) fn focus(&self, field: &str) -> &'static str {
        if self.0.first().is_some_and(|error| error.field == field) { " autofocus" } else { "" }
    }

    /// What is wrong with fields that the page does not show.
    pub(crate) fn others(&self, shown: &[&str]) -> Vec<&str> {
        let hidden = self.0.iter().filter(|error| !shown.contains(&error.field));
        hidden.map(|error| error.detail.as_str()).collect()
    }
}
