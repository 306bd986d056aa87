//! How many rows a table has and what is in them, in a form that does not depend on the database.

use std::fmt::{self, Write};

use harmony_key::Fingerprint;
use serde::{Deserialize, Serialize};

use super::rows::{Row, Value};

/// The number of a table's rows, and the sum of their digests. A sum, because the two databases do not agree on an order
/// of text; no row can cancel another, as it could if the digests were combined by XOR.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many rows.
    pub rows: u64,
    sum: [u64; 4],
}

impl Tally {
    pub(super) fn add(&mut self, row: &Row) {
        self.rows += 1;
        let digest = digest(row);
        for (sum, part) in self.sum.iter_mut().zip(digest.as_bytes().chunks_exact(8)) {
            let word = part.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            *sum = sum.wrapping_add(word);
        }
    }

    /// The digest of the table, in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut text = String::new();
        for word in self.sum {
            // Nothing goes wrong when writing into a `String`.
            let _ = write!(text, "{word:016x}");
        }
        text
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = self.digest();
        write!(out, "{} rows, digest {}", self.rows, digest.get(..16).unwrap_or(&digest))
    }
}

fn digest(row: &Row) -> Fingerprint {
    let parts: Vec<Vec<u8>> = row.0.iter().map(canonical).collect();
    Fingerprint::of(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// A letter for the kind, in lower case where there is nothing, then the value.
fn canonical(value: &Value) -> Vec<u8> {
    let told = |letter: u8, bytes: Option<&[u8]>| match bytes {
        Some(bytes) => [&[letter], bytes].concat(),
        None => vec![letter.to_ascii_lowercase()],
    };
    match value {
        Value::Text(text) => told(b'T', text.as_deref().map(str::as_bytes)),
        Value::Integer(number) => told(b'I', number.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice)),
        Value::Bytes(bytes) => told(b'B', bytes.as_deref()),
        Value::Bool(truth) => {
            told(b'L', truth.map(|truth| [u8::from(truth)]).as_ref().map(<[u8; 1]>::as_slice))
        }
        Value::Double(number) => {
            // SQLite keeps no sign of a zero.
            let bits = number.map(|number| (number + 0.0).to_bits().to_be_bytes());
            told(b'D', bits.as_ref().map(<[u8; 8]>::as_slice))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(rows: &[&[Value]]) -> Tally {
        let mut tally = Tally::default();
        for row in rows {
            tally.add(&Row(row.to_vec()));
        }
        tally
    }

    fn text(text: &str) -> Value {
        Value::Text(Some(text.to_owned()))
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter_and_that_of_the_columns_does() {
        let (one, two) = ([text("a"), text("b")], [text("b"), text("a")]);
        assert_eq!(tally(&[&one, &two]), tally(&[&two, &one]));
        assert_ne!(tally(&[&one]), tally(&[&two]));
    }

    #[test]
    fn what_is_not_the_same_has_not_the_same_digest() {
        let nothing = [
            Value::Text(None),
            Value::Integer(None),
            Value::Bytes(None),
            Value::Bool(None),
            Value::Double(None),
        ];
        let empty = [
            text(""),
            Value::Integer(Some(0)),
            Value::Bytes(Some(vec![])),
            Value::Bool(Some(false)),
            Value::Double(Some(0.0)),
        ];
        let other = [
            text("a"),
            Value::Integer(Some(1)),
            Value::Bytes(Some(vec![0])),
            Value::Bool(Some(true)),
            Value::Double(Some(0.1)),
        ];
        let all: Vec<Tally> = [&nothing, &empty, &other]
            .into_iter()
            .flatten()
            .map(|one| tally(&[std::slice::from_ref(one)]))
            .collect();
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{index}");
        }
        assert_ne!(tally(&[&[text("ab"), text("c")]]), tally(&[&[text("a"), text("bc")]]));
        assert_ne!(tally(&[]), tally(&[&[]]));
    }

    #[test]
    fn rows_do_not_cancel_each_other() {
        let (one, two) = ([text("a")], [text("b")]);
        assert_ne!(tally(&[&one, &one]), tally(&[&two, &two]));
    }

    #[test]
    fn both_zeros_are_one() {
        assert_eq!(tally(&[&[Value::Double(Some(-0.0))]]), tally(&[&[Value::Double(Some(0.0))]]));
    }
}
