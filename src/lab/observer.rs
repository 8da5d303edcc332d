//! The observer: a client of the demo's own at East, who writes down what East shows, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::{Client, Error, Event};
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
    thread: JoinHandle<Result<Observed, Error>>,
}

impl Observer {
    /// Joins the server on this port and begins to look.
    pub(super) fn start(port: u16) -> Result<Self, String> {
        let mut client = scenario::client(port).map_err(|error| error.to_string())?;
        client.join("observer").map_err(|error| error.to_string())?;
        let finish = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&finish);
        let thread = thread::spawn(move || observe(&mut client, &told));
        Ok(Self { finish, thread })
    }

    /// Lets it end once `z` has been pushed; gives what it saw. Blocks until then, at most 10 s.
    pub(super) fn finish(self) -> Result<Observed, String> {
        self.finish.store(true, Ordering::SeqCst);
        let observed = self.thread.join().map_err(|_| "the observer panicked".to_owned())?;
        observed.map_err(|error| format!("the observer at East: {error}"))
    }
}

fn observe(client: &mut Client, finish: &AtomicBool) -> Result<Observed, Error> {
    let mut observed = Observed::default();
    let mut deadline = None;
    loop {
        // In this order: whoever sees z first and then no y has seen the effect without the cause.
        let z = client.request(&["GET", "z"])?;
        let y = client.request(&["GET", "y"])?;
        match (z, y) {
            (Reply::Null, Reply::Null) => observed.neither += 1,
            (_, Reply::Null) => observed.violations += 1,
            _ => {}
        }
        let mut events: Vec<Event> = client.earlier_events().collect();
        while let Some(event) = client.next_event(PAUSE)? {
            events.push(event);
        }
        observed.pushed.extend(events.into_iter().filter_map(|event| match event {
            Event::Push { key, .. } => Some(key),
            Event::Moved(_) => None,
        }));
        if finish.load(Ordering::SeqCst) {
            let until = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
            if observed.pushed.iter().any(|key| key == "z") || Instant::now() >= until {
                return Ok(observed);
            }
        }
    }
}
