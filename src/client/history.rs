//! Histories: what a client did and saw, one logfmt line an operation, for the checker.
//!
//! ```text
//! time=1731624815000123 session="1@1731624814000000" op=write key="x" value="lost" version="(1731624815000000, 1)"
//! time=1731624816000456 session="2@1731624814500000" op=push key="x" value="lost" version="(1731624815000000, 1)"
//! time=1731624817000789 session="2@1731624814500000" op=read key="gone"
//! ```
//!
//! | field | meaning |
//! |---|---|
//! | `time` | when the operation ended: microseconds since 1970, by the client's clock; only for people |
//! | `session` | the client's id and when its session began; lines of one session are in its order |
//! | `op` | what happened, see below |
//! | `key`, `value` | quoted, see [`quoted`] |
//! | `version` | quoted, as `(timestamp, server)` |
//!
//! | `op` | fields | what happened |
//! |---|---|---|
//! | `write` | key, value, version | it was written under this version |
//! | `read` | key, value, version | it was read |
//! | `read` | key | there was no value. A delete that found nothing is such a read |
//! | `delete` | key, and version if it is known | it was deleted |
//! | `push` | key, value, version | the server pushed it |
//! | `push` | key, version | the server pushed that it was deleted |
//! | `unknown` | key, value | a write that may have happened or not |
//! | `unknown` | key | a delete that may have happened or not |
//!
//! Fields come in this order, one space between them; a field that has no meaning is left out.
//! Every line is flushed before the client goes on. Several clients may append to one file, but all
//! lines of one session are in one file. For those who write histories by hand: `time` may be left
//! out, a word needs no quotes, and an empty line or one that begins with `#` is not an operation.
//! `causal-lab check` reads all this.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::core::Version;
use crate::text::quoted;

/// One operation.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the fields are those of the table above
pub enum Operation<'a> {
    Write { key: &'a str, value: &'a str, version: Version },
    Read { key: &'a str, found: Option<(&'a str, Version)> },
    Delete { key: &'a str, version: Option<Version> },
    Push { key: &'a str, value: Option<&'a str>, version: Version },
    Unknown { key: &'a str, value: Option<&'a str> },
}

/// A file that a client's operations are appended to.
#[derive(Debug)]
pub struct History {
    file: File,
    id: String,
    session: String,
}

impl History {
    /// Opens `path` for appending, for the client with this id, and begins a session.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn append(path: &str, id: &str) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let mut history = Self { file, id: id.to_owned(), session: String::new() };
        history.begin_session();
        Ok(history)
    }

    /// From now on operations belong to a new session.
    pub fn begin_session(&mut self) {
        self.session = format!("{}@{}", self.id, now_us());
    }

    /// Appends one operation.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn record(&mut self, operation: Operation<'_>) -> io::Result<()> {
        // One call, so that lines of several clients do not mix.
        self.file.write_all(self.line(operation, now_us()).as_bytes())
    }

    fn line(&self, operation: Operation<'_>, time_us: u64) -> String {
        let (name, key, value, version) = match operation {
            Operation::Write { key, value, version } => ("write", key, Some(value), Some(version)),
            Operation::Read { key, found } => {
                ("read", key, found.map(|found| found.0), found.map(|found| found.1))
            }
            Operation::Delete { key, version } => ("delete", key, None, version),
            Operation::Push { key, value, version } => ("push", key, value, Some(version)),
            Operation::Unknown { key, value } => ("unknown", key, value, None),
        };
        let (session, key) = (quoted(&self.session), quoted(key));
        let value = value.map(|value| format!(" value={}", quoted(value))).unwrap_or_default();
        let version = version.map(|version| format!(" version=\"{version}\"")).unwrap_or_default();
        format!("time={time_us} session={session} op={name} key={key}{value}{version}\n")
    }
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
