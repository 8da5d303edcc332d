//! The load: sessions that write, read, delete and move, each in a thread of its own.
//!
//! What is done is made to tell the wrong delivery rules from the right one. Some keys are *hot*:
//! everybody writes them, so their writes are often concurrent. Each client also has a key of its
//! *own*, which nobody else writes. A client writes its own key and then a hot one; another reads
//! the hot one, and then looks whether the own keys of all are as new as they have to be.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use crate::client::history::{History as Recorder, Operation};
use crate::client::{Client, Deletion, Error, Event, Options};

use super::owed::Owed;
use super::tally::{Count, Tally};
use crate::lab::random::Random;

/// How many keys everybody writes.
const HOT: usize = 3;
/// How many keys are written and deleted.
const GONE: usize = 2;
/// For how long a client looks for a server that can go on with its session.
const PATIENCE: Duration = Duration::from_millis(1500);
/// For how long a server that a session moves to may take to catch up.
const CATCH_UP: Duration = Duration::from_millis(700);
/// All clients together ask about so often in a second, so that long runs can be checked.
const REQUESTS_A_SECOND: u64 = 1000;
/// After a request that nobody could take.
const PAUSE: Duration = Duration::from_millis(20);

/// The keys of a round.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    hot: Vec<String>,
    own: Vec<String>,
    gone: Vec<String>,
}

impl Keys {
    /// The keys of this round, for so many clients.
    pub(super) fn of(round: usize, clients: usize) -> Self {
        let name = |kind| move |number| format!("{kind}-{round}-{number}");
        Self {
            hot: (0..HOT).map(name("hot")).collect(),
            own: (0..clients).map(name("own")).collect(),
            gone: (0..GONE).map(name("gone")).collect(),
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        [&self.hot, &self.own, &self.gone].into_iter().flatten().map(String::as_str)
    }
}

/// What all clients of a round share.
#[derive(Debug)]
pub(super) struct Round<'a> {
    pub(super) addresses: Vec<String>,
    pub(super) keys: Keys,
    pub(super) tally: &'a Tally,
    pub(super) owed: &'a Owed,
    /// Values are longer than need be by fewer bytes than that.
    pub(super) padding: u64,
    /// Raised when the round is over.
    pub(super) stop: AtomicBool,
    /// Answers that no server may give.
    pub(super) faults: Mutex<Vec<String>>,
}

/// One session after another.
pub(super) struct Player<'a> {
    round: &'a Round<'a>,
    number: usize,
    random: Random,
    history: Recorder,
    /// `None` until a server was reached.
    client: Option<Client>,
    joined: bool,
    written: u64,
}

/// Why a request came to nothing; it has been counted.
struct Setback;

impl<'a> Player<'a> {
    /// A client, which is pushed what becomes visible if it has `joined`.
    pub(super) fn new(
        round: &'a Round<'a>,
        number: usize,
        random: Random,
        history: Recorder,
    ) -> Self {
        let joined = number % 3 == 2;
        Self { round, number, random, history, client: None, joined, written: 0 }
    }

    /// Plays until the round is over.
    pub(super) fn play(mut self) {
        let clients = self.round.keys.own.len() as u64;
        let pause_us = 1_000_000 * clients / REQUESTS_A_SECOND;
        let first = self.number % self.round.addresses.len();
        while !self.round.stop.load(Ordering::Relaxed) {
            let played = if self.client.is_some() { self.act() } else { self.connect(first) };
            let pause = match played {
                Ok(requests) => Duration::from_micros(self.random.below(2 * pause_us) * requests),
                Err(Setback) => PAUSE,
            };
            thread::sleep(pause);
        }
    }

    fn options(&self, first: usize) -> Options {
        let mut servers = self.round.addresses.clone();
        servers.rotate_left(first);
        Options { patience: PATIENCE, ..Options::new(servers) }
    }

    fn connect(&mut self, first: usize) -> Result<u64, Setback> {
        let client = Client::connect(self.options(first)).map_err(|error| self.failed(error))?;
        self.client = Some(client);
        self.join().map(|()| 1)
    }

    fn join(&mut self) -> Result<(), Setback> {
        let id = self.number.to_string();
        if self.joined { self.ask(|client| client.join(&id)) } else { Ok(()) }
    }

    /// Does something; gives how many requests that took.
    fn act(&mut self) -> Result<u64, Setback> {
        let round = self.round;
        let keys = &round.keys;
        let hot = &keys.hot[self.random.place(HOT)];
        let gone = &keys.gone[self.random.place(GONE)];
        let own = &keys.own[self.number];
        let other = &keys.own[self.random.place(keys.own.len())];
        match self.random.below(100) {
            0..20 => self.write(hot)?,
            20..26 => self.write(own)?,
            26..31 => self.write(gone)?,
            31..36 => self.delete(gone)?,
            36..40 => self.read(gone)?,
            40..50 => self.read(hot)?,
            50..65 => {
                self.write(own)?;
                self.write(hot)?;
                return Ok(2);
            }
            65..80 => {
                self.read(hot)?;
                self.read(other)?;
                self.write(hot)?;
                return Ok(3);
            }
            80..97 => {
                self.read(hot)?;
                keys.own.iter().try_for_each(|own| self.read(own))?;
                return Ok(1 + keys.own.len() as u64);
            }
            _ => self.move_on()?,
        }
        Ok(1)
    }

