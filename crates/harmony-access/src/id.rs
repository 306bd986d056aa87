//! Prefixed, typed identifiers that sort by the time they were made.

use std::{fmt, hash, marker::PhantomData};

use uuid::{Builder, Uuid, fmt::Simple};

use crate::Timestamp;

/// What an [`Id`] names: its text prefix, such as `key` in `key_0198…`.
pub trait Kind {
    /// The word before the underscore.
    const PREFIX: &'static str;
}

/// A prefixed identifier, such as `key_019ab3d2c1f07e3f8a55d0c4b1e2f301`: the kind, an underscore and the 32 lowercase
/// hexadecimal digits of a version 7 UUID (RFC 9562 §5.7), so that the text sorts by the time of making.
pub struct Id<K> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

/// Why a text is not an [`Id`] of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of this kind is `{prefix}_` followed by 32 lowercase hexadecimal digits")]
pub struct IdError {
    prefix: &'static str,
}

impl<K: Kind> Id<K> {
    /// Makes an id from the moment and 10 random bytes, both of which the caller brings.
    #[must_use]
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        Self::of(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// Any text but the prefix, an underscore and 32 lowercase hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let refusal = IdError { prefix: K::PREFIX };
        let digits = text.strip_prefix(K::PREFIX).and_then(|rest| rest.strip_prefix('_')).ok_or(refusal)?;
        let lowercase_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() != 32 || !digits.bytes().all(lowercase_hex) {
            return Err(refusal);
        }
        Uuid::try_parse(digits).map(Self::of).map_err(|_| refusal)
    }

    /// Appends the text form, without the detour of a formatter: ids are in every line of the log.
    pub fn push_to(&self, text: &mut String) {
        text.push_str(K::PREFIX);
        text.push('_');
        text.push_str(self.uuid.as_simple().encode_lower(&mut [0; Simple::LENGTH]));
    }

    const fn of(uuid: Uuid) -> Self {
        Self { uuid, kind: PhantomData }
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(K::PREFIX)?;
        out.write_str("_")?;
        out.write_str(self.uuid.as_simple().encode_lower(&mut [0; Simple::LENGTH]))
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Id<K> {}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}

impl<K> Eq for Id<K> {}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.uuid.cmp(&other.uuid)
    }
}

impl<K> hash::Hash for Id<K> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

macro_rules! kinds {
    ($($kind:ident $id:ident $prefix:literal $what:literal;)*) => {$(
        #[doc = concat!("The kind of ", $what, ".")]
        pub enum $kind {}
        impl Kind for $kind {
            const PREFIX: &'static str = $prefix;
        }
        #[doc = concat!("Names ", $what, ": `", $prefix, "_…`.")]
        pub type $id = Id<$kind>;
    )*};
}

kinds! {
    WorkspaceKind WorkspaceId "ws" "a workspace";
    UserKind UserId "usr" "a user";
    TeamKind TeamId "team" "a team";
    RoleKind RoleId "role" "a role";
    ApiKeyKind ApiKeyId "key" "an API key";
    ConversationKind ConversationId "cnv" "a conversation";
    AuditEventKind AuditEventId "evt" "an audit event";
    SessionKind SessionId "ses" "a session";
    NodeKind NodeId "node" "a running process";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ApiKeyId {
        ApiKeyId::new(Timestamp::from_millis(1_700_000_000_000), [7; 10])
    }

    #[test]
    fn the_text_form_reads_back() {
        assert_eq!(ApiKeyId::parse(&key().to_string()), Ok(key()));
        let mut text = "is ".to_owned();
        key().push_to(&mut text);
        assert_eq!(text, format!("is {}", key()));
    }

    #[test]
    fn the_text_sorts_by_time() {
        let later = ApiKeyId::new(Timestamp::from_millis(1_700_000_000_001), [0; 10]);
        assert!(later > key());
        assert!(later.to_string() > key().to_string());
    }

    #[test]
    fn another_kind_upper_case_and_other_lengths_are_refused() {
        let text = key().to_string();
        let digits = &text[4..];
        for wrong in [
            "".to_owned(),
            digits.to_owned(),
            format!("usr_{digits}"),
            text.to_uppercase(),
            format!("{text}0"),
            format!("key_{{{digits}}}"),
            format!("key_{}", &digits[1..]),
        ] {
            assert!(ApiKeyId::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
