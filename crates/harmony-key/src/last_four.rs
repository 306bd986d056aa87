use std::fmt;

use crate::PREFIX;
use crate::presented::is_digit;

/// The last four digits of a key, which may be stored and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LastFour([u8; 4]);

impl LastFour {
    /// How the key is shown once its text is gone: `lk_…` and the four digits.
    #[must_use]
    pub fn redacted(self) -> Redacted {
        Redacted(self)
    }

    /// The four digits as text, for the store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Every constructor has made sure of ASCII digits.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Reads back what the store kept; `None` unless it is four lowercase hexadecimal digits.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        let digits: [u8; 4] = text.as_bytes().try_into().ok()?;
        digits.iter().all(|&digit| is_digit(digit)).then_some(Self(digits))
    }

    /// Of a key's text, which the caller has made or checked.
    pub(crate) fn of(key: &[u8]) -> Self {
        Self(key.last_chunk().copied().unwrap_or(*b"0000"))
    }
}

impl fmt::Display for LastFour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A key as it is shown after its creation: `lk_…3f9a`. Made by [`LastFour::redacted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redacted(LastFour);

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}…{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_lowercase_digits_are_read_back_and_shown() {
        let last = LastFour::from_stored("09af").unwrap();
        assert_eq!(last.to_string(), "09af");
        assert_eq!(last.as_str(), "09af");
        assert_eq!(last.redacted().to_string(), "lk_…09af");
    }

    #[test]
    fn anything_but_four_lowercase_digits_is_not_read_back() {
        for text in ["", "09a", "09aff", "09aF", "09ag", "09 a", "é09", "\0\0\0\0"] {
            assert_eq!(LastFour::from_stored(text), None, "{text:?}");
        }
    }
}
