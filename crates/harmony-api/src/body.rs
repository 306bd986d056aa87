//! JSON bodies: read whole, refused by the name of the field.

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header};
use bytes::Bytes;
use futures_util::{FutureExt, future::LocalBoxFuture};
use harmony_actix::{Code, FieldError, Problem, read_body};
use serde::de::{DeserializeOwned, value::MapAccessDeserializer};
use std::{fmt, marker::PhantomData};

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
    let mut parts = value.unwrap_or_default().split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    if is_json && parts.all(leaves_utf8) {
        return Ok(());
    }
    Err(Problem::new(Code::UnsupportedMediaType)
        .with_detail("The body must be JSON in UTF-8, with `Content-Type: application/json`."))
}

/// JSON knows no charset, and need not say so (RFC 8259 §11). Whoever names another one would be read wrongly.
fn leaves_utf8(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or_default();
    let (name, value) = (name.trim_end(), value.trim_start().trim_matches('"'));
    !name.eq_ignore_ascii_case("charset") || ["utf-8", "utf8"].iter().any(|it| value.eq_ignore_ascii_case(it))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let Object(value) = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        refused(&path, error.inner())
    })?;
    reader.end().map_err(|error| refused("", &error))?;
    Ok(value)
}

/// A JSON object. Without it a structure would also be read from a list of its members' values, in an order that is nobody's
/// business.
pub(crate) struct Object<T>(pub T);

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Object<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: serde::Deserialize<'de>> serde::de::Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
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
        Some(name) if message.starts_with("duplicate field") => (name, "duplicate_field"),
        Some(_) | None => (path, "wrong_type"),
    };
    let detail = match message.split_once(", expected ") {
        Some((_, expected)) => format!("expected {}", in_words(expected)),
        None => message.to_owned(),
    };
    let field = if field == "." { "body" } else { field };
    Problem::invalid_fields(vec![FieldError::new(field.to_owned(), code, detail)])
}

/// What the language of this program calls its types, in that of JSON.
fn in_words(expected: &str) -> &str {
    match expected {
        "u64" | "u32" => "a whole number that is not negative",
        "i64" | "i32" => "a whole number",
        "f64" => "a number",
        "a sequence" => "a list",
        other => other,
    }
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

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Team {
        #[serde(rename = "name")]
        _name: String,
        #[serde(default, rename = "seats")]
        _seats: u64,
    }

    fn error(text: &str) -> Value {
        let problem = read::<Team>(text.as_bytes()).unwrap_err();
        assert_eq!(problem.code(), Code::InvalidFields, "{text}");
        let body = actix_web::body::to_bytes(problem.to_response(None).into_body());
        let body = body.now_or_never().unwrap().unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()["errors"][0].clone()
    }

    #[test]
    fn a_list_of_values_is_no_object() {
        for text in [r#"["ops",1]"#, "[]", r#""ops""#, "7"] {
            let wanted = json!({ "field": "body", "code": "wrong_type", "detail": "expected an object" });
            assert_eq!(error(text), wanted, "{text}");
        }
        assert!(read::<Team>(br#"{"name":"ops"}"#).is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_by_the_field_and_in_the_words_of_json() {
        for (text, field, code, detail) in [
            (
                r#"{"name":"a","seats":"1"}"#,
                "seats",
                "wrong_type",
                "expected a whole number that is not negative",
            ),
            (r#"{"name":["a"]}"#, "name", "wrong_type", "expected a string"),
            (r#"{"name":"a","name":"b"}"#, "name", "duplicate_field", "duplicate field `name`"),
            (r#"{"seats":1}"#, "name", "required", "missing field `name`"),
        ] {
            assert_eq!(error(text), json!({ "field": field, "code": code, "detail": detail }), "{text}");
        }
    }
}
