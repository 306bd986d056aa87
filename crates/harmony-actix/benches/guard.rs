//! What the guard adds to a request: a service with the edge alone, and the same behind the guard. The difference is limiter, key,
//! principal and the headers of the rate limit.

use std::{error::Error as StdError, net::SocketAddr, sync::Arc, time::Duration};

use actix_http::Request;
use actix_web::{
    App, Error, HttpResponse,
    dev::{Service, ServiceResponse},
    http::StatusCode,
    rt::{System, SystemRunner},
    test::{self, TestRequest},
    web,
};
use criterion::Criterion;
use harmony_access::{
    ApiKeyId, CacheCapacity, FindKey, FindKeyError, KeyRecord, Now, Timestamp, UserId, VerificationCache,
    WorkspaceId,
};
use harmony_actix::{ClientAddr, Edge, ForwardedHeader, Guard, SystemClock, TrustedProxies, get};
use harmony_key::{ApiKey, KeyDigest};
use harmony_limit::{MemoryLimiter, Quota, TableMemory};
use harmony_permission::BuiltInRole;

/// A store with one key.
struct OneKey(Arc<KeyRecord>);

impl FindKey for OneKey {
    async fn find_key(&self, digest: KeyDigest, _: Now) -> Result<Option<Arc<KeyRecord>>, FindKeyError> {
        Ok((self.0.digest == digest).then(|| Arc::clone(&self.0)))
    }
}

fn record(key: &ApiKey) -> KeyRecord {
    let at = Timestamp::from_millis(1_800_000_000_000);
    KeyRecord {
        id: ApiKeyId::new(at, [1; 10]),
        digest: key.digest(),
        workspace: WorkspaceId::new(at, [2; 10]),
        owner: UserId::new(at, [3; 10]),
        name: "importer".to_owned(),
        last_four: key.last_four(),
        role: None,
        permissions: BuiltInRole::User.permissions(),
        expires_at: None,
    }
}

async fn answer() -> HttpResponse {
    HttpResponse::Ok().body("{}")
}

fn edge() -> Edge {
    let addresses = ClientAddr::new(TrustedProxies::default(), ForwardedHeader::XForwardedFor);
    Edge::new(Arc::new(SystemClock), Arc::new(addresses))
}

fn limiter(limit: u32, secs: u64) -> Result<Arc<MemoryLimiter>, Box<dyn StdError>> {
    let quota = Quota::new(limit, Duration::from_secs(secs))?;
    Ok(Arc::new(MemoryLimiter::new(quota, TableMemory::default())?))
}

fn main() -> Result<(), Box<dyn StdError>> {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = System::new();
    let key = ApiKey::from_secret([7; 28]);
    let resource = || web::resource("/x").route(get().to(answer));
    let bare = App::new().wrap(edge()).service(web::scope("/v1").service(resource()));
    let bare = runtime.block_on(test::init_service(bare));
    measure(&mut criterion, &runtime, "no guard, 200", &bare, key.reveal(), StatusCode::OK);
    // The highest limit in the shortest window, which is never reached, and one request in the longest.
    let (open, closed) = (limiter(Quota::MAX_LIMIT, 1)?, limiter(1, Quota::MAX_WINDOW.as_secs())?);
    for (name, limiter, text, status) in [
        ("guarded, 200", &open, key.reveal(), StatusCode::OK),
        ("guarded, 401", &open, "lk_not_a_key", StatusCode::UNAUTHORIZED),
        ("guarded, 429", &closed, key.reveal(), StatusCode::TOO_MANY_REQUESTS),
    ] {
        let keys = VerificationCache::alone(OneKey(Arc::new(record(&key))), CacheCapacity::default());
        let guard = Guard::over(Arc::new(keys), Arc::clone(limiter));
        let app = App::new().wrap(edge()).service(web::scope("/v1").wrap(guard).service(resource()));
        let app = runtime.block_on(test::init_service(app));
        // The first is let through, whatever the limit, and fills the cache.
        runtime.block_on(app.call(request(key.reveal())))?;
        measure(&mut criterion, &runtime, name, &app, text, status);
    }
    criterion.final_summary();
    Ok(())
}

fn request(key: &str) -> Request {
    let peer = SocketAddr::from(([192, 0, 2, 1], 1_024));
    TestRequest::get().uri("/v1/x").peer_addr(peer).insert_header(("x-api-key", key)).to_request()
}

/// From the making of a request to the dropping of its answer: both cost the same with a guard and without.
fn measure(
    criterion: &mut Criterion,
    runtime: &SystemRunner,
    name: &str,
    app: &impl Service<Request, Response = ServiceResponse, Error = Error>,
    key: &str,
    status: StatusCode,
) {
    criterion.bench_function(name, |bench| {
        let run = |request| {
            let answer = runtime.block_on(app.call(request));
            assert!(answer.as_ref().is_ok_and(|answer| answer.status() == status));
            answer
        };
        bench.iter(|| run(request(key)));
    });
}
