//! Every error code that a client can be told, and what goes with it: the one table of statuses.
#![deny(clippy::wildcard_enum_match_arm)]

use actix_web::http::StatusCode;

/// A stable word for what went wrong, which programs may compare. The documentation has an entry for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// No key, or one that is malformed, unknown or deleted: one answer for all, so that nothing can be probed.
    InvalidKey,
    /// More than one `X-API-Key` header.
    DuplicateKeyHeader,
    /// A key in `Authorization`.
    KeyInAuthorization,
    /// A key in the query string, or elsewhere in the URL.
    KeyInQuery,
    /// The key has expired. Only who holds it is told.
    ExpiredKey,
    /// The caller is known and lacks a permission.
    Forbidden,
    /// The client's quota is used up.
    RateLimited,
    /// No such path, or no such thing within the caller's reach.
    NotFound,
    /// The path is known, the method is not.
    MethodNotAllowed,
    /// The body is not JSON.
    MalformedJson,
    /// The request is broken in another way, a query parameter for instance.
    MalformedRequest,
    /// The cursor is not one that was handed out.
    InvalidCursor,
    /// The body is of a type that is not understood.
    UnsupportedMediaType,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The target is longer than allowed.
    UriTooLong,
    /// The headers are larger than allowed.
    HeadersTooLarge,
    /// The body is JSON, and something in it is not acceptable.
    InvalidFields,
    /// The role is held by users or keys.
    RoleInUse,
    /// The user owns keys.
    KeysRemain,
    /// The last user who can manage roles and users cannot be removed or demoted.
    LastAdministrator,
    /// Another user has this email address.
    EmailTaken,
    /// Built-in roles cannot be changed.
    BuiltInRole,
    /// Something of that name exists.
    AlreadyExists,
    /// The resource has changed since the caller read it.
    PreconditionFailed,
    /// The idempotency key was used with another body.
    IdempotencyMismatch,
    /// The first request with this idempotency key is still running.
    IdempotencyInProgress,
    /// The server cannot answer for now.
    Unavailable,
    /// The server is at fault.
    Internal,
}

