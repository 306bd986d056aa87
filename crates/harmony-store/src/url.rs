//! Which database, as an operator writes it.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

/// A PostgreSQL that does not answer is given up after this many seconds.
const CONNECT_TIMEOUT_SECS: u32 = 5;
/// What the operator may set otherwise. A host that vanishes without a word is noticed within 19 seconds instead of the
/// quarter of an hour that TCP would try, and the database shows by name whose connections these are.
const DEFAULTS: &str = "tcp_user_timeout=10000&keepalives_idle=10&keepalives_interval=3&keepalives_count=3\
                        &fallback_application_name=harmony";

/// Where the data is: `sqlite:PATH` or `postgres://…`.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server, in the form that libpq takes.
    Postgres(PostgresUrl),
}

/// The URL of a PostgreSQL server; may hold a password, and so is never printed whole.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    text: String,
    ssl_mode: SslMode,
}

/// What a URL asks of TLS, in the words of libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// How safe the way to a PostgreSQL is by its URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// To this machine: a socket, `localhost` or a loopback address. Perhaps encrypted, and no stranger is in between.
    Local,
    /// Encrypted, and the server has to prove its name (`verify-full`) or at least its authority (`verify-ca`).
    Verified,
    /// Encrypted, to whoever answers (`require`).
    Encrypted,
    /// To another machine, in plain text or in what falls back to it without a word.
    Plain,
}

/// Why a text is not a [`DatabaseUrl`]. It does not repeat the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is no URL of a database.
    #[error("a database URL is `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`")]
    Form,
    /// A part is not written as libpq reads it. Asked, libpq would say so as well, and print the part.
    #[error(
        "{part} of the database URL cannot be read; within a user, a password or a value write % as %25, @ as %40, / as %2F, \
         ? as %3F, & as %26 and = as %3D"
    )]
    Part {
        /// Which.
        part: &'static str,
    },
    /// It asks for TLS in a word that libpq does not know.
    #[error("`sslmode` is one of disable, allow, prefer, require, verify-ca and verify-full")]
    SslMode,
}

impl DatabaseUrl {
    /// A SQLite file at `path`.
    #[must_use]
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self::Sqlite(path.into())
    }

    /// Reads what an operator wrote.
    ///
    /// # Errors
    ///
    /// For any other scheme, for a SQLite path that is empty, for parts of which it is not certain where they begin and end, and
    /// for an unknown `sslmode`.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(UrlError::Form) } else { Ok(Self::sqlite(path)) };
        }
        let rest =
            text.strip_prefix("postgres://").or(text.strip_prefix("postgresql://")).ok_or(UrlError::Form)?;
        check(rest).map_err(|part| UrlError::Part { part })?;
        PostgresUrl::parse(text).map(Self::Postgres)
    }

    /// The SQLite file, if it is one.
    #[must_use]
    pub fn sqlite_path(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

impl PostgresUrl {
    fn parse(text: &str) -> Result<Self, UrlError> {
        // Of what is said twice, libpq believes the last.
        let mut ssl_mode = SslMode::Prefer;
        for (name, value) in Parts::of(text).parameters() {
            match (name.as_str(), value.as_str()) {
                ("sslmode", mode) => ssl_mode = SslMode::parse(mode).ok_or(UrlError::SslMode)?,
                // What JDBC calls it, libpq understands as well.
                ("ssl", "true") => ssl_mode = SslMode::Require,
                _ => {}
            }
        }
        Ok(Self { text: text.to_owned(), ssl_mode })
    }

    /// What libpq is given. The last word is ours, so that no variable and no spelling undoes what was judged here.
    pub(crate) fn for_libpq(&self) -> String {
        let query = Parts::of(&self.text).query;
        let before = self.text.len().saturating_sub(query.len());
        let place = self.text.get(..before).unwrap_or_default();
        let place = place.strip_suffix('?').unwrap_or(place);
        let separator = if query.is_empty() { "" } else { "&" };
        let mode = self.ssl_mode.word();
        format!("{place}?{DEFAULTS}{separator}{query}&connect_timeout={CONNECT_TIMEOUT_SECS}&sslmode={mode}")
    }

    /// Whether the URL insists on TLS, rather than to take it when it is offered.
    pub(crate) const fn demands_tls(&self) -> bool {
        matches!(self.ssl_mode, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull)
    }

    /// How safe the way to the server is. Where the URL is silent, libpq asks the variables `PGHOST`, `PGHOSTADDR` and
    /// `PGSERVICE`.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport_given(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn transport_given(&self, variable: impl Fn(&str) -> Option<String>) -> Transport {
        match self.ssl_mode {
            _ if self.is_local(variable) => Transport::Local,
            SslMode::VerifyCa | SslMode::VerifyFull => Transport::Verified,
            SslMode::Require => Transport::Encrypted,
            SslMode::Disable | SslMode::Allow | SslMode::Prefer => Transport::Plain,
        }
    }

    fn is_local(&self, variable: impl Fn(&str) -> Option<String>) -> bool {
        let parts = Parts::of(&self.text);
        let parameters = parts.parameters();
        let named = |wanted: &str| -> Vec<String> {
            let these = parameters.iter().filter(|(name, _)| name == wanted);
            these.map(|(_, value)| value.clone()).collect()
        };
        // A service file may name any host.
        if !named("service").is_empty() || variable("PGSERVICE").is_some() {
            return false;
        }
        let mut hosts = named("host");
        hosts.extend(Some(parts.hosts()).filter(|hosts| !hosts.is_empty()).map(str::to_owned));
        if hosts.is_empty() {
            hosts.extend(variable("PGHOST"));
        }
        let mut addresses = named("hostaddr");
        if addresses.is_empty() {
            addresses.extend(variable("PGHOSTADDR"));
        }
        hosts.iter().chain(&addresses).flat_map(|list| list.split(',')).all(host_is_local)
    }

    /// The URL with the password blotted out, for people.
    #[must_use]
    pub fn redacted(&self) -> String {
        let Parts { scheme, credentials, place, .. } = Parts::of(&self.text);
        match credentials.and_then(|credentials| credentials.split(':').next()) {
            Some(user) => format!("{scheme}://{user}@{place}"),
            None => format!("{scheme}://{place}"),
        }
    }
}

