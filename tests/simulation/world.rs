//! The world: servers, sessions and what is under way between them; one random step at a time.

use std::collections::BTreeSet;

use causal_kv::core::{Change, Limits, Shown};

use super::node::Node;
use super::oracle::{Oracle, Promise, Violation, WRITES_MAX, Writes, check, only};
use super::random::Random;
use super::session::Session;
use super::{Flaw, Tally};
use crate::shared::Snapshot;

/// How far the clocks may be apart, in microseconds; a step takes about ten. One is drawn for each
/// schedule.
const SKEWS_US: [usize; 5] = [0, 0, 0, 300, 1_000];
/// How often a session asks in vain before it is given up for a fresh one.
const PATIENCE: usize = 4;

/// Something on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) what: What,
}

/// What is on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// A write, by its number.
    Update(usize),
    /// A snapshot, by its place among all that were made.
    Snapshot(usize),
}

/// How often things happen in a schedule, in percent of the steps.
#[derive(Debug)]
struct Rates {
    operate: usize,
    resend: usize,
    cut: usize,
    restart: usize,
    trim: usize,
    /// Percent of the messages.
    lose: u64,
}

/// Everything in one schedule.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) steps: usize,
    rates: Rates,
    keys: usize,
    pub(crate) flaw: Option<Flaw>,
    pub(super) now_us: u64,
    pub(crate) nodes: Vec<Node>,
    sessions: Vec<Session>,
    pub(crate) messages: Vec<Message>,
    /// Every snapshot that was sent, with the writes that it has.
    pub(super) snapshots: Vec<(Snapshot, Writes)>,
    /// Pairs, the lower one first, that cannot talk.
    pub(crate) cuts: BTreeSet<(usize, usize)>,
    pub(crate) oracle: Oracle,
    /// What restarts took out of some log.
    pub(crate) dropped: Writes,
    pub(crate) tally: Tally,
}

impl World {
    pub(crate) fn new(seed: u64, flaw: Option<Flaw>) -> Self {
        let mut random = Random::new(seed);
        let skew_us_max = SKEWS_US[random.place(SKEWS_US.len())];
        let limits = if random.chance(30) {
            Limits { updates_max: 1 + random.place(4), ..Limits::default() }
        } else {
            Limits::default()
        };
        let mut nodes = Vec::new();
        for id in 1..=3 + random.place(3) {
            let skew_us = random.place(skew_us_max + 1) as u64;
            let id = u32::try_from(id).expect("a few");
            nodes.push(Node::new(Flaw::order(flaw), id, skew_us, limits));
        }
        let sessions = (0..2 + random.place(4)).map(|n| Session::new(n % nodes.len())).collect();
        let rates = Rates {
            operate: 20 + random.place(30),
            resend: random.place(8),
            cut: random.place(5),
            restart: random.place(8),
            trim: random.place(10),
            lose: random.below(50),
        };
        Self {
            steps: 50 + random.place(100),
            keys: 2 + random.place(3),
            rates,
            flaw,
            now_us: 1_000,
            nodes,
            sessions,
            messages: Vec::new(),
            snapshots: Vec::new(),
            cuts: BTreeSet::new(),
            oracle: Oracle::default(),
            dropped: 0,
            tally: Tally::default(),
            random,
        }
    }

    /// One random step.
    pub(crate) fn step(&mut self) -> Result<(), Violation> {
        self.now_us += 1 + self.random.place(20) as u64;
        self.open_who_may();
        let Rates { operate, resend, cut, restart, trim, .. } = self.rates;
        let kind = self.random.place(100);
        if kind < operate {
            self.operate()
        } else if kind < operate + resend {
            let (from, to) = self.pair();
            self.resend(from, to)
        } else if kind < operate + resend + cut {
            self.cut_or_heal();
            Ok(())
        } else if kind < operate + resend + cut + restart {
            self.restart()
        } else if kind < operate + resend + cut + restart + trim {
            self.trim()
        } else {
            self.deliver_one()
        }
    }

    pub(super) fn node(&mut self) -> usize {
        self.random.place(self.nodes.len())
    }

    /// Two different servers.
    fn pair(&mut self) -> (usize, usize) {
        let (from, step) = (self.node(), 1 + self.random.place(self.nodes.len() - 1));
        (from, (from + step) % self.nodes.len())
    }

