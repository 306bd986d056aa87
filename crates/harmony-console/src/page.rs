//! How a page leaves the server.

use actix_web::{
    HttpResponse,
    cookie::Cookie,
    http::{StatusCode, header},
};
use askama::Template;

use crate::refusal::Refused;

/// Nothing from elsewhere, nothing inline, no frame, and forms that go nowhere else.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page. It is never kept by anybody: it may hold a key, and always holds a form's token.
pub(crate) fn html(status: StatusCode, page: &impl Template) -> Result<HttpResponse, Refused> {
    let text = page.render().map_err(|error| {
        tracing::error!(%error, "a page could not be written");
        Refused::Unavailable
    })?;
    Ok(HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        .insert_header(("cross-origin-opener-policy", "same-origin"))
        .insert_header(("permissions-policy", "camera=(), geolocation=(), microphone=()"))
        .body(text))
}

/// How many rows a page of a table has.
pub(crate) const ROWS: u32 = 50;
/// How many are read for it: one more says whether there is another page.
pub(crate) const READ: u32 = ROWS + 1;

/// Cuts off what was read beyond the page, and says whether there was anything.
pub(crate) fn cut<T>(rows: &mut Vec<T>) -> bool {
    let more = rows.len() > ROWS as usize;
    rows.truncate(ROWS as usize);
    more
}

/// After a form: the page that shows what became of it, which a reload may ask for again.
pub(crate) fn see_other(path: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, path))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

/// The same, with a cookie to keep or to forget.
pub(crate) fn see_other_with(path: &str, cookie: &Cookie<'_>) -> HttpResponse {
    let mut response = see_other(path);
    // A cookie of ours has no character that a header refuses.
    let _ = response.add_cookie(cookie);
    response
}
