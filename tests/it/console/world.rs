//! A workspace that looks like one that is in use, and the people who look at it.

use reqwest::Method;
use serde_json::{Value, json};

use super::browser::Browser;
use crate::server::{ANN, Key, Place, Server, eventually};

pub const PASSWORD: &str = "a long enough password";

/// An administrator, somebody who sees the keys of their teams, somebody who sees none, and somebody who is in no team.
pub const ADMIN: &str = ANN;
pub const MANAGER: &str = "tom@acme.example";
pub const USER: &str = "uma@acme.example";
pub const LONER: &str = "lea@acme.example";

/// A server with data in it. The place outlives the server.
pub struct World {
    pub server: Server,
    key: Key,
    place: Place,
}

impl World {
    /// Nobody has set anything up yet.
    pub fn empty() -> (Place, Server) {
        let place = Place::sqlite();
        let server = place.serve();
        (place, server)
    }

    /// People, a team, roles and keys, each with some past.
    pub fn full() -> Self {
        // With the limit that a new server has, since pages say it.
        Self::serving(&[])
    }

    /// The same, served with more arguments.
    pub fn serving(more: &[&str]) -> Self {
        let place = Place::sqlite();
        let init =
            ["init", "--workspace", "Acme", "--name", "Ann Admin", "--email", ADMIN, "--password-stdin"];
        let output = place.run(&init, &format!("{PASSWORD}\n"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let key = ["key", "create", "--name", "Set-up script", "--owner", ADMIN, "--role", "Admin"];
        let key = Key::of(&place.cli(&key));
        let world = Self { server: place.serve_with(more), key, place };
        world.fill();
        world
    }

    /// Stops the server, and serves the same data again.
    pub fn restart(&mut self, more: &[&str]) {
        assert_eq!(self.server.terminate(), Some(0));
        self.server = self.place.serve_with(more);
    }

    fn fill(&self) {
        self.create(
            "roles",
            &json!({ "name": "Team Lead", "description": "Sees what their teams do, and with which keys.",
                     "permissions": ["conversations:read:team", "api-keys:read:team", "teams:read:team"] }),
        );
        let tom = self.user("Tom Manager", MANAGER, "Team Lead");
        let uma = self.user("Uma User", USER, "User");
        self.user("Lea Loner", LONER, "Team Lead");
        let team = self.create("teams", &json!({ "name": "Sales" }));
        for member in [&tom, &uma] {
            self.ask(Method::PUT, &format!("/v1/teams/{team}/users/{member}"), None);
        }
        let analyst = self.create(
            "roles",
            &json!({ "name": "Analyst", "description": "Reads every conversation and nothing else.",
                     "permissions": ["conversations:read:all"] }),
        );
        for (name, owner, role, days, limit) in [
            ("CRM import, production", &tom, Some(&analyst), Some(5), json!("100 an hour")),
            ("Weekly report", &uma, None, Some(90), json!(null)),
            ("Support desk", &tom, None, None, json!(1_000)),
            ("Transcripts to the data warehouse", &uma, Some(&analyst), Some(365), json!("4 a second")),
        ] {
            let body = json!({ "name": name, "owner": owner, "role": role, "expires_at": days.map(in_days),
                               "display_rate_limit": limit });
            let key = Key::of(&self.ask(Method::POST, "/v1/api-keys", Some(&body)));
            self.server.get("/v1/conversations", &key);
        }
    }

    /// The id of the one of this name.
    pub fn named(&self, resource: &str, name: &str) -> String {
        let rows = self.server.list(&format!("/v1/{resource}"), &self.key);
        let row =
            rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}: {rows:?}"));
        row["id"].as_str().unwrap().to_owned()
    }

    /// The id of what was written into the audit log last.
    pub fn latest_event(&self) -> String {
        let events = self.ask(Method::GET, "/v1/audit-events?limit=1", None);
        events["data"][0]["id"].as_str().unwrap().to_owned()
    }

    fn user(&self, name: &str, email: &str, role: &str) -> String {
        let role = self.named("roles", role);
        self.create("users", &json!({ "name": name, "email": email, "role": role, "password": PASSWORD }))
    }

    pub fn create(&self, resource: &str, body: &Value) -> String {
        let created = self.ask(Method::POST, &format!("/v1/{resource}"), Some(body));
        created["id"].as_str().unwrap().to_owned()
    }

    /// Asks the API with everything permitted.
    pub fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let answer = self.server.ask(method, path, Some(&self.key.text), body);
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.text);
        serde_json::from_str(&answer.text).unwrap_or_default()
    }
}

impl World {
    /// The list of keys, without when and from where the key that asks was last used: that changes by the asking.
    pub fn api_keys(&self) -> Value {
        let mut list = self.ask(Method::GET, "/v1/api-keys", None);
        let rows = list["data"].as_array_mut().unwrap();
        let own = rows.iter_mut().find(|row| row["id"] == self.key.id.as_str()).unwrap();
        for last_used in ["last_used_at", "last_used_ip"] {
            own[last_used] = Value::Null;
        }
        list
    }
}

/// The instant so many days from now, as the API reads it.
#[expect(clippy::disallowed_methods, reason = "the server looks at its own clock, and is started from here")]
pub fn in_days(days: i64) -> String {
    (chrono::Utc::now() + chrono::TimeDelta::days(days)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

impl Browser {
    /// Signs in as somebody else than before.
    #[track_caller]
    pub fn sign_in(&self, email: &str) {
        self.visit("/sign-in");
        self.forget_cookies();
        self.visit("/sign-in");
        self.fill("E-mail", email);
        self.fill("Password", PASSWORD);
        self.click("Sign in");
        eventually(&format!("{email} is signed in"), || (self.path() != "/sign-in").then_some(()));
    }
}
