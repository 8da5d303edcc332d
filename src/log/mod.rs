//! The log: every applied update, in the order in which it was applied, which is a causal order.
//!
//! Whoever needs updates reads the log with a cursor of its own: the links to peers, the pushes to
//! joined clients. Nothing is taken out, so nothing is lost when a reader breaks off; a slow reader
//! falls behind alone. The apply thread is the only writer. It holds the log's lock to copy its
//! batch in; readers hold it to copy some of it out. Nobody holds it while waiting for a network.
//!
//! Of what all readers have read only a little is kept, for a peer that is away for a moment: memory
//! that is written to again and again costs less than new memory does. What a reader has yet to read
//! is kept, up to a bound. A cursor that falls off the tail gets [`FellBehind`].

mod batch;
pub mod disk;
mod hold;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::core::{Applied, Update, Version};
use crate::protocol::link::updates;

pub use batch::Batch;
use hold::Holds;
pub use hold::{Hold, Wanted};

/// How much of the log is kept in memory at most, in bytes.
pub const TAIL_BYTES_MAX: usize = 256 << 20;

/// How much is kept of what nobody holds, in bytes, if whoever needs more can have a snapshot: some
/// 40,000 small updates.
pub const READ_BYTES_KEPT: usize = 4 << 20;

const SEGMENT_BYTES: usize = 1 << 20;

#[derive(Clone, Copy, Debug)]
struct Record {
    timestamp: u64,
    predecessor: u64,
    server: u32,
    /// Where its frame ends in the segment's bytes. It begins where the one before it ends.
    end: u32,
    appended_ms: u32,
}

impl Record {
    fn version(&self) -> Version {
        Version { timestamp: self.timestamp, server: self.server }
    }
}

#[derive(Debug, Default)]
struct Segment {
    /// The sequence number of its first record.
    first: u64,
    frames: Vec<u8>,
    records: Vec<Record>,
    /// Changes that did not become visible, in order: sequence number, place of the change.
    hidden: Vec<(u64, u32)>,
}

impl Segment {
    /// An empty one that need not grow. Memory is only taken when it is written to.
    fn roomy() -> Self {
        Self { frames: Vec::with_capacity(SEGMENT_BYTES), ..Self::default() }
    }

    fn bytes(&self) -> usize {
        self.frames.len() + self.records.len() * size_of::<Record>()
    }

    /// How many of these records fit, at least one; the first one's frame begins at `start`.
    fn fitting(&self, start: usize, records: &[Record]) -> usize {
        let room = SEGMENT_BYTES.saturating_sub(self.bytes());
        let all = records.last().map_or(0, |last| last.end as usize - start);
        if all + size_of_val(records) <= room {
            return records.len();
        }
        let bytes = |(before, record): (usize, &Record)| {
            record.end as usize - start + (before + 1) * size_of::<Record>()
        };
        records.iter().enumerate().take_while(|&pair| bytes(pair) <= room).count().max(1)
    }

    /// Takes in records of a batch, and their frames, which begin at `start` there.
    fn take(&mut self, frames: &[u8], start: usize, records: &[Record], appended_ms: u32) {
        let base = self.frames.len();
        self.frames.extend_from_slice(frames);
        let end = |end: u32| {
            u32::try_from(end as usize - start + base).expect("a segment is far below 4 GiB")
        };
        let taken = records.iter().map(|r| Record { end: end(r.end), appended_ms, ..*r });
        self.records.extend(taken);
    }
}

/// An update in the log, as a reader sees it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its place in the log, counted from 0 at the server's start.
    pub sequence: u64,
    /// Its version.
    pub version: Version,
    /// Its predecessor in its chain; 0 for none.
    pub predecessor: u64,
    /// When it was appended, in milliseconds since the log began (it wraps after 49 days).
    pub appended_ms: u32,
    /// The update as a frame of the link protocol.
    pub frame: &'a [u8],
    hidden: &'a [(u64, u32)],
}

impl Entry<'_> {
    /// The update, read from its frame. `None` only if that is no update's.
    pub fn update(&self) -> Option<Update> {
        updates(self.frame).next()
    }

    /// The places of its changes that did not become visible here.
    pub fn hidden(&self) -> impl Iterator<Item = u32> {
        let first = self.hidden.partition_point(|&(at, _)| at < self.sequence);
        let own = self.hidden[first..].iter().take_while(|&&(at, _)| at == self.sequence);
        own.map(|&(_, change)| change)
    }
}

/// The cursor's place in the log is no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FellBehind;

#[derive(Debug)]
struct Tail {
    segments: VecDeque<Segment>,
    /// The sequence number that the next record gets.
    next: u64,
    bytes: usize,
    /// How much of what nobody holds is kept, and how much at most, in bytes.
    bytes_kept: usize,
    bytes_max: usize,
    holds: Holds,
    /// All that was in the log and is no longer kept, or came by snapshot (rule R6).
    base: Applied,
}

/// The log's tail in memory.
#[derive(Debug)]
pub struct Log {
    tail: Mutex<Tail>,
    grown: Condvar,
    began: Instant,
}

impl Log {
    /// An empty log. It keeps the newest `bytes_kept` bytes, and what is [held](Self::hold), but never
    /// more than `bytes_max` bytes, give or take a segment of 1 MiB.
    pub fn new(bytes_kept: usize, bytes_max: usize) -> Self {
        let segments = VecDeque::from([Segment::roomy()]);
        let (holds, base) = (Holds::default(), Applied::default());
        let tail = Tail { segments, next: 0, bytes: 0, bytes_kept, bytes_max, holds, base };
        Self { tail: Mutex::new(tail), grown: Condvar::new(), began: Instant::now() }
    }

