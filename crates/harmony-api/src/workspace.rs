//! `/v1/workspace`: the settings.

use actix_web::{HttpResponse, web};
use harmony_actix::{Granted, Problem, resource_default};
use harmony_permission::PermissionSet;
use harmony_store::workspaces::Workspace;
use harmony_workspace::settings::{self, SettingsChange};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Api,
    api_keys::permissions,
    ask::{Ask, etag},
    body::{Body, not_null, present},
    needs::{ReadWorkspace, UpdateWorkspace},
    times::rfc3339,
};

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/workspace")
            .route(web::get().to(get_workspace))
            .route(web::patch().to(change_workspace))
            .default_service(resource_default("GET, PATCH")),
    );
}

/// The workspace and its settings.
#[derive(Serialize, ToSchema)]
pub(crate) struct WorkspaceBody {
    id: String,
    name: String,
    /// What keys without a role may do.
    default_permissions: Vec<String>,
    /// The longest lifetime of a new key; null is no bound.
    longest_key_lifetime_secs: Option<i64>,
    created_at: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkspaceChangeBody {
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    default_permissions: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>)]
    longest_key_lifetime_secs: Option<Option<i64>>,
}

#[utoipa::path(get, path = "/v1/workspace", tag = "Workspace", responses((status = 200, body = WorkspaceBody)))]
pub(crate) async fn get_workspace(
    granted: Granted<ReadWorkspace>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let found = api.run(move |it| settings::find(it, granted.principal())).await?;
    Ok(HttpResponse::Ok().insert_header(etag(found.version)).json(body(&found)))
}

#[utoipa::path(patch, path = "/v1/workspace", tag = "Workspace", request_body = WorkspaceChangeBody,
    responses((status = 200, body = WorkspaceBody)))]
pub(crate) async fn change_workspace(
    granted: Granted<UpdateWorkspace>,
    api: web::Data<Api>,
    ask: Ask,
    input: Body<WorkspaceChangeBody>,
) -> Result<HttpResponse, Problem> {
    let defaults = input.value.default_permissions;
    let defaults = defaults.map(|texts| permissions("default_permissions", &texts)).transpose()?;
    let change = SettingsChange {
        name: input.value.name,
        default_permissions: defaults.map(PermissionSet::from_iter),
        longest_key_lifetime_secs: input.value.longest_key_lifetime_secs,
    };
    let principal = granted.principal().clone();
    let changed =
        api.change(move |it| settings::change(it, &principal, &ask.occasion, &change, ask.seen)).await?;
    let mut answer = changed.answer(HttpResponse::Ok());
    Ok(answer.insert_header(etag(changed.value.version)).json(body(&changed.value)))
}

fn body(workspace: &Workspace) -> WorkspaceBody {
    WorkspaceBody {
        id: workspace.id.to_string(),
        name: workspace.name.clone(),
        default_permissions: workspace
            .default_permissions
            .to_permissions()
            .iter()
            .map(ToString::to_string)
            .collect(),
        longest_key_lifetime_secs: workspace.longest_key_lifetime_secs,
        created_at: rfc3339(workspace.created_at),
    }
}
