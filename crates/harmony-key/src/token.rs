//! Secrets beside keys: tokens of sessions and set-up links, and fingerprints of requests.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{DrawError, random};

/// A bearer token for people's browsers: 256 random bits as 64 hexadecimal digits, wiped from memory when dropped.
pub struct SecretToken {
    text: Zeroizing<String>,
}

impl SecretToken {
    /// Draws one from the operating system's random source.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub fn draw() -> Result<Self, DrawError> {
        let mut secret = Zeroizing::new([0; 32]);
        random(secret.as_mut_slice())?;
        Ok(Self { text: Zeroizing::new(hex::encode(secret.as_slice())) })
    }

    /// The text, for the one place that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What is stored of it.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(&self.text)
    }
}

/// The SHA-256 of a token's text: all that is ever stored of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of what a browser presents.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// The 32 bytes, for storing.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The SHA-256 of a request's parts, by which its repetition is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of these parts, in this order. Each is preceded by its length, so that no two lists of parts share one.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The 32 bytes, for storing.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
