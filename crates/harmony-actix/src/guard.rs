//! The middleware of a guarded scope: first the limiter, then authentication, then whatever is inside.

use std::{
    future::{Future, Ready, ready},
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready as poll_ready},
};

use actix_web::{
    Error, HttpMessage as _,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
};
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use harmony_access::{FindKey, FindKeyError, KeyRecord, Now, Principal};
use harmony_key::{KeyDigest, LastFour};
use harmony_limit::{Asked, ClientKey, Decision, Ipv6Prefix, Limiter, MemoryLimiter};
use pin_project_lite::pin_project;

use crate::{
    Authentication, Code, Exposed, Observer, Problem, RequestContext,
    caught::Caught,
    credential::{Credential, NoCredential, has_check_digits},
    edge::log_cause,
    rate_headers::{Limited, RateHeaders},
};

/// Stands in front of a scope: counts the request against its client's quota, recognises the key, and only then lets anything
/// inside see the request. Every answer of the scope says what is left of the quota.
///
/// It needs an [`crate::Edge`] around the application, and answers 500 without. What is inside takes [`crate::Granted`] or
/// [`crate::Authenticated`].
pub struct Guard<M = MemoryLimiter> {
    limiter: Arc<M>,
    rules: Rules,
}

#[derive(Clone)]
struct Rules {
    headers: RateHeaders,
    ipv6_prefix: Ipv6Prefix,
    foreign_keys: Arc<AtomicBool>,
    observer: Rc<dyn Observer>,
    recall: Rc<Recall>,
    look: Rc<dyn Fn(KeyDigest, Now) -> Finding>,
}

/// What a look-up ends with.
type Found = Result<Option<Arc<KeyRecord>>, FindKeyError>;
/// A look-up under way.
type Finding = LocalBoxFuture<'static, Found>;
/// What is known of a key without asking anybody.
type Recall = dyn Fn(KeyDigest, Now) -> Option<Arc<KeyRecord>>;

impl<M: Limiter> Guard<M> {
    /// Recognises the keys of `find`, and counts with `limiter`, of which the process has one.
    #[must_use]
    pub fn over<F: FindKey>(find: Arc<F>, limiter: Arc<M>) -> Self {
        let recalling = Arc::clone(&find);
        // Only who is not remembered is looked for, and pays for a future of its own.
        let look = move |digest, now| {
            let find = Arc::clone(&find);
            async move { find.find_key(digest, now).await }.boxed_local()
        };
        let rules = Rules {
            headers: RateHeaders::new(limiter.quota()),
            ipv6_prefix: Ipv6Prefix::default(),
            foreign_keys: Arc::new(AtomicBool::new(true)),
            observer: Rc::new(()),
            recall: Rc::new(move |digest, now| recalling.remembered(&digest, now)),
            look: Rc::new(look),
        };
        Self { limiter, rules }
    }

    /// How much of an IPv6 address makes one client; by default the first 64 bits.
    #[must_use]
    pub fn ipv6_prefix(mut self, prefix: Ipv6Prefix) -> Self {
        self.rules.ipv6_prefix = prefix;
        self
    }

    /// Whether keys without check digits may exist, because they were issued elsewhere. While this is `false`, a key with wrong
    /// check digits is refused without a look-up. By default it is `true`.
    #[must_use]
    pub fn foreign_keys(mut self, accepted: Arc<AtomicBool>) -> Self {
        self.rules.foreign_keys = accepted;
        self
    }

    /// Tells this observer, the worker's own, of decisions, authentications and exposed keys.
    #[must_use]
    pub fn observer(mut self, observer: Rc<dyn Observer>) -> Self {
        self.rules.observer = observer;
        self
    }
}

impl<S, B, M> Transform<S, ServiceRequest> for Guard<M>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
    M: Limiter + 'static,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Transform = GuardService<S, M>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let gate = Rc::new(Gate { service, rules: self.rules.clone() });
        ready(Ok(GuardService { gate, limiter: Arc::clone(&self.limiter) }))
    }
}

/// What [`Guard`] makes of a service.
pub struct GuardService<S, M> {
    gate: Rc<Gate<S>>,
    limiter: Arc<M>,
}

struct Gate<S> {
    service: S,
    rules: Rules,
}

impl<S, B, M> Service<ServiceRequest> for GuardService<S, M>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
    M: Limiter + 'static,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Future = GuardFuture<S, M::Waiting>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.gate.service.poll_ready(context)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        GuardFuture { stage: self.enter(request), gate: Rc::clone(&self.gate) }
    }
}

