//! The one form of every refusal: `application/problem+json` (RFC 9457).

use std::{borrow::Cow, error::Error, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use harmony_permission::Permission;
use serde::{
    Serialize,
    ser::{SerializeMap, Serializer},
};

use crate::{Code, RequestId};

/// What the client is told when a request is refused or has failed.
///
/// The request id is put in when the answer is made: by [`crate::Edge`] for whatever a handler or an extractor returned.
/// What must not depend on the case (401, 5xx: [`Code::is_constant`]) cannot be made to: details and members given to such a
/// problem are dropped.
pub struct Problem(Box<Parts>);

struct Parts {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    required: Option<String>,
    held: Vec<String>,
    members: Vec<(&'static str, serde_json::Value)>,
    retry_after: Option<HeaderValue>,
    cause: Option<Box<dyn Error + 'static>>,
}

/// One field of the request that is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The path of the field, such as `expires_at` or `transcript[3].text`.
    pub field: Cow<'static, str>,
    /// A stable word for what is wrong with it.
    pub code: Cow<'static, str>,
    /// What it may be.
    pub detail: Cow<'static, str>,
}

impl FieldError {
    /// A refusal of one field.
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { field: field.into(), code: code.into(), detail: detail.into() }
    }
}

impl Problem {
    /// The media type of the answer.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";
    /// Where the documentation of the codes is: `type` is this and the code. A reference relative to the server, as
    /// RFC 9457 §3.1.1 allows.
    pub const DOCS: &'static str = "/docs/errors#";

    /// The problem of this code, with its default detail.
    #[must_use]
    pub fn new(code: Code) -> Self {
        let retry_after = (code == Code::Unavailable).then(|| HeaderValue::from_static("1"));
        Self(Box::new(Parts {
            code,
            detail: Cow::Borrowed(code.default_detail()),
            errors: Vec::new(),
            required: None,
            held: Vec::new(),
            members: Vec::new(),
            retry_after,
            cause: None,
        }))
    }

    /// 500, with the cause for the log. The client is told nothing of it.
    #[must_use]
    pub fn internal(cause: impl Into<Box<dyn Error + 'static>>) -> Self {
        Self::new(Code::Internal).with_cause(cause)
    }

    /// 503, with the cause for the log.
    #[must_use]
    pub fn unavailable(cause: impl Into<Box<dyn Error + 'static>>) -> Self {
        Self::new(Code::Unavailable).with_cause(cause)
    }

    /// 422, naming each field that is not acceptable.
    #[must_use]
    pub fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(Code::InvalidFields);
        problem.0.errors = errors;
        problem
    }

    /// 403, naming what is required and what is held.
    #[must_use]
    pub fn forbidden(required: &Permission, held: &[Permission]) -> Self {
        let mut problem = Self::new(Code::Forbidden);
        problem.0.held = held.iter().map(ToString::to_string).collect();
        problem.0.detail = Cow::Owned(match held {
            [] => format!("This needs {required}; nothing of the kind is held."),
            _ => format!("This needs {required}; held is {}.", problem.0.held.join(", ")),
        });
        problem.0.required = Some(required.to_string());
        problem
    }

    /// Says something more particular than the code's default, unless the code is constant.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        if !self.0.code.is_constant() {
            self.0.detail = detail.into();
        }
        self
    }

    /// Adds a member of its own to the body (RFC 9457 §3.2), unless the code is constant.
    #[must_use]
    pub fn with_member(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        if !self.0.code.is_constant() {
            self.0.members.push((name, value.into()));
        }
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn Error + 'static>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    pub(crate) fn with_retry_after(mut self, secs: u64) -> Self {
        self.0.retry_after = Some(HeaderValue::from(secs));
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The answer, with the request id in its body.
    #[must_use]
    pub fn to_response(&self, request_id: Option<&RequestId>) -> HttpResponse {
        let parts = &self.0;
        let mut response = HttpResponse::build(parts.code.status());
        response.insert_header((header::CONTENT_TYPE, HeaderValue::from_static(Self::MEDIA_TYPE)));
        response.insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
        if parts.code.status() == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE)));
        }
        if let Some(secs) = &parts.retry_after {
            response.insert_header((header::RETRY_AFTER, secs.clone()));
        }
        if matches!(parts.code, Code::BodyTooLarge | Code::BodyTimeout) {
            // The rest of the body is not waited for.
            response.force_close();
        }
        response.body(self.to_json(request_id))
    }

    /// The body of the answer.
    pub(crate) fn to_json(&self, request_id: Option<&RequestId>) -> Vec<u8> {
        match request_id {
            Some(id) if self.is_plain() => self.to_plain_json(id),
            Some(_) | None => self.to_any_json(request_id),
        }
    }

    /// Whether it says no more than its code does.
    fn is_plain(&self) -> bool {
        let Parts { code, detail, errors, required, members, .. } = &*self.0;
        let by_default = matches!(detail, Cow::Borrowed(text) if std::ptr::eq(*text, code.default_detail()));
        by_default && errors.is_empty() && required.is_none() && members.is_empty()
    }

    /// What a flood of refused requests is answered with: put together and not serialised. The texts of codes and ids hold nothing that
    /// JSON escapes; a test compares both ways for every code.
    fn to_plain_json(&self, id: &RequestId) -> Vec<u8> {
        let code = self.0.code;
        let mut json = Vec::with_capacity(PLAIN_BYTES);
        let status = code.status();
        for text in [
            "{\"type\":\"",
            Self::DOCS,
            code.as_str(),
            "\",\"title\":\"",
            code.title(),
            "\",\"status\":",
            status.as_str(),
            ",\"detail\":\"",
            code.default_detail(),
            "\",\"code\":\"",
            code.as_str(),
            "\",\"request_id\":\"",
            id.as_str(),
            "\"}",
        ] {
            json.extend_from_slice(text.as_bytes());
        }
        json
    }

    fn to_any_json(&self, request_id: Option<&RequestId>) -> Vec<u8> {
        // Strings, numbers and values only: there is nothing in it that could fail.
        serde_json::to_vec(&Body { parts: &self.0, request_id }).unwrap_or_default()
    }
}

