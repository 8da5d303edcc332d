//! Requests that are refused: what the error says, and whether the connection goes on.

mod support;

use causal_kv::server::{Options, Server};
use support::{Client, array, options, start};

fn fresh() -> (Server, Client) {
    let server = start(options());
    let client = Client::connect(server.address());
    (server, client)
}

#[test]
fn an_unknown_command_is_named_with_its_arguments() {
    let (server, mut client) = fresh();
    let unknown = "-ERR unknown command 'lpush', with args beginning with: 'a' 'b' 'c' ";
    assert_eq!(client.line("lpush a b c d"), unknown);
    assert_eq!(client.array(&["lpush", "a", "b", "c", "d"]), unknown);
    assert_eq!(client.line("x"), "-ERR unknown command 'x'");
    assert_eq!(client.array(&[""]), "-ERR unknown command ''");
    assert_eq!(client.array(&["a\r\nb"]), "-ERR unknown command 'a\\r\\nb'");
    let long = client.array(&[&"x".repeat(100_000)]);
    assert!(long.len() < 200, "{} bytes", long.len());
    client.assert_silent();
    server.stop();
}

#[test]
fn a_wrong_number_of_arguments_is_told_with_the_commands_name() {
    let (server, mut client) = fresh();
    let wrong = [
        "WRITE",
        "WRITE x",
        "READ",
        "READ x y",
        "SET",
        "SET x",
        "GET",
        "GET x y",
        "MGET",
        "MSET",
        "MSET x",
        "MSET x 1 y",
        "DEL",
        "EXISTS",
        "DBSIZE x",
        "STRLEN",
        "TYPE",
        "TTL",
        "SCAN",
        "KEYS",
        "JOIN",
        "JOIN 1 2",
        "CONTEXT x",
        "WAIT",
        "WAIT 1",
        "PENDING x",
        "SERVERS x",
        "DELAY 1",
        "CUT",
        "HEAL",
        "PING a b",
        "ECHO",
        "AUTH",
        "AUTH a b c",
        "SELECT",
        "CONFIG",
        "CLIENT",
    ];
    for line in wrong {
        let name = line.split(' ').next().expect("a name").to_lowercase();
        let error = format!("-ERR wrong number of arguments for '{name}' command");
        assert_eq!(client.line(line), error, "{line}");
    }
    assert_eq!(
        client.array(&["WRITE", "x", "a", "b"]),
        "-ERR wrong number of arguments for 'write' command"
    );
    server.stop();
}

#[test]
fn an_option_of_set_is_named_and_nothing_is_written() {
    let (server, mut client) = fresh();
    for option in ["EX 10", "NX", "px 5", "KEEPTTL", "GET"] {
        let name = option.split(' ').next().expect("a name");
        let error = client.line(&format!("SET x 1 {option}"));
        assert!(error.starts_with("-ERR "), "{error}");
        assert!(error.contains(&format!("'{name}'")) && error.contains("not supported"), "{error}");
    }
    assert_eq!(client.line("GET x"), "$-1");
    server.stop();
}

#[test]
fn text_that_is_not_utf_8_is_refused_and_the_connection_goes_on() {
    let (server, mut client) = fresh();
    for request in [
        "*3\r\n$3\r\nSET\r\n$1\r\n?\r\n$1\r\nv\r\n",
        "*2\r\n$3\r\nGET\r\n$1\r\n?\r\n",
        "SET x ?\r\n",
    ] {
        let bytes: Vec<u8> =
            request.bytes().map(|byte| if byte == b'?' { 0xff } else { byte }).collect();
        client.send(&bytes);
        let error = client.next();
        assert!(error.starts_with("-ERR argument ") && error.contains("not UTF-8"), "{error}");
    }
    assert_eq!(client.line("SET ключ \"\\xd0\\x96\""), "+OK");
    assert_eq!(client.line("GET ключ"), "$2|Ж");
    server.stop();
}

#[test]
fn a_key_may_have_64_kib() {
    let (server, mut client) = fresh();
    let longest = "k".repeat(64 * 1024);
    let longer = "k".repeat(64 * 1024 + 1);
    assert_eq!(client.array(&["SET", &longest, "1"]), "+OK");
    assert_eq!(client.array(&["GET", &longest]), "$1|1");
    let error = "-ERR the key has 65537 bytes; a key may have 65536";
    for request in [["GET", &longer].as_slice(), &["SET", &longer, "1"], &["DEL", "x", &longer]] {
        assert_eq!(client.array(request), error, "{}", request[0]);
    }
    assert_eq!(client.line("DBSIZE"), ":1");
    server.stop();
}

