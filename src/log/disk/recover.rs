//! The start: everything is read, checked and handed over, and a torn tail is cut.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::core::Update;
use crate::protocol::link::Frame;
use crate::protocol::resp::Decoder;

use super::error::{Damage, Failure, OpenError, WriteError};
use super::record::{Claim, Records, Step};
use super::segment::{self, HEADING_BYTES, Heading};
use super::writer::Writer;
use super::{Options, Segment};

/// After how many bytes progress is told.
const PROGRESS_BYTES: u64 = 1 << 20;

/// What was found at a start.
#[derive(Debug)]
pub struct Recovery {
    /// How many updates were handed over.
    pub updates: u64,
    /// How many bytes of log were read for that.
    pub bytes: u64,
    /// What was lost.
    pub cut: Option<Cut>,
}

/// A tail that was no whole record, and not known to be synced. It has been cut off.
#[derive(Debug)]
pub struct Cut {
    /// The file.
    pub file: PathBuf,
    /// Where it ends now.
    pub offset: u64,
    /// How many bytes were cut.
    pub bytes: u64,
    /// What was wrong.
    pub what: &'static str,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, bytes, what } = self;
        write!(
            f,
            "cut the last {bytes} bytes of {} at offset {offset}: {what}, and it was not known to \
            be synced",
            file.display()
        )
    }
}

/// Opens the log in `directory`, which is made if there is none. Every update from number
/// `options.from` on is given to `visit`: its number, its frame, and what that says. `progress` is
/// told now and then how many bytes of how many have been read. Memory: one record's.
///
/// # Errors
/// Why not; what `visit` finds wrong with an update is [`OpenError::Unusable`].
pub fn open(
    directory: &Path,
    options: Options,
    visit: impl FnMut(u64, &[u8], Update) -> Result<(), String>,
    progress: impl FnMut(u64, u64),
) -> Result<(Writer, Recovery), OpenError> {
    let lock = segment::lock(directory)?;
    let mut segments = measure(directory)?;
    let behind = segments.partition_point(|segment| segment.first <= options.from);
    let wanted = match (behind, segments.first()) {
        (0, Some(segment)) => {
            return Err(OpenError::Missing(directory.to_owned(), options.from, segment.first));
        }
        (0, None) => &[],
        _ => &segments[behind - 1..],
    };
    let mut replay = Replay {
        directory,
        options,
        visit,
        progress,
        decoder: Decoder::default(),
        next: wanted.first().map_or(options.from, |segment| segment.first),
        updates: 0,
        done: 0,
        told: 0,
        total: wanted.iter().map(|segment| segment.bytes).sum(),
    };
    let cut = replay.all(wanted)?;
    let Replay { next, updates, total, .. } = replay;
    if let Some(last) = segments.pop() {
        segments.extend(settle(directory, last, cut.as_ref(), next)?);
    }
    // A snapshot may know more than what is left of the log.
    let next = next.max(options.from);
    let writer = Writer::begin(directory, lock, options, segments, next).map_err(|error| {
        let (WriteError::Refused(failure) | WriteError::Fatal(failure)) = error;
        failure
    })?;
    Ok((writer, Recovery { updates, bytes: total, cut }))
}

/// The segments and how long they are.
fn measure(directory: &Path) -> Result<Vec<Segment>, Failure> {
    let firsts = segment::list(directory)?.into_iter();
    let measured = firsts.map(|first| {
        let path = segment::path(directory, first);
        let metadata = path.metadata().map_err(Failure::to("open", &path))?;
        Ok(Segment { first, bytes: metadata.len() })
    });
    measured.collect()
}

/// Cuts the last segment and syncs it: what was replayed will be built upon. If there is no update
/// in it, it is removed.
fn settle(
    directory: &Path,
    last: Segment,
    cut: Option<&Cut>,
    next: u64,
) -> Result<Option<Segment>, Failure> {
    if last.first == next {
        segment::remove(directory, next)?;
        return Ok(None);
    }
    let path = segment::path(directory, last.first);
    let file = File::options().append(true).open(&path).map_err(Failure::to("open", &path))?;
    let bytes = cut.map_or(last.bytes, |cut| cut.offset);
    if bytes < last.bytes {
        file.set_len(bytes).map_err(Failure::to("cut", &path))?;
    }
    file.sync_all().map_err(Failure::to("sync", &path))?;
    Ok(Some(Segment { bytes, ..last }))
}

struct Replay<'a, V, P> {
    directory: &'a Path,
    options: Options,
    visit: V,
    progress: P,
    decoder: Decoder,
    /// The number of the next update.
    next: u64,
    updates: u64,
    /// Bytes of the segments that have been read, and when that was last told.
    done: u64,
    told: u64,
    total: u64,
}

