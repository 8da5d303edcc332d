//! A request that the [decoder](super::resp) has found: its arguments are places in what has come.

use super::changes;
use super::encode::around_bulk;

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
    /// It was longer than [`BULK_BYTES_MAX`](super::resp::BULK_BYTES_MAX) and was thrown away; this
    /// many bytes.
    TooLong(usize),
}

/// Where an argument stands: in the frame, or among the words of a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    At { start: usize, end: usize },
    Null,
    TooLong(usize),
}

/// A whole request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// How it was asked.
    pub asked: Asked,
    /// The frame, or the words of the line without spaces and quotes.
    pub(super) bytes: &'a [u8],
    /// The same as text, if all of it is.
    pub(super) text: Option<&'a str>,
    pub(super) places: &'a [Place],
}

impl<'a> Request<'a> {
    /// How many arguments the request has, its name among them; at least one.
    #[allow(clippy::len_without_is_empty)] // it never is
    #[inline]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Argument number `index`; 0 is the request's name.
    ///
    /// # Panics
    /// If there is no such argument.
    #[inline]
    pub fn argument_at(&self, index: usize) -> Argument<'a> {
        match self.places[index] {
            Place::At { start, end } => Argument::Bytes(&self.bytes[start..end]),
            Place::Null => Argument::Null,
            Place::TooLong(length) => Argument::TooLong(length),
        }
    }

    /// Argument number `index`, if it is there as UTF-8 text.
    ///
    /// # Panics
    /// If there is no such argument.
    #[inline]
    pub fn text_at(&self, index: usize) -> Option<&'a str> {
        let Place::At { start, end } = self.places[index] else { return None };
        match self.text {
            Some(text) => text.get(start..end),
            None => str::from_utf8(&self.bytes[start..end]).ok(),
        }
    }

    /// The frame as it came, or the words of the line; if all of that is UTF-8 text.
    #[inline]
    pub fn text(&self) -> Option<&'a str> {
        self.text
    }

    /// Where in the frame argument number `index` stands, from start to end. `None`: nowhere.
    ///
    /// # Panics
    /// If there is no such argument.
    #[inline]
    pub(super) fn place_at(&self, index: usize) -> Option<(usize, usize)> {
        match self.places[index] {
            Place::At { start, end } => Some((start, end)),
            Place::Null | Place::TooLong(_) => None,
        }
    }

    /// The one change that a frame has behind its name, if it stands there as [`Changes`] do: the text
    /// and its place in that.
    ///
    /// [`Changes`]: super::changes::Changes
    pub fn change(&self) -> Option<(&'a str, changes::Place)> {
        let frame = self.text.filter(|_| self.asked == Asked::Array && self.len() == 3)?;
        let start = self.place_at(0)?.1 + b"\r\n".len();
        let (key, value) = (self.place_at(1)?, self.place_at(2)?);
        // Somebody may write a length with leading zeros.
        let length = |(start, end): (usize, usize)| around_bulk(end - start) + end - start;
        let usual = length(key) + length(value);
        let place = changes::Place { key, value: Some(value) };
        (frame.len() - start == usual).then(|| (&frame[start..], place.behind(start)))
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::encode::array_into;
    use crate::protocol::resp::Decoder;

    /// A `SET`'s key and value become an update's as they came, but only if they came as updates have
    /// them.
    #[test]
    fn a_change_is_taken_as_it_came_if_it_came_as_it_is_written() {
        let change = |stream: &[u8]| {
            let mut decoder = Decoder::default();
            decoder.expect_peer();
            // Places do not depend on what came before.
            decoder.extend(b"PING\r\n");
            decoder.extend(stream);
            let mut requests = decoder.requests();
            requests.next_request().expect("well framed").expect("it is whole");
            let request = requests.next_request().expect("well framed").expect("it is whole");
            request.change().map(|(text, place)| {
                let (key, value) = place.read(text);
                (text.to_owned(), [key, value.expect("a SET has one")].map(str::to_owned))
            })
        };
        let set = |key: &str, value: &str| {
            let mut set = Vec::new();
            array_into(&mut set, &["SET", key, value]);
            set
        };
        for (key, value) in [("k", "v"), ("é", ""), (&*"k".repeat(99), &*"v".repeat(100))] {
            let set = set(key, value);
            let behind = String::from_utf8(set[13..].to_vec()).expect("it is text");
            let expected = Some((behind, [key.to_owned(), value.to_owned()]));
            assert_eq!(change(&set), expected);
        }
        let others: [&[u8]; 8] = [
            b"*3\r\n$3\r\nSET\r\n$01\r\nk\r\n$1\r\nv\r\n",
            b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$-0\r\n\r\n",
            b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$-1\r\n",
            b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n\xff\r\n",
            b"*2\r\n$3\r\nSET\r\n$1\r\nk\r\n",
            b"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n$1\r\nx\r\n",
            b"SET k v\r\n",
            b"SET k ''\r\n",
        ];
        for other in others {
            assert_eq!(change(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
