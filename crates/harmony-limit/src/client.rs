use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Whose requests are counted together: 64 bits, the same for the same client, different for different ones.
///
/// Nothing is hashed on the way, so no two clients share a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey(u64);

/// The upper half of an IPv4 client's key. As an IPv6 prefix it would be multicast (RFC 4291, section 2.7), which is never
/// anybody's source address.
const IPV4_RANGE: u64 = 0xffff_ffff_0000_0000;
/// The one key of everything that claims a multicast address, so that nobody can claim their way into [`IPV4_RANGE`].
const MULTICAST: u64 = 0xff00_0000_0000_0000;

impl ClientKey {
    /// The client behind an address.
    ///
    /// An IPv4 address and the same address mapped into IPv6 (`::ffff:192.0.2.1`) are one client. IPv6 addresses are one client
    /// for each prefix: who has one address has the whole prefix, and would otherwise have as many counts as they like.
    #[inline]
    pub fn from_ip(address: IpAddr, ipv6_prefix: Ipv6Prefix) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(IPV4_RANGE | u64::from(v4.to_bits())),
            IpAddr::V6(v6) if v6.is_multicast() => Self(MULTICAST),
            IpAddr::V6(v6) => Self(upper_half(v6) & ipv6_prefix.mask()),
        }
    }

    /// The 64 bits themselves, for a limiter that keeps its counts elsewhere. They tell the address.
    #[inline]
    pub fn bits(self) -> u64 {
        self.0
    }
}

fn upper_half(address: Ipv6Addr) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = address.octets();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// How many leading bits of an IPv6 address make one client: 1 to 64, by default 64 (the smallest network that is given out).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Prefix(u8);

impl Ipv6Prefix {
    /// The widest network that may count as one client.
    pub const MIN_BITS: u8 = 1;
    /// The narrowest network that may count as one client; anything narrower would let one subscriber be many clients.
    pub const MAX_BITS: u8 = 64;

    /// A prefix of `bits` bits.
    ///
    /// # Errors
    ///
    /// When `bits` is not between [`Ipv6Prefix::MIN_BITS`] and [`Ipv6Prefix::MAX_BITS`].
    pub fn new(bits: u8) -> Result<Self, Ipv6PrefixError> {
        if (Self::MIN_BITS..=Self::MAX_BITS).contains(&bits) {
            Ok(Self(bits))
        } else {
            Err(Ipv6PrefixError(bits))
        }
    }

    /// How many bits.
    pub fn bits(self) -> u8 {
        self.0
    }

    fn mask(self) -> u64 {
        u64::MAX << (Self::MAX_BITS - self.0)
    }
}

impl Default for Ipv6Prefix {
    fn default() -> Self {
        Self(Self::MAX_BITS)
    }
}

/// Why a number is not an [`Ipv6Prefix`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6PrefixError(u8);

impl fmt::Display for Ipv6PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = (Ipv6Prefix::MIN_BITS, Ipv6Prefix::MAX_BITS);
        write!(f, "an IPv6 prefix of {} bits is not between {min} and {max}", self.0)
    }
}

impl Error for Ipv6PrefixError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str, bits: u8) -> ClientKey {
        ClientKey::from_ip(address.parse().unwrap(), Ipv6Prefix::new(bits).unwrap())
    }

    #[test]
    fn an_ipv4_address_and_its_mapped_form_are_one_client() {
        for bits in [1, 48, 64] {
            assert_eq!(key("192.0.2.1", bits), key("::ffff:192.0.2.1", bits));
            assert_ne!(key("192.0.2.1", bits), key("192.0.2.2", bits));
            assert_ne!(key("192.0.2.1", bits), key("::ffff:192.0.2.2", bits));
            assert_ne!(key("192.0.2.1", bits), key("::192.0.2.1", bits));
        }
    }

    #[test]
    fn an_ipv6_network_is_one_client_and_its_neighbour_another() {
        assert_eq!(key("2001:db8:1:2::1", 64), key("2001:db8:1:2:ffff:ffff:ffff:ffff", 64));
        assert_ne!(key("2001:db8:1:2::1", 64), key("2001:db8:1:3::1", 64));
        assert_eq!(key("2001:db8:1:2::1", 48), key("2001:db8:1:ffff::1", 48));
        assert_ne!(key("2001:db8:1:2::1", 48), key("2001:db8:2:2::1", 48));
        assert_eq!(key("::1", 1), key("7fff::1", 1));
        assert_ne!(key("::1", 1), key("8000::1", 1));
    }

    #[test]
    fn no_ipv6_address_is_an_ipv4_client() {
        for bits in [8, 32, 64] {
            assert_ne!(key("192.0.2.1", bits), key("ffff:ffff:c000:0201::1", bits));
            assert_ne!(key("0.0.0.0", bits), key("ffff:ffff::", bits));
            assert_ne!(key("0.0.0.0", bits), key("::", bits));
            assert_ne!(key("255.255.255.255", bits), key("feff:ffff:ffff:ffff::1", bits));
        }
    }

    #[test]
    fn a_prefix_has_1_to_64_bits() {
        assert_eq!(Ipv6Prefix::default().bits(), 64);
        assert_eq!(Ipv6Prefix::new(1).unwrap().bits(), 1);
        assert_eq!(Ipv6Prefix::new(64), Ok(Ipv6Prefix::default()));
        assert_eq!(Ipv6Prefix::new(0), Err(Ipv6PrefixError(0)));
        let refusal = Ipv6Prefix::new(65).unwrap_err();
        assert_eq!(refusal.to_string(), "an IPv6 prefix of 65 bits is not between 1 and 64");
    }
}
