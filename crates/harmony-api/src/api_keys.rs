//! `/v1/api-keys`

use std::time::Duration;

use actix_web::{HttpResponse, web};
use harmony_access::{Id, Kind, Timestamp};
use harmony_actix::{Code, FieldError, Granted, Problem, get};
use harmony_permission::Permission;
use harmony_store::api_keys::{ApiKey, Filter, LastUse};
use harmony_workspace::{
    DisplayRateLimit, Once,
    api_keys::{self, ApiKeyChange, IssuedApiKey, ListedApiKey, NewApiKey},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Api, Changed,
    ask::{Ask, etag, path_id},
    body::{Body, not_null, present},
    created::say_replayed,
    list::{List, Query, list, page_by_id, query_text},
    needs::{CreateKeys, DeleteKeys, ReadKeys},
};
use harmony_workspace::times::{read_expiration, rfc3339};

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/api-keys").route(get().to(list_keys)).route(web::post().to(create_key)))
        .service(
            web::resource("/api-keys/{id}")
                .route(get().to(get_key))
                .route(web::patch().to(change_key))
                .route(web::delete().to(delete_key)),
        )
        .service(web::resource("/api-keys/{id}/rotate").route(web::post().to(rotate_key)));
}

/// An API key. Its text is shown once, when it is made, and is not kept.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyBody {
    #[schema(example = "key_019ab3d2c1f07e3f8a55d0c4b1e2f301")]
    id: String,
    name: String,
    /// How the key is shown after it was made.
    #[schema(example = "lk_…d41f")]
    redacted: String,
    last_four: String,
    owner: String,
    /// The role; null for the workspace's default key permissions.
    role: Option<String>,
    expires_at: Option<String>,
    /// Informational; never enforced.
    #[schema(value_type = Option<serde_json::Value>)]
    display_rate_limit: Option<DisplayRateLimit>,
    /// The key that replaced it, while it lives out its grace period.
    rotated_to: Option<String>,
    created_at: String,
    /// The user who made or rotated it, by themselves or with a key that acts for them, and who may have been removed since;
    /// null for the operator's command line, and for a key whose maker nobody noted.
    created_by: Option<String>,
    last_used_at: Option<String>,
    last_used_ip: Option<String>,
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuedBody {
    /// The key itself, shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "lk_…")]
    key: Option<String>,
    /// True when the same request was made before under its `Idempotency-Key`: the key is not shown again.
    repeated: bool,
    #[serde(flatten)]
    api_key: ApiKeyBody,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKeyBody {
    /// 1 to 100 characters.
    #[schema(example = "CRM sync")]
    name: String,
    /// The user whom it acts for; the caller's own, when absent.
    owner: Option<String>,
    /// Without one the key has the workspace's default key permissions.
    role: Option<String>,
    /// An instant, or a date, which lasts to its end in UTC.
    #[schema(example = "2027-01-31")]
    expires_at: Option<String>,
    /// Text or number; informational, never enforced.
    #[schema(value_type = Option<serde_json::Value>)]
    display_rate_limit: Option<DisplayRateLimit>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyChangeBody {
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<serde_json::Value>)]
    display_rate_limit: Option<Option<DisplayRateLimit>>,
    /// Only earlier than before.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    expires_at: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotationBody {
    /// How long the old key lives on: 0 to 2592000 seconds (30 days), and never past its own expiration.
    #[serde(default)]
    grace_secs: u64,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyQuery {
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    cursor: Option<String>,
    /// Keys of this user.
    owner: Option<String>,
    /// Keys with this role.
    role: Option<String>,
    /// Keys whose name contains this text.
    q: Option<String>,
}

#[utoipa::path(get, path = "/v1/api-keys", tag = "API keys", params(KeyQuery),
    responses((status = 200, body = List<ApiKeyBody>)))]
pub(crate) async fn list_keys(
    granted: Granted<ReadKeys>,
    api: web::Data<Api>,
    Query(query): Query<KeyQuery>,
) -> Result<HttpResponse, Problem> {
    let page = page_by_id(query.limit.as_deref(), query.cursor.as_deref())?;
    let filter = Filter {
        owner: query_id("owner", query.owner.as_deref())?,
        role: query_id("role", query.role.as_deref())?,
        name: query_text("q", query.q)?,
    };
    let wanted = page.limit;
    let rows = api.run(move |it| api_keys::list(it, granted.principal(), &filter, &page)).await?;
    Ok(HttpResponse::Ok().json(list(rows, wanted, |row| row.0.id.to_string(), body)))
}

