//! How keys are used: when and from where last, and how many requests by hour and day, without a write for each request.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use harmony_access::{ApiKeyId, Principal, Timestamp};
use harmony_store::{
    api_keys::{self, LastUse},
    usage::{self, Counted, DAYS_KEPT, Grain, Outcome},
};
use parking_lot::Mutex;

use crate::{Error, Occasion, Workspace, api_keys::reading_reach};

/// The most keys whose use a [`Notebook`] keeps between two flushes; the uses of further ones are noted at the next.
pub const MAX_PENDING: usize = 200_000;
/// The keys of one flush's transaction: other writers get in between.
const BATCH: usize = 250;
/// How many hours a key's use shows.
const HOURS_SHOWN: u64 = 48;

/// What was noted since the last flush: memory only, lost in a crash, at most one flush interval behind.
#[derive(Default)]
pub struct Uses {
    notebooks: Mutex<Vec<Arc<Notebook>>>,
    /// What could not be written.
    unwritten: Mutex<Noted>,
}

/// Where one thread notes, so that no two write to the same memory at each request.
#[derive(Default)]
pub struct Notebook {
    pending: Mutex<Noted>,
}

type Noted = HashMap<ApiKeyId, Use>;

/// The use of one key.
#[derive(Clone)]
struct Use {
    /// The last request that the key was accepted for.
    last: Option<(Timestamp, IpAddr)>,
    /// Requests by hour and outcome; there are few of both between two flushes.
    counts: Vec<(Timestamp, Outcome, u64)>,
}

impl Use {
    fn count(&mut self, hour: Timestamp, outcome: Outcome, requests: u64) {
        match self.counts.iter_mut().find(|(at, how, _)| (*at, *how) == (hour, outcome)) {
            Some((_, _, count)) => *count += requests,
            None => self.counts.push((hour, outcome, requests)),
        }
    }

    fn counted(&self, key: ApiKeyId) -> impl Iterator<Item = Counted> {
        let counts = self.counts.iter();
        counts.map(move |&(hour, outcome, requests)| Counted { key, hour, outcome, requests })
    }

    /// Takes in what was noted elsewhere.
    fn absorb(&mut self, other: Self) {
        self.last = [self.last, other.last].into_iter().flatten().max_by_key(|(at, _)| *at);
        other.counts.into_iter().for_each(|(hour, outcome, requests)| self.count(hour, outcome, requests));
    }
}

impl Notebook {
    /// Notes a request with a key. Only one that the key was accepted for counts as its last use.
    pub fn note(&self, key: ApiKeyId, at: Timestamp, from: IpAddr, status: u16) {
        let outcome = Outcome::of_status(status);
        let accepted = !matches!(outcome, Outcome::Unauthorized | Outcome::TooManyRequests);
        let mut pending = self.pending.lock();
        let full = pending.len() >= MAX_PENDING;
        let noted = match pending.entry(key) {
            Entry::Occupied(noted) => noted.into_mut(),
            Entry::Vacant(_) if full => return,
            Entry::Vacant(room) => room.insert(Use { last: None, counts: Vec::new() }),
        };
        if accepted {
            noted.last = Some((at, from));
        }
        noted.count(Grain::Hour.start(at), outcome, 1);
    }
}

impl Uses {
    /// Where a new thread notes.
    pub fn notebook(&self) -> Arc<Notebook> {
        let notebook = Arc::new(Notebook::default());
        self.notebooks.lock().push(Arc::clone(&notebook));
        notebook
    }

    /// Writes what was noted. What could not be written is kept for the next time.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    pub fn flush(&self, workspace: &Workspace) -> Result<(), Error> {
        let mut noted: Vec<(ApiKeyId, Use)> = self.take().into_iter().collect();
        while !noted.is_empty() {
            let batch = noted.split_off(noted.len().saturating_sub(BATCH));
            if let Err(error) = write(workspace, &batch) {
                gather(&mut self.unwritten.lock(), noted.into_iter().chain(batch));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Everything that was noted. What is kept because it cannot be written stays within [`MAX_PENDING`] keys as well.
    fn take(&self) -> Noted {
        let mut noted = std::mem::take(&mut *self.unwritten.lock());
        for notebook in self.notebooks.lock().iter() {
            let page = std::mem::take(&mut *notebook.pending.lock());
            gather(&mut noted, page.into_iter());
        }
        noted
    }
}

/// Adds one to the other, but for keys that there is no room for.
fn gather(noted: &mut Noted, more: impl Iterator<Item = (ApiKeyId, Use)>) {
    for (key, other) in more {
        let full = noted.len() >= MAX_PENDING;
        match noted.entry(key) {
            Entry::Occupied(mut known) => known.get_mut().absorb(other),
            Entry::Vacant(room) if !full => drop(room.insert(other)),
            Entry::Vacant(_) => {}
        }
    }
}

fn write(workspace: &Workspace, batch: &[(ApiKeyId, Use)]) -> Result<(), Error> {
    let keys: Vec<ApiKeyId> = batch.iter().map(|(key, _)| *key).collect();
    workspace.write(|tx| {
        let kept = api_keys::keep(tx, &keys)?;
        let kept = || batch.iter().filter(|(key, _)| kept.contains(key));
        let last: Vec<_> = kept()
            .filter_map(|(key, noted)| noted.last.map(|(at, ip)| (*key, LastUse { at, ip: ip.to_string() })))
            .collect();
        let counted: Vec<_> = kept().flat_map(|(key, noted)| noted.counted(*key)).collect();
        api_keys::note_uses(tx, &last)?;
        Ok(usage::add(tx, &counted)?)
    })
}

/// Forgets what is older than it is kept: call it now and then.
///
/// # Errors
///
/// When the store cannot be asked.
pub fn prune(workspace: &Workspace, now: Timestamp) -> Result<(), Error> {
    workspace.write(|tx| Ok(usage::prune(tx, now)?))
}

/// Requests in one hour or on one day, by [`Outcome`] in the order of [`Outcome::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// When it began.
    pub start: Timestamp,
    /// How many requests, by outcome.
    pub requests: [u64; 6],
}

impl Bucket {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.requests.iter().sum()
    }
}

