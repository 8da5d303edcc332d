//! Framing: where the requests of a stream begin and end, and where their arguments stand.

use std::ops::Range;

use super::header::{header, short};
use super::inline::split_line;
use super::request::{Asked, Place, Request};
use super::resp::{
    ARGUMENTS_MAX, BULK_BYTES_MAX, BULK_BYTES_SKIPPED_MAX, FramingError, LINE_BYTES_MAX,
    REQUEST_BYTES_MAX, broken,
};

/// The most arguments, and their longest, before a client has authenticated (as in Redis).
const UNKNOWN_ARGUMENTS_MAX: usize = 10;
const UNKNOWN_BULK_BYTES_MAX: usize = 16 * 1024;

/// What framing remembers of what has come.
#[derive(Debug)]
pub(super) struct Framing {
    /// Where the next byte to look at stands.
    at: usize,
    /// Where the request began that was found last, or the array that is unfinished.
    begun: usize,
    /// Where the arguments stand: counted from there or, of a line, among its words.
    places: Vec<Place>,
    /// Arguments of an unfinished array that are still to come.
    awaited: usize,
    /// The announced length of the bulk string that comes next.
    bulk: Option<usize>,
    /// Bytes of a bulk string that is too long, still to be thrown away.
    skip: usize,
    /// Bytes kept of the current request.
    kept: usize,
    /// Words of an inline line, unquoted.
    words: Vec<u8>,
    /// Peers may send the null bulk string; clients may not.
    nulls: bool,
    bulk_bytes_max: usize,
    arguments_max: usize,
    request_bytes_max: usize,
}

impl Default for Framing {
    fn default() -> Self {
        Self {
            at: 0,
            begun: 0,
            places: Vec::new(),
            awaited: 0,
            bulk: None,
            skip: 0,
            kept: 0,
            words: Vec::new(),
            nulls: false,
            bulk_bytes_max: BULK_BYTES_SKIPPED_MAX,
            arguments_max: ARGUMENTS_MAX,
            request_bytes_max: REQUEST_BYTES_MAX,
        }
    }
}

impl Framing {
    /// See [`Decoder::expect_peer`](super::resp::Decoder::expect_peer).
    pub(super) fn expect_peer(&mut self) {
        self.nulls = true;
        self.arguments_max = 2 * ARGUMENTS_MAX + 1;
        self.request_bytes_max = 2 * REQUEST_BYTES_MAX;
    }

    /// See [`Decoder::trust`](super::resp::Decoder::trust).
    pub(super) fn trust(&mut self, trusted: bool) {
        let strict = (UNKNOWN_BULK_BYTES_MAX, UNKNOWN_ARGUMENTS_MAX);
        let usual = (BULK_BYTES_SKIPPED_MAX, ARGUMENTS_MAX);
        (self.bulk_bytes_max, self.arguments_max) = if trusted { usual } else { strict };
    }

    /// Where the next byte to look at stands.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// From the input, which has `filled` bytes, will be taken: first what is skipped, then what stands
    /// before that and is not needed any more. Gives their places.
    pub(super) fn let_go(&mut self, filled: usize) -> [Range<usize>; 2] {
        let skipped = self.at..filled.min(self.at + self.skip);
        self.skip -= skipped.len();
        let needed = if self.awaited == 0 { self.at } else { self.begun };
        self.at -= needed;
        self.begun = 0;
        [skipped, 0..needed]
    }

    /// Finds the next whole request in `input`. `None`: more bytes are needed.
    pub(super) fn find(&mut self, input: &[u8]) -> Result<Option<Asked>, FramingError> {
        loop {
            if self.awaited == 0 {
                self.places.clear();
                self.kept = 0;
                self.begun = self.at;
                match input.get(self.at) {
                    None => return Ok(None),
                    Some(b'*') => {
                        let Some(count) = self.header(input, b'*')? else { return Ok(None) };
                        self.begin_array(count)?;
                        continue;
                    }
                    Some(_) => match self.line(input)? {
                        None => return Ok(None),
                        Some(0) => continue,
                        Some(_) => return Ok(Some(Asked::Line)),
                    },
                }
            }
            while self.awaited > 0 {
                if self.bulk.is_none() {
                    self.short_arguments(input);
                }
                if self.awaited > 0 && !self.argument(input)? {
                    return Ok(None);
                }
            }
            return Ok(Some(Asked::Array));
        }
    }

