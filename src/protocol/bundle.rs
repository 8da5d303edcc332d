//! Updates on their way from a link to the apply thread, many at a time.
//!
//! Nearly every update is applied as soon as it has come, and then is not needed any more. So it need
//! not own its keys and values: those of a whole read lie in one text.

use std::ops::Range;

use crate::core::Update;

use super::link::text;
use super::resp::{Argument, Decoder, FramingError};
use super::update;

/// Updates that came in one read, in their order.
#[derive(Debug, Default)]
pub struct Bundle {
    text: String,
    /// Keys and values, as places in the text.
    changes: Vec<(Range<usize>, Option<Range<usize>>)>,
    /// Each without its changes, and where these end.
    updates: Vec<(Update, usize)>,
}

impl Bundle {
    /// Adds the update that `decoder` has found. Gives whether it is one.
    ///
    /// # Errors
    /// What is wrong with it; the bundle is of no use then.
    pub fn push(&mut self, decoder: &Decoder) -> Result<bool, FramingError> {
        let head = text(decoder, 0)?;
        if !head.starts_with('(') {
            return Ok(false);
        }
        let update = update::decode_head(decoder, head)?;
        for index in (1..decoder.len()).step_by(2) {
            let key = self.add(text(decoder, index)?);
            let value = match decoder.argument_at(index + 1) {
                Argument::Null => None,
                _ => Some(self.add(text(decoder, index + 1)?)),
            };
            self.changes.push((key, value));
        }
        self.updates.push((update, self.changes.len()));
        Ok(true)
    }

    fn add(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    /// Whether it has no update.
    pub fn is_empty(&self) -> bool {
        self.updates.is_empty()
    }

    /// The updates, each without its changes and with these beside it, as pairs of a key and its value.
    pub fn iter(
        &self,
    ) -> impl Iterator<Item = (&Update, impl Iterator<Item = (&str, Option<&str>)>)> {
        let mut start = 0;
        self.updates.iter().map(move |(update, end)| {
            let changes = self.changes[start..*end].iter();
            start = *end;
            let pair = |(key, value): &(Range<usize>, Option<Range<usize>>)| {
                (&self.text[key.clone()], value.as_ref().map(|value| &self.text[value.clone()]))
            };
            (update, changes.map(pair))
        })
    }
}
