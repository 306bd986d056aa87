use std::fmt;

use crate::WordFault;

/// Why text is not a scope, an action or a permission: what was found, and what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermissionError {
    /// It is not two words.
    #[error("`{text}` is not two words like `conversations:read`")]
    Action {
        /// What was found.
        text: Quoted,
    },
    /// It is not three words.
    #[error("`{text}` is not three words like `conversations:read:own`")]
    Permission {
        /// What was found.
        text: Quoted,
    },
    /// The first word is wrong.
    #[error("resource `{word}`: {fault}")]
    ResourceWord {
        /// The word found.
        word: Quoted,
        /// What is wrong with it.
        fault: WordFault,
    },
    /// The second word is wrong.
    #[error("action `{word}`: {fault}")]
    ActionWord {
        /// The word found.
        word: Quoted,
        /// What is wrong with it.
        fault: WordFault,
    },
    /// The last word is not a scope.
    #[error("scope `{word}` is none of own, team, all")]
    Scope {
        /// The word found.
        word: Quoted,
    },
}

impl PermissionError {
    /// The part of the message that needs no formatting, for a panic at compile time.
    pub(crate) const fn advice(&self) -> &'static str {
        match self {
            Self::Action { .. } => "an action is two words like `conversations:read`",
            Self::Permission { .. } => "a permission is three words like `conversations:read:own`",
            Self::ResourceWord { fault, .. } | Self::ActionWord { fault, .. } => fault.advice(),
            Self::Scope { .. } => "a scope is one of own, team, all",
        }
    }
}

/// The beginning of text that was refused: bounded, and with control characters escaped, so that it can be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    bytes: [u8; MAX_QUOTED_BYTES],
    length: usize,
    cut: bool,
}

/// How much of refused text an error repeats, in bytes.
const MAX_QUOTED_BYTES: usize = 48;

impl Quoted {
    pub(crate) const fn new(text: &str) -> Self {
        let mut length = if text.len() < MAX_QUOTED_BYTES { text.len() } else { MAX_QUOTED_BYTES };
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        let mut bytes = [0; MAX_QUOTED_BYTES];
        let (used, _) = bytes.split_at_mut(length);
        used.copy_from_slice(text.as_bytes().split_at(length).0);
        Self { bytes, length, cut: length < text.len() }
    }

    fn as_str(&self) -> &str {
        let (used, _) = self.bytes.split_at(self.length);
        // Cut between two characters, it is still UTF-8.
        str::from_utf8(used).unwrap_or_default()
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.as_str().escape_debug(), if self.cut { "…" } else { "" })
    }
}

impl fmt::Debug for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_two_characters() {
        assert_eq!(Quoted::new(&"a".repeat(48)).to_string(), "a".repeat(48));
        assert_eq!(Quoted::new(&"a".repeat(49)).to_string(), format!("{}…", "a".repeat(48)));
        assert_eq!(Quoted::new(&format!("a{}", "é".repeat(48))).to_string(), format!("a{}…", "é".repeat(23)));
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(Quoted::new("a\n\0\u{1b}[2J").to_string(), r"a\n\0\u{1b}[2J");
    }
}
