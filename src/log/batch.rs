//! Updates on their way into the log.

use std::ops::Range;

use crate::core::Version;
use crate::protocol::bundle::Arrived;
use crate::protocol::link::{Head, update_into};
use crate::protocol::places::{Place, change_at};

use super::Record;

/// So many changes are shown in one go, or as many as one update has. Readers wait meanwhile.
const SHOWN_AT_ONCE: usize = 256;
const TEXTS: &str = "frames are made of texts";

/// A group of updates: first written here, one after the other, then shown, all in one go, then
/// appended to the log.
#[derive(Debug, Default)]
pub struct Batch {
    /// Their frames, back to back.
    pub(super) frames: Vec<u8>,
    pub(super) records: Vec<Record>,
    /// Where in its frame each key and its value stand.
    pub(super) places: Vec<Place>,
    /// Where those of each update end.
    places_ends: Vec<usize>,
    /// Those, in order, that lost to a higher version.
    pub(super) hidden: Vec<usize>,
    /// How many are shown.
    shown: usize,
    meta: Vec<u8>,
}

impl Batch {
    /// Adds an update.
    pub fn push(&mut self, head: Head<'_>, changes: &[(&str, Option<&str>)]) {
        update_into(&mut self.frames, &mut self.meta, &mut self.places, head, changes);
        self.seal(head.version, head.predecessor);
    }

    /// Adds an update that came as a frame, with the places of its keys and values in that.
    pub fn forward(&mut self, arrived: Arrived<'_>) {
        self.frames.extend_from_slice(arrived.frame.as_bytes());
        self.places.extend_from_slice(arrived.places);
        self.seal(arrived.update.version, arrived.update.predecessor);
    }

    /// The frame at the end is an update's.
    pub(super) fn seal(&mut self, version: Version, predecessor: u64) {
        let end = u32::try_from(self.frames.len()).expect("a batch is far below 4 GiB");
        let Version { timestamp, server } = version;
        self.records.push(Record { timestamp, predecessor, server, end, appended_ms: 0 });
        self.places_ends.push(self.places.len());
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
        let mut text = str::from_utf8(&self.frames[self.end_of(self.shown)..]).expect(TEXTS);
        let usual = (self.records.len() - self.shown).min(SHOWN_AT_ONCE);
        let (mut some, mut hidden) = (Vec::with_capacity(usual), Vec::new());
        for index in self.shown..self.records.len() {
            let (frame, rest) = text.split_at(self.end_of(index + 1) - self.end_of(index));
            text = rest;
            let version = self.records[index].version();
            for place in &self.places[self.places_of(index)] {
                some.push((version, change_at(frame, place)));
            }
            if some.len() >= SHOWN_AT_ONCE || index + 1 == self.records.len() {
                show(&some, &mut hidden);
                let first = self.places_ends[index] - some.len();
                self.hidden.extend(hidden.drain(..).map(|change| first + change));
                some.clear();
            }
        }
        self.shown = self.records.len();
    }

    /// The versions and the changes of all updates from that place in the batch on.
    pub fn changes(&self, from: usize) -> impl Iterator<Item = (Version, (&str, Option<&str>))> {
        let mut text = str::from_utf8(&self.frames[self.end_of(from)..]).expect(TEXTS);
        (from..self.records.len()).flat_map(move |index| {
            let (frame, rest) = text.split_at(self.end_of(index + 1) - self.end_of(index));
            text = rest;
            let version = self.records[index].version();
            let places = self.places[self.places_of(index)].iter();
            places.map(move |place| (version, change_at(frame, place)))
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
            let index = self.places_ends.partition_point(|&end| end <= place);
            let change = u32::try_from(place - self.places_of(index).start);
            (index, change.expect("a request has far fewer arguments"))
        })
    }

    fn places_of(&self, index: usize) -> Range<usize> {
        index.checked_sub(1).map_or(0, |last| self.places_ends[last])..self.places_ends[index]
    }

    /// The frames, back to back.
    pub fn frames(&self) -> &[u8] {
        &self.frames
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
        self.places_ends.clear();
        self.shown = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_shown_once_and_what_lost_is_found_again() {
        let mut batch = Batch::default();
        let changes = [("a", Some("1")), ("b", None)];
        let push = |batch: &mut Batch, timestamp| {
            let version = Version { timestamp, server: 1 };
            let (predecessor, told) = (0, false);
            let (dependencies, dependency_keys) = (&[][..], &[][..]);
            let head = Head { version, predecessor, told, dependencies, dependency_keys };
            batch.push(head, &changes);
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
        let at_once = SHOWN_AT_ONCE / changes.len();
        let lost = [1, 1 + at_once, 1 + 2 * at_once];
        assert!(batch.hidden().eq(lost.map(|index| (index, 1))));
        assert_eq!(batch.changes(300).count(), changes.len());
    }
}
