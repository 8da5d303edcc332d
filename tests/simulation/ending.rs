//! The end of a schedule: everything is healed and sent again until it is quiet. Then all servers
//! must be the same, and only what is lost for ever may be missing.

use causal_kv::core::Order;

use super::Flaw;
use super::node::Node;
use super::oracle::{Promise, Violation, WRITES_MAX, check, numbers, only};
use super::random::shuffle;
use super::world::World;

impl World {
    /// Plays the end and checks it.
    pub(crate) fn end(&mut self) -> Result<(), Violation> {
        self.cuts.clear();
        self.now_us += 10_000;
        self.open_who_may();
        self.deliver_all()?;
        loop {
            let before = self.nodes.iter().map(|node| node.shown).collect::<Vec<_>>();
            for to in 0..self.nodes.len() {
                for from in (0..self.nodes.len()).filter(|&from| from != to) {
                    self.resend(from, to)?;
                }
                self.deliver_all()?;
            }
            self.open_who_may();
            if self.nodes.iter().map(|node| node.shown).eq(before) {
                break;
            }
        }
        self.check_lost()?;
        self.forget_all()?;
        self.check_equal()?;
        self.check_given_up()
    }

    /// When all tell each other everything, nothing is held any more and no delete is kept.
    fn forget_all(&mut self) -> Result<(), Violation> {
        if Flaw::order(self.flaw) != Order::Causal {
            return Ok(());
        }
        let keeps = |node: &Node| {
            let (server, store) = (&node.server.replica, &node.server.store);
            !server.pending().is_empty() || store.delete_count() > 0
        };
        for _ in 0..=WRITES_MAX {
            if !self.nodes.iter().any(keeps) {
                return Ok(());
            }
            for one in 0..self.nodes.len() {
                (0..one).try_for_each(|other| self.greet(one, other))?;
            }
            (0..self.nodes.len()).try_for_each(|place| self.forget(place))?;
        }
        let keeper = self.nodes.iter().find(|node| keeps(node));
        check(keeper.is_none(), Promise::Release, || {
            let tell = |node: &Node| {
                let (replica, deletes) = (&node.server.replica, node.server.store.delete_count());
                let held = replica.pending().len();
                format!("{}: {held} {deletes} {} {:?}", replica.id(), replica.applied(), node.known)
            };
            let all = self.nodes.iter().map(tell).collect::<Vec<_>>().join("; ");
            format!("updates are held or deletes kept for ever: {all}")
        })
    }

    fn deliver_all(&mut self) -> Result<(), Violation> {
        while !self.messages.is_empty() {
            let mut messages = std::mem::take(&mut self.messages);
            shuffle(&mut self.random, &mut messages);
            for message in messages {
                self.hand_over(message)?;
            }
        }
        Ok(())
    }

    fn check_equal(&self) -> Result<(), Violation> {
        let first = &self.nodes[0];
        for node in &self.nodes[1..] {
            let (one, other) = (&first.server, &node.server);
            let same = first.shown == node.shown
                && one.store == other.store
                && one.replica.applied() == other.replica.applied();
            check(same, Promise::Convergence, || {
                let (here, there) = (one.replica.applied(), other.replica.applied());
                format!("the end differs: '{here}' here and '{there}' there")
            })?;
        }
        Ok(())
    }

    /// What is missing now either died with its only holder or waits for such a write.
    fn check_lost(&mut self) -> Result<(), Violation> {
        let all = self.oracle.writes.len();
        let mut gone = (0..all).fold(0, |set, number| set | only(number)) & !self.nodes[0].shown;
        let missing = gone;
        for node in &self.nodes {
            for held in node.server.replica.pending().iter() {
                gone &= !only(self.oracle.number(held.update.version)?);
                self.tally.stranded += 1;
            }
        }
        check(gone & !self.dropped == 0, Promise::Convergence, || {
            format!("{} vanished, and no restart took it", self.oracle.tell(gone & !self.dropped))
        })?;
        self.tally.lost += u64::from(gone.count_ones());
        for number in numbers(missing & !gone) {
            let waits_for_lost = self.oracle.writes[number].before & gone != 0;
            check(waits_for_lost, Promise::Convergence, || {
                format!("{} is held, and nothing it needs is lost", self.oracle.version(number))
            })?;
        }
        Ok(())
    }
}
