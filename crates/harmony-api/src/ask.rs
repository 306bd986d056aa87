//! What a request says beside its path and body: when it came, what it saw, whether it is a repetition.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header, web};
use harmony_access::{Id, Kind};
use harmony_actix::{Code, Problem, RequestContext};
use harmony_key::Fingerprint;
use harmony_store::Version;
use harmony_workspace::{Idempotency, Occasion};

/// The longest idempotency key, in bytes.
const MAX_IDEMPOTENCY_KEY: usize = 255;

/// The circumstances of a request.
pub(crate) struct Ask {
    pub occasion: Occasion,
    /// The version that the caller saw, from `If-Match`.
    pub seen: Option<Version>,
    idempotency_key: Option<String>,
    method_and_path: String,
}

impl Ask {
    /// The idempotency key with the fingerprint of the request that it came with.
    pub fn idempotency(&self, body: &[u8]) -> Option<Idempotency> {
        let key = self.idempotency_key.clone()?;
        Some((key, Fingerprint::of(&[self.method_and_path.as_bytes(), body])))
    }
}

impl FromRequest for Ask {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request))
    }
}

fn read(request: &HttpRequest) -> Result<Ask, Problem> {
    let context = request.extensions().get::<RequestContext>().cloned();
    let context = context.ok_or_else(|| Problem::internal("no edge is mounted around this route"))?;
    let occasion = Occasion {
        now: context.now().wall,
        client: Some(context.client()),
        request_id: Some(context.request_id().to_string()),
    };
    Ok(Ask {
        occasion,
        seen: seen(request)?,
        idempotency_key: idempotency_key(request)?,
        method_and_path: format!("{} {}", request.method(), request.path()),
    })
}

/// `If-Match: "3"`; `*` matches whatever there is.
fn seen(request: &HttpRequest) -> Result<Option<Version>, Problem> {
    let Some(value) = request.headers().get(header::IF_MATCH) else { return Ok(None) };
    let tag = value.to_str().unwrap_or_default().trim();
    if tag == "*" {
        return Ok(None);
    }
    let number =
        tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|tag| tag.parse().ok());
    // A tag that was never handed out matches nothing.
    number.map(|number| Some(Version::new(number))).ok_or_else(|| Problem::new(Code::PreconditionFailed))
}

fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::new(Code::MalformedRequest)
            .with_detail("`Idempotency-Key` has 1 to 255 printable ASCII characters.")),
    }
}

/// The `ETag` of a version.
pub(crate) fn etag(version: Version) -> (header::HeaderName, String) {
    (header::ETAG, format!("\"{}\"", version.number()))
}

/// The id in a path. One that cannot be any is told like one that is not there.
pub(crate) fn path_id<K: Kind>(path: &web::Path<String>) -> Result<Id<K>, Problem> {
    Id::parse(path).map_err(|_| Problem::new(Code::NotFound))
}
