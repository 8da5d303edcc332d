//! The replica: the state machine that decides when an update may be shown.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use super::applied::Applied;
use super::clock::{Clock, ClockKind, TooFarAhead};
use super::pending::{Held, Limits, Pending};
use super::update::Update;
use super::version::Version;

/// What the surroundings must do, in this order. They own the store, the log and the links.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Put the update into the store and append it to the log.
    Apply {
        /// The update.
        update: Update,
        /// For how long it was held back, in microseconds; `None` if it was not.
        waited_us: Option<u64>,
    },
    /// The update waits; nothing is to be done but to say so.
    Hold {
        /// The update's version.
        version: Version,
        /// The first version that it waits for.
        missing: Version,
    },
    /// Updates were dropped for want of room. There is room again: ask the peers to send again
    /// whatever is not applied here.
    AskAgain,
}

/// The name that a local write got, and its predecessor in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The write's version.
    pub version: Version,
    /// The timestamp of the write before it in its chain; 0 if it is the first.
    pub predecessor: u64,
}

/// Why an update from a peer was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The peer's clock is too far ahead.
    Clock(TooFarAhead),
    /// The update depends on something younger than itself.
    Malformed(Version),
    /// The update follows one that another update follows already: its server has given out the
    /// same versions in two lives.
    Forked(Version),
    /// A version of this very life that this life did not give out: an earlier life, which nobody
    /// reachable remembered, used the same versions. The replica must stop.
    Reused(Version),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock(error) => error.fmt(f),
            Self::Malformed(version) => {
                write!(f, "update {version} depends on something younger than itself")
            }
            Self::Forked(version) => write!(
                f,
                "update {version} follows an update that another one follows already; its server \
                 has given out the same versions twice"
            ),
            Self::Reused(version) => write!(
                f,
                "a peer knows {version} from an earlier life of this server, which now gives out \
                 the same versions again; stop it and start it anew with its clock set right"
            ),
        }
    }
}

/// A write came before this replica knew its clock to be above its earlier lives (rule R4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loading;

/// One full copy's state machine. See [the protocol](super) for its rules and invariants.
#[derive(Clone, Debug)]
pub struct Replica {
    id: u32,
    clock: Clock,
    applied: Applied,
    pending: Pending,
    /// All writes of this life are above this timestamp; `None` while it may not write yet.
    writes_above: Option<u64>,
    /// This life's chain: the timestamps of its first and its last write, once there are any.
    chain: Option<(u64, u64)>,
    delayed_total: u64,
}

impl Replica {
    /// A replica at the beginning of a life, with what its log says it had applied before (nothing,
    /// without a log). It may receive, and writes once it was [opened](Self::open).
    pub fn new(id: u32, kind: ClockKind, applied: Applied, limits: Limits) -> Self {
        let mut clock = Clock::new(kind);
        for (_, chain) in applied.iter() {
            // Its own log is beyond doubt: the bound is for what others say.
            let _ = clock.witness(chain.last, chain.last);
        }
        let pending = Pending::new(limits);
        Self { id, clock, applied, pending, writes_above: None, chain: None, delayed_total: 0 }
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
        debug_assert!(dependencies.iter().all(|&dependency| self.applied.covers(dependency)));
        if let Some((first, _)) = self.chain {
            dependencies.retain(|d| d.server != self.id || d.timestamp < first);
        }
        let version = Version { timestamp: self.clock.tick(now_us), server: self.id };
        let (first, predecessor) = self.chain.unwrap_or((version.timestamp, 0));
        self.chain = Some((first, version.timestamp));
        let advanced = self.applied.advance(version, predecessor);
        debug_assert!(advanced, "this life's chain ends at its last write");
        Ok(Stamp { version, predecessor })
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
        if !update.is_well_formed() {
            return Err(Refusal::Malformed(version));
        }
        let covered = self.applied.covers(version);
        if !covered && self.is_of_this_life(version) {
            return Err(Refusal::Reused(version));
        }
        if !covered && self.is_fork(&update) {
            return Err(Refusal::Forked(version));
        }
        // Even when it is held or a duplicate: the next local write must be above it.
        self.clock.witness(version.timestamp, now_us).map_err(Refusal::Clock)?;
        if covered || self.pending.contains(version) {
            return Ok(());
        }
        match self.first_missing(&update) {
            None => self.apply_and_release(update, now_us, effects),
            Some(missing) => {
                self.delayed_total += 1;
                if self.pending.hold(Held { update, missing, since_us: now_us }) {
                    effects.push(Effect::Hold { version, missing });
                }
            }
        }
        Ok(())
    }

