//! RESP framing: a stream of bytes becomes requests.
//!
//! The [`Decoder`] keeps its place inside an unfinished request, so a byte is looked at once
//! however the stream was split. Arguments are places in its buffer, not copies.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use super::header::header;
use super::inline::split_line;

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
/// The most arguments, and their longest, before a client has authenticated (as in Redis).
const UNKNOWN_ARGUMENTS_MAX: usize = 10;
const UNKNOWN_BULK_BYTES_MAX: usize = 16 * 1024;

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

/// How a request was asked. It is answered in kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// As an array of bulk strings.
    Array,
    /// As one line.
    Line,
}

/// One argument of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument<'a> {
    /// Its bytes.
    Bytes(&'a [u8]),
    /// The null bulk string. Only peers send it: it says that a key is deleted.
    Null,
    /// It was longer than [`BULK_BYTES_MAX`] and was thrown away; this many bytes.
    TooLong(usize),
}

#[derive(Clone, Copy, Debug)]
enum Place {
    At { start: usize, end: usize },
    Null,
    TooLong(usize),
}

/// Cuts a stream of bytes into requests.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Bytes of the buffer that hold input.
    filled: usize,
    /// Where the next byte to look at stands.
    at: usize,
    /// Where the array began that was found last or is unfinished.
    begun: usize,
    places: Vec<Place>,
    /// Arguments of an unfinished array that are still to come.
    awaited: usize,
    /// The announced length of the bulk string that comes next.
    bulk: Option<usize>,
    /// Bytes of a bulk string that is too long, still to be thrown away.
    skip: usize,
    /// Bytes kept of the current request.
    kept: usize,
    /// Words of an inline line, unquoted; places point here then.
    words: Vec<u8>,
    asked: Asked,
    /// Peers may send the null bulk string; clients may not.
    nulls: bool,
    bulk_bytes_max: usize,
    arguments_max: usize,
    request_bytes_max: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            buffer: vec![0; BUFFER_BYTES_MIN],
            filled: 0,
            at: 0,
            begun: 0,
            places: Vec::new(),
            awaited: 0,
            bulk: None,
            skip: 0,
            kept: 0,
            words: Vec::new(),
            asked: Asked::Line,
            nulls: false,
            bulk_bytes_max: BULK_BYTES_SKIPPED_MAX,
            arguments_max: ARGUMENTS_MAX,
            request_bytes_max: REQUEST_BYTES_MAX,
        }
    }
}

impl Decoder {
    /// From now on the other side is a peer: null bulk strings are welcome, and what was a request
    /// of the greatest size to it is an update that is a little larger.
    pub fn expect_peer(&mut self) {
        self.nulls = true;
        self.arguments_max = 2 * ARGUMENTS_MAX + 1;
        self.request_bytes_max = 2 * REQUEST_BYTES_MAX;
    }

    /// Whether the other side has shown who it is. Strangers get little room.
    pub fn trust(&mut self, trusted: bool) {
        let strict = (UNKNOWN_BULK_BYTES_MAX, UNKNOWN_ARGUMENTS_MAX);
        let usual = (BULK_BYTES_SKIPPED_MAX, ARGUMENTS_MAX);
        (self.bulk_bytes_max, self.arguments_max) = if trusted { usual } else { strict };
    }

    /// Reads once from `stream` into the buffer. Blocks as the stream does. 0 is its end. The last
    /// request's arguments are gone.
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
        if self.awaited == 0 {
            // The last request has been read.
            self.places.clear();
        }
        let full = self.filled == self.buffer.len();
        let needed = if self.awaited == 0 { self.at } else { self.begun };
        if needed > 0 {
            self.buffer.copy_within(needed..self.filled, 0);
            self.filled -= needed;
            self.at -= needed;
            self.begun = 0;
            for place in &mut self.places {
                if let Place::At { start, end } = place {
                    *start -= needed;
                    *end -= needed;
                }
            }
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
        self.filled - self.at
    }

    /// Finds the next whole request. `None`: more bytes are needed. Its arguments can be read
    /// until the next call. Empty lines and empty arrays are passed over, as in Redis.
    pub fn next_request(&mut self) -> Result<Option<Asked>, FramingError> {
        loop {
            if self.awaited == 0 {
                self.places.clear();
                self.kept = 0;
                match self.buffer[..self.filled].get(self.at) {
                    None => return Ok(None),
                    Some(b'*') => {
                        self.begun = self.at;
                        let Some(count) = self.header(b'*')? else { return Ok(None) };
                        self.begin_array(count)?;
                        continue;
                    }
                    Some(_) => match self.line()? {
                        None => return Ok(None),
                        Some(0) => continue,
                        Some(_) => return Ok(Some(Asked::Line)),
                    },
                }
            }
            if !self.argument()? {
                return Ok(None);
            }
            if self.awaited == 0 {
                self.asked = Asked::Array;
                return Ok(Some(Asked::Array));
            }
        }
    }

