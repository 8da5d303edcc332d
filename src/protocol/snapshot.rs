//! A snapshot, as frames of a [link](super::link) and as records of a file (rule R7).
//!
//! ```text
//! OFFER (10, 1)..(20, 1)    My log lacks these, and so do you. Repeated while it is so.
//! TAKE                      Send me a snapshot.
//! SNAPSHOT                  One begins; what came of an unfinished one before it is void.
//! ENTRY (20, 1) key value   What a key shows, and since which write; a null value: it is deleted.
//! END (10, 1)..(20, 1) (7, 2)..(7, 2) | 1731624815000007 | 0 | 2
//!                           That was all: what the store had applied that shows these entries, its
//!                           clock, up to which timestamp deletes were forgotten, and how many
//!                           entries it were.
//! ```
//!
//! Who is offered several snapshots takes one at a time. A key may come several times: the copy is
//! made while writes go on, so what is written to a part that has been copied comes behind it. The
//! highest version counts, and nothing is to be shown before the end, as until then the copy may
//! have effects without their causes.
//!
//! `STATUS` and `ACK` come in between, updates of the log do not.

use crate::core::{Applied, Version};

use super::encode::{array_into, bulk_into, header_into};
use super::link::text;
use super::request::{Argument, Request};
use super::resp::FramingError;
use super::update::version_into;

/// A frame of a snapshot, or about one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The sender's log lacks these, and so does the receiver.
    Offer(Applied),
    /// Send a snapshot.
    Take,
    /// It begins.
    Begin,
    /// A key and what it shows.
    Entry(Entry),
    /// It ends.
    End(End),
}

/// A key and what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Its value; `None` if it is deleted.
    pub value: Option<String>,
    /// The write that it shows.
    pub version: Version,
}

/// What is told at the end of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// What the store that was copied had applied.
    pub applied: Applied,
    /// Its server's clock.
    pub clock: u64,
    /// Up to which timestamp its server may have forgotten deletes (rule R10); 0: none.
    pub floor: u64,
    /// How many entries were sent.
    pub entries: u64,
}

/// Appends an `OFFER`.
pub fn offer_into(out: &mut Vec<u8>, applied: &Applied) {
    array_into(out, &["OFFER", &applied.to_string()]);
}

/// Appends a `TAKE`.
pub fn take_into(out: &mut Vec<u8>) {
    array_into(out, &["TAKE"]);
}

/// Appends a `SNAPSHOT`.
pub fn begin_into(out: &mut Vec<u8>) {
    array_into(out, &["SNAPSHOT"]);
}

/// Appends an `ENTRY`.
pub fn entry_into(out: &mut Vec<u8>, key: &str, value: Option<&str>, version: Version) {
    header_into(out, b'*', 4);
    bulk_into(out, b"ENTRY");
    // Two numbers of 20 digits at most.
    let mut text = Vec::with_capacity(44);
    version_into(&mut text, version);
    bulk_into(out, &text);
    bulk_into(out, key.as_bytes());
    match value {
        Some(value) => bulk_into(out, value.as_bytes()),
        None => out.extend_from_slice(b"$-1\r\n"),
    }
}

/// Appends an `END`.
pub fn end_into(out: &mut Vec<u8>, end: &End) {
    let End { applied, clock, floor, entries } = end;
    let numbers = [clock, floor, entries].map(u64::to_string);
    let [clock, floor, entries] = &numbers;
    array_into(out, &["END", &applied.to_string(), clock, floor, entries]);
}

/// Reads a frame; `head` is its first word.
///
/// # Errors
/// What is wrong with it.
pub(super) fn decode(request: Request<'_>, head: &str) -> Result<Frame, FramingError> {
    match (head, request.len()) {
        ("OFFER", 2) => field(request, 1).map(Frame::Offer),
        ("TAKE", 1) => Ok(Frame::Take),
        ("SNAPSHOT", 1) => Ok(Frame::Begin),
        ("ENTRY", 4) => {
            let value = match request.argument_at(3) {
                Argument::Null => None,
                _ => Some(text(request, 3)?.to_owned()),
            };
            let (version, key) = (field(request, 1)?, text(request, 2)?.to_owned());
            Ok(Frame::Entry(Entry { key, value, version }))
        }
        ("END", 5) => {
            let (applied, clock) = (field(request, 1)?, field(request, 2)?);
            let (floor, entries) = (field(request, 3)?, field(request, 4)?);
            Ok(Frame::End(End { applied, clock, floor, entries }))
        }
        _ => Err(FramingError(format!("'{}' is not a link's frame", head.escape_debug()))),
    }
}

/// A field that is read by its type.
fn field<T: std::str::FromStr>(request: Request<'_>, index: usize) -> Result<T, FramingError> {
    let text = text(request, index)?;
    text.parse().map_err(|_| {
        let text = text.chars().take(64).collect::<String>();
        FramingError(format!("field {index} cannot be '{}'", text.escape_debug()))
    })
}
