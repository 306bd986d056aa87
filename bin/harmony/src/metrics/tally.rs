//! What one worker counts: nobody else writes here, so that counting takes no cache line away from another processor.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use harmony_actix::{Answered, Authentication};

/// The upper ends of the duration histogram, in seconds: from a remembered key's answer to a client's patience.
pub const DURATIONS_SECS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The counts of one worker since it began.
#[derive(Default)]
pub struct Tally {
    allowed: Count,
    refused: Count,
    accepted: Count,
    exposed: Count,
    rest: Mutex<Rest>,
}

#[derive(Default)]
struct Rest {
    /// Authentications that failed, by outcome.
    failed: BTreeMap<&'static str, u64>,
    /// By method, then by route: found without copying the route's text.
    answers: BTreeMap<&'static str, HashMap<String, Answers>>,
}

/// A count with one writer: it needs no atomic addition.
#[derive(Default)]
struct Count(AtomicU64);

impl Count {
    fn add_one(&self) {
        self.0.store(self.get() + 1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The answers of one route to one method.
#[derive(Default, Clone)]
pub struct Answers {
    /// By status; there are few.
    pub statuses: Vec<(u16, u64)>,
    /// By the first of [`DURATIONS_SECS`] that is not below the duration; the last is beyond all of them.
    pub durations: [u64; DURATIONS_SECS.len() + 1],
    /// All durations together, in seconds.
    pub total_secs: f64,
}

impl Answers {
    fn note(&mut self, status: u16, duration: Duration) {
        self.add_status(status, 1);
        let secs = duration.as_secs_f64();
        let place = DURATIONS_SECS.partition_point(|end| *end < secs);
        if let Some(count) = self.durations.get_mut(place) {
            *count += 1;
        }
        self.total_secs += secs;
    }

    fn add_status(&mut self, status: u16, answers: u64) {
        match self.statuses.iter_mut().find(|(known, _)| *known == status) {
            Some((_, count)) => *count += answers,
            None => self.statuses.push((status, answers)),
        }
    }

    fn add(&mut self, other: &Self) {
        other.statuses.iter().for_each(|&(status, answers)| self.add_status(status, answers));
        self.durations.iter_mut().zip(other.durations).for_each(|(count, more)| *count += more);
        self.total_secs += other.total_secs;
    }
}

impl Tally {
    pub fn answered(&self, answered: &Answered<'_>, route: &str) {
        let (method, status) = (answered.known_method(), answered.status().as_u16());
        let mut rest = self.rest();
        let routes = rest.answers.entry(method).or_default();
        match routes.get_mut(route) {
            Some(answers) => answers.note(status, answered.duration()),
            None => routes.entry(route.to_owned()).or_default().note(status, answered.duration()),
        }
    }

    pub fn decided(&self, allowed: bool) {
        if allowed { &self.allowed } else { &self.refused }.add_one();
    }

    pub fn authenticated(&self, authentication: Authentication) {
        let outcome = match authentication {
            Authentication::Accepted => return self.accepted.add_one(),
            Authentication::Refused(code) => code.as_str(),
            Authentication::Unavailable => "unavailable",
        };
        *self.rest().failed.entry(outcome).or_default() += 1;
    }

    pub fn exposed(&self) {
        self.exposed.add_one();
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What all workers counted together.
#[derive(Default)]
pub struct Total {
    pub decisions: BTreeMap<&'static str, u64>,
    pub authentications: BTreeMap<&'static str, u64>,
    pub exposed: u64,
    /// By method and route.
    pub answers: BTreeMap<(&'static str, String), Answers>,
}

impl Total {
    pub fn add(&mut self, tally: &Tally) {
        let rest = tally.rest();
        let decisions = [("allowed", &tally.allowed), ("refused", &tally.refused)];
        decisions.into_iter().for_each(|(what, count)| {
            *self.decisions.entry(what).or_default() += count.get();
        });
        *self.authentications.entry("accepted").or_default() += tally.accepted.get();
        rest.failed.iter().for_each(|(outcome, count)| {
            *self.authentications.entry(outcome).or_default() += count;
        });
        self.exposed += tally.exposed.get();
        for (method, routes) in &rest.answers {
            for (route, answers) in routes {
                self.answers.entry((method, route.clone())).or_default().add(answers);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it() {
        let mut answers = Answers::default();
        for micros in [0, 500, 501, 10_000_000, 10_000_001] {
            answers.note(200, Duration::from_micros(micros));
        }
        assert_eq!(answers.durations, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert!((answers.total_secs - 20.001_002).abs() < 1e-9);
    }

    #[test]
    fn answers_of_several_workers_add_up_by_status() {
        let mut answers = Answers::default();
        let mut other = Answers::default();
        [200, 404].into_iter().for_each(|status| answers.note(status, Duration::from_millis(1)));
        [404, 500].into_iter().for_each(|status| other.note(status, Duration::from_millis(1)));
        answers.add(&other);
        assert_eq!(answers.statuses, [(200, 1), (404, 2), (500, 1)]);
        assert_eq!(answers.durations.iter().sum::<u64>(), 4);
    }
}
