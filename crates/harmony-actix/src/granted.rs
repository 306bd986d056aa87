//! The permission in the type of a handler's argument.

use std::{
    future::{Ready, ready},
    marker::PhantomData,
    rc::Rc,
};

use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload};
use harmony_access::{Principal, Reach};
use harmony_permission::{Action, Permission, Scope};

use crate::{Problem, RequestContext};

/// What a route needs, as a type: `struct ReadConversations; impl Requirement for ReadConversations { … }`.
pub trait Requirement: 'static {
    /// The action, at whatever scope; how far it goes is [`Granted::reach`].
    const ACTION: Action;
    /// The narrowest scope that will do. `own` suits what a user can own.
    const NARROWEST: Scope = Scope::Own;
}

/// Proof that the caller may do `R`, and how far. A handler that takes one is reached by nobody else.
///
/// Who lacks it gets 403, naming what is required and what is held. On a route outside the [`crate::Guard`] everybody gets
/// 500: it fails closed.
#[derive(Debug, Clone)]
pub struct Granted<R> {
    principal: Principal,
    reach: Reach,
    requirement: PhantomData<fn() -> R>,
}

impl<R> Granted<R> {
    /// Who is calling.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// How far the caller may go with this.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.reach
    }
}

impl<R: Requirement> FromRequest for Granted<R> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(recognised(request).and_then(|principal| {
            let reach = reach_of(&principal, R::ACTION, R::NARROWEST)?;
            Ok(Self { principal: Principal::clone(&principal), reach, requirement: PhantomData })
        }))
    }
}

/// Proof that the caller came with a live key, for routes that need nothing more. It stays on its thread, as the request does.
#[derive(Debug, Clone)]
pub struct Authenticated {
    principal: Rc<Principal>,
}

impl Authenticated {
    /// Who is calling.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }
}

impl FromRequest for Authenticated {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(recognised(request).map(|principal| Self { principal }))
    }
}

fn recognised(request: &HttpRequest) -> Result<Rc<Principal>, Problem> {
    let extensions = request.extensions();
    let principal = extensions.get::<RequestContext>().and_then(RequestContext::principal);
    principal
        .cloned()
        .ok_or_else(|| Problem::internal("a route that needs a principal is mounted outside the guard"))
}

fn reach_of(principal: &Principal, action: Action, narrowest: Scope) -> Result<Reach, Problem> {
    let held = principal.permissions().scope_of(&action);
    match principal.reach(&action) {
        Some(reach) if held.is_some_and(|scope| scope >= narrowest) => Ok(reach),
        Some(_) | None => Err(Problem::forbidden(&action.at(narrowest), &held_of(principal, &action))),
    }
}

/// What is held for the same resource.
fn held_of(principal: &Principal, action: &Action) -> Vec<Permission> {
    let mut held = principal.permissions().to_permissions();
    held.retain(|permission| permission.action().resource() == action.resource());
    held
}
