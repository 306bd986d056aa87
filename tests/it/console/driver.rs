//! A chromedriver of one's own, and the Chromium behind it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use fantoccini::{
    error::NewSessionError,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use reqwest::Method;
use serde_json::{Value, json};

/// A name for the server that is not a loopback address: pages under it have no secure context, as on plain HTTP in a local
/// network, and with it no `navigator.clipboard`.
pub const PLAIN_HOST: &str = "harmony.example";

/// The longest that a page may take to load, or a script to answer, in milliseconds.
const LONGEST_WAIT_MS: u32 = 20_000;

/// A running chromedriver on a port that it chose; it ends with this.
pub struct Driver {
    process: Child,
    pub url: String,
}

/// chromedriver chooses a port by one kind of address and then binds the other kind, where somebody may have the same.
const STARTS_MAX: usize = 5;

impl Driver {
    pub fn start() -> Self {
        let started = (0..STARTS_MAX).find_map(|_| Self::try_to_start());
        started.expect("chromedriver ended before it listened")
    }

    fn try_to_start() -> Option<Self> {
        let program = harmony_tests::browser_tool("TEST_CHROMEDRIVER");
        let mut command = Command::new(program);
        // Pages say instants in the browser's time zone, and no test should depend on the machine's.
        command.arg("--port=0").env("TZ", "UTC").stdout(Stdio::piped());
        let mut process = command.spawn().expect("chromedriver");
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = said.find_map(|line| {
            let (_, port) = line.trim_end_matches('.').rsplit_once("started successfully on port ")?;
            port.parse::<u16>().ok()
        });
        // What it says later has to go somewhere, or it would stop at a full pipe.
        std::thread::spawn(move || said.for_each(drop));
        let Some(port) = port else {
            process.wait().unwrap();
            return None;
        };
        Some(Self { process, url: format!("http://127.0.0.1:{port}") })
    }

    /// Starts a Chromium that keeps what it has to keep in this folder.
    pub async fn open(&self, profile: &Path) -> Result<fantoccini::Client, NewSessionError> {
        let connector = hyper_util::client::legacy::connect::HttpConnector::new();
        let mut builder = fantoccini::ClientBuilder::new(connector);
        builder.capabilities(capabilities(profile)).connect(&self.url).await
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn capabilities(profile: &Path) -> Capabilities {
    let profile = format!("--user-data-dir={}", profile.display());
    // Whatever a page asks of another host than ours fails, and says so in the log.
    let hosts =
        format!("--host-resolver-rules=MAP {PLAIN_HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1");
    let arguments = [
        "--headless=new",
        // Root, as in a container, gets no sandbox; the pages are our own.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-sync",
        "--force-color-profile=srgb",
        "--lang=en-US",
        &hosts,
        &profile,
    ];
    let binary = harmony_tests::browser_tool("TEST_CHROMIUM");
    let wanted = json!({
        "goog:chromeOptions": { "binary": binary, "args": arguments },
        "goog:loggingPrefs": { "browser": "ALL" },
        "timeouts": { "script": LONGEST_WAIT_MS, "pageLoad": LONGEST_WAIT_MS, "implicit": 0 },
    });
    let Value::Object(wanted) = wanted else { unreachable!("written above as an object") };
    wanted
}

/// A command that `fantoccini` has no method for: its path behind the session's, and its body.
#[derive(Debug)]
pub struct Extra {
    method: Method,
    path: String,
    body: Option<String>,
}

impl Extra {
    pub fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: None }
    }

    /// A command of the Chrome DevTools Protocol.
    pub fn devtools(name: &str, parameters: &Value) -> Self {
        Self::post("goog/cdp/execute", &json!({ "cmd": name, "params": parameters }))
    }

    /// What the console and the network said since it was last asked.
    pub fn log() -> Self {
        Self::post("se/log", &json!({ "type": "browser" }))
    }

    fn post(path: &str, body: &Value) -> Self {
        Self { method: Method::POST, path: path.to_owned(), body: Some(body.to_string()) }
    }
}

impl WebDriverCompatibleCommand for Extra {
    fn endpoint(
        &self,
        base_url: &reqwest::Url,
        session_id: Option<&str>,
    ) -> Result<reqwest::Url, <reqwest::Url as std::str::FromStr>::Err> {
        base_url.join(&format!("session/{}/{}", session_id.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &reqwest::Url) -> (Method, Option<String>) {
        (self.method.clone(), self.body.clone())
    }
}
