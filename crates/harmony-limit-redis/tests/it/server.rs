//! A Redis of one's own: started from the real binary, and ended by its own process.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harmony_limit_redis::RedisAddress;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// `nobody`.
const UNPRIVILEGED: u32 = 65_534;

pub struct Redis {
    folder: TempDir,
    arguments: Vec<String>,
    child: Option<Child>,
    pub port: Option<u16>,
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

impl Redis {
    /// On a socket alone.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// On a socket, with more options.
    pub fn start_with(more: &[&str]) -> Self {
        Self::on(None, more)
    }

    /// On a socket and on a port of this machine.
    pub fn on_a_port(more: &[&str]) -> Self {
        Self::on(Some(free_port()), more)
    }

    /// One that watches others. It keeps what it knows in a file, so it is given one.
    pub fn sentinel() -> Self {
        let port = free_port();
        let folder = Self::folder();
        let file = folder.path().join("sentinel.conf");
        let text = format!("port {port}\nbind 127.0.0.1\ndaemonize no\nunixsocketperm 777\n");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        let arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
        let mut redis = Self { folder, arguments, child: None, port: Some(port) };
        redis.run();
        redis
    }

    fn folder() -> TempDir {
        // The path of a socket may have about 100 bytes at most, so TMPDIR is not asked.
        let folder = tempfile::Builder::new().prefix("harmony-redis.").tempdir_in("/tmp").unwrap();
        // Whoever runs the tests and `nobody` both have to reach it.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        folder
    }

    fn on(port: Option<u16>, more: &[&str]) -> Self {
        let folder = Self::folder();
        let port_text = port.unwrap_or(0).to_string();
        let mut arguments =
            vec!["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        arguments.extend(["--unixsocketperm", "777", "--daemonize", "no"]);
        arguments.extend(more);
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        let mut redis = Self { folder, arguments, child: None, port };
        redis.run();
        redis
    }

    /// Starts the process, empty unless it was told to save.
    pub fn run(&mut self) {
        let program = std::env::var_os("TEST_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let mut command = Command::new(program);
        command
            .args(&self.arguments)
            .arg("--dir")
            .arg(self.folder.path())
            .arg("--unixsocket")
            .arg(self.socket());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if rustix::process::geteuid().is_root() {
            command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        }
        let _ = fs::remove_file(self.socket());
        self.child = Some(command.spawn().expect("redis-server: run the tests with tests/with-redis"));
        let until = Instant::now() + Duration::from_secs(20);
        while self.try_command(&["PING"]).as_deref() != Some("+PONG") {
            assert!(Instant::now() < until, "redis-server does not answer");
            std::thread::yield_now();
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub fn address(&self) -> RedisAddress {
        RedisAddress::parse(&format!("redis+unix://{}", self.socket().display())).unwrap()
    }

    /// As a crash would end it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().and_then(|child| Pid::from_raw(i32::try_from(child.id()).unwrap()));
        kill_process(pid.unwrap(), signal).unwrap();
    }

    /// Sends a command and answers what comes back, as it is on the wire.
    pub fn command(&self, words: &[&str]) -> String {
        // A server that becomes a master, or stops being one, hangs up on who is asking.
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            if let Some(answer) = self.try_command(words) {
                return answer;
            }
            assert!(Instant::now() < until, "{words:?} was not answered");
            std::thread::yield_now();
        }
    }

    fn try_command(&self, words: &[&str]) -> Option<String> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        ask(&mut stream, words)
    }

    /// The names of all keys.
    pub fn keys(&self) -> Vec<String> {
        self.command(&["KEYS", "*"])
            .lines()
            .filter(|line| !line.starts_with(['*', '$']))
            .map(str::to_owned)
            .collect()
    }

    /// A number from one section of `INFO`.
    pub fn info(&self, section: &str, name: &str) -> String {
        let info = self.command(&["INFO", section]);
        let line = info.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.unwrap_or_default().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if self.child.is_some() {
            // A stopped process dies of this as well.
            self.kill();
        }
    }
}

/// Speaks to whatever listens on this port of this machine.
pub fn ask_port(port: u16, words: &[&str]) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    ask(&mut stream, words)
}

/// Sends a command, and reads one answer: what is on the wire, with plain ends of lines.
fn ask(stream: &mut (impl Read + Write), words: &[&str]) -> Option<String> {
    let mut request = format!("*{}\r\n", words.len());
    words.iter().for_each(|word| request.push_str(&format!("${}\r\n{word}\r\n", word.len())));
    stream.write_all(request.as_bytes()).ok()?;
    let (mut stream, mut answer) = (BufReader::new(stream), String::new());
    let mut parts = 1;
    while parts > 0 {
        let begun = answer.len();
        stream.read_line(&mut answer).ok().filter(|length| *length > 0)?;
        let head = answer[begun..].trim_end().to_owned();
        let number = head.get(1..).and_then(|number| number.parse::<i64>().ok());
        parts -= 1;
        match (head.chars().next()?, number) {
            ('*', Some(count)) => parts += count.max(0),
            ('$', Some(length)) if length >= 0 => {
                let mut text = vec![0; usize::try_from(length).unwrap() + 2];
                stream.read_exact(&mut text).ok()?;
                answer.push_str(&String::from_utf8_lossy(&text));
            }
            _ => {}
        }
    }
    Some(answer.trim_end().replace("\r\n", "\n"))
}
