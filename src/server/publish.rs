//! Where an update goes once it is applied: to disk, into the log, which links read, and into the
//! store.
//!
//! What is pushed to joined clients is read from a log, too. It is the same log, unless the delivery
//! rule shows updates in another order or under other versions than it sends them (`total`,
//! `original`); then what is shown has a log of its own, and there is no data directory.
//!
//! With a data directory, the log on disk is written *ahead*: a group of updates is appended and, as
//! `--fsync` says, synced, and only then shown, sent and acknowledged.

use crate::core::{Shown, Update, Version};
use crate::log::Batch;
use crate::log::disk::WriteError;
use crate::protocol::link::{Head, update_into};

use super::disk::Disk;
use super::parts::Writer;
use super::shared::Shared;
use super::staged::Staged;

/// A group goes to the log at the latest when it has so many bytes.
const GROUP_BYTES: usize = 1 << 20;

/// The apply thread's hands: it alone writes to disk, log and store.
#[derive(Debug)]
pub(super) struct Publisher<'a> {
    shared: &'a Shared,
    parts: Writer<'a>,
    /// What links send, on its way into the log.
    log: Batch,
    /// What is pushed, if that has a log of its own.
    shown: Option<Batch>,
    /// The place, in the log of what is shown, at which the next group begins.
    base: u64,
    /// The log on disk, and what waits for it.
    pub(super) disk: Option<Disk>,
    staged: Staged,
    meta: Vec<u8>,
    hidden: Vec<u32>,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(shared: &'a Shared, disk: Option<Disk>) -> Self {
        let order = shared.options.order;
        Self {
            shared,
            parts: shared.parts.writer(),
            log: Batch::default(),
            shown: order.shows_apart().then(Batch::default),
            base: shared.shown.end(),
            disk,
            staged: Staged::new(order),
            meta: Vec::new(),
            hidden: Vec::new(),
        }
    }

    /// Logs an update and shows it, under this version.
    pub(super) fn publish(
        &mut self,
        head: Head<'_>,
        shown_as: Version,
        changes: &[(&str, Option<&str>)],
    ) {
        if self.shown.is_some() {
            self.keep(head, changes);
            return self.show(Head { version: shown_as, ..head }, changes);
        }
        update_into(&mut self.log.frames, &mut self.meta, head, changes);
        let end = self.log.frames.len();
        if self.disk.is_some() {
            return self.staged.push(head.update(changes), end);
        }
        self.show_logged(head, end, changes);
    }

    /// Shows an update whose frame ends there in the group.
    fn show_logged(&mut self, head: Head<'_>, end: usize, changes: &[(&str, Option<&str>)]) {
        self.hidden.clear();
        self.parts.apply(head.version, changes, &mut self.hidden);
        self.log.seal(head.version, head.predecessor, &self.hidden, end);
    }

    /// Logs an update that is not shown yet.
    pub(super) fn keep(&mut self, head: Head<'_>, changes: &[(&str, Option<&str>)]) {
        update_into(&mut self.log.frames, &mut self.meta, head, changes);
        let end = self.log.frames.len();
        self.log.seal(head.version, head.predecessor, &[], end);
    }

    /// Shows an update that is logged already.
    pub(super) fn show(&mut self, head: Head<'_>, changes: &[(&str, Option<&str>)]) {
        let Some(shown) = &mut self.shown else { return };
        // It may have got a version below its predecessor's; nobody reads that here.
        let head = Head { predecessor: 0, ..head };
        update_into(&mut shown.frames, &mut self.meta, head, changes);
        self.hidden.clear();
        self.parts.apply(head.version, changes, &mut self.hidden);
        let end = shown.frames.len();
        shown.seal(head.version, head.predecessor, &self.hidden, end);
    }

    /// An update that was read back from disk.
    pub(super) fn restore(&mut self, frame: &[u8], update: &Update) {
        self.log.frames.extend_from_slice(frame);
        let end = self.log.frames.len();
        self.show_logged(Head::from(update), end, &update.pairs());
        if self.is_large() {
            self.append();
        }
    }

    /// The version that a key shows, once the group is shown, and whether it has a value.
    pub(super) fn look(&mut self, key: &str) -> (Option<Version>, bool) {
        let shown =
            self.parts.read(key, |shown| (shown.version(), matches!(shown, Shown::Value(..))));
        self.staged.look(key, shown)
    }

    /// The place, in the log of what is shown, of what is shown next.
    pub(super) fn place(&self) -> u64 {
        let batch = self.shown.as_ref().unwrap_or(&self.log);
        self.base + (batch.len() + self.staged.len()) as u64
    }

    /// Whether much has gathered.
    pub(super) fn is_large(&self) -> bool {
        self.log.frames.len() > GROUP_BYTES
    }

    /// The end of a group: it is written, and then everyone may see it. Blocks as long as the disk
    /// takes.
    ///
    /// # Errors
    /// The disk refused it, and the group is gone as if it had never been.
    pub(super) fn commit(&mut self) -> Result<(), WriteError> {
        if let Some(disk) = &mut self.disk {
            let written = disk.append(&self.log.frames, self.staged.ends());
            let staged = self.staged.take();
            if let Err(error) = written {
                self.log.clear();
                return Err(error);
            }
            for (update, end) in &staged {
                self.show_logged(Head::from(update), *end, &update.pairs());
            }
        }
        self.append();
        Ok(())
    }

    /// Appends what has gathered to the logs in memory.
    pub(super) fn append(&mut self) {
        let place = self.place();
        self.parts.release();
        if !self.log.is_empty() {
            self.shared.log.append(&mut self.log);
        }
        if let Some(shown) = self.shown.as_mut().filter(|shown| !shown.is_empty()) {
            self.shared.shown.append(shown);
        }
        self.base = place;
    }
}
