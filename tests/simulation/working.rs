//! What the sessions of the simulation do: they read, write, move, and are given up for fresh ones.

use causal_kv::core::{Change, Shown};

use super::oracle::{Promise, Violation, WRITES_MAX, check};
use super::session::Session;
use super::world::{What, World};

/// How often a session asks in vain before it is given up for a fresh one.
const PATIENCE: usize = 4;

impl World {
    /// A session does something, if its server has all that it depends on.
    pub(super) fn operate(&mut self) -> Result<(), Violation> {
        let who = self.random.place(self.sessions.len());
        let at = self.sessions[who].at;
        let ready = self.sessions[who].can_use(self.nodes[at].server.replica.applied());
        if !ready || self.is_joining(at) {
            self.wait(who);
            return Ok(());
        }
        self.sessions[who].refused = 0;
        match self.random.place(100) {
            0..45 => self.write(who),
            45..80 => self.read(who),
            80..85 => {
                let node = &self.nodes[at];
                self.sessions[who].saw_all(node.server.replica.applied());
                for number in super::oracle::numbers(node.shown) {
                    self.sessions[who].add(number, &self.oracle);
                }
                Ok(())
            }
            85..90 => {
                self.sessions[who] = Session::new(at);
                Ok(())
            }
            _ => {
                self.try_to_move(who);
                Ok(())
            }
        }
    }

    /// Its server is not ready: it looks for another, and in the end begins anew.
    fn wait(&mut self, who: usize) {
        self.sessions[who].refused += 1;
        self.try_to_move(who);
        if self.sessions[who].refused > PATIENCE {
            self.sessions[who] = Session::new(self.node());
        }
    }

    fn try_to_move(&mut self, who: usize) {
        let to = self.node();
        if self.sessions[who].can_use(self.nodes[to].server.replica.applied()) {
            self.tally.moves += u64::from(self.sessions[who].at != to);
            self.sessions[who].at = to;
        }
    }

    fn read(&mut self, who: usize) -> Result<(), Violation> {
        let key = format!("k{}", self.random.place(self.keys));
        let session = &mut self.sessions[who];
        let node = &self.nodes[session.at];
        let shown = node.server.store.read(&key);
        let expected = self.oracle.expected(&key, node.shown);
        let nothing = |shown| matches!(shown, Shown::Nothing(_));
        let forgotten = shown == Shown::Nothing(None) && nothing(expected);
        check(shown == expected || forgotten, Promise::LastWriter, || {
            format!("{key} is {shown:?} and should be {expected:?}")
        })?;
        // A context cannot name a delete that was forgotten. The session remembers it all the same.
        let version = expected.version();
        if let Some(version) = version.filter(|_| forgotten && self.strict) {
            session.remember(&key, version);
        }
        check(!session.goes_back(&key, version), Promise::Session, || {
            format!("{key} went back to {version:?} for {session:?}")
        })?;
        if let Shown::Value(_, version) | Shown::Nothing(Some(version)) = shown {
            session.saw(&key, version, node.server.replica.applied());
            session.add(self.oracle.number(version)?, &self.oracle);
        }
        self.tally.reads += 1;
        Ok(())
    }

    fn write(&mut self, who: usize) -> Result<(), Violation> {
        if self.oracle.writes.len() == WRITES_MAX {
            return Ok(());
        }
        let changes = self.changes();
        let session = &mut self.sessions[who];
        let node = &mut self.nodes[session.at];
        let dependencies = session.dependencies(self.flaw);
        let now_us = self.now_us + node.skew_us;
        let Ok(update) = node.server.write(dependencies, changes, now_us) else {
            return Ok(()); // it loads; the session is as it was
        };
        session.wrote(update.version, node.server.replica.applied());
        for change in &update.changes {
            session.remember(&change.key, update.version);
        }
        let from = session.at;
        let number = self.oracle.record(update, session.past, session.before)?;
        session.add(number, &self.oracle);
        node.show(number);
        self.tally.writes += 1;
        self.publish(from, number)
    }

    /// A new write: nobody else may take it for applied, and it goes out to all.
    fn publish(&mut self, from: usize, number: usize) -> Result<(), Violation> {
        self.nodes[from].check(&self.oracle)?;
        for to in (0..self.nodes.len()).filter(|&to| to != from) {
            self.nodes[to].check_coverage(number, &self.oracle)?;
            if self.connected(from, to) {
                let message = self.message(from, to, What::Update(number));
                self.messages.push(message);
            }
        }
        Ok(())
    }

    /// One change or, now and then, one of each of two keys; some are deletes.
    fn changes(&mut self) -> Vec<Change> {
        let first = self.random.place(self.keys);
        let several = self.random.chance(20);
        let keys = [first, (first + 1) % self.keys];
        let mut changes = Vec::new();
        for key in &keys[..=usize::from(several)] {
            let value = format!("v{}", self.oracle.writes.len());
            let value = (!self.random.chance(20)).then_some(value);
            changes.push(Change { key: format!("k{key}"), value });
        }
        changes
    }
}
