//! Holds: what readers have yet to read is kept for them, and each is woken for what it wants only.
//!
//! A link to a peer sends what this server wrote, as the peer gets the rest elsewhere. In a cluster
//! of n servers each of n - 1 threads would look at each update for nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Condvar;

use super::{Log, Record};

/// What wakes a reader: for each origin, its updates up to that timestamp.
pub type Wanted = BTreeMap<u32, u64>;

/// The holds on a log, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Holds(BTreeMap<u64, Held>);

#[derive(Debug)]
struct Held {
    /// From where on it is kept.
    cursor: u64,
    /// `None`: everything.
    wanted: Option<Wanted>,
    /// Somebody called [`Log::wake`] since the reader waited last.
    woken: bool,
    grown: Arc<Condvar>,
}

impl Holds {
    /// Nobody needs what is before it; `None` if there are no holds.
    pub(super) fn lowest(&self) -> Option<u64> {
        self.0.values().map(|held| held.cursor).min()
    }

    pub(super) fn wake(&mut self) {
        for held in self.0.values_mut() {
            held.woken = true;
            held.grown.notify_one();
        }
    }

    fn held(&mut self, number: u64) -> &mut Held {
        self.0.get_mut(&number).expect("it is listed as long as it lives")
    }

    /// `records` were appended from the place `first` to `next`: whoever wants one is woken, and
    /// whoever had read all before them and wants none has read them.
    pub(super) fn grown(&mut self, first: u64, next: u64, records: &[Record]) {
        // An origin's updates come in order: if the first is too new, all are.
        let mut origins: Vec<(u32, u64)> = Vec::new();
        for record in records {
            if origins.iter().all(|&(server, _)| server != record.server) {
                origins.push((record.server, record.timestamp));
            }
        }
        for held in self.0.values_mut() {
            if held.wants_any(&origins) {
                held.grown.notify_one();
            } else if held.cursor == first {
                held.cursor = next;
            }
        }
    }
}

impl Held {
    /// Whether it wants one of these versions.
    fn wants_any(&self, versions: &[(u32, u64)]) -> bool {
        let Some(wanted) = &self.wanted else { return true };
        versions.iter().any(|(server, timestamp)| wanted.get(server) >= Some(timestamp))
    }
}

/// A reader's hold on what it has yet to read of a log. It ends when it is dropped.
#[derive(Debug)]
pub struct Hold {
    log: Arc<Log>,
    number: u64,
    grown: Arc<Condvar>,
}

impl Hold {
    /// What is before `cursor` need not be kept any more.
    pub fn at(&self, cursor: u64) {
        self.held(|held| held.cursor = cursor);
    }

    /// From now on it is woken for these updates. What else is appended, when it had read all, counts
    /// as read.
    pub fn want(&self, wanted: Wanted) {
        self.held(|held| held.wanted = Some(wanted));
    }

    /// Waits, if the log ends at `end`, until something wanted comes, somebody calls [`Log::wake`],
    /// or `deadline` has come; not at all if somebody called since the last wait. Gives from where on
    /// the log is kept for it: more may count as read.
    pub fn wait(&self, end: u64, deadline: Instant) -> u64 {
        let mut tail = self.log.tail.lock();
        if tail.next <= end && !tail.holds.held(self.number).woken {
            self.grown.wait_until(&mut tail, deadline);
        }
        let held = tail.holds.held(self.number);
        held.woken = false;
        held.cursor
    }

    fn held(&self, change: impl FnOnce(&mut Held)) {
        let mut tail = self.log.tail.lock();
        change(tail.holds.held(self.number));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.log.tail.lock().holds.0.remove(&self.number);
    }
}

impl Log {
    /// Has what comes from `cursor` on kept, within the log's bound. It wants everything at first.
    pub fn hold(self: &Arc<Self>, cursor: u64) -> Hold {
        let grown = Arc::new(Condvar::new());
        let held = Held { cursor, wanted: None, woken: false, grown: Arc::clone(&grown) };
        let mut tail = self.tail.lock();
        let number = tail.holds.0.last_key_value().map_or(0, |(&last, _)| last + 1);
        tail.holds.0.insert(number, held);
        Hold { log: Arc::clone(self), number, grown }
    }
}
