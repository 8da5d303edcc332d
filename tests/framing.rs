//! The decoders: whatever the stream holds and however it was split, they read the same, and they
//! neither panic nor hang.

mod support;

use std::io::Read;

use causal_kv::protocol::reply::Reply;
use causal_kv::protocol::request::{Argument, Asked, Request};
use causal_kv::protocol::resp::{
    ARGUMENTS_MAX, BULK_BYTES_MAX, Decoder, FramingError, LINE_BYTES_MAX,
};
use support::array;

/// A request as its words; a word that is no text is told in angle brackets.
type Words = Vec<String>;

fn words(request: Request<'_>) -> Words {
    let word = |index| match request.argument_at(index) {
        Argument::Bytes(bytes) => {
            // Though whole reads are looked at in one go.
            assert_eq!(request.text_at(index), str::from_utf8(bytes).ok(), "{bytes:?}");
            String::from_utf8_lossy(bytes).into_owned()
        }
        Argument::Null => "<null>".to_owned(),
        Argument::TooLong(length) => format!("<{length} bytes>"),
    };
    let is_text = |argument| match argument {
        Argument::Bytes(bytes) => str::from_utf8(bytes).is_ok(),
        Argument::Null => true,
        Argument::TooLong(_) => request.text().is_some(),
    };
    let all = (0..request.len()).all(|index| is_text(request.argument_at(index)));
    if request.asked == Asked::Array {
        assert_eq!(request.text().is_some(), all, "{request:?}");
    }
    (0..request.len()).map(word).collect()
}

/// All whole requests, and the error at the end if there is one.
fn drain(decoder: &mut Decoder, found: &mut Vec<Words>) -> Result<(), FramingError> {
    let mut requests = decoder.requests();
    while let Some(request) = requests.next_request()? {
        found.push(words(request));
    }
    Ok(())
}

/// What `pieces` of a stream decode to.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, peer: bool) -> (Vec<Words>, String) {
    let mut decoder = Decoder::default();
    if peer {
        decoder.expect_peer();
    }
    let mut found = Vec::new();
    for piece in pieces {
        decoder.extend(piece);
        if let Err(error) = drain(&mut decoder, &mut found) {
            return (found, error.to_string());
        }
    }
    (found, String::new())
}

fn error_of(stream: &[u8]) -> String {
    decode([stream], false).1
}

/// One of everything.
const STREAM: &[u8] = b"PING\r\n*2\r\n$3\r\nGET\r\n$1\r\nx\r\n\r\n\n*0\r\n*-1\r\n\
    write key the \"rest\" of it \r\n*3\r\n$1\r\n(\r\n$0\r\n\r\n$-1\r\n  set 'a b' \"\\x41\\n\\\"\"\n\
    *2\r\n$2\r\n\xc3\xa9\r\n$1\r\n\xff\r\n*1\r\n$7\r\n$1\r\nx\r\n\r\n*1\r\n$5\r\n\r\n*1$\r\n'' \"\"\r\nset \"a\"'b'\r\n";

fn expected() -> Vec<Words> {
    let requests: [&[&str]; 9] = [
        &["PING"],
        &["GET", "x"],
        &["write", "key", "the \"rest\" of it "],
        &["(", "", "<null>"],
        &["set", "a b", "A\n\""],
        &["é", "\u{fffd}"],
        &["$1\r\nx\r\n"],
        &["\r\n*1$"],
        &["", ""],
    ];
    requests.iter().map(|words| words.iter().map(|&word| word.to_owned()).collect()).collect()
}

const EXPECTED_END: &str = "Protocol error: unbalanced quotes in request";

#[test]
fn every_split_in_two_and_in_single_bytes_reads_the_same() {
    let whole = (expected(), EXPECTED_END.to_owned());
    assert_eq!(decode([STREAM], true), whole);
    for at in 0..=STREAM.len() {
        assert_eq!(decode([&STREAM[..at], &STREAM[at..]], true), whole, "split at {at}");
    }
    assert_eq!(decode(STREAM.chunks(1), true), whole);
}

