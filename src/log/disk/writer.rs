//! The writer: appends updates, syncs them, begins new segments, removes old ones.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::error::{Failure, WriteError};
use super::reader::Reader;
use super::record::record_into;
use super::segment::{self, HEADING_BYTES, Heading};
use super::{Extent, Fsync, Options, Segment};

/// How long an update may wait for its sync under [`Fsync::Interval`].
const INTERVAL: Duration = Duration::from_secs(1);
/// A buffer that grew beyond this for a large group is given back.
const BUFFER_BYTES_USUAL_MAX: usize = 4 << 20;

/// The one that appends. While it lives, the directory is locked.
///
/// Whoever holds it calls [`sync`](Self::sync) whenever [`due`](Self::due) has come, and in the
/// end. To drop it syncs nothing.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    _lock: File,
    options: Options,
    extent: Arc<Mutex<Extent>>,
    buffer: Vec<u8>,
    tail: Tail,
    due: Option<Instant>,
    /// A sync has failed.
    failed: bool,
}

/// The segment that is appended to.
#[derive(Debug)]
struct Tail {
    file: Arc<File>,
    /// The number of its first update.
    first: u64,
    /// Its checksum.
    seed: u32,
    /// Where the next record goes.
    length: u64,
    /// Where the last update's record ends; marks may follow.
    updates_end: u64,
    /// Up to where it is known to be synced.
    synced: u64,
    /// The highest `synced` that a record tells of.
    claimed: u64,
    /// The file may be longer than `length`.
    torn: bool,
}

/// What is to be synced, to be taken to a thread that may wait for the disk.
#[derive(Debug)]
pub struct Unsynced {
    file: Arc<File>,
    first: u64,
    length: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Synced {
    first: u64,
    length: u64,
    outcome: io::Result<()>,
}

impl Unsynced {
    /// Syncs it. Blocks as long as the disk takes.
    pub fn sync(self) -> Synced {
        let Self { file, first, length } = self;
        Synced { first, length, outcome: file.sync_data() }
    }
}

impl Tail {
    /// A new segment. It is in the directory, synced, when this returns.
    fn create(directory: &Path, server: u32, first: u64) -> Result<Self, WriteError> {
        let heading = Heading::new(server, first);
        let file = Arc::new(segment::create(directory, heading)?);
        let (seed, length) = (heading.seed(), HEADING_BYTES as u64);
        let (updates_end, synced, claimed) = (length, length, length);
        Ok(Self { file, first, seed, length, updates_end, synced, claimed, torn: false })
    }
}

impl Writer {
    /// Begins a new segment with update number `next`. All `segments` before it are synced.
    pub(super) fn begin(
        directory: &Path,
        lock: File,
        options: Options,
        mut segments: Vec<Segment>,
        next: u64,
    ) -> Result<Self, WriteError> {
        let tail = Tail::create(directory, options.server, next)?;
        segments.push(Segment { first: next, bytes: tail.length });
        Ok(Self {
            directory: directory.to_owned(),
            _lock: lock,
            options,
            extent: Arc::new(Mutex::new(Extent { segments, next })),
            buffer: Vec::new(),
            tail,
            due: None,
            failed: false,
        })
    }

    /// Appends a group of updates: `frames`, back to back; `ends` tells where each ends. Under
    /// [`Fsync::Always`] they are on disk when it returns. Gives the number of the first one.
    ///
    /// # Errors
    /// [`WriteError::Refused`]: the whole group is as if it had never come.
    /// [`WriteError::Fatal`]: it may or may not be on disk.
    pub fn append(
        &mut self,
        frames: &[u8],
        ends: impl IntoIterator<Item = usize>,
    ) -> Result<u64, WriteError> {
        self.prepare()?;
        let first = self.next();
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_USUAL_MAX);
        let Tail { seed, length, synced, .. } = self.tail;
        let (mut start, mut count) = (0, 0);
        for end in ends {
            // A record without a frame would be a mark.
            assert!(start < end, "a frame is not empty");
            let offset = length + self.buffer.len() as u64;
            record_into(&mut self.buffer, seed, offset, synced, &frames[start..end]);
            start = end;
            count += 1;
        }
        if count == 0 {
            return Ok(first);
        }
        self.write()?;
        self.tail.updates_end = self.tail.length;
        self.due = self.due.or_else(|| Some(Instant::now() + INTERVAL));
        if self.options.fsync == Fsync::Always {
            self.sync_data()?;
        }
        let mut extent = self.extent.lock();
        extent.next += count;
        extent.segments.last_mut().expect("there is always a segment").bytes = self.tail.length;
        Ok(first)
    }

    /// The number that the next update gets.
    pub fn next(&self) -> u64 {
        self.extent.lock().next
    }

