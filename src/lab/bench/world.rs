//! Up to 100 servers around the world, in virtual time: how much later than it arrives an update
//! becomes visible, and how much it carries.
//!
//! Each server is the core's replica and store, with one session of the core's context that reads
//! and writes any of the keys. The links keep their order and take between once and 1.1 times the
//! delay between [the cities](super::cities); the same numbers come at every run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

use crate::core::{Change, ClockKind, Context, Effect, Limits, Order, Replica, Store, Update};
use crate::lab::random::Random;
use crate::log::Batch;
use crate::protocol::changes::Written;
use crate::protocol::link::Head;

use super::Bench;
use super::cities::{CITIES, one_way_us};
use super::figures::{float, length, mean, percentile};
use super::table::Unit;

const SERVERS: [usize; 4] = [3, 10, 30, 100];
/// Of a hundred requests so many read.
const READS: [u64; 2] = [50, 95];
/// Few, so that what is read was often written just now, far away.
const KEYS: usize = 100;
/// Each session asks every so often, about.
const PAUSE_US: u64 = 10_000;
/// How many updates there are.
const UPDATES: usize = 20_000;
/// When it begins, so that versions have as many digits as today's.
const BEGIN_US: u64 = 1_700_000_000_000_000;
const SEED: u64 = 1;

pub(super) fn measure(bench: &mut Bench<'_>) -> Result<(), String> {
    let mut note = format!(
        "Servers in {} cities, in virtual time; delay: beyond the one-way delay, in ms\n\
         servers  reads  updates that waited  delay p99  delay max  dependencies mean, max  \
         metadata B\n",
        CITIES.len()
    );
    let mut last = None;
    for count in SERVERS {
        for reads in READS {
            let seen = World::new(count, reads).run(bench.size(UPDATES))?;
            let line = seen.line(count, reads);
            bench.say(line.trim_end());
            note += &line;
            last = Some(seen);
        }
    }
    let seen = last.ok_or("nothing was simulated")?;
    let row = |what: &str| format!("100 servers around the world, 95 % reads: {what}");
    for (what, unit, number) in [
        ("updates that waited", Unit::Percent, seen.waited_percent()),
        ("visibility beyond the one-way delay, p99", Unit::Ms, percentile(&seen.delays_ms, 0.99)),
        ("dependencies an update", Unit::Count, mean(&seen.dependencies)),
        ("metadata an update", Unit::Bytes, mean(&seen.metadata)),
    ] {
        bench.table.add(&row(what), unit, None, &[number]);
    }
    bench.notes.push(note);
    Ok(())
}

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    /// Of each update at each other server: how long it waited there.
    delays_ms: Vec<f64>,
    /// Of each update: how many versions, and how many bytes beyond key and value.
    dependencies: Vec<f64>,
    metadata: Vec<f64>,
}

impl Seen {
    fn waited_percent(&self) -> f64 {
        let waited = self.delays_ms.iter().filter(|&&delay| delay > 0.0).count();
        100.0 * length(waited) / length(self.delays_ms.len().max(1))
    }

    fn line(&self, count: usize, reads: u64) -> String {
        let mut line = String::new();
        let most = |numbers: &[f64]| percentile(numbers, 1.0);
        // Writing to a string cannot fail.
        let _ = writeln!(
            line,
            "{count:>7} {reads:>4} % {:>18.2} % {:>10.2} {:>10.2} {:>18.1}, {:>3.0} {:>11.0}",
            self.waited_percent(),
            percentile(&self.delays_ms, 0.99),
            most(&self.delays_ms),
            mean(&self.dependencies),
            most(&self.dependencies),
            mean(&self.metadata),
        );
        line
    }
}

/// What will happen.
#[derive(Debug)]
enum Entry {
    /// A session asks its server.
    Ask(usize),
    /// An update arrives.
    Arrive(usize, Rc<Update>),
}

#[derive(Debug)]
struct Server {
    replica: Replica,
    store: Store,
    context: Context,
    /// When the last update that it sent to each other server arrives there.
    arrivals_us: Vec<u64>,
}

/// Servers, sessions and what is under way.
#[derive(Debug)]
struct World {
    servers: Vec<Server>,
    reads: u64,
    agenda: BTreeMap<(u64, u64), Entry>,
    entries: u64,
    random: Random,
    seen: Seen,
}

impl World {
    fn new(count: usize, reads: u64) -> Self {
        let ids = (1..).take(count);
        let server = |id| {
            let limits = Limits::default();
            let mut replica = Replica::new(id, ClockKind::Physical, Order::Causal, limits);
            replica.open();
            let (store, context) = (Store::new(Order::Causal), Context::default());
            Server { replica, store, context, arrivals_us: vec![0; count] }
        };
        let servers = ids.map(server).collect();
        let (agenda, random) = (BTreeMap::new(), Random::new(SEED));
        Self { servers, reads, agenda, entries: 0, random, seen: Seen::default() }
    }