/// How a key was used, without gaps: hours and days without a request are there with zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The last 48 hours, the one that has begun included.
    pub hours: Vec<Bucket>,
    /// The last 90 days, today included.
    pub days: Vec<Bucket>,
}

impl Usage {
    /// Requests in the last 24 hours, the one that has begun included.
    #[must_use]
    pub fn last_day(&self) -> u64 {
        self.hours.iter().rev().take(24).map(Bucket::total).sum()
    }
}

/// How a key was used.
///
/// # Errors
///
/// Without `api-keys:read:team`; when there is no such key within the actor's reach.
pub fn of_key(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: ApiKeyId,
) -> Result<Usage, Error> {
    let reach = reading_reach(actor)?;
    let days = DAYS_KEPT.as_secs() / 86_400 - 1;
    workspace.read(|tx| {
        api_keys::find(tx, &reach, id)?.ok_or(Error::NotFound)?;
        let mut series = |grain: Grain, count: u64| -> Result<Vec<Bucket>, Error> {
            let width = Duration::from_secs(grain.secs().unsigned_abs());
            let last = grain.start(occasion.now);
            let first = last.minus(width * u32::try_from(count - 1).unwrap_or(0));
            let rows = usage::of_key(tx, id, grain, first)?;
            let starts = (0..u32::try_from(count).unwrap_or(0)).map(|number| first.plus(width * number));
            Ok(starts.map(|start| bucket(start, &rows)).collect())
        };
        Ok(Usage { hours: series(Grain::Hour, HOURS_SHOWN)?, days: series(Grain::Day, days)? })
    })
}

fn bucket(start: Timestamp, rows: &[(Timestamp, Outcome, u64)]) -> Bucket {
    let of = |wanted: Outcome| {
        let counts = rows.iter().filter(|(at, outcome, _)| *at == start && *outcome == wanted);
        counts.map(|(_, _, requests)| requests).sum()
    };
    Bucket { start, requests: Outcome::ALL.map(of) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + hour * 3_600_000)
    }

    fn key(number: u32) -> ApiKeyId {
        ApiKeyId::new(Timestamp::from_millis(number.into()), [0; 10])
    }

    #[test]
    fn what_is_kept_between_two_flushes_is_bounded_and_known_keys_go_on() {
        let uses = Notebook::default();
        let most = u32::try_from(MAX_PENDING).unwrap();
        (0..most + 5).for_each(|number| uses.note(key(number), at(0), CLIENT, 200));
        uses.note(key(0), at(1), CLIENT, 200);
        let pending = uses.pending.lock();
        assert_eq!(pending.len(), MAX_PENDING);
        assert_eq!(pending[&key(0)].counts.len(), 2);
    }

    #[test]
    fn only_an_accepted_request_is_a_last_use_and_every_request_counts() {
        let uses = Notebook::default();
        for status in [401, 429] {
            uses.note(key(1), at(0), CLIENT, status);
        }
        assert_eq!(uses.pending.lock()[&key(1)].last, None);
        for status in [204, 404, 403, 503] {
            uses.note(key(1), at(0), CLIENT, status);
        }
        let pending = uses.pending.lock();
        assert_eq!(pending[&key(1)].last, Some((at(0), CLIENT)));
        let outcomes: Vec<_> =
            pending[&key(1)].counts.iter().map(|(_, outcome, _)| outcome.as_str()).collect();
        assert_eq!(outcomes, ["401", "429", "2xx", "4xx", "403", "5xx"]);
    }

    #[test]
    fn what_several_threads_noted_and_what_could_not_be_written_add_up() {
        let uses = Uses::default();
        let (one, two) = (uses.notebook(), uses.notebook());
        two.note(key(1), at(1), CLIENT, 200);
        one.note(key(1), at(0), CLIENT, 200);
        let unwritten = uses.take();
        assert_eq!(unwritten[&key(1)].last, Some((at(1), CLIENT)));
        gather(&mut uses.unwritten.lock(), unwritten.into_iter());
        one.note(key(1), at(0), CLIENT, 200);
        let all = uses.take();
        assert_eq!(all[&key(1)].counts, [(at(0), Outcome::Success, 2), (at(1), Outcome::Success, 1)]);
        assert_eq!(all[&key(1)].last, Some((at(1), CLIENT)));
        assert!(uses.take().is_empty());
    }

    #[test]
    fn what_waits_to_be_written_is_bounded() {
        let (uses, most) = (Uses::default(), u32::try_from(MAX_PENDING).unwrap());
        for notebook in [uses.notebook(), uses.notebook()] {
            (0..most / 2 + 5).for_each(|number| notebook.note(key(number), at(0), CLIENT, 200));
        }
        uses.notebook().note(key(most), at(0), CLIENT, 200);
        assert_eq!(uses.take().len(), MAX_PENDING / 2 + 6);
        for notebook in [uses.notebook(), uses.notebook()] {
            (0..most).for_each(|number| notebook.note(key(number), at(0), CLIENT, 200));
        }
        uses.notebook().note(key(most), at(0), CLIENT, 200);
        assert_eq!(uses.take().len(), MAX_PENDING);
    }
}
