//! What only a real connection shows: when it is closed, and what a panic leaves of the server.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    web::{self, Payload},
};
use harmony_actix::{ClientAddr, Edge, Problem, SystemClock, not_found, read_body_within};

async fn read(request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    let body = read_body_within(request.headers(), payload.into_inner(), 10, Duration::ZERO).await?;
    Ok(HttpResponse::Ok().body(body))
}

async fn panics() -> HttpResponse {
    panic!("a secret")
}

/// Sends these bytes to a server of one's own, and reads until the server closes the connection.
async fn exchange(sent: &'static str) -> String {
    let app = || {
        App::new()
            .wrap(Edge::new(Arc::new(SystemClock), Arc::new(ClientAddr::default())))
            .route("/read", web::post().to(read))
            .route("/panic", web::get().to(panics))
            .route("/fine", web::get().to(|| async { "fine" }))
            .default_service(web::to(not_found))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    let received = web::block(move || talk(address, sent)).await.unwrap();
    handle.stop(false).await;
    received
}

fn talk(address: SocketAddr, sent: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    connection.write_all(sent.as_bytes()).unwrap();
    let mut received = Vec::new();
    connection.read_to_end(&mut received).unwrap();
    String::from_utf8(received).unwrap()
}

#[actix_web::test]
async fn a_body_that_stalls_is_answered_408_and_the_connection_is_closed() {
    let received = exchange("POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1").await;
    assert!(received.starts_with("HTTP/1.1 408 "), "{received}");
    assert!(
        received.contains("\"code\":\"body_timeout\"") && received.contains("connection: close"),
        "{received}"
    );
}

#[actix_web::test]
async fn a_body_that_will_be_too_large_is_not_waited_for() {
    let received = exchange("POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n1").await;
    assert!(received.starts_with("HTTP/1.1 413 "), "{received}");
    assert!(received.contains("\"code\":\"body_too_large\""), "{received}");
}

#[actix_web::test]
async fn a_panic_ends_its_request_and_not_the_connection() {
    let received = exchange(
        "GET /panic HTTP/1.1\r\nhost: x\r\nx-request-id: p-1\r\n\r\n\
         GET /fine HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(received.starts_with("HTTP/1.1 500 "), "{received}");
    assert!(
        received.contains("\"request_id\":\"p-1\"") && received.contains("x-request-id: p-1"),
        "{received}"
    );
    assert!(received.ends_with("fine") && !received.contains("secret"), "{received}");
}

#[actix_web::test]
async fn a_path_that_does_not_decode_is_an_unknown_path() {
    for target in ["/%ff", "/%zz", "/%00", "/a/../read", "//"] {
        let sent = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let received = exchange(sent.leak()).await;
        assert!(
            received.starts_with("HTTP/1.1 404 ") && received.contains("not_found"),
            "{target}: {received}"
        );
    }
}
