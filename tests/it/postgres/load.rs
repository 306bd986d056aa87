//! People who use keys all the time, and what they are told.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::json;

use crate::server::{Answer, Key, Server, eventually, now};

/// Who use one good key, one that was deleted, and one that is made and deleted again and again.
const USERS: usize = 4;

/// What was told.
#[derive(Debug, Default)]
pub struct Tally {
    pub accepted: AtomicU64,
    pub refused: AtomicU64,
    pub unavailable: AtomicU64,
    /// A key that was deleted, and passed.
    pub wrong_acceptances: AtomicU64,
    /// A key that lives, and was refused as if it did not.
    pub false_refusals: AtomicU64,
    pub slowest: Mutex<Duration>,
}

impl Tally {
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    pub fn unavailable(&self) -> u64 {
        self.unavailable.load(Ordering::Relaxed)
    }

    /// Notes what was told of a key that lives, or that does not.
    fn note(&self, answer: &Answer, lives: bool) {
        let count = |of: &AtomicU64| of.fetch_add(1, Ordering::Relaxed);
        match (answer.status, lives) {
            (503, _) => {
                assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
                count(&self.unavailable)
            }
            (200, true) => count(&self.accepted),
            (401, false) => count(&self.refused),
            (200, false) => count(&self.wrong_acceptances),
            (401, true) => count(&self.false_refusals),
            _ => panic!("{} {}", answer.status, answer.text),
        };
    }

    /// That nobody was let in or shut out wrongly; and the figures.
    pub fn judge(&self, what: &str, recovered: Duration) {
        println!("{what}: recovered after {recovered:?}; {self:?}");
        assert_eq!(self.wrong_acceptances.load(Ordering::Relaxed), 0, "{self:?}");
        assert_eq!(self.false_refusals.load(Ordering::Relaxed), 0, "{self:?}");
    }
}

/// Does `meanwhile` while the keys are used; it is told what was told until then.
pub fn under_load<T>(
    server: &Server,
    admin: &Key,
    dead: &Key,
    meanwhile: impl FnOnce(&Tally) -> T,
) -> (T, Tally) {
    let (tally, over) = (Tally::default(), AtomicBool::new(false));
    let value = std::thread::scope(|scope| {
        let (tally, over) = (&tally, &over);
        for _ in 0..USERS {
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    timed(tally, || tally.note(&server.get("/v1/whoami", admin), true));
                    timed(tally, || tally.note(&server.get("/v1/whoami", dead), false));
                    tally.note(&server.get("/v1/api-keys?limit=1", admin), true);
                }
            });
        }
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                live_and_die(server, admin, tally);
            }
        });
        // Also when the test fails here.
        let _over = Ends(over);
        meanwhile(tally)
    });
    (value, tally)
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn timed(tally: &Tally, ask: impl FnOnce()) {
    let start = now();
    ask();
    let mut slowest = tally.slowest.lock().unwrap();
    *slowest = start.elapsed().max(*slowest);
}

/// Makes a key, uses it, deletes it, and uses it again. What is said to be unavailable may have happened.
fn live_and_die(server: &Server, admin: &Key, tally: &Tally) {
    let made = server.post("/v1/api-keys", admin, &json!({ "name": "short-lived" }));
    if made.status != 201 {
        assert_eq!(made.status, 503, "{}", made.text);
        return;
    }
    let key = Key::of(&made.json());
    tally.note(&server.get("/v1/whoami", &key), true);
    let path = format!("/v1/api-keys/{}", key.id);
    let deleted = server.ask(Method::DELETE, &path, Some(&admin.text), None);
    if deleted.status != 204 {
        assert_eq!(deleted.status, 503, "{}", deleted.text);
        return;
    }
    tally.note(&server.get("/v1/whoami", &key), false);
}

/// Waits until the server has told of so many more.
pub fn until_more(of: impl Fn() -> u64, more: u64) {
    let until = of() + more;
    eventually("the load goes on", || (of() >= until).then_some(()));
}
