//! JSON bodies: read whole, refused by the name of the field.

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header};
use bytes::Bytes;
use futures_util::{FutureExt, future::LocalBoxFuture};
use harmony_actix::{Code, FieldError, Problem, read_body};
use serde::de::DeserializeOwned;

/// The most bytes of a body, unless a route says otherwise: 1 MiB.
const MAX_BODY_BYTES: usize = 1 << 20;

/// A JSON body of at most `MAX` bytes.
pub(crate) struct Body<T, const MAX: usize = MAX_BODY_BYTES> {
    pub value: T,
    pub bytes: Bytes,
}

impl<T: DeserializeOwned + 'static, const MAX: usize> FromRequest for Body<T, MAX> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        async move {
            is_json(&request)?;
            let bytes = read_body(&request, payload, MAX).await?;
            Ok(Self { value: read(&bytes)?, bytes })
        }
        .boxed_local()
    }
}

fn is_json(request: &HttpRequest) -> Result<(), Problem> {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(Code::UnsupportedMediaType)
        .with_detail("The body must be JSON, with `Content-Type: application/json`."))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        refused(&path, error.inner())
    })?;
    reader.end().map_err(|error| refused("", &error))?;
    Ok(value)
}

/// Broken JSON is 400; JSON that is not what was asked for is 422, by the field. Neither repeats a value.
fn refused(path: &str, error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        let place = format!("line {}, column {}", error.line(), error.column());
        return Problem::new(Code::MalformedJson)
            .with_detail(format!("The body is not well-formed JSON at {place}."));
    }
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let quoted = message.split('`').nth(1);
    let (field, code) = match quoted {
        Some(name) if message.starts_with("unknown field") => (name, "unknown_field"),
        Some(name) if message.starts_with("missing field") => (name, "required"),
        Some(_) | None => (path, "wrong_type"),
    };
    let detail = match message.split_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => message.to_owned(),
    };
    let field = if field == "." { "body" } else { field };
    Problem::invalid_fields(vec![FieldError::new(field.to_owned(), code, detail)])
}

/// For `PATCH`: a member that cannot be taken away is refused as `null`, rather than kept as if it were not there.
pub(crate) fn not_null<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    let value: Option<T> = serde::Deserialize::deserialize(deserializer)?;
    let refuse = || serde::de::Error::custom("must not be null; leave it out to keep it");
    value.map(Some).ok_or_else(refuse)
}

/// For `PATCH`: a member that is `null` is not one that is absent.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    serde::Deserialize::deserialize(deserializer).map(Some)
}