impl<S: Service<ServiceRequest>, M: Limiter> GuardService<S, M> {
    fn enter(&self, request: ServiceRequest) -> Stage<S, M::Waiting> {
        let Some(occasion) = Occasion::of(&request) else {
            let problem = Problem::internal("the guard is mounted without an Edge around the application");
            return Stage::refused(request, problem, None);
        };
        match self.gate.rules.ask(&*self.limiter, &occasion) {
            Asked::Decided(decision) => self.gate.decided(request, occasion, decision),
            Asked::Waiting(waiting) => Stage::Deciding { waiting, entry: Some(Entry { request, occasion }) },
        }
    }
}

/// What of the request's context the guard needs.
#[derive(Clone, Copy)]
struct Occasion {
    now: Now,
    client: IpAddr,
}

impl Occasion {
    fn of(request: &ServiceRequest) -> Option<Self> {
        let extensions = request.extensions();
        let context = extensions.get::<RequestContext>()?;
        Some(Self { now: context.now(), client: context.client() })
    }
}

impl Rules {
    fn ask<M: Limiter>(&self, limiter: &M, occasion: &Occasion) -> Asked<M::Waiting> {
        let now = harmony_limit::Now {
            mono: occasion.now.boot,
            wall_unix_ms: u64::try_from(occasion.now.wall.as_millis()).unwrap_or(0),
        };
        limiter.ask(ClientKey::from_ip(occasion.client, self.ipv6_prefix), now)
    }

    /// Whether it is worth asking the store for a key that is not in memory.
    fn may_exist(&self, request: &ServiceRequest) -> bool {
        self.foreign_keys.load(Ordering::Relaxed) || has_check_digits(request.head())
    }

    fn refuse(&self, code: Code) -> Problem {
        self.observer.authenticated(Authentication::Refused(code));
        Problem::new(code)
    }

    /// Judges what was found. Only here does the guard make a principal.
    fn judge(&self, search: &Search, found: Found) -> Result<(), Problem> {
        if let Some(last_four) = search.exposed {
            return Err(self.expose(search, last_four, found));
        }
        let record = match found {
            Ok(Some(record)) => record,
            Ok(None) => return Err(self.refuse(Code::InvalidKey)),
            Err(error) => {
                self.observer.authenticated(Authentication::Unavailable);
                return Err(Problem::unavailable(error));
            }
        };
        let now = search.occasion.now;
        let extensions = search.request.extensions();
        let context = extensions.get::<RequestContext>();
        let principal = Principal::of_key(record, now.wall).map_err(|expired| {
            if let Some(context) = context {
                context.came_with(expired.key);
            }
            self.refuse(Code::ExpiredKey)
        })?;
        self.observer.authenticated(Authentication::Accepted);
        if let Some(context) = context {
            context.recognise(principal);
        }
        Ok(())
    }

    /// Whose key a request over the limit came with, if memory knows: it is counted, and nobody is asked.
    fn attribute(&self, request: &ServiceRequest, now: Now) {
        let Ok(credential) = Credential::of(request.head()) else { return };
        let extensions = request.extensions();
        let Some(context) = extensions.get::<RequestContext>() else { return };
        if let Some(record) = (self.recall)(credential.digest, now) {
            context.came_with(record);
        }
    }

    fn expose(&self, search: &Search, last_four: LastFour, found: Found) -> Problem {
        if let Some(context) = search.request.extensions().get::<RequestContext>() {
            self.observer.exposed(&Exposed {
                last_four,
                key: found.ok().flatten().map(|record| record.id),
                client: search.occasion.client,
                request_id: context.request_id().clone(),
            });
        }
        self.refuse(Code::KeyInQuery)
    }
}

/// A request whose turn is not decided yet.
struct Entry {
    request: ServiceRequest,
    occasion: Occasion,
}

struct Search {
    request: ServiceRequest,
    occasion: Occasion,
    /// The last digits of a key that was in the URL.
    exposed: Option<LastFour>,
}

