//! `/v1/whoami`: a key asks what it is, and may end itself.

use actix_web::{HttpResponse, web};
use harmony_actix::{Authenticated, Code, Problem, resource_default};
use harmony_workspace::api_keys;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Api, ask::Ask, times::rfc3339};

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/whoami")
            .route(web::get().to(whoami))
            .route(web::delete().to(end))
            .default_service(resource_default("GET, DELETE")),
    );
}

/// Who a key is.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhoamiBody {
    id: String,
    name: String,
    last_four: String,
    workspace: String,
    owner: String,
    role: Option<String>,
    permissions: Vec<String>,
    expires_at: Option<String>,
}

#[utoipa::path(get, path = "/v1/whoami", tag = "This key", responses((status = 200, body = WhoamiBody)))]
pub(crate) async fn whoami(caller: Authenticated) -> Result<HttpResponse, Problem> {
    let principal = caller.principal().clone();
    let key = principal.key().ok_or_else(|| Problem::new(Code::Internal))?;
    Ok(HttpResponse::Ok().json(WhoamiBody {
        id: key.id.to_string(),
        name: key.name.clone(),
        last_four: key.last_four.to_string(),
        workspace: key.workspace.to_string(),
        owner: key.owner.to_string(),
        role: key.role.map(|role| role.to_string()),
        permissions: key.permissions.to_permissions().iter().map(ToString::to_string).collect(),
        expires_at: key.expires_at.map(rfc3339),
    }))
}

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
