//! Which peers may say on whose behalf they call.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// The networks of one's own proxies. Empty by default: then nobody is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
}

/// An entry that is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("trusted proxy `{entry}`: {fault}")]
pub struct TrustedProxyError {
    /// The entry as it was written.
    pub entry: String,
    /// What is wrong with it.
    pub fault: TrustedProxyFault,
}

/// What is wrong with an entry of [`TrustedProxies`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustedProxyFault {
    /// It is neither an address nor an address, a slash and a number of bits.
    #[error("it is neither an address nor a network such as 10.0.0.0/8 or fd00::/8")]
    NotANetwork,
    /// It has bits set behind the prefix: a typing error would trust more or less than was meant.
    #[error("it has bits set behind its prefix; the network is {network}")]
    HostBits {
        /// What it would be without them.
        network: IpNet,
    },
    /// An IPv4-mapped network shorter than /96 is more than the mapped addresses.
    #[error("an IPv4-mapped network has at least 96 bits; write it as IPv4")]
    MappedTooShort,
}

impl TrustedProxies {
    /// Reads a list of addresses and networks (CIDR).
    ///
    /// # Errors
    ///
    /// At the first entry that is none, naming it.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, TrustedProxyError> {
        let read = |entry: &str| {
            network(entry).map_err(|fault| TrustedProxyError { entry: entry.to_owned(), fault })
        };
        entries.into_iter().map(read).collect::<Result<_, _>>().map(|networks| Self { networks })
    }

    /// Whether this address is one of them; an IPv4-mapped address counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

fn network(entry: &str) -> Result<IpNet, TrustedProxyFault> {
    let network = match entry.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => entry.parse::<IpNet>().map_err(|_| TrustedProxyFault::NotANetwork)?,
    };
    let network = unmapped(network)?;
    if network.addr() == network.network() {
        Ok(network)
    } else {
        Err(TrustedProxyFault::HostBits { network: network.trunc() })
    }
}

fn unmapped(network: IpNet) -> Result<IpNet, TrustedProxyFault> {
    let IpNet::V6(v6) = network else { return Ok(network) };
    let Some(v4) = v6.addr().to_ipv4_mapped() else { return Ok(network) };
    v6.prefix_len()
        .checked_sub(96)
        .and_then(|bits| Ipv4Net::new(v4, bits).ok())
        .map(IpNet::V4)
        .ok_or(TrustedProxyFault::MappedTooShort)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(entry: &str) -> Result<TrustedProxies, TrustedProxyError> {
        TrustedProxies::parse([entry])
    }

    #[test]
    fn a_network_holds_its_addresses_and_not_the_neighbours() {
        for (entry, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.7", "::ffff:192.0.2.7", "::192.0.2.7"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
        ] {
            let trusted = parse(entry).unwrap();
            assert!(trusted.contains(inside.parse().unwrap()), "{entry} {inside}");
            assert!(!trusted.contains(outside.parse().unwrap()), "{entry} {outside}");
        }
        assert!(!TrustedProxies::default().contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_wrong_entry_is_named_with_its_fault() {
        let host_bits = parse("10.0.0.1/8").unwrap_err();
        assert_eq!(
            host_bits.to_string(),
            "trusted proxy `10.0.0.1/8`: it has bits set behind its prefix; the network is 10.0.0.0/8"
        );
        for entry in ["::ffff:0:0/95", "::ffff:10.0.0.0/8"] {
            assert_eq!(parse(entry).unwrap_err().fault, TrustedProxyFault::MappedTooShort, "{entry}");
        }
        for entry in
            ["", "10.0.0.0/33", "10.0.0.0/", "10.0/8", "proxy.example", "fe80::1%eth0", " 10.0.0.0/8"]
        {
            assert_eq!(parse(entry).unwrap_err().fault, TrustedProxyFault::NotANetwork, "{entry}");
        }
    }
}
