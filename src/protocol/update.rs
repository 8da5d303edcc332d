//! An update, as a frame of a [link](super::link) and as a record of the log.

use std::ops::Range;

use crate::core::version::number;
use crate::core::{Change, Update, Version};
use crate::text::{quoted, unquoted};

use super::encode::{bulk_into, decimal_into, header_into};
use super::link::Frame;
use super::places::Place;
use super::request::Request;
use super::resp::{Decoder, FramingError};

/// Appends an update as a frame, and where in that frame its keys and values stand. `changes` are its
/// keys, with their values or, for a delete, none. `meta` is scratch space that its caller keeps.
pub(crate) fn update_into(
    out: &mut Vec<u8>,
    meta: &mut Vec<u8>,
    places: &mut Vec<Place>,
    head: Head<'_>,
    changes: &[(&str, Option<&str>)],
) {
    let Head { version, predecessor, told, dependencies, dependency_keys } = head;
    meta.clear();
    version_into(meta, version);
    meta.push(b' ');
    let distance = if predecessor == 0 { 0 } else { version.timestamp - predecessor };
    decimal_into(meta, distance);
    if told {
        meta.extend_from_slice(b" told");
    }
    for &dependency in dependencies {
        meta.push(b' ');
        version_into(meta, dependency);
    }
    for key in dependency_keys {
        meta.push(b' ');
        meta.extend_from_slice(quoted(key).as_bytes());
    }
    let start = out.len();
    header_into(out, b'*', 1 + 2 * changes.len());
    bulk_into(out, meta);
    for &(key, value) in changes {
        let key = text_into(out, start, key);
        let value = value.map(|value| text_into(out, start, value));
        if value.is_none() {
            out.extend_from_slice(b"$-1\r\n");
        }
        places.push((key, value));
    }
}

/// Appends a text, and gives its place in the frame that begins at `start`.
fn text_into(out: &mut Vec<u8>, start: usize, text: &str) -> Range<usize> {
    bulk_into(out, text.as_bytes());
    let end = out.len() - start - 2;
    end - text.len()..end
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
    /// The update with this head and these changes.
    pub fn update(self, changes: &[(&str, Option<&str>)]) -> Update {
        let Head { version, predecessor, told, .. } = self;
        let owned = |&(key, value): &(&str, Option<&str>)| Change {
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

pub(super) fn version_into(out: &mut Vec<u8>, version: Version) {
    out.push(b'(');
    decimal_into(out, version.timestamp);
    out.extend_from_slice(b", ");
    decimal_into(out, u64::from(version.server));
    out.push(b')');
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
