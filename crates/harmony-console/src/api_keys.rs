//! API keys: Workspace Settings > Security & Trust > API.

mod chart;
mod create;
mod delete;
mod detail;
mod edit;
mod list;
mod rotate;
mod row;

use actix_web::web;
use harmony_access::ApiKeyId;
use harmony_actix::get;

use crate::refusal::Refused;

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/api-keys").route(get().to(list::show)))
        .service(
            web::resource("/api-keys/new")
                .route(get().to(create::show))
                .route(web::post().to(create::perform)),
        )
        .service(
            web::resource("/api-keys/delete")
                .route(get().to(delete::show_many))
                .route(web::post().to(delete::perform_many)),
        )
        .service(web::resource("/api-keys/{id}").route(get().to(detail::show)))
        .service(
            web::resource("/api-keys/{id}/edit")
                .route(get().to(edit::show))
                .route(web::post().to(edit::perform)),
        )
        .service(
            web::resource("/api-keys/{id}/rotate")
                .route(get().to(rotate::show))
                .route(web::post().to(rotate::perform)),
        )
        .service(
            web::resource("/api-keys/{id}/delete")
                .route(get().to(delete::show))
                .route(web::post().to(delete::perform)),
        );
}

/// The id in a path. One that cannot be any is told like one that is not there.
fn id_of(path: &str) -> Result<ApiKeyId, Refused> {
    ApiKeyId::parse(path).map_err(|_| Refused::NotFound)
}
