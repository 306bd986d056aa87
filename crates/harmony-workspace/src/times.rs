//! Instants as text: RFC 3339 in UTC.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, SecondsFormat, Utc};
use harmony_access::Timestamp;

/// A text that is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an instant is written like 2027-01-31T12:00:00Z (RFC 3339), a date like 2027-01-31")]
pub struct TimeError;

/// An instant as the calendar has it; one beyond its end is its end.
#[must_use]
pub fn utc(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.as_millis()).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Writes an instant, to the millisecond.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    utc(at).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Reads an instant.
///
/// # Errors
///
/// For any other form.
pub fn read_instant(text: &str) -> Result<Timestamp, TimeError> {
    let at = DateTime::parse_from_rfc3339(text).map_err(|_| TimeError)?;
    Ok(Timestamp::from_millis(at.timestamp_millis()))
}

/// Reads an expiration: an instant, or a date, which lasts to the end of that day in UTC.
///
/// # Errors
///
/// For any other form, and for days that the calendar does not have.
pub fn read_expiration(text: &str) -> Result<Timestamp, TimeError> {
    if text.len() == 10 { end_of_day(text) } else { read_instant(text) }
}

/// The last millisecond of a day that is written like `2027-01-31`, in UTC.
///
/// # Errors
///
/// For any other form, and for days that the calendar does not have.
pub fn end_of_day(text: &str) -> Result<Timestamp, TimeError> {
    if text.len() != 10 {
        return Err(TimeError);
    }
    let day: NaiveDate = text.parse().map_err(|_| TimeError)?;
    let next = day.checked_add_days(Days::new(1)).ok_or(TimeError)?;
    Ok(Timestamp::from_millis(next.and_time(NaiveTime::MIN).and_utc().timestamp_millis() - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_lasts_to_the_end_of_its_day() {
        assert_eq!(rfc3339(read_expiration("2027-01-31").unwrap()), "2027-01-31T23:59:59.999Z");
        assert_eq!(
            rfc3339(read_expiration("2027-01-31T12:00:00+02:00").unwrap()),
            "2027-01-31T10:00:00.000Z"
        );
        assert_eq!(rfc3339(read_expiration("9999-12-31").unwrap()), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_the_calendar_does_not_have_is_refused() {
        assert!(read_expiration("2028-02-29").is_ok());
        for wrong in
            ["2027-02-29", "2027-13-01", "tomorrow", "", "2027-01-31T12:00:00", "01/31/2027", "10000-01-01"]
        {
            assert_eq!(read_expiration(wrong), Err(TimeError), "{wrong}");
        }
    }

    #[test]
    fn a_day_lasts_to_its_end_in_utc() {
        assert_eq!(end_of_day("2027-01-31"), Ok(Timestamp::from_millis(1_801_439_999_999)));
        for wrong in ["2027-02-29", "tomorrow", "", "2027-1-1x"] {
            assert_eq!(end_of_day(wrong), Err(TimeError), "{wrong}");
        }
    }
}
