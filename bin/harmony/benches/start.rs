//! How soon a server with a million keys is ready, and what a request takes whose key it does not remember while it remembers
//! 100,000 others.
//!
//! `cargo bench -p harmony --bench start` measures SQLite, and `tests/with-postgres cargo bench -p harmony --bench start` the
//! PostgreSQL in `TEST_POSTGRES_URL` as well, which is left as it is then: full. With `KEYS=10000` there are only so many.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read as _, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use harmony_access::{ApiKeyId, Timestamp, UserId, WorkspaceId};
use harmony_key::ApiKey as KeyText;
use harmony_store::{
    DatabaseUrl, Store, StoreError, Version,
    api_keys::{self, ApiKey},
};

type Failure = Box<dyn std::error::Error>;

const KEYS: u64 = 1_000_000;
/// Asked for once before anything is measured: what the cache is meant for by default.
const REMEMBERED: u64 = 100_000;
/// Asked for first while they are measured.
const FRESH: u64 = 2_000;
const STARTS: usize = 5;
/// The rows of one transaction.
const BATCH: u64 = 10_000;
const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const HARMONY: &str = env!("CARGO_BIN_EXE_harmony");

fn main() -> Result<(), Failure> {
    let keys = env::var("KEYS").ok().map_or(Ok(KEYS), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let sqlite = format!("sqlite:{}", folder.path().join("harmony.sqlite").display());
    measure("SQLite", &sqlite, folder.path(), keys)?;
    if let Ok(url) = env::var("TEST_POSTGRES_URL") {
        measure("PostgreSQL", &url, folder.path(), keys)?;
    }
    Ok(())
}

fn measure(what: &str, database: &str, folder: &Path, keys: u64) -> Result<(), Failure> {
    fill(database, folder, keys)?;
    let mut ready: Vec<Duration> = Vec::new();
    let mut first: Vec<Duration> = Vec::new();
    for start in 0..STARTS {
        let mut server = Server::start(database, folder)?;
        ready.push(server.ready);
        first.push(server.ask(u64::try_from(start)?)?);
    }
    let mut server = Server::start(database, folder)?;
    let remembered = REMEMBERED.min(keys / 2);
    (0..remembered).try_for_each(|number| server.ask(number).map(drop))?;
    let mut fresh: Vec<Duration> = Vec::new();
    let mut known: Vec<Duration> = Vec::new();
    for number in 0..FRESH.min(keys / 4) {
        // Far from each other in the index.
        fresh.push(server.ask(remembered + number * ((keys - remembered) / FRESH.max(1)))?);
        known.push(server.ask(number * (remembered / FRESH.max(1)))?);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{what}, {keys} keys; milliseconds: median, 99 of 100, longest")?;
    for (what, times) in [
        ("from its start until it listens", &mut ready),
        ("the first request of all", &mut first),
        ("a key that is not remembered", &mut fresh),
        ("a key that is", &mut known),
    ] {
        times.sort_unstable();
        let [median, most, longest] =
            [50, 99, 100].map(|percent| times.get((times.len() * percent).div_ceil(100) - 1));
        let millis = |time: Option<&Duration>| time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
        writeln!(out, "{what:32} {:9.2} {:9.2} {:9.2}", millis(median), millis(most), millis(longest))?;
    }
    Ok(())
}

/// A server of its own making, on a free port, and one connection to it.
struct Server {
    process: Child,
    ready: Duration,
    connection: BufReader<TcpStream>,
}

impl Server {
    fn start(database: &str, folder: &Path) -> Result<Self, Failure> {
        let begun = now();
        let mut process = Command::new(HARMONY)
            .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
            .args(["--rate-limit-requests", "1048575", "--rate-limit-window-secs", "1"])
            .args(["--database-url", database])
            .arg("--data-dir")
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut said = BufReader::new(process.stdout.take().ok_or("no output")?);
        let mut line = String::new();
        let address = loop {
            line.clear();
            if said.read_line(&mut line)? == 0 {
                return Err("the server ended before it listened".into());
            }
            if let Some(address) = line.trim_end().strip_prefix("listening on http://") {
                break address;
            }
        };
        let ready = begun.elapsed();
        let connection = TcpStream::connect(address)?;
        connection.set_nodelay(true)?;
        Ok(Self { process, ready, connection: BufReader::new(connection) })
    }

    /// How long the answer to `GET /v1/whoami` with this key takes; anything but 200 is a failure.
    fn ask(&mut self, number: u64) -> Result<Duration, Failure> {
        let key = text(number);
        let request =
            format!("GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {}\r\n\r\n", key.reveal());
        let begun = now();
        self.connection.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut length) = (String::new(), 0);
        self.connection.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200 ") {
            return Err(format!("key {number}: {line}").into());
        }
        while line != "\r\n" {
            line.clear();
            self.connection.read_line(&mut line)?;
            if let Some(bytes) = line.strip_prefix("content-length: ") {
                length = bytes.trim_end().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body)?;
        Ok(begun.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn fill(database: &str, folder: &Path, keys: u64) -> Result<(), Failure> {
    let made = Command::new(HARMONY)
        .args(["init", "--workspace", "Acme", "--name", "Ada", "--email", "ada@acme.example", "--json"])
        .args(["--database-url", database])
        .arg("--data-dir")
        .arg(folder)
        .output()?;
    let made: serde_json::Value = serde_json::from_slice(&made.stdout)?;
    let said = |field: &str| made.get(field).and_then(|id| id.as_str()).unwrap_or_default().to_owned();
    let (workspace, owner) = (WorkspaceId::parse(&said("workspace"))?, UserId::parse(&said("user"))?);
    let store = Store::open(&DatabaseUrl::parse(database)?, &Default::default())?;
    for first in (0..keys).step_by(usize::try_from(BATCH)?) {
        let batch = first..(first + BATCH).min(keys);
        store.write::<_, StoreError>(|tx| {
            batch.clone().try_for_each(|number| api_keys::insert(tx, &key(number, workspace, owner)))
        })?;
    }
    Ok(())
}

fn key(number: u64, workspace: WorkspaceId, owner: UserId) -> ApiKey {
    let (text, created_at) = (text(number), START.plus(Duration::from_secs(number)));
    ApiKey {
        id: ApiKeyId::new(created_at, [7; 10]),
        workspace,
        owner,
        role: None,
        name: format!("key {number}"),
        digest: text.digest(),
        last_four: text.last_four(),
        foreign_text: false,
        display_rate_limit: None,
        expires_at: None,
        rotated_to: None,
        version: Version::FIRST,
        created_at,
        created_by: None,
    }
}

/// The text of the key with this number; its digest lies anywhere in the index.
fn text(number: u64) -> KeyText {
    let mut secret = [0; 28];
    secret.iter_mut().zip(number.to_be_bytes()).for_each(|(byte, digit)| *byte = digit);
    KeyText::from_secret(secret)
}

#[expect(clippy::disallowed_methods, reason = "a measurement is the edge")]
fn now() -> Instant {
    Instant::now()
}