impl Code {
    /// Every code, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::InvalidKey,
        Self::DuplicateKeyHeader,
        Self::KeyInAuthorization,
        Self::KeyInQuery,
        Self::ExpiredKey,
        Self::Forbidden,
        Self::RateLimited,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::MalformedJson,
        Self::MalformedRequest,
        Self::InvalidCursor,
        Self::UnsupportedMediaType,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::UriTooLong,
        Self::HeadersTooLarge,
        Self::InvalidFields,
        Self::RoleInUse,
        Self::KeysRemain,
        Self::LastAdministrator,
        Self::EmailTaken,
        Self::BuiltInRole,
        Self::AlreadyExists,
        Self::PreconditionFailed,
        Self::IdempotencyMismatch,
        Self::IdempotencyInProgress,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The word itself, in `snake_case`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidKey => "invalid_key",
            Self::DuplicateKeyHeader => "duplicate_key_header",
            Self::KeyInAuthorization => "key_in_authorization",
            Self::KeyInQuery => "key_in_query",
            Self::ExpiredKey => "expired_key",
            Self::Forbidden => "forbidden",
            Self::RateLimited => "rate_limited",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::MalformedJson => "malformed_json",
            Self::MalformedRequest => "malformed_request",
            Self::InvalidCursor => "invalid_cursor",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::UriTooLong => "uri_too_long",
            Self::HeadersTooLarge => "headers_too_large",
            Self::InvalidFields => "invalid_fields",
            Self::RoleInUse => "role_in_use",
            Self::KeysRemain => "keys_remain",
            Self::LastAdministrator => "last_administrator",
            Self::EmailTaken => "email_taken",
            Self::BuiltInRole => "built_in_role",
            Self::AlreadyExists => "already_exists",
            Self::PreconditionFailed => "precondition_failed",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::IdempotencyInProgress => "idempotency_in_progress",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The status that goes with it.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidKey
            | Self::DuplicateKeyHeader
            | Self::KeyInAuthorization
            | Self::KeyInQuery
            | Self::ExpiredKey => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::MalformedJson | Self::MalformedRequest | Self::InvalidCursor => StatusCode::BAD_REQUEST,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::InvalidFields | Self::IdempotencyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RoleInUse
            | Self::KeysRemain
            | Self::LastAdministrator
            | Self::EmailTaken
            | Self::BuiltInRole
            | Self::AlreadyExists
            | Self::IdempotencyInProgress => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A short summary, the same for every problem of this code.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidKey => "No valid API key",
            Self::DuplicateKeyHeader => "More than one API key",
            Self::KeyInAuthorization => "API key in the wrong header",
            Self::KeyInQuery => "API key in the URL",
            Self::ExpiredKey => "Expired API key",
            Self::Forbidden => "Permission lacking",
            Self::RateLimited => "Too many requests",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::MalformedJson => "Malformed JSON",
            Self::MalformedRequest => "Malformed request",
            Self::InvalidCursor => "Invalid cursor",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::BodyTooLarge => "Body too large",
            Self::BodyTimeout => "Body too slow",
            Self::UriTooLong => "URI too long",
            Self::HeadersTooLarge => "Headers too large",
            Self::InvalidFields => "Invalid fields",
            Self::RoleInUse => "Role in use",
            Self::KeysRemain => "Keys remain",
            Self::LastAdministrator => "Last administrator",
            Self::EmailTaken => "Email address taken",
            Self::BuiltInRole => "Built-in role",
            Self::AlreadyExists => "Already exists",
            Self::PreconditionFailed => "Precondition failed",
            Self::IdempotencyMismatch => "Idempotency key used otherwise",
            Self::IdempotencyInProgress => "Idempotency key in use",
            Self::Unavailable => "Unavailable",
            Self::Internal => "Internal error",
        }
    }

    /// What the client is told when there is nothing more particular to say.
    #[must_use]
    pub const fn default_detail(self) -> &'static str {
        match self {
            Self::InvalidKey => {
                "Send a live API key in the header X-API-Key: lk_ and 64 lowercase hexadecimal digits."
            }
            Self::DuplicateKeyHeader => {
                "Send the header X-API-Key exactly once: it is not guessed which one is meant."
            }
            Self::KeyInAuthorization => {
                "An API key in Authorization is not accepted. Send it in the header X-API-Key."
            }
            Self::KeyInQuery => {
                "An API key in the URL is not accepted, and must count as exposed. Rotate it, and send it in the header X-API-Key."
            }
            Self::ExpiredKey => "This API key has expired. Ask for a new one.",
            Self::Forbidden => "The caller lacks a permission that this needs.",
            Self::RateLimited => {
                "The quota of this client is used up. Try again when the seconds in Retry-After have passed."
            }
            Self::NotFound => "There is nothing here, or nothing that the caller may see.",
            Self::MethodNotAllowed => {
                "This path does not understand the method. The header Allow names those it does."
            }
            Self::MalformedJson => "The body is not valid JSON.",
            Self::MalformedRequest => "The request cannot be understood.",
            Self::InvalidCursor => {
                "The cursor is not one that this list handed out. Start again without one."
            }
            Self::UnsupportedMediaType => "The body must be JSON, sent with Content-Type: application/json.",
            Self::BodyTooLarge => "The body is larger than this path accepts.",
            Self::BodyTimeout => "The body did not arrive in time.",
            Self::UriTooLong => "The path and the query are longer than is accepted.",
            Self::HeadersTooLarge => "The headers are larger than is accepted.",
            Self::InvalidFields => "Some fields are not acceptable; each is named in errors.",
            Self::RoleInUse => "The role is held by users or keys. Give them another one first.",
            Self::KeysRemain => {
                "The user owns API keys. Say what becomes of them: keys=delete, or keys=transfer and to."
            }
            Self::LastAdministrator => {
                "The last user who can manage roles and users can be neither removed nor demoted."
            }
            Self::EmailTaken => "Another user has this email address.",
            Self::BuiltInRole => "Built-in roles can be neither changed nor deleted.",
            Self::AlreadyExists => "Something of this name exists already.",
            Self::PreconditionFailed => "This has changed since it was read. Read it again, and decide anew.",
            Self::IdempotencyMismatch => {
                "This Idempotency-Key came before, with another body. Use a new one for a new request."
            }
            Self::IdempotencyInProgress => {
                "The first request with this Idempotency-Key is still running. Try again in a moment."
            }
            Self::Unavailable => {
                "The server cannot answer for now. Try again when the seconds in Retry-After have passed."
            }
            Self::Internal => "The server failed. The request id finds the cause in its log.",
        }
    }

    /// Whether every problem of this code must read the same, whatever is known: what a probing caller could learn from, and
    /// whatever is the server's own affair.
    #[must_use]
    pub fn is_constant(self) -> bool {
        self.status() == StatusCode::UNAUTHORIZED || self.status().is_server_error()
    }

    /// The code for an error that another crate answered with this status; `None` if there is none that fits.
    pub(crate) fn of_status(status: StatusCode) -> Option<Self> {
        match status.as_u16() {
            400 => Some(Self::MalformedRequest),
            404 => Some(Self::NotFound),
            405 => Some(Self::MethodNotAllowed),
            408 => Some(Self::BodyTimeout),
            413 => Some(Self::BodyTooLarge),
            414 => Some(Self::UriTooLong),
            415 => Some(Self::UnsupportedMediaType),
            431 => Some(Self::HeadersTooLarge),
            503 => Some(Self::Unavailable),
            500..=599 => Some(Self::Internal),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_listed_once_and_has_a_word_of_its_own() {
        let words: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        assert_eq!(Code::ALL.last(), Some(&Code::Internal));
        assert_eq!(Code::ALL.len(), Code::Internal as usize + 1, "ALL has every variant, in order");
        for word in words {
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{word}");
        }
    }

    #[test]
    fn a_status_of_another_crate_maps_to_a_code_of_the_same_status_or_to_a_constant_one() {
        for number in 400..600 {
            let status = StatusCode::from_u16(number).unwrap();
            if let Some(code) = Code::of_status(status) {
                assert!(code.status() == status || (status.is_server_error() && code == Code::Internal));
            }
        }
        assert_eq!(Code::of_status(StatusCode::IM_A_TEAPOT), None);
    }
}
