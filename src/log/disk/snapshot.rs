//! Snapshots in a data directory: what the log need not have any more (rule R7).
//!
//! - `snapshot-00000000000000001234` has all that was applied before update number 1234, so a start
//!   needs the log from there on. What is before it is removed.
//! - `install-00000000000000001234-000` came from a peer, in one step, before update number 1234 was
//!   made. The log has nothing of it. It goes when a later snapshot has it.
//!
//! Both have a first line of their own and then records as the log has, with several frames each:
//! those in which a [snapshot](crate::protocol::snapshot) goes over a link, and at last one that says
//! the number once more:
//!
//! ```text
//! causal-kv snapshot 1 server 0000000001 salt 5f1d5e2a9b0c7d3e 5d2f0a11
//! @ 57 0 1c291ca3 5d2f0a11
//! *4
//! $5
//! ENTRY
//! ...
//! ```
//!
//! A file comes into being whole, as a segment does: written under another name, synced, renamed,
//! and the directory synced. So one that is not whole is damaged.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::protocol::encode::array_into;
use crate::protocol::link::Frame as LinkFrame;
use crate::protocol::resp::Decoder;
use crate::protocol::snapshot::{End, Entry, Frame};

use super::checksum::checksum;
use super::error::{Damage, Failure, OpenError};
use super::record::{Records, Step, record_into};
use super::segment;

/// How long the first line is.
const HEADING_BYTES: usize = 71;
/// So much is synced at a time. A single large sync would keep the log's waiting.
const SYNC_BYTES: u64 = 16 << 20;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All that was applied before an update.
    Snapshot,
    /// What came from a peer before an update.
    Install,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot-",
            Self::Install => "install-",
        }
    }

    /// The number in a name.
    fn number(self, name: &str) -> Option<u64> {
        let rest = name.strip_prefix(self.prefix())?;
        let digits = match self {
            Self::Snapshot => rest,
            Self::Install => rest.split_once('-').filter(|(_, place)| is_number(place, 3))?.0,
        };
        digits.parse().ok().filter(|_| is_number(digits, 20))
    }

    fn draft(self, directory: &Path) -> PathBuf {
        directory.join(format!("{}new", self.prefix()))
    }
}

fn is_number(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A file that is in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The number of the first update that is not in it.
    pub sequence: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// The files that are in place, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// What this server has written.
    pub snapshots: Vec<Kept>,
    /// What came from peers.
    pub installs: Vec<Kept>,
}

impl Files {
    /// Lists a directory's.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn list(directory: &Path) -> Result<Self, Failure> {
        let (mut snapshots, mut installs) = (Vec::new(), Vec::new());
        let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        for entry in entries.map_err(Failure::to("list", directory))? {
            let name = entry.file_name();
            let number = |kind: Kind| {
                let sequence = kind.number(name.to_str()?)?;
                Some(Kept { sequence, path: entry.path() })
            };
            snapshots.extend(number(Kind::Snapshot));
            installs.extend(number(Kind::Install));
        }
        snapshots.sort_by(|one, other| one.path.cmp(&other.path));
        installs.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Self { snapshots, installs })
    }
}

/// Before a log is opened: removes what a crash has left half written, and lists the rest. A
/// directory that is not there is made.
///
/// # Errors
/// The directory is in use, or cannot be read or made.
pub fn prepare(directory: &Path) -> Result<Files, OpenError> {
    let _lock = segment::lock(directory)?;
    for kind in [Kind::Snapshot, Kind::Install] {
        remove(&kind.draft(directory))?;
    }
    Ok(Files::list(directory)?)
}

/// Whether the log has update number `sequence` and what comes behind it, as far as its files tell.
///
/// # Errors
/// The directory cannot be read.
pub fn reaches(directory: &Path, sequence: u64) -> Result<bool, Failure> {
    Ok(segment::list(directory)?.first().is_some_and(|&first| first <= sequence))
}

