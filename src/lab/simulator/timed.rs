//! The simulator: the world, its links and an agenda of what will happen when. Time is virtual: it
//! jumps from one entry of the agenda to the next.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::core::{Order, Update, Version};
use crate::lab::play::News;
use crate::lab::script::{Network, Script};
use crate::trace::Event;

use super::link::Link;
use super::narrator::Narrator;
use super::world::{Happening, Push, World};
use crate::lab::random::Random;

/// How often servers compare what they have applied, and send what is missing.
const COMPARE_US: u64 = 500_000;
/// How long a server without a link to an origin waits before others send it that origin's updates.
const RELAY_AFTER_US: u64 = 500_000;

/// What will happen.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// An update arrives, unless the link has broken since.
    Arrive { from: usize, to: usize, update: Rc<Update>, broken: u32 },
    /// Rule `total`: so does the sender's clock.
    Hear { from: usize, to: usize, clock: u64, broken: u32 },
    /// A delay ends.
    Flush { from: usize, to: usize },
    /// All servers compare.
    Compare,
    /// A server that started looks whether it may take writes.
    Load { server: usize, life: u32, until_us: u64 },
    /// Rule `original`: updates have been late for long enough.
    Wake { server: usize },
}

/// A simulated cluster and its clients.
#[derive(Debug)]
pub struct Simulator {
    pub(super) world: World,
    pub(super) now_us: u64,
    pub(super) names: Vec<String>,
    order: Order,
    pub(super) network: Network,
    random: Random,
    pub(super) links: Vec<Vec<Link>>,
    /// Since when there is no link between two servers.
    pub(super) unlinked_since: HashMap<(usize, usize), u64>,
    pub(super) agenda: BTreeMap<(u64, u64), Entry>,
    entries: u64,
    narrator: Narrator,
    pub(super) news: Vec<News>,
    /// The client whose write is shown and that is about to be answered, and what it is pushed
    /// behind the answer.
    pub(super) answering: Option<usize>,
    pub(super) news_behind: Vec<News>,
    trace: Vec<Event>,
}

impl Simulator {
    /// The beginning of a script under a delivery rule. The seed decides what is left to chance.
    pub fn new(script: &Script, order: Order, seed: u64) -> Self {
        let count = script.servers.len();
        let mut random = Random::new(seed);
        let skew_us_max = script.network.skew_ms * 1_000;
        let skews_us: Vec<u64> = (0..count).map(|_| random.between(0, skew_us_max)).collect();
        let mut simulator = Self {
            world: World::new(script, order, &skews_us),
            now_us: 0,
            names: script.servers.clone(),
            order,
            network: script.network,
            random,
            links: vec![vec![Link::default(); count]; count],
            unlinked_since: HashMap::new(),
            agenda: BTreeMap::new(),
            entries: 0,
            narrator: Narrator::new(script, order),
            news: Vec::new(),
            answering: None,
            news_behind: Vec::new(),
            trace: Vec::new(),
        };
        simulator.enter(COMPARE_US, Entry::Compare);
        simulator.look_around();
        simulator
    }

    /// What happened at the servers, in order.
    pub fn into_trace(self) -> Vec<Event> {
        self.trace
    }

    pub(super) fn enter(&mut self, time_us: u64, entry: Entry) {
        self.entries += 1;
        self.agenda.insert((time_us, self.entries), entry);
    }

    /// When the next thing happens.
    pub(super) fn next_us(&self) -> u64 {
        self.agenda.first_key_value().map_or(u64::MAX, |((time_us, _), _)| *time_us)
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, until_us: u64) -> Result<(), String> {
        while self.next_us() <= until_us
            && let Some(((time_us, _), entry)) = self.agenda.pop_first()
        {
            self.now_us = time_us;
            self.happen(entry)?;
            self.look_around();
        }
        self.now_us = until_us;
        Ok(())
    }

