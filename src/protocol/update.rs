//! An update, as a frame of a [link](super::link) and as a record of the log.

use crate::core::version::number;
use crate::core::{Change, Update, Version};
use crate::text::{quoted, unquoted};

use super::changes::Changes;
use super::encode::{bulk_into, decimal_into, header_into, last_digits};
use super::link::Frame;
use super::resp::{Decoder, FramingError};

/// Appends an update as a frame. Gives how many bytes of it stand before its changes. `last` is kept by
/// the caller from one update to the next.
pub(crate) fn update_into(
    out: &mut String,
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
    out.push_str(str::from_utf8(&last.text).expect("it is made of texts"));
    out.push_str(changes.text());
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
    /// The head's one word, while it is written.
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

/// The head that was read last. As the [last one written](LastHead), it mostly has all but the last
/// two digits of the next one's timestamp: a ninth of a replica's instructions.
#[derive(Debug, Default)]
pub(super) struct LastRead {
    text: String,
    /// Where in the text these digits stand; 0 if there are none.
    digits: usize,
    timestamp: u64,
    distance: u64,
    server: u32,
    told: bool,
}

impl LastRead {
    /// Reads all but the changes of an update; `head` is its first word.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn decode(&mut self, head: &str) -> Result<Update, FramingError> {
        if let Some(update) = self.follower(head) {
            return Ok(update);
        }
        let update = decode_head(head)?;
        let Update { version: Version { timestamp, server }, told, .. } = update;
        let digits = head.find(',').unwrap_or_default().saturating_sub(2);
        let plain = update.dependencies.is_empty() && two_digits(head, digits).is_some();
        head.clone_into(&mut self.text);
        self.digits = if plain { digits } else { 0 };
        let distance = if update.predecessor == 0 { 0 } else { timestamp - update.predecessor };
        (self.timestamp, self.distance) = (timestamp, distance);
        (self.server, self.told) = (server, told);
        Ok(update)
    }

    /// The update, if its head differs from the last one's in these digits only.
    fn follower(&self, head: &str) -> Option<Update> {
        let (before, last) = self.text.as_bytes().split_at(self.digits);
        let (head_before, rest) = head.as_bytes().split_at_checked(self.digits)?;
        if self.digits == 0 || head_before != before || rest.get(2..)? != &last[2..] {
            return None;
        }
        let digits = two_digits(head, self.digits)?;
        let timestamp = (self.timestamp - self.timestamp % 100).checked_add(digits)?;
        let predecessor = match self.distance {
            0 => 0,
            distance => timestamp.checked_sub(distance)?,
        };
        let version = Version { timestamp, server: self.server };
        let (dependencies, dependency_keys, changes) = (Vec::new(), Vec::new(), Vec::new());
        let told = self.told;
        Some(Update { version, predecessor, dependencies, dependency_keys, told, changes })
    }
}

/// The number that two digits make there, which stand behind another one.
fn two_digits(text: &str, at: usize) -> Option<u64> {
    match text.as_bytes().get(at.checked_sub(1)?..at + 2)? {
        [b'0'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            Some(u64::from(10 * (tens - b'0') + (ones - b'0')))
        }
        _ => None,
    }
}

/// Reads any head of an update.
fn decode_head(head: &str) -> Result<Update, FramingError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::changes::Written;

    #[test]
    fn a_head_is_written_alike_whatever_came_before() {
        let dependency = [Version { timestamp: 5, server: 2 }];
        let plain = |timestamp, predecessor| (timestamp, predecessor, 1, false, &[][..], 1);
        let cases = [
            plain(7, 6),
            plain(12, 11),
            plain(99, 98),
            plain(100, 99),
            plain(101, 100),
            plain(101, 0),
            plain(122, 102),
            plain(123, 103),
            plain(1_731_624_815_000_099, 1_731_624_815_000_098),
            plain(1_731_624_815_000_100, 1_731_624_815_000_099),
            plain(1_731_624_815_000_101, 1_731_624_815_000_100),
            (102, 101, 2, false, &[], 1),
            (103, 102, 1, true, &[], 1),
            (104, 103, 1, true, &[], 1),
            (105, 104, 1, false, &dependency, 1),
            (106, 105, 1, false, &dependency, 1),
            (107, 106, 1, false, &[], 2),
        ];
        let write =
            |last: &mut LastHead, (timestamp, predecessor, server, told, dependencies, count)| {
                let version = Version { timestamp, server };
                let head = Head { version, predecessor, told, dependencies, dependency_keys: &[] };
                let written = Written::new(vec![("key", Some("value")); count]);
                let mut out = "x".to_owned();
                let bytes = update_into(&mut out, last, head, written.changes());
                assert_eq!(&out[1 + bytes..], written.changes().text());
                out
            };
        for before in cases {
            for case in cases {
                let mut last = LastHead::default();
                write(&mut last, before);
                let behind = write(&mut last, case);
                assert_eq!(behind, write(&mut LastHead::default(), case), "behind {before:?}");
            }
        }
    }

    #[test]
    fn a_head_is_read_alike_whatever_came_before() {
        let heads = [
            "(1731624815000099, 1) 1",
            "(1731624815000098, 1) 1",
            "(1731624815000100, 1) 1",
            "(1731624815000101, 1) 2",
            "(1731624815000102, 2) 2",
            "(17316248150001x2, 2) 2",
            "(173162481500010x, 2) 2",
            "(173162481500010, 2) 2",
            "(1731624815000103, 2) 2 told",
            "(1731624815000104, 2) 2 told",
            "(1731624815000105, 2) 2 told (7, 3)",
            "(1731624815000106, 2) 2 told (7, 3)",
            "(1731624815000107, 2) 0",
            "(1731624815000108, 2) 0",
            "(150, 2) 130",
            "(120, 2) 130",
            "(131, 2) 130",
            "(7, 2) 1",
            "(8, 2) 1",
            "(12, 2) 1",
            "(13, 2) 1",
            "(18446744073709551600, 2) 1",
            "(18446744073709551615, 2) 1",
            "(18446744073709551616, 2) 1",
            "(18446744073709551699, 2) 1",
            "( 131 , 2 ) 1",
            "( 132 , 2 ) 1",
            "",
            "(",
            "(133, 2)",
        ];
        let mut last = LastRead::default();
        for head in heads {
            assert_eq!(last.decode(head), decode_head(head), "{head}");
            assert_eq!(last.decode(head), decode_head(head), "{head} again");
        }
        for head in heads {
            for before in heads {
                let _ = last.decode(before);
                assert_eq!(last.decode(head), decode_head(head), "{head} behind {before}");
            }
        }
    }
}
