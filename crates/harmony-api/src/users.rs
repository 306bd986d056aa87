//! `/v1/users`

use actix_web::{HttpResponse, web};
use harmony_access::{Id, RoleId};
use harmony_actix::{Code, Granted, Problem, get};
use harmony_store::users::User;
use harmony_workspace::users::{self, KeysFate, NewUser, UserChange};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Api,
    api_keys::{field, field_id, query_id},
    ask::{Ask, etag, path_id},
    body::{Body, not_null},
    created::Created,
    list::{List, PageQuery, Query, list, page_by_id},
    needs::{CreateUsers, DeleteUsers, ReadUsers, UpdateUsers},
};
use harmony_workspace::times::rfc3339;

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/users").route(get().to(list_users)).route(web::post().to(create_user)))
        .service(
            web::resource("/users/{id}")
                .route(get().to(get_user))
                .route(web::patch().to(change_user))
                .route(web::delete().to(delete_user)),
        );
}

/// A person in the workspace.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserBody {
    #[schema(example = "usr_019ab3d2c1f07e3f8a55d0c4b1e2f301")]
    id: String,
    /// In lower case.
    email: String,
    name: String,
    role: String,
    created_at: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUserBody {
    #[schema(example = "mara@example.com")]
    email: String,
    /// 1 to 100 characters.
    #[schema(example = "Mara Lind")]
    name: String,
    /// A role that permits no more than the caller holds.
    role: String,
    /// Without one they cannot sign in.
    password: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChangeBody {
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    email: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    name: Option<String>,
    /// A role that permits no more than the caller holds.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    role: Option<String>,
}

/// What becomes of a deleted user's keys.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeletionQuery {
    /// `delete` or `transfer`; needed when the user has keys.
    keys: Option<String>,
    /// With `keys=transfer`: the user for whom they act from now on.
    to: Option<String>,
}

#[utoipa::path(get, path = "/v1/users", tag = "Users", params(PageQuery),
    responses((status = 200, body = List<UserBody>)))]
pub(crate) async fn list_users(
    granted: Granted<ReadUsers>,
    api: web::Data<Api>,
    Query(query): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let page = page_by_id(query.limit.as_deref(), query.cursor.as_deref())?;
    let wanted = page.limit;
    let rows = api.run(move |it| users::list(it, granted.principal(), &page)).await?;
    Ok(HttpResponse::Ok().json(list(rows, wanted, |user| user.id.to_string(), body)))
}

#[utoipa::path(post, path = "/v1/users", tag = "Users", request_body = NewUserBody,
    responses((status = 201, body = UserBody)))]
pub(crate) async fn create_user(
    granted: Granted<CreateUsers>,
    api: web::Data<Api>,
    ask: Ask,
    input: Body<NewUserBody>,
) -> Result<HttpResponse, Problem> {
    let wanted = input.value;
    let idempotency = ask.idempotency(&told(&wanted));
    let role: RoleId =
        Id::parse(&wanted.role).map_err(|error| field("role", "unknown", error.to_string()))?;
    let principal = granted.principal().clone();
    let made = api
        .run(move |it| {
            let NewUserBody { email, name, password, .. } = &wanted;
            let new = NewUser { email, name, role, password: password.as_deref() };
            let once = users::create(it, &principal, &ask.occasion, &new, idempotency.as_ref())?;
            Created::or_find(once, |id| users::find_created(it, &principal, id))
        })
        .await?;
    let mut answer = made.answer(format!("/v1/users/{}", made.value.id));
    Ok(answer.insert_header(etag(made.value.version)).json(body(&made.value)))
}

#[utoipa::path(get, path = "/v1/users/{id}", tag = "Users", params(("id" = String, Path)),
    responses((status = 200, body = UserBody)))]
pub(crate) async fn get_user(
    granted: Granted<ReadUsers>,
    api: web::Data<Api>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let user = api.run(move |it| users::find(it, granted.principal(), id)).await?;
    Ok(HttpResponse::Ok().insert_header(etag(user.version)).json(body(&user)))
}

#[utoipa::path(patch, path = "/v1/users/{id}", tag = "Users", params(("id" = String, Path)),
    request_body = UserChangeBody, responses((status = 200, body = UserBody)))]
