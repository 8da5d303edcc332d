//! Rules R9 and R10: what can never be shown, and deletes that no older write can follow any more,
//! are forgotten.

use super::Replica;
use crate::core::applied::{Applied, Chain};
use crate::core::effect::{Effect, Refusal};
use crate::core::records::Settled;
use crate::core::version::Version;

impl Replica {
    /// Rule R9: drops what is held back for a write that no server has or can ever get, and what
    /// waits for that in turn. Gives each dropped update with what it waited for, causes first. There
    /// may be room again for others: `effects` tell.
    pub fn drop_lost(
        &mut self,
        settled: &Settled,
        effects: &mut Vec<Effect>,
    ) -> Vec<(Version, Version)> {
        let is_lost = |missing| !self.pending.contains(missing) && settled.is_lost(missing);
        let held = self.pending.iter().map(|held| (held.update.version, held.missing));
        let lost = held.filter(|&(version, missing)| settled.is_over(version) && is_lost(missing));
        let mut dropped: Vec<(Version, Version)> = lost.collect();
        let mut next = 0;
        while let Some(&(version, _)) = dropped.get(next) {
            next += 1;
            self.pending.remove(version);
            // Nobody can ever show it, so nobody can show what comes behind it.
            let waited =
                self.pending.take_waiting(version.server, version.timestamp, version.timestamp);
            dropped.extend(waited.into_iter().map(|held| (held.update.version, version)));
        }
        if self.pending.wants_again() {
            effects.push(Effect::AskAgain);
        }
        dropped
    }

    /// What all writes of this life are above, as exactly as can be said: before the first one,
    /// above the clock. `None` while it may not write. For [`Record::above`](super::super::Record).
    pub fn writes_only_above(&self) -> Option<u64> {
        let clock = if self.chain.is_none() { self.clock.last() } else { 0 };
        self.writes_above.map(|above| above.max(clock))
    }

    /// Rule R10: deletes up to this timestamp may be forgotten from now on, or have been elsewhere.
    pub fn raise_floor(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
    }

    /// Up to which timestamp deletes may have been forgotten.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// A peer has applied this. If it is one of whose writes nobody knew when deletes were forgotten,
    /// it must not be let in with them: an older one would bring a deleted key back here, and not
    /// where the delete is still known.
    ///
    /// # Errors
    /// [`Refusal::Stranger`].
    pub fn check_stranger(&self, peer: u32, applied: &Applied) -> Result<(), Refusal> {
        let unknown = |&(server, chain): &(u32, Chain)| {
            let first = Version { timestamp: chain.first, server };
            server == peer && chain.first <= self.floor && !self.applied.covers(first)
        };
        let stranger = applied.iter().find(unknown);
        let stranger = stranger.map(|(server, chain)| Version { timestamp: chain.first, server });
        stranger.map_or(Ok(()), |version| Err(Refusal::Stranger(version)))
    }
}
