//! Teams: people who share what they record.

mod create;
mod delete;
mod detail;
mod list;
mod people;

use actix_web::{http::StatusCode, web};
use harmony_access::TeamId;
use harmony_workspace::Conflict;

use crate::{
    form::Mistakes,
    refusal::{Refused, sentence},
};

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .route("/teams", web::get().to(list::show))
        .service(
            web::resource("/teams/new")
                .route(web::get().to(create::show))
                .route(web::post().to(create::perform)),
        )
        .service(
            web::resource("/teams/{id}")
                .route(web::get().to(detail::show))
                .route(web::post().to(detail::rename)),
        )
        .route("/teams/{id}/people", web::post().to(people::add))
        .route("/teams/{id}/people/{user}/remove", web::post().to(people::remove))
        .service(
            web::resource("/teams/{id}/delete")
                .route(web::get().to(delete::show))
                .route(web::post().to(delete::perform)),
        );
}

/// The id in a path. One that cannot be any is told like one that is not there.
fn id_of(path: &str) -> Result<TeamId, Refused> {
    TeamId::parse(path).map_err(|_| Refused::NotFound)
}

/// What was wrong with a team's name, and the status to say it with. Anything else has a page of its own.
fn mistakes_of(refused: Refused) -> Result<(StatusCode, Mistakes), Refused> {
    match refused {
        Refused::Conflict(why @ Conflict::NameTaken { .. }) => {
            let mut mistakes = Mistakes::default();
            mistakes.add("name", sentence(&why.to_string()));
            Ok((StatusCode::CONFLICT, mistakes))
        }
        other => Ok((StatusCode::UNPROCESSABLE_ENTITY, Mistakes::of(other)?)),
    }
}
