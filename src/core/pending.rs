//! The hold-back: updates that were received and may not be shown yet.
//!
//! Held updates are found by what they wait for, so releasing n of them costs O(n log n).
//! They are only a cache: an acknowledgement means *applied*, so whatever is dropped from here is
//! sent again (rule R2).

use std::collections::{BTreeMap, BTreeSet};

use super::update::Update;
use super::version::Version;

/// How much may be held of one origin before its newest updates are dropped.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Updates of one origin.
    pub updates_max: usize,
    /// Their bytes.
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { updates_max: 1_000_000, bytes_max: 256 << 20 }
    }
}

/// An update that is held back, and why.
#[derive(Clone, Debug)]
pub struct Held {
    /// The update.
    pub update: Update,
    /// The first of its dependencies that has not been applied here.
    pub missing: Version,
    /// When it was received, in microseconds.
    pub since_us: u64,
}

#[derive(Clone, Debug, Default)]
struct Origin {
    held: BTreeMap<u64, Held>,
    bytes: usize,
    /// The oldest update that was dropped for want of room and not yet asked for again.
    dropped: Option<u64>,
}

/// All updates held back by one replica.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    origins: BTreeMap<u32, Origin>,
    /// What is waited for, by its server and then its timestamp, and who waits.
    waiting: BTreeSet<((u32, u64), Version)>,
    count: usize,
    limits: Limits,
}

impl Pending {
    /// An empty hold-back with limits of its own.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// How many updates are held.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether this very update is held.
    pub fn contains(&self, version: Version) -> bool {
        self.find(version).is_some()
    }

    /// The held update of this version.
    pub fn find(&self, version: Version) -> Option<&Held> {
        self.origins.get(&version.server)?.held.get(&version.timestamp)
    }

    /// The held updates, by origin and age.
    pub fn iter(&self) -> impl Iterator<Item = &Held> {
        self.origins.values().flat_map(|origin| origin.held.values())
    }

    /// The lowest timestamp of what is held.
    pub fn lowest(&self) -> Option<u64> {
        self.origins.values().filter_map(|origin| origin.held.keys().next().copied()).min()
    }

    /// Holds an update until `held.missing` is applied. If its origin's share is full, that
    /// origin's newest update is dropped, be it this one. Gives whether this one is held now.
    pub fn hold(&mut self, held: Held) -> bool {
        let version = held.update.version;
        let waits_for = (held.missing.server, held.missing.timestamp);
        let origin = self.origins.entry(version.server).or_default();
        let bytes = held.update.bytes();
        origin.bytes += bytes;
        origin.held.insert(version.timestamp, held);
        self.count += 1;
        self.waiting.insert((waits_for, version));
        let full = origin.held.len() > self.limits.updates_max
            || (origin.bytes > self.limits.bytes_max && origin.held.len() > 1);
        if full && let Some((&newest, _)) = origin.held.last_key_value() {
            origin.dropped = Some(origin.dropped.map_or(newest, |oldest| oldest.min(newest)));
            self.remove(Version { timestamp: newest, server: version.server });
        }
        self.contains(version)
    }

    /// Takes one update out.
    pub fn remove(&mut self, version: Version) -> Option<Held> {
        let origin = self.origins.get_mut(&version.server)?;
        let held = origin.held.remove(&version.timestamp)?;
        origin.bytes -= held.update.bytes();
        self.count -= 1;
        self.waiting.remove(&((held.missing.server, held.missing.timestamp), version));
        Some(held)
    }

    /// Takes out all that waited for a version of `server` with a timestamp from `first` to `last`.
    pub fn take_waiting(&mut self, server: u32, first: u64, last: u64) -> Vec<Held> {
        let lowest = Version { timestamp: 0, server: 0 };
        let mut taken = Vec::new();
        while let Some(&next) = self.waiting.range(((server, first), lowest)..).next()
            && next.0 <= (server, last)
        {
            self.waiting.remove(&next);
            let (_, version) = next;
            let Some(origin) = self.origins.get_mut(&version.server) else { continue };
            let Some(held) = origin.held.remove(&version.timestamp) else { continue };
            origin.bytes -= held.update.bytes();
            self.count -= 1;
            taken.push(held);
        }
        taken
    }

    /// Whether an origin's updates were dropped for want of room and it is time to ask for them
    /// again: once true, then false.
    ///
    /// It is time when half of its share is free, so that one does not ask for each update alone,
    /// and at the latest when nothing older of that origin is held: what is held then, of any
    /// origin, may be waiting for the dropped update.
    pub fn wants_again(&mut self) -> bool {
        let limits = self.limits;
        let mut again = false;
        for origin in self.origins.values_mut() {
            let roomy =
                origin.held.len() <= limits.updates_max / 2 && origin.bytes <= limits.bytes_max / 2;
            let oldest = origin.held.keys().next().copied();
            let due = |dropped: &mut u64| roomy || oldest.is_none_or(|oldest| oldest > *dropped);
            again |= origin.dropped.take_if(due).is_some();
        }
        again
    }
}
