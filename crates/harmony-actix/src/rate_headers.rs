//! How an answer tells what is left of the quota.

use std::{cell::RefCell, fmt};

use actix_web::{
    Error, HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{HeaderMap, HeaderName, HeaderValue},
    },
};
use bytes::{Bytes, BytesMut};
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
    /// The values of an answer are cut from one piece of memory, so that most answers allocate nothing for them.
    room: RefCell<BytesMut>,
}

/// The memory that values are cut from, in bytes.
const ROOM_BYTES: usize = 4096;
/// The most that one answer takes: 13 bytes of text and three numbers of at most 20 digits, and a separator.
const LONGEST_BYTES: usize = 96;
const BEFORE_REMAINING: &str = "\"default\";r=";

impl RateHeaders {
    pub(crate) fn new(quota: Quota) -> Self {
        let policy = format!("\"default\";q={};w={}", quota.limit(), quota.window().as_secs());
        let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static(""));
        let window_secs = quota.window().as_secs();
        Self { limit: HeaderValue::from(quota.limit().get()), policy, window_secs, room: RefCell::default() }
    }

    /// Writes what the decision says; nothing is computed anew.
    pub(crate) fn write(&self, decision: &Decision, headers: &mut HeaderMap) {
        let [left, remaining, reset] = self.texts(decision);
        headers.insert(X_RATELIMIT_LIMIT, self.limit.clone());
        put(headers, X_RATELIMIT_REMAINING, remaining);
        put(headers, X_RATELIMIT_RESET, reset);
        headers.insert(RATELIMIT_POLICY, self.policy.clone());
        put(headers, RATELIMIT, left);
    }

    /// `"default";r=998;t=412`, the `998` in it, and the end of the window. A window lasts a tick longer than asked, and
    /// rounding up must not make that a second.
    fn texts(&self, decision: &Decision) -> [Bytes; 3] {
        let (remaining, reset) = (decision.remaining, decision.reset_unix_secs);
        let secs = decision.reset_after_secs().min(self.window_secs);
        let mut room = self.room.borrow_mut();
        if room.capacity() < LONGEST_BYTES {
            room.reserve(ROOM_BYTES);
        }
        let mut remaining_digits = itoa::Buffer::new();
        let remaining = remaining_digits.format(remaining);
        room.extend_from_slice(BEFORE_REMAINING.as_bytes());
        room.extend_from_slice(remaining.as_bytes());
        room.extend_from_slice(b";t=");
        room.extend_from_slice(itoa::Buffer::new().format(secs).as_bytes());
        let left_end = room.len();
        room.extend_from_slice(itoa::Buffer::new().format(reset).as_bytes());
        let mut left = room.split().freeze();
        drop(room);
        let reset = left.split_off(left_end);
        let remaining = left.slice(BEFORE_REMAINING.len()..BEFORE_REMAINING.len() + remaining.len());
        [left, remaining, reset]
    }
}

/// Digits and a quoted word are never refused. A value goes from its making to its place on the shortest way: each
/// move of one, through an `Option` or an array, costs as much as writing its text.
fn put(headers: &mut HeaderMap, name: HeaderName, text: Bytes) {
    if let Ok(value) = HeaderValue::from_maybe_shared(text) {
        headers.insert(name, value);
    }
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
