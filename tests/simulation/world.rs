//! The world: servers, sessions and what is under way between them; one random step at a time.

use std::collections::BTreeSet;

use causal_kv::core::Limits;

use super::node::Node;
use super::oracle::{Oracle, Violation, Writes, only};
use super::random::Random;
use super::session::Session;
use super::telling::Status;
use super::{Flaw, Tally};
use crate::shared::Snapshot;

/// How far the clocks may be apart, in microseconds; a step takes about ten. One is drawn for each
/// schedule.
const SKEWS_US: [usize; 5] = [0, 0, 0, 300, 1_000];

/// Something on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(super) from: usize,
    pub(super) to: usize,
    /// The sender's life.
    pub(super) life: u64,
    pub(super) what: What,
}

/// What is on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// A write, by its number.
    Update(usize),
    /// A snapshot, by its place among all that were made.
    Snapshot(usize),
    /// What the sender said of itself, by its place among all that was said.
    Status(usize),
}

/// How often things happen in a schedule, in percent of the steps.
#[derive(Debug)]
struct Rates {
    operate: usize,
    resend: usize,
    cut: usize,
    restart: usize,
    trim: usize,
    tell: usize,
    forget: usize,
    /// Percent of the messages.
    lose: u64,
}

/// Everything in one schedule.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) steps: usize,
    rates: Rates,
    pub(super) keys: usize,
    pub(crate) flaw: Option<Flaw>,
    pub(super) now_us: u64,
    pub(crate) nodes: Vec<Node>,
    pub(super) sessions: Vec<Session>,
    pub(crate) messages: Vec<Message>,
    /// Every snapshot that was sent, with the writes that it has.
    pub(super) snapshots: Vec<(Snapshot, Writes)>,
    /// Pairs, the lower one first, that cannot talk.
    pub(crate) cuts: BTreeSet<(usize, usize)>,
    pub(crate) oracle: Oracle,
    /// All that servers said of themselves.
    pub(super) statuses: Vec<Status>,
    /// How many statuses there were.
    pub(super) said: u64,
    /// What restarts took out of some log.
    pub(crate) dropped: Writes,
    /// What was dropped for ever while it was held.
    pub(crate) given_up: Writes,
    /// No server loses the end of its log, or begins with nothing while another has data. Only then
    /// a session that saw nothing where a delete was forgotten never sees what was there before.
    pub(super) strict: bool,
    lives: u64,
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
        for place in 0..nodes.len() {
            nodes[place].known.lives = (1..).zip(&nodes).map(|(id, _)| (id, 1)).collect();
        }
        let sessions = (0..2 + random.place(4)).map(|n| Session::new(n % nodes.len())).collect();
        // Deletes are forgotten only while all goes well.
        let calm = random.chance(30);
        let rates = Rates {
            operate: 20 + random.place(30),
            resend: random.place(8),
            cut: if calm { 0 } else { random.place(5) },
            restart: random.place(8),
            trim: random.place(10),
            tell: random.place(15),
            forget: random.place(10),
            lose: if calm { 0 } else { random.below(50) },
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
            statuses: Vec::new(),
            said: 0,
            dropped: 0,
            given_up: 0,
            strict: random.chance(50),
            lives: 1,
            tally: Tally::default(),
            random,
        }
    }

    /// One random step.
    pub(crate) fn step(&mut self) -> Result<(), Violation> {
        self.now_us += 1 + self.random.place(20) as u64;
        self.open_who_may();
        let Rates { operate, resend, cut, restart, trim, tell, forget, .. } = self.rates;
        let kind = self.random.place(125);
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
        } else if kind < operate + resend + cut + restart + trim + tell {
            let from = self.node();
            self.tell(from);
            Ok(())
        } else if kind < operate + resend + cut + restart + trim + tell + forget {
            let place = self.node();
            self.forget(place)
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
        if self.is_outlived(message) {
            return Ok(());
        }
        match message.what {
            What::Status(place) => self.hear_status(message.to, place),
            // What comes one by one is no use before the snapshot (rule R8).
            What::Update(_) if self.is_joining(message.to) => Ok(()),
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
        let kept = kept.map(|kept| if self.strict { length } else { kept });
        self.lives += 1;
        let id = self.nodes[place].server.replica.id();
        self.nodes[place].known.begin(id, self.lives);
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

    pub(super) fn open_who_may(&mut self) {
        self.join_empty();
        for place in 0..self.nodes.len() {
            let node = &self.nodes[place];
            if self.is_joining(place)
                || node.server.replica.writes_above().is_some()
                || node.opens_at > self.now_us
            {
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
}