#[test]
fn every_split_in_three_reads_the_same() {
    let whole = (expected(), EXPECTED_END.to_owned());
    for first in 0..STREAM.len() {
        for second in first..STREAM.len() {
            let pieces = [&STREAM[..first], &STREAM[first..second], &STREAM[second..]];
            assert_eq!(decode(pieces, true), whole, "split at {first} and {second}");
        }
    }
}

#[test]
fn a_long_pipeline_reads_the_same_in_pieces_of_any_size() {
    let mut stream = Vec::new();
    for number in 0..20_000 {
        match number % 3 {
            0 => stream.extend(array(&["SET", &format!("key-{number}"), &"v".repeat(number % 97)])),
            1 => stream.extend(format!("GET key-{number}\r\n").bytes()),
            _ => stream.extend(b"\r\n*0\r\n*1\r\n$4\r\nPING\r\n"),
        }
    }
    let (whole, error) = decode([&stream[..]], false);
    assert_eq!((whole.len(), error.as_str()), (20_000, ""));
    assert_eq!(whole[3], ["SET", "key-3", "vvv"]);
    for size in [1, 7, 4096, 16_384, 100_000] {
        assert_eq!(decode(stream.chunks(size), false).0, whole, "pieces of {size} bytes");
    }
}

/// A stream that notes how much room it was offered.
struct Offered<'a> {
    bytes: &'a [u8],
    room_max: usize,
}

impl Read for Offered<'_> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        self.room_max = self.room_max.max(room.len());
        self.bytes.read(room)
    }
}

#[test]
fn what_is_too_long_is_skipped_and_takes_no_memory() {
    let key = "k".repeat(20_000);
    let mut stream = array(&["SET", &key]);
    stream[1] = b'3';
    let length = 100 << 20;
    stream.extend(format!("${length}\r\n").bytes());
    stream.resize(stream.len() + length, b'v');
    stream.extend(b"\r\nPING\r\n");
    let mut decoder = Decoder::default();
    let mut stream = Offered { bytes: &stream, room_max: 0 };
    let mut found = Vec::new();
    while decoder.fill(&mut stream).expect("a slice can be read") > 0 {
        drain(&mut decoder, &mut found).expect("well framed");
    }
    let told = format!("<{length} bytes>");
    assert_eq!(found, [vec!["SET".to_owned(), key, told], vec!["PING".to_owned()]]);
    assert!(stream.room_max < 1 << 20, "{} bytes for what is thrown away", stream.room_max);
}

#[test]
fn the_longest_value_is_kept_and_one_byte_more_is_skipped() {
    for (length, kept) in [(BULK_BYTES_MAX, true), (BULK_BYTES_MAX + 1, false)] {
        let mut decoder = Decoder::default();
        decoder.extend(&array(&["SET", "k", &"v".repeat(length)]));
        let found = decoder.next_request().expect("well framed").expect("it is whole");
        assert_eq!(matches!(found.argument_at(2), Argument::Bytes(_)), kept);
    }
}

#[test]
fn each_protocol_error_says_what_is_wrong() {
    let long_line = "x".repeat(LINE_BYTES_MAX + 1);
    let many = format!("*{}\r\n", ARGUMENTS_MAX + 1);
    let cases: [(&str, &str); 15] = [
        ("*1\r\n:1\r\n", "expected '$', got ':'"),
        ("*1\r\n*1\r\n", "expected '$', got '*'"),
        ("*1\r\n\r\n", "expected '$', got '\\r'"),
        ("*x\r\n", "invalid multibulk length"),
        ("*\r\n", "invalid multibulk length"),
        ("*+1\r\n", "invalid multibulk length"),
        ("*1\n$4\r\nPING\r\n", "invalid multibulk length"),
        ("*11111111111111111111111111111111111", "invalid multibulk length"),
        (&many, "invalid multibulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$536870913\r\n", "invalid bulk length"),
        ("*1\r\n$9999999999999999999\r\n", "invalid bulk length"),
        ("*1\r\n$4\r\nPINGxx", "expected CRLF behind a bulk string"),
        ("get \"x\r\n", "unbalanced quotes in request"),
        (&long_line, "too big inline request"),
    ];
    for (stream, error) in cases {
        let start = &stream[..stream.len().min(40)];
        assert_eq!(error_of(stream.as_bytes()), format!("Protocol error: {error}"), "{start:?}");
    }
}