/// Removes a file, if there is one.
///
/// # Errors
/// It cannot be removed.
pub fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::to("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn heading_text(server: u32, salt: u64) -> String {
    format!("causal-kv snapshot 1 server {server:010} salt {salt:016x} ")
}

fn number_into(out: &mut Vec<u8>, sequence: u64) {
    array_into(out, &["NUMBER", &sequence.to_string()]);
}

/// A file that is being written. It is gone when this is dropped, unless it is [kept](Self::keep).
#[derive(Debug)]
pub struct Draft {
    directory: PathBuf,
    kind: Kind,
    path: PathBuf,
    file: File,
    seed: u32,
    length: u64,
    synced: u64,
    buffer: Vec<u8>,
    kept: bool,
}

impl Draft {
    /// Begins a file. There is one draft of a kind at a time.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(directory: &Path, kind: Kind, server: u32) -> Result<Self, Failure> {
        let path = kind.draft(directory);
        remove(&path)?;
        let file = File::options().append(true).create_new(true).open(&path);
        let file = file.map_err(Failure::to("make", &path))?;
        let text = heading_text(server, RandomState::new().build_hasher().finish());
        let seed = checksum(0, text.as_bytes());
        let mut draft = Self {
            directory: directory.to_owned(),
            kind,
            path,
            file,
            seed,
            length: 0,
            synced: 0,
            buffer: format!("{text}{seed:08x}\r\n").into_bytes(),
            kept: false,
        };
        draft.write()?;
        Ok(draft)
    }

    /// Appends whole frames as one record.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn add(&mut self, frames: &[u8]) -> Result<(), Failure> {
        self.buffer.clear();
        record_into(&mut self.buffer, self.seed, self.length, 0, frames);
        self.write()?;
        if self.length - self.synced >= SYNC_BYTES { self.sync() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Failure> {
        self.file.write_all(&self.buffer).map_err(Failure::to("write to", &self.path))?;
        self.length += self.buffer.len() as u64;
        Ok(())
    }

    /// Has on disk what was written so far.
    ///
    /// # Errors
    /// It cannot be synced.
    pub fn sync(&mut self) -> Result<(), Failure> {
        self.file.sync_data().map_err(Failure::to("sync", &self.path))?;
        self.synced = self.length;
        Ok(())
    }

    /// How long it is, in bytes.
    pub fn bytes(&self) -> u64 {
        self.length
    }

    /// Ends the file and gives it its name: update number `sequence` is the first that is not in it.
    /// Blocks until it is on disk.
    ///
    /// # Errors
    /// It is not in place, and perhaps gone.
    pub fn keep(mut self, sequence: u64) -> Result<Kept, Failure> {
        let mut frame = Vec::new();
        number_into(&mut frame, sequence);
        self.add(&frame)?;
        self.sync()?;
        let path = self.free_path(sequence)?;
        fs::rename(&self.path, &path).map_err(Failure::to("make", &path))?;
        self.kept = true;
        segment::sync_directory(&self.directory)?;
        Ok(Kept { sequence, path })
    }
}

impl Draft {
    /// The file's name. There may be several that came before the same update.
    fn free_path(&self, sequence: u64) -> Result<PathBuf, Failure> {
        let name = format!("{}{sequence:020}", self.kind.prefix());
        if self.kind == Kind::Snapshot {
            return Ok(self.directory.join(name));
        }
        let mut paths = (0..1_000).map(|place| self.directory.join(format!("{name}-{place:03}")));
        let taken = io::Error::from(io::ErrorKind::AlreadyExists);
        let free = paths.find(|path| !path.exists());
        free.ok_or_else(|| Failure::to("make", &self.directory.join(format!("{name}-999")))(taken))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // What is left is removed at the next start.
            drop(remove(&self.path));
        }
    }
}

