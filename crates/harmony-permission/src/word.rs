//! The kebab-case words that permissions are made of.

/// The longest resource or action, in bytes.
pub const MAX_WORD_BYTES: usize = 32;

/// Why a text is not a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PermissionError {
    /// Not the right number of words between colons.
    #[error("a permission is `resource:action:scope`, such as `conversations:read:own`")]
    Parts,
    /// A resource or an action that is no word.
    #[error("resource and action are 1 to 32 bytes of a-z, 0-9 and single hyphens, and begin with a letter")]
    Word,
    /// A scope that is none.
    #[error("the scope is one of own, team, all")]
    Scope,
}

/// A word, inline, so that permissions are `Copy` and can be parsed while compiling.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Word {
    bytes: [u8; MAX_WORD_BYTES],
    length: u8,
}

impl Word {
    /// The word in `text[from..to]`.
    #[expect(
        clippy::indexing_slicing,
        reason = "a const fn has no `get`; both loops stay below `to`, checked first"
    )]
    pub(crate) const fn parse(text: &[u8], from: usize, to: usize) -> Result<Self, PermissionError> {
        if to > text.len() || to <= from || to - from > MAX_WORD_BYTES || !text[from].is_ascii_lowercase() {
            return Err(PermissionError::Word);
        }
        let mut bytes = [0; MAX_WORD_BYTES];
        let mut at = from;
        while at < to {
            let byte = text[at];
            let hyphen = byte == b'-' && at + 1 < to && text[at - 1] != b'-';
            if !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || hyphen) {
                return Err(PermissionError::Word);
            }
            bytes[at - from] = byte;
            at += 1;
        }
        Ok(Self { bytes, length: (to - from) as u8 })
    }

    /// `==`, which is not `const`. The unused bytes are zero, which no word contains.
    pub(crate) const fn equals(&self, other: &Self) -> bool {
        let (mut left, mut right): (&[u8], &[u8]) = (&self.bytes, &other.bytes);
        while let ([one, left_tail @ ..], [two, right_tail @ ..]) = (left, right) {
            if *one != *two {
                return false;
            }
            (left, right) = (left_tail, right_tail);
        }
        true
    }

    pub(crate) fn as_str(&self) -> &str {
        let used = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        // Only ASCII gets in.
        std::str::from_utf8(used).unwrap_or_default()
    }
}
