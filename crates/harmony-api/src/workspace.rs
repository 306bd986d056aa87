//! `/v1/workspace`: the settings, and the processes that serve it.

use actix_web::{HttpResponse, web};
use harmony_actix::{Granted, Problem, get};
use harmony_permission::PermissionSet;
use harmony_store::workspaces::Workspace;
use harmony_workspace::{
    nodes,
    settings::{self, SettingsChange},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Api,
    api_keys::permissions,
    ask::{Ask, etag},
    body::{Body, not_null, present},
    list::List,
    needs::{ReadNodes, ReadWorkspace, UpdateWorkspace},
};
use harmony_workspace::times::rfc3339;

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/workspace").route(get().to(get_workspace)).route(web::patch().to(change_workspace)),
    );
    config.service(web::resource("/workspace/nodes").route(get().to(list_nodes)));
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

/// A server process.
#[derive(Serialize, ToSchema)]
pub(crate) struct NodeBody {
    id: String,
    started_at: String,
    /// Whether it holds its lease; one that does not asks the database about each key.
    alive: bool,
    /// What is left of its lease, in milliseconds; below zero since it ended.
    lease_left_ms: i64,
    /// How many revocations it has not dropped from memory yet. Whoever revokes waits for them.
    revisions_behind: i64,
}

#[utoipa::path(get, path = "/v1/workspace/nodes", tag = "Workspace",
    responses((status = 200, body = List<NodeBody>, description = "The server processes over this database, oldest first.")))]
pub(crate) async fn list_nodes(
    granted: Granted<ReadNodes>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let found = api.run(move |it| nodes::list(it, granted.principal())).await?;
    let data = found.iter().map(node_body).collect();
    Ok(HttpResponse::Ok().json(List { data, next_cursor: None }))
}

fn node_body(node: &nodes::Node) -> NodeBody {
    NodeBody {
        id: node.id.to_string(),
        started_at: rfc3339(node.started_at),
        alive: node.is_alive(),
        lease_left_ms: node.lease_left_ms,
        revisions_behind: node.revisions_behind,
    }
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
