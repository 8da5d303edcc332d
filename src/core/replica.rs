//! The replica: the state machine that decides when an update may be shown.

mod at_once;
mod forget;
mod install;

use std::collections::BTreeMap;

use super::applied::Applied;
use super::clock::{Clock, ClockKind, TooFarAhead};
use super::effect::{Effect, Loading, Refusal, Stamp, Waited};
use super::order::{Order, Rules};
use super::pending::{Held, Limits, Pending};
use super::update::Update;
use super::version::Version;

/// Updates to be looked at again, each with what released it.
type Ready = BTreeMap<Version, (Held, Version)>;

/// A replica's state that a refused group is taken back to.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    applied: Applied,
    rules: Rules,
    chain: Option<(u64, u64)>,
}

/// One full copy's state machine. See [the protocol](super) for its rules and invariants.
#[derive(Clone, Debug)]
pub struct Replica {
    id: u32,
    clock: Clock,
    applied: Applied,
    pending: Pending,
    rules: Rules,
    /// All writes of this life are above this timestamp; `None` while it may not write yet.
    writes_above: Option<u64>,
    /// This life's chain: the timestamps of its first and its last write, once there are any.
    chain: Option<(u64, u64)>,
    /// Deletes up to this timestamp may have been forgotten, here or elsewhere.
    floor: u64,
    delayed_total: u64,
}

impl Replica {
    /// A replica at the beginning of a life. With a log, [`restore`](Self::restore) comes next. It may
    /// receive, and writes once it was [opened](Self::open).
    pub fn new(id: u32, kind: ClockKind, order: Order, limits: Limits) -> Self {
        let (clock, applied) = (Clock::new(kind), Applied::default());
        let (pending, rules) = (Pending::new(limits), Rules::new(order));
        let (writes_above, chain, floor, delayed_total) = (None, None, 0, 0);
        Self { id, clock, applied, pending, rules, writes_above, chain, floor, delayed_total }
    }

    /// Before anything else: takes in an update of its log. Gives false if it does not follow what
    /// was taken in before it.
    pub fn restore(&mut self, update: &Update) -> bool {
        let Version { timestamp, .. } = update.version;
        // Its own log is beyond doubt: the bound is for what others say.
        let _ = self.clock.witness(timestamp, timestamp);
        self.rules.shown(update, update.version);
        if self.applied.advance(update.version, update.predecessor) {
            self.close_gaps(update.version, &mut Ready::new());
            return true;
        }
        let may_leave_gaps = self.rules.order.may_leave_gaps();
        if may_leave_gaps {
            self.rules.remember_early(update.version, update.predecessor);
        }
        may_leave_gaps
    }

    /// What [`undo`](Self::undo) needs to take back all that comes after.
    pub fn checkpoint(&self) -> Checkpoint {
        let (applied, rules) = (self.applied.clone(), self.rules.clone());
        Checkpoint { applied, rules, chain: self.chain }
    }

    /// Takes back what was written, received and applied since a checkpoint: its log was refused by
    /// the disk. The clock stays, so no version is given out twice. Held updates that were released
    /// are gone; they are only a cache, but peers have to be asked for them again.
    pub fn undo(&mut self, checkpoint: Checkpoint) {
        let Checkpoint { applied, rules, chain } = checkpoint;
        (self.applied, self.rules, self.chain) = (applied, rules, chain);
    }

    /// Rule R4: this life may write from now on, above every timestamp and clock witnessed so far.
    pub fn open(&mut self) {
        self.writes_above.get_or_insert(self.clock.last());
    }

    /// Stamps a local write, which thereby is applied: the surroundings put it into store and log.
    ///
    /// `dependencies` are the session's context and must be applied here. What the chain itself
    /// says is struck from them; the rest belongs into the update (rule R3). A write never waits.
    ///
    /// # Errors
    /// [`Loading`] before [`open`](Self::open).
    pub fn write(
        &mut self,
        dependencies: &mut Vec<Version>,
        now_us: u64,
    ) -> Result<Stamp, Loading> {
        if self.writes_above.is_none() {
            return Err(Loading);
        }
        debug_assert!(
            self.rules.order != Order::Causal
                || dependencies.iter().all(|&dependency| self.applied.covers(dependency))
        );
        if let Some((first, _)) = self.chain {
            dependencies.retain(|d| d.server != self.id || d.timestamp < first);
        }
        let version = Version { timestamp: self.clock.tick(now_us), server: self.id };
        let (first, predecessor) = self.chain.unwrap_or((version.timestamp, 0));
        self.chain = Some((first, version.timestamp));
        self.writes_above = Some(first - 1);
        let advanced = self.applied.advance(version, predecessor);
        debug_assert!(advanced, "this life's chain ends at its last write");
        Ok(Stamp { version, predecessor })
    }

