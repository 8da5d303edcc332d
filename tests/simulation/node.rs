//! A server of the simulation, and what must hold of it after every step.

use causal_kv::core::{Effect, Held, Limits, Order, Refusal, Update, Version};

use super::oracle::{Oracle, Promise, Violation, Writes, check, numbers, only};
use super::telling::Known;
use crate::shared::{Server, Snapshot};

/// One server over all its lives.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) server: Server,
    /// What the test saw it apply in this life, and what it began this life with.
    pub(crate) shown: Writes,
    /// What of that is no longer in its log.
    base: Writes,
    /// What it applied since the last check.
    fresh: Writes,
    /// What it told its peers to have received; only the flaw that takes this for applied asks.
    pub(crate) received: Writes,
    /// How far its clock goes ahead.
    pub(crate) skew_us: u64,
    /// When it may write again after a start.
    pub(crate) opens_at: u64,
    /// It has no data and waits for a snapshot.
    pub(crate) joining: bool,
    /// What it knows of all servers.
    pub(crate) known: Known,
    limits: Limits,
    order: Order,
}

impl Node {
    pub(crate) fn new(order: Order, id: u32, skew_us: u64, limits: Limits) -> Self {
        let mut server = Server::following(order, id, Vec::new(), limits);
        server.replica.open();
        Self {
            server,
            shown: 0,
            base: 0,
            fresh: 0,
            received: 0,
            skew_us,
            opens_at: 0,
            joining: false,
            known: Known::default(),
            limits,
            order,
        }
    }

    /// Begins a new life: with the first `kept` updates of the log and what was trimmed from it, or
    /// with nothing. Gives what was lost.
    pub(crate) fn restart(
        &mut self,
        kept: Option<usize>,
        oracle: &Oracle,
    ) -> Result<Writes, Violation> {
        let (had, id) = (self.shown, self.server.replica.id());
        let Some(kept) = kept else {
            self.server = Server::following(self.order, id, Vec::new(), self.limits);
            (self.shown, self.base, self.fresh, self.received) = (0, 0, 0, 0);
            self.joining = self.order == Order::Causal;
            return Ok(had);
        };
        self.joining = false;
        let mut log = std::mem::take(&mut self.server.log);
        log.truncate(kept);
        self.shown = self.base;
        for update in &log {
            self.shown |= only(oracle.number(update.version)?);
        }
        self.fresh = self.shown;
        let base = self.server.base.clone();
        self.server = Server::behind(self.order, id, base, log, self.limits);
        Ok(had & !self.shown)
    }

    /// Trims the oldest updates from the log.
    pub(crate) fn trim(&mut self, count: usize, oracle: &Oracle) -> Result<(), Violation> {
        for update in &self.server.log[..count] {
            self.base |= only(oracle.number(update.version)?);
        }
        self.server.trim(count);
        Ok(())
    }

    /// Takes in a snapshot that has the writes `shown`. Gives whether it asks its peers to send
    /// again.
    pub(crate) fn install(
        &mut self,
        snapshot: &Snapshot,
        shown: Writes,
        now_us: u64,
        oracle: &Oracle,
    ) -> Result<bool, Violation> {
        let taken = self.server.install(snapshot, now_us + self.skew_us);
        let effects = self.unless_refused(taken)?;
        self.joining = false;
        self.fresh |= shown & !self.shown;
        self.shown |= shown;
        self.base = self.shown;
        self.received |= shown;
        self.note(effects, oracle)
    }

    fn unless_refused(
        &self,
        taken: Result<Vec<Effect>, Refusal>,
    ) -> Result<Vec<Effect>, Violation> {
        taken.map_err(|refusal| Violation {
            promise: Promise::Uniqueness,
            text: format!("server {} refused: {refusal}", self.server.replica.id()),
        })
    }

    /// The test saw it apply a write.
    pub(crate) fn show(&mut self, number: usize) {
        self.shown |= only(number);
        self.fresh |= only(number);
    }

    /// Receives a write. Gives whether it asks its peers to send again.
    pub(crate) fn receive(
        &mut self,
        number: usize,
        now_us: u64,
        oracle: &Oracle,
    ) -> Result<bool, Violation> {
        let update = &oracle.writes[number].update;
        let taken = self.server.receive(update, now_us + self.skew_us);
        let effects = self.unless_refused(taken)?;
        self.received |= only(number);
        self.note(effects, oracle)
    }

    /// Notes what was applied. Gives whether it asks its peers to send again.
    fn note(&mut self, effects: Vec<Effect>, oracle: &Oracle) -> Result<bool, Violation> {
        let mut asks_again = false;
        for effect in effects {
            match effect {
                Effect::Apply { update, .. } => self.note_applied(&update, oracle)?,
                Effect::AskAgain => asks_again = true,
                Effect::Hold { .. } | Effect::Show { .. } => {}
            }
        }
        Ok(asks_again)
    }

    fn note_applied(&mut self, update: &Update, oracle: &Oracle) -> Result<(), Violation> {
        let number = oracle.number(update.version)?;
        let twice = self.shown & only(number) != 0;
        check(!twice, Promise::Uniqueness, || format!("{} is applied twice", update.version))?;
        self.show(number);
        Ok(())
    }

    /// All that must hold of it now.
    pub(crate) fn check(&mut self, oracle: &Oracle) -> Result<(), Violation> {
        for number in numbers(std::mem::take(&mut self.fresh)) {
            let missing = oracle.writes[number].past & !self.shown;
            check(missing == 0, Promise::Causality, || {
                let (id, version) = (self.server.replica.id(), oracle.version(number));
                format!("server {id} shows {version} without {}", oracle.tell(missing))
            })?;
        }
        if self.order == Order::Arrival {
            // What was applied early is not covered before the gap is closed.
            return Ok(());
        }
        (0..oracle.writes.len()).try_for_each(|number| self.check_coverage(number, oracle))?;
        let pending = self.server.replica.pending();
        check(pending.len() == pending.iter().count(), Promise::Release, || {
            format!("server {} miscounts what it holds", self.server.replica.id())
        })?;
        pending.iter().try_for_each(|held| self.check_held(held, oracle))
    }

    /// `applied` covers a write if and only if it was applied.
    pub(crate) fn check_coverage(&self, number: usize, oracle: &Oracle) -> Result<(), Violation> {
        let replica = &self.server.replica;
        let (applied, version) = (replica.applied(), oracle.version(number));
        let agrees = applied.covers(version) == (self.shown & only(number) != 0);
        check(agrees, Promise::Coverage, || {
            format!("server {}: '{applied}' is wrong about {version}", replica.id())
        })
    }

    /// A held update waits for something, and for something that really comes before it.
    fn check_held(&self, held: &Held, oracle: &Oracle) -> Result<(), Violation> {
        let (replica, update) = (&self.server.replica, &held.update);
        let missing = |version: &Version| !replica.applied().covers(*version);
        let mut waits_for = update.predecessor().into_iter().chain(update.dependencies.clone());
        let before = oracle.writes[oracle.number(update.version)?].before;
        let waits = missing(&held.missing) && waits_for.any(|version| missing(&version));
        check(waits && before & !self.shown != 0, Promise::Release, || {
            format!("server {} holds {} for nothing", replica.id(), update.version)
        })
    }
}
