//! The forms that names and other texts have.

use serde::{Deserialize, Serialize};

use crate::Error;

/// The longest name, in characters.
pub const MAX_NAME_CHARS: usize = 100;
/// The longest description, display rate limit or e-mail address, in characters.
pub const MAX_TEXT_CHARS: usize = 254;

/// A name: trimmed, 1 to 100 characters, none of them a control character.
pub(crate) fn name(field: &'static str, text: &str) -> Result<String, Error> {
    let name = line(field, text, MAX_NAME_CHARS)?;
    if name.is_empty() {
        return Err(Error::invalid(field, "empty", "a name has 1 to 100 characters"));
    }
    Ok(name)
}

/// A text of one line, trimmed, which may be empty.
pub(crate) fn line(field: &'static str, text: &str, most: usize) -> Result<String, Error> {
    let text = text.trim();
    let count = text.chars().count();
    if count > most {
        return Err(Error::invalid(field, "too_long", format!("it has {count} characters; {most} at most")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(field, "control_character", "control characters are not allowed"));
    }
    Ok(text.to_owned())
}

/// An e-mail address in lower case. Only its form is looked at: whether it exists is for a message to find out.
pub(crate) fn email(field: &'static str, text: &str) -> Result<String, Error> {
    let email = line(field, text, MAX_TEXT_CHARS)?.to_lowercase();
    let well_formed = email
        .split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
    if !well_formed || email.contains(char::is_whitespace) {
        return Err(Error::invalid(field, "not_an_email", "an e-mail address is `name@host`"));
    }
    Ok(email)
}

/// What is shown as a key's rate limit: text or number, as it was entered. Never enforced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a text or a number")]
pub enum DisplayRateLimit {
    /// Such as `1000`.
    Number(serde_json::Number),
    /// Such as `1,000 an hour`.
    Text(String),
}

impl DisplayRateLimit {
    pub(crate) fn to_column(&self) -> Result<String, Error> {
        let checked = match self {
            Self::Number(number) => Self::Number(number.clone()),
            Self::Text(text) => Self::Text(name("display_rate_limit", text)?),
        };
        serde_json::to_string(&checked)
            .map_err(|error| Error::invalid("display_rate_limit", "unreadable", error.to_string()))
    }

    /// Reads the stored form.
    #[must_use]
    pub fn from_column(column: &str) -> Option<Self> {
        serde_json::from_str(column).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<String, Error>) -> &'static str {
        match result {
            Ok(_) => "fine",
            Err(Error::Invalid(errors)) => errors[0].code,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(name("name", "  importer ").unwrap(), "importer");
        assert_eq!(code(name("name", &"é".repeat(100))), "fine");
        assert_eq!(code(name("name", &"é".repeat(101))), "too_long");
        assert_eq!(code(name("name", "   ")), "empty");
        assert_eq!(code(name("name", "a\u{7}b")), "control_character");
    }

    #[test]
    fn addresses_have_one_at_and_no_spaces() {
        assert_eq!(email("email", " Ann@Example.COM ").unwrap(), "ann@example.com");
        for wrong in ["", "ann", "@host", "ann@", "a@b@c", "a b@c"] {
            assert_eq!(code(email("email", wrong)), "not_an_email", "{wrong}");
        }
    }
}
