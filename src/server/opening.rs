//! The start of a life: what the data directory has comes back, and writes wait until they may be
//! stamped (rule R4).

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::core::{ClockKind, Order, Update};
use crate::log::disk::{self, OpenError};

use super::publish::Publisher;
use super::shared::{Shared, now_us};

/// How long a start waits for the servers it was told of before it takes writes (rule R4).
const PATIENCE: Duration = Duration::from_secs(3);
/// How often somebody at a terminal is told how far a replay has come, and from when on.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Whether this life may write, as soon as all that has been received is applied.
pub(super) fn may_open(shared: &Shared) -> bool {
    let last = shared.replica.read().clock().last();
    // A clock that a peer has announced may still be on its way through the channel.
    if shared.mesh.announced_clock() > last {
        return false;
    }
    let past = shared.options.clock == ClockKind::Logical || last < now_us();
    let all = shared.mesh.all_answered() && past;
    if shared.options.order == Order::Total {
        // Whoever does not know of this server may already have shown what its writes would precede.
        return all && shared.mesh.all_know(shared.options.id);
    }
    all || (shared.started.elapsed() >= PATIENCE && !shared.mesh.is_duplicate())
}

/// From now on this server takes writes.
pub(super) fn open(shared: &Shared) {
    shared.replica.write().open();
    // Peers must know before the first write from when on this life supplies its own updates.
    shared.mesh.links_changed();
    shared.log.wake();
    shared.loading.store(false, Ordering::SeqCst);
    log::debug!("Server {} takes writes", shared.options.id);
}

/// Brings back what the log in the data directory has; gives the writer that goes on with it.
/// Nobody else uses the server yet. Blocks for as long as it takes to read it all.
///
/// # Errors
/// The directory is in use, or the log is damaged or cannot be read.
pub(super) fn restore(shared: &Shared, directory: &Path) -> Result<disk::Writer, OpenError> {
    let options =
        disk::Options { fsync: shared.options.fsync, ..disk::Options::new(shared.options.id) };
    let mut publisher = Publisher::new(shared, None);
    let mut replica = shared.replica.write();
    let visit = |_: u64, frame: &[u8], update: Update| {
        if !replica.restore(&update) {
            return Err(format!("update {} does not follow what is before it", update.version));
        }
        publisher.restore(frame, &update);
        Ok(())
    };
    let mut progress = Progress::new();
    let opened = disk::open(directory, options, visit, |done, all| progress.tell(done, all));
    progress.end();
    let (writer, recovery) = opened?;
    publisher.append();
    // Nobody else has set it: a server is restored once.
    let _ = shared.disk.set(writer.reader());
    let (id, updates) = (shared.options.id, recovery.updates);
    shared.chain_count.store(replica.applied().chain_count(), Ordering::Release);
    if let Some(cut) = recovery.cut {
        log::warn!("Server {id} {cut}");
    }
    log::info!("Server {id} has {updates} updates from {}", directory.display());
    Ok(writer)
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
