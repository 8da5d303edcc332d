//! How writes get from a connection to the apply thread and back: a whole pipelined run at a time.
//!
//! One message for each write would cost a wake-up for each: a quarter of the throughput. The batch
//! travels there and back by value, so its buffers are used again.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};

use parking_lot::Mutex;

use crate::core::Version;
use crate::protocol::changes::{Changes, Place, Written};

/// One write of a batch.
#[derive(Clone, Debug)]
pub(super) struct Write {
    /// Its changes, as a part of the batch's text and of its places.
    text: Range<usize>,
    places: Range<usize>,
    /// Its dependencies, as places in the batch. What earlier writes of the batch carry is left out.
    pub(super) dependencies: Range<usize>,
    /// Whether a person asked for it.
    pub(super) told: bool,
}

/// What became of a write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// Its version; `None` if there was nothing to delete.
    pub(super) version: Option<Version>,
    /// Its place in the log of what is shown; without a version, the place that the next update
    /// gets. `None`: it is not shown yet (delivery rule `total`).
    pub(super) sequence: Option<u64>,
    /// How many keys it deleted.
    pub(super) deleted: usize,
}

/// What a connection's own writes that are under way say of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own<'a> {
    Wrote(&'a str),
    Deleted,
    Nothing,
}

/// A connection's writes, in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The changes of all writes, as they will stand in their updates.
    text: String,
    /// Where keys and values stand, each among the changes of its write.
    places: Vec<Place>,
    pub(super) dependencies: Vec<Version>,
    writes: Vec<Write>,
    /// What became of the writes, one by one.
    pub(super) outcomes: Vec<Outcome>,
    /// What deletes that found nothing have shown, if no write of the batch came after them.
    pub(super) seen: Vec<Version>,
    /// For a client that joined: what is in the log from this place on will be pushed before the
    /// replies, so the writes depend on it.
    pub(super) pushes_from: Option<u64>,
    /// Who writes, for the trace; empty if there is none.
    pub(super) client: String,
    /// Why all of them were refused.
    pub(super) refused: Option<String>,
    written: Written,
}

impl Batch {
    /// Adds the changes of the next write.
    pub(super) fn add<'a>(
        &mut self,
        changes: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) {
        let changes = self.written.write(changes);
        self.text.push_str(changes.text());
        self.places.extend_from_slice(changes.places());
    }

    /// Adds the only change of the next write, as it came.
    pub(super) fn add_as_it_came(&mut self, text: &str, place: Place) {
        self.text.push_str(text);
        self.places.push(place);
    }

    /// Ends a write: it has what was [added](Self::add) since the one before.
    pub(super) fn end_write(&mut self, told: bool, dependencies: impl Iterator<Item = Version>) {
        let last = self.writes.last();
        let (text, places, first) =
            last.map_or((0, 0, 0), |w| (w.text.end, w.places.end, w.dependencies.end));
        self.dependencies.extend(dependencies);
        self.writes.push(Write {
            text: text..self.text.len(),
            places: places..self.places.len(),
            dependencies: first..self.dependencies.len(),
            told,
        });
    }

    /// Each write with its changes.
    pub(super) fn writes(
        &self,
    ) -> impl ExactSizeIterator<Item = (&Write, Changes<'_>)> + DoubleEndedIterator {
        self.writes.iter().map(|write| {
            let (text, places) =
                (&self.text[write.text.clone()], &self.places[write.places.clone()]);
            (write, Changes::new(text, places))
        })
    }

    /// Nothing of it has happened.
    pub(super) fn refuse(&mut self, why: &str) {
        self.refused = Some(why.to_owned());
        self.outcomes.iter_mut().for_each(|outcome| outcome.version = None);
    }

    /// What the batch itself says of a key: the last of the writes that name it. No write names a key
    /// twice with different values.
    pub(super) fn find(&self, key: &str) -> Own<'_> {
        let mut changes = self.writes().rev().flat_map(|(_, changes)| changes.iter());
        match changes.find(|&(found, _)| found == key) {
            Some((_, Some(value))) => Own::Wrote(value),
            Some((_, None)) => Own::Deleted,
            None => Own::Nothing,
        }
    }

    /// How many keys it writes.
    pub(super) fn keys(&self) -> usize {
        self.places.len()
    }

    /// How many bytes of text it has.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Empties it; its buffers stay, unless they are unusually large.
    pub(super) fn clear(&mut self) {
        if self.text.capacity() > 1 << 20 {
            *self = Self::default();
        }
        self.text.clear();
        self.places.clear();
        self.dependencies.clear();
        self.writes.clear();
        self.outcomes.clear();
        self.seen.clear();
        self.client.clear();
        self.refused = None;
    }
}

/// Where a connection thread waits for its batch to come back.
#[derive(Debug)]
pub(super) struct Slot {
    done: AtomicBool,
    batch: Mutex<Option<Box<Batch>>>,
    waiter: Thread,
}

/// How often a waiter gives way before it goes to sleep.
const YIELDS: u32 = 4;

/// Looks a few times for what another thread is about to give, and gives way in between. On one core
/// the other thread then runs at once, which saves a sleep and a wake-up. To spin would take its time
/// from it: as the channel's own wait spins first, a `SET` at a time took twice the server's time.
pub(super) fn give_way<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    for _ in 0..YIELDS {
        let found = look();
        if found.is_some() {
            return found;
        }
        thread::yield_now();
    }
    None
}

impl Slot {
    /// A slot for the calling thread.
    pub(super) fn of_this_thread() -> Self {
        Self { done: AtomicBool::new(false), batch: Mutex::new(None), waiter: thread::current() }
    }

    /// The apply thread gives the batch back.
    pub(super) fn give(&self, batch: Box<Batch>) {
        *self.batch.lock() = Some(batch);
        self.done.store(true, Ordering::Release);
        self.waiter.unpark();
    }

    /// Waits for the batch. Only the thread that made the slot may wait.
    pub(super) fn take(&self) -> Box<Batch> {
        let done = || self.done.load(Ordering::Acquire).then_some(());
        if give_way(done).is_none() {
            while done().is_none() {
                thread::park();
            }
        }
        self.done.store(false, Ordering::Relaxed);
        self.batch.lock().take().expect("the flag is raised after the batch was put here")
    }
}
