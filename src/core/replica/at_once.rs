//! The usual case of rule R2: an update that may be shown as soon as it has come.

use super::Replica;
use crate::core::effect::Refusal;
use crate::core::order::Order;
use crate::core::update::Update;

impl Replica {
    /// Rule R2 for the usual case, in which nobody need own the update: it follows the last one applied
    /// of its origin, so it is neither a duplicate nor a fork; it may be shown at once, and nothing is
    /// held that it could release. `update` is only looked at, and not at its changes. Gives
    /// whether it is applied now, as after an
    /// [`Effect::Apply`](crate::core::Effect::Apply); if not, [`receive`](Self::receive)
    /// takes it.
    pub fn apply_at_once(&mut self, update: &Update, now_us: u64) -> bool {
        let Update { version, predecessor, .. } = *update;
        self.rules.order == Order::Causal
            && self.pending.is_empty()
            && version.server != self.id
            && update.is_well_formed()
            && self.applied.latest(version.server) == update.predecessor()
            && update.dependencies.iter().all(|&dependency| self.applied.covers(dependency))
            && self.clock.witness(version.timestamp, now_us).is_ok()
            && self.applied.advance(version, predecessor)
    }

    /// What no honest peer would send.
    pub(super) fn check(&self, update: &Update) -> Result<(), Refusal> {
        let version = update.version;
        if !update.is_well_formed() {
            return Err(Refusal::Malformed(version));
        }
        let covered = self.has_applied(version);
        if !covered && self.is_of_this_life(version) {
            return Err(Refusal::Reused(version));
        }
        if !covered && self.is_fork(update) {
            return Err(Refusal::Forked(version));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Change, ClockKind, Effect, Limits, Version};

    fn update(timestamp: u64, predecessor: u64, dependencies: &[Version]) -> Update {
        let change = Change { key: "k".to_owned(), value: None };
        Update {
            version: Version { timestamp, server: 2 },
            predecessor,
            dependencies: dependencies.to_vec(),
            dependency_keys: Vec::new(),
            told: false,
            changes: vec![change],
        }
    }

    fn replica(order: Order) -> Replica {
        let mut replica = Replica::new(1, ClockKind::Logical, order, Limits::default());
        replica.open();
        replica
    }

    /// Invariant I1 on the short way: what `receive` would hold, drop or refuse is left to it, and
    /// what it would apply ends in the same state.
    #[test]
    fn only_what_would_be_applied_alone_is_applied_at_once() {
        let missing = Version { timestamp: 2, server: 3 };
        let updates = [
            (update(5, 0, &[]), true),
            (update(5, 0, &[]), false),        // a duplicate
            (update(9, 7, &[]), false),        // its predecessor is missing
            (update(7, 5, &[missing]), false), // so is a dependency
            (update(6, 6, &[]), false),        // malformed
            (update(4, 5, &[]), false),        // it would be older than its predecessor
            (update(6, 5, &[]), true),
            (update(8, 5, &[]), false), // a fork
        ];
        let (mut short, mut long) = (replica(Order::Causal), replica(Order::Causal));
        for (update, usual) in updates {
            let before = short.applied().clone();
            assert_eq!(short.apply_at_once(&update, 0), usual, "{update:?}");
            let mut effects = Vec::new();
            if usual {
                assert_eq!(long.receive(update, 0, &mut effects), Ok(()));
                assert!(matches!(effects[..], [Effect::Apply { waited: None, .. }]));
                assert_eq!(short.clock().last(), long.clock().last());
            }
            let expected = if usual { long.applied() } else { &before };
            assert_eq!(short.applied(), expected);
        }
        let own = short.write(&mut Vec::new(), 0).expect("it is open").version;
        let mut forged = update(own.timestamp + 1, own.timestamp, &[]);
        forged.version.server = own.server;
        assert!(!short.apply_at_once(&forged, 0), "nobody else writes this server's chain");
        assert_eq!(short.receive(update(9, 7, &[]), 0, &mut Vec::new()), Ok(()));
        assert!(!short.apply_at_once(&update(7, 6, &[]), 0), "it releases what is held");
        assert!(!replica(Order::Total).apply_at_once(&update(5, 0, &[]), 0), "nothing is at once");
    }
}
