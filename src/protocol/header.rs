//! The header lines of RESP, such as `*3` or `$5`.

use super::resp::{FramingError, broken};

/// The longest header line, in bytes.
const LONGEST: usize = 32;

/// Reads the header line that `input` begins with: its number, and how many bytes it has. `None`: it
/// is not all there yet.
pub(super) fn header(input: &[u8], sign: u8) -> Result<Option<(i64, usize)>, FramingError> {
    let Some(&found) = input.first() else { return Ok(None) };
    if found != sign {
        let (sign, found) = (char::from(sign), char::from(found).escape_default());
        return broken(format!("expected '{sign}', got '{found}'"));
    }
    if let Some(short) = short(input) {
        return Ok(Some(short));
    }
    let window = &input[..input.len().min(LONGEST)];
    let what = if sign == b'*' { "invalid multibulk length" } else { "invalid bulk length" };
    let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
        return if window.len() == LONGEST { broken(what) } else { Ok(None) };
    };
    let Some(digits) = window[1..end].strip_suffix(b"\r") else { return broken(what) };
    let Some(number) = decimal(digits) else { return broken(what) };
    Ok(Some((number, end + 1)))
}

/// Nearly all are short, whole and right: these are read at one glance.
fn short(input: &[u8]) -> Option<(i64, usize)> {
    let digit = |byte: u8| i64::from(byte - b'0');
    match *input {
        [_, ones @ b'0'..=b'9', b'\r', b'\n', ..] => Some((digit(ones), 4)),
        [_, tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'\r', b'\n', ..] => {
            Some((10 * digit(tens) + digit(ones), 5))
        }
        _ => None,
    }
}

fn decimal(digits: &[u8]) -> Option<i64> {
    let (negative, digits) = match digits.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut number = 0i64;
    for digit in digits {
        let value = digit.wrapping_sub(b'0');
        if value > 9 {
            return None;
        }
        number = number * 10 + i64::from(value);
    }
    Some(if negative { -number } else { number })
}
