//! `/openapi.json`, a page to try it at `/docs`, and what each error code means at `/docs/errors`: all from the binary.

use std::sync::{Arc, LazyLock};

use actix_web::{HttpResponse, ResponseError, body::MessageBody, http::header, web};
use harmony_actix::{Code, Problem, get};
use utoipa_swagger_ui::Config;

use crate::openapi::DESCRIPTION;

/// Nothing comes from elsewhere. The page styles its own elements, which is why inline styles are allowed, and no script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Public, and the same until the next release.
const CACHE: &str = "public, max-age=3600";

static WRITTEN: LazyLock<String> = LazyLock::new(|| DESCRIPTION.to_string());

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/openapi.json").route(get().to(description)))
        .service(web::resource("/docs").route(get().to(to_folder)))
        .service(web::resource("/docs/errors").route(get().to(errors)))
        .service(web::resource("/docs/{file:.*}").route(get().to(page)));
}

async fn description() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, CACHE))
        .body(WRITTEN.as_str())
}

async fn to_folder() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// What surrounds Swagger UI is our own, and so is whatever its stylesheet has too pale; the rest is the library's.
async fn page(file: web::Path<String>) -> HttpResponse {
    match file.as_str() {
        "" => public("text/html; charset=utf-8", include_str!("../assets/docs.html")),
        "docs.css" => public("text/css; charset=utf-8", include_str!("../assets/docs.css")),
        "docs.js" => public("text/javascript; charset=utf-8", include_str!("../assets/docs.js")),
        theirs @ ("swagger-ui.css" | "swagger-ui-bundle.js") => {
            match utoipa_swagger_ui::serve(theirs, Arc::new(Config::default())) {
                Ok(Some(found)) => public(&found.content_type, found.bytes.into_owned()),
                Ok(None) | Err(_) => Problem::new(Code::NotFound).error_response(),
            }
        }
        _ => Problem::new(Code::NotFound).error_response(),
    }
}

fn public(media_type: &str, content: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, media_type))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::CACHE_CONTROL, CACHE))
        .body(content)
}

/// Where the `type` of every problem points.
async fn errors() -> HttpResponse {
    let entry = |code: &Code| {
        let (word, status, title, detail) =
            (code.as_str(), code.status(), code.title(), code.default_detail());
        format!("<h2 id=\"{word}\"><code>{word}</code> ({})</h2><p>{title}. {detail}</p>", status.as_u16())
    };
    let entries: String = Code::ALL.iter().map(entry).collect();
    let style = "body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;\
                 color-scheme:light dark}h2{font-size:1.1rem;margin-top:2rem}";
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Harmony: error codes</title><style>{style}</style>\
         <main><h1>Error codes</h1>{entries}</main></html>"
    );
    public("text/html; charset=utf-8", page)
}
