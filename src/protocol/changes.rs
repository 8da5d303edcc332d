//! What an update changes, the way it stands in its frame: keys and values as bulk strings, back to
//! back, a null bulk string for a delete.
//!
//! In a client's `SET`, too, key and value stand like that, and so they do on a link and in the log.
//! So they are passed on as they came, with places in that text: none is copied for itself, and its
//! length is not written anew at every step.

use super::encode::bulk_into;

/// Where in such a text a key stands, and its value; a delete has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) key: (usize, usize),
    pub(super) value: Option<(usize, usize)>,
}

impl Place {
    /// The key and the value that stand there.
    ///
    /// # Panics
    /// If they do not.
    pub fn read(self, text: &str) -> (&str, Option<&str>) {
        (&text[self.key.0..self.key.1], self.value.map(|(start, end)| &text[start..end]))
    }

    /// The same place in what begins at `start`.
    pub(super) fn behind(self, start: usize) -> Self {
        let behind = |(from, to): (usize, usize)| (from - start, to - start);
        Self { key: behind(self.key), value: self.value.map(behind) }
    }
}

/// Keys with their values or, for a delete, none.
#[derive(Clone, Copy, Debug)]
pub struct Changes<'a> {
    text: &'a str,
    places: &'a [Place],
}

impl<'a> Changes<'a> {
    /// The changes that stand in `text`, which has nothing else, at these places.
    pub fn new(text: &'a str, places: &'a [Place]) -> Self {
        Self { text, places }
    }

    /// Each key with its value or, for a delete, none.
    ///
    /// # Panics
    /// If a place is not in the text.
    pub fn iter(
        self,
    ) -> impl ExactSizeIterator<Item = (&'a str, Option<&'a str>)> + DoubleEndedIterator {
        self.places.iter().map(move |place| place.read(self.text))
    }

    /// Whether they delete. What a client writes deletes all of its keys or none.
    pub fn delete(self) -> bool {
        self.places.first().is_some_and(|place| place.value.is_none())
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.places.len()
    }

    pub(crate) fn text(self) -> &'a str {
        self.text
    }

    pub(crate) fn places(self) -> &'a [Place] {
        self.places
    }
}

/// Changes that are written as such a text.
#[derive(Debug, Default)]
pub struct Written {
    text: String,
    places: Vec<Place>,
}

impl Written {
    /// Writes changes.
    pub fn new<'p>(changes: impl IntoIterator<Item = (&'p str, Option<&'p str>)>) -> Self {
        let mut written = Self::default();
        written.write(changes);
        written
    }

    /// Writes changes in place of those before. The buffers stay.
    pub fn write<'p>(
        &mut self,
        changes: impl IntoIterator<Item = (&'p str, Option<&'p str>)>,
    ) -> Changes<'_> {
        let mut text = std::mem::take(&mut self.text).into_bytes();
        text.clear();
        self.places.clear();
        for (key, value) in changes {
            self.places.push(change_into(&mut text, key, value));
        }
        self.text = String::from_utf8(text).expect("it is made of texts");
        self.changes()
    }

    /// Them.
    pub fn changes(&self) -> Changes<'_> {
        Changes { text: &self.text, places: &self.places }
    }
}

/// Appends a change to such a text. Gives its place.
fn change_into(out: &mut Vec<u8>, key: &str, value: Option<&str>) -> Place {
    let mut add = |text: &str| {
        bulk_into(out, text.as_bytes());
        let end = out.len() - b"\r\n".len();
        (end - text.len(), end)
    };
    let (key, value) = (add(key), value.map(&mut add));
    if value.is_none() {
        out.extend_from_slice(b"$-1\r\n");
    }
    Place { key, value }
}
