//! Updates on their way from a link to the apply thread, many at a time.
//!
//! Nearly every update is applied as soon as it has come, and goes on into the log as it is. So it
//! need not own its keys and values, nor be encoded anew: the frames of a whole read are one text, and
//! keys and values are places in it.

use crate::core::Update;

use super::changes::{Changes, Place};
use super::link::text;
use super::request::{Argument, Asked, Request};
use super::resp::{FramingError, broken};
use super::update::LastRead;

/// Updates that came in one read, in their order.
#[derive(Debug, Default)]
pub struct Bundle {
    /// Their frames, back to back.
    text: String,
    places: Vec<Place>,
    updates: Vec<Entry>,
    last: LastRead,
}

#[derive(Debug)]
struct Entry {
    /// The update without its changes.
    update: Update,
    /// How many bytes of its frame stand before the changes.
    head_bytes: usize,
    /// Where its frame and its places end.
    frame_end: usize,
    places_end: usize,
}

/// An update of a bundle.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// The update without its changes.
    pub update: &'a Update,
    /// It as a frame.
    pub frame: &'a str,
    /// How many bytes of that stand before its changes.
    pub head_bytes: usize,
    /// Its changes.
    pub changes: Changes<'a>,
}

impl Bundle {
    /// Adds an update. Gives whether the frame is one.
    ///
    /// # Errors
    /// What is wrong with it; the bundle is of no use then.
    pub fn push(&mut self, frame: Request<'_>) -> Result<bool, FramingError> {
        if !matches!(frame.argument_at(0), Argument::Bytes([b'(', ..])) {
            return Ok(false);
        }
        if frame.asked == Asked::Line {
            return broken("an update is no line");
        }
        let Some(text) = frame.text() else { return Err(not_text(frame)) };
        let (head_start, head_end) = place(frame, 0)?;
        let update = self.last.decode(&text[head_start..head_end])?;
        if frame.len() < 3 || frame.len().is_multiple_of(2) {
            let version = update.version;
            return broken(format!("update {version} has no whole pairs of key and value"));
        }
        let head_bytes = head_end + b"\r\n".len();
        for index in (1..frame.len()).step_by(2) {
            let value = match frame.argument_at(index + 1) {
                Argument::Null => None,
                _ => Some(place(frame, index + 1)?),
            };
            let key = place(frame, index)?;
            self.places.push(Place { key, value }.behind(head_bytes));
        }
        self.text.push_str(text);
        let (frame_end, places_end) = (self.text.len(), self.places.len());
        self.updates.push(Entry { update, head_bytes, frame_end, places_end });
        Ok(true)
    }

    /// How many updates it has.
    pub fn len(&self) -> usize {
        self.updates.len()
    }

    /// Whether it has no update.
    pub fn is_empty(&self) -> bool {
        self.updates.is_empty()
    }

    /// The updates.
    pub fn iter(&self) -> impl Iterator<Item = Arrived<'_>> {
        let (mut frame_start, mut places_start) = (0, 0);
        self.updates.iter().map(move |&Entry { ref update, head_bytes, frame_end, places_end }| {
            let frame = &self.text[frame_start..frame_end];
            let changes =
                Changes::new(&frame[head_bytes..], &self.places[places_start..places_end]);
            (frame_start, places_start) = (frame_end, places_end);
            Arrived { update, frame, head_bytes, changes }
        })
    }
}

/// Which field of an update is not text.
fn not_text(frame: Request<'_>) -> FramingError {
    let is_value = |&index: &usize| frame.argument_at(index) != Argument::Null;
    let mut wrong = (0..frame.len()).filter(is_value).map(|index| text(frame, index).err());
    wrong.find_map(|wrong| wrong).unwrap_or_else(|| FramingError("it is not text".to_owned()))
}

/// Where a field stands in its frame.
fn place(frame: Request<'_>, index: usize) -> Result<(usize, usize), FramingError> {
    frame.place_at(index).ok_or_else(|| FramingError(format!("field {index} is not text")))
}
