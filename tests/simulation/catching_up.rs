//! How a server of the simulation gets what it lacks: one by one while the log of another still has
//! it all, else by snapshot (rules R6 and R7).

use causal_kv::core::Order;

use super::Flaw;
use super::oracle::{Promise, Violation, check, only};
use super::world::{Message, What, World};

impl World {
    /// A link resumes: the receiver says what it has applied, the sender sends what is missing,
    /// whoever wrote it.
    pub(crate) fn resend(&mut self, from: usize, to: usize) -> Result<(), Violation> {
        if !self.connected(from, to) {
            return Ok(());
        }
        self.greet(from, to)?;
        if self.is_joining(from) {
            return Ok(());
        }
        if self.is_joining(to) {
            self.send_snapshot(from, to);
            return Ok(());
        }
        let (id, applied) = {
            let replica = &self.nodes[to].server.replica;
            (replica.id(), replica.applied().clone())
        };
        let greeted = self.nodes[from].server.replica.check_peer(id, &applied);
        check(greeted.is_ok(), Promise::Uniqueness, || format!("hello is refused: {greeted:?}"))?;
        let life = self.life(from);
        let (sender, receiver) = (&self.nodes[from], &self.nodes[to]);
        let reaches = applied.covers_all(&sender.server.base.applied);
        if !reaches && self.flaw != Some(Flaw::ForgetsBase) {
            self.send_snapshot(from, to);
            return Ok(());
        }
        for update in sender.server.unknown_to(&applied) {
            let number = self.oracle.number(update.version)?;
            let acknowledged = receiver.received & only(number) != 0;
            if !(acknowledged && self.flaw == Some(Flaw::AcknowledgesReceipt)) {
                self.messages.push(Message { from, to, life, what: What::Update(number) });
            }
        }
        Ok(())
    }

    fn send_snapshot(&mut self, from: usize, to: usize) {
        let node = &self.nodes[from];
        let mut snapshot = node.server.snapshot();
        if self.flaw == Some(Flaw::ClaimsTooMuch) {
            snapshot.store = node.server.base.store.clone();
        }
        let shown = node.shown;
        let what = What::Snapshot(self.snapshots.len());
        self.messages.push(self.message(from, to, what));
        self.snapshots.push((snapshot, shown));
    }

    /// A server takes in a snapshot, new or old; then all that must hold of it is checked.
    pub(super) fn install(&mut self, to: usize, place: usize) -> Result<(), Violation> {
        let (snapshot, shown) = &self.snapshots[place];
        let node = &mut self.nodes[to];
        let (before, held) = (node.shown, node.server.replica.pending().len());
        let asks_again = node.install(snapshot, *shown, self.now_us, &self.oracle)?;
        self.tally.installed += u64::from(shown & !before != 0);
        self.tally.released += (held - node.server.replica.pending().len()) as u64;
        node.check(&self.oracle)?;
        if asks_again {
            self.tally.asked_again += 1;
            self.fetch(to)?;
        }
        Ok(())
    }

    /// A server trims its log. Only the rule `causal` has snapshots to make up for it.
    pub(super) fn trim(&mut self) -> Result<(), Violation> {
        if Flaw::order(self.flaw) != Order::Causal {
            return Ok(());
        }
        let place = self.node();
        let count = self.random.place(self.nodes[place].server.log.len() + 1);
        self.nodes[place].trim(count, &self.oracle)
    }
}
