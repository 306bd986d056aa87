//! Where a page of keys begins or ends: the values of a row, not its number, so that it holds while rows come and go.

use std::fmt;

use harmony_access::{ApiKeyId, Id};

use super::SortBy;

/// The longest name in a cursor, in bytes: 100 characters of 4 bytes, doubled because folding may lengthen some.
const MAX_NAME_BYTES: usize = 800;

/// Beside which row a page lies, and on which side of it. Its text is opaque, and is the same for the same row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub(super) side: Side,
    pub(super) id: ApiKeyId,
    pub(super) value: Value,
}

/// On which side of its row a page lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
}

/// What the row has in the column that the list is sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// The id says it.
    Id,
    Name(String),
    Millis(i64),
}

impl Cursor {
    /// Reads the text of a cursor of a list that is sorted like this; `None` when it is not one.
    #[must_use]
    pub fn parse(text: &str, sort: SortBy) -> Option<Self> {
        let (side, rest) = match text.split_at_checked(1)? {
            ("a", rest) => (Side::After, rest),
            ("b", rest) => (Side::Before, rest),
            _ => return None,
        };
        let (id, value) = rest.split_once('.').map_or((rest, None), |(id, value)| (id, Some(value)));
        let value = match (sort, value) {
            (SortBy::Created, None) => Value::Id,
            (SortBy::Name, Some(hex)) => Value::Name(from_hex(hex)?),
            (SortBy::LastUsed | SortBy::Expiration, Some(millis)) => Value::Millis(millis.parse().ok()?),
            (SortBy::Created, Some(_)) | (SortBy::Name | SortBy::LastUsed | SortBy::Expiration, None) => {
                return None;
            }
        };
        Some(Self { side, id: Id::parse(&format!("key_{id}")).ok()?, value })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.to_string();
        out.write_str(match self.side {
            Side::After => "a",
            Side::Before => "b",
        })?;
        out.write_str(id.strip_prefix("key_").unwrap_or(&id))?;
        match &self.value {
            Value::Id => Ok(()),
            Value::Millis(millis) => write!(out, ".{millis}"),
            Value::Name(name) => {
                out.write_str(".")?;
                name.bytes().try_for_each(|byte| write!(out, "{byte:02x}"))
            }
        }
    }
}

fn from_hex(hex: &str) -> Option<String> {
    if hex.len() > 2 * MAX_NAME_BYTES || !hex.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(byte).collect();
    // No name holds a control character, and PostgreSQL takes no NUL at all.
    String::from_utf8(bytes?).ok().filter(|name| !name.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use harmony_access::Timestamp;

    use super::*;

    #[test]
    fn a_cursor_reads_back_for_its_own_sort_and_for_no_other() {
        let id = ApiKeyId::new(Timestamp::from_millis(5), [9; 10]);
        let all = [
            (SortBy::Created, Value::Id),
            (SortBy::Name, Value::Name("straße 1 %_".to_owned())),
            (SortBy::LastUsed, Value::Millis(0)),
            (SortBy::Expiration, Value::Millis(253_402_300_800_000)),
        ];
        for (sort, value) in all {
            for side in [Side::Before, Side::After] {
                let cursor = Cursor { side, id, value: value.clone() };
                let text = cursor.to_string();
                assert_eq!(Cursor::parse(&text, sort), Some(cursor), "{text}");
                let other = if sort == SortBy::Created { SortBy::Name } else { SortBy::Created };
                assert_eq!(Cursor::parse(&text, other), None, "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let id = "00000000000570008909090909090909";
        assert!(Cursor::parse(&format!("a{id}"), SortBy::Created).is_some());
        for text in ["", "a", "ä", &format!("c{id}"), &format!("a{id}0"), &format!("a{id}.")] {
            assert_eq!(Cursor::parse(text, SortBy::Created), None, "{text:?}");
        }
        for value in ["6", "zz", "00", "c3", &"61".repeat(MAX_NAME_BYTES + 1)] {
            assert_eq!(Cursor::parse(&format!("a{id}.{value}"), SortBy::Name), None, "{value:?}");
        }
        assert_eq!(Cursor::parse(&format!("a{id}.soon"), SortBy::LastUsed), None);
    }
}
