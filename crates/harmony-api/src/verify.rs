//! `/v1/api-keys/verify`, for services in any language.

use actix_web::{HttpResponse, web};
use harmony_actix::{Granted, Problem};
use harmony_key::PresentedKey;
use harmony_permission::Permission;
use harmony_workspace::verify::{self, Verdict};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Api, api_keys::field, ask::Ask, body::Body, needs::VerifyKeys};
use harmony_workspace::times::rfc3339;

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config.service(web::resource("/api-keys/verify").route(web::post().to(verify_key)));
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyBody {
    /// The key's text, as it was presented.
    key: String,
    /// What the key must hold, such as `invoices:read:own`.
    permission: Option<String>,
}

/// What a key turned out to be.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerdictBody {
    valid: bool,
    /// `valid`, `invalid`, `expired` or `forbidden`.
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<PrincipalBody>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct PrincipalBody {
    key: String,
    name: String,
    owner: String,
    workspace: String,
    role: Option<String>,
    permissions: Vec<String>,
    expires_at: Option<String>,
}

#[utoipa::path(post, path = "/v1/api-keys/verify", tag = "API keys", request_body = VerifyBody,
    responses((status = 200, body = VerdictBody)))]
pub(crate) async fn verify_key(
    granted: Granted<VerifyKeys>,
    api: web::Data<Api>,
    ask: Ask,
    input: Body<VerifyBody>,
) -> Result<HttpResponse, Problem> {
    let VerifyBody { key, permission } = input.value;
    let wanted = permission.as_deref().map(Permission::parse).transpose();
    let wanted = wanted.map_err(|error| field("permission", "not_a_permission", error.to_string()))?;
    let verdict = api
        .run(move |it| {
            let presented = PresentedKey::parse(key.as_bytes()).ok();
            verify::verify(it, granted.principal(), &ask.occasion, presented, wanted)
        })
        .await?;
    Ok(HttpResponse::Ok().json(body(&verdict)))
}

fn body(verdict: &Verdict) -> VerdictBody {
    let (code, key) = match verdict {
        Verdict::Valid(key) => ("valid", Some(key)),
        Verdict::Invalid => ("invalid", None),
        Verdict::Expired(key) => ("expired", Some(key)),
        Verdict::Lacking(key) => ("forbidden", Some(key)),
    };
    let principal = key.map(|key| PrincipalBody {
        key: key.id.to_string(),
        name: key.name.clone(),
        owner: key.owner.to_string(),
        workspace: key.workspace.to_string(),
        role: key.role.map(|role| role.to_string()),
        permissions: key.permissions.to_permissions().iter().map(ToString::to_string).collect(),
        expires_at: key.expires_at.map(rfc3339),
    });
    VerdictBody { valid: matches!(verdict, Verdict::Valid(_)), code, principal }
}
