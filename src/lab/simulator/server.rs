//! A simulated server: the core's replica, a store and a log.

use std::rc::Rc;

use crate::core::{
    Change, ClockKind, Effect, Limits, Loading, Order, Refusal, Replica, Store, Update, Version,
};
use crate::trace::{Told, What};

/// Something that became visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Visible {
    /// The write.
    pub(in crate::lab) version: Version,
    /// The version under which it is shown.
    pub(in crate::lab) shown_as: Version,
    /// What it changed.
    pub(in crate::lab) change: Change,
}

/// What came of an input: what is to be told, and what became visible, both in order.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) told: Vec<What>,
    pub(super) visible: Vec<Visible>,
}

/// One server.
#[derive(Clone, Debug)]
pub(in crate::lab) struct Server {
    pub(in crate::lab) replica: Replica,
    pub(in crate::lab) store: Store,
    /// What was applied in this life, in that order: what links send on.
    pub(in crate::lab) log: Vec<Rc<Update>>,
    /// The highest version under which anything was shown.
    pub(in crate::lab) highest_shown: Option<Version>,
    /// How often it has been started.
    pub(in crate::lab) life: u32,
    pub(in crate::lab) running: bool,
    /// How far its clock goes ahead, in microseconds.
    pub(super) skew_us: u64,
}

impl Server {
    /// A server at the beginning of its first life; it takes writes.
    pub(super) fn new(id: u32, kind: ClockKind, order: Order, skew_us: u64) -> Self {
        let mut replica = Replica::new(id, kind, order, Limits::default());
        replica.open();
        Self {
            replica,
            store: Store::new(order),
            log: Vec::new(),
            highest_shown: None,
            life: 1,
            running: true,
            skew_us,
        }
    }

    /// A new life without data. It takes no writes until it is opened (rule R4).
    pub(super) fn restart(&mut self) {
        let (id, kind, order) = (self.replica.id(), self.replica.clock().kind(), self.order());
        let replica = Replica::new(id, kind, order, Limits::default());
        let (life, skew_us) = (self.life + 1, self.skew_us);
        *self = Self { replica, life, ..Self::new(id, kind, order, skew_us) };
    }

    fn order(&self) -> Order {
        self.replica.order()
    }

    /// Accepts a write that depends on these versions.
    pub(super) fn write(
        &mut self,
        client: &str,
        mut dependencies: Vec<Version>,
        change: Change,
        now_us: u64,
    ) -> Result<(Rc<Update>, Outcome), Loading> {
        let stamp = self.replica.write(&mut dependencies, now_us + self.skew_us)?;
        let update = Rc::new(Update {
            version: stamp.version,
            predecessor: stamp.predecessor,
            dependency_keys: self.replica.keys_of(&dependencies),
            dependencies,
            told: true,
            changes: vec![change],
        });
        let mut outcome = Outcome::default();
        let told = told(&update);
        outcome.told.push(What::Write { client: client.to_owned(), update: told });
        self.log.push(Rc::clone(&update));
        if self.replica.wrote(&update, now_us + self.skew_us) {
            self.show(&update, update.version, &mut outcome);
        }
        Ok((update, outcome))
    }

    /// Receives an update from server `from`.
    pub(super) fn receive(
        &mut self,
        from: u32,
        update: &Update,
        now_us: u64,
    ) -> Result<Outcome, Refusal> {
        let mut effects = Vec::new();
        let news = !self.has(update.version);
        self.replica.receive(update.clone(), now_us + self.skew_us, &mut effects)?;
        let mut outcome = Outcome::default();
        if news {
            outcome.told.push(What::Receive { from, update: told(update) });
        }
        self.follow(effects, &mut outcome);
        Ok(outcome)
    }

    /// Rule `total`: these servers have sent all up to these timestamps.
    pub(super) fn promises(&mut self, promises: &[(u32, u64)], now_us: u64) -> Outcome {
        let known: Vec<u32> = promises.iter().map(|&(server, _)| server).collect();
        for &(server, timestamp) in promises {
            self.replica.promise(server, timestamp);
        }
        let mut effects = Vec::new();
        self.replica.show_stable(&known, now_us + self.skew_us, &mut effects);
        let mut outcome = Outcome::default();
        self.follow(effects, &mut outcome);
        outcome
    }

    /// Rule `original`: time has passed.
    pub(super) fn wake(&mut self, now_us: u64) -> Outcome {
        let mut effects = Vec::new();
        self.replica.wake(now_us + self.skew_us, &mut effects);
        let mut outcome = Outcome::default();
        self.follow(effects, &mut outcome);
        outcome
    }

    /// Does what the replica says.
    fn follow(&mut self, effects: Vec<Effect>, outcome: &mut Outcome) {
        for effect in effects {
            match effect {
                Effect::Apply { update, shown_as, waited } => {
                    outcome.told.push(What::Apply {
                        version: update.version,
                        shown_as,
                        waited_us: waited.map(|waited| waited.us),
                        released_by: waited.and_then(|waited| waited.released_by),
                    });
                    let update = Rc::new(update);
                    self.log.push(Rc::clone(&update));
                    self.show(&update, shown_as, outcome);
                }
                Effect::Show { update, waited } => {
                    let version = update.version;
                    let (waited_us, released_by) = (Some(waited.us), waited.released_by);
                    let what = What::Apply { version, shown_as: version, waited_us, released_by };
                    outcome.told.push(what);
                    self.show(&update, version, outcome);
                }
                Effect::Hold { version, missing } => {
                    outcome.told.push(What::Hold { version, missing });
                }
                // Nothing is ever dropped for want of room here.
                Effect::AskAgain => {}
            }
        }
    }

    fn show(&mut self, update: &Update, shown_as: Version, outcome: &mut Outcome) {
        self.highest_shown = self.highest_shown.max(Some(shown_as));
        for change in &update.changes {
            if self.store.apply(&change.key, change.value.as_deref(), shown_as) {
                let (version, change) = (update.version, change.clone());
                outcome.visible.push(Visible { version, shown_as, change });
            }
        }
    }

    /// Whether an update has arrived, applied or held back.
    pub(in crate::lab) fn has(&self, version: Version) -> bool {
        let replica = &self.replica;
        replica.applied().covers(version)
            || replica.is_shown(version)
            || replica.pending().contains(version)
    }
}

/// What is told of an update.
fn told(update: &Update) -> Told {
    let first = &update.changes[0];
    Told {
        version: update.version,
        predecessor: update.predecessor,
        depends: update.dependencies.clone(),
        key: first.key.clone(),
        value: first.value.clone(),
        more: update.changes.len() - 1,
    }
}