#[test]
fn a_value_may_have_16_mib() {
    let (server, mut client) = fresh();
    let mut value = "v".repeat(16 << 20);
    assert_eq!(client.array(&["SET", "x", &value]), "+OK");
    assert_eq!(client.line("STRLEN x"), ":16777216");
    assert_eq!(client.array(&["GET", "x"]), format!("$16777216|{value}"));
    value.push('v');
    let request = array(&["SET", "x", &value]);
    client.send(&request);
    client.send(b"STRLEN x\r\n");
    let error = client.next();
    assert!(
        error.starts_with("-ERR argument 2 has 16777217 bytes; a value may have 16777216"),
        "{error}"
    );
    assert_eq!(client.next(), ":16777216", "the connection goes on, and nothing was written");
    server.stop();
}

#[test]
fn broken_framing_is_told_behind_all_replies_and_closes() {
    let (server, mut client) = fresh();
    client.send(b"SET x 1\r\nGET x\r\n*1\r\n:1\r\n");
    assert_eq!([client.next(), client.next()], ["+OK", "$1|1"]);
    assert_eq!(client.next(), "-ERR Protocol error: expected '$', got ':'");
    client.assert_closed();
    for (stream, error) in [
        ("SET \"x\r\n", "unbalanced quotes in request"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*2000000\r\n", "invalid multibulk length"),
    ] {
        let mut client = Client::connect(server.address());
        client.send(stream.as_bytes());
        assert_eq!(client.next(), format!("-ERR Protocol error: {error}"));
        client.assert_closed();
    }
    server.stop();
}

#[test]
fn what_a_browser_sends_closes_the_connection_unanswered() {
    let (server, _) = fresh();
    for request in ["POST / HTTP/1.1\r\n", "Host: localhost:60001\r\nSET x 1\r\n"] {
        let mut client = Client::connect(server.address());
        client.send(request.as_bytes());
        client.assert_closed();
    }
    let mut client = Client::connect(server.address());
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nSET x 1\r\n");
    assert_eq!(client.next(), "-ERR wrong number of arguments for 'get' command");
    client.assert_closed();
    assert_eq!(Client::connect(server.address()).line("DBSIZE"), ":0");
    server.stop();
}

#[test]
fn with_a_password_nothing_but_logging_in_is_answered() {
    let server = start(Options { password: Some("open sesame".to_owned()), ..options() });
    let mut client = Client::connect(server.address());
    for line in ["GET x", "SET x 1", "PING", "JOIN 1", "INFO", "SHUTDOWN", "PEER 1", "CLIENT ID"] {
        assert_eq!(client.line(line), "-NOAUTH Authentication required.", "{line}");
    }
    assert!(client.line("HELLO 3").starts_with("-NOAUTH "));
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.";
    for login in [["AUTH", "sesame"].as_slice(), &["AUTH", "root", "open sesame"], &["AUTH", ""]] {
        assert_eq!(client.array(login), wrong);
    }
    assert_eq!(client.array(&["HELLO", "3", "AUTH", "default", "sesame"]), wrong);
    assert_eq!(client.line("PING"), "-NOAUTH Authentication required.");
    assert_eq!(client.array(&["AUTH", "open sesame"]), "+OK");
    assert_eq!(client.line("SET x 1"), "+OK");
    let mut client = Client::connect(server.address());
    assert!(client.array(&["HELLO", "3", "AUTH", "default", "open sesame"]).starts_with("%7|"));
    assert_eq!(client.line("GET x"), "$1|1");
    let mut client = Client::connect(server.address());
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$20000\r\n");
    assert_eq!(client.next(), "-ERR Protocol error: unauthenticated bulk length");
    client.assert_closed();
    let mut client = Client::connect(server.address());
    assert_eq!(client.array(&["AUTH", "default", "open sesame"]), "+OK");
    assert_eq!(client.array(&["SET", "x", &"v".repeat(20_000)]), "+OK", "friends get room");
    server.stop();
}

#[test]
fn auth_without_a_password_to_check_is_an_error() {
    let (server, mut client) = fresh();
    assert!(client.line("AUTH x").starts_with("-ERR AUTH called without any password"));
    assert_eq!(client.line("QUIT"), "+OK");
    client.assert_closed();
    server.stop();
}

#[test]
fn other_errors_say_what_would_be_right() {
    let (server, mut client) = fresh();
    for (line, error) in [
        ("SELECT x", "-ERR invalid DB index"),
        ("CONFIG SET save x", "-ERR only CONFIG GET pattern is supported"),
        (
            "CLIENT SETNAME \"a b\"",
            "-ERR Client names cannot contain spaces, newlines or special characters.",
        ),
        ("WAIT x 0", "-ERR argument 1, 'x', is not an integer or out of range"),
        ("PEER 2", "-ERR Protocol error: this server speaks version 1 of the link protocol"),
    ] {
        assert_eq!(client.line(line), error, "{line}");
    }
    server.stop();
}
