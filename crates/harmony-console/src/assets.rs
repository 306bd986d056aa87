//! The stylesheet and the script, in the binary, under addresses that change with their content.

use std::sync::LazyLock;

use actix_web::{HttpResponse, http::header, middleware::Compress, web};
use harmony_actix::get;
use harmony_key::Fingerprint;

/// One file.
pub(crate) struct Asset {
    content: &'static str,
    media_type: &'static str,
    path: LazyLock<String>,
}

pub(crate) static STYLE: Asset = Asset {
    content: include_str!("../assets/console.css"),
    media_type: "text/css; charset=utf-8",
    path: LazyLock::new(|| address(include_str!("../assets/console.css"), "console.css")),
};
pub(crate) static SCRIPT: Asset = Asset {
    content: include_str!("../assets/console.js"),
    media_type: "text/javascript; charset=utf-8",
    path: LazyLock::new(|| address(include_str!("../assets/console.js"), "console.js")),
};
static ICON: Asset = Asset {
    content: include_str!("../assets/icon.svg"),
    media_type: "image/svg+xml",
    path: LazyLock::new(|| address(include_str!("../assets/icon.svg"), "icon.svg")),
};

impl Asset {
    /// Where it is served.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

pub(crate) fn icon_path() -> &'static str {
    ICON.path()
}

/// A browser that has it never asks again: another content has another address.
fn address(content: &str, name: &str) -> String {
    let digest = Fingerprint::of(&[content.as_bytes()]);
    let version =
        digest.as_bytes().iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    format!("/assets/{version}/{name}")
}

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    let mut scope = web::scope("/assets");
    for asset in [&STYLE, &SCRIPT, &ICON] {
        let path = asset.path().trim_start_matches("/assets");
        scope = scope.service(web::resource(path).route(get().to(move || async move { serve(asset) })));
    }
    config.service(scope.wrap(Compress::default()));
}

fn serve(asset: &Asset) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(asset.media_type)
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(asset.content)
}
