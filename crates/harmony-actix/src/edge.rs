//! The outermost middleware: it reads the clock, names the request, finds the client's address, and sees every answer.

use std::{
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{
    Error, HttpMessage,
    body::{BoxBody, EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    http::{
        Method, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use futures_util::{FutureExt, future::LocalBoxFuture};
use harmony_access::{Now, Timestamp};
use harmony_key::LastFour;

use crate::{Caller, ClientAddress, Code, Problem};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that is taken over from a client, in bytes.
const MAX_REQUEST_ID: usize = 64;

/// Reads both clocks. Below the edge nobody does.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the edge")]
pub fn read_clock() -> Now {
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let secs = u64::try_from(boot.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(boot.tv_nsec).unwrap_or(0);
    Now {
        wall: Timestamp::from_millis(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)),
        boot: Duration::new(secs, nanos),
    }
}

/// What is known of a request before anything else: in its extensions.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Its id, on every answer and in every line of the log.
    pub request_id: Arc<str>,
    /// When it arrived.
    pub now: Now,
    /// Where it came from.
    pub client: IpAddr,
}

/// An answered request, for logs and metrics.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// Its method.
    pub method: &'a Method,
    /// The pattern of its route, such as `/v1/api-keys/{id}`, and `unmatched` when there is none: never the path itself,
    /// which may hold a key.
    pub route: &'a str,
    /// What it was answered with.
    pub status: StatusCode,
    /// How long that took.
    pub duration: Duration,
    /// The client's address.
    pub client: IpAddr,
    /// Who was recognised.
    pub caller: Option<&'a Caller>,
}

/// Whoever keeps logs and metrics.
pub trait Observer: Send + Sync + 'static {
    /// A request was answered.
    fn answered(&self, answer: &Answer<'_>);
    /// A key was seen in a URL, which proxies and browsers keep: it should be replaced.
    fn exposed(&self, context: &RequestContext, last_four: LastFour, key_id: Option<String>);
    /// A forwarding header came from a peer that is no trusted proxy, and was ignored.
    fn forwarding_ignored(&self, peer: IpAddr);
    /// The limiter decided.
    fn limited(&self, allowed: bool);
    /// Authentication ended so; `None` is success.
    fn authenticated(&self, refusal: Option<Code>);
}

/// The outermost middleware.
#[derive(Clone)]
pub struct Edge {
    inner: Arc<Inner>,
}

struct Inner {
    observer: Arc<dyn Observer>,
    address: ClientAddress,
    /// Drawn at start, so that ids of two runs differ.
    run: u64,
    count: AtomicU64,
}

impl Edge {
    /// Around the whole application.
    ///
    /// # Errors
    ///
    /// When the operating system gives no random bytes.
    pub fn new(observer: Arc<dyn Observer>, address: ClientAddress) -> Result<Self, harmony_key::DrawError> {
        let mut run = [0; 8];
        harmony_key::random(&mut run)?;
        let inner = Inner { observer, address, run: u64::from_ne_bytes(run), count: AtomicU64::new(0) };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl<S, B> Transform<S, ServiceRequest> for Edge
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B, BoxBody>>;
    type Error = Error;
    type Transform = EdgeService<S>;
    type InitError = ();
    type Future = std::future::Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, next: S) -> Self::Future {
        std::future::ready(Ok(EdgeService { next: Rc::new(next), inner: Arc::clone(&self.inner) }))
    }
}

/// [`Edge`] at work.
pub struct EdgeService<S> {
    next: Rc<S>,
    inner: Arc<Inner>,
}

impl<S, B> Service<ServiceRequest> for EdgeService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B, BoxBody>>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(next);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let inner = Arc::clone(&self.inner);
        let context = inner.context(&request);
        let unwound = request.request().clone();
        request.extensions_mut().insert(context.clone());
        // A path that does not decode, or a method that no route has, must not reach the router's own answers.
        let next = std::panic::AssertUnwindSafe(self.next.call(request)).catch_unwind();
        async move {
            let answered = match next.await {
                Ok(Ok(response)) => with_id(response, &context),
                Ok(Err(error)) => {
                    let response = of_error(&error, &context);
                    ServiceResponse::new(unwound, response.map_into_right_body())
                }
                Err(_) => {
                    tracing::error!(request_id = %context.request_id, "a handler panicked");
                    let response = Problem::new(Code::Internal).answer(&context.request_id);
                    ServiceResponse::new(unwound, response.map_into_right_body())
                }
            };
            Ok(inner.seen(answered, &context))
        }
        .boxed_local()
    }
}

/// A problem that a handler answered with is written again, now with the request's id.
fn with_id<B>(
    response: ServiceResponse<B>,
    context: &RequestContext,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let problem = response.response().extensions().get::<Problem>().cloned();
    match problem {
        None => response.map_into_left_body(),
        Some(problem) => {
            let headers = response.headers().clone();
            let (request, _) = response.into_parts();
            let mut answer = problem.answer(&context.request_id);
            for (name, value) in headers {
                if !answer.headers().contains_key(&name) {
                    answer.headers_mut().append(name, value);
                }
            }
            ServiceResponse::new(request, answer.map_into_right_body())
        }
    }
}

fn of_error(error: &Error, context: &RequestContext) -> actix_web::HttpResponse {
    let problem = error.as_error::<Problem>().cloned();
    let code = Code::of_status(error.as_response_error().status_code()).unwrap_or(Code::Internal);
    problem.unwrap_or_else(|| Problem::new(code)).answer(&context.request_id)
}

impl Inner {
    fn context(&self, request: &ServiceRequest) -> RequestContext {
        let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let found = self.address.find(peer, request.headers());
        if found.ignored {
            self.observer.forwarding_ignored(peer);
        }
        RequestContext { request_id: self.request_id(request), now: read_clock(), client: found.client }
    }

    fn request_id(&self, request: &ServiceRequest) -> Arc<str> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let given = request.headers().get(REQUEST_ID).map(HeaderValue::as_bytes).unwrap_or_default();
        match std::str::from_utf8(given) {
            Ok(id)
                if (1..=MAX_REQUEST_ID).contains(&id.len())
                    && id.bytes().all(fits)
                    && !id.contains("lk_") =>
            {
                id.into()
            }
            _ => format!("{:016x}{:08x}", self.run, self.count.fetch_add(1, Ordering::Relaxed)).into(),
        }
    }

    fn seen<B>(&self, mut response: ServiceResponse<B>, context: &RequestContext) -> ServiceResponse<B> {
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&context.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        if !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let pattern = response.request().match_pattern();
        self.observer.answered(&Answer {
            request_id: &context.request_id,
            method: response.request().method(),
            route: pattern.as_deref().unwrap_or("unmatched"),
            status: response.status(),
            duration: read_clock().boot.saturating_sub(context.now.boot),
            client: context.client,
            caller: response.request().extensions().get::<Caller>(),
        });
        response
    }
}
