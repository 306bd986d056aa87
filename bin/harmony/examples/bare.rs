//! What the framework alone can do: a server of the same making as `harmony serve`, with one route that answers the
//! bytes of `GET /v1/whoami` (from a file) and checks nothing. `benches/http.sh` measures the corridor against it.
//!
//! ```sh
//! cargo run --release -p harmony --example bare -- 127.0.0.1:8082 whoami.json
//! ```

use std::{error::Error, io::Write as _, net::SocketAddr, path::PathBuf, time::Duration};

use actix_web::{App, HttpResponse, HttpServer, http::header::ContentType, web};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(body)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bare ADDRESS:PORT FILE".into());
    };
    let body = web::Bytes::from(std::fs::read(PathBuf::from(body))?);
    actix_web::rt::System::new().block_on(serve(address.parse()?, body))
}

/// Workers, time limits and keep-alive are those of `harmony serve`.
async fn serve(address: SocketAddr, body: web::Bytes) -> Result<(), Box<dyn Error>> {
    let app = move || {
        let body = body.clone();
        let answer = move || {
            let body = body.clone();
            async move { HttpResponse::Ok().content_type(ContentType::json()).body(body) }
        };
        App::new().route("/v1/whoami", web::get().to(answer))
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let server = HttpServer::new(app)
        .workers(cores)
        .client_request_timeout(Duration::from_secs(10))
        .keep_alive(Duration::from_secs(75))
        .bind(address)?;
    let mut out = std::io::stdout().lock();
    for address in server.addrs() {
        writeln!(out, "listening on http://{address}")?;
    }
    out.flush()?;
    drop(out);
    Ok(server.run().await?)
}