/// Reads a file; shows `visit` its entries, and gives its end and its length in bytes. Memory: one
/// record's.
///
/// # Errors
/// It is damaged, another server's, or cannot be read. What `visit` was shown is then worth nothing.
pub fn read(
    kept: &Kept,
    server: u32,
    mut visit: impl FnMut(Entry),
) -> Result<(End, u64), OpenError> {
    let mut input = Input::open(kept, server)?;
    let (mut end, mut count) = (None, 0);
    let mut last = Vec::new();
    number_into(&mut last, kept.sequence);
    loop {
        let offset = input.records.offset();
        match input.records.next().map_err(Failure::to("read", &kept.path))? {
            Step::Update if end.is_none() => {
                input.decoder.extend(input.records.frame());
                while let Some(frame) = input.frame(offset)? {
                    match frame {
                        Frame::Entry(entry) => {
                            count += 1;
                            visit(entry);
                        }
                        Frame::Begin if count == 0 => {}
                        Frame::End(told) if told.entries == count => end = Some(told),
                        _ => return Err(input.damaged(offset, "its frames do not go together")),
                    }
                }
            }
            Step::Update if input.records.frame() == last => break,
            Step::Update => {
                return Err(input.damaged(offset, "its last record is not that of its name"));
            }
            Step::Mark | Step::End => return Err(input.damaged(offset, "its end is missing")),
            Step::Damage(what) => return Err(input.damaged(offset, what)),
        }
    }
    let (offset, limit) = (input.records.offset(), input.records.limit());
    if offset < limit {
        return Err(input.damaged(offset, "there is more behind its end"));
    }
    end.map(|end| (end, limit)).ok_or_else(|| input.damaged(offset, "its end is missing"))
}

struct Input<'a> {
    kept: &'a Kept,
    records: Records<File>,
    decoder: Decoder,
}

impl<'a> Input<'a> {
    fn open(kept: &'a Kept, server: u32) -> Result<Self, OpenError> {
        let path = &kept.path;
        let mut file = File::open(path).map_err(Failure::to("open", path))?;
        let limit = file.metadata().map_err(Failure::to("open", path))?.len();
        let mut line = Vec::with_capacity(HEADING_BYTES);
        let read = (&mut file).take(HEADING_BYTES as u64).read_to_end(&mut line);
        read.map_err(Failure::to("read", path))?;
        let Some((found, salt)) = heading(&line) else {
            let what = "its first line is not that of a snapshot".to_owned();
            return Err(OpenError::Damaged(Damage { file: path.clone(), offset: 0, what }));
        };
        if found != server {
            let directory = path.parent().unwrap_or(path);
            return Err(OpenError::Foreign(directory.to_owned(), found));
        }
        let seed = checksum(0, heading_text(found, salt).as_bytes());
        let mut decoder = Decoder::default();
        decoder.expect_peer();
        let records = Records::new(file, seed, HEADING_BYTES as u64, limit);
        Ok(Self { kept, records, decoder })
    }

    /// The next frame of the record at `offset`.
    fn frame(&mut self, offset: u64) -> Result<Option<Frame>, OpenError> {
        let found = self.decoder.next_request();
        match found.and_then(|found| found.map(LinkFrame::decode).transpose()) {
            Ok(None) if self.decoder.unread() == 0 => Ok(None),
            Ok(Some(LinkFrame::Snapshot(frame))) => Ok(Some(frame)),
            Ok(Some(_)) => Err(self.damaged(offset, "a frame is not a snapshot's")),
            Ok(None) => Err(self.damaged(offset, "a record ends inside a frame")),
            Err(error) => Err(self.damaged(offset, &error.0)),
        }
    }

    fn damaged(&self, offset: u64, what: &str) -> OpenError {
        let (file, what) = (self.kept.path.clone(), what.to_owned());
        OpenError::Damaged(Damage { file, offset, what })
    }
}

/// What a first line says: whose the file is, and the salt.
fn heading(line: &[u8]) -> Option<(u32, u64)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ').skip(4).step_by(2);
    let server = words.next()?.parse().ok()?;
    let salt = u64::from_str_radix(words.next()?, 16).ok()?;
    let text = heading_text(server, salt);
    let whole = format!("{text}{:08x}\r\n", checksum(0, text.as_bytes()));
    (whole == line).then_some((server, salt))
}
