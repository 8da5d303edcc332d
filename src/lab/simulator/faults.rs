//! What the director does to the simulated links and servers.

use std::rc::Rc;

use crate::core::Update;
use crate::lab::script::{Content, Direction};
use crate::trace::What;

use super::timed::{Entry, Simulator};

/// Between two looks of a server that has just started whether all its peers have answered.
const LOADING_LOOK_US: u64 = 20_000;
/// How long it waits for them at most (rule R4).
const LOADING_US: u64 = 3_000_000;

impl Simulator {
    pub(super) fn obey(&mut self, direction: &Direction) -> Result<(), String> {
        match direction {
            Direction::Hold { from, to, key } => self.links[*from][*to].hold(key.as_deref()),
            Direction::Delay { from, to, ms, key } => {
                self.links[*from][*to].delay(key.as_deref(), ms * 1_000);
                self.flush(*from, *to);
            }
            Direction::Release { from, to, key } => {
                self.links[*from][*to].release(key.as_deref());
                self.flush(*from, *to);
            }
            Direction::Deliver { from, to, key, content } => {
                return self.hand_over(*from, *to, key, content.as_ref());
            }
            Direction::Cut { one, other } => self.cut(*one, *other, true),
            Direction::Heal { one, other } => self.cut(*one, *other, false),
            Direction::Kill { server } => self.kill(*server),
            Direction::Start { server } => self.start(*server),
        }
        Ok(())
    }

    fn cut(&mut self, one: usize, other: usize, cut: bool) {
        let before = self.linked(one, other);
        for (here, there) in [(one, other), (other, one)] {
            let link = &mut self.links[here][there];
            link.cut = cut;
            if !cut {
                link.release(None);
            }
        }
        let after = self.linked(one, other);
        if before == after {
            self.flush(one, other);
            self.flush(other, one);
        } else {
            self.note_link(one, other, after);
        }
    }

    fn kill(&mut self, server: usize) {
        let peers = self.peers(server);
        self.world.kill(server, self.now_us);
        for link in &mut self.links[server] {
            // Its sender knew of holds and delays, and is gone.
            link.release(None);
        }
        for peer in peers {
            self.note_link(server, peer, false);
        }
    }

    fn start(&mut self, server: usize) {
        let name = self.names[server].clone();
        self.world.start(server, &name, self.now_us);
        for peer in self.peers(server) {
            self.note_link(server, peer, true);
        }
        // An answer takes a way there and a way back.
        let answered_us = self.now_us + 2 * self.network.latency_ms.1 * 1_000;
        let (life, until_us) = (self.world.servers[server].life, self.now_us + LOADING_US);
        self.enter(answered_us, Entry::Load { server, life, until_us });
    }

    /// Who has a link to a server.
    fn peers(&self, server: usize) -> Vec<usize> {
        (0..self.names.len()).filter(|&peer| self.linked(server, peer)).collect()
    }

    /// A server that has just started takes writes as soon as all others have answered (rule R4).
    pub(super) fn load(&mut self, server: usize, life: u32, until_us: u64) {
        if !self.world.servers[server].running || self.world.servers[server].life != life {
            return;
        }
        let peers = self.peers(server);
        if peers.len() + 1 == self.names.len() || self.now_us >= until_us {
            self.world.open(server, &peers, self.now_us);
            self.say(format!("{} takes writes", self.names[server]));
        } else {
            self.enter(self.now_us + LOADING_LOOK_US, Entry::Load { server, life, until_us });
        }
    }

    /// Notes that two servers have, or no longer have, a link; tells both.
    fn note_link(&mut self, one: usize, other: usize, up: bool) {
        for (here, there) in [(one, other), (other, one)] {
            if up {
                self.unlinked_since.remove(&(here, there));
            } else {
                self.links[here][there].break_off();
                self.unlinked_since.entry((here, there)).or_insert(self.now_us);
            }
            if self.world.servers[here].running {
                let peer = self.world.servers[there].replica.id();
                self.world.tell(here, self.now_us, What::Link { peer, up });
            }
        }
        if up {
            self.resume(one, other);
            self.resume(other, one);
        }
    }

    /// The oldest update of a key that waits to be sent, or is on its way, arrives now.
    fn hand_over(
        &mut self,
        from: usize,
        to: usize,
        key: &str,
        content: Option<&Content>,
    ) -> Result<(), String> {
        let meant = |update: &Rc<Update>| {
            update.changes.iter().any(|change| {
                change.key == key && content.is_none_or(|content| *content == change.value)
            })
        };
        let waiting = self.links[from][to].waiting().find(|update| meant(update)).cloned();
        if let Some(update) = waiting {
            self.links[from][to].take(&update);
            return self.arrive(from, to, &update);
        }
        let broken = self.links[from][to].broken;
        let arrives = self.agenda.iter().find_map(|(&place, entry)| match entry {
            Entry::Arrive { from: f, to: t, update, broken: b }
                if (*f, *t, *b) == (from, to, broken) && meant(update) =>
            {
                Some((place, Rc::clone(update)))
            }
            _ => None,
        });
        let Some((place, update)) = arrives else {
            let (from, to) = (&self.names[from], &self.names[to]);
            return Err(format!("no such update of {key} is under way from {from} to {to}"));
        };
        self.agenda.remove(&place);
        self.arrive(from, to, &update)
    }
}
