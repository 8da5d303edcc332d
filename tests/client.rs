//! The client library against servers in this process.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use causal_kv::Client;
use causal_kv::client::history::{History, Operation};
use causal_kv::client::{Deletion, Error, Event, Options};
use causal_kv::core::Version;
use causal_kv::protocol::encode::line_into;
use causal_kv::protocol::reply::Reply;
use causal_kv::server::{Options as ServerOptions, Server};

const PATIENCE: Duration = Duration::from_secs(10);

/// A server on a free port that knows of `peers`.
fn server(id: u32, peers: &[SocketAddr]) -> Server {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    let mut options = ServerOptions::new(id);
    options.peers = peers.iter().map(ToString::to_string).collect();
    options.lab = true;
    Server::start(listener, options).expect("a server starts")
}

fn options(addresses: &[SocketAddr]) -> Options {
    Options::new(addresses.iter().map(ToString::to_string).collect())
}

fn client(addresses: &[SocketAddr]) -> Client {
    Client::connect(options(addresses)).expect("a server answers")
}

/// Waits until `server` and another one are linked: `WAIT` counts the links before any write.
fn linked(server: &Server) {
    let mut client = client(&[server.address()]);
    let deadline = Instant::now() + PATIENCE;
    while client.request(&["WAIT", "1", "100"]) != Ok(Reply::Integer(1)) {
        assert!(Instant::now() < deadline, "the servers do not find each other");
    }
}

fn next(client: &mut Client) -> Event {
    client.next_event(PATIENCE).expect("the server lives").expect("something comes in time")
}

fn push(key: &str, value: Option<&str>, version: Version) -> Event {
    Event::Push { key: key.to_owned(), value: value.map(str::to_owned), version }
}

#[test]
fn writes_reads_and_deletes_have_versions() {
    let server = server(1, &[]);
    let mut client = client(&[server.address()]);
    assert_eq!(client.read("x"), Ok(None));
    assert_eq!(client.context(), Ok(vec![]));
    let version = client.write("x", "two\nlines").expect("it is written");
    assert_eq!(client.read("x"), Ok(Some(("two\nlines".to_owned(), version))));
    assert_eq!(client.kept_context(), [version]);
    let Ok(Deletion::Deleted(Some(deleted))) = client.delete("x") else {
        panic!("x was there, and nothing came between");
    };
    assert!(deleted > version);
    assert_eq!(client.kept_context(), [deleted]);
    assert_eq!(client.delete("x"), Ok(Deletion::Missing));
    assert_eq!(client.read("x"), Ok(None));
    assert!(
        matches!(client.request(&["BOGUS"]), Err(Error::Refused(text)) if text.contains("BOGUS"))
    );
    assert!(matches!(client.request(&["HELLO", "2"]), Err(Error::Refused(_))));
    let missing = Version::from((u64::MAX, 1));
    let waited = client.after(&[missing], Duration::from_millis(1));
    assert_eq!(waited, Err(Error::NotYet(missing)));
    server.stop();
}

#[test]
fn values_that_look_like_a_push_are_an_answer() {
    let server = server(1, &[]);
    let mut client = client(&[server.address()]);
    client.join("1").expect("it joins");
    let words = ["push", "replicate", "k", "v", "(1, 1)"];
    for (key, word) in ["a", "b", "c", "d", "e"].into_iter().zip(words) {
        client.write(key, word).expect("it is written");
    }
    let reply = client.request(&["MGET", "a", "b", "c", "d", "e"]).expect("it answers");
    assert_eq!(reply.texts(), words);
    assert_eq!(client.next_event(Duration::ZERO), Ok(None), "and own writes are not pushed");
    server.stop();
}

