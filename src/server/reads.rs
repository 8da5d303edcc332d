//! `GET`: a pipelined run of them is looked up in one go.
//!
//! To look a key up is mostly to wait for memory, and a processor waits for several look-ups at once
//! if they lie close together: see [`crate::core::hashed`]. So the keys of a run are gathered, and
//! answered when something else comes, or nothing more.

use std::sync::atomic::Ordering;

use crate::core::{Order, Version};

use super::execute::{value, value_into};
use super::handoff::Own;
use super::session::Session;

/// So many are answered in one go at most.
const READS_MAX: usize = 16;
/// When so many bytes are copied in one go, no more are. Whoever writes to these keys waits meanwhile.
const READ_BYTES_MAX: usize = 256 << 10;

/// The keys of `GET`s that are not answered yet. Nothing that came behind them is, either.
#[derive(Debug, Default)]
pub(super) struct Reads {
    text: String,
    /// Where in the text each of them ends.
    ends: Vec<usize>,
}

impl Reads {
    fn keys(&self) -> Vec<&str> {
        let mut start = 0;
        let key = |&end: &usize| &self.text[std::mem::replace(&mut start, end)..end];
        self.ends.iter().map(key).collect()
    }
}

impl Session {
    /// Runs a `GET`: now, if this session's own writes are under way, else with those that follow.
    pub(super) fn get(&mut self, key: &str) {
        let total = self.shared.options.order == Order::Total;
        let uncertain = total || self.shared.loading.load(Ordering::Relaxed);
        let writes = self.batch.as_ref().map_or(0, |batch| batch.keys());
        if self.joined.is_none() && !uncertain && writes == 0 {
            self.reads.text.push_str(key);
            self.reads.ends.push(self.reads.text.len());
            if self.reads.ends.len() == READS_MAX {
                self.answer_reads();
            }
            return;
        }
        self.answer_reads();
        if uncertain {
            // What is under way may be refused, or not be shown in time: then it must not be read.
            self.flush();
        }
        match self.batch.as_ref().map_or(Own::Nothing, |batch| batch.find(key)) {
            Own::Wrote(value) => value_into(&mut self.out, Some(value), self.resp3),
            Own::Deleted => value_into(&mut self.out, None, self.resp3),
            Own::Nothing => self.answer_read(key),
        }
    }

    fn answer_read(&mut self, key: &str) {
        let (out, resp3) = (&mut self.out, self.resp3);
        let seen = self.shared.parts.read(key, |shown| {
            value_into(out, value(&shown), resp3);
            shown.version()
        });
        if let Some(version) = seen {
            self.see(version);
        }
    }

    /// Answers some reads at least, all if their values are not long. Gives how many.
    fn answer_some(&mut self, keys: &[&str]) -> usize {
        let (out, resp3) = (&mut self.out, self.resp3);
        let bytes_max = out.len() + READ_BYTES_MAX;
        let mut seen: Vec<Option<Version>> = Vec::with_capacity(keys.len());
        self.shared.parts.read_all(keys, |shown| {
            if out.len() < bytes_max {
                value_into(out, value(&shown), resp3);
                seen.push(shown.version());
            }
        });
        for version in seen.iter().flatten() {
            self.see(*version);
        }
        seen.len()
    }

    /// Answers the `GET`s that were gathered. Before anything else is run or answered.
    pub(super) fn answer_reads(&mut self) {
        if self.reads.ends.is_empty() {
            return;
        }
        let reads = std::mem::take(&mut self.reads);
        if reads.ends.len() == 1 {
            self.answer_read(&reads.text);
        } else {
            let keys = reads.keys();
            let mut answered = 0;
            while answered < keys.len() {
                answered += self.answer_some(&keys[answered..]);
            }
        }
        self.reads = reads;
        self.reads.text.clear();
        self.reads.ends.clear();
    }
}
