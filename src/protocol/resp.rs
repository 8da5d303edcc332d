//! RESP framing: a stream of bytes becomes requests.
//!
//! The [`Decoder`] keeps its place inside an unfinished request, so a byte is framed once however the
//! stream was split. Arguments are places in its buffer, not copies. Whether what has come is text is
//! looked at for many requests in one go: for each argument by itself that cost a twelfth of a `GET`.

use std::fmt;
use std::io::{self, Read};

use super::framing::Framing;
use super::request::Request;

/// The longest inline line, in bytes (as in Redis).
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// The longest bulk string that is kept, in bytes: the longest value.
pub const BULK_BYTES_MAX: usize = 16 << 20;
/// The longest bulk string that framing accepts, in bytes. What is longer than
/// [`BULK_BYTES_MAX`] is read and thrown away, so that the connection goes on.
pub const BULK_BYTES_SKIPPED_MAX: usize = 512 << 20;
/// The longest request, in bytes kept.
pub const REQUEST_BYTES_MAX: usize = 64 << 20;
/// The most arguments of a request (as in Redis).
pub const ARGUMENTS_MAX: usize = 1024 * 1024;

const BUFFER_BYTES_MIN: usize = 16 * 1024;
const BUFFER_BYTES_USUAL_MAX: usize = 256 * 1024;

/// Why framing gave up. The stream cannot be trusted from here on, so it must be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FramingError(pub String);

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Protocol error: {}", self.0)
    }
}

impl std::error::Error for FramingError {}

pub(super) fn broken<T>(why: impl Into<String>) -> Result<T, FramingError> {
    Err(FramingError(why.into()))
}

/// Cuts a stream of bytes into requests.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Bytes of the buffer that hold input.
    filled: usize,
    framing: Framing,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { buffer: vec![0; BUFFER_BYTES_MIN], filled: 0, framing: Framing::default() }
    }
}

impl Decoder {
    /// From now on the other side is a peer: null bulk strings are welcome, and what was a request
    /// of the greatest size to it is an update that is a little larger.
    pub fn expect_peer(&mut self) {
        self.framing.expect_peer();
    }

    /// Whether the other side has shown who it is. Strangers get little room.
    pub fn trust(&mut self, trusted: bool) {
        self.framing.trust(trusted);
    }

    /// Reads once from `stream` into the buffer. Blocks as the stream does. 0 is its end.
    pub fn fill(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        self.make_room();
        let count = stream.read(&mut self.buffer[self.filled..])?;
        self.filled += count;
        Ok(count)
    }

    /// Adds bytes that came some other way.
    pub fn extend(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.fill(&mut rest).expect("a slice can always be read");
        }
    }

    /// Moves what is still needed to the front, and grows or shrinks the buffer.
    fn make_room(&mut self) {
        let full = self.filled == self.buffer.len();
        for gone in self.framing.let_go(self.filled) {
            self.buffer.copy_within(gone.end..self.filled, gone.start);
            self.filled -= gone.len();
        }
        let idle = self.filled == 0;
        if idle && self.buffer.len() > BUFFER_BYTES_USUAL_MAX {
            self.buffer = vec![0; BUFFER_BYTES_MIN];
        } else if self.filled * 2 > self.buffer.len()
            || (full && self.buffer.len() < BUFFER_BYTES_USUAL_MAX)
        {
            // Grows with what has come, not with what was announced: there is much, if a read has
            // filled it. What comes in two reads is answered in two writes.
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
    }

    /// How many bytes wait in the buffer behind what has been looked at.
    pub fn unread(&self) -> usize {
        self.filled - self.framing.at()
    }

    /// The requests that have come and were not found yet.
    pub fn requests(&mut self) -> Requests<'_> {
        let bytes = &self.buffer[..self.filled];
        Requests { bytes, text: "", text_from: bytes.len(), framing: &mut self.framing }
    }

    /// Finds the next whole request alone; see [`Requests::next_request`].
    pub fn next_request(&mut self) -> Result<Option<Request<'_>>, FramingError> {
        let bytes = &self.buffer[..self.filled];
        let Some(asked) = self.framing.find(bytes)? else { return Ok(None) };
        let frame = self.framing.frame();
        let text = str::from_utf8(&bytes[frame]).ok();
        Ok(Some(self.framing.request(asked, bytes, text)))
    }
}

/// The requests of what has come, one after the other.
#[derive(Debug)]
pub struct Requests<'a> {
    bytes: &'a [u8],
    /// What is text from some place in the bytes on.
    text: &'a str,
    text_from: usize,
    framing: &'a mut Framing,
}

impl Requests<'_> {
    /// Finds the next whole request. `None`: more bytes are needed. Empty lines and empty arrays are
    /// passed over, as in Redis.
    ///
    /// # Errors
    /// The stream is no RESP. It cannot be trusted from there on, so it must be closed.
    pub fn next_request(&mut self) -> Result<Option<Request<'_>>, FramingError> {
        let Some(asked) = self.framing.find(self.bytes)? else { return Ok(None) };
        let frame = self.framing.frame();
        if frame.start < self.text_from {
            // The first one that is found. Before that much may have come in vain, again and again.
            self.text = leading_text(&self.bytes[frame.start..]);
            self.text_from = frame.start;
        }
        let text = self.text.get(frame.start - self.text_from..frame.end - self.text_from);
        let text = text.or_else(|| str::from_utf8(&self.bytes[frame]).ok());
        Ok(Some(self.framing.request(asked, self.bytes, text)))
    }

    /// See [`Decoder::trust`].
    pub fn trust(&mut self, trusted: bool) {
        self.framing.trust(trusted);
    }
}

/// What `bytes` begin with, as far as that is text.
fn leading_text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_else(|error| {
        str::from_utf8(&bytes[..error.valid_up_to()]).expect("it was looked at")
    })
}
