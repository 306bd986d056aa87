//! How often passwords may be tried. An attempt is counted before the password is looked at, and forgiven when it was right.
//!
//! Three counts slow an attempt down: of this account from this client, of this client whatever the account, and of this
//! account whatever the client. The last does not count against a client from which the account has signed in before, so
//! that nobody who knows an address can keep its owner out; and no wait is longer than [`LONGEST_WAIT`]. Where an account has
//! signed in is in the store as well, which is asked when it is only the last count that stands in the way.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use harmony_access::Timestamp;
use harmony_key::Fingerprint;
use harmony_workspace::network::Network;

/// Attempts that cost no wait: of an account from one client, of a client, of an account.
const FREE: [u32; 3] = [10, 50, 200];
/// After so long without an attempt, a count begins anew.
const FORGET_AFTER: Duration = Duration::from_secs(15 * 60);
/// The longest wait after an attempt too many; each further one doubles it, from one second.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// The most counts that are kept; beyond, the smallest gives way.
const MAX_COUNTS: usize = 20_000;
/// The most pairs of account and client that are remembered for having signed in.
const MAX_KNOWN: usize = 20_000;

/// The counts of this process.
#[derive(Default)]
pub(crate) struct Throttle {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    counts: HashMap<[u8; 32], Count>,
    known: HashSet<[u8; 32]>,
}

#[derive(Clone, Copy)]
struct Count {
    attempts: u32,
    last: Timestamp,
}

/// Who tries to sign in as whom.
pub(crate) struct Attempt {
    pair: [u8; 32],
    client: [u8; 32],
    account: [u8; 32],
}

impl Attempt {
    pub(crate) fn new(email: &str, client: Option<IpAddr>) -> Self {
        let (email, network) = (email.trim().to_lowercase(), network(client));
        let of = |parts: &[&[u8]]| *Fingerprint::of(parts).as_bytes();
        Self {
            pair: of(&[b"pair", email.as_bytes(), network.as_bytes()]),
            client: of(&[b"client", network.as_bytes()]),
            account: of(&[b"account", email.as_bytes()]),
        }
    }
}

/// One client is one network.
fn network(client: Option<IpAddr>) -> String {
    client.map(|address| Network::of(address).to_string()).unwrap_or_default()
}

/// Why an attempt is not made yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooEarly {
    /// So many seconds are to be waited.
    pub(crate) secs: u64,
    /// Only for what all clients together have tried at the account: it is no wait for one that it is known from.
    pub(crate) for_strangers: bool,
}

impl Throttle {
    /// Counts the attempt, unless it comes too early: then it is not made.
    pub(crate) fn begin(&self, attempt: &Attempt, now: Timestamp) -> Result<(), TooEarly> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let [of_pair, of_client, of_account] = FREE;
        let own = state.wait(&attempt.pair, of_pair, now).max(state.wait(&attempt.client, of_client, now));
        let account = state.wait(&attempt.account, of_account, now);
        let wait = if state.known.contains(&attempt.pair) { own } else { own.max(account) };
        if !wait.is_zero() {
            return Err(TooEarly { secs: wait.as_secs().max(1), for_strangers: own.is_zero() });
        }
        [attempt.pair, attempt.client, attempt.account].into_iter().for_each(|key| state.count(key, now));
        Ok(())
    }

    /// The account has signed in from this client before.
    pub(crate) fn know(&self, attempt: &Attempt) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.know(attempt.pair);
    }

    /// The password was right.
    pub(crate) fn succeeded(&self, attempt: &Attempt) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.counts.remove(&attempt.pair);
        for key in [attempt.client, attempt.account] {
            if let Some(count) = state.counts.get_mut(&key) {
                count.attempts = count.attempts.saturating_sub(1);
            }
        }
        state.know(attempt.pair);
    }
}

impl State {
    /// Which pairs are forgotten is known from the store again.
    fn know(&mut self, pair: [u8; 32]) {
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(pair);
    }

    fn wait(&self, key: &[u8; 32], free: u32, now: Timestamp) -> Duration {
        let Some(count) = self.counts.get(key).filter(|count| count.last.plus(FORGET_AFTER) > now) else {
            return Duration::ZERO;
        };
        let Some(over) = count.attempts.checked_sub(free) else { return Duration::ZERO };
        let wait = Duration::from_secs(1 << over.min(10)).min(LONGEST_WAIT);
        let ends = count.last.plus(wait).as_millis().saturating_sub(now.as_millis());
        Duration::from_millis(u64::try_from(ends).unwrap_or(0)).min(wait)
    }

    fn count(&mut self, key: [u8; 32], now: Timestamp) {
        if !self.counts.contains_key(&key) && self.counts.len() >= MAX_COUNTS {
            self.make_room(now);
        }
        let count = self.counts.entry(key).or_insert(Count { attempts: 0, last: now });
        if count.last.plus(FORGET_AFTER) <= now {
            count.attempts = 0;
        }
        *count = Count { attempts: count.attempts.saturating_add(1), last: now };
    }

