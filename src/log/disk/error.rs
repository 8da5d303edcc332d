//! What can go wrong with the log's files, in words for whoever runs the server: what, in which
//! file, at which offset, and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What the operating system refused.
#[derive(Debug)]
pub struct Failure {
    /// What was tried: `open`, `sync`, ...
    pub attempt: &'static str,
    /// On which file.
    pub file: PathBuf,
    /// Its answer.
    pub error: io::Error,
}

impl Failure {
    /// For `map_err`.
    pub(super) fn to(attempt: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |error| Self { attempt, file, error }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempt, file, error } = self;
        write!(f, "cannot {attempt} {}: {error}", file.display())
    }
}

/// A place in a file that is not as it was written.
#[derive(Debug)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where it begins to be wrong.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, what } = self;
        write!(f, "{} is damaged at offset {offset}: {what}", file.display())
    }
}

/// Why a log cannot be opened. But for [`Failed`](Self::Failed), no file has been changed.
#[derive(Debug)]
pub enum OpenError {
    /// Another server has it open.
    InUse(PathBuf),
    /// It was written by a server with another id, this one.
    Foreign(PathBuf, u32),
    /// It is damaged where it was known to be synced.
    Damaged(Damage),
    /// These updates are in no file; the last number is that of the next one that is.
    Missing(PathBuf, u64, u64),
    /// A whole record holds what whoever opens the log cannot take.
    Unusable(Damage),
    /// What the operating system refused.
    Failed(Failure),
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What to do about a log that has lost what it should have.
const RESTORE: &str = "Put back a copy of the directory, or move it away: \
    a server without data gets what the other servers have";

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(directory) => write!(
                f,
                "the data directory {} is in use by another server; give each its own",
                directory.display()
            ),
            Self::Foreign(directory, server) => write!(
                f,
                "the data directory {} belongs to server {server}; start with that id, or give \
                this server its own",
                directory.display()
            ),
            Self::Damaged(damage) => write!(f, "{damage}. {RESTORE}"),
            Self::Missing(directory, first, next) => write!(
                f,
                "in the data directory {}, the log lacks the updates from number {first} to {}. \
                {RESTORE}",
                directory.display(),
                next - 1
            ),
            Self::Unusable(Damage { file, offset, what }) => write!(
                f,
                "{} has a whole record at offset {offset} that cannot be used: {what}. Was it \
                written by another version of this program? {RESTORE}",
                file.display()
            ),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

/// Why updates were not appended, or not synced.
#[derive(Debug)]
pub enum WriteError {
    /// Nothing of it is in the log, nor will be after a restart. It may be tried again.
    Refused(Failure),
    /// What is on disk is not known any more. The server must stop, without a further reply.
    Fatal(Failure),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(failure) => {
                write!(f, "{failure}; nothing was written. Is there room on the disk?")
            }
            Self::Fatal(failure) => write!(
                f,
                "{failure}; updates since the last sync may be lost. Look after the disk, then \
                start again"
            ),
        }
    }
}

impl std::error::Error for WriteError {}

/// Why an update cannot be read back.
#[derive(Debug)]
pub enum ReadError {
    /// It is no longer in the log.
    Trimmed,
    /// It is damaged.
    Damaged(Damage),
    /// What the operating system refused.
    Failed(Failure),
}

impl From<Failure> for ReadError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trimmed => f.write_str("the log has been trimmed beyond that update"),
            Self::Damaged(damage) => damage.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}
