//! The header lines of RESP, such as `*3` or `$5`.

use super::resp::{FramingError, broken};

/// The longest header line, in bytes.
const LONGEST: usize = 32;

/// Reads the header line that `input` begins with: its number, and how many bytes it has. `None`: it
/// is not all there yet.
#[inline]
pub(super) fn header(input: &[u8], sign: u8) -> Result<Option<(i64, usize)>, FramingError> {
    match short(input, sign) {
        Some((number, behind)) => {
            let number = i64::try_from(number).expect("it has two digits");
            Ok(Some((number, input.len() - behind.len())))
        }
        None => any(input, sign),
    }
}

/// Reads any header line.
fn any(input: &[u8], sign: u8) -> Result<Option<(i64, usize)>, FramingError> {
    let Some(&found) = input.first() else { return Ok(None) };
    if found != sign {
        let (sign, found) = (char::from(sign), char::from(found).escape_default());
        return broken(format!("expected '{sign}', got '{found}'"));
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

/// Nearly all are short, whole and right: these are read at one glance. Gives the number and what comes
/// behind the line.
#[inline]
pub(super) fn short(input: &[u8], sign: u8) -> Option<(usize, &[u8])> {
    let digit = |byte: u8| usize::from(byte - b'0');
    match *input {
        [found, ones @ b'0'..=b'9', b'\r', b'\n', ref behind @ ..] if found == sign => {
            Some((digit(ones), behind))
        }
        [found, tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'\r', b'\n', ref behind @ ..]
            if found == sign =>
        {
            Some((10 * digit(tens) + digit(ones), behind))
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
