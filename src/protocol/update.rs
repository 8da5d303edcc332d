//! An update, as a frame of a [link](super::link) and as a record of the log.

use crate::core::version::number;
use crate::core::{Change, Update, Version};
use crate::text::{quoted, unquoted};

use super::changes::Changes;
use super::encode::{bulk_into, decimal_into, header_into, last_digits};
use super::link::Frame;
use super::request::Request;
use super::resp::{Decoder, FramingError};

/// Appends an update as a frame. Gives how many bytes of it stand before its changes. `last` is kept by
/// the caller from one update to the next.
pub(crate) fn update_into(
    out: &mut Vec<u8>,
    last: &mut LastHead,
    head: Head<'_>,
    changes: Changes<'_>,
) -> usize {
    let Version { timestamp, server } = head.version;
    let plain = !head.told && head.dependencies.is_empty() && timestamp >= 100;
    let kind = plain.then(|| Kind {
        server,
        hundreds: timestamp / 100,
        distance: head.distance(),
        changes: changes.count(),
    });
    if kind.is_none() || kind != last.kind {
        last.kind = kind;
        last.write(head, changes.count());
    } else {
        last.text[last.digits..][..2].copy_from_slice(&last_digits(timestamp));
    }
    out.extend_from_slice(&last.text);
    out.extend_from_slice(changes.text().as_bytes());
    last.text.len()
}

/// The head that was written last. The writes of a run mostly differ in the last digits of their
/// timestamps; to write these anew only, of a small `SET`, saves a twelfth of the server's
/// instructions.
#[derive(Debug, Default)]
pub(crate) struct LastHead {
    /// What it shares with those that follow; `None` if it has more than that.
    kind: Option<Kind>,
    /// All of the frame that comes before the changes.
    text: Vec<u8>,
    /// Where in that its timestamp's last two digits stand.
    digits: usize,
    meta: Vec<u8>,
}

impl LastHead {
    fn write(&mut self, head: Head<'_>, changes: usize) {
        let Self { text, meta, digits, .. } = self;
        meta.clear();
        let digits_end = version_into(meta, head.version);
        meta.push(b' ');
        decimal_into(meta, head.distance());
        if head.told {
            meta.extend_from_slice(b" told");
        }
        for &dependency in head.dependencies {
            meta.push(b' ');
            version_into(meta, dependency);
        }
        for key in head.dependency_keys {
            meta.push(b' ');
            meta.extend_from_slice(quoted(key).as_bytes());
        }
        text.clear();
        header_into(text, b'*', 1 + 2 * changes);
        bulk_into(text, meta);
        *digits = text.len() - b"\r\n".len() - meta.len() + digits_end - 2;
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Kind {
    server: u32,
    /// The timestamp without its last two digits.
    hundreds: u64,
    distance: u64,
    changes: usize,
}

/// The updates of `frames`, which stand back to back as in the log.
pub fn updates(frames: &[u8]) -> impl Iterator<Item = Update> {
    let mut decoder = Decoder::default();
    decoder.expect_peer();
    decoder.extend(frames);
    std::iter::from_fn(move || {
        let found = decoder.next_request();
        debug_assert!(found.is_ok(), "they are whole");
        match Frame::decode(found.ok().flatten()?) {
            Ok(Frame::Update(update)) => Some(update),
            _ => None,
        }
    })
}

/// What an update says of itself besides its changes.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Its version.
    pub version: Version,
    /// Its predecessor in its chain; 0 for none.
    pub predecessor: u64,
    /// Whether a person asked for it.
    pub told: bool,
    /// What must be applied before it.
    pub dependencies: &'a [Version],
    /// A key of each dependency, for the rule `stored-version`; else empty.
    pub dependency_keys: &'a [String],
}

impl Head<'_> {
    /// How far its timestamp is from its predecessor's; 0 if there is none.
    fn distance(&self) -> u64 {
        if self.predecessor == 0 { 0 } else { self.version.timestamp - self.predecessor }
    }

    /// The update with this head and these changes.
    pub fn update(self, changes: Changes<'_>) -> Update {
        let Head { version, predecessor, told, .. } = self;
        let owned = |(key, value): (&str, Option<&str>)| Change {
            key: key.to_owned(),
            value: value.map(str::to_owned),
        };
        Update {
            version,
            predecessor,
            dependencies: self.dependencies.to_vec(),
            dependency_keys: self.dependency_keys.to_vec(),
            told,
            changes: changes.iter().map(owned).collect(),
        }
    }
}

impl<'a> From<&'a Update> for Head<'a> {
    fn from(update: &'a Update) -> Self {
        let &Update { version, predecessor, told, .. } = update;
        let (dependencies, dependency_keys) = (&update.dependencies, &update.dependency_keys);
        Self { version, predecessor, told, dependencies, dependency_keys }
    }
}

/// Appends a version. Gives where its timestamp ends.
pub(super) fn version_into(out: &mut Vec<u8>, version: Version) -> usize {
    out.push(b'(');
    decimal_into(out, version.timestamp);
    let end = out.len();
    out.extend_from_slice(b", ");
    decimal_into(out, u64::from(version.server));
    out.push(b')');
    end
}

/// Reads all but the changes of an update; `head` is its first word.
///
/// # Errors
/// What is wrong with it.
pub(super) fn decode_head(frame: Request<'_>, head: &str) -> Result<Update, FramingError> {
    let wrong = || FramingError(format!("'{}' does not begin an update", head.escape_debug()));
    let (version, rest) = Version::parse_prefix(head).ok_or_else(wrong)?;
    let (distance, rest) = number(rest).ok_or_else(wrong)?;
    let predecessor = version.timestamp.checked_sub(distance).ok_or_else(wrong)?;
    let (told, rest) = rest.strip_prefix(" told").map_or((false, rest), |rest| (true, rest));
    let (mut dependencies, mut dependency_keys) = (Vec::new(), Vec::new());
    if !rest.is_empty() {
        let (versions, keys) = rest.split_at(rest.find('"').unwrap_or(rest.len()));
        dependencies = Version::parse_all(versions).map_err(|_| wrong())?;
        dependency_keys = all_unquoted(keys).ok_or_else(wrong)?;
    }
    if frame.len() < 3 || frame.len().is_multiple_of(2) {
        return Err(FramingError(format!("update {version} has no whole pairs of key and value")));
    }
    let predecessor = if distance == 0 { 0 } else { predecessor };
    Ok(Update { version, predecessor, dependencies, dependency_keys, told, changes: Vec::new() })
}

fn all_unquoted(mut text: &str) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    while !text.is_empty() {
        let (unquoted, rest) = unquoted(text)?;
        texts.push(unquoted);
        text = rest.trim_start();
    }
    Some(texts)
}
