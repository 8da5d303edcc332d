//! The one who makes the trouble: it carries out the plan of a round.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Error;
use crate::lab::children::Children;
use crate::lab::look;

use super::ending;
use super::owed::Owed;
use super::plan::{self, Fault, Scene};
use super::tally::{Count, Tally};
use crate::lab::random::Random;

/// Between two looks at the servers' numbers.
const LOOK: Duration = Duration::from_millis(200);
/// How long a server that is cut off may take to answer a read.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// How long a server that is to be killed amid a snapshot may take to begin one.
const AMID: Duration = Duration::from_millis(300);
const AMID_LOOK: Duration = Duration::from_micros(200);

/// The servers, and what was done to them.
#[derive(Debug)]
pub(super) struct Nemesis {
    children: Children,
    /// The ids of those that were ever killed and came back empty.
    emptied: BTreeSet<u32>,
    /// How many updates each server has held back in this life, as far as it was asked.
    held: Vec<u64>,
}

impl Nemesis {
    /// For these servers.
    pub(super) fn new(children: Children) -> Self {
        let held = vec![0; children.count()];
        Self { children, emptied: BTreeSet::new(), held }
    }

    /// Where the servers listen.
    pub(super) fn addresses(&self) -> Vec<String> {
        (0..self.children.count()).map(|place| self.children.address(place)).collect()
    }

    /// What servers did that no server may do.
    pub(super) fn faults(&mut self) -> Vec<String> {
        self.children.faults()
    }

    /// Makes a round's trouble; `show` is called now and then. Gives what was wrong with the
    /// answers of servers that were cut off.
    ///
    /// # Errors
    /// A server cannot be killed or started.
    pub(super) fn play(
        &mut self,
        random: &mut Random,
        keys: &[&str],
        length_ms: u64,
        (tally, owed): (&Tally, &Owed),
        mut show: impl FnMut(&Tally),
    ) -> Result<Vec<String>, String> {
        let began = Instant::now();
        let mut wrong = Vec::new();
        let data = self.children.data(0).is_some();
        let scene = Scene { servers: self.children.count(), keys: keys.len(), length_ms, data };
        for step in plan::draw(random, scene) {
            let at = began + Duration::from_millis(step.at_ms);
            while Instant::now() < at {
                thread::sleep((at - Instant::now()).min(LOOK));
                self.look(tally);
                show(tally);
            }
            wrong.extend(self.apply(step.fault, keys, tally, owed)?);
            if !wrong.is_empty() {
                // What is on disk is left as it is.
                return Ok(wrong);
            }
        }
        let end = began + Duration::from_millis(length_ms);
        thread::sleep(end.saturating_duration_since(Instant::now()));
        Ok(wrong)
    }

    fn apply(
        &mut self,
        fault: Fault,
        keys: &[&str],
        tally: &Tally,
        owed: &Owed,
    ) -> Result<Option<String>, String> {
        match fault {
            Fault::Cut(one, other) => {
                tally.one(Count::Cuts);
                self.both("CUT", one, other);
                return Ok(self.ask_a_read(one, keys[0]));
            }
            Fault::Heal(one, other) => self.both("HEAL", one, other),
            Fault::Delay { from, to, key, delay_ms } => {
                if delay_ms > 0 {
                    tally.one(key.map_or(Count::LinkDelays, |_| Count::KeyDelays));
                }
                let (to, delay_ms) = (Children::id(to), delay_ms.to_string());
                let mut words = vec!["DELAY", &to, &delay_ms];
                words.extend(key.map(|key| keys[key]));
                self.tell(from, &words);
            }
            Fault::Kill { server, amid } => {
                self.look(tally);
                self.kill(server, amid, tally)?;
            }
            Fault::Start { server, empty } => return self.start(server, empty, tally, owed),
        }
        Ok(None)
    }

