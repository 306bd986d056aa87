//! After a session with keys, passwords and a set-up link: none of them is in the log or in the data.

use std::{path::Path, time::Duration};

use reqwest::Method;
use serde_json::json;

use crate::server::{ANN, Key, Place, Server};

const PASSWORD: &str = "sesame-0pen-the-door";
const SECOND_PASSWORD: &str = "another-Secret-of-uma";

#[test]
fn no_key_no_password_and_no_token_is_in_the_log_or_in_the_data() {
    let place = Place::sqlite();
    let mut server = place.serve();
    let [token, session_token] = set_up(&server);
    let keys = session(&place, &server);
    let mut secrets = vec![token, session_token, PASSWORD.to_owned(), SECOND_PASSWORD.to_owned()];
    secrets.extend(keys.into_iter().map(|key| key.text[3..].to_owned()));
    assert!(secrets.iter().all(|secret| secret.len() >= 20), "{secrets:?}");

    let said = server.said();
    let said: Vec<&str> = said.lines().filter(|line| !line.contains("/setup/")).collect();
    assert_absent("standard output", said.join("\n").as_bytes(), &secrets);
    assert_absent("the log", server.log().as_bytes(), &secrets);
    assert_absent_from_folder(&place.data(), &secrets);
    assert_eq!(server.terminate(), Some(0));
    assert_absent("the log", server.log().as_bytes(), &secrets);
    assert_absent_from_folder(&place.data(), &secrets);
}

/// Goes through the one-time link, and returns its token and that of the session that it begins.
fn set_up(server: &Server) -> [String; 2] {
    let link = crate::server::eventually("the link is shown", || {
        let said = server.said();
        let link =
            said.lines().find(|line| line.contains("/setup/") && line.ends_with(char::is_alphanumeric));
        link.map(|line| line.trim().to_owned())
    });
    let path = link.split_once(&server.address).unwrap().1.to_owned();
    assert_eq!(server.ask(Method::GET, &path, None, None).status, 200);
    let form = format!("workspace=Acme&name=Ann&email={}&password={PASSWORD}", ANN.replace('@', "%40"));
    let post = |path: &str| {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {1}\r\n\r\n{form}",
            server.address,
            form.len()
        );
        server.raw(request.as_bytes(), Duration::from_secs(20))
    };
    let wrong = post(&format!("{path}0"));
    assert!(wrong.starts_with("HTTP/1.1 404 "), "{wrong}");
    let made = post(&path);
    assert!(made.starts_with("HTTP/1.1 303 "), "{made}");
    let (_, cookie) = made.split_once("harmony_session=").unwrap();
    let session_token = cookie.split(';').next().unwrap().to_owned();
    assert!(!made.contains(PASSWORD));
    assert_eq!(server.ask(Method::GET, &path, None, None).status, 404, "the link is used up");
    [path.rsplit_once('/').unwrap().1.to_owned(), session_token]
}

/// A day in the life of keys: made, used, replaced, deleted, misspelt, and sent where they do not belong.
fn session(place: &Place, server: &Server) -> Vec<Key> {
    let admin = place.key(&["--role", "Admin"]);
    let made = |path: &str, body| Key::of(&server.post(path, &admin, &body).json());
    let used = made("/v1/api-keys", json!({ "name": "used" }));
    let exposed = made("/v1/api-keys", json!({ "name": "exposed" }));
    let deleted = made("/v1/api-keys", json!({ "name": "deleted" }));
    let rotated = made(&format!("/v1/api-keys/{}/rotate", used.id), json!({ "grace_secs": 600 }));
    let uma = ["user", "add", "--email", "uma@acme.example", "--name", "Uma", "--password-stdin"];
    assert!(place.run(&uma, SECOND_PASSWORD).status.success());
    place.cli(&["key", "delete", &deleted.id]);
    for key in [&admin, &used, &rotated, &deleted] {
        server.get("/v1/whoami", key);
        server.get(&format!("/v1/whoami?q={}", key.text), key);
        server.post("/v1/api-keys/verify", &admin, &json!({ "key": key.text }));
        server.post("/v1/api-keys/verify", &admin, &json!({ "key": "x", "nonsense": key.text }));
        server.post("/v1/api-keys", &admin, &json!({ "name": key.text, "expires_at": "1999-01-01" }));
    }
    server.get(&format!("/v1/api-keys/{}", exposed.text), &admin);
    server.get(&format!("/nothing/{}", exposed.text.replace('_', "%5F")), &admin);
    server.raw(
        format!("GET /{} HTTP/9.9\r\nX-API-Key: {0}\r\n\r\n", exposed.text).as_bytes(),
        Duration::from_secs(1),
    );
    let bearer = format!(
        "GET /v1/whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        used.text
    );
    server.raw(bearer.as_bytes(), Duration::from_secs(1));
    vec![admin, used, exposed, deleted, rotated]
}

fn assert_absent_from_folder(folder: &Path, secrets: &[String]) {
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_absent_from_folder(&path, secrets);
        } else {
            assert_absent(&path.display().to_string(), &std::fs::read(&path).unwrap(), secrets);
            looked_at += 1;
        }
    }
    assert!(looked_at > 0, "nothing in {}", folder.display());
}

/// Neither as text nor, where it is hexadecimal, as the bytes that it stands for.
fn assert_absent(place: &str, bytes: &[u8], secrets: &[String]) {
    for secret in secrets {
        assert!(!contains(bytes, secret.as_bytes()), "{place} holds {secret}");
        let pairs = secret.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
        let raw: Option<Vec<u8>> = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
        assert!(raw.is_none_or(|raw| !contains(bytes, &raw)), "{place} holds the bytes of {secret}");
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let secrets = ["616263".to_owned()];
    let found = |bytes: &'static [u8]| {
        std::panic::catch_unwind(|| assert_absent("x", bytes, &["616263".to_owned()])).is_err()
    };
    assert_absent("nothing", b"61626", &secrets);
    assert!(found(b"x616263y") && found(b"xabcy") && !found(b"xaby"));
}

#[test]
fn the_password_of_the_database_is_not_shown() {
    let place = Place::sqlite();
    let url = "postgres://ann:sesame-sesame@127.0.0.1:1/harmony";
    for arguments in [["config", "--json"].as_slice(), &["config"], &["doctor"], &["key", "list"]] {
        let output = place.command(arguments).env("HARMONY_DATABASE_URL", url).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(!said.is_empty() && !contains(&said, b"sesame-sesame"), "{}", String::from_utf8_lossy(&said));
    }
}
