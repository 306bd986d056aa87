//! A build without TLS says so, rather than to speak in plain text to another machine. Nothing is connected to here.

use crate::server::Place;

/// What the binary says of this URL.
fn said(url: &str, more: &[&str]) -> String {
    let place = Place::at(url);
    let serve = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
    let ran = place.run(&[&serve, more].concat(), "");
    // Wrong usage: whoever keeps the server running need not try again.
    assert_eq!(ran.status.code(), Some(2), "{url}");
    String::from_utf8(ran.stderr).unwrap()
}

#[test]
fn tls_that_this_build_does_not_speak_is_refused_and_not_left_out() {
    for host in ["database.example", "localhost", "%2Ftmp"] {
        for mode in ["sslmode=require", "sslmode=verify-ca", "sslmode=verify-full", "ssl=true"] {
            let url = format!("postgres://ann:sesame@{host}/harmony?{mode}");
            for more in [[].as_slice(), &["--database-allow-plaintext", "true"]] {
                let said = said(&url, more);
                assert!(said.contains("asks for TLS, which this build does not speak"), "{said}");
                assert!(!said.contains("sesame"), "{said}");
            }
        }
    }
}

#[test]
fn plain_text_to_another_machine_is_refused_whatever_the_url_calls_it() {
    for mode in ["", "?sslmode=disable", "?sslmode=allow", "?sslmode=prefer", "?sslrootcert=/ca.pem"] {
        let said = said(&format!("postgres://ann:sesame@database.example/harmony{mode}"), &[]);
        assert!(said.contains("would be spoken to in plain text; set database_allow_plaintext"), "{said}");
        assert!(!said.contains("sesame"), "{said}");
    }
    let place = Place::at("postgres://ann@database.example/harmony");
    let doctor = place.run(&["doctor"], "");
    let found = String::from_utf8(doctor.stdout).unwrap();
    assert_eq!(doctor.status.code(), Some(1));
    assert!(found.contains("failure  transport      the database is on another machine"), "{found}");
}

#[test]
fn doctor_says_that_a_connection_on_this_machine_is_not_encrypted() {
    let place = Place::postgres();
    let found = String::from_utf8(place.run(&["doctor"], "").stdout).unwrap();
    assert!(found.contains("ok       transport      the database is on this machine"), "{found}");
    let plain = "ok       encryption     the connection is not encrypted, and does not leave this machine";
    assert!(found.contains(plain), "{found}");
}
