//! The client's address: the peer's, unless the peer is a proxy that is trusted to name its own.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The most addresses that are walked, from the right.
const MAX_HOPS: usize = 32;

/// The header in which trusted proxies name their client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardingHeader {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The networks whose word on a client's address is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
}

/// An entry that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` {reason}")]
pub struct ProxyError {
    entry: String,
    reason: &'static str,
}

/// How a client's address is found.
#[derive(Debug, Clone)]
pub struct ClientAddress {
    proxies: TrustedProxies,
    header: ForwardingHeader,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The client; an IPv4-mapped address is its IPv4 one.
    pub client: IpAddr,
    /// A forwarding header was there, and the peer is not trusted to write one.
    pub ignored: bool,
}

impl TrustedProxies {
    /// Reads networks such as `10.0.0.0/8`, and single addresses.
    ///
    /// # Errors
    ///
    /// For an entry that is neither, that has host bits set, or that is a mapped IPv4 network wider than /96.
    pub fn parse<T: AsRef<str>>(entries: &[T]) -> Result<Self, ProxyError> {
        let networks =
            entries.iter().map(|entry| network(entry.as_ref().trim())).collect::<Result<_, _>>()?;
        Ok(Self { networks })
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }
}

fn network(entry: &str) -> Result<IpNet, ProxyError> {
    let refuse = |reason| ProxyError { entry: entry.to_owned(), reason };
    let network: IpNet = match entry.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => entry.parse().map_err(|_| refuse("is no CIDR network, such as 10.0.0.0/8 or fd00::/8"))?,
    };
    if network.trunc() != network {
        return Err(refuse("has host bits set; write the network's first address"));
    }
    match network {
        IpNet::V6(v6) => match v6.network().to_ipv4_mapped() {
            None => Ok(network),
            Some(v4) => v6
                .prefix_len()
                .checked_sub(96)
                .and_then(|bits| ipnet::Ipv4Net::new(v4, bits).ok())
                .map(IpNet::V4)
                .ok_or_else(|| refuse("is a mapped IPv4 network wider than /96")),
        },
        IpNet::V4(_) => Ok(network),
    }
}

impl ClientAddress {
    /// By these proxies and this header.
    #[must_use]
    pub const fn new(proxies: TrustedProxies, header: ForwardingHeader) -> Self {
        Self { proxies, header }
    }

    /// The rightmost address that is not a trusted proxy's. What cannot be read ends the walk at the last trusted
    /// address: never further left, never the client's own word.
    #[must_use]
    pub fn find(&self, peer: IpAddr, headers: &HeaderMap) -> Found {
        let peer = peer.to_canonical();
        let name = match self.header {
            ForwardingHeader::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            ForwardingHeader::Forwarded => HeaderName::from_static("forwarded"),
        };
        if !self.proxies.trusts(peer) {
            return Found { client: peer, ignored: headers.contains_key(name) };
        }
        let mut client = peer;
        let lines: Vec<_> = headers.get_all(name).collect();
        let elements = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
        for element in elements.take(MAX_HOPS) {
            let named = std::str::from_utf8(element).ok().and_then(|text| self.address(text.trim()));
            let Some(address) = named else { break };
            client = address;
            if !self.proxies.trusts(address) {
                break;
            }
        }
        Found { client, ignored: false }
    }

    fn address(&self, element: &str) -> Option<IpAddr> {
        match self.header {
            ForwardingHeader::XForwardedFor => node(element),
            ForwardingHeader::Forwarded => element.split(';').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                name.trim().eq_ignore_ascii_case("for").then(|| node(value.trim()))?
            }),
        }
    }
}

/// `address`, `address:port`, `[v6]`, `[v6]:port`, each also in quotes.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address =
        bracketed.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn find(header: ForwardingHeader, peer: &str, lines: &[&str]) -> String {
        let proxies = TrustedProxies::parse(&["10.0.0.0/8", "fd00::/8"]).unwrap();
        let name = match header {
            ForwardingHeader::XForwardedFor => "x-forwarded-for",
            ForwardingHeader::Forwarded => "forwarded",
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(line).unwrap());
        }
        ClientAddress::new(proxies, header).find(peer.parse().unwrap(), &headers).client.to_string()
    }

    #[test]
    fn the_rightmost_address_that_is_no_proxy_is_the_client() {
        let x = |peer, lines: &[&str]| find(ForwardingHeader::XForwardedFor, peer, lines);
        assert_eq!(x("192.0.2.1", &["203.0.113.7"]), "192.0.2.1");
        assert_eq!(x("10.0.0.1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(x("10.0.0.1", &["1.1.1.1, 203.0.113.7, 10.0.0.2"]), "203.0.113.7");
        assert_eq!(x("10.0.0.1", &["1.1.1.1", "203.0.113.7"]), "203.0.113.7");
        assert_eq!(x("10.0.0.1", &["203.0.113.7:4711"]), "203.0.113.7");
        assert_eq!(x("10.0.0.1", &["[2001:db8::1]:4711, \"10.0.0.3\""]), "2001:db8::1");
        assert_eq!(x("::ffff:10.0.0.1", &["::ffff:203.0.113.7"]), "203.0.113.7");
        assert_eq!(x("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_cannot_be_read_ends_the_walk_at_the_last_proxy() {
        let x = |lines: &[&str]| find(ForwardingHeader::XForwardedFor, "10.0.0.1", lines);
        assert_eq!(x(&["203.0.113.7, unknown"]), "10.0.0.1");
        assert_eq!(x(&["203.0.113.7, , 10.0.0.2"]), "10.0.0.2");
        assert_eq!(x(&["203.0.113.7, 10.0.0.999"]), "10.0.0.1");
        let many = vec!["10.0.0.2"; 40].join(",");
        assert_eq!(x(&[&format!("203.0.113.7,{many}")]), "10.0.0.2");
    }

    #[test]
    fn the_forwarded_header_is_understood() {
        let f = |lines: &[&str]| find(ForwardingHeader::Forwarded, "10.0.0.1", lines);
        assert_eq!(f(&["for=203.0.113.7;proto=https"]), "203.0.113.7");
        assert_eq!(f(&["For=\"[2001:db8::1]:4711\", for=10.0.0.2"]), "2001:db8::1");
        assert_eq!(f(&["for=_hidden"]), "10.0.0.1");
        assert_eq!(f(&["proto=https"]), "10.0.0.1");
    }

    #[test]
    fn wrong_networks_are_refused_by_name() {
        for wrong in ["10.0.0.1/8", "::ffff:0.0.0.0/95", "::ffff:10.0.0.0/8", "proxy", "10.0.0.0/33", ""] {
            assert!(TrustedProxies::parse(&[wrong]).is_err(), "{wrong}");
        }
        assert!(TrustedProxies::parse(&["::ffff:10.0.0.0/104", "10.0.0.1", "fd00::/8"]).is_ok());
    }

    proptest! {
        #[test]
        fn an_untrusted_peer_is_always_the_client(line in "[ -~]{0,80}") {
            prop_assert_eq!(find(ForwardingHeader::XForwardedFor, "192.0.2.1", &[&line]), "192.0.2.1");
        }
    }
}
