//! A simulated link, one direction: what waits to be sent, for the director's sake, and what the
//! network then does to it.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::core::Update;
use crate::lab::script::Network;

use crate::lab::random::Random;

/// The delay of an update that is held: for ever.
const HELD: u64 = u64::MAX;

/// An update that is to be sent.
#[derive(Clone, Debug)]
struct Waiting {
    update: Rc<Update>,
    since_us: u64,
}

/// The outgoing half of a link, at its sender.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    pub(super) cut: bool,
    /// Counts breaks: what was under way before the last one is lost.
    pub(super) broken: u32,
    /// How long all updates wait, in microseconds.
    delay_us: u64,
    /// How long updates of some keys wait.
    key_delays_us: BTreeMap<String, u64>,
    waiting: Vec<Waiting>,
    /// When the last update that keeps the link's order arrives.
    last_arrival_us: u64,
    /// Rule `total`: the clock that the sender announced last, and the one that has arrived.
    pub(super) announced: u64,
    pub(super) heard: u64,
}

impl Link {
    /// Holds updates, or those of a key.
    pub(super) fn hold(&mut self, key: Option<&str>) {
        self.delay(key, HELD);
    }

    /// Delays updates, or those of a key.
    pub(super) fn delay(&mut self, key: Option<&str>, delay_us: u64) {
        match key {
            Some(key) => drop(self.key_delays_us.insert(key.to_owned(), delay_us)),
            None => self.delay_us = delay_us,
        }
    }

    /// Ends the holds and delays of a key, or all of them.
    pub(super) fn release(&mut self, key: Option<&str>) {
        if let Some(key) = key {
            self.key_delays_us.remove(key);
        } else {
            self.delay_us = 0;
            self.key_delays_us.clear();
        }
    }

    /// The link broke: what was to be sent will be found out anew when it is there again.
    pub(super) fn break_off(&mut self) {
        self.broken += 1;
        self.waiting.clear();
        (self.announced, self.last_arrival_us) = (0, 0);
    }

    /// An update is to be sent; it was made or came at `since_us`.
    pub(super) fn push(&mut self, update: &Rc<Update>, since_us: u64) {
        self.waiting.push(Waiting { update: Rc::clone(update), since_us });
    }

    /// The updates that wait to be sent, oldest first.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Rc<Update>> {
        self.waiting.iter().map(|waiting| &waiting.update)
    }

    /// Takes one of them out.
    pub(super) fn take(&mut self, update: &Update) {
        self.waiting.retain(|waiting| waiting.update.version != update.version);
    }

    /// Takes out what may leave now, in order; and says when to ask again.
    pub(super) fn due(&mut self, now_us: u64) -> (Vec<Rc<Update>>, Option<u64>) {
        let (mut leaving, mut staying, mut next) = (Vec::new(), Vec::new(), u64::MAX);
        for waiting in std::mem::take(&mut self.waiting) {
            // A delay of the whole link keeps its order, so nothing leaves behind what stays.
            let whole_us = waiting.since_us.saturating_add(self.delay_us);
            let due_us = whole_us.max(waiting.since_us.saturating_add(self.key_delay(&waiting)));
            if due_us <= now_us {
                leaving.push(waiting.update);
            } else {
                next = next.min(due_us);
                staying.push(waiting);
            }
        }
        self.waiting = staying;
        (leaving, (next < HELD).then_some(next))
    }

    fn key_delay(&self, waiting: &Waiting) -> u64 {
        let changes = waiting.update.changes.iter();
        let delays = changes.filter_map(|change| self.key_delays_us.get(&change.key));
        delays.copied().max().unwrap_or(0)
    }

    /// What the network does to an update that is sent now: when it arrives; not at all, if it is
    /// lost, and perhaps twice.
    pub(super) fn arrivals(
        &mut self,
        network: &Network,
        random: &mut Random,
        now_us: u64,
    ) -> Vec<u64> {
        let (first, last) = network.latency_ms;
        let mut arrival = || now_us + random.between(first * 1_000, last * 1_000);
        let (once, again, late) = (arrival(), arrival(), arrival());
        let reordered = random.chance(network.reorder_percent);
        let twice = random.chance(network.duplicate_percent);
        if random.chance(network.loss_percent) {
            return Vec::new();
        }
        let arrives = if reordered {
            // It takes up to twice as long, and those behind it need not wait.
            once + (late - now_us)
        } else {
            self.last_arrival_us = self.last_arrival_us.max(once);
            self.last_arrival_us
        };
        if twice { vec![arrives, arrives.max(again)] } else { vec![arrives] }
    }
}
