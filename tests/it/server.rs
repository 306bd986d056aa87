//! A server of one's own, with its data: started from the real binary, asked over the network, ended by its own process.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use reqwest::{Method, blocking::Client, header::HeaderMap};
use serde_json::Value;
use tempfile::TempDir;

pub const ANN: &str = "ann@acme.example";

/// For tests that ask often and are not about the limit.
pub const NO_LIMIT: [&str; 2] = ["--rate-limit-requests", "1000000"];

/// Runs each test on SQLite and on PostgreSQL.
macro_rules! on_both_databases {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[test] fn $test() { super::$test(&crate::server::Place::sqlite()); })*
        }
        mod postgres {
            $(#[test] fn $test() { super::$test(&crate::server::Place::postgres()); })*
        }
    };
}
pub(crate) use on_both_databases;

/// A data folder, and a database in it or on the private PostgreSQL. It outlives the servers over it.
pub struct Place {
    folder: TempDir,
    database: Option<String>,
}

impl Place {
    pub fn sqlite() -> Self {
        Self { folder: TempDir::new().unwrap(), database: None }
    }

    pub fn postgres() -> Self {
        let folder = TempDir::new().unwrap();
        let name = folder.path().file_name().unwrap().to_str().unwrap();
        let name = format!("it_{}_{}", std::process::id(), name.trim_start_matches('.')).to_lowercase();
        maintain(&format!("CREATE DATABASE \"{name}\""));
        Self { folder, database: Some(harmony_tests::postgres_url(&name)) }
    }

    /// A database that is there already, by its URL.
    pub fn at(url: &str) -> Self {
        Self { folder: TempDir::new().unwrap(), database: Some(url.to_owned()) }
    }

    /// Takes the database on PostgreSQL away, or gives it back.
    pub fn reach_database(&self, reachable: bool) {
        let name = self.database.as_ref().and_then(|url| url.rsplit_once('/')).unwrap().1;
        maintain(&format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS {reachable}"));
        if !reachable {
            let all =
                format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
            maintain(&all);
        }
    }

    /// Runs a statement on the database, past the server, and answers its rows; on PostgreSQL only.
    pub fn sql(&self, statement: &str) -> Vec<String> {
        psql(statement, &self.database_url()).lines().map(str::to_owned).collect()
    }

    /// The folder of the data, which is the server's own.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its database, in the server's own words.
    pub fn database_url(&self) -> String {
        let sqlite = || format!("sqlite:{}", self.data().join("harmony.sqlite").display());
        self.database.clone().unwrap_or_else(sqlite)
    }

    /// The binary on this data.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare_command(arguments);
        command.arg("--data-dir").arg(self.data());
        if let Some(url) = &self.database {
            command.args(["--database-url", url]);
        }
        command
    }

