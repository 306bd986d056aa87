//! Where a request may carry its key, and where it must not.

use actix_web::{dev::RequestHead, http::header};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use harmony_key::{KEY_LENGTH, KeyDigest, LastFour, PREFIX, PresentedKey};
use std::borrow::Cow;

use crate::Code;

/// The header that carries the key.
pub const KEY_HEADER: &str = "x-api-key";

/// The longest path and query that are looked at, in bytes. What browsers and proxies agree on is about 8,000.
pub const MAX_TARGET_BYTES: usize = 8 * 1024;

/// A key in its place, consumed by its digest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credential {
    pub(crate) digest: KeyDigest,
    pub(crate) last_four: LastFour,
}

/// Why there is none to go on with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NoCredential {
    Refused(Code),
    /// A key in the URL: refused too, and worth a warning.
    Exposed(Credential),
}

impl Credential {
    /// The one key of a request. A key in the URL or in `Authorization` is refused even beside a good one: it is not guessed
    /// which is meant, and whoever sends it there must learn of it.
    pub(crate) fn of(head: &RequestHead) -> Result<Self, NoCredential> {
        in_target(head)?;
        if head.headers.get_all(header::AUTHORIZATION).any(|value| brings_a_key(value.as_bytes())) {
            return Err(NoCredential::Refused(Code::KeyInAuthorization));
        }
        let mut all = head.headers.get_all(KEY_HEADER);
        match (all.next(), all.next()) {
            (Some(only), None) => Self::parse(only.as_bytes()).ok_or(NoCredential::Refused(Code::InvalidKey)),
            (Some(_), Some(_)) => Err(NoCredential::Refused(Code::DuplicateKeyHeader)),
            (None, _) if names_a_key(head.uri.query()) => Err(NoCredential::Refused(Code::KeyInQuery)),
            (None, _) => Err(NoCredential::Refused(Code::InvalidKey)),
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let key = PresentedKey::parse(text).ok()?;
        Some(Self { last_four: key.last_four(), digest: key.digest() })
    }
}

/// Whether the key in the header has its check digits. That costs a digest of its own, which a key in memory need not pay: so it
/// is asked of unknown keys only.
pub(crate) fn has_check_digits(head: &RequestHead) -> bool {
    let key = head.headers.get(KEY_HEADER).and_then(|text| PresentedKey::parse(text.as_bytes()).ok());
    key.is_some_and(|key| key.has_check_digits())
}

fn in_target(head: &RequestHead) -> Result<(), NoCredential> {
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    if target.len() > MAX_TARGET_BYTES {
        return Err(NoCredential::Refused(Code::UriTooLong));
    }
    let decoded = percent_decoded(target.as_bytes());
    match key_in(&decoded) {
        Some(key) => Err(NoCredential::Exposed(key)),
        None => Ok(()),
    }
}

/// The first key in a text, wherever it begins.
fn key_in(text: &[u8]) -> Option<Credential> {
    let mut windows = text.windows(KEY_LENGTH).filter(|window| window.starts_with(PREFIX.as_bytes()));
    windows.find_map(Credential::parse)
}

const BASIC: &[u8] = b"basic ";
/// Padding may be missing: what matters is whether a key is in it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether credentials hold a key in the clear, a word that begins like one, or are `Basic` ones (RFC 7617) with a key as the user
/// or the password. The three letters alone, somewhere in a token of somebody else's, are nobody's key.
fn brings_a_key(credentials: &[u8]) -> bool {
    let begins_like_one = |word: &[u8]| word.starts_with(PREFIX.as_bytes());
    credentials.split(u8::is_ascii_whitespace).any(begins_like_one) || key_in(credentials).is_some() || {
        let (scheme, encoded) = credentials.split_at_checked(BASIC.len()).unwrap_or_default();
        scheme.eq_ignore_ascii_case(BASIC)
            && BASE64.decode(encoded.trim_ascii()).is_ok_and(|pair| key_in(&pair).is_some())
    }
}

/// Whether a query parameter has a name that people give to keys.
fn names_a_key(query: Option<&str>) -> bool {
    const NAMES: [&str; 6] = ["api_key", "api-key", "apikey", "x-api-key", "x_api_key", "key"];
    let names = |pair: &str| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    query.is_some_and(|query| query.split('&').any(names))
}

fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        let (byte, tail) = match (byte, tail) {
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (*byte, tail),
            },
            _ => (*byte, tail),
        };
        decoded.push(byte);
        rest = tail;
    }
    Cow::Owned(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use actix_web::{http::header::HeaderName, test::TestRequest};
    use harmony_key::ApiKey;

    use super::*;

    fn judge(target: &str, headers: &[(&'static str, &str)]) -> &'static str {
        let mut request = TestRequest::get().uri(target);
        for (name, value) in headers {
            request = request.append_header((HeaderName::from_static(name), *value));
        }
        match Credential::of(request.to_request().head()) {
            Ok(_) => "accepted",
            Err(NoCredential::Refused(code)) => code.as_str(),
            Err(NoCredential::Exposed(_)) => "exposed",
        }
    }

    #[test]
    fn exactly_one_header_carries_the_key() {
        let key = ApiKey::from_secret([7; 28]);
        let key = key.reveal();
        assert_eq!(judge("/", &[("x-api-key", key)]), "accepted");
        assert_eq!(judge("/", &[]), "invalid_key");
        assert_eq!(judge("/", &[("x-api-key", "")]), "invalid_key");
        assert_eq!(judge("/", &[("x-api-key", &format!("{key}0"))]), "invalid_key");
        assert_eq!(judge("/", &[("x-api-key", &format!("{key}, {key}"))]), "invalid_key");
        assert_eq!(judge("/", &[("x-api-key", key), ("x-api-key", key)]), "duplicate_key_header");
        assert_eq!(judge("/", &[("x-api-key", key), ("x-api-key", "")]), "duplicate_key_header");
    }

    #[test]
    fn a_key_in_authorization_is_told_and_other_credentials_there_are_nobodys_business() {
        let key = ApiKey::from_secret([7; 28]);
        let key = key.reveal();
        let bearer = format!("Bearer {key}");
        assert_eq!(judge("/", &[("authorization", &bearer)]), "key_in_authorization");
        assert_eq!(judge("/", &[("authorization", key), ("x-api-key", key)]), "key_in_authorization");
        assert_eq!(
            judge("/", &[("authorization", "Bearer lk_abc"), ("x-api-key", key)]),
            "key_in_authorization"
        );
        assert_eq!(judge("/", &[("authorization", "Basic dXNlcjpwYXNz"), ("x-api-key", key)]), "accepted");
        assert_eq!(judge("/", &[("authorization", "Basic dXNlcjpwYXNz")]), "invalid_key");
    }

    /// The user, the password, the user without a password, both, and a password with a line's end; encoded by another program.
    #[test]
    fn a_key_as_the_user_or_the_password_of_basic_credentials_is_told() {
        let key = format!("lk_{}", "123456789abcdef0".repeat(4));
        for basic in [
            "bGtfMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDo=",
            "YW5uOmxrXzEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjA=",
            "bGtfMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMA==",
            "bGtfMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDpsa18xMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYw",
            "YW5uOmxrXzEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAK",
        ] {
            for scheme in ["Basic ", "basic  "] {
                let value = format!("{scheme}{basic}");
                assert_eq!(judge("/", &[("authorization", &value)]), "key_in_authorization", "{value}");
                let both = [("authorization", value.as_str()), ("x-api-key", &key)];
                assert_eq!(judge("/", &both), "key_in_authorization");
            }
        }
        let clear = format!("Basic {key}");
        assert_eq!(judge("/", &[("authorization", &clear)]), "key_in_authorization");
        for other in [
            "Basic c2lsa19yb2FkOnBhc3M=",
            "Basic YW5uOmxrXzEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg==",
            "Bearer abc.silk_roadxyz",
            "",
            "Basic",
            "Basic ",
            "Basic !",
            "Digest bGtfMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMA==",
            "Bearer bGtfMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMA==",
        ] {
            let both = [("authorization", other), ("x-api-key", &key)];
            assert_eq!(judge("/", &both), "accepted", "{other}");
        }
    }

    #[test]
    fn a_key_anywhere_in_the_url_is_exposed() {
        let key = ApiKey::from_secret([7; 28]);
        let key = key.reveal();
        let escaped = key.replace('_', "%5F").replace('0', "%30");
        for target in [
            format!("/v1/x?api_key={key}"),
            format!("/v1/x?q=a{key}b&c=d"),
            format!("/v1/x?q={escaped}"),
            format!("/v1/api-keys/{key}"),
        ] {
            assert_eq!(judge(&target, &[]), "exposed", "{target}");
            assert_eq!(judge(&target, &[("x-api-key", key)]), "exposed", "{target}");
        }
        assert_eq!(judge(&format!("/?q={}", &key[..66]), &[("x-api-key", key)]), "accepted");
    }

    #[test]
    fn a_parameter_named_like_a_key_is_told_unless_the_key_is_where_it_belongs() {
        let key = ApiKey::from_secret([7; 28]);
        for target in ["/?api_key=x", "/?a=b&X-API-Key", "/?KEY=lk_12"] {
            assert_eq!(judge(target, &[]), "key_in_query", "{target}");
            assert_eq!(judge(target, &[("x-api-key", key.reveal())]), "accepted", "{target}");
        }
        assert_eq!(judge("/?keys=delete", &[]), "invalid_key");
    }

    #[test]
    fn a_target_beyond_the_limit_is_refused() {
        let key = ApiKey::from_secret([7; 28]);
        let target = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
        assert_eq!(judge(&target(MAX_TARGET_BYTES), &[("x-api-key", key.reveal())]), "accepted");
        assert_eq!(judge(&target(MAX_TARGET_BYTES + 1), &[("x-api-key", key.reveal())]), "uri_too_long");
    }

    #[test]
    fn broken_escapes_are_left_as_they_are() {
        for (text, decoded) in [("%", "%"), ("%4", "%4"), ("%zz%41", "%zzA"), ("%%41", "%A"), ("a%2", "a%2")]
        {
            assert_eq!(percent_decoded(text.as_bytes()), decoded.as_bytes(), "{text}");
        }
    }
}
