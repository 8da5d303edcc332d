//! Requests that are long, clients that are slow: they cost what they must and no more.

mod support;

use causal_kv::server::Options;
use support::{Client, array, options, start};

/// `MSET` of so many keys.
fn many(count: usize) -> Vec<u8> {
    let keys: Vec<String> = (0..count).map(|number| format!("key:{number}")).collect();
    let words = ["MSET"].into_iter().chain(keys.iter().flat_map(|key| [key.as_str(), "v"]));
    array(&words.collect::<Vec<_>>())
}

#[test]
fn many_keys_are_deleted_in_one_request_in_no_time() {
    let server = start(options());
    let mut client = Client::connect(server.address());
    client.send(&many(60_000));
    assert_eq!(client.next(), "+OK");
    let keys: Vec<String> = (0..60_000).map(|number| format!("key:{number}")).collect();
    let words = ["DEL", "key:0"].into_iter().chain(keys.iter().map(String::as_str));
    client.send(&array(&words.collect::<Vec<_>>()));
    assert_eq!(client.next(), ":60000");
    assert_eq!(client.line("DBSIZE"), ":0");
    server.stop();
}

#[test]
fn reads_behind_a_write_of_many_keys_do_not_look_through_all_of_them() {
    let server = start(options());
    let mut client = Client::connect(server.address());
    let mut stream = many(60_000);
    stream.extend(b"GET key:7\r\n".repeat(5_000));
    client.send(&stream);
    assert_eq!(client.next(), "+OK");
    for _ in 0..5_000 {
        assert_eq!(client.next(), "$1|v");
    }
    server.stop();
}

#[test]
fn a_short_request_cannot_ask_for_a_reply_without_end() {
    let server = start(options());
    let mut client = Client::connect(server.address());
    assert_eq!(client.array(&["SET", "x", &"v".repeat(16 << 20)]), "+OK");
    let words = ["MGET"].into_iter().chain(std::iter::repeat_n("x", 20_000));
    client.send(&array(&words.collect::<Vec<_>>()));
    assert_eq!(client.next(), "-ERR these values have more than 268435456 bytes");
    assert_eq!(client.line("MGET y"), "*1|$-1");
    let long = "*a".repeat(40_000);
    assert_eq!(client.array(&["KEYS", &long]), "-ERR a pattern may have 65536 bytes");
    assert_eq!(client.array(&["SCAN", "0", "MATCH", &long]), "-ERR a pattern may have 65536 bytes");
    server.stop();
}

#[test]
fn a_client_that_does_not_keep_up_with_its_pushes_is_told_and_closed_and_slows_nobody() {
    let server = start(Options { tail_bytes_max: 4 << 20, ..options() });
    let mut slow = Client::connect(server.address());
    assert_eq!(slow.line("JOIN 1"), "+joined server 1");
    let mut writer = Client::connect(server.address());
    let value = "v".repeat(1 << 20);
    for _ in 0..64 {
        assert_eq!(writer.array(&["SET", "x", &value]), "+OK");
    }
    let mut pushes = 0;
    loop {
        let text = slow.next();
        if text.starts_with("-ERR this client does not keep up with its pushes") {
            break;
        }
        pushes += 1;
        assert!(text.ends_with(&format!("v ({pushes}, 1)")), "in order, until the end");
    }
    assert!(pushes < 64, "the sockets' buffers took it all");
    slow.assert_closed();
    server.stop();
}

#[test]
fn a_client_far_behind_gets_every_push_before_its_reply() {
    let server = start(options());
    let mut slow = Client::connect(server.address());
    assert_eq!(slow.line("JOIN 1"), "+joined server 1");
    let mut writer = Client::connect(server.address());
    let value = "v".repeat(100_000);
    for _ in 0..300 {
        assert_eq!(writer.array(&["SET", "x", &value]), "+OK");
    }
    slow.send(b"CONTEXT\r\n");
    for number in 1..=300 {
        assert!(slow.next().ends_with(&format!("v ({number}, 1)")));
    }
    assert_eq!(slow.next(), "+(300, 1)");
    server.stop();
}

#[test]
fn echo_and_ping_give_back_any_bytes() {
    let server = start(options());
    let mut client = Client::connect(server.address());
    for name in ["ECHO", "PING"] {
        client.send(format!("*2\r\n$4\r\n{name}\r\n$4\r\n").as_bytes());
        client.send(b"\x00\xff\r\n\r\n");
        assert_eq!(client.raw(10), b"$4\r\n\x00\xff\r\n\r\n", "{name}");
    }
    server.stop();
}

#[test]
fn a_pipeline_of_a_hundred_thousand_is_answered_in_order() {
    let server = start(options());
    let mut client = Client::connect(server.address());
    let mut stream = Vec::new();
    for number in 0..50_000 {
        let number = number.to_string();
        stream.extend(array(&["SET", &number, &number]));
        stream.extend(array(&["GET", &number]));
    }
    std::thread::scope(|scope| {
        let mut sender = client.twin();
        scope.spawn(move || sender.send(&stream));
        for number in 0..50_000 {
            assert_eq!(client.next(), "+OK");
            assert!(client.next().ends_with(&format!("|{number}")), "{number}");
        }
    });
    server.stop();
}

#[test]
fn no_reader_sees_half_of_an_mset() {
    let server = start(options());
    let address = server.address();
    std::thread::scope(|scope| {
        let writers = [1, 2].map(|writer| {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                for number in 0..1000 {
                    let value = format!("{writer}-{number}");
                    let pairs = ["MSET", "a", &value, "b", &value, "c", &value];
                    assert_eq!(client.array(&pairs), "+OK");
                }
            })
        });
        let mut client = Client::connect(address);
        while writers.iter().any(|writer| !writer.is_finished()) {
            client.send(b"MGET c a b\r\n");
            let causal_kv::protocol::reply::Reply::Array(values) = client.reply() else {
                panic!("an array was expected")
            };
            assert!(values[0] == values[1] && values[1] == values[2], "{values:?}");
        }
    });
    server.stop();
}