    /// Mends what a failed write has left, and begins a new segment when the old one is full.
    fn prepare(&mut self) -> Result<(), WriteError> {
        self.check()?;
        self.mend()?;
        let next = self.next();
        if self.tail.length < self.options.segment_bytes || next == self.tail.first {
            return Ok(());
        }
        self.sync_data()?;
        let tail = Tail::create(&self.directory, self.options.server, next);
        self.tail =
            tail.inspect_err(|error| self.failed = matches!(error, WriteError::Fatal(_)))?;
        self.due = None;
        self.extent.lock().segments.push(Segment { first: next, bytes: self.tail.length });
        Ok(())
    }

    /// Writes what is in the buffer, all or nothing.
    fn write(&mut self) -> Result<(), WriteError> {
        if let Err(error) = (&*self.tail.file).write_all(&self.buffer) {
            self.tail.torn = true;
            // If it cannot be mended now, the next append tries again.
            if let Err(fatal @ WriteError::Fatal(_)) = self.mend() {
                return Err(fatal);
            }
            return Err(WriteError::Refused(self.failure("write to", error)));
        }
        self.tail.claimed = self.tail.synced;
        self.tail.length += self.buffer.len() as u64;
        Ok(())
    }

    /// Cuts what a failed write has left. The cut is synced: what was refused may have become whole
    /// records, which must not come back with the next crash.
    fn mend(&mut self) -> Result<(), WriteError> {
        if self.tail.torn {
            let cut = self.tail.file.set_len(self.tail.length);
            cut.map_err(|error| WriteError::Refused(self.failure("cut", error)))?;
            self.sync_data()?;
            self.tail.torn = false;
        }
        Ok(())
    }

    fn sync_data(&mut self) -> Result<(), WriteError> {
        let outcome = self.tail.file.sync_data();
        self.note(outcome)?;
        self.tail.synced = self.tail.length;
        Ok(())
    }

    /// A sync that failed is the last one.
    fn note(&mut self, outcome: io::Result<()>) -> Result<(), WriteError> {
        outcome.map_err(|error| {
            self.failed = true;
            WriteError::Fatal(self.failure("sync", error))
        })
    }

    fn check(&self) -> Result<(), WriteError> {
        let again = || io::Error::other("an earlier sync has failed");
        if self.failed {
            Err(WriteError::Fatal(self.failure("go on with", again())))
        } else {
            Ok(())
        }
    }

    fn failure(&self, attempt: &'static str, error: io::Error) -> Failure {
        Failure::to(attempt, &segment::path(&self.directory, self.tail.first))(error)
    }

    /// When to call [`sync`](Self::sync) next. `None`: not before the next append.
    pub fn due(&self) -> Option<Instant> {
        self.due.filter(|_| self.options.fsync != Fsync::Never)
    }

    /// Syncs what is not synced, and writes down that it is. Blocks as long as the disk takes.
    ///
    /// # Errors
    /// [`WriteError::Fatal`], as always when a sync fails.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        self.check()?;
        match self.unsynced() {
            Some(unsynced) => self.synced(unsynced.sync()),
            None => self.mark(),
        }
    }

    /// What is to be synced, for another thread to do so; what comes of it is to be given to
    /// [`synced`](Self::synced). So no append waits for the disk. `None`: all is synced.
    pub fn unsynced(&mut self) -> Option<Unsynced> {
        let Tail { file, first, length, updates_end, synced, .. } = &self.tail;
        if synced >= updates_end {
            return None;
        }
        // What is appended from now on waits for the next time.
        self.due = Some(Instant::now() + INTERVAL);
        Some(Unsynced { file: Arc::clone(file), first: *first, length: *length })
    }

    /// Takes what came of a sync.
    ///
    /// # Errors
    /// [`WriteError::Fatal`] if it failed, even if that segment has been synced since: the kernel
    /// tells of a loss only once.
    pub fn synced(&mut self, synced: Synced) -> Result<(), WriteError> {
        self.note(synced.outcome)?;
        if synced.first == self.tail.first {
            self.tail.synced = self.tail.synced.max(synced.length);
        }
        self.mark()
    }

    /// Once all is synced, writes a mark, if no record says so. Whether it can be written does not
    /// matter.
    fn mark(&mut self) -> Result<(), WriteError> {
        let Tail { seed, length, updates_end, synced, claimed, torn, .. } = self.tail;
        if synced < updates_end {
            return Ok(());
        }
        self.due = None;
        if claimed < updates_end && !torn {
            self.buffer.clear();
            record_into(&mut self.buffer, seed, length, synced, &[]);
            if let Err(fatal @ WriteError::Fatal(_)) = self.write() {
                return Err(fatal);
            }
        }
        Ok(())
    }

    /// The log's files, in order.
    pub fn segments(&self) -> Vec<Segment> {
        self.extent.lock().segments.clone()
    }

    /// A reader of this log.
    pub fn reader(&self) -> Reader {
        Reader::new(self.directory.clone(), Arc::clone(&self.extent))
    }
}

#[cfg(test)]
mod tests;
