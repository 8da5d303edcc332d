//! What the servers of the simulation tell each other of themselves, who joins with what, and what
//! they forget because of it (rules R5 and R8 to R10).

use std::collections::{BTreeMap, BTreeSet};

use causal_kv::core::{Order, Record, Settled};

use super::Flaw;
use super::oracle::{Promise, Violation, check, only};
use super::world::{Message, What, World};

/// What a server said of itself.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    from: u32,
    clock: u64,
    record: Record,
    /// Counts what was said.
    number: u64,
}

/// What a server knows of all servers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The newest life of each; 0 if only its name is known.
    pub(crate) lives: BTreeMap<u32, u64>,
    /// What that life said last.
    records: BTreeMap<u32, (u64, Record)>,
}

impl Known {
    /// A new life of a server with this id. It is told the names of the others, no more.
    pub(crate) fn begin(&mut self, id: u32, life: u64) {
        self.records.clear();
        self.lives.values_mut().for_each(|other| *other = 0);
        self.lives.insert(id, life);
    }

    fn learn(&mut self, id: u32, life: u64) {
        let known = self.lives.entry(id).or_default();
        if life > *known {
            *known = life;
            self.records.remove(&id);
        }
    }

    /// Takes what a server said, unless it said more since or is dead.
    fn hear(&mut self, own: u32, Status { from, record, number, .. }: Status) {
        for (&id, &life) in record.lives.iter().filter(|&(&id, _)| id != own) {
            self.learn(id, life);
        }
        let newest = record.lives[&from] == self.lives[&from];
        if newest && self.records.get(&from).is_none_or(|(last, _)| *last < number) {
            self.records.insert(from, (number, record));
        }
    }
}

impl World {
    fn id(&self, place: usize) -> u32 {
        self.nodes[place].server.replica.id()
    }

    pub(super) fn life(&self, place: usize) -> u64 {
        self.nodes[place].known.lives[&self.id(place)]
    }

    pub(super) fn message(&self, from: usize, to: usize, what: What) -> Message {
        Message { from, to, life: self.life(from), what }
    }

    /// Whether a message comes from a life that its receiver knows to be over (rule R5).
    pub(super) fn is_outlived(&self, message: Message) -> bool {
        let newest = self.nodes[message.to].known.lives.get(&self.id(message.from)).copied();
        self.flaw != Some(Flaw::HearsTheDead) && newest.unwrap_or_default() > message.life
    }

    /// Sends what a server has to say of itself.
    pub(super) fn tell(&mut self, from: usize) {
        let status = self.status(from);
        self.statuses.push(status);
        let what = What::Status(self.statuses.len() - 1);
        let others = (0..self.nodes.len()).filter(|&to| to != from && self.connected(from, to));
        let messages = others.map(|to| self.message(from, to, what));
        self.messages.extend(messages.collect::<Vec<_>>());
    }

    fn status(&mut self, from: usize) -> Status {
        self.said += 1;
        let record = self.record(from);
        let clock = self.nodes[from].server.replica.clock().last();
        Status { from: self.id(from), clock, record, number: self.said }
    }

    fn record(&self, place: usize) -> Record {
        let node = &self.nodes[place];
        node.server.record(&node.known.lives)
    }

    /// Two servers greet each other: both say at once what they are.
    pub(super) fn greet(&mut self, one: usize, other: usize) -> Result<(), Violation> {
        for (from, to) in [(one, other), (other, one)] {
            let status = self.status(from);
            self.hear(to, status)?;
        }
        Ok(())
    }

    /// A status has arrived.
    pub(super) fn hear_status(&mut self, to: usize, place: usize) -> Result<(), Violation> {
        self.hear(to, self.statuses[place].clone())
    }

    fn hear(&mut self, to: usize, status: Status) -> Result<(), Violation> {
        let (id, node) = (self.id(to), &mut self.nodes[to]);
        let let_in = node.server.replica.check_peer(status.from, &status.record.applied);
        let witnessed = node.server.replica.witness(status.clock, self.now_us);
        witnessed.expect("the clocks are less than a minute apart");
        check(let_in.is_ok(), Promise::Uniqueness, || format!("refused at {id}: {let_in:?}"))?;
        node.known.hear(id, status);
        Ok(())
    }

    /// A server forgets what it may.
    pub(super) fn forget(&mut self, place: usize) -> Result<(), Violation> {
        let id = self.id(place);
        let mut records: BTreeMap<u32, Record> = self.nodes[place]
            .known
            .records
            .iter()
            .map(|(&id, (_, record))| (id, record.clone()))
            .collect();
        records.insert(id, self.record(place));
        if self.flaw == Some(Flaw::ForgetsAlone) {
            let mut own = self.record(place);
            own.lives.retain(|&other, _| other == id);
            records = BTreeMap::from([(id, own)]);
        }
        if self.flaw == Some(Flaw::IgnoresLives) {
            let lives = self.nodes[place].known.lives.clone();
            for record in records.values_mut() {
                record.lives.clone_from(&lives);
            }
        }
        if Flaw::order(self.flaw) != Order::Causal {
            return Ok(());
        }
        let Some(settled) = Settled::new(id, records, BTreeSet::new()) else { return Ok(()) };
        let (lost, deletes) = self.nodes[place].server.forget(&settled);
        for (version, _) in &lost {
            self.given_up |= only(self.oracle.number(*version)?);
        }
        self.tally.given_up += lost.len() as u64;
        self.tally.forgotten += deletes as u64;
        self.nodes[place].check(&self.oracle)
    }

    /// Nothing was given up that somebody shows.
    pub(super) fn check_given_up(&self) -> Result<(), Violation> {
        let shown = self.nodes.iter().fold(0, |shown, node| shown | node.shown);
        let wrong = self.given_up & shown;
        check(wrong == 0, Promise::Convergence, || {
            format!("{} was given up too early", self.oracle.tell(wrong))
        })
    }

    /// Whether a server waits for a snapshot and has nothing to say (rule R8).
    pub(super) fn is_joining(&self, place: usize) -> bool {
        self.nodes[place].joining
    }

    /// Servers without data that nobody can send a snapshot begin with nothing: in a strict schedule
    /// only if nobody has any.
    pub(super) fn join_empty(&mut self) {
        let has_help = |world: &Self, place: usize| {
            let helps = |peer: usize| {
                !world.nodes[peer].joining && (world.strict || world.connected(place, peer))
            };
            (0..world.nodes.len()).any(helps)
        };
        for place in 0..self.nodes.len() {
            if self.nodes[place].joining
                && self.nodes[place].opens_at <= self.now_us
                && !has_help(self, place)
            {
                self.nodes[place].joining = false;
            }
        }
    }
}
