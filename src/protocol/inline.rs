//! Splitting an inline line into words, as Redis does.

/// Splits a line into words and unquotes them into `words`; gives their places there. The value of
/// `WRITE key value` is the rest of the line as it stands. `None`: unbalanced quotes.
pub fn split_line(line: &[u8], words: &mut Vec<u8>) -> Option<Vec<(usize, usize)>> {
    let mut places: Vec<(usize, usize)> = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let start = words.len();
        let writes = places.len() == 2 && words[..places[0].1].eq_ignore_ascii_case(b"write");
        let used = if writes {
            words.extend_from_slice(rest);
            rest.len()
        } else {
            split_word(rest, words)?
        };
        places.push((start, words.len()));
        rest = rest[used..].trim_ascii_start();
    }
    Some(places)
}

/// Unquotes the word at the start of `text`; gives how much of `text` it took.
fn split_word(text: &[u8], words: &mut Vec<u8>) -> Option<usize> {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' | b'\'' => {
                at += unquote(&text[at..], words)?;
                // A closing quote must be followed by a space or nothing.
                let ended = text.get(at).is_none_or(u8::is_ascii_whitespace);
                return ended.then_some(at);
            }
            _ if byte.is_ascii_whitespace() => break,
            _ => words.push(byte),
        }
        at += 1;
    }
    Some(at)
}

/// Unquotes what stands between the quote at the start of `text` and its twin.
fn unquote(text: &[u8], words: &mut Vec<u8>) -> Option<usize> {
    let quote = text[0];
    let mut at = 1;
    loop {
        let byte = *text.get(at)?;
        at += 1;
        if byte == quote {
            return Some(at);
        }
        if byte != b'\\' {
            words.push(byte);
            continue;
        }
        let escaped = *text.get(at)?;
        if quote == b'\'' {
            // In single quotes only the quote itself is escaped.
            let literal = if escaped == b'\'' { b'\'' } else { b'\\' };
            at += usize::from(escaped == b'\'');
            words.push(literal);
            continue;
        }
        at += 1;
        match (escaped, text.get(at..at + 2).and_then(hex)) {
            (b'x', Some(value)) => {
                words.push(value);
                at += 2;
            }
            (b'n', _) => words.push(b'\n'),
            (b'r', _) => words.push(b'\r'),
            (b't', _) => words.push(b'\t'),
            (b'b', _) => words.push(8),
            (b'a', _) => words.push(7),
            (other, _) => words.push(other),
        }
    }
}

/// Two digits as a byte. (`u8::from_str_radix` would also take a sign.)
fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(16 * digit(digits[0])? + digit(digits[1])?).ok()
}
