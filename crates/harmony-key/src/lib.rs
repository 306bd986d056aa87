//! The text of an API key: draw one, parse one, digest it, show it redacted.
//!
//! A key is `lk_` and 64 lowercase hexadecimal digits: 56 random ones (28 bytes from the operating system) and 8 check
//! digits, by which a typing error is told without a look-up. This crate knows no store, no owner and no expiration.
//!
//! ```
//! use harmony_key::{ApiKey, PresentedKey};
//!
//! let key = ApiKey::draw()?;
//! let presented = PresentedKey::parse(key.reveal().as_bytes())?;
//! assert!(presented.has_check_digits());
//! assert_eq!(presented.digest(), key.digest());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

mod digest;
mod drawn;
mod presented;
mod token;

pub use digest::{KeyDigest, LastFour};
pub use drawn::{ApiKey, DrawError, random};
pub use presented::{ParseError, PresentedKey};
pub use token::{Fingerprint, SecretToken, TokenDigest};

/// The length of a key's text in bytes: the prefix and 64 digits.
pub const KEY_LENGTH: usize = 67;
/// What every key's text begins with.
pub const PREFIX: &str = "lk_";
/// The part of the text that the check digits are computed from, in bytes: all before them.
const CHECKED_LENGTH: usize = 59;