#[test]
fn a_request_of_many_long_values_is_refused_before_it_is_read() {
    let mut stream = b"*6\r\n".to_vec();
    for _ in 0..4 {
        stream.extend(format!("${BULK_BYTES_MAX}\r\n").bytes());
        stream.resize(stream.len() + BULK_BYTES_MAX, b'v');
        stream.extend(b"\r\n");
    }
    assert_eq!(error_of(&stream), "");
    stream.extend(b"$1\r\n");
    assert_eq!(error_of(&stream), "Protocol error: request larger than 67108864 bytes");
}

#[test]
fn a_request_of_very_many_short_values_is_refused_when_it_is_too_large() {
    let short = format!("$99\r\n{}\r\n", "v".repeat(99));
    let mut stream = format!("*{ARGUMENTS_MAX}\r\n").into_bytes();
    stream.extend(short.repeat((64 << 20) / 99).into_bytes());
    assert_eq!(error_of(&stream), "");
    stream.extend(short.into_bytes());
    assert_eq!(error_of(&stream), "Protocol error: request larger than 67108864 bytes");
}

#[test]
fn strangers_get_little_room() {
    let strange = |stream: &str| {
        let mut decoder = Decoder::default();
        decoder.trust(false);
        decoder.extend(stream.as_bytes());
        drain(&mut decoder, &mut Vec::new()).map_err(|error| error.0)
    };
    assert_eq!(strange("*10\r\n$16384\r\n"), Ok(()));
    assert_eq!(strange("*11\r\n"), Err("unauthenticated multibulk length".to_owned()));
    assert_eq!(strange("*1\r\n$16385\r\n"), Err("unauthenticated bulk length".to_owned()));
}

#[test]
fn inline_words_are_quoted_as_in_redis() {
    let cases: [(&str, &[&str]); 9] = [
        ("  set  a\tb ", &["set", "a", "b"]),
        ("set a\"b c\" d", &["set", "ab c", "d"]),
        ("set \"\\x4a\\x4A\\xZZ\\x4\"", &["set", "JJxZZx4"]),
        ("set \"\\x+f\\x-1\"", &["set", "x+fx-1"]),
        ("set \"\\r\\n\\t\\b\\a\\q\\\\\"", &["set", "\r\n\t\u{8}\u{7}q\\"]),
        ("set 'it\\'s' '\\n \"'", &["set", "it's", "\\n \""]),
        ("set a\\nb", &["set", "a\\nb"]),
        ("WRITE k  'a\" b\\ ", &["WRITE", "k", "'a\" b\\ "]),
        ("write \"k k\" v", &["write", "k k", "v"]),
    ];
    for (line, expected) in cases {
        let (found, error) = decode([format!("{line}\n").as_bytes()], false);
        assert_eq!(
            (error.as_str(), found),
            ("", vec![expected.iter().map(|&w| w.into()).collect()])
        );
    }
    for line in ["set 'a", "set \"a\\", "set \"a\"b", "write \"k"] {
        assert_eq!(error_of(format!("{line}\n").as_bytes()), EXPECTED_END, "{line}");
    }
}

/// A small generator of random numbers (xorshift): the same seed gives the same cases.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("below a usize")
    }

    /// A few bytes changed, dropped, doubled or put in; most of them mean something in RESP.
    fn mutate(&mut self, stream: &[u8]) -> Vec<u8> {
        const TELLING: &[u8] = b"*$+-:%~>_0123456789\r\n\"'\\x (,)\x00\xff";
        let mut stream = stream.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(stream.len().max(1)).min(stream.len());
            let byte = TELLING[self.below(TELLING.len())];
            match self.below(4) {
                0 => stream.insert(at, byte),
                1 => stream.truncate(at + stream.len() / 2),
                2 if at < stream.len() => drop(stream.remove(at)),
                _ if at < stream.len() => stream[at] = byte,
                _ => stream.push(byte),
            }
        }
        stream
    }
}