pin_project! {
    /// The answer of a [`GuardService`], in the making.
    #[project = GuardFutureProjection]
    pub struct GuardFuture<S, Waiting>
    where
        S: Service<ServiceRequest>,
    {
        #[pin]
        stage: Stage<S, Waiting>,
        gate: Rc<Gate<S>>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<S, Waiting>
    where
        S: Service<ServiceRequest>,
    {
        // The limiter is asking others.
        Deciding { #[pin] waiting: Waiting, entry: Option<Entry> },
        // Nothing needs to be asked.
        Refused { refusal: Option<Refusal> },
        // The store is being asked.
        Finding { finding: Finding, search: Option<Search>, decision: Decision },
        // The inner service answers.
        Serving { #[pin] serving: Caught<S::Future>, decision: Decision },
    }
}

struct Refusal {
    request: ServiceRequest,
    problem: Problem,
    decision: Option<Decision>,
}

impl<S, B, Waiting> Future for GuardFuture<S, Waiting>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
    Waiting: Future<Output = Decision>,
{
    type Output = Result<ServiceResponse, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let GuardFutureProjection { mut stage, gate } = self.project();
        loop {
            let next = match stage.as_mut().project() {
                StageProjection::Deciding { waiting, entry } => {
                    let decision = poll_ready!(waiting.poll(context));
                    let Some(Entry { request, occasion }) = entry.take() else { return Poll::Pending };
                    gate.decided(request, occasion, decision)
                }
                StageProjection::Refused { refusal } => {
                    // A future that has answered may answer anything when it is polled again.
                    let Some(refusal) = refusal.take() else { return Poll::Pending };
                    return Poll::Ready(Ok(refused(refusal, &gate.rules.headers)));
                }
                StageProjection::Finding { finding, search, decision } => {
                    let found = poll_ready!(finding.as_mut().poll(context));
                    let Some(search) = search.take() else { return Poll::Pending };
                    gate.judged(search, found, *decision)
                }
                StageProjection::Serving { serving, decision } => {
                    let answer = poll_ready!(serving.poll(context));
                    return Poll::Ready(served(answer, decision, &gate.rules.headers));
                }
            };
            stage.set(next);
        }
    }
}

impl<S: Service<ServiceRequest>> Gate<S> {
    fn decided<Waiting>(
        &self,
        request: ServiceRequest,
        occasion: Occasion,
        decision: Decision,
    ) -> Stage<S, Waiting> {
        let rules = &self.rules;
        rules.observer.decided(&decision);
        if let Some(secs) = decision.retry_after_secs() {
            rules.attribute(&request, occasion.now);
            let problem = Problem::new(Code::RateLimited).with_retry_after(secs);
            return Stage::refused(request, problem, Some(decision));
        }
        let (digest, exposed) = match Credential::of(request.head()) {
            Ok(credential) => (credential.digest, None),
            Err(NoCredential::Exposed(credential)) => (credential.digest, Some(credential.last_four)),
            Err(NoCredential::Refused(code)) => {
                return Stage::refused(request, rules.refuse(code), Some(decision));
            }
        };
        let known = (rules.recall)(digest, occasion.now);
        if known.is_none() && exposed.is_none() && !rules.may_exist(&request) {
            return Stage::refused(request, rules.refuse(Code::InvalidKey), Some(decision));
        }
        let search = Search { request, occasion, exposed };
        match known {
            Some(record) => self.judged(search, Ok(Some(record)), decision),
            None => {
                let finding = (rules.look)(digest, occasion.now);
                Stage::Finding { finding, search: Some(search), decision }
            }
        }
    }

    fn judged<Waiting>(&self, search: Search, found: Found, decision: Decision) -> Stage<S, Waiting> {
        match self.rules.judge(&search, found) {
            Ok(()) => Stage::Serving { serving: Caught::call(&self.service, search.request), decision },
            Err(problem) => Stage::refused(search.request, problem, Some(decision)),
        }
    }
}

impl<S: Service<ServiceRequest>, Waiting> Stage<S, Waiting> {
    fn refused(request: ServiceRequest, problem: Problem, decision: Option<Decision>) -> Self {
        Self::Refused { refusal: Some(Refusal { request, problem, decision }) }
    }
}

fn refused(refusal: Refusal, headers: &RateHeaders) -> ServiceResponse {
    let Refusal { request, problem, decision } = refusal;
    let mut response = {
        let extensions = request.extensions();
        let context = extensions.get::<RequestContext>();
        if let Some(context) = context {
            context.refuse(problem.code());
            log_cause(&problem, context.request_id());
        }
        problem.to_response(context.map(RequestContext::request_id))
    };
    if let Some(decision) = decision {
        headers.write(&decision, response.headers_mut());
    }
    request.into_response(response)
}

fn served<B: MessageBody + 'static>(
    answer: Result<ServiceResponse<B>, Error>,
    decision: &Decision,
    headers: &RateHeaders,
) -> Result<ServiceResponse, Error> {
    match answer {
        Ok(mut response) => {
            headers.write(decision, response.headers_mut());
            Ok(response.map_into_boxed_body())
        }
        Err(error) => Err(Limited::new(error, headers.clone(), *decision).into()),
    }
}
