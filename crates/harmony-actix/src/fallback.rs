//! Routes for GET, and what answers when no route does.

use actix_web::{HttpResponse, Route, guard, web};

use crate::{Code, Problem};

/// A route for GET and HEAD, which every server answers alike (RFC 9110 §9.1); the framework leaves the body of an answer to HEAD
/// away, and a resource names both in the `Allow` of its 405. `web::get()` is for GET alone.
#[must_use]
pub fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// 404, for `default_service(web::to(not_found))` of an application or a scope.
///
/// # Errors
///
/// Always.
pub async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::new(Code::NotFound))
}