    /// Milliseconds since the log began. Wraps after 49 days, as [`Entry::appended_ms`] does.
    pub fn now_ms(&self) -> u32 {
        let wrapped = self.began.elapsed().as_millis() % (1 << 32);
        u32::try_from(wrapped).expect("it was wrapped")
    }

    /// Appends a batch, empties it, and wakes whoever waits for it. Gives the first one's place.
    pub fn append(&self, batch: &mut Batch) -> u64 {
        let appended_ms = self.now_ms();
        let mut tail = self.tail.lock();
        let first = tail.next;
        let mut hidden = batch.hidden().peekable();
        let (mut place, mut start) = (0, 0);
        while let Some(record) = batch.records.get(place) {
            let segment = tail.room_for(record.end as usize - start);
            let count = segment.fitting(start, &batch.records[place..]);
            let records = &batch.records[place..place + count];
            let end = records[count - 1].end as usize;
            segment.take(&batch.frames()[start..end], start, records, appended_ms);
            while let Some((at, change)) = hidden.next_if(|&(at, _)| at < place + count) {
                segment.hidden.push((first + at as u64, change));
            }
            tail.bytes += end - start + count * size_of::<Record>();
            tail.next += count as u64;
            (place, start) = (place + count, end);
        }
        drop(hidden);
        let next = tail.next;
        tail.holds.grown(first, next, &batch.records);
        drop(tail);
        self.grown.notify_all();
        batch.clear();
        first
    }

    /// Before anything else: what comes first gets this place, and all before it is in a snapshot
    /// that has `applied`.
    pub fn begin(&self, sequence: u64, applied: &Applied) {
        let mut tail = self.tail.lock();
        debug_assert!(tail.next == 0 && tail.segments.len() == 1, "nothing was appended yet");
        (tail.next, tail.segments[0].first) = (sequence, sequence);
        tail.base.raise_all(applied);
    }

    /// A snapshot was taken in: what it has is not in the log (rule R6).
    pub fn cover(&self, applied: &Applied) {
        self.tail.lock().base.raise_all(applied);
    }

    /// The place that the next update will get.
    pub fn end(&self) -> u64 {
        self.tail.lock().next
    }

    /// The place of the oldest update that is kept.
    pub fn start(&self) -> u64 {
        self.tail.lock().segments[0].first
    }

    /// All that was trimmed from the log, or came by snapshot.
    pub fn base(&self) -> Applied {
        self.tail.lock().base.clone()
    }

    /// How many bytes the tail takes.
    pub fn bytes(&self) -> usize {
        self.tail.lock().bytes
    }

    /// Shows `visit` every update from `cursor` on, until it breaks off; gives the place of the one
    /// that it broke off at, or the end. `visit` runs under the log's lock: it copies and leaves.
    ///
    /// # Errors
    /// [`FellBehind`] if the log has been trimmed beyond `cursor`.
    pub fn read(
        &self,
        cursor: u64,
        mut visit: impl FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<u64, FellBehind> {
        let tail = self.tail.lock();
        if cursor < tail.segments[0].first {
            return Err(FellBehind);
        }
        let from = tail.segments.partition_point(|segment| segment.first <= cursor) - 1;
        for segment in tail.segments.range(from..) {
            let skipped = usize::try_from(cursor.saturating_sub(segment.first)).unwrap_or(0);
            for (place, record) in segment.records.iter().enumerate().skip(skipped) {
                let start = place.checked_sub(1).map_or(0, |p| segment.records[p].end as usize);
                let sequence = segment.first + place as u64;
                let entry = Entry {
                    sequence,
                    version: record.version(),
                    predecessor: record.predecessor,
                    appended_ms: record.appended_ms,
                    frame: &segment.frames[start..record.end as usize],
                    hidden: &segment.hidden,
                };
                if visit(entry).is_break() {
                    return Ok(sequence);
                }
            }
        }
        Ok(tail.next)
    }

    /// Waits until there is something at `cursor`, somebody calls [`wake`](Self::wake), or
    /// `deadline` has come.
    pub fn wait(&self, cursor: u64, deadline: Instant) {
        let mut tail = self.tail.lock();
        if tail.next <= cursor {
            self.grown.wait_until(&mut tail, deadline);
        }
    }

    /// Wakes everybody who waits, and has holds not wait the next time. The lock is taken, so that
    /// nobody who is about to wait misses it.
    pub fn wake(&self) {
        self.tail.lock().holds.wake();
        self.grown.notify_all();
    }
}

impl Tail {
    /// The segment that the next frame goes to. Old segments are trimmed and used again.
    fn room_for(&mut self, bytes: usize) -> &mut Segment {
        let newest = self.segments.back().expect("there is always a segment");
        let full = newest.bytes() + bytes > SEGMENT_BYTES && !newest.records.is_empty();
        if full {
            let mut spare = None;
            while self.segments.len() > 1 && self.may_trim() {
                spare = Some(self.trim());
            }
            let spare = spare.unwrap_or_else(Segment::roomy);
            self.segments.push_back(Segment { first: self.next, ..spare });
        }
        self.segments.back_mut().expect("there is always a segment")
    }

    /// Whether the oldest segment need not be kept.
    fn may_trim(&self) -> bool {
        let free = self.holds.lowest().is_none_or(|cursor| cursor >= self.segments[1].first);
        self.bytes > self.bytes_max || (self.bytes > self.bytes_kept && free)
    }

    fn trim(&mut self) -> Segment {
        let mut oldest = self.segments.pop_front().expect("there are two");
        self.bytes -= oldest.bytes();
        for record in &oldest.records {
            self.base.advance(record.version(), record.predecessor);
        }
        oldest.frames.clear();
        oldest.records.clear();
        oldest.hidden.clear();
        oldest
    }
}

#[cfg(test)]
mod tests;