    fn begin_array(&mut self, count: i64) -> Result<(), FramingError> {
        match usize::try_from(count) {
            Ok(count) if count > self.arguments_max && self.arguments_max < ARGUMENTS_MAX => {
                broken("unauthenticated multibulk length")
            }
            Ok(count) if count > self.arguments_max => broken("invalid multibulk length"),
            Ok(count) => {
                self.awaited = count;
                Ok(())
            }
            // Redis takes a negative count for an empty request.
            Err(_) => Ok(()),
        }
    }

    /// Reads one argument of an array. False: more bytes are needed.
    fn argument(&mut self) -> Result<bool, FramingError> {
        let length = match self.bulk {
            Some(length) => length,
            None => match self.header(b'$')? {
                None => return Ok(false),
                Some(-1) if self.nulls => {
                    self.places.push(Place::Null);
                    self.awaited -= 1;
                    return Ok(true);
                }
                Some(length) => self.begin_bulk(length)?,
            },
        };
        if length > BULK_BYTES_MAX {
            return Ok(self.skip_bulk(length));
        }
        let end = self.at + length;
        if self.filled < end + 2 {
            return Ok(false);
        }
        if &self.buffer[end..end + 2] != b"\r\n" {
            return broken("expected CRLF behind a bulk string");
        }
        self.places.push(Place::At { start: self.at, end });
        self.end_bulk(end + 2);
        Ok(true)
    }

    fn begin_bulk(&mut self, length: i64) -> Result<usize, FramingError> {
        match usize::try_from(length) {
            Ok(length) if length <= BULK_BYTES_SKIPPED_MAX => {
                if length > self.bulk_bytes_max {
                    return broken("unauthenticated bulk length");
                }
                if length > BULK_BYTES_MAX {
                    self.skip = length + 2;
                } else {
                    self.kept += length;
                }
                if self.kept > self.request_bytes_max {
                    return broken(format!("request larger than {} bytes", self.request_bytes_max));
                }
                self.bulk = Some(length);
                Ok(length)
            }
            _ => broken("invalid bulk length"),
        }
    }

    /// Throws a bulk string away. False: more bytes are needed.
    fn skip_bulk(&mut self, length: usize) -> bool {
        let count = self.skip.min(self.filled - self.at);
        // What is thrown away must not stay in the buffer: the rest moves into its place.
        self.buffer.copy_within(self.at + count..self.filled, self.at);
        self.filled -= count;
        self.skip -= count;
        if self.skip > 0 {
            return false;
        }
        self.places.push(Place::TooLong(length));
        self.end_bulk(self.at);
        true
    }

    fn end_bulk(&mut self, at: usize) {
        self.at = at;
        self.bulk = None;
        self.awaited -= 1;
    }

    /// Reads a header line such as `*3` or `$5`. `None`: it is not all there yet.
    fn header(&mut self, sign: u8) -> Result<Option<i64>, FramingError> {
        let found = header(&self.buffer[self.at..self.filled], sign)?;
        Ok(found.map(|(number, bytes)| {
            self.at += bytes;
            number
        }))
    }

    /// Reads an inline line and splits it. `None`: not all there yet; else how many words.
    fn line(&mut self) -> Result<Option<usize>, FramingError> {
        let input = &self.buffer[self.at..self.filled];
        let Some(length) = input.iter().position(|&byte| byte == b'\n') else {
            let too_long = input.len() > LINE_BYTES_MAX;
            return if too_long { broken("too big inline request") } else { Ok(None) };
        };
        if length > LINE_BYTES_MAX {
            return broken("too big inline request");
        }
        let line = input[..length].strip_suffix(b"\r").unwrap_or(&input[..length]);
        self.words.clear();
        let Some(places) = split_line(line, &mut self.words) else {
            return broken("unbalanced quotes in request");
        };
        self.places.extend(places.into_iter().map(|(start, end)| Place::At { start, end }));
        self.at += length + 1;
        self.asked = Asked::Line;
        Ok(Some(self.places.len()))
    }

    /// The request as it came, if that was as an array. What was too long is not in it.
    pub fn frame(&self) -> Option<&[u8]> {
        (self.asked == Asked::Array).then(|| &self.buffer[self.begun..self.at])
    }

    /// Where in that frame argument number `index` stands. `None`: it does not.
    ///
    /// # Panics
    /// If there is no such argument.
    pub fn place_at(&self, index: usize) -> Option<Range<usize>> {
        match self.places[index] {
            Place::At { start, end } if self.asked == Asked::Array => {
                Some(start - self.begun..end - self.begun)
            }
            _ => None,
        }
    }

    /// How many arguments the request has, its name among them.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no request.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Argument number `index` of the request; 0 is its name.
    ///
    /// # Panics
    /// If there is no such argument.
    pub fn argument_at(&self, index: usize) -> Argument<'_> {
        let source = if self.asked == Asked::Line { &self.words } else { &self.buffer };
        match self.places[index] {
            Place::At { start, end } => Argument::Bytes(&source[start..end]),
            Place::Null => Argument::Null,
            Place::TooLong(length) => Argument::TooLong(length),
        }
    }
}