    /// The binary without a word of where its data is; it sees nothing of the caller's configuration.
    pub fn bare_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(harmony_tests::harmony_binary());
        let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HARMONY_"));
        for (name, _) in ours {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    /// Runs a command with this on its standard input.
    pub fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Runs a command that must succeed, and reads its JSON.
    pub fn cli(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat(), "");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The first workspace, with Ann as its administrator.
    pub fn init(&self) -> Value {
        self.cli(&["init", "--workspace", "Acme", "--name", "Ann", "--email", ANN])
    }

    /// A key of Ann's: its id and its text.
    pub fn key(&self, more: &[&str]) -> Key {
        let issued = self.cli(&[&["key", "create", "--name", "test", "--owner", ANN], more].concat());
        Key::of(&issued)
    }

    /// Serves without a limit that would be in the way.
    pub fn serve(&self) -> Server {
        self.serve_with(&NO_LIMIT)
    }

    pub fn serve_with(&self, more: &[&str]) -> Server {
        self.serve_under(more, &[])
    }

    /// The same with these variables.
    pub fn serve_under(&self, more: &[&str], variables: &[(&str, &Path)]) -> Server {
        let arguments =
            ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--log-format", "json"];
        let log = self.folder.path().join("log");
        let log_file = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = self.command(&[&arguments, more].concat());
        command.envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(log_file).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut server = Server {
            child,
            address: String::new(),
            log,
            said: Arc::default(),
            client: Client::builder().timeout(Duration::from_secs(60)).build().unwrap(),
        };
        server.address = server.listen_to(stdout);
        server
    }
}

/// Runs a statement on the private PostgreSQL, beside the databases of the tests.
fn maintain(statement: &str) {
    psql(statement, &harmony_tests::postgres_url("postgres"));
}

/// Runs a statement on a database, whatever that says of changes, and answers what was printed.
pub fn psql(statement: &str, url: &str) -> String {
    let mut psql = Command::new("psql");
    psql.env("PGOPTIONS", "-c default_transaction_read_only=off");
    let ran = psql.args(["-X", "-q", "-A", "-t", "-c", statement, url]).output().expect("psql");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// A key as it was issued.
#[derive(Debug, Clone)]
pub struct Key {
    pub id: String,
    pub text: String,
}

impl Key {
    pub fn of(issued: &Value) -> Self {
        let text = |member: &str| issued[member].as_str().unwrap_or_else(|| panic!("{issued}")).to_owned();
        Self { id: text("id"), text: text("key") }
    }
}

/// A running server; it ends with this.
pub struct Server {
    child: Child,
    /// `127.0.0.1:PORT`
    pub address: String,
    log: PathBuf,
    said: Arc<Mutex<String>>,
    client: Client,
}

impl Server {
    /// Reads on until the server is ready; what it says afterwards is kept as well.
    fn listen_to(&self, mut stdout: impl BufRead + Send + 'static) -> String {
        let mut first = String::new();
        stdout.read_line(&mut first).unwrap();
        let address = first.trim().strip_prefix("listening on http://").map(str::to_owned);
        let address = address.unwrap_or_else(|| panic!("it said {first:?}; its log: {}", self.log()));
        let said = Arc::clone(&self.said);
        said.lock().unwrap().push_str(&first);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                said.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        address
    }

    /// What it said on standard output.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// What it and its predecessors over the same data wrote to the log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub fn get(&self, path: &str, key: &Key) -> Answer {
        self.ask(Method::GET, path, Some(&key.text), None)
    }

    pub fn post(&self, path: &str, key: &Key, body: &Value) -> Answer {
        self.ask(Method::POST, path, Some(&key.text), Some(body))
    }

    pub fn ask(&self, method: Method, path: &str, key: Option<&str>, body: Option<&Value>) -> Answer {
        self.try_ask(method, path, key, body).unwrap()
    }

    /// The same for a server that may be gone.
    pub fn try_ask(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> reqwest::Result<Answer> {
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, text: response.text()? })
    }

    /// Everything of a list, page by page.
    pub fn list(&self, path: &str, key: &Key) -> Vec<Value> {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = self.get(&format!("{path}?limit=200{cursor}"), key);
            assert_eq!(answer.status, 200, "{}", answer.text);
            let page = answer.json();
            rows.extend(page["data"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    }

    /// What it counts under this name now.
    pub fn metric(&self, name: &str) -> u64 {
        let log = self.log();
        let (_, after) = log.rsplit_once("metrics on http://").unwrap();
        let address = after.split('/').next().unwrap();
        let text = self.client.get(format!("http://{address}/metrics")).send().unwrap().text().unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Sends bytes as they are, and reads the answer until the server closes or this long has passed.
    pub fn raw(&self, request: &[u8], within: Duration) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(within)).unwrap();
        // A server that has heard enough may close before everything is sent.
        let _ = stream.write_all(request);
        let (mut answer, mut part) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = stream.read(&mut part) {
            answer.extend_from_slice(&part[..count]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Stops it, or lets it go on.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it while others are asking it, as a power cut would.
    pub fn kill_now(&self) {
        self.signal(rustix::process::Signal::KILL);
    }

    /// The same, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as an operator would, and returns its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        eventually("the server has ended", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    /// Status and code, which is what a program looks at.
    pub fn outcome(&self) -> (u16, String) {
        let problem: Value = serde_json::from_str(&self.text).unwrap_or_default();
        (self.status, problem["code"].as_str().unwrap_or_default().to_owned())
    }
}

/// Asks again and again until there is something, for twenty seconds at most.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "not yet: {what}");
        // Not at full speed, or the server would have less of the machine to get there.
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[expect(clippy::disallowed_methods, reason = "who waits for another process has a clock of their own")]
pub fn now() -> Instant {
    Instant::now()
}