impl<V, P> Replay<'_, V, P>
where
    V: FnMut(u64, &[u8], Update) -> Result<(), String>,
    P: FnMut(u64, u64),
{
    /// Replays segments. Gives what has to be cut off the last one.
    fn all(&mut self, segments: &[Segment]) -> Result<Option<Cut>, OpenError> {
        self.decoder.expect_peer();
        let mut cut = None;
        for (place, segment) in segments.iter().enumerate() {
            if segment.first > self.next {
                let missing = self.next.max(self.options.from);
                return Err(OpenError::Missing(self.directory.to_owned(), missing, segment.first));
            }
            if segment.first < self.next {
                let path = segment::path(self.directory, segment.first);
                let what = format!("the file before it has updates up to number {}", self.next - 1);
                return Err(damaged(path, 0, what));
            }
            cut = self.segment(*segment, place + 1 == segments.len())?;
            self.done += segment.bytes;
            (self.progress)(self.done, self.total);
        }
        Ok(cut)
    }

    fn segment(&mut self, segment: Segment, last: bool) -> Result<Option<Cut>, OpenError> {
        let Segment { first, bytes } = segment;
        let path = segment::path(self.directory, first);
        let file = File::open(&path).map_err(Failure::to("open", &path))?;
        if last && bytes < HEADING_BYTES as u64 {
            let what = "its first line is cut short";
            return Ok(Some(Cut { file: path, offset: 0, bytes, what }));
        }
        let mut line = Vec::with_capacity(HEADING_BYTES);
        let read = (&file).take(HEADING_BYTES as u64).read_to_end(&mut line);
        read.map_err(Failure::to("read", &path))?;
        let Some(heading) = Heading::read(&line).filter(|heading| heading.first == first) else {
            let what = "its first line is not that of a log with its name".to_owned();
            return Err(damaged(path, 0, what));
        };
        if heading.server != self.options.server {
            return Err(OpenError::Foreign(self.directory.to_owned(), heading.server));
        }
        let records = Records::new(file, heading.seed(), HEADING_BYTES as u64, bytes);
        self.records(records, path, last)
    }

    fn records(
        &mut self,
        mut records: Records<File>,
        path: PathBuf,
        last: bool,
    ) -> Result<Option<Cut>, OpenError> {
        loop {
            let offset = records.offset();
            match records.next().map_err(|error| unread(&path, offset, &error))? {
                Step::Update => self.update(records.frame()).map_err(|what| {
                    OpenError::Unusable(Damage { file: path.clone(), offset, what })
                })?,
                Step::Mark => {}
                Step::End => return Ok(None),
                Step::Damage(what) => return torn(records, path, what, last),
            }
            let done = self.done + records.offset();
            if done > self.told + PROGRESS_BYTES {
                self.told = done;
                (self.progress)(done, self.total);
            }
        }
    }

    fn update(&mut self, frame: &[u8]) -> Result<(), String> {
        let sequence = self.next;
        self.next += 1;
        if sequence < self.options.from {
            return Ok(());
        }
        self.updates += 1;
        let update = self.decode(frame)?;
        (self.visit)(sequence, frame, update)
    }

    fn decode(&mut self, frame: &[u8]) -> Result<Update, String> {
        let decoder = &mut self.decoder;
        decoder.extend(frame);
        let found = decoder.next_request().map_err(|error| error.to_string())?.map(Frame::decode);
        match found.filter(|_| decoder.unread() == 0) {
            Some(Ok(Frame::Update(update))) => Ok(update),
            Some(Ok(_)) => Err("it is not an update".to_owned()),
            Some(Err(error)) => Err(error.0),
            None => Err("it is not one frame".to_owned()),
        }
    }
}

/// Whether damage is the torn tail of a crash.
fn torn(
    records: Records<File>,
    path: PathBuf,
    what: &'static str,
    last: bool,
) -> Result<Option<Cut>, OpenError> {
    let (offset, end) = (records.offset(), records.limit());
    if !last {
        return Err(damaged(path, offset, format!("{what}, and a later file follows")));
    }
    let claim = records.find_claim().map_err(|error| unread(&path, offset, &error))?;
    if let Some(Claim { offset: at, synced }) = claim {
        let why = format!("{what}, but the record at offset {at} says that all was synced up to");
        return Err(damaged(path, offset, format!("{why} offset {synced}")));
    }
    Ok(Some(Cut { file: path, offset, bytes: end - offset, what }))
}

fn damaged(file: PathBuf, offset: u64, what: String) -> OpenError {
    OpenError::Damaged(Damage { file, offset, what })
}

/// A disk that cannot read.
fn unread(path: &Path, offset: u64, error: &io::Error) -> OpenError {
    let error = io::Error::new(error.kind(), format!("{error}, from offset {offset} on"));
    Failure::to("read", path)(error).into()
}
