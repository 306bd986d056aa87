//! Extractors: proof, in a handler's signature, of who calls and what they may do.

use std::{
    future::{Ready, ready},
    marker::PhantomData,
};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use harmony_access::{Principal, Reach};
use harmony_permission::{Action, Scope};

use crate::{Caller, Code, Problem};

/// The permission that a handler needs, as a type.
pub trait Requirement: 'static {
    /// What the handler does.
    const ACTION: Action;
    /// The narrowest scope that will do.
    const SCOPE: Scope = Scope::Own;
}

/// Proof that the caller holds `R`. On a route outside the guard nobody does.
pub struct Granted<R> {
    principal: Principal,
    reach: Reach,
    requirement: PhantomData<R>,
}

/// Proof that the caller came with a live key, which may hold nothing.
pub struct Authenticated {
    principal: Principal,
}

impl<R> Granted<R> {
    /// Who calls.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Who calls.
    #[must_use]
    pub fn into_principal(self) -> Principal {
        self.principal
    }

    /// How far they may go.
    #[must_use]
    pub const fn reach(&self) -> &Reach {
        &self.reach
    }
}

impl Authenticated {
    /// Who calls.
    #[must_use]
    pub fn into_principal(self) -> Principal {
        self.principal
    }
}

impl<R: Requirement> FromRequest for Granted<R> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(principal(request).and_then(|principal| {
            let required = R::ACTION.at(R::SCOPE);
            let held =
                principal.permissions().allows(&required).then(|| principal.reach(&R::ACTION)).flatten();
            let reach = held.ok_or_else(|| Problem::forbidden(&required))?;
            Ok(Self { principal, reach, requirement: PhantomData })
        }))
    }
}

impl FromRequest for Authenticated {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(principal(request).map(|principal| Self { principal }))
    }
}

fn principal(request: &HttpRequest) -> Result<Principal, Problem> {
    request.extensions().get::<Caller>().map(|caller| caller.principal.clone()).ok_or_else(|| {
        tracing::error!(
            route = request.match_pattern(),
            "a route that needs a caller is mounted outside the guard"
        );
        Problem::new(Code::Internal)
    })
}