#[utoipa::path(post, path = "/v1/api-keys", tag = "API keys", request_body = NewKeyBody,
    responses((status = 201, body = IssuedBody, description = "The one answer that shows the key.")))]
pub(crate) async fn create_key(
    granted: Granted<CreateKeys>,
    api: web::Data<Api>,
    ask: Ask,
    input: Body<NewKeyBody>,
) -> Result<HttpResponse, Problem> {
    let new = new_key(input.value)?;
    let idempotency = ask.idempotency(&input.bytes);
    let principal = granted.principal().clone();
    let issued = api
        .run(move |it| {
            let once = api_keys::create(it, &principal, &ask.occasion, &new, idempotency.as_ref())?;
            repeated_or_made(it, &principal, once)
        })
        .await?;
    Ok(created(HttpResponse::Created(), issued))
}

#[utoipa::path(get, path = "/v1/api-keys/{id}", tag = "API keys", params(("id" = String, Path)),
    responses((status = 200, body = ApiKeyBody)))]
pub(crate) async fn get_key(
    granted: Granted<ReadKeys>,
    api: web::Data<Api>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let row = api.run(move |it| api_keys::find(it, granted.principal(), id)).await?;
    Ok(HttpResponse::Ok().insert_header(etag(row.0.version)).json(body(&row)))
}

#[utoipa::path(patch, path = "/v1/api-keys/{id}", tag = "API keys", params(("id" = String, Path)),
    request_body = KeyChangeBody, responses((status = 200, body = ApiKeyBody)))]
pub(crate) async fn change_key(
    granted: Granted<CreateKeys>,
    api: web::Data<Api>,
    ask: Ask,
    path: web::Path<String>,
    input: Body<KeyChangeBody>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let change = ApiKeyChange {
        name: input.value.name,
        display_rate_limit: input.value.display_rate_limit,
        expires_at: expiration(input.value.expires_at.as_deref())?,
    };
    let principal = granted.principal().clone();
    let changed =
        api.change(move |it| api_keys::change(it, &principal, &ask.occasion, id, &change, ask.seen)).await?;
    let mut answer = changed.answer(HttpResponse::Ok());
    Ok(answer.insert_header(etag(changed.value.0.version)).json(body(&changed.value)))
}

#[utoipa::path(delete, path = "/v1/api-keys/{id}", tag = "API keys", params(("id" = String, Path)),
    responses((status = 204, description = "From now on nobody accepts the key.")))]
pub(crate) async fn delete_key(
    granted: Granted<DeleteKeys>,
    api: web::Data<Api>,
    ask: Ask,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let principal = granted.principal().clone();
    let deleted = api.change(move |it| api_keys::delete(it, &principal, &ask.occasion, id, ask.seen)).await?;
    Ok(deleted.no_content())
}

#[utoipa::path(post, path = "/v1/api-keys/{id}/rotate", tag = "API keys", params(("id" = String, Path)),
    request_body = RotationBody,
    responses((status = 201, body = IssuedBody, description = "The one answer that shows the new key.")))]
pub(crate) async fn rotate_key(
    granted: Granted<DeleteKeys>,
    also: Granted<CreateKeys>,
    api: web::Data<Api>,
    ask: Ask,
    path: web::Path<String>,
    input: Body<RotationBody>,
) -> Result<HttpResponse, Problem> {
    drop(also);
    let id = path_id(&path)?;
    let grace = Duration::from_secs(input.value.grace_secs);
    let idempotency = ask.idempotency(&input.bytes);
    let principal = granted.principal().clone();
    let rotated = api
        .change(move |it| {
            let answered = api_keys::rotate(it, &principal, &ask.occasion, id, grace, idempotency.as_ref())?;
            let value = repeated_or_made(it, &principal, answered.value)?;
            Ok(harmony_workspace::Answered { value, revision: answered.revision })
        })
        .await?;
    let answer = rotated.answer(HttpResponse::Created());
    let Changed { value, .. } = rotated;
    Ok(created(answer, value))
}

/// What a POST made, now or before. Before, its text was shown; it is not kept, and is not shown again.
enum Made {
    Now(IssuedApiKey),
    Before(ListedApiKey),
}

