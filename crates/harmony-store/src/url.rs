//! Which database, as an operator writes it.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

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
pub struct PostgresUrl(String);

/// Why a text is not a [`DatabaseUrl`]. It does not repeat the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a database URL is `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`")]
pub struct UrlError;

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
    /// For any other scheme, and for a SQLite path that is empty.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(UrlError) } else { Ok(Self::sqlite(path)) };
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(PostgresUrl(text.to_owned())));
        }
        Err(UrlError)
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
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the server is on this machine: a socket, `localhost` or a loopback address. The linked libpq has no TLS,
    /// so that anything else would be spoken to in plain text.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = place.split('/').next().unwrap_or("");
        let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
        let named = query.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            matches!(name, "host" | "hostaddr").then_some(value)
        });
        hosts.split(',').chain(named).all(host_is_local)
    }

    /// The URL with the password blotted out, for people.
    #[must_use]
    pub fn redacted(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else { return "postgres://…".to_owned() };
        let (place, _) = rest.split_once('?').unwrap_or((rest, ""));
        match place.rsplit_once('@') {
            Some((user, host)) => format!("{scheme}://{}@{host}", user.split(':').next().unwrap_or("")),
            None => format!("{scheme}://{place}"),
        }
    }
}

fn host_is_local(host: &str) -> bool {
    let decoded = host.replace("%2F", "/").replace("%2f", "/");
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
            assert_eq!(DatabaseUrl::parse(wrong), Err(UrlError), "{wrong}");
        }
    }

    #[test]
    fn only_sockets_and_loopback_are_local() {
        for local in [
            "postgres:///d",
            "postgres://u@%2Ftmp%2Fx/d",
            "postgres://u:p@127.0.0.1:5/d",
            "postgres://[::1]:5/d",
        ] {
            assert!(postgres(local).is_local(), "{local}");
        }
        for remote in [
            "postgres://db.example/d",
            "postgres://u@10.0.0.1:5432/d",
            "postgres:///d?host=db.example",
            "postgres://localhost,b/d",
        ] {
            assert!(!postgres(remote).is_local(), "{remote}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = DatabaseUrl::parse("postgres://ann:sesame@db.example/harmony?password=sesame").unwrap();
        assert_eq!(
            format!("{url} {url:?}"),
            "postgres://ann@db.example/harmony postgres://ann@db.example/harmony"
        );
    }
}