#[test]
fn pushes_come_in_order_and_are_seen() {
    let server = server(1, &[]);
    let (mut reader, mut writer) = (client(&[server.address()]), client(&[server.address()]));
    reader.join("reader").expect("it joins");
    let mut expected = Vec::new();
    for number in 0..100 {
        let value = number.to_string();
        let version = writer.write("x", &value).expect("it is written");
        expected.push(push("x", Some(&value), version));
    }
    let Ok(Deletion::Deleted(Some(deleted))) = writer.delete("x") else { panic!("x is there") };
    expected.push(push("x", None, deleted));
    // What was pushed before an answer comes before it, what comes later comes later.
    assert_eq!(reader.read("x"), Ok(None));
    let mut events: Vec<Event> = reader.earlier_events().collect();
    assert_eq!(events.last(), expected.last(), "the read shows the delete, so it was pushed");
    let version = writer.write("y", "later").expect("it is written");
    expected.push(push("y", Some("later"), version));
    events.push(next(&mut reader));
    assert_eq!(events, expected);
    assert!(reader.kept_context().contains(&version), "a push is a read");
    server.stop();
}

#[test]
fn a_long_context_of_pushes_is_shortened() {
    let server = server(1, &[]);
    let (mut reader, mut writer) = (client(&[server.address()]), client(&[server.address()]));
    reader.join("reader").expect("it joins");
    let mut last = None;
    for number in 0..500 {
        last = writer.write("x", &number.to_string()).ok();
    }
    let mut count = 0;
    while count < 500 {
        next(&mut reader);
        count += 1;
    }
    let deadline = Instant::now() + PATIENCE;
    while reader.kept_context().len() > 64 && Instant::now() < deadline {
        assert_eq!(reader.next_event(Duration::from_millis(10)), Ok(None));
    }
    assert!(reader.kept_context().len() <= 64, "one version stands for a chain");
    assert!(reader.kept_context().contains(&last.expect("it is written")));
    server.stop();
}

#[test]
fn a_failover_carries_the_context_and_joins_again() {
    let west = server(1, &[]);
    let east = server(2, &[west.address()]);
    linked(&west);
    let mut session = client(&[west.address(), east.address()]);
    session.join("1").expect("it joins");
    let version = session.write("x", "lost").expect("it is written");
    assert_eq!(session.request(&["WAIT", "1", "5000"]), Ok(Reply::Integer(1)));
    let east_address = east.address().to_string();
    west.stop();
    assert_eq!(next(&mut session), Event::Moved(east_address.clone()));
    assert_eq!(session.server(), east_address);
    assert_eq!(session.context(), Ok(vec![version]), "the new session depends on the old one's");
    assert_eq!(session.read("x"), Ok(Some(("lost".to_owned(), version))));
    let other = client(&[east.address()]).write("y", "found").expect("it is written");
    assert_eq!(next(&mut session), push("y", Some("found"), other), "it has joined there, too");
    east.stop();
}

#[test]
fn what_died_with_its_server_is_missing_everywhere() {
    let (west, east) = (server(1, &[]), server(2, &[]));
    let servers = [west.address(), east.address()];
    let patience = Duration::from_millis(300);
    let mut session = Client::connect(Options { patience, ..options(&servers) }).expect("west");
    let version = session.write("x", "lost").expect("it is written");
    west.stop();
    assert_eq!(session.read("x"), Err(Error::Missing(version)));
    assert_eq!(session.write("x", "again"), Err(Error::Missing(version)), "it was not tried");
    assert!(!session.is_connected());
    session.start_over().expect("east answers");
    assert_eq!(session.read("x"), Ok(None));
    assert_eq!(session.kept_context(), []);
    east.stop();
    assert!(matches!(session.read("x"), Err(Error::Unreachable { .. })));
}

#[test]
fn a_server_that_is_behind_is_not_gone_to() {
    let west = server(1, &[]);
    let east = server(2, &[west.address()]);
    linked(&west);
    let mut control = client(&[west.address()]);
    control.request(&["DELAY", "2", "600000"]).expect("it is a lab");
    let servers = [west.address(), east.address()];
    let patience = Duration::from_millis(300);
    let mut session = Client::connect(Options { patience, ..options(&servers) }).expect("west");
    let version = session.write("x", "lost").expect("it is written");
    west.stop();
    assert_eq!(session.read("x"), Err(Error::Missing(version)));
    east.stop();
}

/// A way to a server that can be broken while the server lives.
fn breakable(to: SocketAddr) -> (SocketAddr, thread::JoinHandle<[TcpStream; 2]>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    let accept = move || {
        let (near, _) = listener.accept().expect("the client comes");
        let far = TcpStream::connect(to).expect("the server listens");
        for (from, to) in [(&near, &far), (&far, &near)] {
            let mut from = from.try_clone().expect("there are descriptors");
            let mut to = to.try_clone().expect("there are descriptors");
            thread::spawn(move || io::copy(&mut from, &mut to));
        }
        [near, far]
    };
    (address, thread::spawn(accept))
}

