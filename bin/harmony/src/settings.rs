//! The configuration: flags over `HARMONY_*` variables over `harmony.toml` over defaults.

use std::{collections::HashSet, ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::ValueEnum;
use harmony_limit_redis::{Mode, OnOutage, RedisAddress};
use harmony_store::DatabaseUrl;
use serde::{Deserialize, Serialize};

/// What may be said on the command line, in variables and in the file; whatever is not said has a default.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// The configuration file [default: harmony.toml, if it exists]
    #[arg(long, env = "HARMONY_CONFIG", global = true, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// The folder for the SQLite database [default: harmony-data]
    #[arg(long, env = "HARMONY_DATA_DIR", global = true, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// `sqlite:PATH` or `postgres://…` [default: a SQLite file in the data folder]
    #[arg(long, env = "HARMONY_DATABASE_URL", global = true, value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// A file that holds the database URL
    #[arg(
        long,
        env = "HARMONY_DATABASE_URL_FILE",
        global = true,
        value_name = "FILE",
        conflicts_with = "database_url"
    )]
    pub database_url_file: Option<PathBuf>,
    /// Speak to a PostgreSQL on another machine in plain text
    #[arg(long, env = "HARMONY_DATABASE_ALLOW_PLAINTEXT", global = true, num_args = 0..=1, default_missing_value = "true")]
    pub database_allow_plaintext: Option<bool>,
    /// Connections to the database [default: 8]
    #[arg(long, env = "HARMONY_DATABASE_CONNECTIONS", global = true, value_name = "COUNT")]
    pub database_connections: Option<u32>,
    /// Where to listen; port 0 picks one [default: 127.0.0.1:8080]
    #[arg(long, env = "HARMONY_LISTEN", global = true, value_name = "ADDRESS:PORT", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// The address under which browsers reach the server, such as `https://keys.example.com` [default: what they ask for]
    #[arg(long, env = "HARMONY_PUBLIC_URL", global = true, value_name = "URL")]
    pub public_url: Option<String>,
    /// Where to answer `/metrics`; port 0 picks one [default: 127.0.0.1:9464]
    #[arg(long, env = "HARMONY_METRICS_LISTEN", global = true, value_name = "ADDRESS:PORT", value_parser = address)]
    pub metrics_listen: Option<SocketAddr>,
    /// Requests that a client may make in a window [default: 1000]
    #[arg(long, env = "HARMONY_RATE_LIMIT_REQUESTS", global = true, value_name = "COUNT", value_parser = requests, allow_negative_numbers = true)]
    pub rate_limit_requests: Option<u32>,
    /// The length of a window, in seconds [default: 900]
    #[arg(long, env = "HARMONY_RATE_LIMIT_WINDOW_SECS", global = true, value_name = "SECONDS", value_parser = window_secs, allow_negative_numbers = true)]
    pub rate_limit_window_secs: Option<u64>,
    /// The memory of the limiter, in MiB [default: 32]
    #[arg(long, env = "HARMONY_RATE_LIMIT_MEMORY_MIB", global = true, value_name = "MIB")]
    pub rate_limit_memory_mib: Option<usize>,
    /// The bits of an IPv6 address that make one client [default: 64]
    #[arg(long, env = "HARMONY_RATE_LIMIT_IPV6_PREFIX", global = true, value_name = "BITS")]
    pub rate_limit_ipv6_prefix: Option<u8>,
    /// The Redis in which several servers count together, `redis://…`, `redis+cluster://…` or `redis+sentinel://…` [default: none]
    #[arg(long, env = "HARMONY_REDIS_URL", global = true, value_name = "URL", hide_env_values = true)]
    pub redis_url: Option<String>,
    /// A file that holds the URL of Redis
    #[arg(
        long,
        env = "HARMONY_REDIS_URL_FILE",
        global = true,
        value_name = "FILE",
        conflicts_with = "redis_url"
    )]
    pub redis_url_file: Option<PathBuf>,
    /// What the keys in Redis begin with [default: harmony]
    #[arg(long, env = "HARMONY_REDIS_PREFIX", global = true, value_name = "TEXT")]
    pub redis_prefix: Option<String>,
    /// How servers count together in Redis [default: lease]
    #[arg(long, env = "HARMONY_RATE_LIMIT_MODE", global = true, value_name = "MODE")]
    pub rate_limit_mode: Option<RateLimitMode>,
    /// What is let through while Redis is out of reach, beyond what is held [default: share]
    #[arg(long, env = "HARMONY_RATE_LIMIT_ON_OUTAGE", global = true, value_name = "WHAT")]
    pub rate_limit_on_outage: Option<RateLimitOnOutage>,
    /// Proxies whose forwarding header is believed, as CIDR, separated by commas [default: none]
    #[arg(long, env = "HARMONY_TRUSTED_PROXIES", global = true, value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxies: Option<Vec<String>>,
    /// The header that they write [default: x-forwarded-for]
    #[arg(long, env = "HARMONY_FORWARDED_HEADER", global = true, value_name = "HEADER")]
    pub forwarded_header: Option<ForwardedHeader>,
    /// The form of the log [default: text]
    #[arg(long, env = "HARMONY_LOG_FORMAT", global = true, value_name = "FORM")]
    pub log_format: Option<LogFormat>,
}

