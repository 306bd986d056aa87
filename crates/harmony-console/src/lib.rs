//! The web pages: people set the workspace up, sign in, and manage keys, roles, users and teams.
//!
//! Pages are written on the server from templates that are checked while compiling; every form works without JavaScript.
//! A handler takes a `session::SignedIn` as its proof of who is asking, calls the use cases that the JSON API calls too,
//! and nothing below them. What a person may not see is not shown, and is 404 when its address is typed.
//!
//! # How to add a page
//!
//! 1. A template in `templates/` that extends `layout.html`, and its struct, whose field `shell` comes from
//!    `session::SignedIn::shell`. The pieces in `templates/pieces.html` say how each is used.
//! 2. A handler that returns `Result<HttpResponse, Refused>`: `page::html` for the page, `page::see_other` after a form.
//!    A form arrives as `form::Posted`, which cannot be read without the check that it came from one of our own pages.
//! 3. Its resource in the module's `mount`, with `get()` for the page and a POST for its form, and its line in the side bar in
//!    `shell.rs` if it is a section.

mod account;
mod api_keys;
mod assets;
mod audit_log;
mod form;
mod general;
mod matrix;
mod origin;
mod page;
mod permits;
mod refusal;
mod roles;
mod session;
mod setup;
mod shell;
mod sign_in;
mod teams;
mod users;
mod words;

use std::{sync::Arc, time::Duration};

use actix_web::{HttpResponse, middleware::from_fn, web};
use harmony_workspace::{Answered, Error, Workspace};

pub use origin::{PublicUrl, PublicUrlError};

use crate::refusal::Refused;

/// What the pages work with.
#[derive(Clone)]
pub struct Console {
    workspace: Workspace,
    limit: RateLimit,
    public_url: Option<PublicUrl>,
    hashing: Arc<tokio::sync::Semaphore>,
    throttle: Arc<sign_in::Throttle>,
}

/// What is said of the rate limit.
#[derive(Debug, Clone, Copy)]
pub struct RateLimit {
    /// Requests in a window.
    pub requests: u32,
    /// The length of a window, in seconds.
    pub window_secs: u64,
}

/// How many passwords are hashed at once: each takes 19 MiB and tens of milliseconds of a core.
const HASHED_AT_ONCE: usize = 2;
/// How long one waits for one's turn.
const HASHING_PATIENCE: Duration = Duration::from_secs(5);

impl Console {
    /// Over these use cases. With a public URL the pages answer to that name; with an `https` one, cookies are secure.
    #[must_use]
    pub fn new(workspace: Workspace, limit: RateLimit, public_url: Option<PublicUrl>) -> Self {
        let hashing = Arc::new(tokio::sync::Semaphore::new(HASHED_AT_ONCE));
        Self { workspace, limit, public_url, hashing, throttle: Arc::default() }
    }

    /// Runs a use case on a blocking thread, when it is its turn.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Workspace) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refused> {
        let workspace = self.workspace.clone();
        let turns = self.workspace.store().use_cases();
        Ok(turns.run(move || work(&workspace)).await?)
    }

    /// Runs a use case that hashes a password, when it is its turn. The turn lasts as long as the hashing, whether or not the
    /// client still waits for it.
    async fn hash<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Workspace) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refused> {
        let turn = tokio::time::timeout(HASHING_PATIENCE, Arc::clone(&self.hashing).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(Refused::Unavailable)?;
        self.run(move |workspace| {
            let _turn = turn;
            work(workspace)
        })
        .await
    }

    /// Runs a use case that may take access away, and waits until no process accepts any more what it took.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Workspace) -> Result<Answered<T>, Error> + Send + 'static,
    ) -> Result<T, Refused> {
        self.run(|workspace| Ok(workspace.settle(work(workspace))?.0)).await
    }
}

/// Mounts the pages and what they are made of, after everything else: the last scope is for every path.
pub fn mount(config: &mut web::ServiceConfig, console: &Console) {
    config.app_data(web::Data::new(console.clone()));
    config.configure(assets::mount);
    config.service(
        web::scope("/settings")
            .configure(general::mount)
            .configure(users::mount)
            .configure(teams::mount)
            .configure(roles::mount)
            .configure(api_keys::mount)
            .configure(audit_log::mount)
            .default_service(web::to(nothing_here))
            .wrap(from_fn(refusal::of_method))
            .wrap(from_fn(refusal::in_place)),
    );
    config.service(
        web::scope("")
            .configure(setup::mount)
            .configure(sign_in::mount)
            .configure(account::mount)
            .wrap(from_fn(refusal::of_method)),
    );
}

async fn nothing_here() -> Result<HttpResponse, Refused> {
    Err(Refused::NotFound)
}
