//! What is kept of a key: the digest of its text, and its last four digits.

use std::fmt;

use sha2::{Digest, Sha256};

/// The SHA-256 of a key's text: all that is ever stored of it.
///
/// A fast hash without salt is right here: a key has 224 random bits, and for secrets of 112 bits and more stretching
/// adds nothing (NIST SP 800-63B §3.1.2.2, OWASP ASVS 5.0 §6.5.2). Looking a digest up leaks nothing by its time, since
/// nobody can choose the text for a digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    pub(crate) fn of(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// The 32 bytes, for storing.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From 32 stored bytes; `None` for any other number of them.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("KeyDigest(…)")
    }
}

/// The last 4 digits of a key's text: check digits, which tell nothing of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastFour([u8; 4]);

impl LastFour {
    pub(crate) fn of(text: &[u8]) -> Self {
        Self(text.last_chunk().copied().unwrap_or(*b"0000"))
    }

    /// From stored text; `None` unless it is 4 lowercase hexadecimal digits.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        let digits: [u8; 4] = text.as_bytes().try_into().ok()?;
        digits.iter().all(|&digit| crate::presented::is_digit(digit)).then_some(Self(digits))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only digits get in.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// How a key is shown once it has been shown: `lk_…` and these digits.
    #[must_use]
    pub fn redacted(&self) -> String {
        format!("{}…{self}", crate::PREFIX)
    }
}

impl fmt::Display for LastFour {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