/// A URL in the parts into which libpq takes it, not decoded.
struct Parts<'a> {
    scheme: &'a str,
    credentials: Option<&'a str>,
    /// The hosts with their ports, and the database.
    place: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    /// Of a text that [`check`] let through: what comes before an `@` is the user and the password.
    fn of(text: &'a str) -> Self {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let (credentials, rest) = match rest.split_once('@') {
            Some((credentials, rest)) if !credentials.contains('/') => (Some(credentials), rest),
            Some(_) | None => (None, rest),
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        Self { scheme, credentials, place, query }
    }

    fn hosts(&self) -> &'a str {
        self.place.split('/').next().unwrap_or("")
    }

    /// The names and values after the question mark, decoded.
    fn parameters(&self) -> Vec<(String, String)> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
    }
}

impl SslMode {
    const ALL: [Self; 6] =
        [Self::Disable, Self::Allow, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];

    const fn word(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.word() == word)
    }
}

/// With `%2F` read as `/`, and so on; what is no such code stays as it is, and libpq refuses it.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.filter(|_| first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Names the first part behind the scheme that could be read in another way than it was meant. A password with an unescaped `/`
/// or `@` would be taken for a port or a host otherwise, and shown as such.
fn check(rest: &str) -> Result<(), &'static str> {
    let clear = |text: &str, none: &[char], part| {
        if is_clear(text) && !text.contains(none) { Ok(()) } else { Err(part) }
    };
    // As libpq does: what is before an @ that is before every slash.
    let (user_info, rest) = match rest.find(['@', '/']).and_then(|at| rest.split_at_checked(at)) {
        Some((before, after)) if after.starts_with('@') => (before, after.get(1..).unwrap_or("")),
        Some(_) | None => ("", rest),
    };
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    clear(user, &['?'], "the user")?;
    clear(password, &['?'], "the password")?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
    for host in hosts.split(',') {
        let port = match host.strip_prefix('[') {
            Some(v6) => v6.split_once(']').ok_or("the host")?.1,
            None => host.find(':').and_then(|at| host.get(at..)).unwrap_or(""),
        };
        clear(host, &['@'], "the host")?;
        let digits = port.strip_prefix(':').unwrap_or(port);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) || (port == digits && !port.is_empty()) {
            return Err("the port");
        }
    }
    clear(database, &['@'], "the database")?;
    for pair in query.split('&').filter(|_| !query.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or("a parameter")?;
        if value.contains('=') || !is_clear(name) || !is_clear(value) {
            return Err("a parameter");
        }
    }
    Ok(())
}

