//! The line of each request, formatted by hand into the log's own buffer: through `tracing`'s formatter that line alone was
//! a quarter of the processor time that the server added to the bare framework's.

use std::{cell::RefCell, io::Write as _, net::IpAddr, sync::Arc, time::Duration};

use harmony_access::{ApiKeyId, Timestamp};
use harmony_actix::Answered;

use crate::{log::Lines, settings::LogFormat};

/// What `HARMONY_LOG` calls these lines, such as in `warn,harmony::request=info`.
const TARGET: &str = "harmony::request";

/// Writes one line a request, in the form that the other lines of the log have.
pub struct AccessLog {
    lines: Arc<Lines>,
    format: LogFormat,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl AccessLog {
    pub fn new(lines: Arc<Lines>, format: LogFormat) -> Self {
        Self { lines, format }
    }

    /// Writes the line of this answer.
    pub fn note(&self, answered: &Answered<'_>, route: &str) {
        if !tracing::enabled!(target: TARGET, tracing::Level::INFO) {
            return;
        }
        let entry = Entry {
            at: answered.arrived().plus(answered.duration()),
            request_id: answered.request_id().as_str(),
            method: answered.known_method(),
            route,
            status: answered.status().as_u16(),
            duration: answered.duration(),
            client: answered.client(),
            key_id: answered.key().map(|key| key.id),
        };
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.format(&entry, self.format);
            // Nobody is left to tell when the log cannot be written.
            let _ = (&*self.lines).write_all(scratch.line.as_bytes());
        });
    }
}

/// None of the texts holds a character that JSON or a terminal would have to escape: ids, routes and methods are the
/// program's own, and a client's request id was taken over because it is harmless.
struct Entry<'a> {
    at: Timestamp,
    request_id: &'a str,
    method: &'static str,
    route: &'a str,
    status: u16,
    duration: Duration,
    client: IpAddr,
    key_id: Option<ApiKeyId>,
}

/// A thread's line under construction, and the text of the second that its last line was written in.
#[derive(Default)]
struct Scratch {
    line: String,
    second: Option<i64>,
    /// `2027-01-31T12:00:00.`
    stamp: String,
}

impl Scratch {
    fn format(&mut self, entry: &Entry<'_>, format: LogFormat) {
        self.line.clear();
        match format {
            LogFormat::Text => self.text(entry),
            LogFormat::Json => self.json(entry),
        }
    }

    fn text(&mut self, entry: &Entry<'_>) {
        self.write_stamp(entry.at);
        self.put(&["  INFO ", TARGET, ": request request_id=\"", entry.request_id]);
        self.put(&["\" method=\"", entry.method, "\" route=\"", entry.route, "\" status="]);
        self.number(entry.status.into());
        self.put(&[" duration_ms="]);
        self.millis(entry.duration);
        self.put(&[" client="]);
        self.address(entry.client);
        if let Some(key) = entry.key_id {
            self.put(&[" key_id="]);
            key.push_to(&mut self.line);
        }
        self.put(&["\n"]);
    }

    fn json(&mut self, entry: &Entry<'_>) {
        self.put(&["{\"timestamp\":\""]);
        self.write_stamp(entry.at);
        self.put(&["\",\"level\":\"INFO\",\"message\":\"request\",\"request_id\":\"", entry.request_id]);
        self.put(&["\",\"method\":\"", entry.method, "\",\"route\":\"", entry.route, "\",\"status\":"]);
        self.number(entry.status.into());
        self.put(&[",\"duration_ms\":"]);
        self.millis(entry.duration);
        self.put(&[",\"client\":\""]);
        self.address(entry.client);
        if let Some(key) = entry.key_id {
            self.put(&["\",\"key_id\":\""]);
            key.push_to(&mut self.line);
        }
        self.put(&["\",\"target\":\"", TARGET, "\"}\n"]);
    }

    fn put(&mut self, texts: &[&str]) {
        texts.iter().for_each(|text| self.line.push_str(text));
    }

    fn number(&mut self, number: u64) {
        self.line.push_str(itoa::Buffer::new().format(number));
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                let [first, rest @ ..] = address.octets();
                self.number(first.into());
                for octet in rest {
                    self.put(&["."]);
                    self.number(octet.into());
                }
            }
            IpAddr::V6(address) => self.put(&[&address.to_string()]),
        }
    }

    /// Milliseconds with three places.
    fn millis(&mut self, duration: Duration) {
        self.number(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        self.line.push('.');
        self.three_digits(u64::from(duration.subsec_micros() % 1_000));
    }

    fn three_digits(&mut self, number: u64) {
        self.put(&[if number < 10 {
            "00"
        } else if number < 100 {
            "0"
        } else {
            ""
        }]);
        self.number(number);
    }

    /// The calendar is asked once a second, and not for each line.
    fn write_stamp(&mut self, at: Timestamp) {
        let (second, millis) = (at.as_millis().div_euclid(1_000), at.as_millis().rem_euclid(1_000));
        if self.second != Some(second) {
            self.stamp = harmony_workspace::times::rfc3339(Timestamp::from_millis(second * 1_000));
            self.stamp.truncate(self.stamp.len().saturating_sub("000Z".len()));
            self.second = Some(second);
        }
        self.line.push_str(&self.stamp);
        self.three_digits(millis.unsigned_abs());
        self.line.push('Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ApiKeyId {
        ApiKeyId::new(Timestamp::from_millis(1_801_396_800_000), [7; 10])
    }

    fn entry(at: i64, key_id: Option<ApiKeyId>) -> Entry<'static> {
        Entry {
            at: Timestamp::from_millis(at),
            request_id: "r-1",
            method: "GET",
            route: "/v1/whoami",
            status: 200,
            duration: Duration::from_micros(12_034),
            client: "192.0.2.1".parse().unwrap(),
            key_id,
        }
    }

    #[test]
    fn a_text_line_has_its_fields_and_its_own_moment() {
        let mut scratch = Scratch::default();
        scratch.format(&entry(1_801_396_800_007, Some(key())), LogFormat::Text);
        assert_eq!(
            scratch.line,
            format!(
                "2027-01-31T12:00:00.007Z  INFO harmony::request: request request_id=\"r-1\" method=\"GET\" \
                 route=\"/v1/whoami\" status=200 duration_ms=12.034 client=192.0.2.1 key_id={}\n",
                key()
            )
        );
        let client = "2001:db8::7".parse().unwrap();
        scratch.format(&Entry { client, ..entry(1_801_396_801_999, None) }, LogFormat::Text);
        assert!(scratch.line.starts_with("2027-01-31T12:00:01.999Z  INFO "), "{}", scratch.line);
        assert!(scratch.line.ends_with(" client=2001:db8::7\n"), "{}", scratch.line);
    }

    #[test]
    fn a_json_line_is_one_object_with_the_same_fields() {
        let mut scratch = Scratch::default();
        for key in [Some(key()), None] {
            scratch.format(&entry(1_801_396_800_007, key), LogFormat::Json);
            let mut wanted = serde_json::json!({
                "timestamp": "2027-01-31T12:00:00.007Z", "level": "INFO", "message": "request", "request_id": "r-1",
                "method": "GET", "route": "/v1/whoami", "status": 200, "duration_ms": 12.034,
                "client": "192.0.2.1", "target": "harmony::request",
            });
            if let Some(key) = key {
                wanted["key_id"] = key.to_string().into();
            }
            assert_eq!(serde_json::from_str::<serde_json::Value>(&scratch.line).unwrap(), wanted);
            assert!(scratch.line.ends_with("}\n"));
        }
    }
}
