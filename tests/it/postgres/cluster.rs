//! A PostgreSQL of a test's own, which it may stop and kill.

use std::{
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::server::psql;

/// `nobody`: PostgreSQL refuses to be run by root.
const NOBODY: u32 = 65_534;
/// What a power cut would lose is thrown away anyway; and all statements are counted.
const SETTINGS: &str = "-c max_connections=300 -c fsync=off -c full_page_writes=off \
    -c shared_preload_libraries=pg_stat_statements";
/// There is a socket and no port.
const OFF_THE_NETWORK: &str = "-c listen_addresses=";

/// A running server, thrown away in the end.
pub struct Cluster {
    folder: TempDir,
    settings: String,
}

impl Cluster {
    pub fn start() -> Self {
        Self::start_with(|_| OFF_THE_NETWORK.to_owned())
    }

    /// With these settings, which may be about files that are put into its folder.
    pub fn start_with(settings: impl FnOnce(&Self) -> String) -> Self {
        let mut cluster = Self::folder();
        cluster.settings = settings(&cluster);
        let options = ["--username=harmony", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
        cluster.run("initdb", &[&["-D", &cluster.data()], options.as_slice()].concat());
        cluster.start_again();
        cluster
    }

    /// A standby that follows `primary`.
    pub fn standby_of(primary: &Self) -> Self {
        let cluster = Self::folder();
        let url = primary.url("");
        let from = ["-d", &url, "-D", &cluster.data(), "--write-recovery-conf", "--checkpoint=fast"];
        cluster.run("pg_basebackup", &[from.as_slice(), &["--no-sync"]].concat());
        cluster.start_again();
        cluster
    }

    fn folder() -> Self {
        // The path of a socket may have about 100 bytes at most, so TMPDIR is not asked.
        let folder = tempfile::Builder::new().prefix("harmony-cluster.").tempdir_in("/tmp").unwrap();
        if geteuid().is_root() {
            chown(folder.path(), Some(NOBODY), None).unwrap();
        }
        Self { folder, settings: OFF_THE_NETWORK.to_owned() }
    }

    /// Puts a file into its folder, which only the server can read.
    #[cfg(feature = "tls")]
    pub fn keep(&self, name: &str, text: &[u8]) -> std::path::PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        if geteuid().is_root() {
            chown(&path, Some(NOBODY), None).unwrap();
        }
        path
    }

    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://harmony@{folder}/{database}")
    }

    /// Runs a statement, whatever the server says of changes.
    pub fn sql(&self, statement: &str) -> Vec<String> {
        psql(statement, &self.url("postgres")).lines().map(str::to_owned).collect()
    }

    /// The server again on its data.
    pub fn start_again(&self) {
        let folder = self.folder.path().to_str().unwrap();
        let options = format!("-k {folder} {SETTINGS} {}", self.settings);
        let log = format!("{folder}/log");
        self.run(
            "pg_ctl",
            &["start", "-D", &self.data(), "-s", "-w", "-t", "60", "-l", &log, "-o", &options],
        );
    }

    /// Without waiting for those who are connected.
    pub fn stop(&self) {
        self.run("pg_ctl", &["stop", "-D", &self.data(), "-s", "-w", "-t", "60", "-m", "fast"]);
    }

    /// Stops all its processes where they are: connections stay, and nothing comes from them.
    pub fn freeze(&self) -> Frozen {
        let postmaster = std::fs::read_to_string(format!("{}/postmaster.pid", self.data())).unwrap();
        let mut pids = self.sql("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()");
        pids.insert(0, postmaster.lines().next().unwrap().to_owned());
        let pids: Vec<Pid> = pids.iter().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()).collect();
        signal_all(&pids, Signal::STOP);
        Frozen(pids)
    }

    pub fn promote(&self) {
        self.run("pg_ctl", &["promote", "-D", &self.data(), "-s", "-w", "-t", "60"]);
    }

    /// Kills those who serve the connections to this database, which makes the server begin anew; how many they were.
    pub fn kill_backends(&self, database: &str) -> usize {
        let backends = self.sql(&format!("SELECT pid FROM pg_stat_activity WHERE datname = '{database}'"));
        for backend in &backends {
            // One may have ended since.
            let _ = kill_process(Pid::from_raw(backend.parse().unwrap()).unwrap(), Signal::KILL);
        }
        backends.len()
    }

    fn data(&self) -> String {
        format!("{}/data", self.folder.path().display())
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let ran = self.command(program, arguments).status().unwrap();
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        assert!(ran.success(), "{program} {arguments:?}: {log}");
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(harmony_tests::postgres_programs().join(program));
        // The server that is started keeps what it is given, so that a pipe would never end.
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        command.current_dir(self.folder.path());
        if geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

/// Wakes them again when it is dropped.
pub struct Frozen(Vec<Pid>);

impl Drop for Frozen {
    fn drop(&mut self) {
        signal_all(&self.0, Signal::CONT);
    }
}

fn signal_all(pids: &[Pid], signal: Signal) {
    for pid in pids {
        // One may have ended since.
        let _ = kill_process(*pid, signal);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stop = ["stop", "-D", &self.data(), "-s", "-m", "immediate"];
        let _ = self.command("pg_ctl", &stop).stderr(Stdio::null()).status();
    }
}