    fn make_room(&mut self, now: Timestamp) {
        self.counts.retain(|_, count| count.last.plus(FORGET_AFTER) > now);
        if self.counts.len() >= MAX_COUNTS {
            let smallest = self.counts.iter().min_by_key(|(_, count)| (count.attempts, count.last));
            if let Some(key) = smallest.map(|(key, _)| *key) {
                self.counts.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + secs * 1_000)
    }

    fn from(email: &str, last: u8) -> Attempt {
        Attempt::new(email, Some(IpAddr::from([192, 0, 2, last])))
    }

    fn secs(begun: Result<(), TooEarly>) -> u64 {
        begun.unwrap_err().secs
    }

    #[test]
    fn ten_attempts_are_free_and_the_waits_double_to_a_quarter_of_an_hour() {
        let (throttle, ann) = (Throttle::default(), from("ann@example.com", 1));
        for _ in 0..10 {
            assert_eq!(throttle.begin(&ann, at(0)), Ok(()));
        }
        assert_eq!(secs(throttle.begin(&ann, at(0))), 1);
        assert_eq!(throttle.begin(&ann, at(1)), Ok(()));
        assert_eq!(secs(throttle.begin(&ann, at(1))), 2);
        let mut now = 1;
        for _ in 0..20 {
            now += LONGEST_WAIT.as_secs() as i64 - 1;
            let _ = throttle.begin(&ann, at(now));
        }
        assert!((1..=LONGEST_WAIT.as_secs()).contains(&secs(throttle.begin(&ann, at(now)))));
        assert_eq!(throttle.begin(&ann, at(now + 900)), Ok(()));
    }

    #[test]
    fn another_client_and_another_account_are_not_slowed_down() {
        let throttle = Throttle::default();
        (0..10).for_each(|_| throttle.begin(&from("ann@example.com", 1), at(0)).unwrap());
        assert_eq!(secs(throttle.begin(&from("ANN@example.com ", 1), at(0))), 1);
        assert_eq!(throttle.begin(&from("ann@example.com", 2), at(0)), Ok(()));
        assert_eq!(throttle.begin(&from("bob@example.com", 1), at(0)), Ok(()));
    }

    #[test]
    fn strangers_cannot_keep_a_person_out_who_has_signed_in_from_there_before() {
        let (throttle, ann) = (Throttle::default(), from("ann@example.com", 1));
        throttle.begin(&ann, at(0)).unwrap();
        throttle.succeeded(&ann);
        for client in 2..=201 {
            let _ = throttle.begin(&from("ann@example.com", client), at(0));
        }
        assert_eq!(secs(throttle.begin(&from("ann@example.com", 250), at(0))), 1);
        assert_eq!(throttle.begin(&ann, at(0)), Ok(()));
    }

    #[test]
    fn a_client_that_an_account_is_known_from_waits_for_its_own_attempts_only() {
        let (throttle, ann) = (Throttle::default(), from("ann@example.com", 1));
        for client in 2..=201 {
            let _ = throttle.begin(&from("ann@example.com", client), at(0));
        }
        assert_eq!(throttle.begin(&ann, at(0)), Err(TooEarly { secs: 1, for_strangers: true }));
        throttle.know(&ann);
        (0..10).for_each(|_| throttle.begin(&ann, at(0)).unwrap());
        assert_eq!(throttle.begin(&ann, at(0)), Err(TooEarly { secs: 1, for_strangers: false }));
        assert!(throttle.begin(&from("ann@example.com", 250), at(0)).unwrap_err().for_strangers);
    }

    #[test]
    fn a_right_password_is_no_attempt_against_anybody() {
        let (throttle, ann) = (Throttle::default(), from("ann@example.com", 1));
        for _ in 0..1_000 {
            throttle.begin(&ann, at(0)).unwrap();
            throttle.succeeded(&ann);
        }
    }

    #[test]
    fn the_memory_is_bounded_and_a_flood_does_not_free_the_one_who_tries_most() {
        let (throttle, ann) = (Throttle::default(), from("ann@example.com", 1));
        (0..10).for_each(|_| throttle.begin(&ann, at(0)).unwrap());
        for number in 0..7_000_u32 {
            let client = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
            let _ = throttle.begin(&Attempt::new(&number.to_string(), Some(client)), at(0));
        }
        assert!(throttle.state.lock().unwrap().counts.len() <= MAX_COUNTS);
        assert_eq!(secs(throttle.begin(&ann, at(0))), 1);
    }

    #[test]
    fn an_ipv6_client_is_its_first_64_bits_and_no_ipv4_client() {
        let of = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
