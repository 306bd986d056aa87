//! JSON: the `/v1` routes and their OpenAPI description.
//!
//! A handler here names its permission in its signature, reads its input into types, calls one use case on a blocking
//! thread, and writes what that answered. What may be done, and what it does, is decided below.

mod api_keys;
mod ask;
mod audit_events;
mod body;
mod conversations;
mod created;
mod docs;
mod list;
mod needs;
mod no_query;
mod openapi;
mod refusal;
mod roles;
mod teams;
mod users;
mod verify;
mod whoami;
mod workspace;

use std::fmt::Write as _;

use actix_web::{HttpResponse, web};
use harmony_actix::{Guard, Limiter, Problem, not_found};
use harmony_workspace::{Answered, Error, Workspace, barrier::Waited};

pub use api_keys::{api_key_json, issued_json};
pub use openapi::openapi;

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    workspace: Workspace,
}

impl Api {
    /// Over these use cases.
    #[must_use]
    pub const fn new(workspace: Workspace) -> Self {
        Self { workspace }
    }

    /// Runs a use case on a blocking thread, when it is its turn.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Workspace) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let workspace = self.workspace.clone();
        let turns = self.workspace.store().use_cases();
        turns.run(move || work(&workspace)).await.map_err(refusal::problem)
    }

    /// Runs a use case that may take access away, and waits until no process accepts any more what it took.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Workspace) -> Result<Answered<T>, Error> + Send + 'static,
    ) -> Result<Changed<T>, Problem> {
        self.run(|workspace| {
            let (value, waited) = workspace.settle(work(workspace))?;
            Ok(Changed { value, told: waited.as_ref().map(told) })
        })
        .await
    }
}

/// `acknowledged=3, expired=0, waited_ms=7`.
fn told(waited: &Waited) -> String {
    let mut told = format!("acknowledged={}, expired={}", waited.acknowledged, waited.expired);
    if let Some(span) = waited.span {
        let _ = write!(told, ", waited_ms={}", span.as_millis());
    }
    told
}

/// A change after the barrier.
struct Changed<T> {
    value: T,
    /// How the barrier went, for the `Harmony-Revocation` header.
    told: Option<String>,
}

impl<T> Changed<T> {
    fn answer(&self, mut answer: actix_web::HttpResponseBuilder) -> actix_web::HttpResponseBuilder {
        if let Some(told) = &self.told {
            answer.insert_header(("harmony-revocation", told.as_str()));
        }
        answer
    }

    fn no_content(&self) -> HttpResponse {
        self.answer(HttpResponse::NoContent()).finish()
    }
}

/// Mounts the guarded `/v1`, the OpenAPI description and the documentation page.
pub fn mount<M: Limiter + 'static>(config: &mut web::ServiceConfig, api: &Api, guard: Guard<M>) {
    let v1 = web::scope("/v1")
        .app_data(web::Data::new(api.clone()))
        .configure(whoami::mount)
        .configure(verify::mount)
        .configure(api_keys::mount)
        .configure(conversations::mount)
        .configure(roles::mount)
        .configure(users::mount)
        .configure(teams::mount)
        .configure(workspace::mount)
        .configure(audit_events::mount)
        .default_service(web::to(not_found))
        .wrap_fn(no_query::refuse)
        .wrap(guard);
    config.service(v1);
    config.configure(docs::mount);
}