pub(crate) async fn change_user(
    granted: Granted<UpdateUsers>,
    api: web::Data<Api>,
    ask: Ask,
    path: web::Path<String>,
    input: Body<UserChangeBody>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let change = UserChange {
        role: field_id("role", input.value.role.as_deref())?,
        email: input.value.email,
        name: input.value.name,
    };
    let principal = granted.principal().clone();
    let changed =
        api.change(move |it| users::change(it, &principal, &ask.occasion, id, &change, ask.seen)).await?;
    let mut answer = changed.answer(HttpResponse::Ok());
    Ok(answer.insert_header(etag(changed.value.version)).json(body(&changed.value)))
}

#[utoipa::path(delete, path = "/v1/users/{id}", tag = "Users",
    params(("id" = String, Path), DeletionQuery),
    responses((status = 204, description = "Their sessions ended; their conversations are the caller's."),
        (status = 409, description = "They have keys, and `keys` does not say what becomes of them.")))]
pub(crate) async fn delete_user(
    granted: Granted<DeleteUsers>,
    api: web::Data<Api>,
    ask: Ask,
    path: web::Path<String>,
    Query(query): Query<DeletionQuery>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let keys = keys_fate(&query)?;
    let principal = granted.principal().clone();
    let deleted =
        api.change(move |it| users::delete(it, &principal, &ask.occasion, id, keys, ask.seen)).await?;
    Ok(deleted.no_content())
}

/// What makes two requests the same. Whether there is a password does, but not which: a fast hash of it must not lie
/// beside the slow one.
fn told(wanted: &NewUserBody) -> Vec<u8> {
    let NewUserBody { email, name, role, password } = wanted;
    format!("{email}\n{name}\n{role}\n{}", password.is_some()).into_bytes()
}

fn keys_fate(query: &DeletionQuery) -> Result<KeysFate, Problem> {
    match (query.keys.as_deref(), query_id("to", query.to.as_deref())?) {
        (None, None) => Ok(KeysFate::Unsaid),
        (Some("delete"), None) => Ok(KeysFate::Delete),
        (Some("transfer"), Some(to)) => Ok(KeysFate::Transfer(to)),
        _ => Err(Problem::new(Code::MalformedRequest).with_detail(
            "`keys` may be `delete`, or `transfer` with `to`, the id of the user who gets them.",
        )),
    }
}

fn body(user: &User) -> UserBody {
    UserBody {
        id: user.id.to_string(),
        email: user.email.clone(),
        name: user.name.clone(),
        role: user.role.to_string(),
        created_at: rfc3339(user.created_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARA: &str = "usr_019ab3d2c1f07e3f8a55d0c4b1e2f301";

    fn read(keys: Option<&str>, to: Option<&str>) -> Option<KeysFate> {
        keys_fate(&DeletionQuery { keys: keys.map(str::to_owned), to: to.map(str::to_owned) }).ok()
    }

    #[test]
    fn the_fate_of_keys_is_unsaid_deletion_or_transfer_to_somebody() {
        assert_eq!(read(None, None), Some(KeysFate::Unsaid));
        assert_eq!(read(Some("delete"), None), Some(KeysFate::Delete));
        assert_eq!(read(Some("transfer"), Some(MARA)), Some(KeysFate::Transfer(Id::parse(MARA).unwrap())));
    }

    #[test]
    fn requests_differ_by_whether_there_is_a_password_and_not_by_which() {
        let asked = |password: Option<&str>| {
            told(&NewUserBody {
                email: "mara@example.com".into(),
                name: "Mara".into(),
                role: "role_1".into(),
                password: password.map(str::to_owned),
            })
        };
        assert_ne!(asked(None), asked(Some("sesame-street")));
        assert_eq!(asked(Some("sesame-alley")), asked(Some("sesame-street")));
        assert!(!String::from_utf8(asked(Some("sesame-street"))).unwrap().contains("sesame"));
    }

    #[test]
    fn anything_else_is_refused_rather_than_guessed() {
        for (keys, to) in [
            (Some("keep"), None),
            (Some(""), None),
            (Some("DELETE"), None),
            (Some("transfer"), None),
            (Some("transfer"), Some("mara")),
            (Some("delete"), Some(MARA)),
            (None, Some(MARA)),
        ] {
            assert_eq!(read(keys, to), None, "{keys:?} {to:?}");
        }
    }
}