/// Whether each `%` is followed by two hexadecimal digits, not both zero.
fn is_clear(text: &str) -> bool {
    let escaped = |after: &str| {
        after
            .get(..2)
            .is_some_and(|digits| digits != "00" && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    text.split('%').skip(1).all(escaped)
}

fn host_is_local(host: &str) -> bool {
    let decoded = decoded(host);
    if decoded.is_empty() || decoded.starts_with('/') || decoded.starts_with('@') {
        return true;
    }
    let bare = match decoded.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(""),
        None if decoded.matches(':').count() == 1 => decoded.split(':').next().unwrap_or(""),
        None => &decoded,
    };
    bare.is_empty()
        || bare == "localhost"
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl std::fmt::Display for DatabaseUrl {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(out, "sqlite:{}", path.display()),
            Self::Postgres(url) => out.write_str(&url.redacted()),
        }
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(text: &str) -> PostgresUrl {
        match DatabaseUrl::parse(text).unwrap() {
            DatabaseUrl::Postgres(url) => url,
            DatabaseUrl::Sqlite(path) => panic!("{}", path.display()),
        }
    }

    #[test]
    fn both_schemes_are_read_and_others_are_refused() {
        assert_eq!(DatabaseUrl::parse("sqlite:a/b.db"), Ok(DatabaseUrl::sqlite("a/b.db")));
        assert_eq!(DatabaseUrl::parse("sqlite:///a/b.db"), Ok(DatabaseUrl::sqlite("/a/b.db")));
        for wrong in ["", "sqlite:", "mysql://x", "a.db", "postgres:x"] {
            assert_eq!(DatabaseUrl::parse(wrong), Err(UrlError::Form), "{wrong}");
        }
    }

    #[test]
    fn what_libpq_would_read_in_another_way_is_refused_by_the_name_of_the_part() {
        for (wrong, part) in [
            ("ann:sesame%zz@db.example/harmony", "the password"),
            ("ann:sesame%@db.example/harmony", "the password"),
            ("ann:sesame%00@db.example/harmony", "the password"),
            ("ann:ses?ame@db.example/harmony", "the password"),
            ("ann:ses@me@db.example/harmony", "the host"),
            ("ann:sesame/sesame@db.example/harmony", "the port"),
            ("ann:5432/sesame@db.example/harmony", "the database"),
            ("sesame%@db.example/harmony", "the user"),
            ("localhost?@db.example/d", "the user"),
            ("ann:ses?host=b@localhost/d", "the password"),
            ("ann:sesame", "the port"),
            ("ann:s%C3%zz@db.example", "the password"),
            ("db%.example/harmony", "the host"),
            ("db.example/harmony%2", "the database"),
            ("[::1/harmony", "the host"),
            ("[::1]5432/harmony", "the port"),
            ("db.example/harmony?password=ses%zzame", "a parameter"),
            ("db.example/harmony?password=ses=ame", "a parameter"),
            ("db.example/harmony?password=sesame&ame", "a parameter"),
        ] {
            let refusal = DatabaseUrl::parse(&format!("postgres://{wrong}")).unwrap_err();
            assert_eq!(refusal, UrlError::Part { part }, "{wrong}");
            assert!(!refusal.to_string().contains("ses"));
        }
    }

    #[test]
    fn what_libpq_reads_is_let_through() {
        for right in [
            "",
            "/d",
            "ann@/d",
            "ann:%25%40%2f%C3%A4:@db.example:5432/harmony",
            "ann:ses:ame@[::1]:5/d",
            "a,b:5432,[::1]:5433/d?target_session_attrs=read-write&application_name=a%3Db",
            "db.example:/d",
            "u@%2Ftmp%2Fx/d?connect_timeout=1",
            "/d?host=@abstract&user=ann",
            "/d?host=/tmp",
            "ann:ses#ame@db.example/harmony?password=ses?ame",
        ] {
            assert!(DatabaseUrl::parse(&format!("postgres://{right}")).is_ok(), "{right}");
        }
    }

    #[test]
    fn an_unknown_word_for_tls_is_refused() {
        for wrong in ["sslmode=verify", "sslmode=", "sslmode=Require", "sslmode=require&sslmode=x"] {
            let url = format!("postgres://h/d?{wrong}");
            assert_eq!(DatabaseUrl::parse(&url), Err(UrlError::SslMode), "{wrong}");
        }
    }

    fn transport(text: &str, variables: &[(&str, &str)]) -> Transport {
        postgres(text).transport_given(|wanted| {
            let set = variables.iter().find(|(name, _)| *name == wanted);
            set.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn only_sockets_and_loopback_are_local() {
        for local in [
            "postgres:///d",
            "postgres://u@%2Ftmp%2Fx/d",
            "postgres://u:p@127.0.0.1:5/d",
            "postgres://[::1]:5/d",
            "postgres:///d?host=/tmp",
            "postgres://localhost/d?sslmode=verify-full",
        ] {
            assert_eq!(transport(local, &[]), Transport::Local, "{local}");
        }
        for remote in [
            "postgres://db.example/d",
            "postgres://u@10.0.0.1:5432/d",
            "postgres:///d?host=db.example",
            "postgres:///d?h%6Fst=db.example",
            "postgres:///d?hostaddr=10.0.0.1",
            "postgres:///d?service=elsewhere",
            "postgres://localhost,b/d",
            "postgres:///d?host=localhost,b",
            "postgres://localhost%2F@db.example/d",
        ] {
            assert_eq!(transport(remote, &[]), Transport::Plain, "{remote}");
        }
    }

    #[test]
    fn only_what_cannot_fall_back_to_plain_text_counts_as_encrypted() {
        let far = |query: &str| transport(&format!("postgres://db.example/d?{query}"), &[]);
        for plain in [
            "",
            "sslmode=disable",
            "sslmode=allow",
            "sslmode=prefer",
            "sslmode=verify-full&sslmode=prefer",
            "sslmode=verify-full&sslm%6Fde=disable",
            "ssl=true&sslmode=prefer",
            "sslrootcert=/a.pem",
        ] {
            assert_eq!(far(plain), Transport::Plain, "{plain}");
        }
        for encrypted in ["sslmode=require", "ssl=true", "sslmode=disable&sslmode=require"] {
            assert_eq!(far(encrypted), Transport::Encrypted, "{encrypted}");
        }
        for verified in ["sslmode=verify-ca", "sslmode=verify-full", "sslmode=verify%2dfull&sslrootcert=/a"] {
            assert_eq!(far(verified), Transport::Verified, "{verified}");
        }
    }

    #[test]
    fn what_libpq_takes_from_variables_is_judged_as_well() {
        for (url, name, value) in [
            ("postgres:///d", "PGHOST", "db.example"),
            ("postgres:///d?host=localhost", "PGHOSTADDR", "10.0.0.1"),
            ("postgres://localhost/d", "PGSERVICE", "elsewhere"),
        ] {
            assert_eq!(transport(url, &[(name, value)]), Transport::Plain, "{name}");
        }
        for (url, name, value) in [
            ("postgres:///d", "PGHOST", "/run/postgresql"),
            ("postgres://localhost/d", "PGHOST", "db.example"),
            ("postgres://localhost/d?hostaddr=127.0.0.1", "PGHOSTADDR", "10.0.0.1"),
        ] {
            assert_eq!(transport(url, &[(name, value)]), Transport::Local, "{name}");
        }
    }

    #[test]
    fn what_was_judged_is_the_last_word_to_libpq() {
        for (url, end) in [
            ("postgres://h/d", "&connect_timeout=5&sslmode=prefer"),
            ("postgres://h/d?", "&connect_timeout=5&sslmode=prefer"),
            ("postgres://h/d?ssl=true", "&ssl=true&connect_timeout=5&sslmode=require"),
            (
                "postgres://h/d?sslmode=verify-full&connect_timeout=0",
                "&sslmode=verify-full&connect_timeout=0&connect_timeout=5&sslmode=verify-full",
            ),
        ] {
            let given = postgres(url).for_libpq();
            assert!(given.starts_with("postgres://h/d?tcp_user_timeout=") && given.ends_with(end), "{given}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = DatabaseUrl::parse("postgres://ann:sesame@db.example/harmony?password=sesame").unwrap();
        assert_eq!(
            format!("{url} {url:?}"),
            "postgres://ann@db.example/harmony postgres://ann@db.example/harmony"
        );
        for awkward in ["se?same", "se@same", "se/same", "se?sa@me", "se/sa@me"] {
            let url = DatabaseUrl::parse(&format!("postgres://ann:{awkward}@db.example/harmony"));
            assert!(url.is_err(), "{awkward}");
        }
    }
}