#[test]
fn nothing_older_than_what_was_seen_is_pushed_after_a_move() {
    let west = server(1, &[]);
    let east = server(2, &[west.address()]);
    linked(&west);
    client(&[west.address()]).request(&["DELAY", "2", "500"]).expect("it is a lab");
    let (address, way) = breakable(west.address());
    let mut session = client(&[address, east.address()]);
    session.join("1").expect("it joins");
    session.write("x", "old").expect("it is written");
    let version = session.write("x", "new").expect("it is written");
    for stream in way.join().expect("it has accepted") {
        stream.shutdown(Shutdown::Both).expect("it is open");
    }
    // East has neither yet. Had the session joined before it waited, both would be pushed.
    assert_eq!(next(&mut session), Event::Moved(east.address().to_string()));
    assert_eq!(session.read("x"), Ok(Some(("new".to_owned(), version))));
    assert_eq!(session.earlier_events().next(), None);
    west.stop();
    east.stop();
}

/// A server for one client that greets, and then, for each request with its `CONTEXT`, says what
/// the script has. Behind the last it goes away.
fn scripted(script: Vec<String>) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    let play = move || {
        let (mut stream, _) = listener.accept().expect("the client comes");
        drop(listener);
        expect(&mut stream, "HELLO");
        stream.write_all(b"*0\r\n").expect("the client listens");
        for answer in script {
            expect(&mut stream, "CONTEXT");
            stream.write_all(answer.as_bytes()).expect("the client listens");
        }
    };
    (address, thread::spawn(play))
}

/// A server that takes one request and goes away without an answer.
fn deserter() -> (SocketAddr, thread::JoinHandle<()>) {
    scripted(vec![String::new()])
}

fn expect(stream: &mut TcpStream, word: &str) {
    let mut input = String::new();
    let mut bytes = [0; 1024];
    while !input.contains(word) {
        let count = stream.read(&mut bytes).expect("the client speaks");
        assert!(count > 0, "the client left before it said {word}");
        input.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
}

#[test]
fn a_write_in_flight_is_unknown_and_not_repeated() {
    let (address, deserter) = deserter();
    let east = server(2, &[]);
    let mut session = client(&[address, east.address()]);
    let written = session.write("x", "lost");
    let Err(error @ Error::Unknown { .. }) = written else { panic!("{written:?}") };
    assert!(error.to_string().contains("unknown"), "{error}");
    deserter.join().expect("it heard the write");
    assert_eq!(session.read("x"), Ok(None), "nobody repeated the write");
    assert_eq!(session.server(), east.address().to_string());
    east.stop();
}

#[test]
fn a_read_in_flight_is_repeated() {
    let (address, deserter) = deserter();
    let east = server(2, &[]);
    let version = client(&[east.address()]).write("x", "found").expect("it is written");
    let mut session = client(&[address, east.address()]);
    assert_eq!(session.read("x"), Ok(Some(("found".to_owned(), version))));
    deserter.join().expect("it heard the read");
    east.stop();
}

#[test]
fn what_came_behind_an_answer_is_not_told_before_it() {
    let pushed = |key: &str| {
        format!(">5\r\n$4\r\npush\r\n$9\r\nreplicate\r\n$1\r\n{key}\r\n$1\r\nv\r\n$6\r\n(7, 1)\r\n")
    };
    let answer = "*2\r\n$7\r\nmissing\r\n$1\r\nx\r\n";
    let answer =
        |before: &str, behind: &str| pushed(before) + answer + &pushed(behind) + "$6\r\n(7, 1)\r\n";
    let script = vec![answer("a", "b") + &pushed("c"), answer("d", "e") + &pushed("f")];
    let (address, server) = scripted(script);
    let mut session = client(&[address]);
    let event = |key: &str| push(key, Some("v"), Version::from((7, 1)));
    assert_eq!(session.read("x"), Ok(None));
    assert_eq!(session.earlier_events().collect::<Vec<_>>(), [event("a")]);
    assert_eq!(session.read("x"), Ok(None));
    let earlier: Vec<Event> = session.earlier_events().collect();
    assert_eq!(earlier, ["b", "c", "d"].map(event));
    server.join().expect("it said all");
    assert_eq!([next(&mut session), next(&mut session)], ["e", "f"].map(event));
}

#[test]
fn a_write_that_comes_too_early_is_repeated() {
    let refused = "-LOADING this server has started\r\n$0\r\n\r\n".to_owned();
    let written = "*4\r\n$9\r\nreplicate\r\n$1\r\nx\r\n$1\r\nv\r\n$6\r\n(7, 1)\r\n$6\r\n(7, 1)\r\n";
    let (address, server) = scripted(vec![refused.clone(), refused, written.to_owned()]);
    assert_eq!(client(&[address]).write("x", "v"), Ok(Version::from((7, 1))));
    server.join().expect("it was asked three times");
}

#[test]
fn something_that_is_no_server_is_an_error() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    let garbage = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the client comes");
        let mut out = b"\n".to_vec();
        line_into(&mut out, "HTTP/1.1 400 Bad Request");
        stream.write_all(&out).expect("the client listens");
        // Only now may the connection end.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let tried = Client::connect(Options { patience: Duration::ZERO, ..options(&[address]) });
    assert!(matches!(tried, Err(Error::Unreachable { why }) if why.contains("empty line")));
    garbage.join().expect("it said its part");
}

