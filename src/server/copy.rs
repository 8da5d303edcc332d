//! A copy of the whole store, made while writes go on (rule R7).
//!
//! Part after part is copied, a few keys under one lock. What is written meanwhile to the parts that
//! have been copied is read from the log and copied again. In the end, when the log has been read up
//! to a place that is sampled together with what is applied, the copy has exactly what the store
//! showed there: for each key the higher of the versions that were copied.
//!
//! Nothing is kept of the copy here: it goes to a peer, to disk, or into another store.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use crate::core::{Applied, Update, Version};
use crate::log::{FellBehind, Hold, Log};
use crate::protocol::link::updates;

use super::parts::PARTS;
use super::shared::Shared;

/// How much of the log is read at a time.
const FOLLOW_BYTES: usize = 256 << 10;

/// A copy that is being made.
#[derive(Debug)]
pub(super) struct Copy<'a> {
    shared: &'a Shared,
    /// How many snapshots this server had taken in when the copy was begun. What comes by snapshot is
    /// not in the log.
    installs: u64,
    /// Up to where the log has been read.
    cursor: u64,
    hold: Hold,
    /// The parts before this one have been copied, or are being copied.
    begun: usize,
    /// The keys of the last of them that are still to be copied.
    keys: Vec<String>,
    /// What the copy is exact for, once all parts have been copied.
    copied: Option<Copied>,
}

/// What a copy is exact for.
#[derive(Clone, Debug)]
pub(super) struct Copied {
    pub(super) applied: Applied,
    pub(super) clock: u64,
    pub(super) floor: u64,
    /// The place in the log.
    pub(super) sequence: u64,
}

/// The copy cannot become exact any more: the log was trimmed, or a snapshot was taken in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stale;

impl<'a> Copy<'a> {
    pub(super) fn begin(shared: &'a Shared) -> Self {
        // While the replica is held, nothing is applied.
        let _held = shared.replica.read();
        shared.copies.fetch_add(1, Ordering::SeqCst);
        let (installs, cursor) = (shared.installs.load(Ordering::SeqCst), shared.log.end());
        let hold = shared.log.hold(cursor);
        Self { shared, installs, cursor, hold, begun: 0, keys: Vec::new(), copied: None }
    }

    /// Copies some more: shows `show` keys with what they have; a deleted one has no value. Gives
    /// what the copy is exact for when it is complete. Holds no lock for longer than a few
    /// milliseconds, but `show` runs under that of a part: it must not wait for anything.
    ///
    /// # Errors
    /// [`Stale`]: begin again.
    pub(super) fn step(
        &mut self,
        mut show: impl FnMut(&str, Option<&str>, Version),
    ) -> Result<Option<Copied>, Stale> {
        let log = &self.shared.log;
        let end = self.copied.as_ref().map_or_else(|| log.end(), |copied| copied.sequence);
        let followed = follow(log, self.cursor, end, |update| {
            // What is in a part that is not copied yet will be copied with it.
            let copied = update
                .changes
                .iter()
                .filter(|change| self.shared.parts.part_of(&change.key) < self.begun);
            copied.for_each(|change| show(&change.key, change.value.as_deref(), update.version));
        });
        self.cursor = followed.map_err(|FellBehind| Stale)?;
        self.hold.at(self.cursor);
        if self.copied.is_some() {
            return Ok(self.copied.take_if(|_| self.cursor == end));
        }
        if self.keys.is_empty() && self.begun == PARTS {
            self.copied = Some(self.claim()?);
            return Ok(None);
        }
        if self.keys.is_empty() {
            self.keys = self.shared.parts.keys(self.begun);
            self.begun += 1;
        }
        self.shared.parts.take(self.begun - 1, &mut self.keys, show);
        Ok(None)
    }

    fn claim(&self) -> Result<Copied, Stale> {
        let replica = self.shared.replica.read();
        if self.installs != self.shared.installs.load(Ordering::SeqCst) {
            return Err(Stale);
        }
        let (applied, clock) = (replica.applied().clone(), replica.clock().last());
        Ok(Copied { applied, clock, floor: replica.floor(), sequence: self.shared.log.end() })
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        self.shared.copies.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Shows `show` some of the updates from `cursor` on and before `end`; gives where it broke off.
///
/// # Errors
/// The log no longer has them.
pub(super) fn follow(
    log: &Log,
    cursor: u64,
    end: u64,
    mut show: impl FnMut(&Update),
) -> Result<u64, FellBehind> {
    let mut frames = Vec::new();
    let cursor = log.read(cursor, |entry| {
        if entry.sequence >= end || frames.len() >= FOLLOW_BYTES {
            return ControlFlow::Break(());
        }
        frames.extend_from_slice(entry.frame);
        ControlFlow::Continue(())
    })?;
    for update in updates(&frames) {
        show(&update);
    }
    Ok(cursor)
}
