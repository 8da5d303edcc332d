//! Writing RESP: replies, and the frames of a link.

/// The numbers 0 to 99, two digits each.
const PAIRS: &[u8; 200] = b"00010203040506070809101112131415161718192021222324\
    25262728293031323334353637383940414243444546474849\
    50515253545556575859606162636465666768697071727374\
    75767778798081828384858687888990919293949596979899";

/// The last two digits of a number.
pub fn last_digits(number: u64) -> [u8; 2] {
    PAIRS.as_chunks().0[usize::try_from(number % 100).expect("it is below 100")]
}

/// Appends a number in decimal. It is on the path of every write: `write!` costs ten times as much,
/// one digit at a time twice as much.
pub fn decimal_into(out: &mut Vec<u8>, mut number: u64) {
    if let Ok(digit @ 0..10) = u8::try_from(number) {
        return out.push(b'0' + digit);
    }
    let mut digits = [[0u8; 2]; 10];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = last_digits(number);
        if number < 100 {
            break;
        }
        number /= 100;
    }
    let zero = usize::from(number < 10);
    out.extend_from_slice(&digits.as_flattened()[2 * at + zero..]);
}

/// How many bytes a bulk string takes besides its own, which are so many.
pub fn around_bulk(length: usize) -> usize {
    let digits = match length {
        0..10 => 1,
        10..100 => 2,
        _ => length.ilog10() as usize + 1,
    };
    b"$".len() + digits + b"\r\n\r\n".len()
}

/// Appends `sign`, a number and CRLF: the header of an array or a bulk string, or an integer.
pub fn header_into(out: &mut Vec<u8>, sign: u8, number: usize) {
    // Most keys, values and arrays are short.
    if let Some(&[tens, ones]) = PAIRS.as_chunks().0.get(number) {
        return if tens == b'0' {
            out.extend_from_slice(&[sign, ones, b'\r', b'\n']);
        } else {
            out.extend_from_slice(&[sign, tens, ones, b'\r', b'\n']);
        };
    }
    out.push(sign);
    decimal_into(out, number as u64);
    out.extend_from_slice(b"\r\n");
}

/// Appends a bulk string.
pub fn bulk_into(out: &mut Vec<u8>, text: &[u8]) {
    header_into(out, b'$', text.len());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// Appends an array of bulk strings.
pub fn array_into<T: AsRef<[u8]>>(out: &mut Vec<u8>, items: &[T]) {
    header_into(out, b'*', items.len());
    for item in items {
        bulk_into(out, item.as_ref());
    }
}

/// Appends a one-line reply, such as `+OK`, or a bulk string if the text holds a line break.
pub fn line_into(out: &mut Vec<u8>, text: &str) {
    if text.contains(['\r', '\n']) {
        return bulk_into(out, text.as_bytes());
    }
    out.push(b'+');
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends an error. Line breaks in the text become spaces.
pub fn error_into(out: &mut Vec<u8>, text: &str) {
    out.push(b'-');
    out.extend(text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_everywhere() {
        for number in (0..1100).chain([99_999, 100_000, 1_731_624_815_000_007, u64::MAX]) {
            let mut out = b"x".to_vec();
            decimal_into(&mut out, number);
            assert_eq!(out, format!("x{number}").into_bytes());
            let length = usize::try_from(number).expect("it has 64 bits");
            header_into(&mut out, b'$', length);
            assert_eq!(out, format!("x{number}${number}\r\n").into_bytes());
            assert_eq!(around_bulk(length), format!("${number}\r\n\r\n").len());
        }
    }
}
