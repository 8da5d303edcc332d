//! States as short rows of numbers: what two states must have in common to have the same future.
//!
//! There are many states, but few states of one server, and few things that one client has seen. So
//! each of these is kept once, and numbered; a state is the row of their numbers (as in the COLLAPSE
//! compression of the model checker Spin, Holzmann 1997).
//!
//! What of a server is left out follows from what is taken in (what a rule remembers of the updates
//! that it has shown), or makes no difference: a count of delayed updates, which nothing asks for,
//! and the log's order, which only resumed links read, and no link breaks here.

use std::collections::HashMap;
use std::io::Write;
use std::rc::Rc;

use crate::core::{Order, Shown, Update, Version};
use crate::lab::simulator::server::Server;
use crate::lab::simulator::world::Session;

use super::state::{Deed, State};

/// Things of a kind, each once. Two things are the same if their bytes are.
#[derive(Debug)]
struct Shelf<T> {
    numbers: HashMap<Vec<u8>, u32>,
    things: Vec<T>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), things: Vec::new() }
    }
}

impl<T: Clone> Shelf<T> {
    /// Gives a thing's number, and puts in its place the same thing that was there first.
    fn number(&mut self, bytes: Bytes, thing: &mut T) -> u32 {
        if let Some(&number) = self.numbers.get(&bytes.0) {
            thing.clone_from(&self.things[number as usize]);
            return number;
        }
        let number = u32::try_from(self.things.len()).expect("a small script");
        self.numbers.insert(bytes.0, number);
        self.things.push(thing.clone());
        number
    }
}

/// The numbers of a state's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Numbers {
    servers: Vec<u32>,
    sessions: Vec<u32>,
    /// What each client has done and seen: the history.
    pub(super) deeds: Vec<u32>,
}

/// All parts of states.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    servers: Shelf<Rc<Server>>,
    sessions: Shelf<Session>,
    deeds: Shelf<Rc<Vec<Deed>>>,
}

impl Shelves {
    /// The numbers of a state's parts, if `before` has those of a state that most of them are shared
    /// with. The parts are replaced by the same ones that were met first.
    pub(super) fn number(
        &mut self,
        state: &mut State,
        keys: &[String],
        before: Option<(&State, &Numbers)>,
    ) -> Numbers {
        let mut numbers = Numbers::default();
        for place in 0..state.world.servers.len() {
            let server = &state.world.servers[place];
            let known = before.filter(|(old, _)| Rc::ptr_eq(&old.world.servers[place], server));
            numbers.servers.push(if let Some((_, old)) = known {
                old.servers[place]
            } else {
                let mut bytes = Bytes::of_server(server, keys);
                if server.replica.order() == Order::Total {
                    // They follow from the other servers; here each server is looked at alone.
                    for (_, promise) in state.promises(place) {
                        bytes.number(promise);
                    }
                }
                self.servers.number(bytes, &mut state.world.servers[place])
            });
        }
        for (place, session) in state.world.sessions.iter_mut().enumerate() {
            let known = before.filter(|(old, _)| old.world.sessions[place] == *session);
            numbers.sessions.push(match known {
                Some((_, old)) => old.sessions[place],
                None => self.sessions.number(Bytes::of_session(session), session),
            });
        }
        for (place, deeds) in state.deeds.iter_mut().enumerate() {
            let known = before.filter(|(old, _)| Rc::ptr_eq(&old.deeds[place], deeds));
            numbers.deeds.push(match known {
                Some((_, old)) => old.deeds[place],
                None => self.deeds.number(Bytes::of_deeds(deeds), deeds),
            });
        }
        numbers
    }
}

impl Numbers {
    /// The whole state as a row of numbers.
    pub(super) fn row(&self, state: &State) -> Box<[u32]> {
        let parts = [&self.servers, &self.sessions, &self.deeds];
        parts.into_iter().flatten().copied().chain(state.rest()).collect()
    }
}

/// A growing row of bytes.
#[derive(Debug, Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    /// A server: its clock, what it has applied, what it holds and what each key shows there.
    fn of_server(server: &Server, keys: &[String]) -> Self {
        let mut bytes = Self::default();
        let replica = &server.replica;
        bytes.number(replica.id().into());
        bytes.number(replica.clock().last());
        bytes.version(server.highest_shown);
        let mut log: Vec<&Rc<Update>> = server.log.iter().collect();
        log.sort_unstable_by_key(|update| update.version);
        bytes.number(log.len() as u64);
        for update in log {
            bytes.update(update);
            bytes.0.push(u8::from(replica.is_shown(update.version)));
        }
        let mut held: Vec<_> = replica.pending().iter().collect();
        // Under `original` they will be shown in the order in which they came; else all came at 0,
        // as far as anybody asks.
        if replica.order() == Order::Original {
            held.sort_by_key(|held| held.since_us);
        }
        bytes.number(held.len() as u64);
        for held in held {
            bytes.update(&held.update);
            // Under `total` it only says which server is the slowest at the moment.
            let missing = Some(held.missing).filter(|_| replica.order() != Order::Total);
            bytes.version(missing);
        }
        for key in keys {
            let shown = server.store.read(key);
            bytes.version(shown.version());
            // Under `original` one version may have been given to this write or to that.
            if let Shown::Value(value, _) = shown {
                bytes.text(value);
            }
        }
        bytes
    }

    /// An update in full: in another run its version may belong to another write.
    fn update(&mut self, update: &Update) {
        self.version(Some(update.version));
        self.number(update.predecessor);
        self.number(update.dependencies.len() as u64);
        for &dependency in &update.dependencies {
            self.version(Some(dependency));
        }
        for change in &update.changes {
            self.text(&change.key);
            self.0.push(u8::from(change.value.is_some()));
            self.text(change.value.as_deref().unwrap_or_default());
        }
    }

    /// A session: where it is, and what it depends on.
    fn of_session(session: &Session) -> Self {
        let mut bytes = Self::default();
        write!(bytes.0, "{session:?}").expect("a Vec takes everything");
        bytes
    }

    fn of_deeds(deeds: &[Deed]) -> Self {
        let mut bytes = Self::default();
        for deed in deeds {
            bytes.deed(deed);
        }
        bytes
    }

    fn deed(&mut self, deed: &Deed) {
        match deed {
            Deed::Begin => self.0.push(u8::MAX),
            Deed::Operation { line, kind, key, value, version } => {
                self.0.push(*kind as u8);
                self.number(*line as u64);
                self.text(key);
                self.text(value.as_deref().unwrap_or_default());
                self.0.push(u8::from(value.is_some()));
                self.version(*version);
            }
        }
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn version(&mut self, version: Option<Version>) {
        // No version has the timestamp 0.
        let (timestamp, server) = version.map_or((0, 0), Into::into);
        self.number(timestamp);
        self.0.extend_from_slice(&server.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }
}
