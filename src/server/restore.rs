//! What the data directory has comes back: the newest snapshot, then the log from there on, and what
//! came from peers by snapshot in between.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::RwLockWriteGuard;

use crate::core::{Applied, Replica, Store, Update};
use crate::log::disk::snapshot::{self, Files, Kept};
use crate::log::disk::{self, Damage, OpenError};
use crate::protocol::snapshot::End;

use super::disk::OnDisk;
use super::parts::store_of;
use super::publish::Publisher;
use super::shared::Shared;

/// How often somebody at a terminal is told how far a replay has come, and from when on.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// What goes on with the log.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) writer: disk::Writer,
    /// How long the log is behind the snapshot, and how long that is, in bytes.
    pub(super) grown: u64,
    pub(super) snapshot_bytes: u64,
}

/// A snapshot, read from disk.
struct Loaded {
    path: PathBuf,
    sequence: u64,
    stores: Vec<Store>,
    end: End,
    bytes: u64,
}

/// Brings back what the data directory has; gives the writer that goes on with it. Nobody else uses
/// the server yet. Blocks for as long as it takes to read it all.
///
/// # Errors
/// The directory is in use, or what it has is damaged or cannot be read.
pub(super) fn restore(shared: &Shared, directory: &Path) -> Result<Restored, OpenError> {
    let files = snapshot::prepare(directory)?;
    let newest = newest(shared, directory, &files)?;
    let (from, snapshot_bytes) = newest.as_ref().map_or((0, 0), |l| (l.sequence, l.bytes));
    let later = files.installs.iter().filter(|kept| kept.sequence >= from);
    let installs = later.map(|kept| load(shared, kept)).collect::<Result<VecDeque<_>, _>>()?;
    let mut grown = installs.iter().map(|loaded| loaded.bytes).sum();
    let mut restoring = Restoring::begin(shared, newest, installs)?;
    let mut progress = Progress::new();
    let visit = |sequence: u64, _: &[u8], update: Update| restoring.update(sequence, &update);
    let options = disk::Options { from, ..options(shared) };
    let opened = disk::open(directory, options, visit, |done, all| progress.tell(done, all));
    progress.end();
    let (writer, recovery) = opened?;
    grown += recovery.bytes;
    let base = restoring.end(directory, writer.next())?;
    // Nobody else has set it: a server is restored once.
    let _ = shared.disk.set(OnDisk::new(writer.reader(), from, base));
    let (id, updates) = (shared.options.id, recovery.updates);
    if let Some(cut) = recovery.cut {
        log::warn!("Server {id} {cut}");
    }
    let snapshot =
        if from > 0 { format!("a snapshot of {from} updates and ") } else { String::new() };
    log::info!("Server {id} has {snapshot}{updates} updates from {}", directory.display());
    Ok(Restored { writer, grown, snapshot_bytes })
}

fn options(shared: &Shared) -> disk::Options {
    let options = &shared.options;
    // A longer one could not be removed when it is time.
    let segment_bytes = disk::SEGMENT_BYTES.min(options.compact_bytes_min);
    disk::Options { fsync: options.fsync, segment_bytes, ..disk::Options::new(options.id) }
}

