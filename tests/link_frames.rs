//! What peers tell each other reads as it was written; what is malformed is an error.

mod support;

use std::collections::BTreeMap;

use causal_kv::core::{Applied, Change, Update, Version};
use causal_kv::log::Batch;
use causal_kv::protocol::changes::Written;
use causal_kv::protocol::encode::array_into;
use causal_kv::protocol::link::{Frame, Head, Hello, Known, Linked, Status};
use causal_kv::protocol::request::Request;
use causal_kv::protocol::resp::{Decoder, FramingError};
use causal_kv::protocol::snapshot;

const ODD_TEXTS: [&str; 10] = [
    "",
    " ",
    "a b",
    "'\"\\",
    "line\r\nbreak\n",
    "(7, 1)",
    "*1\r\n$-1\r\n",
    "\0",
    "ключ 🔑",
    "told",
];

fn v(timestamp: u64, server: u32) -> Version {
    Version { timestamp, server }
}

/// What `decode` makes of the one frame of `bytes`.
fn found<T>(bytes: &[u8], decode: impl FnOnce(Request<'_>) -> T) -> T {
    let mut decoder = Decoder::default();
    decoder.expect_peer();
    decoder.extend(bytes);
    decode(decoder.next_request().expect("well framed").expect("it is whole"))
}

fn decode(bytes: &[u8]) -> Result<Frame, FramingError> {
    found(bytes, Frame::decode)
}

fn frame(words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    array_into(&mut bytes, words);
    bytes
}

fn encode(update: &Update) -> Vec<u8> {
    let mut batch = Batch::default();
    batch.push(Head::from(update), Written::new(update.pairs()).changes());
    batch.frames().to_vec()
}

#[test]
fn updates_with_odd_keys_and_values_read_as_they_were_written() {
    for key in ODD_TEXTS {
        for value in ODD_TEXTS.into_iter().map(Some).chain([None]) {
            let change =
                |value: Option<&str>| Change { key: key.into(), value: value.map(str::to_owned) };
            let changes = vec![change(value), change(Some("another")), change(None)];
            for told in [false, true] {
                for dependencies in [vec![], vec![v(7, 2)], vec![v(1, 9), v(7, u32::MAX)]] {
                    let changes = changes.clone();
                    let update = Update {
                        version: v(20, 1),
                        predecessor: 7,
                        dependency_keys: dependencies.iter().map(|_| key.to_owned()).collect(),
                        dependencies,
                        told,
                        changes,
                    };
                    assert_eq!(decode(&encode(&update)), Ok(Frame::Update(update)));
                }
            }
        }
    }
}

#[test]
fn an_update_keeps_its_predecessor_at_the_ends_of_the_numbers() {
    let changes = vec![Change { key: "k".into(), value: None }];
    for (timestamp, predecessor) in [(1, 0), (u64::MAX, 0), (u64::MAX, 1), (u64::MAX, u64::MAX - 1)]
    {
        let version = v(timestamp, 0);
        let changes = changes.clone();
        let update = Update {
            version,
            predecessor,
            dependencies: vec![],
            dependency_keys: vec![],
            told: false,
            changes,
        };
        assert_eq!(decode(&encode(&update)), Ok(Frame::Update(update)));
    }
}

fn status() -> Status {
    let known = |id, name: &str| Known {
        id,
        life: u64::from(id) * 10,
        born: u64::from(id),
        address: format!("host-{id}:60001"),
        name: name.to_owned(),
    };
    Status {
        clock: u64::MAX,
        above: Some(0),
        applied: "(1, 1)..(9, 1) (20, 1)..(30, 1) (5, 2)..(5, 2)".parse().expect("well formed"),
        links: BTreeMap::from([
            (2, Linked { life: 1, above: None }),
            (u32::MAX, Linked { life: u64::MAX, above: Some(7) }),
        ]),
        lives: BTreeMap::from([(1, 5), (u32::MAX, u64::MAX)]),
        held: Some(u64::MAX),
        floor: 12,
        gone: BTreeMap::from([(4, 8)]),
        servers: vec![known(2, ""), known(3, "East"), known(4, "two words")],
    }
}

#[test]
fn a_status_reads_as_it_was_written() {
    for status in [Status::default(), status(), Status { above: None, held: None, ..status() }] {
        let mut bytes = Vec::new();
        status.encode_into(&mut bytes);
        assert_eq!(decode(&bytes), Ok(Frame::Status(status)));
    }
}

#[test]
fn a_hello_reads_as_it_was_written() {
    for name in ODD_TEXTS {
        let address = "127.0.0.1:60003".to_owned();
        let who = Known { id: 3, life: 7, born: 6, address, name: name.to_owned() };
        let (order, clock_kind) = ("causal".to_owned(), "physical".to_owned());
        let hello = Hello { who, order, clock_kind, status: status() };
        let mut bytes = Vec::new();
        hello.encode_into(&mut bytes);
        assert_eq!(found(&bytes, Hello::decode), Ok(hello));
    }
}

#[test]
fn acknowledgements_and_calls_for_more_read_as_they_were_written() {
    assert_eq!(decode(&frame(&["ACK", "(20, 1)"])), Ok(Frame::Ack(v(20, 1))));
    assert_eq!(decode(&frame(&["ASK", "(20, 3)"])), Ok(Frame::Ask(v(20, 3))));
    assert_eq!(decode(&frame(&["AGAIN"])), Ok(Frame::Again));
}

#[test]
fn names_that_a_later_version_adds_are_passed_over() {
    let words = ["PEER", "1", "id", "3", "life", "7", "address", "h:1", "colour", "red"];
    assert_eq!(found(&frame(&words), Hello::decode).map(|hello| hello.who.id), Ok(3));
    let words = ["STATUS", "colour", "red", "clock", "9"];
    assert_eq!(decode(&frame(&words)), Ok(Frame::Status(Status { clock: 9, ..Status::default() })));
}

#[test]
fn malformed_frames_are_errors() {
    let cases: [&[&str]; 29] = [
        &["HELLO"],
        &["status", "clock", "1"],
        &["ACK"],
        &["ASK"],
        &["ASK", "7"],
        &["ACK", "7"],
        &["ACK", "(7, 1) (8, 1)"],
        &["ACK", "(7, 1)", "(8, 1)"],
        &["STATUS", "clock"],
        &["STATUS", "clock", "soon"],
        &["STATUS", "above", ""],
        &["STATUS", "applied", "(2, 1)..(1, 1)"],
        &["STATUS", "links", "1"],
        &["STATUS", "links", "x:1"],
        &["STATUS", "server", "2 7"],
        &["STATUS", "server", "two 7 h:1 East"],
        &["(7, 1)", "k", "v"],
        &["(7, 1) x", "k", "v"],
        &["(7, 1) -1", "k", "v"],
        &["(7, 1) 8", "k", "v"],
        &["(7 1) 0", "k", "v"],
        &["(7, 1", "k", "v"],
        &["(7, 1) 0 (6, 2", "k", "v"],
        &["(7, 1) 0 tolled", "k", "v"],
        &["(7, 1) 0 toldly", "k", "v"],
        &["(7, 1) 0"],
        &["(7, 1) 0", "k"],
        &["(7, 1) 0", "k", "v", "k"],
        &["(18446744073709551616, 1) 0", "k", "v"],
    ];
    for words in cases {
        assert!(decode(&frame(words)).is_err(), "{words:?}");
    }
    assert!(decode(b"*3\r\n$8\r\n(7, 1) 0\r\n$-1\r\n$1\r\nv\r\n").is_err(), "a null key");
    assert!(decode(b"*3\r\n$8\r\n(7, 1) 0\r\n$1\r\nk\r\n$1\r\n\xff\r\n").is_err(), "not UTF-8");
    assert!(decode(b"*1\r\n$-1\r\n").is_err(), "a null frame");
}

#[test]
fn malformed_hellos_are_errors() {
    let cases: [&[&str]; 7] = [
        &["PEER"],
        &["PEER", "2", "id", "3", "life", "7", "address", "h:1"],
        &["PEER", "1"],
        &["PEER", "1", "life", "7", "address", "h:1"],
        &["PEER", "1", "id", "3", "address", "h:1"],
        &["PEER", "1", "id", "3", "life", "7"],
        &["PEER", "1", "id", "three", "life", "7", "address", "h:1"],
    ];
    for words in cases {
        assert!(found(&frame(words), Hello::decode).is_err(), "{words:?}");
    }
}

#[test]
fn snapshots_read_as_they_were_written() {
    let applied = || "(1, 1)..(9, 1) (20, 1)..(30, 1)".parse::<Applied>().expect("well formed");
    let mut bytes = Vec::new();
    let mut reads = |write: &dyn Fn(&mut Vec<u8>), expected: snapshot::Frame| {
        bytes.clear();
        write(&mut bytes);
        assert_eq!(decode(&bytes), Ok(Frame::Snapshot(expected)));
    };
    for key in ODD_TEXTS {
        for value in ODD_TEXTS.into_iter().map(Some).chain([None]) {
            let version = v(u64::MAX, u32::MAX);
            let value_there = value.map(str::to_owned);
            let entry = snapshot::Entry { key: key.to_owned(), value: value_there, version };
            let write = |out: &mut Vec<u8>| snapshot::entry_into(out, key, value, version);
            reads(&write, snapshot::Frame::Entry(entry));
        }
    }
    for applied in [Applied::default(), applied()] {
        let offer = snapshot::Frame::Offer(applied.clone());
        reads(&|out| snapshot::offer_into(out, &applied), offer);
        let applied = applied.clone();
        let end = snapshot::End { applied, clock: u64::MAX, floor: 8, entries: 7 };
        reads(&|out| snapshot::end_into(out, &end), snapshot::Frame::End(end.clone()));
    }
    reads(&snapshot::take_into, snapshot::Frame::Take);
    reads(&snapshot::begin_into, snapshot::Frame::Begin);
    let malformed: [&[&str]; 8] = [
        &["OFFER"],
        &["OFFER", "x"],
        &["TAKE", "it"],
        &["SNAPSHOT", "1"],
        &["ENTRY", "(1, 1)", "key"],
        &["ENTRY", "1", "key", "value"],
        &["END", "", "1", "1"],
        &["END", "", "-1", "1", "1"],
    ];
    for words in malformed {
        decode(&frame(words)).expect_err(&format!("{words:?}"));
    }
}

/// What counts for forgetting: before its first write, all that a life will write is above its clock.
#[test]
fn a_record_tells_what_a_life_writes_above() {
    let with = |applied: &str, above| {
        let applied = applied.parse().expect("well formed");
        Status { clock: 50, above, applied, ..status() }.record(1).above
    };
    assert_eq!(with("(1, 1)..(9, 1)", None), None);
    assert_eq!(with("(1, 1)..(9, 1)", Some(20)), Some(50), "it has not written in this life");
    assert_eq!(with("(1, 1)..(9, 1) (21, 1)..(30, 1)", Some(20)), Some(20));
    assert_eq!(with("(1, 1)..(9, 1) (21, 2)..(30, 2)", Some(20)), Some(50));
    assert_eq!(with("", Some(u64::MAX)), Some(u64::MAX));
}
