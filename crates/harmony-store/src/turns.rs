//! Turns at the store: how many ask it at once from an async program, and how long the others wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::StoreError;

/// How many may wait for their turn. Whoever comes when it is full would hardly be served in time.
const WAITING_MAX: usize = 4_096;

/// Lets so many at once onto the blocking threads of the tokio runtime that they are called in, whose own queue has no end
/// and no clock. The runtime needs its timer. Clones share one count.
#[derive(Clone)]
pub struct Turns {
    /// Those under way and those who wait.
    places: Arc<Semaphore>,
    under_way: Arc<Semaphore>,
    wait: Duration,
    answer_within: Duration,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    begun: AtomicU64,
    refused: AtomicU64,
}

/// What [`Turns`] have counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnCounts {
    /// Those who had their turn.
    pub begun: u64,
    /// Those who had none, because too many were there or it did not come in time.
    pub refused: u64,
}

impl Turns {
    /// So many at once; the others wait for `wait` at most.
    #[must_use]
    pub fn new(at_once: usize, wait: Duration) -> Self {
        let at_once = at_once.clamp(1, Semaphore::MAX_PERMITS - WAITING_MAX);
        Self {
            places: Arc::new(Semaphore::new(at_once + WAITING_MAX)),
            under_way: Arc::new(Semaphore::new(at_once)),
            wait,
            answer_within: Duration::MAX,
            counts: Arc::default(),
        }
    }

    /// Answers after `within` at the latest, whether or not the work has ended. It keeps its turn until it ends, and what it
    /// changes then is changed.
    #[must_use]
    pub fn answering_within(self, within: Duration) -> Self {
        Self { answer_within: within, ..self }
    }

    /// Runs `work` on a blocking thread, when it is its turn. It ends there even when nobody waits for it any more.
    ///
    /// # Errors
    ///
    /// Those of `work`, and [`StoreError::Unavailable`] when the turn does not come in time, when the work does not end in
    /// time, and when it panics.
    pub async fn run<T, E>(&self, work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let Some(turn) = self.turn().await else {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return Err(unavailable("too many are asking"));
        };
        self.counts.begun.fetch_add(1, Ordering::Relaxed);
        let working = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        match tokio::time::timeout(self.answer_within, working).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(unavailable("the work panicked")),
            Err(_) => Err(unavailable("it takes too long to answer")),
        }
    }

    async fn turn(&self) -> Option<[OwnedSemaphorePermit; 2]> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let turn = match Arc::clone(&self.under_way).try_acquire_owned() {
            Ok(turn) => turn,
            Err(TryAcquireError::Closed) => return None,
            Err(TryAcquireError::NoPermits) => {
                let coming = Arc::clone(&self.under_way).acquire_owned();
                tokio::time::timeout(self.wait, coming).await.ok()?.ok()?
            }
        };
        Some([place, turn])
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> TurnCounts {
        TurnCounts {
            begun: self.counts.begun.load(Ordering::Relaxed),
            refused: self.counts.refused.load(Ordering::Relaxed),
        }
    }
}

fn unavailable<E: From<StoreError>>(why: &str) -> E {
    StoreError::Unavailable(why.to_owned()).into()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const WAIT: Duration = Duration::from_millis(20);

    /// Work that begins to run and then waits until its sender is dropped.
    fn hanging() -> (Sender<()>, impl FnOnce() -> Result<(), StoreError> + Send + 'static) {
        let (end, ended): (Sender<()>, Receiver<()>) = channel();
        (end, move || {
            let _ = ended.recv();
            Ok(())
        })
    }

    fn counts(begun: u64, refused: u64) -> TurnCounts {
        TurnCounts { begun, refused }
    }

    #[tokio::test]
    async fn who_comes_when_all_turns_are_taken_is_refused_in_time_and_served_afterwards() {
        let turns = Turns::new(2, WAIT);
        let (ends, works): (Vec<_>, Vec<_>) = [hanging(), hanging()].into_iter().unzip();
        let hung: Vec<_> = works
            .into_iter()
            .map(|work| {
                let turns = turns.clone();
                tokio::spawn(async move { turns.run(work).await })
            })
            .collect();
        while turns.counts().begun < 2 {
            tokio::task::yield_now().await;
        }
        let refused = turns.run(|| Ok::<_, StoreError>(1)).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
        assert_eq!(turns.counts(), counts(2, 1));
        drop(ends);
        for one in hung {
            assert!(matches!(one.await, Ok(Ok(()))));
        }
        assert!(matches!(turns.run(|| Ok::<_, StoreError>(1)).await, Ok(1)));
        assert_eq!(turns.counts(), counts(3, 1));
    }

    #[tokio::test]
    async fn a_turn_is_given_on_to_who_waits_for_it() {
        let turns = Turns::new(1, Duration::from_secs(20));
        let (end, work) = hanging();
        let (first, second) = tokio::join!(turns.run(work), async {
            drop(end);
            turns.run(|| Ok::<_, StoreError>(())).await
        });
        assert!(first.is_ok() && second.is_ok());
    }

    #[tokio::test]
    async fn work_that_hangs_is_answered_for_and_keeps_its_turn_until_it_ends() {
        let turns = Turns::new(1, WAIT).answering_within(WAIT);
        let (end, work) = hanging();
        assert!(matches!(turns.run(work).await, Err(StoreError::Unavailable(_))));
        assert!(turns.run(|| Ok::<_, StoreError>(())).await.is_err(), "the turn is still taken");
        drop(end);
        while turns.run(|| Ok::<_, StoreError>(())).await.is_err() {}
    }

    #[tokio::test]
    async fn who_leaves_before_the_end_takes_no_turn_along() {
        let turns = Turns::new(1, WAIT);
        let (end, work) = hanging();
        let left = tokio::time::timeout(WAIT, turns.run(work)).await;
        assert!(left.is_err());
        drop(end);
        while turns.run(|| Ok::<_, StoreError>(())).await.is_err() {}
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_turn_back() {
        let turns = Turns::new(1, WAIT);
        let panics = || -> Result<(), StoreError> { panic!("as the test wants it") };
        assert!(matches!(turns.run(panics).await, Err(StoreError::Unavailable(_))));
        assert!(turns.run(|| Ok::<_, StoreError>(())).await.is_ok());
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_refused_without_waiting() {
        let turns = Turns::new(1, Duration::MAX);
        let places = u32::try_from(WAITING_MAX + 1).unwrap();
        let taken = Arc::clone(&turns.places).try_acquire_many_owned(places).unwrap();
        assert!(turns.run(|| Ok::<_, StoreError>(())).await.is_err());
        drop(taken);
        assert!(turns.run(|| Ok::<_, StoreError>(())).await.is_ok());
    }
}