    /// The gate that makes the store causal: what must be applied before this update, and is not.
    /// It asks for the exact write, never for a stored version that is "new enough".
    fn first_missing(&self, update: &Update) -> Option<Version> {
        let mut before =
            update.predecessor().into_iter().chain(update.dependencies.iter().copied());
        before.find(|&version| !self.applied.covers(version))
    }

    /// Whether what is applied of the update's chain goes on behind its predecessor already.
    fn is_fork(&self, update: &Update) -> bool {
        let before = update.predecessor().filter(|&version| self.applied.covers(version));
        before.is_some_and(|version| !self.applied.ends_at(version))
    }

    fn apply_and_release(&mut self, update: Update, now_us: u64, effects: &mut Vec<Effect>) {
        let mut ready = BinaryHeap::new();
        self.apply(update, None, &mut ready, effects);
        while let Some(Reverse(ByVersion(held))) = ready.pop() {
            match self.first_missing(&held.update) {
                None => {
                    let waited_us = now_us.saturating_sub(held.since_us);
                    self.apply(held.update, Some(waited_us), &mut ready, effects);
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
        waited_us: Option<u64>,
        ready: &mut BinaryHeap<Reverse<ByVersion>>,
        effects: &mut Vec<Effect>,
    ) {
        let Version { timestamp, server } = update.version;
        if !self.applied.advance(update.version, update.predecessor) {
            // Of two held updates that follow the same one, the second is dropped.
            return;
        }
        // Newly covered is what lies behind the predecessor.
        let first = if update.predecessor == 0 { timestamp } else { update.predecessor + 1 };
        let released = self.pending.take_waiting(server, first, timestamp);
        ready.extend(released.into_iter().map(|held| Reverse(ByVersion(held))));
        effects.push(Effect::Apply { update, waited_us });
    }

    /// Rule R4: a peer announced its clock. The next local write will be above it.
    ///
    /// # Errors
    /// The clock is too far ahead and was not taken.
    pub fn witness(&mut self, clock: u64, now_us: u64) -> Result<(), TooFarAhead> {
        self.clock.witness(clock, now_us)
    }

    /// Rule R4: a peer told what it has applied. It must not know a chain of this server that
    /// reaches into this life and is not this life's own.
    ///
    /// # Errors
    /// [`Refusal::Reused`]: this replica must stop.
    pub fn check_peer(&self, applied: &Applied) -> Result<(), Refusal> {
        let own = applied.iter().filter(|&(server, _)| server == self.id);
        let version = |timestamp| Version { timestamp, server: self.id };
        for (_, chain) in own {
            let Some((first, last)) = self.chain else { break };
            let foreign = chain.first != first && chain.last >= first;
            let beyond = chain.first == first && chain.last > last;
            if foreign || beyond {
                return Err(Refusal::Reused(version(chain.last)));
            }
        }
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

    /// All writes of this life are above this timestamp; `None` while it may not write yet.
    pub fn writes_above(&self) -> Option<u64> {
        self.writes_above
    }

    /// How many updates were ever held back.
    pub fn delayed_total(&self) -> u64 {
        self.delayed_total
    }
}

/// Held updates in the order of their versions, so that a release is the same at every run.
#[derive(Clone, Debug)]
struct ByVersion(Held);

impl PartialEq for ByVersion {
    fn eq(&self, other: &Self) -> bool {
        self.0.update.version == other.0.update.version
    }
}

impl Eq for ByVersion {}

impl PartialOrd for ByVersion {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByVersion {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.update.version.cmp(&other.0.update.version)
    }
}
