//! Rule R7: a snapshot is taken in, in one step.
//!
//! A snapshot is all that another server showed at one moment, and what it had applied by then. So
//! it has no effect without its cause, and neither has what comes of putting it together with what
//! is here: for each key the higher version, for each chain the longer part.

use super::{Checkpoint, Ready, Replica};
use crate::core::applied::{Applied, Chain};
use crate::core::effect::{Effect, Refusal};
use crate::core::version::Version;

impl Replica {
    /// Whether a snapshot of a server that had applied `applied`, and had this clock, may be
    /// [installed](Self::install) here. `now_us` is the physical time.
    ///
    /// # Errors
    /// Why not: as for [`receive`](Self::receive) and [`check_peer`](Self::check_peer).
    pub fn check_snapshot(
        &self,
        applied: &Applied,
        clock: u64,
        now_us: u64,
    ) -> Result<(), Refusal> {
        self.check_own(applied)?;
        if let Some(version) = self.applied.conflict(applied) {
            return Err(Refusal::Forked(version));
        }
        let highest = applied.iter().map(|(_, chain)| chain.last).max().unwrap_or_default();
        self.clock.clone().witness(clock.max(highest), now_us).map_err(Refusal::Clock)
    }

    /// Whether others know a chain of this server that reaches into this life and is not its own.
    pub(super) fn check_own(&self, applied: &Applied) -> Result<(), Refusal> {
        let Some((first, last)) = self.chain else { return Ok(()) };
        let is_wrong = |&(server, chain): &(u32, Chain)| {
            let foreign = chain.first != first && chain.last >= first;
            let beyond = chain.first == first && chain.last > last;
            server == self.id && (foreign || beyond)
        };
        let reused = |(server, chain): (u32, Chain)| Version { timestamp: chain.last, server };
        let wrong = applied.iter().find(is_wrong).map(reused);
        wrong.map_or(Ok(()), |version| Err(Refusal::Reused(version)))
    }

    /// If this life has not written yet, it will write above what others know of its older ones.
    pub(super) fn write_above(&mut self, applied: &Applied) {
        let own = applied.iter().filter(|&(server, _)| server == self.id);
        if let (None, Some(above)) = (self.chain, self.writes_above) {
            let known = own.map(|(_, chain)| chain.last.min(self.clock.last())).max();
            self.writes_above = Some(above.max(known.unwrap_or_default()));
        }
    }

    /// Takes in what a snapshot has, in one step; the surroundings merge its store into theirs, as
    /// last-writer-wins has it, *before* they do what `effects` say: that is what was held back
    /// here and waited for something that the snapshot has. What the snapshot has itself is held no
    /// longer. Only for the rule `causal`.
    ///
    /// # Errors
    /// A [`Refusal`]; the replica is as it was.
    pub fn install(
        &mut self,
        applied: &Applied,
        clock: u64,
        now_us: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.check_snapshot(applied, clock, now_us)?;
        let highest = applied.iter().map(|(_, chain)| chain.last).max().unwrap_or_default();
        self.clock.witness(clock.max(highest), now_us).map_err(Refusal::Clock)?;
        self.write_above(applied);
        self.applied.raise_all(applied);
        let held = self.pending.iter().map(|held| held.update.version);
        let covered: Vec<Version> = held.filter(|&version| applied.covers(version)).collect();
        for version in covered {
            self.pending.remove(version);
        }
        let mut ready = Ready::new();
        for (server, chain) in applied.iter() {
            let last = Version { timestamp: chain.last, server };
            self.take_waiting(chain.first, last, &mut ready);
        }
        self.release(ready, now_us, effects);
        Ok(())
    }
}

impl Checkpoint {
    /// A snapshot was installed behind the checkpoint, and stays whatever is undone.
    pub fn install(&mut self, applied: &Applied) {
        self.applied.raise_all(applied);
    }
}
