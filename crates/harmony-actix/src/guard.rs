//! Limiter and authentication, as one middleware on a scope: whatever is inside is answered only to a live key.

use std::{
    net::IpAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_web::{
    Error, HttpMessage,
    body::{BoxBody, EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
};
use futures_util::{FutureExt, future::LocalBoxFuture};
use harmony_access::{FindKey, KeyRecord, Now, Principal};
use harmony_key::{KEY_LENGTH, PREFIX, PresentedKey};
use harmony_limit::{ClientKey, Decision, Ipv6Prefix, MemoryLimiter};

use crate::{Code, Observer, Problem, RequestContext};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Who was recognised, in the extensions of a guarded request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The principal.
    pub principal: Principal,
}

/// Whoever notes when and from where keys are used. It must not wait.
pub trait Witness: Send + Sync + 'static {
    /// A live key was used.
    fn used(&self, key: &KeyRecord, client: IpAddr, now: Now);
}

/// The middleware of a guarded scope.
pub struct Guard<F> {
    inner: Rc<Parts<F>>,
}

/// What a [`Guard`] is made of; shared by all workers.
pub struct Parts<F> {
    /// One table for the whole process.
    pub limiter: Arc<MemoryLimiter>,
    /// How many bits of an IPv6 address make one client.
    pub ipv6_prefix: Ipv6Prefix,
    /// Where keys are found.
    pub keys: Arc<F>,
    /// Whether keys without check digits were imported. While none were, wrong check digits are refused unasked.
    pub foreign_keys: Arc<AtomicBool>,
    /// Who is told of uses.
    pub witness: Arc<dyn Witness>,
    /// Who is told of everything else.
    pub observer: Arc<dyn Observer>,
}

impl<F> Clone for Parts<F> {
    fn clone(&self) -> Self {
        Self {
            limiter: Arc::clone(&self.limiter),
            ipv6_prefix: self.ipv6_prefix,
            keys: Arc::clone(&self.keys),
            foreign_keys: Arc::clone(&self.foreign_keys),
            witness: Arc::clone(&self.witness),
            observer: Arc::clone(&self.observer),
        }
    }
}

impl<F> Guard<F> {
    /// Of these parts.
    #[must_use]
    pub fn new(parts: Parts<F>) -> Self {
        Self { inner: Rc::new(parts) }
    }
}

impl<F, S, B> Transform<S, ServiceRequest> for Guard<F>
where
    F: FindKey,
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B, BoxBody>>;
    type Error = Error;
    type Transform = GuardService<F, S>;
    type InitError = ();
    type Future = std::future::Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, next: S) -> Self::Future {
        std::future::ready(Ok(GuardService { next: Rc::new(next), inner: Rc::clone(&self.inner) }))
    }
}

/// [`Guard`] at work.
pub struct GuardService<F, S> {
    next: Rc<S>,
    inner: Rc<Parts<F>>,
}

impl<F, S, B> Service<ServiceRequest> for GuardService<F, S>
where
    F: FindKey,
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B, BoxBody>>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(next);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (next, inner) = (Rc::clone(&self.next), Rc::clone(&self.inner));
        async move {
            // Outside the edge nothing is known of the request, and nothing may be answered.
            let Some(context) = request.extensions().get::<RequestContext>().cloned() else {
                return Ok(refuse(request, &Problem::new(Code::Internal), ""));
            };
            let decision = inner.decide(&context);
            let mut response = match inner.admit(&request, &context, &decision).await {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    let untouched = request.request().clone();
                    match next.call(request).await {
                        Ok(response) => response.map_into_left_body(),
                        Err(error) => ServiceResponse::from_err(error, untouched).map_into_right_body(),
                    }
                }
                Err(code) => refuse(request, &Problem::new(code), &context.request_id),
            };
            inner.write_headers(&decision, response.headers_mut());
            Ok(response)
        }
        .boxed_local()
    }
}

fn refuse<B>(
    request: ServiceRequest,
    problem: &Problem,
    id: &str,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    request.into_response(problem.answer(id).map_into_right_body())
}

