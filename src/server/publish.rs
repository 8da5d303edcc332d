//! Where an update goes once it is applied: to disk, into the log, which links read, and into the
//! store.
//!
//! What is pushed to joined clients is read from a log, too. It is the same log, unless the delivery
//! rule shows updates in another order or under other versions than it sends them (`total`,
//! `original`); then what is shown has a log of its own, and there is no data directory.
//!
//! With a data directory, the log on disk is written *ahead*: a group of updates is appended and, as
//! `--fsync` says, synced, and only then shown, sent and acknowledged.

use std::hint::black_box;

use crate::core::{Shown, Update, Version};
use crate::log::Batch;
use crate::log::disk::WriteError;
use crate::protocol::bundle::Arrived;
use crate::protocol::changes::{Changes, Written};
use crate::protocol::link::Head;

use super::disk::Disk;
use super::shared::Shared;
use super::staged::{Seen, Staged};

/// A group is shown and logged at the latest when it has so many bytes: as many as a processor's own
/// cache keeps while it goes over them again.
const GROUP_BYTES: usize = 64 << 10;
/// The same with a data directory, where a group may cost a sync.
const WRITTEN_GROUP_BYTES: usize = 1 << 20;

/// What a group of so many bytes may need, in bytes: less than the allocator of glibc would take from
/// elsewhere or give back at once (128 KiB).
const ROOMY_GROUP_BYTES: usize = 16 << 10;
const ROOM_BYTES: usize = 110 << 10;

/// The apply thread's hands: it alone writes to disk, log and store.
#[derive(Debug)]
pub(super) struct Publisher<'a> {
    shared: &'a Shared,
    /// What links send, on its way into the log.
    log: Batch,
    /// What is pushed, if that has a log of its own.
    shown: Option<Batch>,
    /// The place, in the log of what is shown, at which the next group begins.
    base: u64,
    /// The log on disk, and what keys will show when that has what has gathered.
    pub(super) disk: Option<Disk>,
    staged: Staged,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(shared: &'a Shared, disk: Option<Disk>) -> Self {
        let order = shared.options.order;
        Self {
            shared,
            log: Batch::default(),
            shown: order.shows_apart().then(Batch::default),
            base: shared.shown.end(),
            disk,
            staged: Staged::new(order),
        }
    }

    /// Logs an update and shows it, under this version.
    pub(super) fn publish(&mut self, head: Head<'_>, shown_as: Version, changes: Changes<'_>) {
        self.keep(head, changes);
        self.show(Head { version: shown_as, ..head }, changes);
    }

    /// Logs and shows an update as it came. Only if what is shown has no log of its own.
    pub(super) fn forward(&mut self, arrived: Arrived<'_>) {
        self.log.forward(arrived);
    }

    /// Logs an update that is not shown yet, if what is shown has a log of its own.
    pub(super) fn keep(&mut self, head: Head<'_>, changes: Changes<'_>) {
        self.log.push(head, changes);
    }

    /// Shows an update that is logged already.
    pub(super) fn show(&mut self, head: Head<'_>, changes: Changes<'_>) {
        let Some(shown) = &mut self.shown else { return };
        // It may have got a version below its predecessor's; nobody reads that here.
        shown.push(Head { predecessor: 0, ..head }, changes);
    }

    /// An update that was read back from disk.
    pub(super) fn restore(&mut self, update: &Update) {
        self.log.push(Head::from(update), Written::new(update.pairs()).changes());
        if self.is_large() {
            self.append();
        }
    }

    /// The version that a key shows, once the group is shown, and whether it has a value.
    pub(super) fn look(&mut self, key: &str) -> Seen {
        let parts = &self.shared.parts;
        let look = || parts.read(key, |shown| (shown.version(), matches!(shown, Shown::Value(..))));
        if self.disk.is_some() {
            return self.staged.look(&self.log, key, look());
        }
        self.show_all();
        look()
    }

    /// Has the store show what has gathered.
    fn show_all(&mut self) {
        let batch = self.shown.as_mut().unwrap_or(&mut self.log);
        batch.show(|changes, hidden| self.shared.parts.apply(changes, hidden));
    }

    /// The place, in the log of what is shown, of what is shown next.
    pub(super) fn place(&self) -> u64 {
        let batch = self.shown.as_ref().unwrap_or(&self.log);
        self.base + batch.len() as u64
    }

    /// Whether much has gathered.
    pub(super) fn is_large(&self) -> bool {
        let most = if self.disk.is_some() { WRITTEN_GROUP_BYTES } else { GROUP_BYTES };
        self.log.frames().len() > most
    }

    /// The end of a group: it is written, and then everyone may see it. Blocks as long as the disk
    /// takes.
    ///
    /// # Errors
    /// The disk refused it, and the group is gone as if it had never been.
    pub(super) fn commit(&mut self) -> Result<(), WriteError> {
        if let Some(disk) = &mut self.disk {
            self.staged.clear();
            if let Err(error) = disk.append(self.log.frames(), self.log.ends()) {
                self.log.clear();
                return Err(error);
            }
        }
        self.append();
        Ok(())
    }

    /// Shows what has gathered, and appends it to the logs in memory.
    pub(super) fn append(&mut self) {
        let place = self.place();
        if self.log.frames().len() >= ROOMY_GROUP_BYTES {
            make_room();
        }
        self.show_all();
        if !self.log.is_empty() {
            self.shared.log.append(&mut self.log);
        }
        if let Some(shown) = self.shown.as_mut().filter(|shown| !shown.is_empty()) {
            self.shared.shown.append(shown);
        }
        self.base = place;
    }
}

/// Has the allocator take room for new keys and values from the system in one step: what is asked for
/// and given back stays with the thread. The allocator of glibc takes it page by page for all threads
/// but the first: 100,000 new values of 1 KiB cost 16,000 system calls, a seventh of the time.
fn make_room() {
    drop(black_box(Vec::<u8>::with_capacity(ROOM_BYTES)));
}
