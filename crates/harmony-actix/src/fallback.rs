//! What answers when no route does.

use std::future::ready;

use actix_web::{HttpResponse, Route, web};

use crate::{Code, Problem};

/// 404, for `default_service(web::to(not_found))` of an application or a scope.
///
/// # Errors
///
/// Always.
pub async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::new(Code::NotFound))
}

/// 405 with `Allow`, for `default_service` of a resource: whatever method has no route there gets it, TRACE and made-up ones
/// included. `allow` lists the methods that have one, such as `GET, POST`.
pub fn resource_default(allow: &'static str) -> Route {
    web::to(move || ready(Err::<HttpResponse, _>(Problem::method_not_allowed(allow))))
}
