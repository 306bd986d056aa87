//! Hearing of revocations as the database tells of them. A thread of its own: the lease never waits for this connection.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{Builder, JoinHandle},
    time::Duration,
};

use harmony_store::{Listener, Store, StoreError};

/// How often it is looked whether something was told.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long after a connection was refused or lost another one is tried.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The thread that listens.
pub struct Listening {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

struct Ear<W> {
    store: Store,
    /// Whether the database can be relied upon to tell.
    hears: Arc<AtomicBool>,
    wake: W,
    stopped: Receiver<()>,
}

impl Listening {
    /// Calls `wake` whenever there may be something new. On SQLite, which tells nobody, it ends at once.
    pub fn start(store: Store, hears: Arc<AtomicBool>, wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let ear = Ear { store, hears, wake, stopped };
        let thread = Builder::new().name("listen".to_owned()).spawn(move || ear.run())?;
        Ok(Self { stop, thread })
    }

    pub fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

impl<W: Fn()> Ear<W> {
    fn run(self) {
        let mut troubled = false;
        loop {
            let lost = match self.store.listen() {
                Ok(None) => return,
                Ok(Some(listener)) => {
                    troubled = false;
                    match self.hear(listener) {
                        Ok(()) => return,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            if !std::mem::replace(&mut troubled, true) {
                tracing::warn!(error = %lost, "the database cannot tell of revocations; it is asked instead");
            }
            if self.is_stopped_within(AGAIN_AFTER) {
                return;
            }
        }
    }

    /// Until it is stopped, or the connection is lost.
    fn hear(&self, mut listener: Listener) -> Result<(), StoreError> {
        self.may_rely(true);
        let ended = loop {
            match listener.heard() {
                Ok(true) => (self.wake)(),
                Ok(false) if self.is_stopped_within(LOOK_EVERY) => break Ok(()),
                Ok(false) => {}
                Err(error) => break Err(error),
            }
        };
        self.may_rely(false);
        ended
    }

    /// What was told before, or is told to nobody now, is looked for.
    fn may_rely(&self, hears: bool) {
        self.hears.store(hears, Ordering::SeqCst);
        (self.wake)();
    }

    fn is_stopped_within(&self, span: Duration) -> bool {
        !matches!(self.stopped.recv_timeout(span), Err(RecvTimeoutError::Timeout))
    }
}
