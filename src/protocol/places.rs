//! Keys and values as places in a text: many of them are passed on, and none is copied for itself.

use std::ops::Range;

/// Where a key and its value stand; a delete has no value.
pub type Place = (Range<usize>, Option<Range<usize>>);

/// The key and the value that stand there.
///
/// # Panics
/// If that is not in the text.
pub fn change_at<'t>(text: &'t str, (key, value): &Place) -> (&'t str, Option<&'t str>) {
    (&text[key.clone()], value.as_ref().map(|value| &text[value.clone()]))
}
