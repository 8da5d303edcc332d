//! The files of a data directory: the lock, and the segments of the log.
//!
//! A segment is named after its first update, `log-00000000000000000000`, and begins with a line
//! that says the same, and whose it is:
//!
//! ```text
//! causal-kv log 1 server 0000000001 from 00000000000000000000 salt 5f1d5e2a9b0c7d3e 5d2f0a11
//! ```
//!
//! `1` is the version of the format. The salt is drawn when the segment is made. The checksum of
//! the line goes into those of all the segment's records.
//!
//! A segment comes into being whole: written under another name, synced, renamed, and the directory
//! synced, without which the name may be lost with the power (Pillai 2014).

use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::checksum::checksum;
use super::error::{Failure, OpenError, WriteError};

/// How long a segment's first line is.
pub(super) const HEADING_BYTES: usize = 92;

/// A segment's first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heading {
    /// Who writes it.
    pub(super) server: u32,
    /// The number of its first update.
    pub(super) first: u64,
    pub(super) salt: u64,
}

impl Heading {
    /// For a new segment.
    pub(super) fn new(server: u32, first: u64) -> Self {
        // What keys std's hash maps is the randomness that comes without a crate.
        Self { server, first, salt: RandomState::new().build_hasher().finish() }
    }

    fn text(&self) -> String {
        let Self { server, first, salt } = self;
        format!("causal-kv log 1 server {server:010} from {first:020} salt {salt:016x} ")
    }

    /// The checksum that goes into the records'.
    pub(super) fn seed(&self) -> u32 {
        checksum(0, self.text().as_bytes())
    }

    pub(super) fn line(&self) -> String {
        format!("{}{:08x}\r\n", self.text(), self.seed())
    }

    /// Reads a first line. `None` if it is not one.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let mut words = line.split(' ').skip(4).step_by(2);
        let (server, first) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let salt = u64::from_str_radix(words.next()?, 16).ok()?;
        let heading = Self { server, first, salt };
        (heading.line() == line).then_some(heading)
    }
}

/// The file of the segment that begins with update number `first`.
pub(super) fn path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("log-{first:020}"))
}

/// Where a segment is written before it gets its name.
fn draft(directory: &Path) -> PathBuf {
    directory.join("log-new")
}

/// For so long a lock is waited for. Who was killed holds it until its memory is given back, and a
/// program that is being started holds, for a moment, all files of its parent.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// How often it is tried.
const LOCK_LOOK: Duration = Duration::from_millis(5);

/// Makes the directory, if there is none, and locks it until the file is closed. Blocks for a second
/// if another server has it.
pub(super) fn lock(directory: &Path) -> Result<File, OpenError> {
    if !directory.is_dir() {
        fs::create_dir_all(directory).map_err(Failure::to("make", directory))?;
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_directory(parent.unwrap_or(Path::new(".")))?;
    }
    let path = directory.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(Failure::to("open", &path))?;
    let patience = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < patience => thread::sleep(LOCK_LOOK),
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(directory.to_owned())),
            Err(TryLockError::Error(error)) => return Err(Failure::to("lock", &path)(error).into()),
        }
    }
}

/// The first updates of all segments, in order. Other files are left alone.
pub(super) fn list(directory: &Path) -> Result<Vec<u64>, Failure> {
    let read = || -> io::Result<Vec<u64>> {
        let mut firsts = Vec::new();
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_prefix("log-"));
            let plain =
                |digits: &&str| digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
            firsts.extend(digits.filter(plain).and_then(|digits| digits.parse::<u64>().ok()));
        }
        firsts.sort_unstable();
        Ok(firsts)
    };
    read().map_err(Failure::to("list", directory))
}

/// Makes a new segment, to be appended to.
///
/// # Errors
/// [`WriteError::Refused`]: there is no such segment. [`WriteError::Fatal`]: there may be one.
pub(super) fn create(directory: &Path, heading: Heading) -> Result<File, WriteError> {
    let (draft, path) = (draft(directory), path(directory, heading.first));
    let written = || -> io::Result<File> {
        // A crash may have left one.
        let _ = fs::remove_file(&draft);
        let mut file = File::options().append(true).create_new(true).open(&draft)?;
        file.write_all(heading.line().as_bytes())?;
        file.sync_all()?;
        Ok(file)
    };
    let file = written().map_err(Failure::to("write", &draft)).map_err(WriteError::Refused)?;
    fs::rename(&draft, &path).map_err(Failure::to("make", &path)).map_err(WriteError::Refused)?;
    sync_directory(directory).map_err(WriteError::Fatal)?;
    Ok(file)
}

/// Removes a segment, so that it stays removed.
pub(super) fn remove(directory: &Path, first: u64) -> Result<(), Failure> {
    let path = path(directory, first);
    fs::remove_file(&path).map_err(Failure::to("remove", &path))?;
    sync_directory(directory)
}

pub(super) fn sync_directory(directory: &Path) -> Result<(), Failure> {
    let synced = File::open(directory).and_then(|file| file.sync_all());
    synced.map_err(Failure::to("sync", directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_has_always_the_same_length_and_reads_back() {
        for (server, first, salt) in [(0, 0, 0), (u32::MAX, u64::MAX, u64::MAX), (7, 8, 9)] {
            let heading = Heading { server, first, salt };
            let line = heading.line();
            assert_eq!(line.len(), HEADING_BYTES);
            assert_eq!(Heading::read(line.as_bytes()), Some(heading));
            for at in 0..line.len() {
                let mut damaged = line.clone().into_bytes();
                damaged[at] ^= 1;
                assert_eq!(Heading::read(&damaged), None, "{at}");
                assert_eq!(Heading::read(&line.as_bytes()[..at]), None, "{at}");
            }
        }
    }

    #[test]
    fn salts_differ() {
        assert_ne!(Heading::new(1, 0).salt, Heading::new(1, 0).salt);
    }
}
