//! Servers that count together in Redis.

use std::{
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
};

use reqwest::Method;
use tempfile::TempDir;

use crate::server::{Key, Place, Server, eventually};

/// A Redis of this test alone, on a socket; `tests/with-redis` has looked for the program.
pub struct Redis {
    folder: TempDir,
    child: Child,
}

impl Redis {
    pub fn start(more: &[&str]) -> Self {
        // The path of a socket may have about 100 bytes at most, so TMPDIR is not asked.
        let folder = tempfile::Builder::new().prefix("harmony-redis.").tempdir_in("/tmp").unwrap();
        // Whoever runs the tests and `nobody` both have to reach it.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let program = std::env::var_os("TEST_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let mut command = Command::new(program);
        command.args(["--port", "0", "--save", "", "--unixsocketperm", "777", "--unixsocket", "socket"]);
        command.arg("--dir").arg(folder.path()).args(more).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if rustix::process::geteuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
        let child = command.spawn().expect("redis-server: run the tests through `just test`");
        let socket = folder.path().join("socket");
        eventually("Redis has its socket", || socket.exists().then_some(()));
        Self { folder, child }
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", Path::new(self.folder.path()).join("socket").display())
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A metric of the `nth` server over this place: its address is in the log, which they share.
fn metric((nth, server): (usize, &Server), name: &str) -> f64 {
    let log = server.log();
    let line = log.split("metrics on http://").nth(nth + 1).unwrap();
    let address = line.split("/metrics").next().unwrap();
    let text = reqwest::blocking::get(format!("http://{address}/metrics")).unwrap().text().unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

fn passes(server: &Server, key: &Key) -> bool {
    let answer = server.get("/v1/whoami", key);
    assert!([200, 429].contains(&answer.status), "{}", answer.text);
    assert_eq!(answer.headers["x-ratelimit-limit"], "40");
    answer.status == 200
}

#[test]
fn two_servers_let_the_limit_through_together_and_authentication_does_not_mind_an_outage() {
    let mut redis = Redis::start(&[]);
    let (place, url) = (Place::postgres(), redis.url());
    place.init();
    let key = place.key(&[]);
    let arguments = ["--rate-limit-requests", "40", "--redis-url", &url];
    let servers = [place.serve_with(&arguments), place.serve_with(&arguments)];
    let passed = (0..120).filter(|turn| passes(&servers[turn % 2], &key)).count();
    // On a busy machine a call may miss its 10 ms, and what it would have granted is then nobody's.
    assert!((20..=40).contains(&passed), "{passed}");
    assert!(metric((1, &servers[1]), "harmony_limiter_redis_granted_total") > 0.0);
    assert!(metric((1, &servers[1]), "harmony_limiter_redis_call_seconds_count") > 0.0);

    redis.kill();
    eventually("the outage is noticed", || {
        (metric((1, &servers[1]), "harmony_limiter_redis_out_of_reach") > 0.0).then_some(())
    });
    assert!(!passes(&servers[1], &key));
    assert_eq!(servers[1].ask(Method::GET, "/healthz", None, None).status, 200);
    let outages = || {
        servers
            .iter()
            .enumerate()
            .map(|server| metric(server, "harmony_limiter_redis_outages_total"))
            .sum::<f64>()
    };
    eventually("both have noticed", || {
        let out = |server| metric(server, "harmony_limiter_redis_out_of_reach") > 0.0;
        servers.iter().enumerate().all(out).then_some(())
    });
    let said = servers[0].log().matches("Redis is out of reach").count();
    assert_eq!(said, outages() as usize, "once each");
}

#[test]
fn a_redis_that_may_evict_and_one_that_is_not_there_stop_the_start() {
    let mut redis = Redis::start(&["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"]);
    let (place, url) = (Place::sqlite(), redis.url());
    let arguments =
        ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--redis-url", &url];
    for (said, gone) in
        [("allkeys-lru", false), ("the rate limiter cannot start: Redis at redis+unix://", true)]
    {
        if gone {
            redis.kill();
        }
        let output = place.run(&arguments, "");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(said), "{error}");
    }
}