    fn happen(&mut self, entry: Entry) -> Result<(), String> {
        match entry {
            Entry::Arrive { from, to, update, broken } => {
                if broken == self.links[from][to].broken {
                    self.arrive(from, to, &update)?;
                }
            }
            Entry::Hear { from, to, clock, broken } => {
                let link = &mut self.links[from][to];
                if broken == link.broken {
                    link.heard = link.heard.max(clock);
                    self.world.hear(to, clock, self.now_us);
                }
            }
            Entry::Flush { from, to } => self.flush(from, to),
            Entry::Compare => {
                for (from, to) in self.pairs() {
                    self.resume(from, to);
                }
                self.enter(self.now_us + COMPARE_US, Entry::Compare);
            }
            Entry::Load { server, life, until_us } => self.load(server, life, until_us),
            Entry::Wake { server } => {
                if self.world.servers[server].running {
                    self.world.wake(server, self.now_us);
                }
            }
        }
        Ok(())
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let count = self.names.len();
        (0..count).flat_map(move |one| (0..count).map(move |other| (one, other)))
    }

    /// Whether two different servers can talk.
    pub(super) fn linked(&self, one: usize, other: usize) -> bool {
        let running = |server: usize| self.world.servers[server].running;
        one != other && running(one) && running(other) && !self.links[one][other].cut
    }

    /// What has just happened may have made clocks grow, timers start and writes stable: sees to
    /// all that follows from it at once.
    pub(super) fn look_around(&mut self) {
        if self.order == Order::Total {
            self.announce();
            self.promise();
        }
        if self.order == Order::Original {
            for server in 0..self.names.len() {
                let due = self.world.servers[server].replica.due();
                let due = due.map(|due| due.max(self.now_us + 1));
                let known =
                    |entry: &Entry| matches!(entry, Entry::Wake { server: s } if *s == server);
                if let Some(due) = due.filter(|_| !self.agenda.values().any(known)) {
                    self.enter(due, Entry::Wake { server });
                }
            }
        }
        self.collect();
    }

    /// Servers tell each other their clocks.
    fn announce(&mut self) {
        for (from, to) in self.pairs() {
            let clock = self.world.servers[from].replica.clock().last();
            let link = &self.links[from][to];
            if !self.linked(from, to) || clock <= link.announced {
                continue;
            }
            let (broken, latency_us) = (link.broken, self.network.latency_ms.1 * 1_000);
            self.links[from][to].announced = clock;
            self.enter(self.now_us + latency_us, Entry::Hear { from, to, clock, broken });
        }
    }

    /// A clock that was heard promises that nothing older comes, but for what is still on its way:
    /// a real link is one stream, on which no promise overtakes an update.
    fn promise(&mut self) {
        for to in 0..self.names.len() {
            if !self.world.servers[to].running {
                continue;
            }
            let peers = (0..self.names.len()).filter(|&from| from != to);
            let promises = peers.map(|from| {
                let own = self.world.servers[from].replica.id();
                let lacking = self.world.servers[from].log.iter().filter(|update| {
                    update.version.server == own && !self.world.servers[to].has(update.version)
                });
                let oldest = lacking.map(|update| update.version.timestamp - 1).min();
                (own, self.links[from][to].heard.min(oldest.unwrap_or(u64::MAX)))
            });
            let promises: Vec<(u32, u64)> = promises.collect();
            self.world.promise(to, &promises, self.now_us);
        }
    }

    /// Takes what happened from the world, for the transcript and the trace.
    fn collect(&mut self) {
        for happening in std::mem::take(&mut self.world.happenings) {
            match happening {
                Happening::Event(event) => {
                    let time_us = self.now_us;
                    let told = self.narrator.tell(&event);
                    self.news.extend(told.map(|text| News::Told { text, time_us }));
                    self.trace.push(event);
                }
                Happening::Push(Push { client, visible }) => {
                    let behind = self.answering == Some(client);
                    let news = if behind { &mut self.news_behind } else { &mut self.news };
                    news.push(News::Pushed {
                        client,
                        key: visible.change.key,
                        value: visible.change.value,
                        version: visible.shown_as,
                        time_us: self.now_us,
                    });
                }
                Happening::Shown(client) => self.answering = Some(client),
            }
        }
    }

