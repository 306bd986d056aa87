//! Whose request it is, when there may be proxies in between.

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicU64, Ordering},
};

use actix_web::http::header::{HeaderMap, HeaderName};

use crate::TrustedProxies;

/// The most hops that are walked. Nobody has as many proxies; a longer list is an attempt.
pub const MAX_HOPS: usize = 32;

/// Where the proxies write on whose behalf they call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: 192.0.2.1, 198.51.100.7`
    #[default]
    XForwardedFor,
    /// `Forwarded: for=192.0.2.1, for="[2001:db8::7]:4711"` (RFC 7239)
    Forwarded,
}

/// Finds the client's address: the peer's, unless the peer is a trusted proxy; then the rightmost forwarded address that is
/// not a trusted proxy itself. What a client wrote of its own accord is left of that, and never looked at.
#[derive(Debug, Default)]
pub struct ClientAddr {
    trusted: TrustedProxies,
    header: ForwardedHeader,
    strangers: AtomicU64,
}

impl ClientAddr {
    /// Believes these proxies, and this header of theirs.
    #[must_use]
    pub fn new(trusted: TrustedProxies, header: ForwardedHeader) -> Self {
        Self { trusted, header, strangers: AtomicU64::new(0) }
    }

    /// The client behind `peer`. IPv4-mapped addresses come out as IPv4.
    ///
    /// A forwarding header from a peer that is no trusted proxy is ignored and counted; the first one is said in the log.
    #[must_use]
    pub fn resolve(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if self.trusted.contains(peer) {
            return self.walk(peer, headers);
        }
        if headers.contains_key(self.header.name()) {
            self.count_stranger(peer);
        }
        peer
    }

    /// How many requests came with a forwarding header from a peer that is no trusted proxy.
    #[must_use]
    pub fn ignored_headers(&self) -> u64 {
        self.strangers.load(Ordering::Relaxed)
    }

    fn count_stranger(&self, peer: IpAddr) {
        if self.strangers.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                %peer,
                header = %self.header.name(),
                "ignored a forwarding header: its sender is not in trusted_proxies (said once; the metrics count them)"
            );
        }
    }

    /// From right to left, as long as the speaker is trusted and says an address.
    fn walk(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        let lines = headers.get_all(self.header.name()).rev();
        for hop in lines.flat_map(|line| self.header.hops(line.as_bytes())).take(MAX_HOPS) {
            let Some(address) = self.header.address(hop) else { break };
            client = address;
            if !self.trusted.contains(address) {
                break;
            }
        }
        client
    }
}

impl ForwardedHeader {
    /// The header's name.
    #[must_use]
    pub const fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => HeaderName::from_static("forwarded"),
        }
    }

    fn hops(self, line: &[u8]) -> Hops<'_> {
        Hops { rest: Some(line), quotes: self == Self::Forwarded }
    }

    fn address(self, hop: &[u8]) -> Option<IpAddr> {
        let hop = str::from_utf8(hop).ok()?.trim_matches([' ', '\t']);
        match self {
            Self::XForwardedFor => node(hop),
            Self::Forwarded => node(forwarded_for(hop)?),
        }
    }
}

/// The elements of a list, the last one first. Read from the right, nothing that a client wrote can change where the elements
/// behind it begin: an open quote at its end, for instance.
struct Hops<'a> {
    rest: Option<&'a [u8]>,
    quotes: bool,
}

impl<'a> Iterator for Hops<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let Some(comma) = last_outside_quotes(rest, b',', self.quotes) else { return Some(rest) };
        self.rest = rest.get(..comma);
        rest.get(comma + 1..)
    }
}

fn last_outside_quotes(text: &[u8], wanted: u8, quotes: bool) -> Option<usize> {
    let mut quoted = false;
    for (place, &byte) in text.iter().enumerate().rev() {
        let escaped = || text.get(..place).is_some_and(|before| before.ends_with(b"\\"));
        match byte {
            b'"' if quotes && !(quoted && escaped()) => quoted = !quoted,
            _ if byte == wanted && !quoted => return Some(place),
            _ => {}
        }
    }
    None
}

/// The value of the one `for` of an element `for=…;proto=…;by=…` (RFC 7239 §4); names may be written in any case.
fn forwarded_for(element: &str) -> Option<&str> {
    let mut found = None;
    let mut rest = element;
    loop {
        let (before, pair) = match last_outside_quotes(rest.as_bytes(), b';', true) {
            Some(place) => (rest.get(..place), rest.get(place + 1..)?),
            None => (None, rest),
        };
        let (name, value) = pair.trim_matches([' ', '\t']).split_once('=')?;
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
        match before {
            Some(before) => rest = before,
            None => return found,
        }
    }
}

/// An address, as it is, with a port, in brackets (IPv6), or any of these in quotes.
fn node(text: &str) -> Option<IpAddr> {
    let text = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => text,
    };
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    text.parse().ok().or_else(bracketed).or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests;
