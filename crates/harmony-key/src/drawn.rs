//! New keys.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{CHECKED_LENGTH, KeyDigest, LastFour, PREFIX};

/// A key that was just made: the one value in which its text exists. It is wiped from memory when dropped, and nothing
/// prints, clones or serialises it.
///
/// ```compile_fail
/// let key = harmony_key::ApiKey::draw().unwrap();
/// println!("{key:?}");
/// ```
pub struct ApiKey {
    text: Zeroizing<String>,
}

/// The operating system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct DrawError;

/// Fills `bytes` from the operating system's random source.
///
/// # Errors
///
/// When the operating system refuses.
pub fn random(bytes: &mut [u8]) -> Result<(), DrawError> {
    getrandom::fill(bytes).map_err(|_| DrawError)
}

impl ApiKey {
    /// Draws a key from the operating system's random source.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub fn draw() -> Result<Self, DrawError> {
        let mut secret = Zeroizing::new([0; 28]);
        random(secret.as_mut_slice())?;
        Ok(Self::from_secret(*secret))
    }

    /// Makes the key of these 28 secret bytes.
    #[must_use]
    pub fn from_secret(secret: [u8; 28]) -> Self {
        let secret = Zeroizing::new(secret);
        let mut digits = Zeroizing::new([0; 56]);
        // The lengths fit: 28 bytes are 56 digits.
        let _ = hex::encode_to_slice(secret.as_slice(), digits.as_mut_slice());
        let mut text = Zeroizing::new(String::with_capacity(crate::KEY_LENGTH));
        text.push_str(PREFIX);
        digits.iter().for_each(|&digit| text.push(char::from(digit)));
        check_digits(text.as_bytes()).iter().for_each(|&digit| text.push(char::from(digit)));
        Self { text }
    }

    /// The text, for the one answer that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What is stored of it.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(self.text.as_bytes())
    }

    /// What is shown of it later.
    #[must_use]
    pub fn last_four(&self) -> LastFour {
        LastFour::of(self.text.as_bytes())
    }
}

/// The first 4 bytes, in hexadecimal, of the SHA-256 over the first 59 bytes of the text.
pub(crate) fn check_digits(text: &[u8]) -> [u8; 8] {
    let digest = Sha256::digest(text.get(..CHECKED_LENGTH).unwrap_or(text));
    let mut digits = [b'0'; 8];
    let _ = hex::encode_to_slice(digest.get(..4).unwrap_or_default(), &mut digits);
    digits
}
