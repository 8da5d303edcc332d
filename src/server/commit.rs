//! Groups: what the apply thread writes to disk in one piece, and then shows.
//!
//! A group that the disk refuses, because it is full, is undone: its writes are refused, and what
//! came from peers is asked for again later. Reads go on meanwhile.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::core::Replica;
use crate::log::disk::{Synced, WriteError};

use super::apply::Apply;

/// How long after the disk has refused something peers are asked to send it again.
const RETRY: Duration = Duration::from_secs(1);

impl Apply<'_> {
    /// A group begins: what the disk may refuse must be possible to undo.
    pub(super) fn begin(&mut self, replica: &Replica) {
        self.committed = self.answers.len();
        self.checkpoint = self.publisher.disk.is_some().then(|| replica.checkpoint());
        if self.refused_at.is_some_and(|at| at.elapsed() >= RETRY) {
            // What was received and refused is asked for again.
            self.refused_at = None;
            self.shared.ask_again();
        }
    }

    /// A group ends: it goes to disk, and is seen; or it is undone, and its writes are refused.
    pub(super) fn commit(&mut self, replica: &mut Replica) {
        let written = self.publisher.commit();
        let group = &mut self.answers[self.committed..];
        let id = self.shared.options.id;
        match written {
            Ok(()) => {
                let outcomes = group.iter().flat_map(|(batch, _)| &batch.outcomes);
                let count = outcomes.filter(|outcome| outcome.version.is_some()).count() as u64;
                self.shared.updates_local.fetch_add(count, Ordering::Relaxed);
            }
            Err(error) => {
                if self.refused_at.is_none() {
                    log::error!("Server {id} refuses updates, but serves reads: {error}");
                }
                self.refused_at = Some(Instant::now());
                for (batch, _) in group {
                    batch.refuse(&format!("MISCONF {error}"));
                }
                if let Some(checkpoint) = self.checkpoint.take() {
                    replica.undo(checkpoint);
                }
                self.disk_done(Err(error));
            }
        }
    }

    /// Ends a group and begins the next one.
    pub(super) fn next_group(&mut self, replica: &mut Replica) {
        self.commit(replica);
        self.begin(replica);
    }

    /// Has the disk sync what is due; in the end, everything.
    pub(super) fn tend_disk(&mut self, stop: bool) {
        if let Some(disk) = &mut self.publisher.disk {
            if !stop {
                disk.compact(self.shared);
            }
            let done = if stop { disk.finish() } else { disk.tend() };
            self.disk_done(done);
        }
    }

    /// Takes what came of a sync.
    pub(super) fn synced(&mut self, synced: Synced) {
        let noted = self.publisher.disk.as_mut().map(|disk| disk.synced(synced));
        self.disk_done(noted.unwrap_or(Ok(())));
    }

    /// Takes what came of a compaction.
    pub(super) fn compacted(&mut self, bytes: Option<u64>) {
        if let Some(disk) = &mut self.publisher.disk {
            disk.compacted(bytes);
        }
    }

    /// After some failures nothing is known of the disk any more: that is the end.
    pub(super) fn disk_done(&self, done: Result<(), WriteError>) {
        if let Err(error @ WriteError::Fatal(_)) = done {
            self.shared.fail(error.to_string());
        }
    }
}