    /// The place of the request that was found last.
    pub(super) fn frame(&self) -> Range<usize> {
        self.begun..self.at
    }

    /// The request that was found last in `input`; `text` is it as text.
    pub(super) fn request<'a>(
        &'a self,
        asked: Asked,
        input: &'a [u8],
        text: Option<&'a str>,
    ) -> Request<'a> {
        let places = &self.places;
        match asked {
            Asked::Array => Request { asked, bytes: &input[self.frame()], text, places },
            Asked::Line => {
                let text = str::from_utf8(&self.words).ok();
                Request { asked, bytes: &self.words, text, places }
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

    /// Nearly all arguments are short and have come whole: these are read at one glance, up to one that
    /// is not.
    fn short_arguments(&mut self, input: &[u8]) {
        let mut rest = &input[self.at..];
        while self.awaited > 0
            && let Some((length, behind)) = short(rest, b'$')
            && let Some((_, [b'\r', b'\n', behind @ ..])) = behind.split_at_checked(length)
            && self.kept + length <= self.request_bytes_max
        {
            self.at = input.len() - behind.len();
            let end = self.at - 2 - self.begun;
            self.places.push(Place::At { start: end - length, end });
            self.kept += length;
            self.awaited -= 1;
            rest = behind;
        }
    }

    /// Reads one argument of an array. False: more bytes are needed.
    fn argument(&mut self, input: &[u8]) -> Result<bool, FramingError> {
        let length = match self.bulk {
            Some(length) => length,
            None => match self.header(input, b'$')? {
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
            return self.skip_bulk(length, input);
        }
        let end = self.at + length;
        let Some(behind) = input.get(end..end + 2) else { return Ok(false) };
        if behind != b"\r\n" {
            return broken("expected CRLF behind a bulk string");
        }
        self.places.push(Place::At { start: self.at - self.begun, end: end - self.begun });
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
                self.check_kept()?;
                self.bulk = Some(length);
                Ok(length)
            }
            _ => broken("invalid bulk length"),
        }
    }

    fn check_kept(&self) -> Result<(), FramingError> {
        if self.kept > self.request_bytes_max {
            return broken(format!("request larger than {} bytes", self.request_bytes_max));
        }
        Ok(())
    }

    /// Passes over a bulk string that is too long. False: more bytes are needed; what has come of it is
    /// thrown away when room is made for them. Only the rest of it stays until the request is done.
    fn skip_bulk(&mut self, length: usize, input: &[u8]) -> Result<bool, FramingError> {
        if input.len() - self.at < self.skip {
            return Ok(false);
        }
        self.kept += self.skip;
        self.check_kept()?;
        self.places.push(Place::TooLong(length));
        self.end_bulk(self.at + self.skip);
        self.skip = 0;
        Ok(true)
    }

    fn end_bulk(&mut self, at: usize) {
        self.at = at;
        self.bulk = None;
        self.awaited -= 1;
    }

    /// Reads a header line such as `*3` or `$5`. `None`: it is not all there yet.
    fn header(&mut self, input: &[u8], sign: u8) -> Result<Option<i64>, FramingError> {
        let found = header(&input[self.at..], sign)?;
        Ok(found.map(|(number, bytes)| {
            self.at += bytes;
            number
        }))
    }

    /// Reads an inline line and splits it. `None`: not all there yet; else how many words.
    fn line(&mut self, input: &[u8]) -> Result<Option<usize>, FramingError> {
        let input = &input[self.at..];
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
        Ok(Some(self.places.len()))
    }
}
