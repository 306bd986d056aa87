//! How an answer tells what is left of the quota.

use std::fmt;

use actix_web::{
    Error, HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{HeaderMap, HeaderName, HeaderValue},
    },
};
use harmony_limit::{Decision, Quota};

const X_RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The headers of one quota: the usual three, and the two structured fields of draft-ietf-httpapi-ratelimit-headers.
#[derive(Debug, Clone)]
pub(crate) struct RateHeaders {
    limit: HeaderValue,
    policy: HeaderValue,
    window_secs: u64,
}

impl RateHeaders {
    pub(crate) fn new(quota: Quota) -> Self {
        let policy = format!("\"default\";q={};w={}", quota.limit(), quota.window().as_secs());
        let window_secs = quota.window().as_secs();
        Self { limit: HeaderValue::from(quota.limit().get()), policy: value(policy), window_secs }
    }

    /// Writes what the decision says; nothing is computed anew.
    pub(crate) fn write(&self, decision: &Decision, headers: &mut HeaderMap) {
        headers.insert(X_RATELIMIT_LIMIT, self.limit.clone());
        headers.insert(X_RATELIMIT_REMAINING, HeaderValue::from(decision.remaining));
        headers.insert(X_RATELIMIT_RESET, HeaderValue::from(decision.reset_unix_secs));
        headers.insert(RATELIMIT_POLICY, self.policy.clone());
        headers.insert(RATELIMIT, self.left(decision));
    }

    /// `"default";r=998;t=412`. A window lasts a tick longer than asked, and rounding up must not make that a second.
    fn left(&self, decision: &Decision) -> HeaderValue {
        let secs = decision.reset_after_secs().min(self.window_secs);
        value(format!("\"default\";r={};t={secs}", decision.remaining))
    }
}

fn value(text: String) -> HeaderValue {
    // Digits and a quoted word: never refused.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// An error of the inner service on its way out, so that even a panic's answer tells what is left.
#[derive(Debug)]
pub(crate) struct Limited {
    error: Error,
    headers: RateHeaders,
    decision: Decision,
}

impl Limited {
    pub(crate) fn new(error: Error, headers: RateHeaders, decision: Decision) -> Self {
        Self { error, headers, decision }
    }

    pub(crate) fn inner(&self) -> &Error {
        &self.error
    }
}

impl fmt::Display for Limited {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, out)
    }
}

impl ResponseError for Limited {
    fn status_code(&self) -> StatusCode {
        self.error.as_response_error().status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = self.error.error_response();
        self.headers.write(&self.decision, response.headers_mut());
        response
    }
}