fn repeated_or_made(
    workspace: &harmony_workspace::Workspace,
    actor: &harmony_access::Principal,
    once: Once<IssuedApiKey>,
) -> Result<Made, harmony_workspace::Error> {
    match once {
        Once::Made(issued) => Ok(Made::Now(issued)),
        Once::Repeated(id) => {
            let id = Id::parse(&id).map_err(|_| harmony_workspace::Error::NotFound)?;
            api_keys::find_created(workspace, actor, id).map(Made::Before)
        }
    }
}

fn created(mut answer: actix_web::HttpResponseBuilder, made: Made) -> HttpResponse {
    let (id, version, body) = match &made {
        Made::Now(issued) => (issued.key.id, issued.key.version, issued_body(issued)),
        Made::Before(row) => {
            say_replayed(&mut answer);
            (row.0.id, row.0.version, IssuedBody { key: None, repeated: true, api_key: body(row) })
        }
    };
    answer.insert_header(("location", format!("/v1/api-keys/{id}"))).insert_header(etag(version)).json(body)
}

fn issued_body(issued: &IssuedApiKey) -> IssuedBody {
    let api_key = key_body(&issued.key, None);
    IssuedBody { key: Some(issued.text.reveal().to_owned()), repeated: false, api_key }
}

/// What `POST /v1/api-keys` answers, for the command line.
#[must_use]
pub fn issued_json(issued: &IssuedApiKey) -> serde_json::Value {
    serde_json::to_value(issued_body(issued)).unwrap_or_default()
}

/// What `GET /v1/api-keys/{id}` answers, for the command line.
#[must_use]
pub fn api_key_json(key: &ApiKey, last_use: Option<&LastUse>) -> serde_json::Value {
    serde_json::to_value(key_body(key, last_use)).unwrap_or_default()
}

fn body((key, last_use): &ListedApiKey) -> ApiKeyBody {
    key_body(key, last_use.as_ref())
}

fn key_body(key: &ApiKey, last_use: Option<&LastUse>) -> ApiKeyBody {
    ApiKeyBody {
        id: key.id.to_string(),
        name: key.name.clone(),
        redacted: key.last_four.redacted(),
        last_four: key.last_four.to_string(),
        owner: key.owner.to_string(),
        role: key.role.map(|role| role.to_string()),
        expires_at: key.expires_at.map(rfc3339),
        display_rate_limit: key.display_rate_limit.as_deref().and_then(DisplayRateLimit::from_column),
        rotated_to: key.rotated_to.map(|next| next.to_string()),
        created_at: rfc3339(key.created_at),
        created_by: key.created_by.map(|user| user.to_string()),
        last_used_at: last_use.map(|last| rfc3339(last.at)),
        last_used_ip: last_use.map(|last| last.ip.clone()),
    }
}

fn new_key(input: NewKeyBody) -> Result<NewApiKey, Problem> {
    Ok(NewApiKey {
        name: input.name,
        owner: field_id("owner", input.owner.as_deref())?,
        role: field_id("role", input.role.as_deref())?,
        expires_at: expiration(input.expires_at.as_deref())?,
        display_rate_limit: input.display_rate_limit,
    })
}

fn expiration(text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let read = text.map(read_expiration).transpose();
    read.map_err(|error| field("expires_at", "not_an_instant", error.to_string()))
}

/// A refusal of one field.
pub(crate) fn field(name: &'static str, code: &'static str, detail: String) -> Problem {
    Problem::invalid_fields(vec![FieldError::new(name, code, detail)])
}

/// An id in a body. One that cannot be any is told like one that is not there.
pub(crate) fn field_id<K: Kind>(name: &'static str, text: Option<&str>) -> Result<Option<Id<K>>, Problem> {
    let read = text.map(Id::parse).transpose();
    read.map_err(|error| field(name, "unknown", error.to_string()))
}

/// An id in the query string.
pub(crate) fn query_id<K: Kind>(name: &str, text: Option<&str>) -> Result<Option<Id<K>>, Problem> {
    let read = text.map(Id::parse).transpose();
    read.map_err(|error| Problem::new(Code::MalformedRequest).with_detail(format!("`{name}`: {error}.")))
}

/// Permissions as texts, which name the first that is none.
pub(crate) fn permissions(name: &'static str, texts: &[String]) -> Result<Vec<Permission>, Problem> {
    let read = |text: &String| {
        let refuse = |error| field(name, "not_a_permission", format!("`{text}`: {error}"));
        Permission::parse(text).map_err(refuse)
    };
    texts.iter().map(read).collect()
}
