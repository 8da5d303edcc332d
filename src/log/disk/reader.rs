//! Readers: who is too far behind for the memory tail reads the files.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::error::{Damage, Failure, ReadError};
use super::record::{Records, Step};
use super::segment::{self, HEADING_BYTES, Heading};
use super::{Extent, Segment};

/// Makes cursors. It is cheap to copy, and outlives the writer.
#[derive(Clone, Debug)]
pub struct Reader {
    directory: PathBuf,
    extent: Arc<Mutex<Extent>>,
}

/// A place in the log, with a file handle and a buffer of its own.
#[derive(Debug)]
pub struct Cursor {
    reader: Reader,
    /// The number of the update that comes next.
    next: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    /// The number of the segment's first update, and that of its next.
    first: u64,
    next: u64,
    records: Records<File>,
}

impl Reader {
    pub(super) fn new(directory: PathBuf, extent: Arc<Mutex<Extent>>) -> Self {
        Self { directory, extent }
    }

    /// The number of the oldest update that can be read.
    pub fn start(&self) -> u64 {
        self.extent.lock().segments[0].first
    }

    /// Removes the files that hold only updates before number `sequence`. Cursors that are in them
    /// are told that they were trimmed. Syncs the directory, and blocks as long as the disk takes: that
    /// is long enough for a large file to be removed by a thread that nobody waits for. Not by two at a
    /// time.
    pub fn remove_before(&self, sequence: u64) -> Result<(), Failure> {
        // One by one, the oldest first: whenever it breaks off, what is left has no gap.
        loop {
            let oldest = match self.extent.lock().segments[..] {
                [oldest, second, ..] if second.first <= sequence => oldest.first,
                _ => return Ok(()),
            };
            segment::remove(&self.directory, oldest)?;
            self.extent.lock().segments.remove(0);
        }
    }

    /// A cursor that begins with update number `sequence`. Nothing is read yet. Its first step
    /// reads that update's segment from the beginning; later steps go on from there.
    pub fn cursor(&self, sequence: u64) -> Cursor {
        Cursor { reader: self.clone(), next: sequence, open: None }
    }

    /// The segment that has update number `sequence`, or will have it; and the number that the next
    /// update to be appended gets.
    fn look_up(&self, sequence: u64) -> Result<(Segment, u64), ReadError> {
        let extent = self.extent.lock();
        let behind = extent.segments.partition_point(|segment| segment.first <= sequence);
        let place = behind.checked_sub(1).ok_or(ReadError::Trimmed)?;
        Ok((extent.segments[place], extent.next))
    }

    fn open(&self, segment: Segment) -> Result<Open, ReadError> {
        let Segment { first, bytes } = segment;
        let path = segment::path(&self.directory, first);
        let mut file = File::open(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => ReadError::Trimmed,
            _ => Failure::to("open", &path)(error).into(),
        })?;
        let mut line = [0; HEADING_BYTES];
        file.read_exact(&mut line).map_err(Failure::to("read", &path))?;
        let Some(heading) = Heading::read(&line) else {
            let what = "its first line is not that of a log".to_owned();
            return Err(ReadError::Damaged(Damage { file: path, offset: 0, what }));
        };
        let records = Records::new(file, heading.seed(), HEADING_BYTES as u64, bytes);
        Ok(Open { path, first, next: first, records })
    }
}

impl Cursor {
    /// The number of the update that [`read`](Self::read) gives next.
    pub fn sequence(&self) -> u64 {
        self.next
    }

    /// The next update's frame. `None`: it has not been appended yet; ask again later.
    ///
    /// # Errors
    /// Why it cannot be read. [`ReadError::Trimmed`] also if the log has a gap there, which only a
    /// snapshot fills.
    pub fn read(&mut self) -> Result<Option<&[u8]>, ReadError> {
        if !self.find()? {
            return Ok(None);
        }
        self.next += 1;
        Ok(self.open.as_ref().map(|open| open.records.frame()))
    }

    /// Reads up to the next update. Gives whether it is there.
    fn find(&mut self) -> Result<bool, ReadError> {
        loop {
            let Some(open) = &mut self.open else {
                let (segment, end) = self.reader.look_up(self.next)?;
                if self.next >= end {
                    return Ok(false);
                }
                self.open = Some(self.reader.open(segment)?);
                continue;
            };
            match open.step()? {
                Step::Update if open.next > self.next => return Ok(true),
                Step::End => {
                    let (segment, end) = self.reader.look_up(self.next)?;
                    if segment.first != open.first {
                        self.open = None;
                    } else if !open.records.extend(segment.bytes) {
                        return if self.next < end { Err(ReadError::Trimmed) } else { Ok(false) };
                    }
                }
                _ => {}
            }
        }
    }
}

impl Open {
    fn step(&mut self) -> Result<Step, ReadError> {
        let step = self.records.next().map_err(Failure::to("read", &self.path))?;
        match step {
            Step::Damage(what) => {
                let (file, offset) = (self.path.clone(), self.records.offset());
                Err(ReadError::Damaged(Damage { file, offset, what: what.to_owned() }))
            }
            Step::Update => {
                self.next += 1;
                Ok(step)
            }
            Step::Mark | Step::End => Ok(step),
        }
    }
}
