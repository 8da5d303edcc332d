//! The observer: a client of the demo's own at East, who writes down what East shows, and when.
//!
//! It also records a history for the checker: what was pushed, and each look that found nothing.
//! (`GET` does not tell versions, and `READ` would have East print its whole store each time.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::history::{History, Operation};
use crate::client::{Client, Event};
use crate::protocol::reply::Reply;

use super::scenario;

/// Between two looks at East.
const PAUSE: Duration = Duration::from_millis(50);
/// How long it waits for the last push.
const PATIENCE: Duration = Duration::from_secs(10);

/// What East showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Observed {
    /// The keys that were pushed, in order.
    pub(super) pushed: Vec<String>,
    /// How many times `z` and then `y` were read and neither was there.
    pub(super) neither: usize,
    /// How many times `z` was there and `y`, read after it, was not.
    pub(super) violations: usize,
}

/// An observer at work, in a thread of its own.
pub(super) struct Observer {
    finish: Arc<AtomicBool>,
    thread: JoinHandle<Result<Observed, String>>,
}

impl Observer {
    /// Joins the server on this port and begins to look.
    pub(super) fn start(port: u16, history: History) -> Result<Self, String> {
        let mut client = scenario::client(port).map_err(|error| error.to_string())?;
        client.join("observer").map_err(|error| error.to_string())?;
        let finish = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&finish);
        let mut look = Look { client, history, observed: Observed::default() };
        let thread = thread::spawn(move || look.observe(&told).map(|()| look.observed));
        Ok(Self { finish, thread })
    }

    /// Lets it end once `z` has been pushed; gives what it saw. Blocks until then, at most 10 s.
    pub(super) fn finish(self) -> Result<Observed, String> {
        self.finish.store(true, Ordering::SeqCst);
        let observed = self.thread.join().map_err(|_| "the observer panicked".to_owned())?;
        observed.map_err(|error| format!("the observer at East: {error}"))
    }
}

struct Look {
    client: Client,
    history: History,
    observed: Observed,
}

impl Look {
    fn observe(&mut self, finish: &AtomicBool) -> Result<(), String> {
        let mut deadline = None;
        loop {
            // In this order: whoever sees z first and then no y has seen the effect without the
            // cause.
            match (self.shows("z")?, self.shows("y")?) {
                (false, false) => self.observed.neither += 1,
                (true, false) => self.observed.violations += 1,
                _ => {}
            }
            while let Some(event) =
                self.client.next_event(PAUSE).map_err(|error| error.to_string())?
            {
                self.note(event)?;
            }
            if finish.load(Ordering::SeqCst) {
                let until = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
                if self.observed.pushed.iter().any(|key| key == "z") || Instant::now() >= until {
                    return Ok(());
                }
            }
        }
    }

    /// Whether East has a value for this key.
    fn shows(&mut self, key: &str) -> Result<bool, String> {
        let reply = self.client.request(&["GET", key]).map_err(|error| error.to_string())?;
        // What was pushed before the reply was seen before it.
        let earlier: Vec<Event> = self.client.earlier_events().collect();
        earlier.into_iter().try_for_each(|event| self.note(event))?;
        let shows = reply != Reply::Null;
        if !shows {
            self.record(Operation::Read { key, found: None })?;
        }
        Ok(shows)
    }

    fn note(&mut self, event: Event) -> Result<(), String> {
        let Event::Push { key, value, version } = event else { return Ok(()) };
        self.record(Operation::Push { key: &key, value: value.as_deref(), version })?;
        self.observed.pushed.push(key);
        Ok(())
    }

    fn record(&mut self, operation: Operation<'_>) -> Result<(), String> {
        self.history.record(operation).map_err(|error| error.to_string())
    }
}