/// The header in which a trusted proxy names its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

/// How servers count together in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateLimitMode {
    /// Grants are taken ahead; most requests ask nobody.
    Lease,
    /// Every request is counted in Redis first.
    Exact,
}

impl From<RateLimitMode> for Mode {
    fn from(mode: RateLimitMode) -> Self {
        match mode {
            RateLimitMode::Lease => Self::Lease,
            RateLimitMode::Exact => Self::Exact,
        }
    }
}

/// What is let through while Redis is out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateLimitOnOutage {
    /// The server's share, where that is safe.
    Share,
    /// Nothing.
    Refuse,
}

impl From<RateLimitOnOutage> for OnOutage {
    fn from(on_outage: RateLimitOnOutage) -> Self {
        match on_outage {
            RateLimitOnOutage::Share => Self::Share,
            RateLimitOnOutage::Refuse => Self::Refuse,
        }
    }
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// The configuration as it is in force.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    pub data_dir: PathBuf,
    #[serde(serialize_with = "as_text")]
    pub database_url: DatabaseUrl,
    pub database_allow_plaintext: bool,
    pub database_connections: u32,
    pub listen: SocketAddr,
    pub public_url: Option<String>,
    pub metrics_listen: SocketAddr,
    pub rate_limit_requests: u32,
    pub rate_limit_window_secs: u64,
    pub rate_limit_memory_mib: usize,
    pub rate_limit_ipv6_prefix: u8,
    #[serde(serialize_with = "as_text_if_any")]
    pub redis_url: Option<RedisAddress>,
    pub redis_prefix: String,
    pub rate_limit_mode: RateLimitMode,
    pub rate_limit_on_outage: RateLimitOnOutage,
    pub trusted_proxies: Vec<String>,
    pub forwarded_header: ForwardedHeader,
    pub log_format: LogFormat,
}

