//! How things are said: instants, spans, numbers, events.

use chrono::SecondsFormat;
use harmony_access::Timestamp;
use harmony_workspace::times::utc;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A moment on a page: how long ago or ahead it is in words, and exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// `2 minutes ago`, `in 5 days`.
    pub(crate) words: String,
    /// `31 Jan 2027, 12:00 UTC`.
    pub(crate) exact: String,
    /// For machines.
    pub(crate) machine: String,
}

impl Moment {
    pub(crate) fn new(at: Timestamp, now: Timestamp) -> Self {
        let time = utc(at);
        Self {
            words: relative(at.as_millis() - now.as_millis()),
            exact: time.format("%-d %b %Y, %H:%M UTC").to_string(),
            machine: time.to_rfc3339_opts(SecondsFormat::Secs, true),
        }
    }
}

/// The day of a moment, `2027-01-31`, as date fields want it.
pub(crate) fn day(at: Timestamp) -> String {
    utc(at).format("%Y-%m-%d").to_string()
}

/// The hour of a moment, `31 Jan, 12:00`.
pub(crate) fn hour(at: Timestamp) -> String {
    utc(at).format("%-d %b, %H:00").to_string()
}

fn relative(ahead_ms: i64) -> String {
    let (span, past) = (ahead_ms.saturating_abs(), ahead_ms < 0);
    if span < MINUTE {
        return if past { "just now" } else { "in a moment" }.to_owned();
    }
    let text = span_words(span);
    if past { format!("{text} ago") } else { format!("in {text}") }
}

fn span_words(ms: i64) -> String {
    let rounded = |unit: i64| (ms + unit / 2) / unit;
    let (count, unit) = match ms {
        _ if rounded(MINUTE) < 60 => (rounded(MINUTE), "minute"),
        _ if rounded(HOUR) < 24 => (rounded(HOUR), "hour"),
        _ if rounded(DAY) <= 120 => (rounded(DAY), "day"),
        _ if rounded(30 * DAY) < 24 => (rounded(30 * DAY), "month"),
        _ => (rounded(365 * DAY), "year"),
    };
    counted(count, unit)
}

/// `1 day`, `2 days`.
pub(crate) fn counted(count: i64, unit: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {unit}{plural}", thousands(count))
}

/// `15 minutes`, of a number of seconds.
pub(crate) fn secs(secs: u64) -> String {
    let secs = i64::try_from(secs).unwrap_or(i64::MAX);
    if secs % 60 == 0 && secs > 0 { span_words(secs.saturating_mul(1_000)) } else { counted(secs, "second") }
}

/// `API key deleted`, of the audit log's `api_key.deleted`; `Last four`, of `last_four`.
pub(crate) fn label(name: &str) -> String {
    capitalised(&name.replace(['.', '_'], " ").replace("api key", "API key"))
}

/// With a capital letter.
pub(crate) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), letters.as_str()))
}

/// `1,204`.
pub(crate) fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        for nibble in [byte >> 4, byte & 0xf] {
            text.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_said_in_words_and_exactly() {
        let now = Timestamp::from_millis(1_801_396_800_000);
        let said = |ahead: i64| Moment::new(Timestamp::from_millis(now.as_millis() + ahead), now).words;
        assert_eq!(said(0), "in a moment");
        assert_eq!(said(-59_999), "just now");
        assert_eq!(said(-MINUTE), "1 minute ago");
        assert_eq!(said(-59 * MINUTE), "59 minutes ago");
        assert_eq!(said(HOUR), "in 1 hour");
        assert_eq!(said(-47 * HOUR), "2 days ago");
        assert_eq!(said(30 * DAY - 1), "in 30 days");
        assert_eq!(said(90 * DAY), "in 90 days");
        assert_eq!(said(365 * DAY), "in 12 months");
        assert_eq!(said(-800 * DAY), "2 years ago");
        let moment = Moment::new(now, now);
        assert_eq!(
            (moment.exact.as_str(), moment.machine.as_str()),
            ("31 Jan 2027, 12:00 UTC", "2027-01-31T12:00:00Z")
        );
    }

    #[test]
    fn a_moment_has_its_day() {
        assert_eq!(day(Timestamp::from_millis(1_801_439_999_999)), "2027-01-31");
    }

    #[test]
    fn numbers_are_said_as_people_say_them() {
        assert_eq!(
            ["0", "999", "1,000", "1,204,007"],
            [0, 999, 1_000, 1_204_007].map(thousands).each_ref().map(String::as_str)
        );
        assert_eq!(counted(1, "key"), "1 key");
        assert_eq!(counted(1_000, "key"), "1,000 keys");
    }
}
