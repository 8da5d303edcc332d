//! The log on disk, as the apply thread and the links hold it; and the thread that syncs for it.
//!
//! Under `--fsync interval` the apply thread does not wait for the disk: what was not synced for a
//! second goes to the thread `sync`, and what came of it comes back as a message.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use crate::core::Applied;
use crate::log::disk::snapshot::{self, Draft};
use crate::log::disk::{Cursor, Failure, Reader, Synced, Unsynced, WriteError, Writer};

use super::compact::Compaction;
use super::restore::Restored;
use super::shared::{Request, Shared};

/// The log on disk, for the links: what the log in memory no longer has.
#[derive(Debug)]
pub(super) struct OnDisk {
    reader: Reader,
    behind: Mutex<Behind>,
}

/// Where the log on disk begins.
#[derive(Debug)]
struct Behind {
    /// The number of its first update. An update has the same number as in memory.
    sequence: u64,
    /// All that is not in it: it is in the snapshot before it, or came by snapshot.
    base: Applied,
}

impl OnDisk {
    pub(super) fn new(reader: Reader, sequence: u64, base: Applied) -> Self {
        Self { reader, behind: Mutex::new(Behind { sequence, base }) }
    }

    /// A cursor for a peer that has applied this; `None` if it lacks what is not in the log.
    pub(super) fn cursor(&self, applied: &Applied) -> Option<Cursor> {
        let behind = self.behind.lock();
        applied.covers_all(&behind.base).then(|| self.reader.cursor(behind.sequence))
    }

    /// Where the log begins, and what is not in it.
    pub(super) fn base(&self) -> (u64, Applied) {
        let behind = self.behind.lock();
        (behind.sequence, behind.base.clone())
    }

    /// A snapshot was taken in: what it has is not in the log.
    pub(super) fn cover(&self, applied: &Applied) {
        self.behind.lock().base.raise_all(applied);
    }

    /// A snapshot has all that is before this number, and it has `applied`: the log before it is
    /// removed, and with it what came from peers that long ago. Blocks as long as the disk takes.
    pub(super) fn trim(
        &self,
        directory: &Path,
        sequence: u64,
        applied: &Applied,
    ) -> Result<(), Failure> {
        {
            let mut behind = self.behind.lock();
            behind.sequence = sequence;
            behind.base.raise_all(applied);
        }
        self.reader.remove_before(sequence)?;
        // An older snapshot than the newest, if that is damaged, goes with all of the log behind it.
        let oldest = self.reader.start();
        let installs = snapshot::Files::list(directory)?.installs.into_iter();
        let mut old = installs.filter(|kept| kept.sequence < oldest);
        old.try_for_each(|kept| snapshot::remove(&kept.path))
    }
}

#[derive(Debug)]
pub(super) struct Disk {
    writer: Writer,
    compaction: Compaction,
    /// Where the next sync is asked for. Closed in the end.
    asks: Option<Sender<Unsynced>>,
    /// Whether an answer is awaited.
    asked: bool,
    thread: Option<JoinHandle<()>>,
}

impl Disk {
    /// Starts the thread `sync`.
    pub(super) fn start(shared: &Arc<Shared>, restored: Restored) -> io::Result<Self> {
        let Restored { writer, grown, snapshot_bytes } = restored;
        let compaction = Compaction::new(grown, snapshot_bytes);
        let (asks, asked) = crossbeam_channel::bounded::<Unsynced>(1);
        let apply = shared.apply.clone();
        let sync = move || {
            for unsynced in asked {
                drop(apply.send(Request::Synced(unsynced.sync())));
            }
        };
        let thread = thread::Builder::new().name("sync".to_owned()).spawn(sync)?;
        Ok(Self { writer, compaction, asks: Some(asks), asked: false, thread: Some(thread) })
    }

    /// Appends a group; see [`Writer::append`]. Blocks as long as the disk takes.
    pub(super) fn append(
        &mut self,
        frames: &[u8],
        ends: impl Iterator<Item = usize>,
    ) -> Result<(), WriteError> {
        self.writer.append(frames, ends)?;
        self.compaction.grown(frames.len() as u64);
        Ok(())
    }

    /// When to [tend](Self::tend) to it next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.writer.due().filter(|_| !self.asked)
    }

    /// Has synced what was not synced for a second.
    pub(super) fn tend(&mut self) -> Result<(), WriteError> {
        if self.due().is_none_or(|due| due > Instant::now()) {
            return Ok(());
        }
        match (self.writer.unsynced(), &self.asks) {
            (Some(unsynced), Some(asks)) => {
                self.asked = asks.send(unsynced).is_ok();
                Ok(())
            }
            _ => self.writer.sync(),
        }
    }

    /// Takes what came of a sync.
    pub(super) fn synced(&mut self, synced: Synced) -> Result<(), WriteError> {
        self.asked = false;
        self.writer.synced(synced)
    }

    /// Has the log compacted when it is time.
    pub(super) fn compact(&mut self, shared: &Arc<Shared>) {
        self.compaction.start_if_due(shared);
    }

    /// Takes what came of a compaction.
    pub(super) fn compacted(&mut self, bytes: Option<u64>) {
        self.compaction.end(bytes);
    }

    /// Gives a file that came from a peer its name: it is taken in now. The log before it is synced
    /// first, or the file would stand at another place in it after a crash.
    pub(super) fn keep(&mut self, draft: Draft) -> Result<(), WriteError> {
        self.writer.sync()?;
        let bytes = draft.bytes();
        draft.keep(self.writer.next()).map_err(WriteError::Refused)?;
        self.compaction.grown(bytes);
        Ok(())
    }

    /// The end: what is not synced is synced, and the thread ends.
    pub(super) fn finish(&mut self) -> Result<(), WriteError> {
        self.compaction.join();
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        self.writer.sync()
    }
}
