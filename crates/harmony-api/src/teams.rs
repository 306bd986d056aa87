//! `/v1/teams`

use actix_web::{HttpResponse, web};
use harmony_access::{Id, TeamId, UserId};
use harmony_actix::{Code, Granted, Problem, get};
use harmony_store::teams::Team;
use harmony_workspace::{
    Once,
    teams::{self, TeamWithUsers},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Api,
    ask::{Ask, etag, path_id},
    body::{Body, not_null},
    created::Created,
    list::{List, PageQuery, Query, list, page_by_id},
    needs::{CreateTeams, DeleteTeams, ReadTeams, UpdateTeams},
};
use harmony_workspace::times::rfc3339;

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/teams").route(get().to(list_teams)).route(web::post().to(create_team)))
        .service(
            web::resource("/teams/{id}")
                .route(get().to(get_team))
                .route(web::patch().to(change_team))
                .route(web::delete().to(delete_team)),
        )
        .service(
            web::resource("/teams/{id}/users/{user}")
                .route(web::put().to(add_user_to_team))
                .route(web::delete().to(remove_user_from_team)),
        );
}

/// Users who share what permissions at the scope `team` reach.
#[derive(Serialize, ToSchema)]
pub(crate) struct TeamBody {
    #[schema(example = "team_019ab3d2c1f07e3f8a55d0c4b1e2f301")]
    id: String,
    name: String,
    /// Who is in it; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<Vec<String>>,
    created_at: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTeamBody {
    /// 1 to 100 characters.
    #[schema(example = "Sales")]
    name: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TeamChangeBody {
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    name: Option<String>,
}

#[utoipa::path(get, path = "/v1/teams", tag = "Teams", params(PageQuery),
    responses((status = 200, body = List<TeamBody>)))]
pub(crate) async fn list_teams(
    granted: Granted<ReadTeams>,
    api: web::Data<Api>,
    Query(query): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let page = page_by_id(query.limit.as_deref(), query.cursor.as_deref())?;
    let wanted = page.limit;
    let rows = api.run(move |it| teams::list(it, granted.principal(), &page)).await?;
    Ok(HttpResponse::Ok().json(list(rows, wanted, |team| team.id.to_string(), |team| body(team, None))))
}

#[utoipa::path(post, path = "/v1/teams", tag = "Teams", request_body = NewTeamBody,
    responses((status = 201, body = TeamBody)))]
pub(crate) async fn create_team(
    granted: Granted<CreateTeams>,
    api: web::Data<Api>,
    ask: Ask,
    input: Body<NewTeamBody>,
) -> Result<HttpResponse, Problem> {
    let idempotency = ask.idempotency(&input.bytes);
    let name = input.value.name;
    let principal = granted.principal().clone();
    let made = api
        .run(move |it| {
            let once = teams::create(it, &principal, &ask.occasion, &name, idempotency.as_ref())?;
            Created::or_find(with_nobody(once), |id| teams::find_created(it, &principal, id))
        })
        .await?;
    let mut answer = made.answer(format!("/v1/teams/{}", made.value.0.id));
    Ok(whole(&mut answer, &made.value))
}

#[utoipa::path(get, path = "/v1/teams/{id}", tag = "Teams", params(("id" = String, Path)),
    responses((status = 200, body = TeamBody)))]
pub(crate) async fn get_team(
    granted: Granted<ReadTeams>,
    api: web::Data<Api>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let team = api.run(move |it| teams::find(it, granted.principal(), id)).await?;
    Ok(whole(&mut HttpResponse::Ok(), &team))
}

#[utoipa::path(patch, path = "/v1/teams/{id}", tag = "Teams", params(("id" = String, Path)),
    request_body = TeamChangeBody, responses((status = 200, body = TeamBody)))]
pub(crate) async fn change_team(
    granted: Granted<UpdateTeams>,
    api: web::Data<Api>,
    ask: Ask,
    path: web::Path<String>,
    input: Body<TeamChangeBody>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let name = input.value.name;
    let principal = granted.principal().clone();
    let team = api
        .run(move |it| teams::change(it, &principal, &ask.occasion, id, name.as_deref(), ask.seen))
        .await?;
    Ok(whole(&mut HttpResponse::Ok(), &team))
}

#[utoipa::path(delete, path = "/v1/teams/{id}", tag = "Teams", params(("id" = String, Path)),
    responses((status = 204, description = "Its users, and what they own, stay.")))]
pub(crate) async fn delete_team(
    granted: Granted<DeleteTeams>,
    api: web::Data<Api>,
    ask: Ask,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let principal = granted.principal().clone();
    api.run(move |it| teams::delete(it, &principal, &ask.occasion, id, ask.seen)).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(put, path = "/v1/teams/{id}/users/{user}", tag = "Teams",
    params(("id" = String, Path), ("user" = String, Path)),
    responses((status = 200, body = TeamBody, description = "The user is in the team, or was before.")))]
pub(crate) async fn add_user_to_team(
    granted: Granted<UpdateTeams>,
    api: web::Data<Api>,
    ask: Ask,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, user) = ids(&path)?;
    let principal = granted.principal().clone();
    let team = api.run(move |it| teams::add_user(it, &principal, &ask.occasion, id, user)).await?;
    Ok(whole(&mut HttpResponse::Ok(), &team))
}

#[utoipa::path(delete, path = "/v1/teams/{id}/users/{user}", tag = "Teams",
    params(("id" = String, Path), ("user" = String, Path)),
    responses((status = 204, description = "The user is out of the team.")))]
pub(crate) async fn remove_user_from_team(
    granted: Granted<UpdateTeams>,
    api: web::Data<Api>,
    ask: Ask,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, user) = ids(&path)?;
    let principal = granted.principal().clone();
    api.run(move |it| teams::remove_user(it, &principal, &ask.occasion, id, user)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The team and the user in a path. Ids that cannot be any are told like ones that are not there.
fn ids(path: &(String, String)) -> Result<(TeamId, UserId), Problem> {
    let team = Id::parse(&path.0).map_err(|_| Problem::new(Code::NotFound))?;
    let user = Id::parse(&path.1).map_err(|_| Problem::new(Code::NotFound))?;
    Ok((team, user))
}

/// A new team has no users.
fn with_nobody(once: Once<Team>) -> Once<TeamWithUsers> {
    match once {
        Once::Made(team) => Once::Made((team, Vec::new())),
        Once::Repeated(id) => Once::Repeated(id),
    }
}

fn whole(answer: &mut actix_web::HttpResponseBuilder, (team, users): &TeamWithUsers) -> HttpResponse {
    answer.insert_header(etag(team.version)).json(body(team, Some(users)))
}

fn body(team: &Team, users: Option<&[UserId]>) -> TeamBody {
    TeamBody {
        id: team.id.to_string(),
        name: team.name.clone(),
        users: users.map(|users| users.iter().map(ToString::to_string).collect()),
        created_at: rfc3339(team.created_at),
    }
}
