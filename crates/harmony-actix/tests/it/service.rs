//! The service under test: a few routes behind an edge and a guard, keys in a map, a clock that stands still.

use std::{
    collections::HashMap,
    io,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{
    App, HttpResponse,
    body::to_bytes,
    http::{StatusCode, header::HeaderMap},
    test::{self, TestRequest},
    web,
};
use harmony_access::{ApiKeyId, FindKey, FindKeyError, KeyRecord, Now, Timestamp, UserId, WorkspaceId};
use harmony_actix::{
    Answered, Authenticated, Authentication, ClientAddr, Clock, Edge, Exposed, FieldError, ForwardedHeader,
    Granted, Guard, Observer, Problem, RequestContext, Requirement, TrustedProxies, get, not_found,
};
use harmony_key::{ApiKey, KeyDigest, PresentedKey};
use harmony_limit::{Decision, MemoryLimiter, Quota, TableMemory};
use harmony_permission::{Action, Permission, PermissionSet, Scope, catalogue};
use serde_json::Value;

/// 2026-11-23T00:00:00Z.
pub const START_MS: i64 = 1_795_392_000_000;
pub const LIMIT: u32 = 5;

#[derive(Default)]
pub struct Keys {
    records: Mutex<HashMap<KeyDigest, Arc<KeyRecord>>>,
    pub asked: AtomicUsize,
    pub broken: AtomicBool,
    /// Whether what is stored is in memory as well.
    pub in_memory: AtomicBool,
}

impl FindKey for Keys {
    async fn find_key(&self, digest: KeyDigest, _: Now) -> Result<Option<Arc<KeyRecord>>, FindKeyError> {
        // One turn of the executor, as with a real store.
        tokio::task::yield_now().await;
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.broken.load(Ordering::Relaxed) {
            return Err(FindKeyError::new(io::Error::other("the disk is on fire")));
        }
        Ok(self.records.lock().unwrap().get(&digest).cloned())
    }

    fn remembered(&self, digest: &KeyDigest, _: Now) -> Option<Arc<KeyRecord>> {
        self.in_memory.load(Ordering::Relaxed).then(|| self.records.lock().unwrap().get(digest).cloned())?
    }
}

pub struct StandingClock(AtomicI64);

impl StandingClock {
    pub fn advance(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for StandingClock {
    fn now(&self) -> Now {
        let millis = self.0.load(Ordering::Relaxed);
        let boot =
            Duration::from_secs(100) + Duration::from_millis(u64::try_from(millis - START_MS).unwrap());
        Now { wall: Timestamp::from_millis(millis), boot }
    }
}

#[derive(Default)]
pub struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Notes {
    fn answered(&self, it: &Answered<'_>) {
        let key = it.key().map_or_else(|| "-".to_owned(), |key| key.last_four.to_string());
        let code = it.code().map_or("-", |code| code.as_str());
        let (method, route, status, client) = (it.method(), it.route(), it.status().as_u16(), it.client());
        self.note(format!("answered {method} {route} {status} {client} {key} {code}"));
    }

    fn decided(&self, decision: &Decision) {
        self.note(format!("decided {} {}", decision.allowed, decision.remaining));
    }

    fn authenticated(&self, how: Authentication) {
        self.note(format!("authenticated {how:?}"));
    }

    fn exposed(&self, exposed: &Exposed) {
        self.note(format!("exposed {} {} {}", exposed.last_four, exposed.key.is_some(), exposed.client));
    }
}

pub struct Service {
    pub keys: Arc<Keys>,
    pub clock: Arc<StandingClock>,
    pub notes: Arc<Notes>,
    pub foreign_keys: Arc<AtomicBool>,
    limiter: Arc<MemoryLimiter>,
    addresses: Arc<ClientAddr>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The limit, what remains, the reset; and both structured fields.
    pub fn rate(&self) -> [Option<&str>; 5] {
        ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit-policy", "ratelimit"]
            .map(|name| self.header(name))
    }
}

impl Service {
    pub fn new() -> Self {
        let quota = Quota::new(LIMIT, Duration::from_secs(900)).unwrap();
        let trusted = TrustedProxies::parse(["10.0.0.0/8"]).unwrap();
        Self {
            keys: Arc::default(),
            clock: Arc::new(StandingClock(AtomicI64::new(START_MS))),
            notes: Arc::default(),
            foreign_keys: Arc::new(AtomicBool::new(false)),
            limiter: Arc::new(MemoryLimiter::new(quota, TableMemory::new(1 << 20).unwrap()).unwrap()),
            addresses: Arc::new(ClientAddr::new(trusted, ForwardedHeader::XForwardedFor)),
        }
    }

    /// Stores a key, and returns its text.
    pub fn key(&self, permissions: &[&'static str]) -> String {
        self.key_until(permissions, None)
    }

    pub fn key_until(&self, permissions: &[&'static str], expires_at: Option<i64>) -> String {
        let key = ApiKey::from_secret([7; 28]);
        self.import(key.reveal(), permissions, expires_at);
        key.reveal().to_owned()
    }

    /// Stores a key with this text.
    pub fn import(&self, text: &str, permissions: &[&'static str], expires_at: Option<i64>) {
        let presented = || PresentedKey::parse(text.as_bytes()).unwrap();
        let (at, digest) = (Timestamp::from_millis(START_MS), presented().digest());
        let record = KeyRecord {
            id: ApiKeyId::new(at, [1; 10]),
            digest,
            workspace: WorkspaceId::new(at, [2; 10]),
            owner: UserId::new(at, [3; 10]),
            name: "importer".to_owned(),
            last_four: presented().last_four(),
            role: None,
            permissions: PermissionSet::from_iter(permissions.iter().map(|text| Permission::literal(text))),
            expires_at: expires_at.map(Timestamp::from_millis),
        };
        self.keys.records.lock().unwrap().insert(digest, Arc::new(record));
    }

    pub fn forget_keys(&self) {
        self.keys.records.lock().unwrap().clear();
    }

    pub async fn get(&self, path: &str, key: &str) -> Answer {
        self.send(TestRequest::get().uri(path).insert_header(("x-api-key", key))).await
    }

    /// Sends a request from 192.0.2.1.
    pub async fn send(&self, request: TestRequest) -> Answer {
        self.send_from("192.0.2.1", request).await
    }

    pub async fn send_from(&self, peer: &str, request: TestRequest) -> Answer {
        let observer = Rc::new(self.notes.clone());
        let edge = Edge::new(self.clock.clone(), self.addresses.clone()).observer(observer.clone());
        let guard = Guard::over(self.keys.clone(), self.limiter.clone())
            .foreign_keys(self.foreign_keys.clone())
            .observer(observer);
        let app = App::new()
            .wrap(edge)
            .service(web::scope("/v1").wrap(guard).configure(routes).default_service(web::to(not_found)))
            .service(web::scope("/open").configure(routes))
            .configure(loose_routes)
            .default_service(web::to(not_found));
        let service = test::init_service(app).await;
        let request = request.peer_addr(format!("{peer}:4711").parse().unwrap()).to_request();
        let response = match test::try_call_service(&service, request).await {
            Ok(response) => response.into_parts().1.map_into_boxed_body(),
            Err(error) => error.error_response(),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body()).await.unwrap();
        Answer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }
}

struct ReadConversations;
impl Requirement for ReadConversations {
    const ACTION: Action = catalogue::CONVERSATIONS_READ;
}

struct ReadAuditLog;
impl Requirement for ReadAuditLog {
    const ACTION: Action = catalogue::AUDIT_LOG_READ;
    const NARROWEST: Scope = Scope::All;
}

fn routes(config: &mut web::ServiceConfig) {
    let conversations =
        |granted: Granted<ReadConversations>| async move { format!("{:?}", granted.reach().span()) };
    let audit_events = |granted: Granted<ReadAuditLog>| async move { granted.principal().user().to_string() };
    let whoami = |caller: Authenticated, context: RequestContext| async move {
        format!("{} at {}", caller.principal().user(), context.now().wall.as_millis())
    };
    let invalid = |_: Authenticated| async {
        Err::<HttpResponse, _>(Problem::invalid_fields(vec![FieldError::new(
            "name",
            "too_long",
            "At most 100.",
        )]))
    };
    let broken = |_: Authenticated| async { Err::<HttpResponse, _>(Problem::internal("lk_secret cause")) };
    config
        .service(web::resource("/conversations/{id}").route(get().to(conversations)))
        .route("/audit-events", web::get().to(audit_events))
        .route("/whoami", web::get().to(whoami))
        .route("/invalid", web::get().to(invalid))
        .route("/broken", web::get().to(broken))
        .route("/panic", web::get().to(panics));
}

async fn panics() -> HttpResponse {
    panic!("a secret")
}

fn loose_routes(config: &mut web::ServiceConfig) {
    let numbered = |number: web::Path<u8>| async move { number.to_string() };
    let io_error = || async { Err::<HttpResponse, actix_web::Error>(io::Error::other("a secret").into()) };
    config
        .route("/healthz", web::get().to(|| async { "ok" }))
        .route(
            "/public",
            web::get()
                .to(|| async { HttpResponse::Ok().insert_header(("cache-control", "max-age=60")).body("") }),
        )
        .route("/numbers/{number}", web::get().to(numbered))
        .route("/io-error", web::get().to(io_error))
        .route("/teapot", web::get().to(|| async { HttpResponse::ImATeapot().body("short and stout") }))
        .route("/panic", web::get().to(panics));
}
