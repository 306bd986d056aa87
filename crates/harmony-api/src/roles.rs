//! `/v1/roles`

use actix_web::{HttpResponse, web};
use harmony_actix::{Granted, Problem, get};
use harmony_permission::PermissionSet;
use harmony_store::roles::Role;
use harmony_workspace::roles::{self, NewRole, RoleChange};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Api,
    api_keys::permissions,
    ask::{Ask, etag, path_id},
    body::{Body, not_null},
    created::Created,
    list::{List, PageQuery, Query, list, page_by_id},
    needs::{CreateRoles, DeleteRoles, ReadRoles, UpdateRoles},
};
use harmony_workspace::times::rfc3339;

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/roles").route(get().to(list_roles)).route(web::post().to(create_role)))
        .service(
            web::resource("/roles/{id}")
                .route(get().to(get_role))
                .route(web::patch().to(change_role))
                .route(web::delete().to(delete_role)),
        );
}

/// A named set of permissions, for users and keys.
#[derive(Serialize, ToSchema)]
pub(crate) struct RoleBody {
    #[schema(example = "role_019ab3d2c1f07e3f8a55d0c4b1e2f301")]
    id: String,
    name: String,
    description: String,
    /// Built-in roles can be neither changed nor deleted.
    built_in: bool,
    permissions: Vec<String>,
    created_at: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRoleBody {
    /// 1 to 100 characters.
    #[schema(example = "Analyst")]
    name: String,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// No more than the caller holds.
    #[schema(example = json!(["conversations:read:all"]))]
    permissions: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleChangeBody {
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    description: Option<String>,
    /// In place of all that it permits now; no more than the caller holds.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    permissions: Option<Vec<String>>,
}

#[utoipa::path(get, path = "/v1/roles", tag = "Roles", params(PageQuery),
    responses((status = 200, body = List<RoleBody>)))]
pub(crate) async fn list_roles(
    granted: Granted<ReadRoles>,
    api: web::Data<Api>,
    Query(query): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let page = page_by_id(query.limit.as_deref(), query.cursor.as_deref())?;
    let wanted = page.limit;
    let rows = api.run(move |it| roles::list(it, granted.principal(), &page)).await?;
    Ok(HttpResponse::Ok().json(list(rows, wanted, |role| role.id.to_string(), body)))
}

#[utoipa::path(post, path = "/v1/roles", tag = "Roles", request_body = NewRoleBody,
    responses((status = 201, body = RoleBody)))]
pub(crate) async fn create_role(
    granted: Granted<CreateRoles>,
    api: web::Data<Api>,
    ask: Ask,
    input: Body<NewRoleBody>,
) -> Result<HttpResponse, Problem> {
    let idempotency = ask.idempotency(&input.bytes);
    let new = NewRole {
        permissions: permission_set(&input.value.permissions)?,
        name: input.value.name,
        description: input.value.description,
    };
    let principal = granted.principal().clone();
    let made = api
        .run(move |it| {
            let once = roles::create(it, &principal, &ask.occasion, &new, idempotency.as_ref())?;
            Created::or_find(once, |id| roles::find_created(it, &principal, id))
        })
        .await?;
    let mut answer = made.answer(format!("/v1/roles/{}", made.value.id));
    Ok(answer.insert_header(etag(made.value.version)).json(body(&made.value)))
}

#[utoipa::path(get, path = "/v1/roles/{id}", tag = "Roles", params(("id" = String, Path)),
    responses((status = 200, body = RoleBody)))]
pub(crate) async fn get_role(
    granted: Granted<ReadRoles>,
    api: web::Data<Api>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let role = api.run(move |it| roles::find(it, granted.principal(), id)).await?;
    Ok(HttpResponse::Ok().insert_header(etag(role.version)).json(body(&role)))
}

#[utoipa::path(patch, path = "/v1/roles/{id}", tag = "Roles", params(("id" = String, Path)),
    request_body = RoleChangeBody,
    responses((status = 200, body = RoleBody, description = "Its users and keys have the new permissions.")))]
pub(crate) async fn change_role(
    granted: Granted<UpdateRoles>,
    api: web::Data<Api>,
    ask: Ask,
    path: web::Path<String>,
    input: Body<RoleChangeBody>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let change = RoleChange {
        name: input.value.name,
        description: input.value.description,
        permissions: input.value.permissions.as_deref().map(permission_set).transpose()?,
    };
    let principal = granted.principal().clone();
    let changed =
        api.change(move |it| roles::change(it, &principal, &ask.occasion, id, &change, ask.seen)).await?;
    let mut answer = changed.answer(HttpResponse::Ok());
    Ok(answer.insert_header(etag(changed.value.version)).json(body(&changed.value)))
}

#[utoipa::path(delete, path = "/v1/roles/{id}", tag = "Roles", params(("id" = String, Path)),
    responses((status = 204, description = "Nobody had the role."),
        (status = 409, description = "Somebody has the role; the detail counts them.")))]
pub(crate) async fn delete_role(
    granted: Granted<DeleteRoles>,
    api: web::Data<Api>,
    ask: Ask,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let principal = granted.principal().clone();
    api.run(move |it| roles::delete(it, &principal, &ask.occasion, id, ask.seen)).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn permission_set(texts: &[String]) -> Result<PermissionSet, Problem> {
    Ok(permissions("permissions", texts)?.into_iter().collect())
}

fn body(role: &Role) -> RoleBody {
    RoleBody {
        id: role.id.to_string(),
        name: role.name.clone(),
        description: role.description.clone(),
        built_in: role.built_in.is_some(),
        permissions: role.permissions().to_permissions().iter().map(ToString::to_string).collect(),
        created_at: rfc3339(role.created_at),
    }
}
