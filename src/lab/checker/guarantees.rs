//! The four session guarantees (Terry 1994), told from the reads that break causal order.
//!
//! Each guarantee is a part of causal consistency: it looks at one short way in which a write comes
//! before a read. So whoever breaks one breaks causal order, and only bad reads need to be asked.

use std::collections::BTreeMap;

use crate::lab::history::History;

use super::explain::place;
use super::order::CausalOrder;

/// A promise to one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// A read shows the session's own earlier writes, or what replaced them.
    ReadYourWrites,
    /// A read shows what the session's earlier reads showed, or what replaced it.
    MonotonicReads,
    /// Whoever sees a write sees what its session wrote before it.
    MonotonicWrites,
    /// Whoever sees a write sees what its session had read before it.
    WritesFollowReads,
}

impl Guarantee {
    /// All four.
    pub const ALL: [Self; 4] = [
        Self::ReadYourWrites,
        Self::MonotonicReads,
        Self::MonotonicWrites,
        Self::WritesFollowReads,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadYourWrites => "read your writes",
            Self::MonotonicReads => "monotonic reads",
            Self::MonotonicWrites => "monotonic writes",
            Self::WritesFollowReads => "writes follow reads",
        }
    }
}

/// Which guarantees are broken, each with the first read that breaks it.
#[derive(Clone, Debug, Default)]
pub(super) struct Guarantees {
    pub(super) broken: BTreeMap<Guarantee, String>,
}

/// A read, and what it shows; `None`: the initial value.
struct Asked<'a> {
    order: &'a CausalOrder,
    read: usize,
    key: usize,
    shown: Option<usize>,
}

/// A beginning of a lane: the lane, and how long the beginning is.
type Beginning = (usize, usize);

impl Guarantees {
    /// Asks a read that shows something that had been replaced.
    pub(super) fn ask(
        &mut self,
        history: &History,
        order: &CausalOrder,
        read: usize,
        shown: Option<usize>,
    ) {
        let asked = Asked { order, read, key: history.operations[read].key, shown };
        let at = |operation| place(history, operation);
        let mut broken = |guarantee, missed, why: String| {
            let read = at(read);
            let text = || format!("{read} does not show {}, {why}", at(missed));
            self.broken.entry(guarantee).or_insert_with(text);
        };
        for own in asked.session_before(read) {
            if let Some(write) = asked.missed_write(own) {
                broken(
                    Guarantee::ReadYourWrites,
                    write,
                    "which its session had written".to_owned(),
                );
            }
            if let Some((write, earlier)) = asked.missed_read(own) {
                let why = format!("which its session had read at {}", at(earlier));
                broken(Guarantee::MonotonicReads, write, why);
            }
        }
        for seen in asked.seen() {
            let seen_at = at(seen);
            for beginning in asked.session_before(seen) {
                if let Some(write) = asked.missed_write(beginning) {
                    let why = format!(
                        "but its session had seen {seen_at}, which is from the same session and later"
                    );
                    broken(Guarantee::MonotonicWrites, write, why);
                }
                if let Some((write, earlier)) = asked.missed_read(beginning) {
                    let by = at(earlier);
                    let why = format!(
                        "but its session had seen {seen_at}, whose session had read that at {by}"
                    );
                    broken(Guarantee::WritesFollowReads, write, why);
                }
            }
        }
    }
}

impl Asked<'_> {
    /// What the session of an operation did before it.
    fn session_before(&self, operation: usize) -> Vec<Beginning> {
        let beginning = |operation| (self.order.lane(operation), self.order.place(operation));
        let own = beginning(operation);
        // A write of unknown fate is alone in its lane; the session's lane ends before it.
        let parent = self.order.previous(operation).filter(|&last| self.order.lane(last) != own.0);
        let parent = parent.map(|last| (self.order.lane(last), self.order.place(last) + 1));
        [Some(own), parent].into_iter().flatten().collect()
    }

    fn replaces(&self, write: usize) -> bool {
        self.shown.is_none_or(|shown| self.order.before(shown, write))
    }

    /// A write of the key in this beginning that replaces what is shown. The last does if any does.
    fn missed_write(&self, (lane, reach): Beginning) -> Option<usize> {
        let writes = self.order.writes[self.key].iter().find(|(other, _)| *other == lane)?;
        self.order.last_within(&writes.1, reach).filter(|&write| self.replaces(write))
    }

    /// A write of the key that replaces what is shown, and a read of it in this beginning.
    fn missed_read(&self, (lane, reach): Beginning) -> Option<(usize, usize)> {
        let (_, reads) = self.order.reads[self.key].iter().find(|(other, _)| *other == lane)?;
        let count = reads.partition_point(|&read| self.order.place(read) < reach);
        let sources =
            reads[..count].iter().filter_map(|&read| Some((self.order.source[read]?, read)));
        sources.rev().find(|&(write, _)| self.replaces(write))
    }

    /// The writes that the session of the read had seen before: from each lane the last.
    fn seen(&self) -> Vec<usize> {
        let mut last: BTreeMap<usize, usize> = BTreeMap::new();
        let mut at = self.order.previous(self.read);
        while let Some(earlier) = at {
            if let Some(write) = self.order.source[earlier] {
                let newest = last.entry(self.order.lane(write)).or_insert(write);
                if self.order.place(write) > self.order.place(*newest) {
                    *newest = write;
                }
            }
            at = self.order.previous(earlier);
        }
        last.into_values().collect()
    }
}