    /// Rules but `causal` are told of a local write, once it has its stamp. Gives whether it is shown
    /// at once; if not, [`Effect::Show`] comes when it is.
    pub fn wrote(&mut self, update: &Update, now_us: u64) -> bool {
        self.rules.shown(update, update.version);
        let at_once = self.rules.order != Order::Total;
        if !at_once {
            self.rules.queue(update.version, Some((update.clone(), now_us)));
        }
        at_once
    }

    /// A key that each of these versions wrote, for the rule `stored-version`: it goes into
    /// [`Update::dependency_keys`]. Nothing under the other rules.
    pub fn keys_of(&self, versions: &[Version]) -> Vec<String> {
        self.rules.keys_of(versions)
    }

    /// Rule R2: takes an update from a peer, and says what is to be done, in `effects`.
    ///
    /// # Errors
    /// A [`Refusal`]; the replica is as it was.
    pub fn receive(
        &mut self,
        update: Update,
        now_us: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let version = update.version;
        self.check(&update)?;
        let covered = self.has_applied(version);
        // Even when it is held or a duplicate: the next local write must be above it.
        self.clock.witness(version.timestamp, now_us).map_err(Refusal::Clock)?;
        if covered || self.pending.contains(version) {
            return Ok(());
        }
        match self.rules.first_missing(&update, &self.applied) {
            None => self.apply_and_release(update, now_us, effects),
            Some(missing) => {
                self.delayed_total += 1;
                self.rules.queue(version, None);
                if self.pending.hold(Held { update, missing, since_us: now_us }) {
                    effects.push(Effect::Hold { version, missing });
                }
            }
        }
        Ok(())
    }

    /// Whether what is applied of the update's chain goes on behind its predecessor already.
    fn is_fork(&self, update: &Update) -> bool {
        let before = update.predecessor().filter(|&version| self.applied.covers(version));
        before.is_some_and(|version| !self.applied.ends_at(version))
    }

    fn apply_and_release(&mut self, update: Update, now_us: u64, effects: &mut Vec<Effect>) {
        let mut ready = Ready::new();
        let shown_as = update.version;
        self.apply(update, shown_as, None, &mut ready, effects);
        self.release(ready, now_us, effects);
    }

    /// Looks at updates again whose missing version was applied, in the order of their versions, so
    /// that a release is the same at every run.
    fn release(&mut self, mut ready: Ready, now_us: u64, effects: &mut Vec<Effect>) {
        while let Some((_, (held, released_by))) = ready.pop_first() {
            match self.rules.first_missing(&held.update, &self.applied) {
                None => {
                    let us = now_us.saturating_sub(held.since_us);
                    let waited = Some(Waited { us, released_by: Some(released_by) });
                    let shown_as = held.update.version;
                    self.apply(held.update, shown_as, waited, &mut ready, effects);
                }
                Some(missing) => drop(self.pending.hold(Held { missing, ..held })),
            }
        }
        if self.pending.wants_again() {
            effects.push(Effect::AskAgain);
        }
    }

    fn apply(
        &mut self,
        update: Update,
        shown_as: Version,
        waited: Option<Waited>,
        ready: &mut Ready,
        effects: &mut Vec<Effect>,
    ) {
        let version = update.version;
        if self.applied.advance(version, update.predecessor) {
            // Newly covered is what lies behind the predecessor.
            let begins = update.predecessor == 0;
            let first = if begins { version.timestamp } else { update.predecessor + 1 };
            self.take_waiting(first, version, ready);
            self.close_gaps(version, ready);
        } else if self.rules.order.may_leave_gaps() {
            self.rules.remember_early(version, update.predecessor);
        } else {
            // Of two held updates that follow the same one, the second is dropped.
            return;
        }
        self.rules.shown(&update, shown_as);
        effects.push(Effect::Apply { update, shown_as, waited });
    }

    /// What was applied before its predecessor is part of its chain, now that that is applied.
    fn close_gaps(&mut self, mut version: Version, ready: &mut Ready) {
        while let Some(follower) = self.rules.take_follower(version) {
            self.applied.advance(follower, version.timestamp);
            self.take_waiting(version.timestamp + 1, follower, ready);
            version = follower;
        }
    }

    /// Takes out what waited for `last` or for what is above `first` in its chain.
    fn take_waiting(&mut self, first: u64, last: Version, ready: &mut Ready) {
        let released = self.pending.take_waiting(last.server, first, last.timestamp);
        ready.extend(released.into_iter().map(|held| (held.update.version, (held, last))));
    }

    /// Rule `total`: a server has sent here all its updates up to this timestamp.
    pub fn promise(&mut self, server: u32, timestamp: u64) {
        self.rules.promise(server, timestamp);
    }