/// What is wrong with the configuration, with the entry's name.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file cannot be read.
    #[error("{entry}: cannot read {}: {source}", path.display())]
    Unreadable {
        entry: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {message}", path.display())]
    File { path: PathBuf, message: String },
    /// A value is none of those allowed.
    #[error("{entry}: {message}")]
    Value { entry: &'static str, message: String },
    /// A variable is none of those that are read.
    #[error("{name}: there is no such variable")]
    Variable { name: String },
}

const DEFAULT_FILE: &str = "harmony.toml";
/// What the names of this program's variables begin with.
const VARIABLES: &str = "HARMONY_";
/// The one that is no entry of the configuration: what the log shows.
const LOG_VARIABLE: &str = "HARMONY_LOG";
/// The longest that keys in Redis may begin with.
const MAX_PREFIX_BYTES: usize = 64;
/// What entries may be, in the words of their errors.
const ADDRESS: &str = "an address and a port, such as 127.0.0.1:8080";
const REQUESTS: &str = "1 to 1048575";
const WINDOW_SECS: &str = "1 to 86400";
const DATABASE_FILE: &str = "harmony.sqlite";

impl Said {
    /// The configuration in force.
    ///
    /// # Errors
    ///
    /// For an unknown entry in the file, for an unknown `HARMONY_*` variable, and for a value that is none of those allowed.
    pub fn settle(self) -> Result<Settings, SettingsError> {
        refuse_unknown(std::env::vars_os().map(|(name, _)| name))?;
        let file = self.read_file()?;
        let data_dir =
            self.data_dir.clone().or(file.data_dir.clone()).unwrap_or_else(|| "harmony-data".into());
        let database_url =
            self.database(&file)?.unwrap_or_else(|| DatabaseUrl::sqlite(data_dir.join(DATABASE_FILE)));
        let redis_url = self.redis(&file)?;
        let settings = Settings {
            data_dir,
            database_url,
            database_allow_plaintext: self
                .database_allow_plaintext
                .or(file.database_allow_plaintext)
                .unwrap_or(false),
            database_connections: self.database_connections.or(file.database_connections).unwrap_or(8),
            listen: self.listen.or(file.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
            public_url: self.public_url.or(file.public_url),
            metrics_listen: self
                .metrics_listen
                .or(file.metrics_listen)
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9464))),
            rate_limit_requests: self.rate_limit_requests.or(file.rate_limit_requests).unwrap_or(1_000),
            rate_limit_window_secs: self
                .rate_limit_window_secs
                .or(file.rate_limit_window_secs)
                .unwrap_or(900),
            rate_limit_memory_mib: self.rate_limit_memory_mib.or(file.rate_limit_memory_mib).unwrap_or(32),
            rate_limit_ipv6_prefix: self.rate_limit_ipv6_prefix.or(file.rate_limit_ipv6_prefix).unwrap_or(64),
            redis_url,
            redis_prefix: self.redis_prefix.or(file.redis_prefix).unwrap_or_else(|| "harmony".to_owned()),
            rate_limit_mode: self.rate_limit_mode.or(file.rate_limit_mode).unwrap_or(RateLimitMode::Lease),
            rate_limit_on_outage: self
                .rate_limit_on_outage
                .or(file.rate_limit_on_outage)
                .unwrap_or(RateLimitOnOutage::Share),
            trusted_proxies: self.trusted_proxies.or(file.trusted_proxies).unwrap_or_default(),
            forwarded_header: self
                .forwarded_header
                .or(file.forwarded_header)
                .unwrap_or(ForwardedHeader::XForwardedFor),
            log_format: self.log_format.or(file.log_format).unwrap_or(LogFormat::Text),
        };
        settings.check()?;
        Ok(settings)
    }

    fn read_file(&self) -> Result<Self, SettingsError> {
        let path = self.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.config.is_none() => {
                return Ok(Self::default());
            }
            Err(source) => return Err(SettingsError::Unreadable { entry: "config", path, source }),
        };
        let read: Self = toml::from_str(&text)
            .map_err(|error| SettingsError::File { path: path.clone(), message: named(&text, &error) })?;
        match read.said_twice() {
            Some(message) => Err(SettingsError::File { path, message: message.to_owned() }),
            None => Ok(read),
        }
    }

    /// What flags and variables are refused for by the command line.
    const fn said_twice(&self) -> Option<&'static str> {
        if self.database_url.is_some() && self.database_url_file.is_some() {
            return Some("database_url_file: it cannot be used with database_url");
        }
        if self.redis_url.is_some() && self.redis_url_file.is_some() {
            return Some("redis_url_file: it cannot be used with redis_url");
        }
        None
    }

    fn redis(&self, file: &Self) -> Result<Option<RedisAddress>, SettingsError> {
        let named = |said: &Self| url_of(&said.redis_url, &said.redis_url_file, "redis_url_file");
        let Some(text) = named(self)?.map_or_else(|| named(file), |url| Ok(Some(url)))? else {
            return Ok(None);
        };
        let read = RedisAddress::parse(&text);
        read.map(Some)
            .map_err(|error| SettingsError::Value { entry: "redis_url", message: error.to_string() })
    }

    fn database(&self, file: &Self) -> Result<Option<DatabaseUrl>, SettingsError> {
        let named = |said: &Self| url_of(&said.database_url, &said.database_url_file, "database_url_file");
        let Some(text) = named(self)?.map_or_else(|| named(file), |url| Ok(Some(url)))? else {
            return Ok(None);
        };
        let read = DatabaseUrl::parse(&text);
        read.map(Some)
            .map_err(|error| SettingsError::Value { entry: "database_url", message: error.to_string() })
    }
}

