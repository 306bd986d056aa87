//! Roles: the list, and a matrix of what each may do how far.

mod edit;
mod holders;

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_actix::get;
use harmony_permission::{Scope, catalogue};
use harmony_store::{Page, roles::Role};
use harmony_workspace::roles;

use crate::{
    Console,
    form::Form,
    page, permits,
    refusal::Refused,
    session::SignedIn,
    shell::{ROLES, Shell},
    words,
};

/// The most roles that are shown.
const SHOWN: u32 = 200;

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/roles").route(get().to(show)))
        .service(
            web::resource("/roles/new").route(get().to(edit::show_new)).route(web::post().to(edit::create)),
        )
        .service(web::resource("/roles/{id}").route(get().to(edit::show)).route(web::post().to(edit::change)))
        .service(
            web::resource("/roles/{id}/delete")
                .route(get().to(edit::show_delete))
                .route(web::post().to(edit::delete)),
        );
}

#[derive(Template)]
#[template(path = "roles/list.html")]
struct ListPage {
    shell: Shell,
    may_create: bool,
    sees_keys: bool,
    done: Option<&'static str>,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    name: String,
    description: String,
    built_in: bool,
    permits: String,
    users: String,
    keys: String,
}

async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::ROLES_READ, Scope::All)?;
    let principal = person.principal().clone();
    let (found, holders) = console
        .run(move |workspace| {
            let page = Page { after: None, limit: SHOWN };
            Ok((roles::list(workspace, &principal, &page)?, roles::holders(workspace, &principal)?))
        })
        .await?;
    let done = match Form::of_query(&request).text("done") {
        "created" => Some("The role is created."),
        "changed" => Some("The role is changed."),
        "deleted" => Some("The role is deleted."),
        _ => None,
    };
    let page = ListPage {
        shell: person.shell("Roles", ROLES),
        may_create: person.may(catalogue::ROLES_CREATE, Scope::All),
        sees_keys: person.may(catalogue::API_KEYS_READ, Scope::Team),
        done,
        rows: found.iter().map(|role| row(role, &holders)).collect(),
    };
    page::html(StatusCode::OK, &page)
}

fn row(role: &Role, holders: &HashMap<String, (i64, i64)>) -> Row {
    let id = role.id.to_string();
    let (users, keys) = holders.get(&id).copied().unwrap_or_default();
    Row {
        name: role.name.clone(),
        description: role.description.clone(),
        built_in: role.built_in.is_some(),
        permits: permits::permissions(&role.permissions()),
        users: words::counted(users, "user"),
        keys: words::counted(keys, "key"),
        id,
    }
}