    fn kill(&mut self, server: usize, amid: bool, tally: &Tally) -> Result<(), String> {
        let deadline = Instant::now() + AMID;
        while amid && !self.is_amid(server) && Instant::now() < deadline {
            thread::sleep(AMID_LOOK);
        }
        self.children.kill(server)?;
        self.held[server] = 0;
        tally.one(Count::Kills);
        tally.add(Count::KillsAmid, self.is_amid(server).into());
        Ok(())
    }

    /// Whether a server has the file of a snapshot that is not complete.
    fn is_amid(&self, server: usize) -> bool {
        let data = self.children.data(server);
        let draft = |data: &PathBuf, name| data.join(name).exists();
        data.is_some_and(|data| draft(&data, "snapshot-new") || draft(&data, "install-new"))
    }

    /// Starts a server that was killed. Gives what it has lost and should not have.
    fn start(
        &mut self,
        server: usize,
        empty: bool,
        tally: &Tally,
        owed: &Owed,
    ) -> Result<Option<String>, String> {
        if let Some(data) = self.children.data(server) {
            match owed.settle(&self.children, server) {
                Ok(lives) => tally.add(Count::LivesKept, lives as u64),
                Err(lost) => return Ok(Some(lost)),
            }
            if empty {
                owed.empty(server, &data)?;
            }
        }
        self.children.start_again(server)?;
        if empty {
            self.emptied.insert(u32::try_from(server + 1).expect("there are few"));
        }
        tally.one(if empty { Count::Starts } else { Count::StartsWithData });
        Ok(None)
    }

    /// Both ends are told, as one of them may be killed meanwhile.
    fn both(&self, command: &str, one: usize, other: usize) {
        self.tell(one, &[command, &Children::id(other)]);
        self.tell(other, &[command, &Children::id(one)]);
    }

    /// Tells a server something. If it does not run, it forgets what it is told anyway.
    fn tell(&self, place: usize, words: &[&str]) {
        if self.children.is_running(place) {
            let _ = self.children.client(place).and_then(|mut client| client.request(words));
        }
    }

    /// Any server answers reads, whomever it can reach. Gives what was wrong with the answer.
    fn ask_a_read(&self, place: usize, key: &str) -> Option<String> {
        if !self.children.is_running(place) {
            return None;
        }
        let began = Instant::now();
        let read = self.children.client(place).and_then(|mut client| client.read(key));
        let (name, waited) = (self.children.name(place), began.elapsed());
        match read {
            // It has ended by itself, which is noticed elsewhere.
            Err(Error::Unreachable { .. }) => None,
            Err(error) => Some(format!("{name}, cut off, does not answer a read: {error}")),
            Ok(_) if waited > ANSWER_MAX => {
                Some(format!("{name}, cut off, took {} ms to answer a read", waited.as_millis()))
            }
            Ok(_) => None,
        }
    }

    /// Asks all servers how many updates they have held back.
    fn look(&mut self, tally: &Tally) {
        for place in self.children.running() {
            let Ok(mut client) = self.children.client(place) else { continue };
            let held = look::info(&mut client, "delayed_total");
            let held = held.ok().and_then(|held| held.parse().ok()).unwrap_or(0);
            tally.add(Count::Held, u64::saturating_sub(held, self.held[place]));
            self.held[place] = held;
        }
    }

    /// Heals everything, and waits until all servers agree.
    ///
    /// # Errors
    /// They do not.
    pub(super) fn settle(&mut self, tally: &Tally) -> Result<(), String> {
        let count = self.children.count();
        for one in 0..count {
            (0..one).for_each(|other| self.both("HEAL", one, other));
        }
        let lost = ending::agree(&self.children, &self.emptied);
        self.look(tally);
        tally.set(Count::Lost, lost?);
        Ok(())
    }

    /// Deletes a round's keys, so that stores stay small however long a run is. The next round's end
    /// shows whether all servers have done so.
    pub(super) fn clear(&self, keys: &[&str]) {
        self.tell(0, &[&["DEL"], keys].concat());
    }
}
