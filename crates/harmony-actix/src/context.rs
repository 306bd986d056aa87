//! What the edge found out about a request, and what the guard adds: it travels in the request's extensions.

use std::{
    cell::{Cell, OnceCell},
    future::{Ready, ready},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
};

use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload};
use harmony_access::{KeyRecord, Now, Principal};

use crate::{Code, Problem, RequestId};

/// The occasion of a request: its id, its moment and its client. [`crate::Edge`] makes it, nobody else can; a handler takes it
/// as an argument.
#[derive(Debug, Clone)]
pub struct RequestContext {
    request_id: RequestId,
    now: Now,
    client: IpAddr,
    principal: OnceCell<Rc<Principal>>,
    key: OnceCell<Arc<KeyRecord>>,
    code: Cell<Option<Code>>,
}

impl RequestContext {
    pub(crate) fn new(request_id: RequestId, now: Now, client: IpAddr) -> Self {
        Self {
            request_id,
            now,
            client,
            principal: OnceCell::new(),
            key: OnceCell::new(),
            code: Cell::new(None),
        }
    }

    /// The id that the answer and the log carry.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// The moment at which everything about this request is judged.
    #[must_use]
    pub fn now(&self) -> Now {
        self.now
    }

    /// The client's address.
    #[must_use]
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// Who the guard recognised. Only the guard can put somebody here.
    pub(crate) fn principal(&self) -> Option<&Rc<Principal>> {
        self.principal.get()
    }

    pub(crate) fn recognise(&self, principal: Principal) {
        // The guard stands in front of a scope once; mounted twice, both judge the same header at the same moment.
        let _ = self.principal.set(Rc::new(principal));
    }

    /// The key that the request came with, accepted or refused, as far as it is known.
    pub(crate) fn key(&self) -> Option<&KeyRecord> {
        let accepted = self.principal().and_then(|principal| principal.key());
        accepted.or_else(|| self.key.get()).map(AsRef::as_ref)
    }

    /// Notes whose key a refused request came with.
    pub(crate) fn came_with(&self, key: Arc<KeyRecord>) {
        let _ = self.key.set(key);
    }

    /// The code of the problem that was answered.
    pub(crate) fn code(&self) -> Option<Code> {
        self.code.get()
    }

    pub(crate) fn refuse(&self, code: Code) {
        self.code.set(Some(code));
    }
}

impl FromRequest for RequestContext {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let context = request.extensions().get::<Self>().cloned();
        ready(context.ok_or_else(|| Problem::internal("no Edge is mounted around this route")))
    }
}
