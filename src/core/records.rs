//! What all servers said last of themselves, and what may be forgotten because of it.
//!
//! To forget is to rely on what cannot come any more. Two things are forgotten: held updates that
//! wait for a write which died with its holders (rule R9), and deletes (rule R10). Both need a
//! [`Record`] of every known server, and that all of them agree on who lives: then whatever a dead
//! server had sent has arrived or is dropped, and nothing is under way that no record shows.
//!
//! A record may be old. What a server applied or holds since then came from another server that had
//! applied it, and so on back to one whose record shows it; or the server wrote it itself, and then
//! it is above all that the record shows.

use std::collections::{BTreeMap, BTreeSet};

use super::applied::Applied;
use super::version::Version;

/// What a server said last of itself (rule R5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The newest life that it knows of each server, itself among them.
    pub lives: BTreeMap<u32, u64>,
    /// All writes of its life are above this timestamp; `None` while it may not write.
    pub above: Option<u64>,
    /// What it has applied.
    pub applied: Applied,
    /// The lowest timestamp of what it holds back; `None`: it holds nothing.
    pub held: Option<u64>,
    /// It would forget deletes up to this timestamp, and lets nobody in who has written below it
    /// unknown to it. 0: none.
    pub floor: u64,
}

/// The records of all known servers, which agree on everyone's life.
#[derive(Clone, Debug)]
pub struct Settled {
    own: u32,
    records: BTreeMap<u32, Record>,
    /// Servers that will not come back.
    gone: BTreeSet<u32>,
}

impl Settled {
    /// Takes the newest record of every known server by its id, that of server `own` among them, and
    /// the servers that are known not to come back. `None` if a record is missing or they do not
    /// agree: then nothing may be forgotten yet.
    pub fn new(own: u32, records: BTreeMap<u32, Record>, gone: BTreeSet<u32>) -> Option<Self> {
        let lives = &records.get(&own)?.lives;
        let agree = lives.keys().eq(records.keys())
            && records.values().all(|record| record.lives == *lives);
        agree.then_some(Self { own, records, gone })
    }

    /// Whether a version is of a life that is over.
    pub fn is_over(&self, version: Version) -> bool {
        match self.records.get(&version.server) {
            Some(origin) => origin.above.is_some_and(|above| version.timestamp <= above),
            None => self.gone.contains(&version.server),
        }
    }

    /// Rule R9: whether no server, but perhaps server `own`, has applied or holds a version, nor ever
    /// will. Of what is held a record has the lowest timestamp only. That is enough: what waits for
    /// the lowest of all that is held anywhere waits for nothing that is held.
    pub fn is_lost(&self, version: Version) -> bool {
        let others = self.records.iter().filter(|&(&server, _)| server != self.own);
        let mut others = others.map(|(_, record)| record);
        let has = |record: &Record| {
            let may_hold = record.held.is_some_and(|held| held <= version.timestamp);
            may_hold || record.applied.covers(version)
        };
        self.is_over(version) && !others.any(has)
    }

    /// Rule R10: which deletes server `own` may forget.
    pub fn horizon(&self) -> Horizon {
        let own = &self.records[&self.own].applied;
        let (mut common, mut below) = (own.clone(), u64::MAX);
        for record in self.records.values() {
            common.keep_common(&record.applied);
            let lacks_from = own.lacks_from(&record.applied);
            below = lacks_from.into_iter().chain(record.held).fold(below, u64::min);
        }
        let floor = self.records.values().map(|record| record.floor).min().unwrap_or_default();
        Horizon { common, below, floor }
    }
}

/// Which deletes may be forgotten, and which as soon as all servers would forget them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// What every server has applied.
    common: Applied,
    /// What is below has been applied here if anybody has it, and nobody holds anything below.
    below: u64,
    /// All servers would forget deletes up to this timestamp.
    floor: u64,
}

impl Horizon {
    /// Whether nothing older than this delete can come any more, from any server that is known.
    pub fn covers(&self, delete: Version) -> bool {
        delete.timestamp < self.below && self.common.covers(delete)
    }

    /// Whether, besides, no server lets anybody in who is not known and has something older.
    pub fn is_agreed(&self, delete: Version) -> bool {
        delete.timestamp <= self.floor && self.covers(delete)
    }
}
