//! Query parameters on a route that takes none: whoever sends some means something, and is told that nobody listens.

use std::future::{Ready, ready};

use actix_web::{
    Error,
    dev::{Service, ServiceRequest, ServiceResponse},
    http::Method,
};
use futures_util::future::Either;
use harmony_actix::Problem;
use serde::Deserialize;
use serde_json::Value;

use crate::{list::Query, openapi::DESCRIPTION};

/// No parameter at all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Refuses them by name, as the other routes do with those that they do not know. One middleware for all routes, which asks the
/// description: what is not written there is not read either.
pub(crate) fn refuse<S>(
    request: ServiceRequest,
    inside: &S,
) -> Either<S::Future, Ready<Result<ServiceResponse, Error>>>
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = Error>,
{
    match judge(&request) {
        Ok(()) => Either::Left(inside.call(request)),
        Err(problem) => Either::Right(ready(Ok(request.error_response(problem)))),
    }
}

fn judge(request: &ServiceRequest) -> Result<(), Problem> {
    let query = request.query_string();
    if query.is_empty() || !takes_none(request).unwrap_or(false) {
        return Ok(());
    }
    Query::<Nothing>::read(query).map(drop)
}

/// Nothing for a path or a method that is not described: those are refused as such.
fn takes_none(request: &ServiceRequest) -> Option<bool> {
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    // The path as it is routed: `%61` is an `a`.
    let pattern = request.resource_map().match_pattern(request.match_info().as_str())?;
    let path = DESCRIPTION.get("paths")?.get(pattern)?;
    let operation = path.get(method.as_str().to_ascii_lowercase())?;
    let mut parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    Some(!parameters.any(|parameter| parameter.get("in").is_some_and(|place| place == "query")))
}