/// The room that a plain problem takes.
const PLAIN_BYTES: usize = 512;

/// How to authenticate (RFC 9110 §11.6.1). The scheme is not registered, there is none for such headers.
const CHALLENGE: &str = r#"ApiKey realm="harmony", header="X-API-Key""#;

struct Body<'a> {
    parts: &'a Parts,
    request_id: Option<&'a RequestId>,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Parts { code, detail, errors, required, held, members, .. } = self.parts;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &format_args!("{}{}", Problem::DOCS, code.as_str()))?;
        map.serialize_entry("title", code.title())?;
        map.serialize_entry("status", &code.status().as_u16())?;
        map.serialize_entry("detail", detail)?;
        map.serialize_entry("code", code.as_str())?;
        if let Some(id) = self.request_id {
            map.serialize_entry("request_id", id.as_str())?;
        }
        if !errors.is_empty() {
            map.serialize_entry("errors", errors)?;
        }
        if let Some(required) = required {
            map.serialize_entry("required", required)?;
            map.serialize_entry("held", held)?;
        }
        for (name, value) in members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.code.status()
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        self.to_response(None)
    }
}

impl Error for Problem {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.cause.as_deref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.0.code.as_str(), self.0.detail)
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Problem").field(&self.0.code.as_str()).field(&self.0.detail).finish()
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn body(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.to_json(Some(&RequestId::from_static("r-1")))).unwrap()
    }

    #[test]
    fn the_body_has_every_member_of_the_contract() {
        let problem =
            Problem::invalid_fields(vec![FieldError::new("name", "too_long", "At most 100 characters.")]);
        assert_eq!(
            body(&problem),
            json!({
                "type": "/docs/errors#invalid_fields", "title": "Invalid fields", "status": 422,
                "detail": "Some fields are not acceptable; each is named in errors.", "code": "invalid_fields",
                "request_id": "r-1",
                "errors": [{"field": "name", "code": "too_long", "detail": "At most 100 characters."}],
            })
        );
    }

    #[test]
    fn what_is_put_together_is_what_would_be_serialised() {
        let id = RequestId::from_static("r-1");
        for &code in Code::ALL {
            let problem = Problem::new(code);
            assert!(problem.is_plain());
            assert_eq!(problem.to_json(Some(&id)), problem.to_any_json(Some(&id)), "{}", code.as_str());
        }
        assert!(!Problem::invalid_fields(vec![FieldError::new("name", "too_long", "")]).is_plain());
        assert!(!Problem::new(Code::NotFound).with_detail("Another one.").is_plain());
        assert!(!Problem::new(Code::NotFound).with_member("a", 1).is_plain());
        assert!(!Problem::forbidden(&Permission::literal("conversations:read:own"), &[]).is_plain());
    }

    #[test]
    fn a_403_names_what_is_required_and_what_is_held() {
        let required = Permission::literal("conversations:read:own");
        let held = [Permission::literal("conversations:create:all")];
        let problem = body(&Problem::forbidden(&required, &held));
        assert_eq!(problem["required"], "conversations:read:own");
        assert_eq!(problem["held"], json!(["conversations:create:all"]));
        assert_eq!(problem["detail"], "This needs conversations:read:own; held is conversations:create:all.");
        assert_eq!(body(&Problem::forbidden(&required, &[]))["held"], json!([]));
    }

    #[test]
    fn constant_problems_stay_constant() {
        for &code in Code::ALL {
            let plain = body(&Problem::new(code));
            let told = Problem::new(code).with_detail("secret").with_member("secret", 1).with_cause("secret");
            assert_eq!(body(&told) == plain, code.is_constant(), "{}", code.as_str());
        }
    }

    #[test]
    fn headers_follow_the_status() {
        for &code in Code::ALL {
            let response = Problem::new(code).error_response();
            let headers = response.headers();
            assert_eq!(response.status(), code.status());
            assert_eq!(headers.get(header::CONTENT_TYPE).unwrap(), "application/problem+json");
            assert_eq!(headers.get(header::CACHE_CONTROL).unwrap(), "no-store");
            assert_eq!(
                headers.contains_key(header::WWW_AUTHENTICATE),
                code.status() == StatusCode::UNAUTHORIZED
            );
            assert_eq!(headers.contains_key(header::RETRY_AFTER), code == Code::Unavailable);
        }
    }
}
