//! Teams: people who share what they record.

mod create;
mod delete;
mod detail;
mod list;
mod people;

use actix_web::{http::StatusCode, web};
use harmony_access::TeamId;
use harmony_actix::get;
use harmony_workspace::Conflict;

use crate::{
    form::Mistakes,
    refusal::{Refused, sentence},
};

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/teams").route(get().to(list::show)))
        .service(
            web::resource("/teams/new").route(get().to(create::show)).route(web::post().to(create::perform)),
        )
        .service(
            web::resource("/teams/{id}").route(get().to(detail::show)).route(web::post().to(detail::rename)),
        )
        .service(web::resource("/teams/{id}/people").route(web::post().to(people::add)))
        .service(web::resource("/teams/{id}/people/{user}/remove").route(web::post().to(people::remove)))
        .service(
            web::resource("/teams/{id}/delete")
                .route(get().to(delete::show))
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