    pub(super) fn connected(&self, one: usize, other: usize) -> bool {
        !self.cuts.contains(&(one.min(other), one.max(other)))
    }

    fn cut_or_heal(&mut self) {
        let (one, other) = self.pair();
        let pair = (one.min(other), one.max(other));
        if !self.cuts.remove(&pair) {
            self.cuts.insert(pair);
        }
    }

    /// Delivers, loses or repeats one of the messages under way. Any may be next: they overtake.
    fn deliver_one(&mut self) -> Result<(), Violation> {
        if self.messages.is_empty() {
            return Ok(());
        }
        let index = self.random.place(self.messages.len());
        let message = self.messages[index];
        if self.random.chance(self.rates.lose) {
            self.messages.swap_remove(index);
            return Ok(());
        }
        if !self.connected(message.from, message.to) {
            return Ok(());
        }
        if !self.random.chance(15) {
            self.messages.swap_remove(index);
        }
        self.hand_over(message)
    }

    /// A message arrives.
    pub(crate) fn hand_over(&mut self, message: Message) -> Result<(), Violation> {
        match message.what {
            What::Update(number) => self.deliver(message.to, number),
            What::Snapshot(place) => self.install(message.to, place),
        }
    }

    /// A server receives a write; then all that must hold of it is checked.
    pub(crate) fn deliver(&mut self, to: usize, number: usize) -> Result<(), Violation> {
        let node = &mut self.nodes[to];
        let (shown, held) = (node.shown, node.server.replica.delayed_total());
        let asks_again = node.receive(number, self.now_us, &self.oracle)?;
        let mine = self.oracle.version(number).server == node.server.replica.id();
        self.tally.returned += u64::from(mine && shown & only(number) == 0);
        self.tally.held += node.server.replica.delayed_total() - held;
        node.check(&self.oracle)?;
        if asks_again {
            self.tally.asked_again += 1;
            self.fetch(to)?;
        }
        Ok(())
    }

    /// All that can reach a server send it what it lacks.
    pub(super) fn fetch(&mut self, to: usize) -> Result<(), Violation> {
        (0..self.nodes.len()).filter(|&from| from != to).try_for_each(|from| self.resend(from, to))
    }

    /// A server stops and starts: without data, or with a part of its log.
    fn restart(&mut self) -> Result<(), Violation> {
        let place = self.node();
        let length = self.nodes[place].server.log.len();
        // A log without gaps is what a start with a log relies on.
        let gaps = Flaw::order(self.flaw).may_leave_gaps();
        let kept = (!gaps && self.random.chance(50)).then(|| self.random.place(length + 1));
        if kept.is_none() {
            self.tally.restarts_empty += 1;
        } else {
            self.tally.restarts_with_log += 1;
        }
        self.dropped |= self.nodes[place].restart(kept, &self.oracle)?;
        self.nodes[place].check(&self.oracle)?;
        if self.flaw == Some(Flaw::AsksNoClock) {
            return Ok(());
        }
        // Rule R4: what reachable peers know is witnessed; for what the others may know, it waits.
        let skew_us = self.nodes.iter().map(|node| node.skew_us).max().unwrap_or_default();
        self.nodes[place].opens_at = self.now_us + skew_us + 1;
        self.fetch(place)
    }

    fn open_who_may(&mut self) {
        for place in 0..self.nodes.len() {
            let node = &self.nodes[place];
            if node.server.replica.writes_above().is_some() || node.opens_at > self.now_us {
                continue;
            }
            for peer in 0..self.nodes.len() {
                if self.connected(place, peer) && self.flaw != Some(Flaw::AsksNoClock) {
                    let clock = self.nodes[peer].server.replica.clock().last();
                    let taken = self.nodes[place].server.replica.witness(clock, self.now_us);
                    taken.expect("the clocks are less than a minute apart");
                }
            }
            self.nodes[place].server.replica.open();
        }
    }

    /// A session does something, if its server has all that it depends on.
    fn operate(&mut self) -> Result<(), Violation> {
        let who = self.random.place(self.sessions.len());
        let at = self.sessions[who].at;
        if !self.sessions[who].can_use(self.nodes[at].server.replica.applied()) {
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
        check(shown == expected, Promise::LastWriter, || {
            format!("{key} is {shown:?} and should be {expected:?}")
        })?;
        let version = shown.version();
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
                self.messages.push(Message { from, to, what: What::Update(number) });
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
