//! A server reduced to what the core is about: a replica, its store and its log. The directed
//! cases and the simulation both build on it.

// Each test file uses a part of this.
#![allow(dead_code)]

use causal_kv::core::{
    Applied, Change, ClockKind, Effect, Limits, Loading, Order, Refusal, Replica, Store, Update,
    Version,
};

/// One server, for one life.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) replica: Replica,
    pub(crate) store: Store,
    /// What was applied, in that order.
    pub(crate) log: Vec<Update>,
}

impl Server {
    /// Starts a life with what is left of the log; an empty one is a start without data.
    pub(crate) fn start(id: u32, log: Vec<Update>, limits: Limits) -> Self {
        Self::following(Order::Causal, id, log, limits)
    }

    /// The same for a server that follows another delivery rule.
    pub(crate) fn following(order: Order, id: u32, log: Vec<Update>, limits: Limits) -> Self {
        let mut replica = Replica::new(id, ClockKind::Physical, order, limits);
        let mut store = Store::new(order);
        for update in &log {
            assert!(replica.restore(update), "a log is in order");
            store.apply_update(update);
        }
        Self { replica, store, log }
    }

    /// Takes an update from a peer and does what the replica says.
    pub(crate) fn receive(&mut self, update: &Update, now_us: u64) -> Result<Vec<Effect>, Refusal> {
        let mut effects = Vec::new();
        self.replica.receive(update.clone(), now_us, &mut effects)?;
        for effect in &effects {
            if let Effect::Apply { update, .. } = effect {
                self.store.apply_update(update);
                self.log.push(update.clone());
            }
        }
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
