//! The log on disk: what is acknowledged stays, and what is damaged is noticed.
//!
//! A data directory has a `lock`, which one server holds, and the log in *segments*, numbered by
//! their first update: `log-00000000000000000000` and so on. A segment is a line of its own (see
//! `segment.rs`), then a record for each update (see `record.rs`): the frame that also goes over
//! the links, so `less` shows it. What is in a [snapshot] need not be in the log. Other files in the
//! directory are left alone.
//!
//! # Who does what
//!
//! [`open`] replays the log and gives the one [`Writer`]. It appends updates in groups, one write
//! each, and syncs as [`Fsync`] says. A [`Reader`] reads updates back while the writer goes on,
//! with file handles of its own, and never beyond what was appended.
//!
//! # What a crash leaves, and what it does not
//!
//! A process that is killed leaves a beginning of what it wrote. A machine that loses power leaves,
//! of what was not synced, anything: some sectors and not others, zeroes, a file of the old length.
//! What was synced stays. So at a start the log is cut at the first place that is not a whole
//! record, *if nothing says that the place was synced*; [`Recovery::cut`] tells how much was lost.
//! Two things say so:
//!
//! - A later segment. A segment is synced before the next one begins, and every start begins a new
//!   one: what a crash has left is never appended to.
//! - A later record's claim. Every record says up to where its segment was synced when the record
//!   was written. So the log is searched beyond the damage, at every byte, for records.
//!
//! Then it was no crash, and the start is refused: [`OpenError::Damaged`]. To take rot for a torn
//! tail would throw acknowledged updates away (Alagappan 2018).
//!
//! Two things cannot be known. What no claim followed may have been synced: the last group before a
//! crash under `always` (a second of idleness, and a mark claims that as well). And a file that was
//! made shorter by hand takes its claims with it.
//!
//! # When the disk fails
//!
//! - *A write fails*: the disk is full. The file is cut back to where it was, and the cut is
//!   synced, so that what was refused cannot come back. If even that fails, it is tried again
//!   before the next group. The caller may go on, and read.
//! - *A sync fails*: the kernel may have dropped what it could not write, and the next sync would
//!   say that all is well (Rebello 2020). Nothing is known any more, so it is the end:
//!   [`WriteError::Fatal`], now and ever after.
//!
//! # Papers
//!
//! Pillai et al. 2014, *All File Systems Are Not Created Equal*. Alagappan et al. 2018,
//! *Protocol-Aware Recovery for Consensus-Based Storage*. Rebello et al. 2020, *Can Applications
//! Recover from fsync Failures?*

mod checksum;
mod error;
mod reader;
mod record;
mod recover;
mod segment;
pub mod snapshot;
mod writer;

use std::fmt;
use std::str::FromStr;

pub use error::{Damage, Failure, OpenError, ReadError, WriteError};
pub use reader::{Cursor, Reader};
pub use recover::{Cut, Recovery, open};
pub use writer::{Synced, Unsynced, Writer};

/// How large a segment gets, give or take one group of updates.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// When the log is synced to disk, as Redis's `appendfsync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Before an append returns. What was acknowledged is never lost.
    Always,
    /// Within a second; see [`Writer::due`]. With the power, a second's updates may go.
    Interval,
    /// When the operating system likes; a full segment is synced all the same.
    Never,
}

impl fmt::Display for Fsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::Interval => "interval",
            Self::Never => "never",
        })
    }
}

impl FromStr for Fsync {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "always" => Ok(Self::Always),
            "interval" => Ok(Self::Interval),
            "never" => Ok(Self::Never),
            _ => Err(format!("'{text}' is not a way to sync; use always, interval or never")),
        }
    }
}

/// How a log is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whose log it is. One that another server wrote is refused.
    pub server: u32,
    /// When it is synced.
    pub fsync: Fsync,
    /// How large a segment gets.
    pub segment_bytes: u64,
    /// The number of the first update that is wanted: all before it are in a snapshot. Updates are
    /// numbered from 0.
    pub from: u64,
}

impl Options {
    /// The whole log of a server, synced once a second.
    pub fn new(server: u32) -> Self {
        Self { server, fsync: Fsync::Interval, segment_bytes: SEGMENT_BYTES, from: 0 }
    }
}

/// A file of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The number of its first update.
    pub first: u64,
    /// How long it is, in bytes.
    pub bytes: u64,
}

/// What the writer and the readers share.
#[derive(Debug, Default)]
struct Extent {
    /// In order; the last is the one that is appended to.
    segments: Vec<Segment>,
    /// The number that the next update gets.
    next: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_sync_read_as_they_are_written() {
        for fsync in [Fsync::Always, Fsync::Interval, Fsync::Never] {
            assert_eq!(fsync.to_string().parse(), Ok(fsync));
        }
        let error = "yes".parse::<Fsync>().expect_err("no such way");
        assert_eq!(error, "'yes' is not a way to sync; use always, interval or never");
    }
}