    /// Rule `total`: shows, in the order of their versions, the updates that nothing can come before
    /// any more. `known` are all other servers of the cluster: what one of them has not
    /// [promised](Self::promise) may still come. An update whose predecessor or dependencies are
    /// missing all the same (a server lost its data) is passed over until they come, if ever.
    pub fn show_stable(&mut self, known: &[u32], now_us: u64, effects: &mut Vec<Effect>) {
        let stable = self.rules.stable(known);
        for version in self.rules.queued_until(stable) {
            let held = self.pending.find(version);
            if held.is_some_and(|held| held.update.first_missing(&self.applied).is_some()) {
                continue;
            }
            match self.rules.leave_queue(version) {
                Some((update, since_us)) => {
                    let us = now_us.saturating_sub(since_us);
                    effects.push(Effect::Show { update, waited: Waited { us, released_by: None } });
                }
                None => self.show_held(version, version, now_us, effects),
            }
        }
    }

    /// Shows an update that no other update releases. It is gone if it was dropped for want of room.
    fn show_held(
        &mut self,
        version: Version,
        shown_as: Version,
        now_us: u64,
        effects: &mut Vec<Effect>,
    ) {
        let Some(held) = self.pending.remove(version) else { return };
        let us = now_us.saturating_sub(held.since_us);
        let mut ready = Ready::new();
        let waited = Some(Waited { us, released_by: None });
        self.apply(held.update, shown_as, waited, &mut ready, effects);
        self.release(ready, now_us, effects);
    }

    /// Rule `original`: when [`wake`](Self::wake) is to be called next, in microseconds.
    pub fn due(&self) -> Option<u64> {
        if self.rules.order != Order::Original {
            return None;
        }
        let oldest = self.pending.iter().map(|held| held.since_us).min()?;
        self.rules.due(oldest)
    }

    /// Rule `original`: shows the updates that were late and have been delayed for long enough,
    /// under new versions above all that was shown.
    pub fn wake(&mut self, now_us: u64, effects: &mut Vec<Effect>) {
        let is_due = |held: &&Held| self.rules.due(held.since_us).is_some_and(|due| due <= now_us);
        let mut late: Vec<(u64, Version)> =
            self.pending.iter().filter(is_due).map(|h| (h.since_us, h.update.version)).collect();
        late.sort_unstable();
        for (_, version) in late {
            let shown_as = Version { timestamp: self.clock.tick(now_us), ..version };
            self.show_held(version, shown_as, now_us, effects);
        }
    }

    /// Rule R4: a peer announced its clock. The next local write will be above it.
    ///
    /// # Errors
    /// The clock is too far ahead and was not taken.
    pub fn witness(&mut self, clock: u64, now_us: u64) -> Result<(), TooFarAhead> {
        self.clock.witness(clock, now_us)
    }

    /// Rule R4: a peer told what it has applied, and before that its clock. It must not know a chain
    /// of this server that reaches into this life and is not this life's own, nor be a
    /// [stranger](Self::check_stranger). If this life has not written yet, it will write above all
    /// that the peer knows of its older ones.
    ///
    /// # Errors
    /// [`Refusal::Reused`]: this replica must stop. [`Refusal::Stranger`]: the peer is not let in.
    pub fn check_peer(&mut self, peer: u32, applied: &Applied) -> Result<(), Refusal> {
        self.check_own(applied)?;
        self.check_stranger(peer, applied)?;
        self.write_above(applied);
        Ok(())
    }

    /// Whether a version of this server lies in this life, given out or not.
    pub fn is_of_this_life(&self, version: Version) -> bool {
        version.server == self.id && self.chain.is_some_and(|(first, _)| version.timestamp >= first)
    }

    /// This server's id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The delivery rule.
    pub fn order(&self) -> Order {
        self.rules.order
    }

    /// Whether a write can be seen here. Only under `total` that is later than applied.
    pub fn is_shown(&self, version: Version) -> bool {
        self.has_applied(version) && !self.rules.is_queued(version)
    }

    /// Whether a write has neither been applied here nor is held back.
    pub fn is_news(&self, version: Version) -> bool {
        !self.has_applied(version) && !self.pending.contains(version)
    }

    fn has_applied(&self, version: Version) -> bool {
        self.applied.covers(version) || self.rules.is_early(version)
    }

    /// What has been applied here.
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    /// What is held back here.
    pub fn pending(&self) -> &Pending {
        &self.pending
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// All writes of this life are above this timestamp; `None` while it may not write yet. Peers
    /// supply it with what is not: updates of its older lives. So it grows, until the first write,
    /// with what they turn out to have of those; and the first write says exactly where it begins.
    pub fn writes_above(&self) -> Option<u64> {
        self.writes_above
    }

    /// How many updates were ever held back.
    pub fn delayed_total(&self) -> u64 {
        self.delayed_total
    }
}
