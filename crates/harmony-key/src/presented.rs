//! Keys as callers present them.

use crate::{CHECKED_LENGTH, KEY_LENGTH, KeyDigest, LastFour, PREFIX, drawn::check_digits};

/// Bytes that have exactly the form of a key. Whether such a key exists is another question.
pub struct PresentedKey<'a> {
    text: &'a [u8; KEY_LENGTH],
}

/// Why bytes are not a key. It does not repeat them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not 67 bytes.
    #[error("a key has 67 bytes, not {found}")]
    Length {
        /// How many there are.
        found: usize,
    },
    /// Not `lk_` at the beginning.
    #[error("a key begins with `lk_`")]
    Prefix,
    /// Something else than a lowercase hexadecimal digit behind the prefix.
    #[error("a key has only the digits 0-9 and a-f behind `lk_`")]
    Digits,
}

impl<'a> PresentedKey<'a> {
    /// Accepts exactly the form: nothing is trimmed, no case is folded, nothing is allocated.
    ///
    /// # Errors
    ///
    /// See [`ParseError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let text: &[u8; KEY_LENGTH] =
            bytes.try_into().map_err(|_| ParseError::Length { found: bytes.len() })?;
        let digits = text.strip_prefix(PREFIX.as_bytes()).ok_or(ParseError::Prefix)?;
        // No early return: the loop over a fixed length becomes a few vector instructions.
        if digits.iter().fold(true, |all, &byte| all & is_digit(byte)) {
            Ok(Self { text })
        } else {
            Err(ParseError::Digits)
        }
    }

    /// Whether the last 8 digits are the check digits of the others. A key that Harmony drew has them; one that was
    /// issued elsewhere and imported need not.
    #[must_use]
    pub fn has_check_digits(&self) -> bool {
        self.text.get(CHECKED_LENGTH..).is_some_and(|last| last == check_digits(self.text))
    }

    /// The last 4 digits.
    #[must_use]
    pub fn last_four(&self) -> LastFour {
        LastFour::of(self.text)
    }

    /// The digest by which the key is looked up. It consumes the text: nothing behind this point sees it.
    #[must_use]
    pub fn digest(self) -> KeyDigest {
        KeyDigest::of(self.text)
    }
}

pub(crate) const fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() | matches!(byte, b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ApiKey;

    fn parse(bytes: &[u8]) -> Result<(), ParseError> {
        PresentedKey::parse(bytes).map(drop)
    }

    #[test]
    fn a_known_key_has_its_known_text() {
        let key = ApiKey::from_secret([0xab; 28]);
        assert_eq!(&key.reveal()[..59], format!("lk_{}", "ab".repeat(28)));
        assert_eq!(key.reveal().len(), KEY_LENGTH);
        assert_eq!(key.last_four().redacted(), format!("lk_…{}", &key.reveal()[63..]));
    }

    #[test]
    fn lengths_beside_67_are_refused() {
        for length in (0..200).filter(|&length| length != KEY_LENGTH) {
            let text = format!("lk_{}", "0".repeat(200));
            assert_eq!(parse(&text.as_bytes()[..length]), Err(ParseError::Length { found: length }));
        }
    }

    #[test]
    fn another_prefix_upper_case_spaces_nul_and_non_ascii_are_refused() {
        let key = ApiKey::from_secret([0xab; 28]);
        let text = key.reveal();
        assert_eq!(parse(text.as_bytes()), Ok(()));
        assert_eq!(parse(text.replace("lk_", "LK_").as_bytes()), Err(ParseError::Prefix));
        assert_eq!(parse(text.replace("lk_", "sk_").as_bytes()), Err(ParseError::Prefix));
        for wrong in [b'A', b'F', b'g', b' ', 0, 0xff, b'_', b'\n'] {
            for place in 3..KEY_LENGTH {
                let mut bytes = text.as_bytes().to_vec();
                bytes[place] = wrong;
                assert_eq!(parse(&bytes), Err(ParseError::Digits), "{wrong} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_key_reads_back(secret: [u8; 28]) {
            let key = ApiKey::from_secret(secret);
            let presented = PresentedKey::parse(key.reveal().as_bytes()).unwrap();
            prop_assert!(presented.has_check_digits());
            prop_assert_eq!(presented.last_four(), key.last_four());
            prop_assert_eq!(presented.digest(), key.digest());
        }

        #[test]
        fn one_wrong_digit_is_told_by_the_check_digits(secret: [u8; 28], place in 3..KEY_LENGTH, step in 1u8..16) {
            let key = ApiKey::from_secret(secret);
            let mut bytes = key.reveal().as_bytes().to_vec();
            let digits = b"0123456789abcdef";
            let value = digits.iter().position(|&digit| digit == bytes[place]).unwrap();
            bytes[place] = digits[(value + usize::from(step)) % 16];
            prop_assert!(!PresentedKey::parse(&bytes).unwrap().has_check_digits());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
