//! The network that a client is in, as far as signing in is concerned.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use harmony_access::UserId;
use harmony_store::{Tx, known_networks};

use crate::{Error, Occasion, Workspace};

/// A network is known for so long after the last sign-in from there: 90 days.
const KNOWN_FOR: Duration = Duration::from_secs(90 * 86_400);
/// The most networks that are known of one user; the ones longest ago are forgotten first.
const MAX_NETWORKS: i64 = 20;

/// An IPv4 address, or the first 64 bits of an IPv6 address: who has one address there has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpAddr);

impl Network {
    /// Of a client with this address.
    #[must_use]
    pub fn of(client: IpAddr) -> Self {
        Self(match client.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        })
    }
}

/// Such as `192.0.2.1` and `2001:db8::/64`.
impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(out),
            IpAddr::V6(prefix) => write!(out, "{prefix}/64"),
        }
    }
}

/// Notes from where a user has signed in just now. The caller holds the workspace.
pub(crate) fn note(tx: &mut Tx<'_>, occasion: &Occasion, user: UserId) -> Result<(), Error> {
    let Some(client) = occasion.client else { return Ok(()) };
    let (network, now) = (Network::of(client).to_string(), occasion.now);
    Ok(known_networks::note(tx, user, &network, now, now.minus(KNOWN_FOR), MAX_NETWORKS)?)
}

/// Whether the user with this address has signed in from the client's network lately, however often this program was
/// started since.
///
/// # Errors
///
/// When the store cannot be asked.
pub fn is_known(workspace: &Workspace, occasion: &Occasion, email: &str) -> Result<bool, Error> {
    let Some(client) = occasion.client else { return Ok(false) };
    let (email, network) = (email.trim().to_lowercase(), Network::of(client).to_string());
    workspace.read(|tx| Ok(known_networks::is_known(tx, &email, &network, occasion.now.minus(KNOWN_FOR))?))
}
