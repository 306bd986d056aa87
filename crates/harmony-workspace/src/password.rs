//! Passwords, hashed with Argon2id at the parameters of RFC 9106's second choice scaled to 19 MiB and 2 passes (OWASP).

use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};

use harmony_key::SecretToken;

use crate::Error;

/// The shortest password, in characters.
pub const MIN_CHARS: usize = 10;
/// The longest password, in bytes: hashing has a cost that the caller must not choose.
pub const MAX_BYTES: usize = 1_024;

/// The hexadecimal digits of a drawn password: 80 bits.
const DRAWN_DIGITS: usize = 20;

/// A password that nobody has chosen, for whoever is to be told it once.
pub struct DrawnPassword(String);

impl DrawnPassword {
    /// Draws one.
    ///
    /// # Errors
    ///
    /// When there is no randomness.
    pub fn draw() -> Result<Self, Error> {
        Ok(Self(SecretToken::draw()?.reveal().chars().take(DRAWN_DIGITS).collect()))
    }

    /// Its text, for the one answer that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The hash in the PHC string format.
pub(crate) fn hash(password: &str) -> Result<String, Error> {
    if password.chars().count() < MIN_CHARS || password.len() > MAX_BYTES {
        return Err(Error::invalid(
            "password",
            "length",
            "a password has 10 characters at least and 1,024 bytes at most",
        ));
    }
    let mut salt = [0; 16];
    harmony_key::random(&mut salt)?;
    let hashed = Argon2::default()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|error| Error::Password(error.to_string()))?;
    Ok(hashed.to_string())
}

/// Whether a password has this hash. Without a hash the same work is done, so that the time does not tell who has one.
pub(crate) fn matches(password: &str, hash: Option<&str>) -> Result<bool, Error> {
    if password.len() > MAX_BYTES {
        return Ok(false);
    }
    let argon2 = Argon2::default();
    let Some(hash) = hash else {
        let wasted = argon2.hash_password_with_salt(password.as_bytes(), &[0; 16]);
        return wasted.map(|_| false).map_err(|error| Error::Password(error.to_string()));
    };
    let hash = PasswordHash::new(hash).map_err(|error| Error::Password(error.to_string()))?;
    Ok(argon2.verify_password(password.as_bytes(), &hash).is_ok())
}
