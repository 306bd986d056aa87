use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// Where Redis is: one server, a cluster, or sentinels that know it.
///
/// - `redis://[user:password@]host[:port][/database]`, `redis+unix:///path`
/// - `redis+cluster://[user:password@]host[:port],host[:port]…`
/// - `redis+sentinel://[user:password@]host[:port],host[:port]…/name-of-the-master`
///
/// It is shown without its password.
#[derive(Clone)]
pub struct RedisAddress {
    pub(crate) kind: Kind,
    shown: String,
}

#[derive(Clone)]
pub(crate) enum Kind {
    Server(ConnectionInfo),
    Cluster(Vec<ConnectionInfo>),
    Sentinel {
        sentinels: Vec<ConnectionAddr>,
        master: String,
        user: Option<String>,
        password: Option<String>,
    },
}

/// Why a text is no [`RedisAddress`]. It does not repeat the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It begins with none of the schemes.
    #[error("it begins with none of redis://, redis+unix://, redis+cluster://, redis+sentinel://")]
    Scheme,
    /// TLS is asked for.
    #[error("TLS is not built in; put a tunnel in between")]
    Tls,
    /// Something after the scheme is wrong.
    #[error("a host, a port or the database is wrong")]
    Place,
    /// Sentinels are named and no master.
    #[error("the name of the master is missing: redis+sentinel://host:26379,host:26379/NAME")]
    Master,
    /// More servers than [`RedisAddress::MAX_SERVERS`].
    #[error("more than 64 servers")]
    Many,
}

impl RedisAddress {
    /// How many servers may be named.
    pub const MAX_SERVERS: usize = 64;

    /// Reads an address.
    ///
    /// # Errors
    ///
    /// When it is none of the forms above.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        let kind = match scheme {
            "redis" | "redis+unix" | "unix" => Kind::Server(info(text)?),
            "redis+cluster" => Kind::Cluster(several(rest, "redis://")?),
            "redis+sentinel" => sentinel(rest)?,
            "rediss" => return Err(AddressError::Tls),
            _ => return Err(AddressError::Scheme),
        };
        let hosts = rest.rsplit_once('@').map_or(rest, |(_, hosts)| hosts);
        let hosts = hosts.split_once('?').map_or(hosts, |(hosts, _)| hosts);
        Ok(Self { kind, shown: format!("{scheme}://{hosts}") })
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.kind, Kind::Cluster(_))
    }
}

fn info(text: &str) -> Result<ConnectionInfo, AddressError> {
    text.into_connection_info().map_err(|_| AddressError::Place)
}

fn several(rest: &str, scheme: &str) -> Result<Vec<ConnectionInfo>, AddressError> {
    let (user, hosts) = rest.rsplit_once('@').map_or(("", rest), |(user, hosts)| (user, hosts));
    let at = if user.is_empty() { "" } else { "@" };
    let hosts: Vec<&str> = hosts.trim_end_matches('/').split(',').collect();
    if hosts.len() > RedisAddress::MAX_SERVERS {
        return Err(AddressError::Many);
    }
    if hosts.iter().any(|host| host.is_empty() || host.contains('/')) {
        return Err(AddressError::Place);
    }
    hosts.iter().map(|host| info(&format!("{scheme}{user}{at}{host}"))).collect()
}

/// Port 26379 where none is named, as sentinels have it.
const SENTINEL_PORT: u16 = 26_379;
/// What a server listens on if nobody says otherwise.
const SERVER_PORT: u16 = 6_379;

fn sentinel(rest: &str) -> Result<Kind, AddressError> {
    let (hosts, master) = rest.rsplit_once('/').ok_or(AddressError::Master)?;
    if master.is_empty() {
        return Err(AddressError::Master);
    }
    let servers = several(hosts, "redis://")?;
    let of = |read: fn(&redis::RedisConnectionInfo) -> Option<&str>| {
        servers.first().and_then(|server| read(server.redis_settings())).map(str::to_owned)
    };
    let (user, password) = (of(|settings| settings.username()), of(|settings| settings.password()));
    let named = |host: &str| host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let hosts = hosts.rsplit_once('@').map_or(hosts, |(_, hosts)| hosts);
    let sentinels = servers.iter().zip(hosts.split(',')).map(|(server, text)| match server.addr() {
        ConnectionAddr::Tcp(host, SERVER_PORT) if !named(text) => {
            ConnectionAddr::Tcp(host.clone(), SENTINEL_PORT)
        }
        other => other.clone(),
    });
    Ok(Kind::Sentinel { sentinels: sentinels.collect(), master: master.to_owned(), user, password })
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.shown)
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "RedisAddress({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, AddressError> {
        RedisAddress::parse(text).map(|address| format!("{address}"))
    }

    #[test]
    fn every_form_is_read_and_shown_without_its_password() {
        for (text, expected) in [
            ("redis://localhost", "redis://localhost"),
            ("redis://ann:sesame@10.0.0.1:6380/2", "redis://10.0.0.1:6380/2"),
            ("redis+unix:///run/redis.sock?pass=sesame", "redis+unix:///run/redis.sock"),
            ("redis+cluster://:sesame@a:1,b:2,c", "redis+cluster://a:1,b:2,c"),
            ("redis+sentinel://:se@same@a,b:2/main", "redis+sentinel://a,b:2/main"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected));
            assert!(!format!("{:?}", RedisAddress::parse(text)).contains("sesame"));
        }
    }

    #[test]
    fn a_sentinel_without_a_port_listens_on_the_usual_one() {
        let Kind::Sentinel { sentinels, master, password, .. } =
            RedisAddress::parse("redis+sentinel://:sesame@a,b:6379/main").unwrap().kind
        else {
            panic!("no sentinel")
        };
        let expected = [ConnectionAddr::Tcp("a".into(), 26_379), ConnectionAddr::Tcp("b".into(), 6_379)];
        assert_eq!(sentinels, expected);
        assert_eq!((master.as_str(), password.as_deref()), ("main", Some("sesame")));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        assert_eq!(shown("localhost:6379"), Err(AddressError::Scheme));
        assert_eq!(shown("http://localhost"), Err(AddressError::Scheme));
        assert_eq!(shown("rediss://localhost"), Err(AddressError::Tls));
        assert_eq!(shown("redis://localhost:port"), Err(AddressError::Place));
        assert_eq!(shown("redis+cluster://a,,b"), Err(AddressError::Place));
        assert_eq!(shown("redis+sentinel://a,b"), Err(AddressError::Master));
        assert_eq!(shown(&format!("redis+cluster://{}", vec!["a"; 65].join(","))), Err(AddressError::Many));
    }
}