#[test]
fn mutated_streams_never_panic_and_read_the_same_in_pieces() {
    let mut random = Random(1);
    let mut broken = 0;
    for case in 0..40_000 {
        let stream = random.mutate(STREAM);
        let whole = decode([&stream[..]], true);
        let pieces = decode(stream.chunks(1 + random.below(9)), true);
        assert_eq!(pieces, whole, "case {case}: {:?}", String::from_utf8_lossy(&stream));
        broken += usize::from(!whole.1.is_empty() && whole.1 != EXPECTED_END);
    }
    assert!(broken > 10_000, "the mutations are too tame: {broken}");
}

#[test]
fn random_bytes_never_panic() {
    let mut random = Random(2);
    for _ in 0..20_000 {
        let length = random.below(64);
        let bytes: Vec<u8> =
            (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
        decode([&bytes[..]], false);
        let _ = Reply::decode(&bytes);
    }
}

const REPLIES: &[u8] =
    b"+OK\r\n-ERR no\r\n:-7\r\n$-1\r\n$0\r\n\r\n$4\r\na\r\nb\r\n*-1\r\n_\r\n*0\r\n\
    *2\r\n*1\r\n:1\r\n$1\r\nx\r\n%1\r\n+a\r\n:1\r\n>2\r\n+push\r\n_\r\n~1\r\n:3\r\n";

/// All replies of a stream, and whether it ended in an error.
fn replies(mut stream: &[u8]) -> (Vec<Reply>, bool) {
    let mut replies = Vec::new();
    loop {
        match Reply::decode(stream) {
            Err(_) => return (replies, true),
            Ok(None) => return (replies, false),
            Ok(Some((reply, used))) => {
                assert!(used > 0 && used <= stream.len(), "{used} of {}", stream.len());
                replies.push(reply);
                stream = &stream[used..];
            }
        }
    }
}

#[test]
fn replies_are_read_only_when_they_are_all_there() {
    use Reply::{Array, Bulk, Error, Integer, Line, Null, Push};
    let text = str::to_owned;
    let whole = vec![
        Line(text("OK")),
        Error(text("ERR no")),
        Integer(-7),
        Null,
        Bulk(text("")),
        Bulk(text("a\r\nb")),
        Null,
        Null,
        Array(vec![]),
        Array(vec![Array(vec![Integer(1)]), Bulk(text("x"))]),
        Array(vec![Line(text("a")), Integer(1)]),
        Push(vec![Line(text("push")), Null]),
        Array(vec![Integer(3)]),
    ];
    assert_eq!(replies(REPLIES), (whole.clone(), false));
    for end in 0..REPLIES.len() {
        let (some, broken) = replies(&REPLIES[..end]);
        assert!(!broken && some.len() < whole.len() && whole.starts_with(&some), "cut at {end}");
    }
}

#[test]
fn broken_replies_give_errors() {
    let deep = "*1\r\n".repeat(100);
    let cases = [
        "\n",
        "\r\n",
        "x\r\n",
        ":\r\n",
        ":1x\r\n",
        "$x\r\n",
        "*x\r\n",
        "+\u{0}\n\n",
        "$1\r\nabc",
        &deep,
    ];
    for case in cases {
        assert!(replies(case.as_bytes()).1, "{case:?}");
    }
    assert!(replies(b"+\xff\r\n").1 && replies(b"$1\r\n\xff\r\n").1, "not UTF-8");
    assert_eq!(Reply::decode(b"$9223372036854775807\r\n"), Ok(None), "it never comes");
    let mut random = Random(3);
    for _ in 0..40_000 {
        replies(&random.mutate(REPLIES));
    }
}
