//! Markup: texts made harmless, and elements without a library.

use std::fmt::Write as _;

use super::space::Area;

/// A text as it stands in an element or between double quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}

/// A text as a JSON string that may stand in a script element: no `<` can end that.
pub(super) fn json(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{0}'..='\u{1f}' => {
                write!(out, "\\u{:04x}", u32::from(character)).expect("a String takes all");
            }
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

/// A length in the figure, with one digit behind the point if it needs one.
pub(super) fn length(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// Markup that is being written.
#[derive(Debug, Default)]
pub(super) struct Markup(pub(super) String);

impl Markup {
    /// Adds markup as it stands.
    pub(super) fn add(&mut self, markup: &str) {
        self.0.push_str(markup);
        self.0.push('\n');
    }

    /// Opens a group; more attributes may stand behind its classes.
    pub(super) fn open(&mut self, class: &str, attributes: &str) {
        self.add(&format!("<g class=\"{class}\"{attributes}>"));
    }

    pub(super) fn close(&mut self) {
        self.add("</g>");
    }

    /// Adds a text whose middle is at `y`.
    pub(super) fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        self.marked_up_text(class, x, y, &escaped(text));
    }

    /// As [`Markup::text`], for text that holds markup and is known to be harmless.
    pub(super) fn marked_up_text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let (x, y) = (length(x), length(y + 4.2));
        self.add(&format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"));
    }

    /// What a pointer that rests on the group says.
    pub(super) fn title(&mut self, text: &str) {
        self.add(&format!("<title>{}</title>", escaped(text)));
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(length);
        self.path(class, &format!("M{x1} {y1}L{x2} {y2}"));
    }

    pub(super) fn path(&mut self, class: &str, path: &str) {
        self.add(&format!("<path class=\"{class}\" d=\"{path}\"/>"));
    }

    pub(super) fn circle(&mut self, class: &str, x: f64, y: f64, radius: f64) {
        let [x, y, radius] = [x, y, radius].map(length);
        self.add(&format!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>"));
    }

    /// Adds a rectangle; more attributes may stand behind its classes.
    pub(super) fn rectangle(&mut self, class: &str, area: Area, attributes: &str) {
        let Area { left, top, right, bottom } = area;
        let [x, y, width, height] = [left, top, right - left, bottom - top].map(length);
        let place = format!("x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"");
        self.add(&format!("<rect class=\"{class}\" {place}{attributes}/>"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(escaped("<a href='x'>\"&"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
        assert_eq!(json("</script>\n\"\\"), r#""\u003c/script\u003e\u000a\"\\""#);
    }

    #[test]
    fn lengths_are_short() {
        assert_eq!([7.0, 7.25, -0.5].map(length), ["7", "7.2", "-0.5"]);
    }
}
