//! Texts made fit for one line: log lines, and the values of logfmt.

use std::borrow::Cow;
use std::collections::HashMap;

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

/// The fields of a logfmt line, `name=value` with space between, by name. A value is one word, or a
/// text as [`quoted`] writes it. Who reads a line leaves alone what it does not know, so that lines
/// may say more one day.
///
/// # Errors
/// What is not a field, is not closed, or stands twice.
pub fn fields(line: &str) -> Result<HashMap<String, String>, String> {
    let mut fields = HashMap::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (name, behind) = rest
            .split_once('=')
            .filter(|(name, _)| !name.is_empty() && !name.contains(char::is_whitespace))
            .ok_or_else(|| format!("'{rest}' is not a field; write it as name=value"))?;
        let (value, behind) = if behind.starts_with('"') {
            unquoted(behind).ok_or_else(|| format!("the quotes of {name} are not closed well"))?
        } else {
            let end = behind.find(char::is_whitespace).unwrap_or(behind.len());
            (behind[..end].to_owned(), &behind[end..])
        };
        if !behind.is_empty() && !behind.starts_with(char::is_whitespace) {
            return Err(format!("a space is missing behind the field {name}"));
        }
        if fields.insert(name.to_owned(), value).is_some() {
            return Err(format!("the field {name} stands twice"));
        }
        rest = behind.trim_start();
    }
    Ok(fields)
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

    #[test]
    fn a_line_has_fields() {
        let read = fields(" op=read key=\"a \\\"b\\\"\"  empty=\"\" ").expect("it is well formed");
        let mut read: Vec<(&str, &str)> = read.iter().map(|(k, v)| (&**k, &**v)).collect();
        read.sort_unstable();
        assert_eq!(read, [("empty", ""), ("key", "a \"b\""), ("op", "read")]);
        for bad in ["torn", "=x", "a b=c", "a=\"b", "a=\"b\"c", "a=b a=c"] {
            assert!(fields(bad).is_err(), "{bad}");
        }
    }
}
