//! A record: one update in a segment, behind a line that says how to tell whether it is whole.
//!
//! ```text
//! @ 57 4096 1c291ca3 5d2f0a11
//! *3
//! $18
//! (20, 1) 4 (7, 2)
//! ...
//! ```
//!
//! The line has the length of the frame behind it, in bytes; the *claim*: this segment was known to
//! be synced up to that offset when the record was written; and two checksums. The first covers the
//! segment's own checksum (so its number and its salt), the record's offset, and the two numbers;
//! the second also the frame. So a record is a record in one place only. A copy of it, a value
//! that looks like one, or what a disk forgot to overwrite never passes for one, and as nobody
//! knows the salt, nobody can write a value that does. And a line is known to be whole before its
//! length is believed.
//!
//! A record of length 0 is a *mark*. It only makes a claim, when no update comes to make it.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

use crate::protocol::encode::decimal_into;

use super::checksum::checksum;

/// The longest first line of a record: two numbers of 20 digits, two checksums of 8.
const LINE_BYTES_MAX: usize = 63;
/// How much is read at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Appends a record that will stand at `offset` of the segment whose checksum is `seed`. An empty
/// frame makes it a mark.
pub(super) fn record_into(out: &mut Vec<u8>, seed: u32, offset: u64, synced: u64, frame: &[u8]) {
    let length = frame.len() as u64;
    let line = line_checksum(seed, offset, length, synced);
    out.extend_from_slice(b"@ ");
    decimal_into(out, length);
    out.push(b' ');
    decimal_into(out, synced);
    out.push(b' ');
    hex_into(out, line);
    out.push(b' ');
    hex_into(out, checksum(line, frame));
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(frame);
}

fn line_checksum(seed: u32, offset: u64, length: u64, synced: u64) -> u32 {
    let mut place = [0; 24];
    for (bytes, number) in place.as_chunks_mut::<8>().0.iter_mut().zip([offset, length, synced]) {
        *bytes = number.to_le_bytes();
    }
    checksum(seed, &place)
}

fn hex_into(out: &mut Vec<u8>, number: u32) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let pairs = number
        .to_be_bytes()
        .map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    out.extend_from_slice(pairs.as_flattened());
}

/// A record's first line, found whole.
struct Line {
    /// How long it is itself.
    bytes: usize,
    /// How long the frame behind it is.
    length: u64,
    synced: u64,
    /// Its own checksum.
    checksum: u32,
    /// The one that goes on over the frame.
    frame_checksum: u32,
}

impl Line {
    /// Reads the line that `bytes` begins with. `None`: there is none that belongs to this place.
    fn read(bytes: &[u8], seed: u32, offset: u64) -> Option<Self> {
        let window = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
        let end = window.iter().position(|&byte| byte == b'\n')?;
        let mut words = window[..end].strip_suffix(b"\r")?.split(|&byte| byte == b' ');
        let sign = words.next()?;
        let (length, synced) = (decimal(words.next()?)?, decimal(words.next()?)?);
        let (found, frame_checksum) = (hex(words.next()?)?, hex(words.next()?)?);
        let checksum = line_checksum(seed, offset, length, synced);
        let whole = sign == b"@" && words.next().is_none() && found == checksum;
        whole.then_some(Self { bytes: end + 1, length, synced, checksum, frame_checksum })
    }
}

/// A number as [`decimal_into`] writes it. Any other spelling is damage.
fn decimal(digits: &[u8]) -> Option<u64> {
    let plain =
        digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || !digits.starts_with(b"0"));
    plain.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

/// A checksum as [`hex_into`] writes it.
fn hex(digits: &[u8]) -> Option<u32> {
    let plain =
        digits.len() == 8 && digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    plain.then(|| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())?
}

/// What stands at a place in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An update; [`Records::frame`] has its frame.
    Update,
    /// A mark.
    Mark,
    /// Nothing; the segment ends here.
    End,
    /// What is not a whole record, and why.
    Damage(&'static str),
}

/// A record that says that what is damaged was synced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Where the record stands.
    pub(super) offset: u64,
    /// Up to where the segment was synced.
    pub(super) synced: u64,
}

