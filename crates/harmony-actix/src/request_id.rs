//! What an answer and its line in the log have in common.

use std::{
    cell::{Cell, RefCell},
    fmt,
    hash::{BuildHasher, RandomState},
};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::{BufMut as _, BytesMut};

/// The longest request id that is taken over from a client, in bytes.
pub const MAX_REQUEST_ID_BYTES: usize = 64;

/// `X-Request-Id`: the client's own, if it is 1 to 64 of `A-Z a-z 0-9 . _ -`, and else one of ours.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl RequestId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// The one that the client sent, exactly one and harmless.
    pub(crate) fn of_client(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(X_REQUEST_ID);
        let (Some(only), None) = (all.next(), all.next()) else { return None };
        let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let fits = (1..=MAX_REQUEST_ID_BYTES).contains(&only.len()) && only.as_bytes().iter().all(harmless);
        fits.then(|| Self(only.clone()))
    }

    #[cfg(test)]
    pub(crate) fn from_static(text: &'static str) -> Self {
        Self(HeaderValue::from_static(text))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Makes ids: 64 random bits drawn once, and a count. They are unique, and no secret.
pub(crate) struct RequestIds {
    prefix: String,
    count: Cell<u64>,
    /// Ids are cut from one piece of memory, so that most of them allocate nothing.
    room: RefCell<BytesMut>,
}

/// The memory that ids are cut from, in bytes.
const ROOM_BYTES: usize = 4096;

impl RequestIds {
    pub(crate) fn new() -> Self {
        // The standard library seeds its hash tables from the operating system: enough for uniqueness.
        let prefix = format!("{:016x}-", RandomState::new().hash_one(0_u8));
        Self { prefix, count: Cell::new(0), room: RefCell::default() }
    }

    pub(crate) fn next(&self) -> RequestId {
        let count = self.count.get();
        self.count.set(count.wrapping_add(1));
        let mut room = self.room.borrow_mut();
        if room.capacity() < self.prefix.len() + 16 {
            room.reserve(ROOM_BYTES);
        }
        room.extend_from_slice(self.prefix.as_bytes());
        let digits = (64 - count.leading_zeros()).div_ceil(4).max(1);
        for place in (0..digits).rev() {
            let digit = u32::try_from(count >> (4 * place) & 0xf).unwrap_or_default();
            room.put_u8(
                char::from_digit(digit, 16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(b'0'),
            );
        }
        let text = room.split().freeze();
        RequestId(HeaderValue::from_maybe_shared(text).unwrap_or(HeaderValue::from_static("-")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_client(values: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        values.iter().for_each(|value| headers.append(X_REQUEST_ID, HeaderValue::from_static(value)));
        RequestId::of_client(&headers).map(|id| id.to_string())
    }

    #[test]
    fn a_harmless_id_of_the_client_is_taken_over_and_no_other() {
        const LONGEST: &str = "0123456789012345678901234567890123456789012345678901234567890123";
        const TOO_LONG: &str = "01234567890123456789012345678901234567890123456789012345678901234";
        for id in ["a", "Trace_1.2-3", LONGEST] {
            assert_eq!(of_client(&[id]).as_deref(), Some(id));
        }
        for ids in [&[][..], &[""], &["a b"], &["a,b"], &["a\"b"], &["a/b"], &[TOO_LONG], &["a", "b"]] {
            assert_eq!(of_client(ids), None, "{ids:?}");
        }
    }

    #[test]
    fn ids_of_our_own_differ_and_would_be_taken_over() {
        let ids = RequestIds::new();
        let (first, second, other) = (ids.next(), ids.next(), RequestIds::new().next());
        assert!(first.as_str().ends_with("-0") && second.as_str().ends_with("-1"));
        assert_ne!(first.as_str(), other.as_str());
        ids.count.set(0x1234_5678_9abc_def0);
        assert!(ids.next().as_str().ends_with("-123456789abcdef0"));
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, first.header());
        assert_eq!(RequestId::of_client(&headers), Some(first));
    }
}
