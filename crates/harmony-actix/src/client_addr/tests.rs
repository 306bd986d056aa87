use actix_web::http::header::HeaderValue;
use proptest::prelude::*;

use super::*;

const PROXY: &str = "10.0.0.1";

fn resolver(header: ForwardedHeader) -> ClientAddr {
    ClientAddr::new(TrustedProxies::parse(["10.0.0.0/8", "fd00::/8"]).unwrap(), header)
}

fn resolve(header: ForwardedHeader, peer: &str, lines: &[&[u8]]) -> String {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(header.name(), HeaderValue::from_bytes(line).unwrap());
    }
    resolver(header).resolve(peer.parse().unwrap(), &headers).to_string()
}

fn x_forwarded_for(lines: &[&str]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    resolve(ForwardedHeader::XForwardedFor, PROXY, &lines)
}

fn forwarded(lines: &[&str]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    resolve(ForwardedHeader::Forwarded, PROXY, &lines)
}

#[test]
fn the_rightmost_address_that_is_not_a_proxy_is_the_client() {
    for (lines, client) in [
        (&[][..], PROXY),
        (&["192.0.2.1"], "192.0.2.1"),
        (&["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
        (&["198.51.100.1, 192.0.2.1, 10.9.9.9"], "192.0.2.1"),
        (&["198.51.100.1", "192.0.2.1", "10.9.9.9,10.9.9.8"], "192.0.2.1"),
        (&["192.0.2.1:8080"], "192.0.2.1"),
        (&["[2001:db8::7]:4711"], "2001:db8::7"),
        (&["[2001:db8::7]"], "2001:db8::7"),
        (&["2001:db8::7"], "2001:db8::7"),
        (&["\"192.0.2.1\", \"[fd00::1]:443\""], "192.0.2.1"),
        (&["::ffff:192.0.2.1"], "192.0.2.1"),
        (&["192.0.2.1, ::ffff:10.1.1.1"], "192.0.2.1"),
        (&["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        (&["\t192.0.2.1 \t"], "192.0.2.1"),
    ] {
        assert_eq!(x_forwarded_for(lines), client, "{lines:?}");
    }
}

#[test]
fn what_cannot_be_parsed_ends_the_walk_at_the_last_trusted_address() {
    for (lines, client) in [
        (&[""][..], PROXY),
        (&["192.0.2.1,"], PROXY),
        (&["192.0.2.1, unknown"], PROXY),
        (&["192.0.2.1, , 10.2.2.2"], "10.2.2.2"),
        (&["192.0.2.1, nonsense, 10.2.2.2"], "10.2.2.2"),
        (&["192.0.2.1", "nonsense"], PROXY),
        (&["192.0.2.1 198.51.100.1"], PROXY),
        (&["192.0.2.999"], PROXY),
        (&["192.0.2.1:70000"], PROXY),
        (&["[192.0.2.1]"], PROXY),
        (&["[2001:db8::7"], PROXY),
        (&["fe80::1%eth0"], PROXY),
        (&["\"192.0.2.1"], PROXY),
        (&["0x7f.1"], PROXY),
        (&["010.0.0.1"], PROXY),
    ] {
        assert_eq!(x_forwarded_for(lines), client, "{lines:?}");
    }
    assert_eq!(resolve(ForwardedHeader::XForwardedFor, PROXY, &[b"192.0.2.1, \xff"]), PROXY);
}

#[test]
fn the_forwarded_header_says_for_whom() {
    for (lines, client) in [
        (&["for=192.0.2.1"][..], "192.0.2.1"),
        (&["For=\"[2001:db8::7]:4711\"; proto=https ;by=10.0.0.1"], "2001:db8::7"),
        (&["for=198.51.100.1, for=192.0.2.1;by=10.0.0.2, proto=http;FOR=10.0.0.2"], "192.0.2.1"),
        (&["for=192.0.2.1;host=\"a, b;for=1.1.1.1\""], "192.0.2.1"),
        (&["for=192.0.2.1;host=\"a \\\" , for=1.1.1.1\""], "192.0.2.1"),
        (&["for=\"open, for=192.0.2.1"], "192.0.2.1"),
        (&["for=192.0.2.1, for=unknown"], PROXY),
        (&["for=192.0.2.1, for=_hidden, for=10.2.2.2"], "10.2.2.2"),
        (&["for=192.0.2.1, proto=http"], PROXY),
        (&["for=192.0.2.1;for=192.0.2.2"], PROXY),
        (&["for = 192.0.2.1"], PROXY),
        (&["192.0.2.1"], PROXY),
        (&["for=2001:db8::7"], "2001:db8::7"),
    ] {
        assert_eq!(forwarded(lines), client, "{lines:?}");
    }
}

#[test]
fn only_32_hops_are_walked() {
    let proxies = |count| vec!["10.2.2.2"; count].join(", ");
    assert_eq!(x_forwarded_for(&[&format!("192.0.2.1, {}", proxies(MAX_HOPS - 1))]), "192.0.2.1");
    assert_eq!(x_forwarded_for(&[&format!("192.0.2.1, {}", proxies(MAX_HOPS))]), "10.2.2.2");
}

#[test]
fn a_header_from_a_stranger_is_ignored_and_counted() {
    let resolver = resolver(ForwardedHeader::XForwardedFor);
    let mut headers = HeaderMap::new();
    let stranger: IpAddr = "203.0.113.5".parse().unwrap();
    assert_eq!(resolver.resolve(stranger, &headers), stranger);
    assert_eq!(resolver.ignored_headers(), 0);
    headers.insert(ForwardedHeader::XForwardedFor.name(), HeaderValue::from_static("192.0.2.1"));
    assert_eq!(resolver.resolve(stranger, &headers), stranger);
    assert_eq!(resolver.resolve("::ffff:203.0.113.5".parse().unwrap(), &headers), stranger);
    assert_eq!(resolver.ignored_headers(), 2);
    assert_eq!(resolver.resolve(PROXY.parse().unwrap(), &headers).to_string(), "192.0.2.1");
    assert_eq!(resolver.ignored_headers(), 2);
}

fn visible() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![32u8..127, Just(b'"'), Just(b','), Just(b'\\'), 128u8..], 0..60)
}

proptest! {
    #[test]
    fn nothing_that_a_client_writes_changes_who_it_is(claim in visible(), address: [u8; 4]) {
        let real = IpAddr::from(address);
        prop_assume!(!resolver(ForwardedHeader::XForwardedFor).trusted.contains(real));
        let appended = [claim.as_slice(), format!(", {real}").as_bytes()].concat();
        prop_assert_eq!(resolve(ForwardedHeader::XForwardedFor, PROXY, &[&appended]), real.to_string());
        prop_assert_eq!(
            resolve(ForwardedHeader::XForwardedFor, PROXY, &[&claim, real.to_string().as_bytes()]),
            real.to_string()
        );
        let appended = [claim.as_slice(), format!(", for={real}").as_bytes()].concat();
        prop_assert_eq!(resolve(ForwardedHeader::Forwarded, PROXY, &[&appended]), real.to_string());
    }

    #[test]
    fn a_stranger_is_always_its_peer_address(claim in visible(), address: [u8; 16]) {
        let peer = IpAddr::from(address).to_canonical();
        prop_assume!(!resolver(ForwardedHeader::Forwarded).trusted.contains(peer));
        for header in [ForwardedHeader::Forwarded, ForwardedHeader::XForwardedFor] {
            prop_assert_eq!(resolve(header, &peer.to_string(), &[&claim]), peer.to_string());
        }
    }
}
