//! `/v1/whoami`: a key asks what it is, and may end itself.

use std::fmt::Display;

use actix_web::{HttpResponse, http::header::ContentType, web};
use harmony_access::{ApiKeyId, RoleId, UserId, WorkspaceId};
use harmony_actix::{Authenticated, Code, Problem, resource_default};
use harmony_key::LastFour;
use harmony_permission::Permission;
use harmony_workspace::api_keys;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::{Api, ask::Ask};
use harmony_workspace::times::rfc3339;

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/whoami")
            .route(web::get().to(whoami))
            .route(web::delete().to(end))
            .default_service(resource_default("GET, DELETE")),
    );
}

/// Who a key is. It is the answer that is asked for most: nothing of it is copied before it is written.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhoamiBody<'a> {
    #[schema(value_type = String)]
    id: Said<ApiKeyId>,
    name: &'a str,
    #[schema(value_type = String)]
    last_four: Said<LastFour>,
    #[schema(value_type = String)]
    workspace: Said<WorkspaceId>,
    #[schema(value_type = String)]
    owner: Said<UserId>,
    #[schema(value_type = Option<String>)]
    role: Option<Said<RoleId>>,
    #[schema(value_type = Vec<String>)]
    permissions: Vec<Said<Permission>>,
    expires_at: Option<String>,
}

/// Written as it is displayed.
struct Said<T>(T);

impl<T: Display> Serialize for Said<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[utoipa::path(get, path = "/v1/whoami", tag = "This key", responses((status = 200, body = WhoamiBody<'_>)))]
pub(crate) async fn whoami(caller: Authenticated) -> Result<HttpResponse, Problem> {
    let key = caller.principal().key().ok_or_else(|| Problem::new(Code::Internal))?;
    let body = WhoamiBody {
        id: Said(key.id),
        name: &key.name,
        last_four: Said(key.last_four),
        workspace: Said(key.workspace),
        owner: Said(key.owner),
        role: key.role.map(Said),
        permissions: key.permissions.to_permissions().into_iter().map(Said).collect(),
        expires_at: key.expires_at.map(rfc3339),
    };
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    serde_json::to_writer(&mut bytes, &body).map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(bytes))
}

/// The room that the body of a key with a few permissions takes.
const USUAL_BYTES: usize = 768;

#[utoipa::path(delete, path = "/v1/whoami", tag = "This key",
    responses((status = 204, description = "From now on nobody accepts the key.")))]
pub(crate) async fn end(
    caller: Authenticated,
    api: web::Data<Api>,
    ask: Ask,
) -> Result<HttpResponse, Problem> {
    let principal = caller.principal().clone();
    let ended = api.change(move |it| api_keys::delete_own(it, &principal, &ask.occasion)).await?;
    Ok(ended.no_content())
}