/// An address to listen on.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("it may be {ADDRESS}"))
}

fn requests(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("it may be {REQUESTS}"))
}

fn window_secs(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("it may be {WINDOW_SECS}"))
}

/// A URL that was given, or what the file that was given holds.
pub fn url_of(
    url: &Option<String>,
    file: &Option<PathBuf>,
    entry: &'static str,
) -> Result<Option<String>, SettingsError> {
    match (url, file) {
        (Some(url), _) => Ok(Some(url.clone())),
        (None, Some(path)) => std::fs::read_to_string(path)
            .map(|text| Some(text.trim().to_owned()))
            .map_err(|source| SettingsError::Unreadable { entry, path: path.clone(), source }),
        (None, None) => Ok(None),
    }
}

/// Refuses the first of these variables that is called like one of this program's and is none.
fn refuse_unknown(names: impl Iterator<Item = OsString>) -> Result<(), SettingsError> {
    let said = <Said as clap::Args>::augment_args(clap::Command::new("harmony"));
    let known: HashSet<OsString> = said
        .get_arguments()
        .filter_map(|one| one.get_env().map(Into::into))
        .chain([LOG_VARIABLE.into()])
        .collect();
    let ours = |name: &OsString| name.to_string_lossy().starts_with(VARIABLES);
    let mut unknown = names.filter(|name| ours(name) && !known.contains(name));
    unknown
        .next()
        .map_or(Ok(()), |name| Err(SettingsError::Variable { name: name.to_string_lossy().into_owned() }))
}

/// The parser's message with the entry's name, and without the line that it quotes, which may hold a password.
fn named(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    let at = error.span().and_then(|span| text.get(span)).unwrap_or_default().trim();
    match line.split_once('=').map(|(entry, _)| entry.trim()) {
        Some(entry @ ("listen" | "metrics_listen")) => format!("{entry}: {at} is none; it may be {ADDRESS}"),
        Some(entry @ "rate_limit_requests") => format!("{entry}: {}; it may be {REQUESTS}", error.message()),
        Some(entry @ "rate_limit_window_secs") => {
            format!("{entry}: {}; it may be {WINDOW_SECS}", error.message())
        }
        Some(entry) => format!("{entry}: {}", error.message()),
        None if error.message() == "duplicate key" => format!("{at}: it is there twice"),
        None => error.message().to_owned(),
    }
}

impl Settings {
    fn check(&self) -> Result<(), SettingsError> {
        let wrong = |entry, message: String| Err(SettingsError::Value { entry, message });
        if !(1..=1_000).contains(&self.database_connections) {
            return wrong(
                "database_connections",
                format!("{} is not in 1 to 1000", self.database_connections),
            );
        }
        if !(1..=64).contains(&self.rate_limit_ipv6_prefix) {
            return wrong(
                "rate_limit_ipv6_prefix",
                format!("{} is not in 1 to 64", self.rate_limit_ipv6_prefix),
            );
        }
        if !(1..=65_536).contains(&self.rate_limit_memory_mib) {
            return wrong(
                "rate_limit_memory_mib",
                format!("{} is not in 1 to 65536", self.rate_limit_memory_mib),
            );
        }
        if self.redis_prefix.is_empty() || self.redis_prefix.len() > MAX_PREFIX_BYTES {
            return wrong("redis_prefix", format!("it has not 1 to {MAX_PREFIX_BYTES} bytes"));
        }
        // The first braces of a key decide where a cluster keeps it, and those have to be the limiter's.
        if self.redis_prefix.contains(['{', '}']) {
            return wrong("redis_prefix", "it must not contain braces".to_owned());
        }
        Ok(())
    }

    /// The length of a rate limit's window.
    #[must_use]
    pub fn window(&self) -> Duration {
        Duration::from_secs(self.rate_limit_window_secs)
    }
}

