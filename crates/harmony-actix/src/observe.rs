//! What the rooms of this crate tell whoever writes logs and metrics, and whoever notes when a key was last used.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use actix_web::{
    HttpRequest,
    http::{Method, StatusCode},
};
use harmony_access::{ApiKeyId, KeyRecord, Timestamp};
use harmony_key::LastFour;
use harmony_limit::Decision;

use crate::{Code, RequestId};

/// Is told what happens. Every method does nothing by default; all are called on the server's threads, so none may block.
///
/// Each worker has one of its own, so that what is counted at every request lies in no two processors' caches at once. One that
/// all workers share is an observer behind an `Arc`.
pub trait Observer: 'static {
    /// A request was answered; once for each, whatever became of it.
    fn answered(&self, _: &Answered<'_>) {}
    /// The limiter decided.
    fn decided(&self, _: &Decision) {}
    /// A request that the limiter let through was authenticated, or was not.
    fn authenticated(&self, _: Authentication) {}
    /// A key was seen in a URL, and so in the logs of every proxy on the way. It should be rotated.
    fn exposed(&self, _: &Exposed) {}
}

/// Nobody watches.
impl Observer for () {}

impl<T: Observer> Observer for Arc<T> {
    fn answered(&self, answered: &Answered<'_>) {
        T::answered(self, answered);
    }

    fn decided(&self, decision: &Decision) {
        T::decided(self, decision);
    }

    fn authenticated(&self, authentication: Authentication) {
        T::authenticated(self, authentication);
    }

    fn exposed(&self, exposed: &Exposed) {
        T::exposed(self, exposed);
    }
}

/// How the authentication of a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// The key is alive.
    Accepted,
    /// It was refused, with this code.
    Refused(Code),
    /// The store could not be asked.
    Unavailable,
}

/// A key that was seen in a URL. There is deliberately no more of it here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    /// Its last 4 digits.
    pub last_four: LastFour,
    /// Its id, if it is known.
    pub key: Option<ApiKeyId>,
    /// Who sent it.
    pub client: IpAddr,
    /// The request it was in.
    pub request_id: RequestId,
}

/// One request and its answer.
pub struct Answered<'a> {
    pub(crate) request: Option<&'a HttpRequest>,
    pub(crate) request_id: &'a RequestId,
    pub(crate) method: &'a Method,
    pub(crate) status: StatusCode,
    pub(crate) arrived: Timestamp,
    pub(crate) duration: Duration,
    pub(crate) client: IpAddr,
    pub(crate) key: Option<&'a KeyRecord>,
    pub(crate) code: Option<Code>,
}

impl Answered<'_> {
    /// The pattern of the route, such as `/v1/roles/{id}`; `unmatched` if there was none (or the handler panicked). Never the
    /// path itself, which may hold anything.
    #[must_use]
    pub fn route(&self) -> String {
        self.request.and_then(HttpRequest::match_pattern).unwrap_or_else(|| "unmatched".to_owned())
    }

    /// The request's id.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        self.request_id
    }

    /// The method. A client may send any token; see [`Answered::known_method`] for metrics.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.method
    }

    /// The method if it is one of HTTP's own, and else `other`: a label with a bounded number of values.
    #[must_use]
    pub fn known_method(&self) -> &'static str {
        match *self.method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            Method::OPTIONS => "OPTIONS",
            Method::TRACE => "TRACE",
            Method::CONNECT => "CONNECT",
            _ => "other",
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// When the head arrived.
    #[must_use]
    pub fn arrived(&self) -> Timestamp {
        self.arrived
    }

    /// From the arrival of the head to the head of the answer.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The client's address.
    #[must_use]
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// The key that the request came with, if it was accepted, had expired, or is remembered though the client is over the
    /// rate limit.
    #[must_use]
    pub fn key(&self) -> Option<&KeyRecord> {
        self.key
    }

    /// The code, if the answer is a problem.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.code
    }
}

impl fmt::Debug for Answered<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Answered")
            .field("request_id", self.request_id)
            .field("method", self.method)
            .field("route", &self.route())
            .field("status", &self.status.as_u16())
            .field("duration", &self.duration)
            .field("client", &self.client)
            .field("key", &self.key.map(|key| key.id))
            .field("code", &self.code.map(Code::as_str))
            .finish()
    }
}
