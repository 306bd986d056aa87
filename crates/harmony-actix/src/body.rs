//! Reading a body with an end in sight, in bytes and in seconds.

use std::time::Duration;

use actix_web::{
    HttpRequest,
    dev::Payload,
    error::PayloadError,
    http::header::{self, HeaderMap},
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use crate::{Code, Problem};

/// How long a body may take, from its first byte to its last. The framework itself waits for ever.
pub const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// The most bytes that are set aside because a client says that it will send them.
const MAX_RESERVED_BYTES: usize = 16 * 1024;

/// Reads the whole body as it was sent; a `Content-Encoding` is not undone.
///
/// # Errors
///
/// [`Code::BodyTooLarge`] beyond `max_bytes`, at once if `Content-Length` says so; [`Code::BodyTimeout`] after
/// [`BODY_DEADLINE`]; [`Code::MalformedRequest`] if the transfer breaks.
pub async fn read_body(request: &HttpRequest, payload: Payload, max_bytes: usize) -> Result<Bytes, Problem> {
    read_body_within(request.headers(), payload, max_bytes, BODY_DEADLINE).await
}

/// The same with another deadline, for imports for instance.
///
/// # Errors
///
/// As [`read_body`].
pub async fn read_body_within(
    headers: &HeaderMap,
    payload: Payload,
    max_bytes: usize,
    deadline: Duration,
) -> Result<Bytes, Problem> {
    let declared = declared_bytes(headers);
    if declared.is_some_and(|bytes| bytes > max_bytes) {
        return Err(too_large(max_bytes));
    }
    let reserved = declared.unwrap_or(0).min(MAX_RESERVED_BYTES);
    let whole = collect(payload, max_bytes, reserved);
    tokio::time::timeout(deadline, whole).await.unwrap_or_else(|_| {
        let secs = deadline.as_secs();
        Err(Problem::new(Code::BodyTimeout)
            .with_detail(format!("The body did not arrive within {secs} seconds.")))
    })
}

async fn collect(mut payload: Payload, max_bytes: usize, reserved: usize) -> Result<Bytes, Problem> {
    let mut whole = BytesMut::with_capacity(reserved);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| broken(error, max_bytes))?;
        if chunk.len() > max_bytes.saturating_sub(whole.len()) {
            return Err(too_large(max_bytes));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

fn declared_bytes(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(max_bytes: usize) -> Problem {
    Problem::new(Code::BodyTooLarge).with_detail(format!("The body may have {max_bytes} bytes at most."))
}

fn broken(error: PayloadError, max_bytes: usize) -> Problem {
    if matches!(error, PayloadError::Overflow) {
        return too_large(max_bytes);
    }
    Problem::new(Code::MalformedRequest)
        .with_detail("The body ended before it was complete, or is wrongly framed.")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use futures_util::{Stream, stream};

    use super::*;

    async fn read(headers: &HeaderMap, payload: Payload, max_bytes: usize) -> Result<Bytes, Code> {
        read_body_within(headers, payload, max_bytes, BODY_DEADLINE).await.map_err(|problem| problem.code())
    }

    fn streamed(stream: impl Stream<Item = Result<Bytes, PayloadError>> + 'static) -> Payload {
        Payload::Stream { payload: Box::pin(stream) }
    }

    fn chunks(chunks: &'static [&'static [u8]]) -> Payload {
        streamed(stream::iter(chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk)))))
    }

    fn declared(bytes: u64) -> HttpRequest {
        TestRequest::post().insert_header((header::CONTENT_LENGTH, bytes)).to_http_request()
    }

    #[actix_web::test]
    async fn a_body_of_the_limit_is_read_and_one_byte_more_is_not() {
        let none = HeaderMap::new();
        assert_eq!(read(&none, chunks(&[b"123", b"45"]), 5).await, Ok(Bytes::from_static(b"12345")));
        assert_eq!(read(&none, chunks(&[b"123", b"456"]), 5).await, Err(Code::BodyTooLarge));
        assert_eq!(read(&none, chunks(&[]), 0).await, Ok(Bytes::new()));
    }

    #[actix_web::test]
    async fn a_length_beyond_the_limit_is_refused_before_a_byte_is_read() {
        let never = streamed(stream::pending());
        assert_eq!(read(declared(6).headers(), never, 5).await, Err(Code::BodyTooLarge));
        assert_eq!(
            read(declared(5).headers(), chunks(&[b"12345"]), 5).await,
            Ok(Bytes::from_static(b"12345"))
        );
    }

    #[actix_web::test]
    async fn a_body_that_stalls_is_cut_at_the_deadline() {
        let first = stream::iter([Ok(Bytes::from_static(b"1"))]).chain(stream::pending());
        let read = read_body_within(&HeaderMap::new(), streamed(first), 5, Duration::ZERO).await;
        assert_eq!(read.unwrap_err().code(), Code::BodyTimeout);
    }

    #[actix_web::test]
    async fn a_broken_transfer_is_the_clients_fault() {
        let broken = streamed(stream::iter([Err(PayloadError::Incomplete(None))]));
        assert_eq!(read(&HeaderMap::new(), broken, 5).await, Err(Code::MalformedRequest));
    }
}