fn as_text_if_any<S: serde::Serializer>(
    address: &Option<RedisAddress>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_none(),
    }
}

fn as_text<S: serde::Serializer>(url: &DatabaseUrl, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(file: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("harmony.toml");
        std::fs::write(&path, file).unwrap();
        Said { config: Some(path), ..Said::default() }.settle().map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let settings = settle("").unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
        assert_eq!((settings.rate_limit_requests, settings.rate_limit_window_secs), (1_000, 900));
        assert_eq!(settings.database_url.to_string(), "sqlite:harmony-data/harmony.sqlite");
    }

    #[test]
    fn an_unknown_entry_is_refused_by_its_name() {
        assert!(settle("listne = '127.0.0.1:1'").unwrap_err().contains("`listne`"));
        assert!(
            settle("rate_limit_ipv6_prefix = 65")
                .unwrap_err()
                .contains("rate_limit_ipv6_prefix: 65 is not in 1 to 64")
        );
    }

    #[test]
    fn an_unknown_variable_is_refused_by_its_name() {
        let refused = |names: &[&str]| {
            refuse_unknown(names.iter().map(Into::into)).err().map(|error| error.to_string())
        };
        assert_eq!(
            refused(&["HARMONY_LISTEN", "HARMONY_CONFIG", "HARMONY_LOG", "HARMONYLISTNE", "PATH"]),
            None
        );
        assert_eq!(
            refused(&["PATH", "HARMONY_LISTNE"]).as_deref(),
            Some("HARMONY_LISTNE: there is no such variable")
        );
    }

    #[test]
    fn an_entry_of_the_wrong_type_is_refused_by_its_name() {
        let error = settle("listen = '127.0.0.1:1'\nrate_limit_requests = 'many'").unwrap_err();
        assert!(
            error.ends_with(
                "rate_limit_requests: invalid type: string \"many\", expected u32; it may be 1 to 1048575"
            ),
            "{error}"
        );
        assert!(!settle("listen = '127.0.0.1:1'\nlistne = 1").unwrap_err().contains("listen:"));
    }

    #[test]
    fn an_entry_that_is_none_is_refused_with_what_it_was_and_may_be() {
        let ends = |file: &str, end: &str| {
            let error = settle(file).unwrap_err();
            assert!(error.ends_with(end), "{error}");
        };
        ends("listen = 'x'", "listen: 'x' is none; it may be an address and a port, such as 127.0.0.1:8080");
        ends(
            "metrics_listen = 7",
            "metrics_listen: 7 is none; it may be an address and a port, such as 127.0.0.1:8080",
        );
        ends("rate_limit_window_secs = -1", "it may be 1 to 86400");
        ends("listen = '127.0.0.1:1'\nlisten = '127.0.0.1:2'", "listen: it is there twice");
        let both = "database_url = 'sqlite:a'\ndatabase_url_file = 'b'";
        ends(both, "database_url_file: it cannot be used with database_url");
        let both = "redis_url = 'redis://a'\nredis_url_file = 'b'";
        ends(both, "redis_url_file: it cannot be used with redis_url");
    }

    #[test]
    fn redis_is_read_and_a_wrong_url_is_refused_without_its_text() {
        let settings = settle("redis_url = 'redis://:sesame@a:1/2'\nrate_limit_mode = 'exact'").unwrap();
        assert_eq!(settings.redis_url.as_ref().map(ToString::to_string).as_deref(), Some("redis://a:1/2"));
        assert_eq!(settings.rate_limit_mode, RateLimitMode::Exact);
        assert_eq!(settings.rate_limit_on_outage, RateLimitOnOutage::Share);
        let error = settle("redis_url = 'rediss://:sesame@a'").unwrap_err();
        assert!(error.starts_with("redis_url: ") && !error.contains("sesame"), "{error}");
        assert!(settle("redis_prefix = 'a{b}'").unwrap_err().starts_with("redis_prefix: "));
    }

    #[test]
    fn a_wrong_database_url_is_refused_without_its_text() {
        let error = settle("database_url = 'mysql://ann:sesame@host/x'").unwrap_err();
        assert!(error.starts_with("database_url: "), "{error}");
        assert!(!error.contains("sesame"));
    }
}
