//! A seeded simulation around the pure core: servers, links that delay, reorder, repeat and lose,
//! cuts, restarts, and sessions that move. After every step an [`oracle`] is asked.

pub(crate) mod catching_up;
pub(crate) mod ending;
pub(crate) mod narrow;
pub(crate) mod node;
pub(crate) mod oracle;
pub(crate) mod random;
pub(crate) mod session;
pub(crate) mod telling;
pub(crate) mod working;
pub(crate) mod world;

use causal_kv::core::Order;
use oracle::Violation;
use world::World;

/// A mistake that is made on purpose, around the core, to see that the simulation notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The servers follow another delivery rule.
    Follows(Order),
    /// A context keeps one version for each server, not for each chain.
    OneVersionAServer,
    /// What was received is never sent again, applied or not.
    AcknowledgesReceipt,
    /// A new life writes at once and asks nobody for a clock.
    AsksNoClock,
    /// A snapshot says that it has more than its store has: the copy was not made exact.
    ClaimsTooMuch,
    /// Whoever has taken a snapshot sends its log as if that were all it has.
    ForgetsBase,
    /// A delete is forgotten without asking anybody.
    ForgetsAlone,
    /// What servers said last is relied on, whether or not they agree on who lives.
    IgnoresLives,
    /// What a dead life has sent is taken, though a newer one is known.
    HearsTheDead,
}

impl Flaw {
    /// The rule that the servers follow.
    pub(crate) fn order(flaw: Option<Self>) -> Order {
        if let Some(Self::Follows(order)) = flaw { order } else { Order::Causal }
    }
}

/// How often the interesting things happened. A simulation in which they do not proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) writes: u64,
    pub(crate) reads: u64,
    pub(crate) moves: u64,
    pub(crate) held: u64,
    pub(crate) asked_again: u64,
    pub(crate) restarts_empty: u64,
    pub(crate) restarts_with_log: u64,
    /// Own updates of an earlier life that a server got back from a peer.
    pub(crate) returned: u64,
    /// Writes that died with their only holder.
    pub(crate) lost: u64,
    /// Updates that wait for such a write for ever.
    pub(crate) stranded: u64,
    /// Snapshots that brought news.
    pub(crate) installed: u64,
    /// Updates that a snapshot released or took the place of.
    pub(crate) released: u64,
    /// Held updates that were dropped for ever.
    pub(crate) given_up: u64,
    /// Deletes that were forgotten.
    pub(crate) forgotten: u64,
}

impl Tally {
    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            writes: self.writes + other.writes,
            reads: self.reads + other.reads,
            moves: self.moves + other.moves,
            held: self.held + other.held,
            asked_again: self.asked_again + other.asked_again,
            restarts_empty: self.restarts_empty + other.restarts_empty,
            restarts_with_log: self.restarts_with_log + other.restarts_with_log,
            returned: self.returned + other.returned,
            lost: self.lost + other.lost,
            stranded: self.stranded + other.stranded,
            installed: self.installed + other.installed,
            released: self.released + other.released,
            given_up: self.given_up + other.given_up,
            forgotten: self.forgotten + other.forgotten,
        }
    }
}

/// Plays one schedule.
pub(crate) fn play(seed: u64, flaw: Option<Flaw>) -> Result<Tally, Violation> {
    let mut world = World::new(seed, flaw);
    for _ in 0..world.steps {
        world.step()?;
    }
    world.end()?;
    Ok(world.tally)
}