impl<F: FindKey> Parts<F> {
    fn decide(&self, context: &RequestContext) -> Decision {
        let wall_unix_ms = u64::try_from(context.now.wall.as_millis()).unwrap_or(0);
        let now = harmony_limit::Now { mono: context.now.boot, wall_unix_ms };
        let decision = self.limiter.check(ClientKey::from_ip(context.client, self.ipv6_prefix), now);
        self.observer.limited(decision.allowed);
        decision
    }

    async fn admit(
        &self,
        request: &ServiceRequest,
        context: &RequestContext,
        decision: &Decision,
    ) -> Result<Caller, Code> {
        if !decision.allowed {
            return Err(Code::RateLimited);
        }
        let outcome = self.authenticate(request, context).await;
        self.observer.authenticated(outcome.as_ref().err().copied());
        outcome
    }

    async fn authenticate(&self, request: &ServiceRequest, context: &RequestContext) -> Result<Caller, Code> {
        if let Some(exposed) = key_in(request.uri().query().unwrap_or_default().as_bytes()) {
            self.expose(exposed, context).await;
            return Err(Code::KeyInQuery);
        }
        let mut presented = request.headers().get_all(API_KEY);
        let key = match (presented.next(), presented.next()) {
            (Some(only), None) => only,
            (Some(_), Some(_)) => return Err(Code::DuplicateKeyHeader),
            (None, _) if request.headers().contains_key(header::AUTHORIZATION) => {
                return Err(Code::KeyInAuthorization);
            }
            (None, _) => return Err(Code::InvalidKey),
        };
        let key = PresentedKey::parse(key.as_bytes()).map_err(|_| Code::InvalidKey)?;
        if !self.foreign_keys.load(Ordering::Acquire) && !key.has_check_digits() {
            return Err(Code::InvalidKey);
        }
        let found = self.keys.find_key(key.digest(), context.now).await.map_err(|error| {
            tracing::warn!(request_id = %context.request_id, error = %causes(&error), "keys cannot be looked up");
            Code::Unavailable
        })?;
        let principal = Principal::of_key(found.ok_or(Code::InvalidKey)?, context.now.wall)
            .map_err(|_| Code::ExpiredKey)?;
        if let Some(key) = principal.key() {
            self.witness.used(key, context.client, context.now);
        }
        Ok(Caller { principal })
    }

    /// The log tells which key to replace: its id, if it is known.
    async fn expose(&self, key: PresentedKey<'_>, context: &RequestContext) {
        let last_four = key.last_four();
        let known = self.keys.find_key(key.digest(), context.now).await.ok().flatten();
        self.observer.exposed(context, last_four, known.map(|key| key.id.to_string()));
    }

    fn write_headers(&self, decision: &Decision, headers: &mut HeaderMap) {
        let quota = self.limiter.quota();
        let number = |number: u64| HeaderValue::from(number);
        headers.insert(LIMIT, number(u64::from(decision.limit)));
        headers.insert(REMAINING, number(u64::from(decision.remaining)));
        headers.insert(RESET, number(decision.reset_unix_secs));
        let policy = format!("\"default\";q={};w={}", decision.limit, quota.window().as_secs());
        let state = format!("\"default\";r={};t={}", decision.remaining, decision.reset_after_secs());
        for (name, text) in [(POLICY, policy), (STATE, state)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
        if let Some(secs) = decision.retry_after_secs() {
            headers.insert(header::RETRY_AFTER, number(secs));
        }
    }
}

/// The first text in the form of a key.
fn key_in(text: &[u8]) -> Option<PresentedKey<'_>> {
    if text.len() < KEY_LENGTH {
        return None;
    }
    let at_prefix = |window: &&[u8]| window.starts_with(PREFIX.as_bytes());
    text.windows(KEY_LENGTH).filter(at_prefix).find_map(|window| PresentedKey::parse(window).ok())
}

/// An error with all that caused it, for the log.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
