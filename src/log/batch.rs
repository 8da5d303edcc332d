//! Updates on their way into the log.

use crate::core::Version;
use crate::protocol::bundle::Arrived;
use crate::protocol::changes::{Changes, Place};
use crate::protocol::link::{Head, LastHead, update_into};

use super::Record;

/// So many changes are shown in one go, or as many as one update has. Readers wait meanwhile.
const SHOWN_AT_ONCE: usize = 256;

/// A group of updates: first written here, one after the other, then shown, all in one go, then
/// appended to the log.
#[derive(Debug, Default)]
pub struct Batch {
    /// Their frames, back to back.
    pub(super) frames: String,
    pub(super) records: Vec<Record>,
    /// Where each key and its value stand among the changes of their update.
    pub(super) places: Vec<Place>,
    parts: Vec<Part>,
    /// Those, in order, that lost to a higher version.
    pub(super) hidden: Vec<usize>,
    /// How many are shown.
    shown: usize,
    last: LastHead,
}

/// What the log need not know of an update.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Where in the frames its changes begin.
    changes: usize,
    /// Where its places end.
    places_end: usize,
}

impl Batch {
    /// Adds an update.
    pub fn push(&mut self, head: Head<'_>, changes: Changes<'_>) {
        let start = self.frames.len();
        let head_bytes = update_into(&mut self.frames, &mut self.last, head, changes);
        self.seal(head.version, head.predecessor, start + head_bytes, changes.places());
    }

    /// Adds an update as it came.
    pub fn forward(&mut self, arrived: Arrived<'_>) {
        let (start, update) = (self.frames.len(), arrived.update);
        self.frames.push_str(arrived.frame);
        let changes = start + arrived.head_bytes;
        self.seal(update.version, update.predecessor, changes, arrived.changes.places());
    }

    /// The frame at the end is an update's, and its changes begin at `changes`.
    pub(super) fn seal(
        &mut self,
        version: Version,
        predecessor: u64,
        changes: usize,
        places: &[Place],
    ) {
        let end = u32::try_from(self.frames.len()).expect("a batch is far below 4 GiB");
        let Version { timestamp, server } = version;
        self.records.push(Record { timestamp, predecessor, server, end, appended_ms: 0 });
        self.places.extend_from_slice(places);
        self.parts.push(Part { changes, places_end: self.places.len() });
    }

    /// Has `show` show the updates that it has not shown, some at a time: their changes in order, each
    /// with its update's version. What one update changes is shown in one go. The places of changes
    /// that do not become visible are added to the last argument.
    ///
    /// To show an update is to wait for memory, as keys may be anywhere. The processor waits for
    /// several at once if they are shown close together.
    pub fn show(
        &mut self,
        mut show: impl FnMut(&[(Version, (&str, Option<&str>))], &mut Vec<usize>),
    ) {
        let usual = (self.records.len() - self.shown).min(SHOWN_AT_ONCE);
        let (mut some, mut lost) = (Vec::with_capacity(usual), Vec::new());
        let (mut hidden, mut first) = (Vec::new(), self.places_before(self.shown));
        for (version, changes) in self.updates(self.shown) {
            some.extend(changes.iter().map(|change| (version, change)));
            if some.len() >= SHOWN_AT_ONCE || first + some.len() == self.places.len() {
                show(&some, &mut lost);
                hidden.extend(lost.drain(..).map(|change| first + change));
                first += some.len();
                some.clear();
            }
        }
        self.hidden.append(&mut hidden);
        self.shown = self.records.len();
    }

    /// The updates from that place in the batch on.
    pub fn updates(&self, from: usize) -> impl Iterator<Item = (Version, Changes<'_>)> {
        let (mut start, mut first) = (self.end_of(from), self.places_before(from));
        let mut text = &self.frames[start..];
        self.records[from..].iter().zip(&self.parts[from..]).map(move |(record, part)| {
            let (frame, rest) = text.split_at(record.end as usize - start);
            let changes = &frame[part.changes - start..];
            let places = &self.places[first..part.places_end];
            (text, start, first) = (rest, record.end as usize, part.places_end);
            (record.version(), Changes::new(changes, places))
        })
    }

    /// Where the first so many frames end.
    fn end_of(&self, count: usize) -> usize {
        count.checked_sub(1).map_or(0, |last| self.records[last].end as usize)
    }

    /// The changes that lost to a higher version, in order: the place in the batch of the update, the
    /// change's place in it.
    pub(super) fn hidden(&self) -> impl Iterator<Item = (usize, u32)> {
        self.hidden.iter().map(|&place| {
            let index = self.parts.partition_point(|part| part.places_end <= place);
            let change = u32::try_from(place - self.places_before(index));
            (index, change.expect("a request has far fewer arguments"))
        })
    }

    /// How many places those have that come before this update.
    fn places_before(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |last| self.parts[last].places_end)
    }

    /// The frames, back to back.
    pub fn frames(&self) -> &[u8] {
        self.frames.as_bytes()
    }

    /// Where the frame of each update ends.
    pub fn ends(&self) -> impl Iterator<Item = usize> {
        self.records.iter().map(|record| record.end as usize)
    }

    /// How many updates it has.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it has no update.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Empties it. Its buffers stay.
    pub fn clear(&mut self) {
        self.frames.clear();
        self.records.clear();
        self.hidden.clear();
        self.places.clear();
        self.parts.clear();
        self.shown = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::changes::Written;

    #[test]
    fn all_is_shown_once_and_what_lost_is_found_again() {
        let mut batch = Batch::default();
        let changes = Written::new([("a", Some("1")), ("b", None)]);
        let push = |batch: &mut Batch, timestamp| {
            let version = Version { timestamp, server: 1 };
            let (predecessor, told) = (0, false);
            let (dependencies, dependency_keys) = (&[][..], &[][..]);
            let head = Head { version, predecessor, told, dependencies, dependency_keys };
            batch.push(head, changes.changes());
        };
        let mut shown = Vec::new();
        let mut show = |batch: &mut Batch| {
            batch.show(|some, hidden| {
                // Each time the second update's deletion loses.
                hidden.extend((some.len() > 2).then_some(3));
                shown
                    .extend(some.iter().map(|&(version, (key, _))| (version.timestamp, key.len())));
            });
        };
        (1..=300).for_each(|timestamp| push(&mut batch, timestamp));
        show(&mut batch);
        push(&mut batch, 301);
        show(&mut batch);
        show(&mut batch);
        let all = (1..=301).flat_map(|timestamp| [(timestamp, 1); 2]);
        assert!(shown.into_iter().eq(all), "each once and in order");
        let at_once = SHOWN_AT_ONCE / 2;
        let lost = [1, 1 + at_once, 1 + 2 * at_once];
        assert!(batch.hidden().eq(lost.map(|index| (index, 1))));
        let newest =
            batch.updates(300).map(|(version, changes)| (version.timestamp, changes.count()));
        assert!(newest.eq([(301, 2)]));
    }
}