    /// Runs until so many updates were made and all servers have applied them.
    fn run(mut self, updates: usize) -> Result<Seen, String> {
        for server in 0..self.servers.len() {
            let first_us = self.random.below(PAUSE_US);
            self.enter(BEGIN_US + first_us, Entry::Ask(server));
        }
        while let Some(((now_us, _), entry)) = self.agenda.pop_first() {
            match entry {
                Entry::Ask(_) if self.seen.dependencies.len() >= updates => {}
                Entry::Ask(server) => {
                    self.ask(server, now_us)?;
                    let pause_us = self.random.between(1, 2 * PAUSE_US);
                    self.enter(now_us + pause_us, Entry::Ask(server));
                }
                Entry::Arrive(server, update) => self.arrive(server, &update, now_us)?,
            }
        }
        let expected = self.seen.dependencies.len() * (self.servers.len() - 1);
        if self.seen.delays_ms.len() != expected {
            return Err(format!("{} of {expected} were applied", self.seen.delays_ms.len()));
        }
        Ok(self.seen)
    }

    fn enter(&mut self, time_us: u64, entry: Entry) {
        self.entries += 1;
        self.agenda.insert((time_us, self.entries), entry);
    }

    /// A session reads or writes.
    fn ask(&mut self, place: usize, now_us: u64) -> Result<(), String> {
        let key = format!("key:{:012}", self.random.place(KEYS));
        let Server { replica, store, context, .. } = &mut self.servers[place];
        if self.random.chance(self.reads) {
            if let Some(version) = store.read(&key).version() {
                context.see_at(version, replica.applied());
            }
            return Ok(());
        }
        let mut dependencies = context.versions().collect();
        let stamp = replica.write(&mut dependencies, now_us);
        let stamp = stamp.map_err(|_| "a server does not take writes".to_owned())?;
        let update = Rc::new(Update {
            version: stamp.version,
            predecessor: stamp.predecessor,
            dependencies,
            dependency_keys: Vec::new(),
            told: false,
            changes: vec![Change { key, value: Some("value".to_owned()) }],
        });
        replica.wrote(&update, now_us);
        store.apply_update(&update);
        context.replace(stamp.version, replica.applied().chain_of(stamp.version).unwrap_or(0));
        self.seen.dependencies.push(length(update.dependencies.len()));
        self.seen.metadata.push(metadata(&update));
        for other in (0..self.servers.len()).filter(|&other| other != place) {
            self.send(place, other, &update, now_us);
        }
        Ok(())
    }

    fn send(&mut self, from: usize, to: usize, update: &Rc<Update>, now_us: u64) {
        let way_us = one_way_us(from % CITIES.len(), to % CITIES.len());
        let arrival_us = now_us + self.random.between(way_us, way_us + way_us / 10);
        let last_us = &mut self.servers[from].arrivals_us[to];
        *last_us = arrival_us.max(*last_us);
        let arrival_us = *last_us;
        self.enter(arrival_us, Entry::Arrive(to, Rc::clone(update)));
    }

    fn arrive(&mut self, place: usize, update: &Update, now_us: u64) -> Result<(), String> {
        let Server { replica, store, .. } = &mut self.servers[place];
        let mut effects = Vec::new();
        let received = replica.receive(update.clone(), now_us, &mut effects);
        received.map_err(|refusal| refusal.to_string())?;
        for effect in effects {
            if let Effect::Apply { update, waited, .. } = effect {
                store.apply_update(&update);
                let waited_us = waited.map_or(0, |waited| waited.us);
                self.seen.delays_ms.push(float(waited_us) / 1e3);
            }
        }
        Ok(())
    }
}

/// The bytes of an update's frame but for its key and its value.
fn metadata(update: &Update) -> f64 {
    let mut batch = Batch::default();
    let changes = Written::new(update.pairs());
    batch.push(Head::from(update), changes.changes());
    let said = changes.changes().iter().map(|(key, value)| key.len() + value.map_or(0, str::len));
    length(batch.frames().len() - said.sum::<usize>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_world_at_every_run_and_everything_arrives() {
        let run = || World::new(10, 50).run(3_000).expect("nothing is refused");
        let (one, other) = (run(), run());
        assert_eq!(one.line(10, 50), other.line(10, 50));
        assert_eq!(one.delays_ms.len(), 9 * one.dependencies.len());
        assert!(one.waited_percent() > 0.0, "over Ireland it is nearer: some have to wait");
        assert!(one.dependencies.iter().all(|&count| count < 10.0), "one for each other server");
    }
}
