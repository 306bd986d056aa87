//! The outermost middleware: one request comes in, and whatever happens one answer goes out.

use std::{
    error::Error as StdError,
    fmt::Write as _,
    future::{Future, Ready, ready},
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready as poll_ready},
};

use actix_web::{
    Error, HttpMessage as _, HttpRequest, HttpResponse,
    body::{BodySize, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    error::InternalError,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
};
use harmony_access::{KeyRecord, Now};
use pin_project_lite::pin_project;

use crate::{
    Answered, ClientAddr, Clock, Code, Observer, Problem, RequestContext, RequestId,
    caught::Caught,
    rate_headers::Limited,
    request_id::{RequestIds, X_REQUEST_ID},
};

/// Reads the clock, finds the client's address and names the request; on the way out it gives every answer its
/// `X-Request-Id` and `Cache-Control`, makes a problem of every error and of every panic, and tells the [`Observer`].
///
/// It is mounted once, around the whole application.
#[derive(Clone)]
pub struct Edge {
    clock: Arc<dyn Clock>,
    addresses: Arc<ClientAddr>,
    observer: Rc<dyn Observer>,
}

impl Edge {
    /// With these clocks, and with these proxies believed.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, addresses: Arc<ClientAddr>) -> Self {
        Self { clock, addresses, observer: Rc::new(()) }
    }

    /// Tells this observer, the worker's own, of each answer.
    #[must_use]
    pub fn observer(mut self, observer: Rc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    fn context(&self, request: &ServiceRequest, ids: &RequestIds) -> RequestContext {
        // Without a peer (a Unix socket) all requests count as those of one client: rather too few than too many.
        let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
        let client = self.addresses.resolve(peer, request.headers());
        let id = RequestId::of_client(request.headers()).unwrap_or_else(|| ids.next());
        RequestContext::new(id, self.clock.now(), client)
    }
}

impl<S, B> Transform<S, ServiceRequest> for Edge
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Transform = EdgeService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(EdgeService { service, edge: Rc::new(self.clone()), ids: RequestIds::new() }))
    }
}

/// What [`Edge`] makes of a service.
pub struct EdgeService<S> {
    service: S,
    edge: Rc<Edge>,
    ids: RequestIds,
}

impl<S, B> Service<ServiceRequest> for EdgeService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Future = EdgeFuture<S::Future>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let context = self.edge.context(&request, &self.ids);
        let arrived = Arrived {
            request_id: context.request_id().clone(),
            now: context.now(),
            client: context.client(),
            method: request.method().clone(),
        };
        request.extensions_mut().insert(context);
        EdgeFuture { inner: Caught::call(&self.service, request), edge: Rc::clone(&self.edge), arrived }
    }
}

struct Arrived {
    request_id: RequestId,
    now: Now,
    client: IpAddr,
    method: Method,
}

pin_project! {
    /// The answer of an [`EdgeService`], in the making.
    pub struct EdgeFuture<Fut> {
        #[pin]
        inner: Caught<Fut>,
        edge: Rc<Edge>,
        arrived: Arrived,
    }
}

impl<Fut, B> Future for EdgeFuture<Fut>
where
    Fut: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody + 'static,
{
    type Output = Result<ServiceResponse, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match poll_ready!(this.inner.poll(context)) {
            Ok(response) => Ok(this.edge.finish(this.arrived, response)),
            Err(error) => Err(this.edge.finish_error(this.arrived, error)),
        })
    }
}

impl Edge {
    fn finish<B: MessageBody + 'static>(
        &self,
        arrived: &Arrived,
        response: ServiceResponse<B>,
    ) -> ServiceResponse {
        let (request, response) = response.into_parts();
        let (mut response, code) = in_form(response, &arrived.request_id);
        dress(response.headers_mut(), &arrived.request_id);
        let extensions = request.extensions();
        let context = extensions.get::<RequestContext>();
        let code = code.or_else(|| context.and_then(RequestContext::code));
        let key = context.and_then(RequestContext::key);
        self.tell(arrived, Some(&request), response.status(), key, code);
        drop(extensions);
        ServiceResponse::new(request, response)
    }

    /// A panic, or an error that a middleware let through. The request itself is gone.
    fn finish_error(&self, arrived: &Arrived, error: Error) -> Error {
        let (mut response, code) = in_form(HttpResponse::from_error(error), &arrived.request_id);
        dress(response.headers_mut(), &arrived.request_id);
        self.tell(arrived, None, response.status(), None, code);
        InternalError::from_response("answered at the edge", response).into()
    }

    fn tell(
        &self,
        arrived: &Arrived,
        request: Option<&HttpRequest>,
        status: StatusCode,
        key: Option<&KeyRecord>,
        code: Option<Code>,
    ) {
        self.observer.answered(&Answered {
            request,
            request_id: &arrived.request_id,
            method: &arrived.method,
            status,
            arrived: arrived.now.wall,
            duration: self.clock.boot().saturating_sub(arrived.now.boot),
            client: arrived.client,
            key,
            code,
        });
    }
}

/// What every answer carries.
fn dress(headers: &mut HeaderMap, request_id: &RequestId) {
    headers.insert(X_REQUEST_ID, request_id.header());
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Makes a problem of every error: our own get the request id, those of other crates and empty ones a body.
fn in_form<B: MessageBody + 'static>(
    mut response: HttpResponse<B>,
    request_id: &RequestId,
) -> (HttpResponse, Option<Code>) {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return (response.map_into_boxed_body(), None);
    }
    let Some((code, fresh)) = as_problem(&response, request_id) else {
        return (response.map_into_boxed_body(), None);
    };
    *response.status_mut() = fresh.status();
    for (name, value) in fresh.headers() {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    (response.set_body(fresh.into_body()), Some(code))
}

fn as_problem<B: MessageBody>(
    response: &HttpResponse<B>,
    request_id: &RequestId,
) -> Option<(Code, HttpResponse)> {
    let ours = response.error().and_then(problem_in);
    if let Some(problem) = ours {
        log_cause(problem, request_id);
        return Some((problem.code(), problem.to_response(Some(request_id))));
    }
    // A page for people is in the form that it should have.
    if response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
    {
        return None;
    }
    let empty = matches!(response.body().size(), BodySize::None | BodySize::Sized(0));
    if response.error().is_none() && !empty {
        return None;
    }
    let code = Code::of_status(response.status())?;
    if let Some(error) = response.error().filter(|_| response.status().is_server_error()) {
        tracing::error!(%request_id, code = code.as_str(), cause = %error, "a request failed");
    }
    Some((code, Problem::new(code).to_response(Some(request_id))))
}

fn problem_in(error: &Error) -> Option<&Problem> {
    error.as_error::<Problem>().or_else(|| problem_in(error.as_error::<Limited>()?.inner()))
}

/// The one place where the cause of a problem is written down.
pub(crate) fn log_cause(problem: &Problem, request_id: &RequestId) {
    let Some(cause) = problem.source() else { return };
    let mut chain = cause.to_string();
    let mut next = cause.source();
    while let Some(cause) = next {
        let _ = write!(chain, ": {cause}");
        next = cause.source();
    }
    tracing::error!(%request_id, code = problem.code().as_str(), cause = chain, "a request failed");
}