/// The newest snapshot that is whole. A damaged one is passed over only if the log reaches back to
/// where an older one ends, or to the beginning.
fn newest(shared: &Shared, directory: &Path, files: &Files) -> Result<Option<Loaded>, OpenError> {
    let mut damaged = None;
    for kept in files.snapshots.iter().rev() {
        match load(shared, kept) {
            Ok(loaded) if damaged.is_none() || snapshot::reaches(directory, loaded.sequence)? => {
                return Ok(Some(loaded));
            }
            Ok(_) => break,
            Err(error @ OpenError::Damaged(_)) => {
                log::error!("Server {} passes over a snapshot: {error}", shared.options.id);
                damaged.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match damaged {
        Some(error) if !snapshot::reaches(directory, 0)? => Err(error),
        _ => Ok(None),
    }
}

fn load(shared: &Shared, kept: &Kept) -> Result<Loaded, OpenError> {
    let mut stores = shared.parts.apart();
    let (end, bytes) = snapshot::read(kept, shared.options.id, |entry| {
        store_of(&mut stores, &entry.key).apply(&entry.key, entry.value.as_deref(), entry.version);
    })?;
    let path = kept.path.clone();
    Ok(Loaded { path, sequence: kept.sequence, stores, end, bytes })
}

struct Restoring<'a> {
    shared: &'a Shared,
    replica: RwLockWriteGuard<'a, Replica>,
    publisher: Publisher<'a>,
    /// What came from peers and has not had its turn, the oldest first.
    installs: VecDeque<Loaded>,
    /// What is not in the log.
    base: Applied,
}

impl<'a> Restoring<'a> {
    fn begin(
        shared: &'a Shared,
        newest: Option<Loaded>,
        installs: VecDeque<Loaded>,
    ) -> Result<Self, OpenError> {
        let mut replica = shared.replica.write();
        let mut base = Applied::default();
        if let Some(mut loaded) = newest {
            install(&mut replica, &loaded)?;
            shared.parts.swap(&mut loaded.stores);
            shared.log.begin(loaded.sequence, &loaded.end.applied);
            base = loaded.end.applied;
        }
        let publisher = Publisher::new(shared, None);
        Ok(Self { shared, replica, publisher, installs, base })
    }

    fn update(&mut self, sequence: u64, update: &Update) -> Result<(), String> {
        self.install_before(sequence).map_err(|error| error.to_string())?;
        if !self.replica.restore(update) {
            return Err(format!("update {} does not follow what is before it", update.version));
        }
        self.publisher.restore(update);
        Ok(())
    }

    /// Takes in what came from peers before this update was made.
    fn install_before(&mut self, sequence: u64) -> Result<(), OpenError> {
        while self.installs.front().is_some_and(|next| next.sequence <= sequence) {
            let Some(loaded) = self.installs.pop_front() else { break };
            let before = self.replica.applied().clone();
            install(&mut self.replica, &loaded)?;
            self.publisher.append();
            let theirs = &loaded.end.applied;
            self.shared.parts.merge(&before, &loaded.stores, theirs);
            self.shared.log.cover(theirs);
            self.base.raise_all(theirs);
        }
        Ok(())
    }

    /// All of the log has been read; gives what is not in it.
    fn end(mut self, directory: &Path, next: u64) -> Result<Applied, OpenError> {
        self.install_before(next)?;
        if let Some(Loaded { sequence, .. }) = self.installs.front() {
            // The log was synced up to there before the file got its name.
            return Err(OpenError::Missing(directory.to_owned(), next, *sequence));
        }
        self.publisher.append();
        let count = self.replica.applied().chain_count();
        self.shared.chain_count.store(count, Ordering::Release);
        Ok(self.base)
    }
}

/// Its own files are beyond doubt: the bound of the clock is for what others say.
fn install(replica: &mut Replica, loaded: &Loaded) -> Result<(), OpenError> {
    let End { applied, clock, floor, .. } = &loaded.end;
    replica.raise_floor(*floor);
    replica.install(applied, *clock, *clock, &mut Vec::new()).map_err(|refusal| {
        let (file, what) = (loaded.path.clone(), refusal.to_string());
        OpenError::Unusable(Damage { file, offset: 0, what })
    })
}

/// How far a long replay has come, for somebody at a terminal.
struct Progress {
    next: Instant,
    told: bool,
    terminal: bool,
}

impl Progress {
    fn new() -> Self {
        let terminal = io::stderr().is_terminal();
        Self { next: Instant::now() + PROGRESS_EVERY, told: false, terminal }
    }

    fn tell(&mut self, done: u64, all: u64) {
        if self.terminal && Instant::now() >= self.next {
            self.next = Instant::now() + PROGRESS_EVERY;
            self.told = true;
            let (done, all) = (done >> 20, all >> 20);
            // Who cannot see it does not miss it.
            let _ = write!(io::stderr(), "\rreading the log: {done} of {all} MiB ");
        }
    }

    fn end(&self) {
        if self.told {
            let _ = writeln!(io::stderr());
        }
    }
}
