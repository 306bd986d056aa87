//! What the node knows of its clients, in memory that is taken once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use harmony_limit::{Secret, TableMemory};

use crate::entry::{Entry, Standing};

const SLOTS: usize = 8;

/// Buckets of eight clients, each behind a lock of its own. Which one is a client's nobody can choose who does not know the secret.
pub(crate) struct Table {
    buckets: Box<[Mutex<Bucket>]>,
    secret: Secret,
}

#[derive(Default)]
pub(crate) struct Bucket {
    clients: [u64; SLOTS],
    entries: [Entry; SLOTS],
}

/// A client that had to make room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evicted {
    pub(crate) client: u64,
    pub(crate) entry: Entry,
}

impl Table {
    pub(crate) fn new(memory: TableMemory, parts: usize, secret: Secret) -> Self {
        let buckets = (memory.bytes() / parts / size_of::<Mutex<Bucket>>()).max(1);
        let power = 1_usize << buckets.ilog2();
        Self { buckets: (0..power).map(|_| Mutex::default()).collect(), secret }
    }

    /// How many clients there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.buckets.len() * SLOTS
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "masked to the length, a power of two")]
    pub(crate) fn bucket(&self, client: u64) -> MutexGuard<'_, Bucket> {
        let index = self.secret.permute(client) as usize & (self.buckets.len() - 1);
        self.buckets[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every client, bucket after bucket; who comes in behind it is not seen.
    pub(crate) fn each(&self, mut act: impl FnMut(u64, &mut Entry)) {
        for bucket in &self.buckets {
            let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            let Bucket { clients, entries } = &mut *bucket;
            let used = clients.iter().zip(entries).filter(|(_, entry)| !entry.is_empty());
            used.for_each(|(client, entry)| act(*client, entry));
        }
    }
}

impl Bucket {
    #[inline]
    pub(crate) fn find(&mut self, client: u64) -> Option<&mut Entry> {
        let slot = self.clients.iter().position(|one| *one == client)?;
        self.entries.get_mut(slot).filter(|entry| !entry.is_empty())
    }

    /// The client's place, an empty one if it had none. Where all are taken the least loss makes room: a window that is over, then the
    /// fewest taken; never a window of this node alone, which nobody else could tell of. `None` if there are only those.
    pub(crate) fn enter(&mut self, client: u64, now_ms: u64) -> (Option<&mut Entry>, Option<Evicted>) {
        self.enter_over(client, now_ms, true)
    }

    /// The client's place, if it has one or if there is one that nobody misses.
    pub(crate) fn enter_free(&mut self, client: u64, now_ms: u64) -> Option<&mut Entry> {
        self.enter_over(client, now_ms, false).0
    }

    fn enter_over(
        &mut self,
        client: u64,
        now_ms: u64,
        anybody: bool,
    ) -> (Option<&mut Entry>, Option<Evicted>) {
        if let Some(slot) = self.clients.iter().position(|one| *one == client)
            && self.entries.get(slot).is_some_and(|entry| !entry.is_empty())
        {
            return (self.entries.get_mut(slot), None);
        }
        let worth = |entry: &Entry| match entry {
            entry if entry.is_empty() => Some(0),
            entry if entry.is_over(now_ms) => Some(1),
            entry if entry.standing == Standing::Share || !anybody => None,
            entry => Some(2 + u64::from(entry.taken)),
        };
        let slots = self.entries.iter().enumerate();
        let least = slots.filter_map(|(slot, entry)| Some((worth(entry)?, slot))).min();
        let Some((worth, slot)) = least else { return (None, None) };
        let (Some(entry), Some(place)) = (self.entries.get_mut(slot), self.clients.get_mut(slot)) else {
            return (None, None);
        };
        let evicted = (worth > 1).then_some(Evicted { client: *place, entry: *entry });
        (*place, *entry) = (client, Entry::default());
        (Some(entry), evicted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(taken: u32, standing: Standing) -> Entry {
        Entry { end_ms: 100, late_ms: 110, taken, standing, ..Entry::default() }
    }

    #[test]
    fn a_client_is_found_again_and_its_neighbour_is_not() {
        let table = Table::new(TableMemory::default(), 1, Secret::from_bytes(&[7; 24]));
        assert!(table.capacity() > 100_000);
        assert!(table.bucket(5).find(5).is_none());
        *table.bucket(5).enter(5, 0).0.unwrap() = entry(3, Standing::Open);
        assert_eq!(table.bucket(5).find(5).map(|entry| entry.taken), Some(3));
        assert!(table.bucket(6).find(6).is_none());
        let mut seen = Vec::new();
        table.each(|client, entry| seen.push((client, entry.taken)));
        assert_eq!(seen, [(5, 3)]);
    }

    #[test]
    fn the_least_loss_makes_room_and_never_a_window_that_only_this_node_knows() {
        let mut bucket = Bucket::default();
        for client in 0..8 {
            let standing = if client < 6 { Standing::Share } else { Standing::Open };
            *bucket.enter(client, 0).0.unwrap() = entry(u32::try_from(client).unwrap(), standing);
        }
        let (place, evicted) = bucket.enter(100, 50);
        assert_eq!(evicted.map(|evicted| evicted.client), Some(6));
        *place.unwrap() = entry(9, Standing::Share);
        let (place, evicted) = bucket.enter(101, 50);
        assert_eq!(evicted.map(|evicted| evicted.client), Some(7));
        *place.unwrap() = entry(9, Standing::Share);
        assert!(bucket.enter(102, 50).0.is_none());
        assert!(bucket.enter(102, 110).1.is_none(), "what is over is no loss");
    }
}
