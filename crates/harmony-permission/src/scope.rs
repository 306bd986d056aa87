use std::fmt;

use crate::PermissionError;
use crate::error::Quoted;

/// How far a permission reaches. A wider scope is greater than a narrower one, and includes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// What the principal's user owns.
    Own,
    /// What anyone owns who shares a team with that user.
    Team,
    /// The whole workspace.
    All,
}

impl Scope {
    /// Every scope, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Own, Self::Team, Self::All];

    /// Reads `own`, `team` or `all`.
    ///
    /// # Errors
    /// [`PermissionError::Scope`] for any other text.
    pub const fn parse(text: &str) -> Result<Self, PermissionError> {
        match text.as_bytes() {
            b"own" => Ok(Self::Own),
            b"team" => Ok(Self::Team),
            b"all" => Ok(Self::All),
            _ => Err(PermissionError::Scope { word: Quoted::new(text) }),
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Team => "team",
            Self::All => "all",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_ordered_from_own_over_team_to_all() {
        assert!(Scope::Own < Scope::Team && Scope::Team < Scope::All);
        assert!(Scope::ALL.is_sorted());
    }

    #[test]
    fn a_scope_is_read_back_from_its_word_and_from_nothing_else() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Ok(scope));
            assert_eq!(scope.to_string(), scope.as_str());
        }
        for text in ["", "al", "alls", "All", " all", "everything", "öwn", "*"] {
            let refused = Scope::parse(text).unwrap_err().to_string();
            assert_eq!(refused, format!("scope `{text}` is none of own, team, all"));
        }
    }
}