/// The records of a segment, read one by one, in pieces.
#[derive(Debug)]
pub(super) struct Records<R> {
    input: R,
    seed: u32,
    /// The offset of the next record.
    offset: u64,
    /// Where to stop. Nothing behind it is read.
    limit: u64,
    buffer: Vec<u8>,
    /// The part of the buffer that holds what stands at `offset`.
    start: usize,
    end: usize,
    /// The part that holds the last update's frame.
    frame: Range<usize>,
}

impl<R: Read> Records<R> {
    /// Reads records from `input`, which stands at `offset` of its segment, up to `limit`.
    pub(super) fn new(input: R, seed: u32, offset: u64, limit: u64) -> Self {
        Self { input, seed, offset, limit, buffer: Vec::new(), start: 0, end: 0, frame: 0..0 }
    }

    /// The offset of the next record; behind damage, of what is damaged.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the segment ends.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// The segment may have grown up to `limit`. Gives whether it has.
    pub(super) fn extend(&mut self, limit: u64) -> bool {
        let grown = limit > self.limit;
        self.limit = limit.max(self.limit);
        grown
    }

    /// The frame of the update that was found last.
    pub(super) fn frame(&self) -> &[u8] {
        &self.buffer[self.frame.clone()]
    }

    /// The next record. Behind damage it is the same again.
    ///
    /// # Errors
    /// What reading from the input gives.
    pub(super) fn next(&mut self) -> io::Result<Step> {
        let left = self.limit - self.offset;
        if left == 0 {
            return Ok(Step::End);
        }
        self.fill(LINE_BYTES_MAX)?;
        let Some(line) = Line::read(self.filled(), self.seed, self.offset) else {
            return Ok(Step::Damage("there is no whole first line of a record"));
        };
        let bytes = line.length.checked_add(line.bytes as u64).filter(|&bytes| bytes <= left);
        let Some(bytes) = bytes.and_then(|bytes| usize::try_from(bytes).ok()) else {
            return Ok(Step::Damage("a record is cut short"));
        };
        self.fill(bytes)?;
        let Some(frame) = self.filled().get(line.bytes..bytes) else {
            return Ok(Step::Damage("the file ends inside a record"));
        };
        if checksum(line.checksum, frame) != line.frame_checksum {
            return Ok(Step::Damage("a record's checksum does not match"));
        }
        self.frame = self.start + line.bytes..self.start + bytes;
        self.pass(bytes);
        Ok(if self.frame.is_empty() { Step::Mark } else { Step::Update })
    }

    /// Behind damage: looks for a later record that claims that what is damaged was synced. The
    /// record itself need not be whole, just its first line.
    ///
    /// # Errors
    /// What reading from the input gives.
    pub(super) fn find_claim(mut self) -> io::Result<Option<Claim>> {
        let damage = self.offset;
        loop {
            self.fill(LINE_BYTES_MAX)?;
            let Some(sign) = self.filled().iter().position(|&byte| byte == b'@') else {
                let count = self.filled().len();
                if count == 0 {
                    return Ok(None);
                }
                self.pass(count);
                continue;
            };
            self.pass(sign);
            self.fill(LINE_BYTES_MAX)?;
            let line = Line::read(self.filled(), self.seed, self.offset);
            if let Some(Line { synced, .. }) = line.filter(|line| line.synced > damage) {
                return Ok(Some(Claim { offset: self.offset, synced }));
            }
            self.pass(1);
        }
    }

    fn filled(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn pass(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    /// Has at least `count` bytes in the buffer, if there are so many before the limit.
    fn fill(&mut self, count: usize) -> io::Result<()> {
        if self.end - self.start >= count {
            return Ok(());
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // It shrinks again when a large record has passed.
        self.buffer.resize(count.max(PIECE_BYTES), 0);
        self.buffer.shrink_to(4 * PIECE_BYTES);
        while self.end < count {
            let left = self.limit - self.offset - self.end as u64;
            let room =
                (self.buffer.len() - self.end).min(usize::try_from(left).unwrap_or(usize::MAX));
            match self.input.read(&mut self.buffer[self.end..self.end + room]) {
                Ok(0) => break,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
