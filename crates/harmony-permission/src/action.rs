use std::fmt;

use crate::error::Quoted;
use crate::word::Word;
use crate::{PermissionError, catalogue};

/// What may be done with what: `conversations:read`. A [`Permission`](crate::Permission) without its scope.
///
/// It sorts by resource, then by action.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Action {
    resource: Word,
    action: Word,
}

impl Action {
    /// Reads two kebab-case words with a colon between them. Any words will do: operators and embedders have
    /// resources of their own.
    ///
    /// # Errors
    /// [`PermissionError`] when there are not two words, or one of them is malformed.
    pub const fn parse(text: &str) -> Result<Self, PermissionError> {
        match split_at_colon(text) {
            Some((resource, action)) if split_at_colon(action).is_none() => Self::of_words(resource, action),
            _ => Err(PermissionError::Action { text: Quoted::new(text) }),
        }
    }

    /// An action written in code. In a `const` a malformed one does not compile:
    ///
    /// ```compile_fail,E0080
    /// const PRINT: harmony_permission::Action = harmony_permission::Action::literal("documents:Print");
    /// # fn main() { let _ = PRINT; }
    /// ```
    ///
    /// # Panics
    /// When the text is malformed. Use it in a `const` only.
    #[must_use]
    pub const fn literal(text: &'static str) -> Self {
        match Self::parse(text) {
            Ok(action) => action,
            Err(error) => panic!("{}", error.advice()),
        }
    }

    /// An action of the server itself, written in code. In a `const`, one that the [`catalogue`] does not have
    /// does not compile:
    ///
    /// ```
    /// const READ: harmony_permission::Action = harmony_permission::Action::known("conversations:read");
    /// # assert_eq!(READ, harmony_permission::catalogue::CONVERSATIONS_READ);
    /// ```
    ///
    /// ```compile_fail,E0080
    /// const READ: harmony_permission::Action = harmony_permission::Action::known("conversation:read");
    /// # fn main() { let _ = READ; }
    /// ```
    ///
    /// # Panics
    /// When the text is malformed or not in the catalogue. Use it in a `const` only.
    #[must_use]
    pub const fn known(text: &'static str) -> Self {
        let action = Self::literal(text);
        assert!(
            catalogue::has_words(action.resource(), action.action()),
            "the server has no such action: see `harmony_permission::catalogue`"
        );
        action
    }

    /// The first word.
    #[must_use]
    pub const fn resource(&self) -> &str {
        self.resource.as_str()
    }

    /// The second word.
    #[must_use]
    pub const fn action(&self) -> &str {
        self.action.as_str()
    }

    pub(crate) const fn of_words(resource: &str, action: &str) -> Result<Self, PermissionError> {
        let resource = match Word::parse(resource) {
            Ok(word) => word,
            Err(fault) => return Err(PermissionError::ResourceWord { word: Quoted::new(resource), fault }),
        };
        let action = match Word::parse(action) {
            Ok(word) => word,
            Err(fault) => return Err(PermissionError::ActionWord { word: Quoted::new(action), fault }),
        };
        Ok(Self { resource, action })
    }
}

/// `str::split_once`, which is not yet `const`.
pub(crate) const fn split_at_colon(text: &str) -> Option<(&str, &str)> {
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        if *byte == b':' {
            let after = text.len() - tail.len();
            return Some((text.split_at(after - 1).0, text.split_at(after).1));
        }
        rest = tail;
    }
    None
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource(), self.action())
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Action({self})")
    }
}
