//! Actions, scopes, and the permissions made of both.

use std::{cmp::Ordering, fmt};

use crate::{PermissionError, catalogue, word::Word};

/// How far an action reaches: `own` < `team` < `all`, and a wider scope includes the narrower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// What the principal's user owns.
    Own,
    /// What anyone owns who shares a team with that user.
    Team,
    /// The whole workspace.
    All,
}

/// What can be done to what: `resource:action`, such as `conversations:read`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Action {
    resource: Word,
    action: Word,
}

/// An action and how far it may reach: `resource:action:scope`, such as `conversations:read:team`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Permission {
    action: Action,
    scope: Scope,
}

impl Scope {
    /// From the narrowest to the widest.
    pub const ALL: [Self; 3] = [Self::Own, Self::Team, Self::All];

    /// The word in the language.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Team => "team",
            Self::All => "all",
        }
    }

    #[expect(clippy::indexing_slicing, reason = "a const fn has no `get`; each arm checks the length first")]
    const fn parse(text: &[u8], from: usize) -> Result<Self, PermissionError> {
        if text.len() == from + 3 && text[from] == b'o' && text[from + 1] == b'w' && text[from + 2] == b'n' {
            return Ok(Self::Own);
        }
        if text.len() == from + 3 && text[from] == b'a' && text[from + 1] == b'l' && text[from + 2] == b'l' {
            return Ok(Self::All);
        }
        let team = text.len() == from + 4 && text[from] == b't' && text[from + 1] == b'e';
        if team && text[from + 2] == b'a' && text[from + 3] == b'm' {
            return Ok(Self::Team);
        }
        Err(PermissionError::Scope)
    }
}

impl Action {
    /// Reads `resource:action`.
    ///
    /// # Errors
    ///
    /// See [`PermissionError`].
    pub const fn parse(text: &str) -> Result<Self, PermissionError> {
        let bytes = text.as_bytes();
        Self::parse_within(bytes, bytes.len())
    }

    /// An action written in code; in a `const`, a misspelt form does not compile.
    ///
    /// ```compile_fail
    /// const WRONG: harmony_permission::Action = harmony_permission::Action::literal("invoices-read");
    /// ```
    ///
    /// # Panics
    ///
    /// When the text is no action: write it in a `const`, so that it happens while compiling.
    #[must_use]
    pub const fn literal(text: &'static str) -> Self {
        match Self::parse(text) {
            Ok(action) => action,
            Err(_) => panic!("not of the form `resource:action`"),
        }
    }

    /// An action of the server itself, written in code; in a `const`, one that the [`catalogue`] lacks does not compile.
    ///
    /// ```
    /// const READ: harmony_permission::Action = harmony_permission::Action::known("conversations:read");
    /// # assert_eq!(READ, harmony_permission::catalogue::CONVERSATIONS_READ);
    /// ```
    ///
    /// ```compile_fail,E0080
    /// const WRONG: harmony_permission::Action = harmony_permission::Action::known("conversation:read");
    /// # fn main() { let _ = WRONG; }
    /// ```
    ///
    /// # Panics
    ///
    /// When the catalogue has no such action: write it in a `const`, so that it happens while compiling.
    #[must_use]
    pub const fn known(text: &'static str) -> Self {
        let wanted = Self::literal(text);
        let mut rest = catalogue::ALL;
        while let [action, tail @ ..] = rest {
            if action.resource.equals(&wanted.resource) && action.action.equals(&wanted.action) {
                return wanted;
            }
            rest = tail;
        }
        panic!("the server has no such action: see `harmony_permission::catalogue`")
    }

