//! The log on standard error, written by a thread of its own: no request waits for whoever reads it, and many lines are
//! one write.

use std::{
    env::VarError,
    io::{self, IsTerminal, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use tracing_subscriber::EnvFilter;

use crate::{access_log::AccessLog, failure::Failure, settings::LogFormat};

/// What is logged unless `HARMONY_LOG` says otherwise. actix's server tells of each worker that ends, and its dispatcher has an
/// error to tell of each request that is no HTTP: strangers could fill the disk with those.
const DEFAULT_LOG: &str = "info,actix_server=warn,actix_http::h1::dispatcher=off";
/// How long a line may wait for others to be written with it.
const GATHER: Duration = Duration::from_millis(5);
/// With this many bytes unwritten, whoever logs waits: no line is dropped, and memory is bounded.
const FULL_BYTES: usize = 1 << 20;

/// What `HARMONY_LOG` lets through.
pub fn filter() -> Result<EnvFilter, Failure> {
    let said = match std::env::var("HARMONY_LOG") {
        Ok(said) => said,
        Err(VarError::NotPresent) => DEFAULT_LOG.to_owned(),
        Err(VarError::NotUnicode(_)) => return Err(Failure::usage("HARMONY_LOG: it is not UTF-8")),
    };
    EnvFilter::builder().parse(&said).map_err(|error| {
        Failure::usage(format!(
            "HARMONY_LOG: `{said}` is no filter ({error}); it may be a level, such as info, or levels of targets, such as \
             harmony=debug,warn"
        ))
    })
}

/// Writes all lines that are left when it is dropped.
pub struct Log {
    lines: Arc<Lines>,
    thread: Option<JoinHandle<()>>,
}

impl Log {
    /// From now on everything that is traced goes to standard error.
    pub fn start(format: LogFormat) -> Result<Self, Failure> {
        let log = Self::to(io::stderr())?;
        let filter = filter()?;
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(Arc::clone(&log.lines))
            .with_ansi(io::stderr().is_terminal());
        let _ = match format {
            LogFormat::Text => subscriber.try_init(),
            LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
        };
        Ok(log)
    }

    /// The lines of the requests, beside those that are traced.
    pub fn access(&self, format: LogFormat) -> AccessLog {
        AccessLog::new(Arc::clone(&self.lines), format)
    }

    fn to(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let lines = Arc::new(Lines::default());
        let kept = Arc::clone(&lines);
        let write = move || kept.write_to(&mut out);
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(write)?;
        Ok(Self { lines, thread: Some(thread) })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.state().ended = true;
        self.lines.arrived.notify_one();
        self.lines.taken.notify_all();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The lines that are not written yet.
#[derive(Default)]
pub struct Lines {
    state: Mutex<State>,
    arrived: Condvar,
    taken: Condvar,
}

#[derive(Default)]
struct State {
    unwritten: Vec<u8>,
    ended: bool,
}

impl Lines {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, out: &mut impl Write) {
        let mut lines = Vec::new();
        while self.take(&mut lines) {
            // There is nobody left to tell.
            let _ = out.write_all(&lines).and_then(|()| out.flush());
            lines.clear();
        }
    }

    /// Waits for lines and takes them; `false` when there will be no more.
    fn take(&self, lines: &mut Vec<u8>) -> bool {
        let quiet = |state: &mut State| state.unwritten.is_empty() && !state.ended;
        let state = self.arrived.wait_while(self.state(), quiet).unwrap_or_else(PoisonError::into_inner);
        let gathered = self.arrived.wait_timeout_while(state, GATHER, |state| !state.ended);
        let (mut state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.unwritten, lines);
        self.taken.notify_all();
        !lines.is_empty()
    }
}

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let full = |state: &mut State| state.unwritten.len() >= FULL_BYTES && !state.ended;
        let mut state = self.taken.wait_while(self.state(), full).unwrap_or_else(PoisonError::into_inner);
        if state.ended {
            drop(state);
            return io::stderr().write(line);
        }
        if state.unwritten.is_empty() {
            self.arrived.notify_one();
        }
        state.unwritten.extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    struct Sent(Sender<Vec<u8>>);

    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn all(received: &Receiver<Vec<u8>>) -> Vec<u8> {
        received.iter().flatten().collect()
    }

    #[test]
    fn every_line_is_written_in_order_and_the_last_when_the_log_ends() {
        let (sender, received) = channel();
        let log = Log::to(Sent(sender)).unwrap();
        let line = |number: u32| format!("line {number}, {}\n", "x".repeat(1_000));
        for number in 0..5_000 {
            (&*log.lines).write_all(line(number).as_bytes()).unwrap();
        }
        drop(log);
        assert_eq!(all(&received), (0..5_000).map(line).collect::<String>().into_bytes());
    }

    #[test]
    fn a_line_is_written_without_another_one_after_it() {
        let (sender, received) = channel();
        let log = Log::to(Sent(sender)).unwrap();
        for line in ["one\n", "two\n"] {
            (&*log.lines).write_all(line.as_bytes()).unwrap();
            assert_eq!(received.recv_timeout(Duration::from_secs(30)).unwrap(), line.as_bytes());
        }
    }
}
