//! Texts made fit for one line: log lines, and the values of logfmt.

use std::borrow::Cow;

/// A text without line breaks and other control characters: one line stays one line.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(escape).collect())
}

/// A text between double quotes, as a value of logfmt. Inside, `"` and `\` stand behind a `\`, and
/// control characters are written as `\n`, `\r`, `\t` or `\u{...}`; all else stands as it is. So
/// the next `"` without a `\` before it ends the text, whatever the text holds.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            _ => out.push_str(&escape(character)),
        }
    }
    out.push('"');
    out
}

/// Reads what [`quoted`] wrote at the start of `text`; gives what stands behind it, too.
pub fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut rest = text.strip_prefix('"')?;
    loop {
        let end = rest.find(['"', '\\'])?;
        out.push_str(&rest[..end]);
        let (mark, behind) = rest[end..].split_at(1);
        if mark == "\"" {
            return Some((out, behind));
        }
        let (character, behind) = unescape(behind)?;
        out.push(character);
        rest = behind;
    }
}

/// The character that stands behind a `\`.
fn unescape(text: &str) -> Option<(char, &str)> {
    if let Some(code) = text.strip_prefix("u{") {
        let (digits, rest) = code.split_once('}')?;
        return Some((char::from_u32(u32::from_str_radix(digits, 16).ok()?)?, rest));
    }
    let mut characters = text.chars();
    let character = match characters.next()? {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        other @ ('"' | '\\') => other,
        _ => return None,
    };
    Some((character, characters.as_str()))
}

fn escape(character: char) -> String {
    if character.is_control() {
        character.escape_default().to_string()
    } else {
        character.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_on_one_line() {
        assert_eq!(printable("plain é \"text\""), "plain é \"text\"");
        assert_eq!(printable("two\nlines\u{1b}[31m"), "two\\nlines\\u{1b}[31m");
    }

    #[test]
    fn quotes_end_where_the_text_ends() {
        assert_eq!(quoted("lost"), "\"lost\"");
        assert_eq!(quoted(r#"a "b" \ c"#), r#""a \"b\" \\ c""#);
        assert_eq!(quoted("ends with \\"), r#""ends with \\""#);
        assert_eq!(quoted("\r\n\t\0é"), r#""\r\n\t\u{0}é""#);
    }

    #[test]
    fn what_was_quoted_can_be_read_again() {
        for text in ["", "lost", r#"a "b" \ c"#, "ends with \\", "\r\n\t\0é\u{1b}"] {
            let line = quoted(text) + " more";
            assert_eq!(unquoted(&line), Some((text.to_owned(), " more")));
        }
        for bad in ["", "lost", "\"lost", r#""\"#, r#""\q""#, r#""\u{110000}""#] {
            assert_eq!(unquoted(bad), None, "{bad}");
        }
    }
}
