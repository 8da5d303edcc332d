//! Writing RESP: replies, and the frames of a link.

/// Appends a number in decimal. It is on the path of every write; `write!` costs five times more.
pub fn decimal_into(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends `sign`, a number and CRLF: the header of an array or a bulk string, or an integer.
pub fn header_into(out: &mut Vec<u8>, sign: u8, number: usize) {
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
