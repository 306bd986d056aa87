//! What a server is sent that it was not made for: each is refused in the documented way, and nothing is done.

mod fields;
mod keys;
mod wire;

use reqwest::Method;
use serde_json::json;

use crate::server::{Key, Place, Server};

/// A server with an administrator's key.
struct House {
    server: Server,
    admin: Key,
    place: Place,
}

impl House {
    fn build() -> Self {
        let place = Place::sqlite();
        place.init();
        Self { admin: place.key(&["--role", "Admin"]), server: place.serve(), place }
    }

    fn issue(&self) -> Key {
        Key::of(&self.server.post("/v1/api-keys", &self.admin, &json!({ "name": "test" })).json())
    }

    fn delete(&self, key: &Key) {
        let path = format!("/v1/api-keys/{}", key.id);
        assert_eq!(self.server.ask(Method::DELETE, &path, Some(&self.admin.text), None).status, 204);
    }
}

#[test]
fn a_wrong_configuration_stops_every_command_with_the_entrys_name() {
    let place = Place::sqlite();
    let refused = |arguments: &[&str], entry: &str| {
        let output = place.run(arguments, "");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(entry), "{arguments:?}: {said}");
        assert!(!place.data().exists(), "nothing was made");
    };
    refused(&["config", "--listen", "nonsense"], "--listen");
    refused(&["config", "--rate-limit-requests", "-1"], "-1");
    refused(&["config", "--rate-limit-ipv6-prefix", "65"], "rate_limit_ipv6_prefix");
    refused(&["config", "--database-url", "mysql://x"], "database_url");
    refused(&["serve", "--trusted-proxies", "10.0.0.1/8"], "trusted_proxies");
    refused(&["serve", "--trusted-proxies", "::ffff:0:0/90"], "trusted_proxies");
    refused(&["serve", "--rate-limit-requests", "0"], "rate_limit_requests");
    refused(&["config", "--nonsense"], "--nonsense");
    refused(&["key", "delete", "nonsense"], "<ID>");
    let file = place.data().with_file_name("harmony.toml");
    std::fs::write(&file, "listne = '127.0.0.1:1'").unwrap();
    refused(&["config"], "listne");
    std::fs::write(&file, "rate_limit_requests = 'many'").unwrap();
    refused(&["config"], "rate_limit_requests");
}

#[test]
fn a_wrong_variable_stops_the_start_by_its_name() {
    let place = Place::sqlite();
    let output = place.command(&["config"]).env("HARMONY_RATE_LIMIT_REQUESTS", "many").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("rate-limit-requests") && said.contains("many"), "{said}");
    let good = place.command(&["config", "--json"]).env("HARMONY_RATE_LIMIT_REQUESTS", "7").output().unwrap();
    let good: serde_json::Value = serde_json::from_slice(&good.stdout).unwrap();
    assert_eq!(good["rate_limit_requests"], 7);
    let unknown = place.command(&["config"]).env("HARMONY_LISTNE", "127.0.0.1:1").output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("HARMONY_LISTNE: there is no such variable"));
}

#[test]
fn a_second_server_on_the_same_data_is_refused_and_the_first_runs_on() {
    let house = House::build();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
    let second = house.place.run(&arguments, "");
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(said.contains("another server is running on this data"), "{said}");
    assert_eq!(house.server.get("/v1/whoami", &house.admin).status, 200);
}
