//! The one form of every refusal: `application/problem+json` (RFC 9457).

use std::{borrow::Cow, fmt};

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::BoxBody,
    http::{StatusCode, header},
};
use serde::Serialize;

use crate::{Code, RequestContext};

/// What a 401 asks for.
const AUTHENTICATE: &str = "ApiKey realm=\"harmony\", header=\"X-API-Key\"";
/// After how many seconds to try again when the server cannot answer for now.
const RETRY_AFTER_SECS: &str = "1";

/// A refusal, on its way to the client.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldProblem>,
    required: Option<String>,
    allow: Option<&'static str>,
}

/// What is wrong with one field of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldProblem {
    /// The field's name, or its path.
    pub field: String,
    /// A stable word.
    pub code: String,
    /// What was wrong and what would be right.
    pub detail: String,
}

#[derive(Serialize)]
struct Wire<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [FieldProblem]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required: Option<&'a str>,
}

impl Problem {
    /// With the sentence that belongs to the code.
    #[must_use]
    pub const fn new(code: Code) -> Self {
        let detail = Cow::Borrowed(code.default_detail());
        Self { code, detail, errors: Vec::new(), required: None, allow: None }
    }

    /// With a sentence of its own. The body of a 5xx stays constant all the same.
    #[must_use]
    pub fn detailed(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        if code.status().is_server_error() { Self::new(code) } else { Self { detail, ..Self::new(code) } }
    }

    /// A refusal of fields.
    #[must_use]
    pub fn fields(errors: Vec<FieldProblem>) -> Self {
        Self { errors, ..Self::new(Code::InvalidFields) }
    }

    /// A permission is lacking.
    #[must_use]
    pub fn forbidden(required: &impl fmt::Display) -> Self {
        let detail = format!("This needs the permission `{required}`, which the caller does not hold.");
        Self { required: Some(required.to_string()), ..Self::detailed(Code::Forbidden, detail) }
    }

    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::new(Code::MethodNotAllowed) }
    }

    /// Its code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The answer to `request`.
    #[must_use]
    pub fn respond(&self, request: &HttpRequest) -> HttpResponse {
        let extensions = request.extensions();
        self.answer(extensions.get::<RequestContext>().map_or("", |context| &context.request_id))
    }

    pub(crate) fn answer(&self, request_id: &str) -> HttpResponse {
        let status = self.code.status();
        let mut answer = HttpResponse::build(status);
        answer.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        answer.insert_header((header::CACHE_CONTROL, "no-store"));
        if status == StatusCode::UNAUTHORIZED {
            answer.insert_header((header::WWW_AUTHENTICATE, AUTHENTICATE));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECS));
        }
        if let Some(allow) = self.allow {
            answer.insert_header((header::ALLOW, allow));
        }
        answer.json(Wire {
            kind: format!("/docs/errors#{}", self.code.as_str()),
            title: self.code.title(),
            status: status.as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            request_id,
            errors: (self.code == Code::InvalidFields).then_some(&self.errors),
            required: self.required.as_deref(),
        })
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    /// Without a request at hand there is no id; [`crate::Edge`] answers again with it.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut answer = self.answer("");
        answer.extensions_mut().insert(self.clone());
        answer
    }
}

/// The answer of a path that no route has.
pub async fn not_found(request: HttpRequest) -> HttpResponse {
    Problem::new(Code::NotFound).respond(&request)
}

/// The answer of a path whose routes have other methods: `allow` lists those, as the `Allow` header wants them.
pub fn other_methods(allow: &'static str) -> actix_web::Route {
    actix_web::web::route().to(move |request: HttpRequest| {
        let answer = Problem::method_not_allowed(allow).respond(&request);
        std::future::ready(answer)
    })
}
