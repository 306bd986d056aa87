//! The way to PostgreSQL when the binary speaks TLS: encrypted to the server that was meant, or not at all.
//!
//! `just test` builds such a binary and runs these by the feature `tls`.
#![cfg(feature = "tls")]

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{postgres::cluster::Cluster, server::Place};

/// The name in the server's certificate. It is found on this machine by `hostaddr` alone.
const NAME: &str = "database.example";

/// An authority with its own certificate.
struct Authority {
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let authority = Self { folder: TempDir::new().unwrap() };
        let is_one = ["-subj", "/CN=An authority", "-addext", "keyUsage=critical,keyCertSign"];
        authority.certify("ca", &is_one);
        authority
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for this name, and its private key.
    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = (self.certificate(), self.folder.path().join("ca.key"));
        let (subject, alternative) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
        let signed = ["-CA", certificate.to_str().unwrap(), "-CAkey", key.to_str().unwrap()];
        let named =
            ["-subj", &subject, "-addext", &alternative, "-addext", "basicConstraints=critical,CA:FALSE"];
        self.certify("server", &[signed.as_slice(), named.as_slice()].concat())
    }

    fn certify(&self, file: &str, more: &[&str]) -> (PathBuf, PathBuf) {
        let [certificate, key] = ["pem", "key"].map(|end| self.folder.path().join(format!("{file}.{end}")));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        openssl.args(["-days", "2"]).arg("-out").arg(&certificate).arg("-keyout").arg(&key).args(more);
        let ran = openssl.output().expect("openssl");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        (certificate, key)
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server on this port, which speaks TLS if there is an authority for its certificate.
fn cluster(port: u16, authority: Option<&Authority>) -> Cluster {
    Cluster::start_with(|cluster| {
        let listen = format!("-c listen_addresses=127.0.0.1 -c port={port}");
        let Some(authority) = authority else { return listen };
        let (certificate, key) = authority.issue(NAME);
        let kept =
            |name: &str, from: &Path| cluster.keep(name, &std::fs::read(from).unwrap()).display().to_string();
        let (certificate, key) = (kept("server.pem", &certificate), kept("server.key", &key));
        format!("{listen} -c ssl=on -c ssl_cert_file={certificate} -c ssl_key_file={key}")
    })
}

fn url(host: &str, port: u16, query: &str) -> String {
    format!("postgres://harmony@{host}:{port}/postgres?hostaddr=127.0.0.1&{query}")
}

/// Whether a server starts on this URL, and what `harmony doctor` and the refused command say.
fn tried(url: &str) -> (bool, String) {
    let place = Place::at(url);
    let doctor = place.run(&["doctor"], "");
    let users =
        place.run(&["init", "--workspace", "Acme", "--name", "Ann", "--email", "ann@acme.example"], "");
    let said = String::from_utf8([doctor.stdout, users.stderr].concat()).unwrap();
    assert_eq!(doctor.status.success(), users.status.success(), "both or none: {said}");
    (users.status.success(), said)
}

#[test]
fn a_server_that_proves_its_name_is_spoken_to_and_every_other_is_refused() {
    let (authority, stranger, port) = (Authority::new(), Authority::new(), free_port());
    let _cluster = cluster(port, Some(&authority));
    let full = |of: &Authority| format!("sslmode=verify-full&sslrootcert={}", of.certificate().display());

    let (accepted, said) = tried(&url(NAME, port, &full(&authority)));
    assert!(accepted, "{said}");
    assert!(
        said.contains("transport      the database is on another machine, and has to prove who it is"),
        "{said}"
    );
    assert!(said.contains("the connection is encrypted: TLSv1."), "{said}");

    for (what, url, why) in [
        ("another name", url("other.example", port, &full(&authority)), "does not match host name"),
        ("an address", url("127.0.0.1", port, &full(&authority)), "does not match host name"),
        ("another authority", url(NAME, port, &full(&stranger)), "certificate verify failed"),
        ("no authority", url(NAME, port, "sslmode=verify-full&sslrootcert=/none.pem"), "does not exist"),
    ] {
        let (accepted, said) = tried(&url);
        assert!(!accepted && said.contains(why), "{what}: {said}");
    }
}

#[test]
fn a_served_key_passes_over_tls_and_who_is_not_verified_is_warned_of() {
    let (authority, port) = (Authority::new(), free_port());
    let _cluster = cluster(port, Some(&authority));
    let full = format!("sslmode=verify-full&sslrootcert={}", authority.certificate().display());
    let place = Place::at(&url(NAME, port, &full));
    place.init();
    let (key, server) = (place.key(&[]), place.serve());
    assert_eq!(server.get("/v1/whoami", &key).status, 200);

    let place = Place::at(&url(NAME, port, "sslmode=require"));
    let found = String::from_utf8(place.run(&["doctor"], "").stdout).unwrap();
    assert!(
        found.contains("warning  transport      the database on another machine need not prove"),
        "{found}"
    );
    assert!(found.contains("the connection is encrypted: TLSv1."), "{found}");
}

#[test]
fn a_server_in_plain_text_is_refused_by_who_insists_on_tls() {
    let (authority, port) = (Authority::new(), free_port());
    let _cluster = cluster(port, None);
    let full = format!("sslmode=verify-full&sslrootcert={}", authority.certificate().display());
    for query in [full.as_str(), "sslmode=require"] {
        let (accepted, said) = tried(&url(NAME, port, query));
        assert!(!accepted && said.contains("server does not support SSL"), "{query}: {said}");
    }
}

#[test]
fn what_may_fall_back_to_plain_text_is_refused_by_a_build_that_speaks_tls_as_well() {
    for query in [
        "user=ann",
        "sslmode=disable",
        "sslmode=allow",
        "sslmode=prefer",
        "sslmode=verify-full&sslmode=prefer",
    ] {
        let (accepted, said) = tried(&url(NAME, free_port(), query));
        assert!(!accepted && said.contains("say sslmode=verify-full in its URL, or set"), "{query}: {said}");
    }
    // With leave it is tried, and in plain text when the server has nothing else.
    let port = free_port();
    let _cluster = cluster(port, None);
    let place = Place::at(&url(NAME, port, "sslmode=prefer"));
    let doctor = place.run(&["doctor", "--database-allow-plaintext", "true"], "");
    let found = String::from_utf8(doctor.stdout).unwrap();
    assert!(found.contains("warning  encryption     the connection is not encrypted"), "{found}");
    assert!(
        found.contains("warning  transport      the database on another machine is spoken to in plain text")
    );
}

/// OpenSSL's cleaning up at the exit met the threads of the pools: one command of thirteen died of it.
#[test]
fn a_hundred_commands_over_tls_all_end_well() {
    let (authority, port) = (Authority::new(), free_port());
    let _cluster = cluster(port, Some(&authority));
    let full = format!("sslmode=verify-full&sslrootcert={}", authority.certificate().display());
    let place = Place::at(&url(NAME, port, &full));
    place.init();
    for number in 1..=100 {
        let ended = place.run(&["key", "list", "--json"], "");
        assert!(ended.status.success(), "{number}: {} {ended:?}", ended.status);
    }
}