    /// Something for the transcript.
    pub(super) fn say(&mut self, text: String) {
        self.news.push(News::Told { text, time_us: self.now_us });
    }

    pub(super) fn arrive(&mut self, from: usize, to: usize, update: &Update) -> Result<(), String> {
        let before = self.world.servers[to].log.len();
        let delivered = self.world.deliver(from, to, update, self.now_us);
        // Only a server whose clock was wrong from the start is refused, and none is here.
        delivered.map_err(|refusal| format!("{} refuses an update: {refusal}", self.names[to]))?;
        let applied = self.world.servers[to].log[before..].to_vec();
        for peer in 0..self.names.len() {
            self.supply(to, peer, &applied);
        }
        Ok(())
    }

    /// A write goes out to all that are linked.
    pub(super) fn publish(&mut self, from: usize, update: &Rc<Update>) {
        for to in 0..self.names.len() {
            if self.linked(from, to) {
                self.links[from][to].push(update, self.now_us);
                self.flush(from, to);
            }
        }
    }

    /// Sends what may leave now.
    pub(super) fn flush(&mut self, from: usize, to: usize) {
        let link = &mut self.links[from][to];
        let (leaving, next_us) = link.due(self.now_us);
        let broken = link.broken;
        for update in leaving {
            for arrival_us in link.arrivals(&self.network, &mut self.random, self.now_us) {
                let update = Rc::clone(&update);
                self.entries += 1;
                let entry = Entry::Arrive { from, to, update, broken };
                self.agenda.insert((arrival_us, self.entries), entry);
            }
        }
        if let Some(next_us) = next_us {
            self.enter(next_us, Entry::Flush { from, to });
        }
    }

    /// A link resumes from what the receiver has applied.
    pub(super) fn resume(&mut self, from: usize, to: usize) {
        let log = self.world.servers[from].log.clone();
        self.supply(from, to, &log);
    }

    /// Sends on those of some updates that the receiver lacks, as far as it is the sender's business
    /// (rule R6).
    fn supply(&mut self, from: usize, to: usize, updates: &[Rc<Update>]) {
        if !self.linked(from, to) {
            return;
        }
        for update in updates {
            let version = update.version;
            let lacks =
                !self.world.servers[to].has(version) && !self.is_under_way(from, to, version);
            if lacks && self.supplies(from, to, update) {
                self.links[from][to].push(update, self.now_us);
            }
        }
        self.flush(from, to);
    }

    /// Whether a link has an update on the way, or is told to wait with it. What other links do makes
    /// no difference: duplicates do no harm.
    fn is_under_way(&self, from: usize, to: usize, version: Version) -> bool {
        let link = &self.links[from][to];
        let arrives = |entry: &Entry| match entry {
            Entry::Arrive { from: here, to: there, update, broken } => {
                (*here, *there, *broken) == (from, to, link.broken) && update.version == version
            }
            _ => false,
        };
        link.waiting().any(|update| update.version == version) || self.agenda.values().any(arrives)
    }

    /// Whether `from` is to send an update to `to`: its own, those that no living link of the
    /// origin supplies, and those of lives that are over.
    fn supplies(&self, from: usize, to: usize, update: &Update) -> bool {
        let origin = (update.version.server - 1) as usize;
        let of_this_life = self.world.servers[origin].running
            && self.world.servers[origin].replica.is_of_this_life(update.version);
        if origin == from || origin == to || (self.linked(origin, to) && !of_this_life) {
            return true;
        }
        let since_us = self.unlinked_since.get(&(origin, to));
        since_us.is_some_and(|since_us| since_us + RELAY_AFTER_US <= self.now_us)
    }
}
