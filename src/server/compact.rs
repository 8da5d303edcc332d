//! The log on disk is compacted: a snapshot takes the place of what is before it (rule R7).
//!
//! The thread `compact` writes the snapshot while the server goes on. It is exact for a place in the
//! log that it has been followed to, so nothing before that place is needed any more, whether it is
//! on disk or not; the thread removes it. If the snapshot cannot be written, that is tried again later.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::core::{Applied, Order};
use crate::log::disk::Failure;
use crate::log::disk::snapshot::{Draft, Files, Kind, remove};
use crate::protocol::snapshot::{End, begin_into, end_into, entry_into};

use super::copy::{Copied, Copy, Stale};
use super::shared::{Request, Shared};

/// A record has about so many bytes.
const RECORD_BYTES: usize = 256 << 10;
/// After a failure it is tried again after so long.
const RETRY: Duration = Duration::from_secs(5);

/// When to compact.
#[derive(Debug)]
pub(super) struct Compaction {
    /// By how many bytes the log has grown since the last snapshot was begun, and how many of them
    /// it had when the present one was.
    grown: u64,
    begun: u64,
    /// How large the last snapshot is.
    bytes: u64,
    thread: Option<JoinHandle<()>>,
    not_before: Option<Instant>,
}

/// A snapshot that is in place.
struct Compacted {
    /// The number of the first update that is not in it.
    sequence: u64,
    applied: Applied,
    bytes: u64,
}

impl Compaction {
    pub(super) fn new(grown: u64, bytes: u64) -> Self {
        Self { grown, begun: 0, bytes, thread: None, not_before: None }
    }

    /// The log has grown.
    pub(super) fn grown(&mut self, bytes: u64) {
        self.grown += bytes;
    }

    /// Starts the thread when it is time. One at a time.
    pub(super) fn start_if_due(&mut self, shared: &Arc<Shared>) {
        let due = self.grown > self.bytes.max(shared.options.compact_bytes_min);
        let soon = self.not_before.is_some_and(|moment| Instant::now() < moment);
        // Under other rules the store alone does not tell enough.
        let causal = shared.options.order == Order::Causal;
        if !due || soon || !causal || self.thread.is_some() {
            return;
        }
        self.begun = self.grown;
        let for_thread = Arc::clone(shared);
        let run = move || run(&for_thread);
        match thread::Builder::new().name("compact".to_owned()).spawn(run) {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => self.failed(shared, &error.to_string()),
        }
    }

    fn failed(&mut self, shared: &Shared, why: &str) {
        log::error!("Server {} cannot compact its log: {why}", shared.options.id);
        self.not_before = Some(Instant::now() + RETRY);
    }

    /// Takes what came of it: how large the snapshot is, if there is one.
    pub(super) fn end(&mut self, bytes: Option<u64>) {
        self.join();
        match bytes {
            Some(bytes) => {
                self.grown -= self.begun;
                self.bytes = bytes;
            }
            None => self.not_before = Some(Instant::now() + RETRY),
        }
    }

    pub(super) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn run(shared: &Shared) {
    let Some(directory) = &shared.options.data_dir else { return };
    let id = shared.options.id;
    let compacted = write(shared, directory).unwrap_or_else(|failure| {
        log::error!("Server {id} cannot compact its log: {failure}");
        None
    });
    if let (Some(Compacted { sequence, applied, bytes }), Some(disk)) =
        (&compacted, shared.disk.get())
    {
        log::debug!("Server {id} has a snapshot of {sequence} updates in {bytes} bytes");
        if let Err(failure) = disk.trim(directory, *sequence, applied) {
            log::warn!("Server {id}: {failure}");
        }
    }
    drop(shared.apply.send(Request::Compacted(compacted.map(|compacted| compacted.bytes))));
}

/// Writes a snapshot and removes older ones. `None`: the server stops.
fn write(shared: &Shared, directory: &Path) -> Result<Option<Compacted>, Failure> {
    let create = || Draft::create(directory, Kind::Snapshot, shared.options.id);
    let (mut draft, mut copy) = (create()?, Copy::begin(shared));
    let (mut out, mut entries) = (Vec::new(), 0);
    begin_into(&mut out);
    let Copied { applied, clock, floor, sequence } = loop {
        if shared.stopping.is_requested() {
            return Ok(None);
        }
        let step = copy.step(|key, value, version| {
            entries += 1;
            entry_into(&mut out, key, value, version);
        });
        match step {
            Ok(Some(copied)) => break copied,
            Ok(None) if out.len() < RECORD_BYTES => {}
            Ok(None) => {
                draft.add(&out)?;
                out.clear();
            }
            Err(Stale) => {
                out.clear();
                begin_into(&mut out);
                // There is one draft at a time.
                drop(draft);
                (draft, copy, entries) = (create()?, Copy::begin(shared), 0);
            }
        }
    };
    let end = End { applied, clock, floor, entries };
    end_into(&mut out, &end);
    draft.add(&out)?;
    let bytes = draft.bytes();
    let kept = draft.keep(sequence)?;
    for older in Files::list(directory)?.snapshots.iter().filter(|other| **other != kept) {
        remove(&older.path)?;
    }
    Ok(Some(Compacted { sequence, applied: end.applied, bytes }))
}
