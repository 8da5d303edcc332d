//! A server reduced to what the core is about: a replica, its store and its log. The directed
//! cases and the simulation both build on it.

// Each test file uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;

use causal_kv::core::{
    Applied, Change, ClockKind, Effect, Limits, Loading, Order, Record, Refusal, Replica, Settled,
    Store, Update, Version,
};

/// One server, for one life.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) replica: Replica,
    pub(crate) store: Store,
    /// What was applied, in that order, behind what the base has.
    pub(crate) log: Vec<Update>,
    /// What was trimmed from the log or came by snapshot.
    pub(crate) base: Snapshot,
}

/// What a server showed at one moment, and what it had applied then (rule R7).
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) store: Store,
    pub(crate) applied: Applied,
    pub(crate) clock: u64,
    /// Up to which timestamp deletes were forgotten.
    pub(crate) floor: u64,
}

impl Server {
    /// Starts a life with what is left of the log; an empty one is a start without data.
    pub(crate) fn start(id: u32, log: Vec<Update>, limits: Limits) -> Self {
        Self::following(Order::Causal, id, log, limits)
    }

    /// The same for a server that follows another delivery rule.
    pub(crate) fn following(order: Order, id: u32, log: Vec<Update>, limits: Limits) -> Self {
        let base = Snapshot { store: Store::new(order), ..Snapshot::default() };
        Self::behind(order, id, base, log, limits)
    }

    /// The same with what was trimmed from the log.
    pub(crate) fn behind(
        order: Order,
        id: u32,
        base: Snapshot,
        log: Vec<Update>,
        limits: Limits,
    ) -> Self {
        let mut replica = Replica::new(id, ClockKind::Physical, order, limits);
        let Snapshot { applied, clock, floor, mut store } = base.clone();
        replica.raise_floor(floor);
        let installed = replica.install(&applied, clock, clock, &mut Vec::new());
        installed.expect("its own snapshot is beyond doubt");
        for update in &log {
            assert!(replica.restore(update), "a log is in order");
            store.apply_update(update);
        }
        Self { replica, store, log, base }
    }

    /// What it shows now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let applied = self.replica.applied().clone();
        let (clock, floor) = (self.replica.clock().last(), self.replica.floor());
        Snapshot { store: self.store.clone(), applied, clock, floor }
    }

    /// Trims the oldest updates from the log.
    pub(crate) fn trim(&mut self, count: usize) {
        for update in self.log.drain(..count) {
            let Update { version, predecessor, .. } = update;
            assert!(self.base.applied.advance(version, predecessor), "a log is in order");
            self.base.store.apply_update(&update);
            self.base.clock = self.base.clock.max(version.timestamp);
        }
    }

    /// Takes in a snapshot and does what the replica says.
    pub(crate) fn install(
        &mut self,
        snapshot: &Snapshot,
        now_us: u64,
    ) -> Result<Vec<Effect>, Refusal> {
        let mut effects = Vec::new();
        let before = self.replica.applied().clone();
        self.replica.install(&snapshot.applied, snapshot.clock, now_us, &mut effects)?;
        self.store.merge(&before, &snapshot.store, &snapshot.applied);
        // What came by snapshot is not in the log, so for others there is none of what was in it.
        let mut applied = self.base.applied.clone();
        for update in self.log.drain(..) {
            applied.advance(update.version, update.predecessor);
        }
        applied.raise_all(&snapshot.applied);
        self.replica.raise_floor(snapshot.floor);
        let (clock, floor) = (self.replica.clock().last(), self.replica.floor());
        self.base = Snapshot { store: self.store.clone(), applied, clock, floor };
        self.follow(&effects);
        Ok(effects)
    }

    /// What it says of itself; `lives` are the newest ones it knows.
    pub(crate) fn record(&self, lives: &BTreeMap<u32, u64>) -> Record {
        Record {
            lives: lives.clone(),
            above: self.replica.writes_only_above(),
            applied: self.replica.applied().clone(),
            held: self.replica.pending().lowest(),
            floor: self.replica.floor(),
        }
    }

    /// Forgets what may be forgotten (rules R9 and R10). Gives which held updates, each with what it
    /// waited for, and how many deletes.
    pub(crate) fn forget(&mut self, settled: &Settled) -> (Vec<(Version, Version)>, usize) {
        let lost = self.replica.drop_lost(settled, &mut Vec::new());
        let (floor, deletes) = self.store.forget(&settled.horizon());
        self.replica.raise_floor(floor);
        (lost, deletes)
    }

    fn follow(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Apply { update, .. } = effect {
                self.store.apply_update(update);
                self.log.push(update.clone());
            }
        }
    }

    /// Takes an update from a peer and does what the replica says.
    pub(crate) fn receive(&mut self, update: &Update, now_us: u64) -> Result<Vec<Effect>, Refusal> {
        let mut effects = Vec::new();
        self.replica.receive(update.clone(), now_us, &mut effects)?;
        self.follow(&effects);
        Ok(effects)
    }

    /// Accepts a write of a session that depends on `dependencies`.
    pub(crate) fn write(
        &mut self,
        mut dependencies: Vec<Version>,
        changes: Vec<Change>,
        now_us: u64,
    ) -> Result<Update, Loading> {
        let stamp = self.replica.write(&mut dependencies, now_us)?;
        let (version, predecessor) = (stamp.version, stamp.predecessor);
        let dependency_keys = self.replica.keys_of(&dependencies);
        let update =
            Update { version, predecessor, dependencies, dependency_keys, told: false, changes };
        self.replica.wrote(&update, now_us);
        self.store.apply_update(&update);
        self.log.push(update.clone());
        Ok(update)
    }

    /// What this server would send to a peer that says it has applied `applied`, whoever wrote it.
    pub(crate) fn unknown_to(&self, applied: &Applied) -> Vec<&Update> {
        self.log.iter().filter(|update| !applied.covers(update.version)).collect()
    }
}
