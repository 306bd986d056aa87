//! Bodies, with a bound on their size and on their time: actix-web alone never cuts one that stalls.

use std::time::Duration;

use actix_web::{HttpRequest, http::header, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::{Code, Problem};

/// The most bytes of a body, unless a route says otherwise: 1 MiB.
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// How long a whole body may take to arrive.
pub const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// Reads a body.
///
/// # Errors
///
/// When it has more than `most` bytes, does not arrive within [`BODY_DEADLINE`], or breaks off.
pub async fn read_body(request: &HttpRequest, payload: web::Payload, most: usize) -> Result<Bytes, Problem> {
    let too_large =
        || Problem::detailed(Code::BodyTooLarge, format!("A body here has at most {most} bytes."));
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    let arrived = tokio::time::timeout(BODY_DEADLINE, collect(payload, most)).await;
    arrived.map_err(|_| Problem::new(Code::BodyTimeout))?.map_err(|broken| match broken {
        Broken::TooLarge => too_large(),
        Broken::Off => Problem::detailed(Code::MalformedRequest, "The body broke off."),
    })
}

enum Broken {
    TooLarge,
    Off,
}

async fn collect(mut payload: web::Payload, most: usize) -> Result<Bytes, Broken> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Broken::Off)?;
        if body.len() + chunk.len() > most {
            return Err(Broken::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
