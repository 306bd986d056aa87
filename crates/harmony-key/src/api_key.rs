use zeroize::{Zeroize, Zeroizing};

use crate::digest::{check_bytes, sha256};
use crate::{DrawError, KEY_LENGTH, KeyDigest, LastFour, PREFIX, random};

/// The random part of a key, in bytes: 224 bits.
pub const SECRET_LENGTH: usize = 28;

/// A freshly drawn key, whose text is overwritten when it is dropped.
///
/// It can be neither printed nor copied:
///
/// ```compile_fail
/// let key = harmony_key::ApiKey::from_secret([7; 28]);
/// println!("{key:?}");
/// ```
///
/// ```compile_fail
/// let key = harmony_key::ApiKey::from_secret([7; 28]);
/// let second = key.clone();
/// ```
pub struct ApiKey {
    text: Zeroizing<String>,
}

impl ApiKey {
    /// Draws a key from the operating system's random bytes.
    ///
    /// # Errors
    /// [`DrawError`] when the operating system gives none.
    pub fn draw() -> Result<Self, DrawError> {
        let mut secret = Zeroizing::new([0; SECRET_LENGTH]);
        random(secret.as_mut_slice())?;
        Ok(Self::from_secret(*secret))
    }

    /// Makes the key of a given secret: the same secret, the same key. For tests and demonstrations; a key that
    /// guards anything is drawn.
    #[must_use]
    pub fn from_secret(mut secret: [u8; SECRET_LENGTH]) -> Self {
        // The full length at once: a string that grows leaves copies behind that nobody overwrites.
        let mut text = Zeroizing::new(String::with_capacity(KEY_LENGTH));
        text.push_str(PREFIX);
        text.push_str(&Zeroizing::new(hex::encode(secret)));
        secret.zeroize();
        let check_digits = hex::encode(check_bytes(text.as_bytes()));
        text.push_str(&check_digits);
        Self { text }
    }

    /// What the store keeps instead of the text.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyDigest(sha256(self.text.as_bytes()))
    }

    /// The last four digits, by which people tell keys apart. They are check digits and tell nothing of the secret.
    #[must_use]
    pub fn last_four(&self) -> LastFour {
        LastFour::of(self.text.as_bytes())
    }

    /// The text itself. This is the one place where it leaves: into the answer that shows a new key once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }
}