#[test]
fn a_password_is_asked_for() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    let mut settings = ServerOptions::new(1);
    settings.password = Some("sesame".to_owned());
    let server = Server::start(listener, settings).expect("a server starts");
    for (password, allowed) in [(None, false), (Some("open"), false), (Some("sesame"), true)] {
        let mut options = options(&[server.address()]);
        options.password = password.map(str::to_owned);
        options.name = "Alice".to_owned();
        match Client::connect(options) {
            Ok(mut client) => {
                assert!(allowed, "{password:?}");
                let name = client.request(&["CLIENT", "GETNAME"]);
                assert_eq!(name, Ok(Reply::Bulk("Alice".to_owned())));
            }
            Err(error) => assert!(!allowed && matches!(error, Error::Denied(_)), "{error}"),
        }
    }
    server.stop();
}

#[test]
fn a_history_has_a_line_for_each_operation() {
    let path = std::env::temp_dir().join(format!("causal-kv-history-{}", std::process::id()));
    let path = path.to_str().expect("a temporary path is text");
    let mut history = History::append(path, "7").expect("it can be written");
    let version = Version::from((9, 1));
    let operations = [
        Operation::Write { key: "k", value: "a \"b\"\n=c\\", version },
        Operation::Read { key: "k", found: Some(("", version)) },
        Operation::Read { key: "k", found: None },
        Operation::Delete { key: "k", version: Some(version) },
        Operation::Delete { key: "k", version: None },
        Operation::Push { key: "k", value: Some("v"), version },
        Operation::Push { key: "k", value: None, version },
        Operation::Unknown { key: "k", value: Some("v") },
        Operation::Unknown { key: "k", value: None },
    ];
    for operation in operations {
        history.record(operation).expect("it can be written");
    }
    let text = std::fs::read_to_string(path).expect("it is there, as each line is flushed");
    std::fs::remove_file(path).expect("it is there");
    let lines: Vec<&str> = text.lines().collect();
    let tails: Vec<&str> =
        lines.iter().map(|line| &line[line.find("op=").expect("each has one")..]).collect();
    let expected = [
        r#"op=write key="k" value="a \"b\"\n=c\\" version="(9, 1)""#,
        r#"op=read key="k" value="" version="(9, 1)""#,
        r#"op=read key="k""#,
        r#"op=delete key="k" version="(9, 1)""#,
        r#"op=delete key="k""#,
        r#"op=push key="k" value="v" version="(9, 1)""#,
        r#"op=push key="k" version="(9, 1)""#,
        r#"op=unknown key="k" value="v""#,
        r#"op=unknown key="k""#,
    ];
    assert_eq!(tails, expected);
    assert!(lines.iter().all(|line| line.starts_with("time=") && line.contains(" session=\"7@")));
}