    const fn parse_within(bytes: &[u8], end: usize) -> Result<Self, PermissionError> {
        let Some(colon) = find_colon(bytes, 0, end) else { return Err(PermissionError::Parts) };
        if find_colon(bytes, colon + 1, end).is_some() {
            return Err(PermissionError::Parts);
        }
        match (Word::parse(bytes, 0, colon), Word::parse(bytes, colon + 1, end)) {
            (Ok(resource), Ok(action)) => Ok(Self { resource, action }),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// The resource, such as `conversations`.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.resource.as_str()
    }

    /// The action, such as `read`.
    #[must_use]
    pub fn action(&self) -> &str {
        self.action.as_str()
    }

    /// The permission to do it, as far as `scope`.
    #[must_use]
    pub const fn at(self, scope: Scope) -> Permission {
        Permission { action: self, scope }
    }
}

impl Permission {
    /// Reads `resource:action:scope`.
    ///
    /// # Errors
    ///
    /// See [`PermissionError`].
    pub const fn parse(text: &str) -> Result<Self, PermissionError> {
        let bytes = text.as_bytes();
        let Some(first) = find_colon(bytes, 0, bytes.len()) else { return Err(PermissionError::Parts) };
        let Some(second) = find_colon(bytes, first + 1, bytes.len()) else {
            return Err(PermissionError::Parts);
        };
        match (Action::parse_within(bytes, second), Scope::parse(bytes, second + 1)) {
            (Ok(action), Ok(scope)) => Ok(Self { action, scope }),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// A permission written in code; in a `const`, a misspelt form does not compile.
    ///
    /// ```compile_fail
    /// const WRONG: harmony_permission::Permission = harmony_permission::Permission::literal("invoices:read:any");
    /// ```
    ///
    /// # Panics
    ///
    /// When the text is no permission: write it in a `const`, so that it happens while compiling.
    #[must_use]
    pub const fn literal(text: &'static str) -> Self {
        match Self::parse(text) {
            Ok(permission) => permission,
            Err(_) => panic!("not of the form `resource:action:scope`"),
        }
    }

    /// What it permits.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// How far.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// Appends the text form, without the detour of a formatter: a key's answer about itself has many.
    pub fn push_to(&self, text: &mut String) {
        self.parts().into_iter().for_each(|part| text.push_str(part));
    }

    fn parts(&self) -> [&str; 5] {
        [self.action.resource(), ":", self.action.action(), ":", self.scope.as_str()]
    }
}

#[expect(clippy::indexing_slicing, reason = "a const fn has no `get`; the loop stays below `end`")]
const fn find_colon(bytes: &[u8], from: usize, end: usize) -> Option<usize> {
    let mut at = from;
    while at < end {
        if bytes[at] == b':' {
            return Some(at);
        }
        at += 1;
    }
    None
}

impl Ord for Action {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.resource(), self.action()).cmp(&(other.resource(), other.action()))
    }
}

impl PartialOrd for Action {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By action, then from the narrowest scope to the widest.
impl Ord for Permission {
    fn cmp(&self, other: &Self) -> Ordering {
        self.action.cmp(&other.action).then(self.scope.cmp(&other.scope))
    }
}

impl PartialOrd for Permission {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.resource())?;
        out.write_str(":")?;
        out.write_str(self.action())
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().into_iter().try_for_each(|part| out.write_str(part))
    }
}

impl fmt::Debug for Permission {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_forms_are_refused_with_the_reason() {
        let long = format!("{}:read:own", "a".repeat(33));
        for (text, error) in [
            ("", PermissionError::Parts),
            ("conversations:read", PermissionError::Parts),
            ("a:b:c:own", PermissionError::Scope),
            ("conversations:read:any", PermissionError::Scope),
            ("conversations:read:own ", PermissionError::Scope),
            ("conversations:read:", PermissionError::Scope),
            (":read:own", PermissionError::Word),
            ("Conversations:read:own", PermissionError::Word),
            ("api--keys:read:own", PermissionError::Word),
            ("-keys:read:own", PermissionError::Word),
            ("keys-:read:own", PermissionError::Word),
            ("kéys:read:own", PermissionError::Word),
            ("*:read:own", PermissionError::Word),
            (&long, PermissionError::Word),
        ] {
            assert_eq!(Permission::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn permissions_sort_by_resource_then_action_then_from_narrow_to_wide() {
        let sorted = [
            "api:read:own",
            "api-keys:create:all",
            "api-keys:read:own",
            "api-keys:read:team",
            "api-keys:read:all",
        ]
        .map(Permission::literal);
        assert!(sorted.is_sorted_by(|left, right| left < right));
    }

    #[test]
    fn only_actions_of_the_catalogue_are_known() {
        for action in catalogue::ALL {
            let text: &'static str = action.to_string().leak();
            assert_eq!(Action::known(text), *action);
        }
        for text in [
            "conversation:read",
            "conversations:raed",
            "roles:verify",
            "read:conversations",
            "api-keys:verif",
        ] {
            assert!(std::panic::catch_unwind(|| Action::known(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn the_built_in_roles_name_only_actions_of_the_catalogue() {
        for role in crate::BuiltInRole::ALL {
            for permission in role.permissions().to_permissions() {
                assert!(catalogue::ALL.contains(&permission.action()), "{permission}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_text_form_reads_back(text in "[a-z][a-z0-9]{0,10}(-[a-z0-9]{1,10})?:[a-z]{1,32}:(own|team|all)") {
            let permission = Permission::parse(&text).unwrap();
            let mut pushed = String::new();
            permission.push_to(&mut pushed);
            prop_assert_eq!(permission.to_string(), &*text);
            prop_assert_eq!(pushed, text);
        }

        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _ = Permission::parse(&text);
        }
    }
}