    fn write(&mut self, key: &str) -> Result<(), Setback> {
        self.written += 1;
        let padding = usize::try_from(self.random.below(self.round.padding)).expect("it is small");
        let value = format!("{}-{}{:padding$}", self.number, self.written, "");
        let written = self.ask_for(key, Some(&value), |client| client.write(key, &value))?;
        self.round.tally.one(Count::Writes);
        self.round.owed.acknowledged(written);
        self.record(Operation::Write { key, value: &value, version: written });
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<(), Setback> {
        match self.ask_for(key, None, |client| client.delete(key))? {
            Deletion::Missing => {
                self.round.tally.one(Count::Reads);
                self.record(Operation::Read { key, found: None });
            }
            Deletion::Deleted(version) => {
                self.round.tally.one(Count::Deletes);
                if let Some(version) = version {
                    self.round.owed.acknowledged(version);
                }
                self.record(Operation::Delete { key, version });
            }
        }
        Ok(())
    }

    fn read(&mut self, key: &str) -> Result<(), Setback> {
        let found = self.ask(|client| client.read(key))?;
        let found = found.as_ref().map(|(value, version)| (value.as_str(), *version));
        self.round.tally.one(Count::Reads);
        self.record(Operation::Read { key, found });
        Ok(())
    }

    /// Asks for a change, whose fate may remain unknown.
    fn ask_for<T>(
        &mut self,
        key: &str,
        value: Option<&str>,
        request: impl FnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Setback> {
        let answer = self.request(request);
        // Not yet shown does not mean that it never will be.
        if matches!(answer, Err(Error::Unknown { .. } | Error::NotYet(_))) {
            self.round.tally.one(Count::Unknown);
            self.record(Operation::Unknown { key, value });
        }
        answer.map_err(|error| self.failed(error))
    }

    fn ask<T>(
        &mut self,
        request: impl FnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Setback> {
        self.request(request).map_err(|error| self.failed(error))
    }

    /// Asks, and records what was pushed before the answer.
    fn request<T>(
        &mut self,
        request: impl FnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let client = self.client.as_mut().expect("it acts only when it has connected");
        let answer = request(client);
        let events: Vec<Event> = client.earlier_events().collect();
        for event in &events {
            self.event(event);
        }
        answer
    }

    fn event(&mut self, event: &Event) {
        match event {
            // A server that starts again takes in, and pushes, what earlier rounds wrote.
            Event::Push { key, .. } if !self.round.keys.all().any(|own| own == key) => {}
            Event::Push { key, value, version } => {
                self.round.tally.one(Count::Pushes);
                let value = value.as_deref();
                self.record(Operation::Push { key, value, version: *version });
            }
            Event::Moved(_) => self.round.tally.one(Count::FailOvers),
        }
    }

    /// Takes the session to another server, if that has seen as much.
    fn move_on(&mut self) -> Result<(), Setback> {
        // What came behind the last answer is in the context, but was not recorded yet. One event
        // is given, and the others wait behind it.
        let client = self.client.as_mut().expect("it acts only when it has connected");
        let event = client.next_event(Duration::ZERO);
        event.iter().flatten().for_each(|event| self.event(event));
        self.ask(|_| event)?;
        let kept = self.client.as_ref().map_or(&[][..], Client::kept_context).to_vec();
        let first = self.random.place(self.round.addresses.len());
        let mut next = Client::connect(self.options(first)).map_err(|error| self.failed(error))?;
        match next.after(&kept, CATCH_UP) {
            Ok(()) => {}
            // It may never have heard of a server that the session comes from.
            Err(Error::NotYet(_) | Error::Refused(_)) => return Ok(()),
            Err(error) => return Err(self.failed(error)),
        }
        self.round.tally.one(Count::Moves);
        self.client = Some(next);
        self.join()
    }

    /// Counts a failure, and starts over if that is the way on.
    fn failed(&mut self, error: Error) -> Setback {
        match error {
            Error::Missing(_) => {
                self.round.tally.one(Count::StartOvers);
                self.history.begin_session();
                // What it had seen, and did not take yet, goes with the connection.
                self.client = None;
            }
            Error::Unreachable { .. } => self.round.tally.one(Count::Refused),
            Error::Refused(text) if text.starts_with("LOADING") => {
                self.round.tally.one(Count::Refused);
            }
            Error::Unknown { .. } | Error::NotYet(_) => {}
            Error::Refused(_) | Error::Denied(_) | Error::Unexpected(_) => {
                let server = self.client.as_ref().map_or("no server", Client::server);
                self.fault(format!("client {} at {server}: {error}", self.number));
            }
        }
        Setback
    }

    fn record(&mut self, operation: Operation<'_>) {
        if let Err(error) = self.history.record(operation) {
            self.fault(format!("client {} cannot record: {error}", self.number));
        }
    }

    fn fault(&self, text: String) {
        self.round.faults.lock().push(text);
    }
}
