//! Reading replies: RESP2 and RESP3 values, as a client gets them.

use super::resp::FramingError;

/// A reply, or a push.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+text`
    Line(String),
    /// `-text`
    Error(String),
    /// `:number`
    Integer(i64),
    /// A bulk string.
    Bulk(String),
    /// The null of RESP2 or RESP3.
    Null,
    /// An array, or a map of RESP3 as keys and values in turn.
    Array(Vec<Reply>),
    /// A `>` frame of RESP3.
    Push(Vec<Reply>),
}

/// How deep arrays may be nested.
const DEPTH_MAX: usize = 8;

impl Reply {
    /// Reads one reply from the start of `input`; gives it and how many bytes it took, or `None`
    /// if it is not all there yet.
    ///
    /// # Errors
    /// The bytes are not RESP, or not UTF-8.
    pub fn decode(input: &[u8]) -> Result<Option<(Self, usize)>, FramingError> {
        decode(input, DEPTH_MAX)
    }

    /// The text of a line, a bulk string or an error.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Line(text) | Self::Error(text) | Self::Bulk(text) => Some(text),
            _ => None,
        }
    }

    /// The texts of an array's items; an item without a text is left out.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::Array(items) | Self::Push(items) => items.iter().filter_map(Self::text).collect(),
            _ => Vec::new(),
        }
    }
}

fn decode(input: &[u8], depth: usize) -> Result<Option<(Reply, usize)>, FramingError> {
    let Some(end) = input.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
    if end == 0 {
        return Err(FramingError("an empty line begins no reply".to_owned()));
    }
    let line = text(&input[1..end])?;
    let line = line.strip_suffix('\r').unwrap_or(&line);
    let used = end + 1;
    let reply = match input[0] {
        b'+' => Reply::Line(line.to_owned()),
        b'-' => Reply::Error(line.to_owned()),
        b':' => Reply::Integer(number(line)?),
        b'_' => Reply::Null,
        b'$' => return bulk(input, used, number(line)?),
        b'*' | b'%' | b'~' | b'>' => return items(input, used, number(line)?, depth),
        other => {
            let sign = char::from(other).escape_default();
            return Err(FramingError(format!("'{sign}' begins no reply")));
        }
    };
    Ok(Some((reply, used)))
}

fn bulk(input: &[u8], start: usize, length: i64) -> Result<Option<(Reply, usize)>, FramingError> {
    let Ok(length) = usize::try_from(length) else { return Ok(Some((Reply::Null, start))) };
    let end = start + length;
    match (input.get(start..end), input.get(end..end + 2)) {
        (Some(bytes), Some(b"\r\n")) => Ok(Some((Reply::Bulk(text(bytes)?), end + 2))),
        (Some(_), Some(_)) => Err(FramingError("expected CRLF behind a bulk string".to_owned())),
        _ => Ok(None),
    }
}

fn items(
    input: &[u8],
    start: usize,
    count: i64,
    depth: usize,
) -> Result<Option<(Reply, usize)>, FramingError> {
    let Ok(count) = usize::try_from(count) else { return Ok(Some((Reply::Null, start))) };
    if depth == 0 {
        return Err(FramingError("nested too deeply".to_owned()));
    }
    let count = if input[0] == b'%' { count.saturating_mul(2) } else { count };
    let mut used = start;
    let mut items = Vec::new();
    for _ in 0..count {
        match decode(&input[used..], depth - 1)? {
            None => return Ok(None),
            Some((item, more)) => {
                items.push(item);
                used += more;
            }
        }
    }
    let reply = if input[0] == b'>' { Reply::Push(items) } else { Reply::Array(items) };
    Ok(Some((reply, used)))
}

fn text(bytes: &[u8]) -> Result<String, FramingError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| FramingError("text that is not UTF-8".to_owned()))
}

fn number(digits: &str) -> Result<i64, FramingError> {
    digits.parse().map_err(|_| FramingError(format!("'{digits}' is not a number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_reply_is_an_error_and_no_panic() {
        for bytes in [&b"\n"[..], b"\r\n", b"HTTP/1.1 200 OK\r\n", b"$x\r\n", b"+\xff\r\n"] {
            assert!(Reply::decode(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_part_of_a_reply_is_none_yet() {
        let whole = b">3\r\n$4\r\npush\r\n_\r\n:-7\r\n";
        for end in 0..whole.len() {
            assert_eq!(Reply::decode(&whole[..end]), Ok(None), "{end} bytes");
        }
        let items = vec![Reply::Bulk("push".to_owned()), Reply::Null, Reply::Integer(-7)];
        assert_eq!(Reply::decode(whole), Ok(Some((Reply::Push(items), whole.len()))));
    }
}
