//! The log on disk, as the apply thread holds it; and the thread that syncs for it.
//!
//! Under `--fsync interval` the apply thread does not wait for the disk: what was not synced for a
//! second goes to the thread `sync`, and what came of it comes back as a message.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::Sender;

use crate::log::disk::{Synced, Unsynced, WriteError, Writer};

use super::shared::{Request, Shared};

#[derive(Debug)]
pub(super) struct Disk {
    writer: Writer,
    /// Where the next sync is asked for. Closed in the end.
    asks: Option<Sender<Unsynced>>,
    /// Whether an answer is awaited.
    asked: bool,
    thread: Option<JoinHandle<()>>,
}

impl Disk {
    /// Starts the thread `sync`.
    pub(super) fn start(shared: &Arc<Shared>, writer: Writer) -> io::Result<Self> {
        let (asks, asked) = crossbeam_channel::bounded::<Unsynced>(1);
        let apply = shared.apply.clone();
        let sync = move || {
            for unsynced in asked {
                drop(apply.send(Request::Synced(unsynced.sync())));
            }
        };
        let thread = thread::Builder::new().name("sync".to_owned()).spawn(sync)?;
        Ok(Self { writer, asks: Some(asks), asked: false, thread: Some(thread) })
    }

    /// Appends a group; see [`Writer::append`]. Blocks as long as the disk takes.
    pub(super) fn append(
        &mut self,
        frames: &[u8],
        ends: impl Iterator<Item = usize>,
    ) -> Result<(), WriteError> {
        self.writer.append(frames, ends).map(drop)
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

    /// The end: what is not synced is synced, and the thread ends.
    pub(super) fn finish(&mut self) -> Result<(), WriteError> {
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        self.writer.sync()
    }
}
