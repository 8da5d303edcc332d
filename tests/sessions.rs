//! What a session depends on, and in which order it is told: `CONTEXT`, `AFTER`, `WAIT`, pushes and
//! pipelines.

mod support;

use std::time::{Duration, Instant};

use causal_kv::server::{Options, Server};
use support::{Client, array, options, start, until};

/// A fresh server and two clients.
fn two() -> (Server, Client, Client) {
    let server = start(options());
    let (one, two) = (Client::connect(server.address()), Client::connect(server.address()));
    (server, one, two)
}

#[test]
fn whatever_shows_a_version_puts_it_into_the_context() {
    let (server, mut writer, _) = two();
    assert_eq!(writer.line("WRITE x 1"), "+replicate x 1 (1, 1)");
    assert_eq!(writer.line("SET other 1"), "+OK");
    let shows = ["GET x", "READ x", "MGET y x", "EXISTS x", "STRLEN x", "TYPE x", "TTL x"];
    for show in shows {
        let mut client = Client::connect(server.address());
        assert_eq!(client.line("CONTEXT"), "+");
        assert_eq!(client.array(&["CONTEXT"]), "$0|");
        client.line(show);
        assert_eq!(client.line("CONTEXT"), "+(1, 1)", "{show}");
        assert_eq!(client.array(&["CONTEXT"]), "$6|(1, 1)");
    }
    for show in ["KEYS nothing", "SCAN 0", "DBSIZE"] {
        let mut client = Client::connect(server.address());
        client.send(format!("{show}\r\n").as_bytes());
        client.reply();
        assert_eq!(client.line("CONTEXT"), "+(2, 1)", "{show} shows all that is applied");
    }
    for monitors in ["INFO", "PENDING", "SERVERS", "PING", "GET nothing"] {
        let mut client = Client::connect(server.address());
        client.line(monitors);
        assert_eq!(client.line("CONTEXT"), "+", "{monitors}");
    }
    server.stop();
}

#[test]
fn a_nil_that_hides_a_delete_is_a_dependency() {
    let (server, mut writer, mut reader) = two();
    assert_eq!(writer.line("SET x 1"), "+OK");
    assert_eq!(writer.line("DEL x"), ":1");
    assert_eq!(writer.line("SET y 1"), "+OK");
    for show in ["GET x", "READ x", "MGET x", "EXISTS x", "DEL x"] {
        let mut client = Client::connect(server.address());
        client.line(show);
        assert_eq!(client.line("CONTEXT"), "+(2, 1)", "{show}");
    }
    assert_eq!(reader.line("READ x"), "+missing x");
    assert_eq!(reader.line("CONTEXT"), "+(2, 1)");
    server.stop();
}

#[test]
fn a_write_replaces_the_context_by_its_own_version() {
    let (server, mut writer, mut client) = two();
    assert_eq!(writer.line("SET x 1"), "+OK");
    let cases = [
        ("WRITE y 1", "(2, 1)"),
        ("SET y 2", "(3, 1)"),
        ("MSET y 3 z 3", "(4, 1)"),
        ("DEL y", "(5, 1)"),
    ];
    for (write, version) in cases {
        client.line("GET x");
        client.line(write);
        assert_eq!(client.line("CONTEXT"), format!("+{version}"), "{write}");
    }
    server.stop();
}

#[test]
fn a_write_takes_over_what_was_seen_of_other_servers() {
    let one = start(options());
    let peers = vec![one.address().to_string()];
    let two = start(Options { id: 2, peers, ..options() });
    let mut writer = Client::connect(two.address());
    until("server 2 takes writes", || writer.line("SET x 1") == "+OK");
    let mut client = Client::connect(one.address());
    until("it has come over", || client.line("GET x") == "$1|1");
    assert_eq!(client.line("CONTEXT"), "+(1, 2)");
    assert_eq!(client.line("WRITE y 1"), "+replicate y 1 (2, 1)");
    assert_eq!(client.line("CONTEXT"), "+(2, 1)");
    client.line("GET x");
    assert_eq!(client.line("CONTEXT"), "+(2, 1) (1, 2)");
    client.send(b"SET y 2\r\nGET x\r\nSET y 3\r\nCONTEXT\r\n");
    let replies = [client.next(), client.next(), client.next(), client.next()];
    assert_eq!(replies, ["+OK", "$1|1", "+OK", "+(4, 1)"]);
    two.stop();
    one.stop();
}

#[test]
fn a_delete_of_nothing_makes_no_update() {
    let (server, mut client, _) = two();
    assert_eq!(client.line("DEL x y"), ":0");
    assert_eq!(client.line("CONTEXT"), "+");
    assert_eq!(client.line("WRITE x 1"), "+replicate x 1 (1, 1)");
    assert_eq!(client.line("DEL x x"), ":1");
    assert_eq!(client.line("DEL x"), ":0");
    assert_eq!(client.line("WRITE x 2"), "+replicate x 2 (3, 1)");
    server.stop();
}

#[test]
fn after_answers_when_all_is_applied_and_joins_the_context() {
    let (server, mut writer, mut client) = two();
    assert_eq!(client.line("AFTER"), "+OK");
    assert_eq!(client.line("AFTER TIMEOUT 5"), "+OK");
    assert_eq!(client.line("AFTER ''"), "+OK");
    assert_eq!(client.line("CONTEXT"), "+");
    writer.line("SET x 1");
    writer.line("SET x 2");
    assert_eq!(client.line("AFTER (1,1)"), "+OK");
    assert_eq!(client.line("CONTEXT"), "+(1, 1)");
    assert_eq!(client.array(&["AFTER", "(1, 1) (2,1)", "(2, 1)"]), "+OK");
    assert_eq!(client.line("after (2, 1) ( 1 , 1 ) timeout 0"), "+OK");
    assert_eq!(client.line("CONTEXT"), "+(2, 1)");
    server.stop();
}

#[test]
fn after_says_what_is_missing_when_the_time_is_over() {
    let (server, mut writer, mut client) = two();
    writer.line("SET x 1");
    assert_eq!(client.line("AFTER (1, 1) (7, 1) (8, 1) TIMEOUT 0"), "-NOTYET (7, 1)");
    let began = Instant::now();
    assert_eq!(client.line("AFTER (7, 1) TIMEOUT 100"), "-NOTYET (7, 1)");
    assert!(began.elapsed() >= Duration::from_millis(100));
    let began = Instant::now();
    assert_eq!(client.line("AFTER (7, 1)"), "-NOTYET (7, 1)");
    assert!((900..5000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert_eq!(client.line("CONTEXT"), "+", "what was not reached is no dependency");
    server.stop();
}

#[test]
fn after_refuses_what_cannot_come() {
    let (server, mut client, _) = two();
    let began = Instant::now();
    assert_eq!(client.line("AFTER (7, 9)"), "-ERR no server 9 has ever been heard of here");
    for bad in
        ["AFTER 7", "AFTER (7, 1", "AFTER (7, 1) TIMEOUT x", "AFTER TIMEOUT", "AFTER (1, 1) x"]
    {
        assert!(client.line(bad).starts_with("-ERR "), "{bad}");
    }
    assert!(began.elapsed() < Duration::from_millis(900), "at once");
    server.stop();
}

#[test]
fn a_waiting_after_is_answered_when_the_write_comes() {
    let (server, mut writer, mut client) = two();
    client.send(b"AFTER (3, 1) TIMEOUT 8000\r\nGET x\r\n");
    for _ in 0..3 {
        assert_eq!(writer.line("SET x 1"), "+OK");
    }
    assert_eq!((client.next(), client.next()), ("+OK".into(), "$1|1".into()));
    server.stop();
}

#[test]
fn what_after_waited_for_is_pushed_before_its_reply() {
    let (server, mut writer, mut client) = two();
    assert_eq!(client.line("JOIN 1"), "+joined server 1");
    for round in 1..=50 {
        client.send(format!("AFTER ({round}, 1) TIMEOUT 8000\r\n").as_bytes());
        client.send(b"CONTEXT\r\n");
        assert_eq!(writer.line("SET x 1"), "+OK");
        assert_eq!(client.next(), format!("+replicate x 1 ({round}, 1)"));
        assert_eq!(client.next(), "+OK", "round {round}");
        assert_eq!(client.next(), format!("+({round}, 1)"));
    }
    server.stop();
}

#[test]
fn wait_counts_the_peers_and_gives_up_in_time() {
    let (server, mut client, _) = two();
    assert_eq!(client.line("WAIT 3 0"), ":0", "no write yet: the peers that are linked");
    client.line("SET x 1");
    assert_eq!(client.line("WAIT 0 0"), ":0");
    let began = Instant::now();
    assert_eq!(client.line("WAIT 1 50"), ":0");
    assert!(began.elapsed() >= Duration::from_millis(50));
    assert!(client.line("WAIT -1 0").starts_with("-ERR "));
    server.stop();
}

#[test]
fn a_client_that_leaves_while_it_waits_is_noticed() {
    let server = start(options());
    let mut monitor = Client::connect(server.address());
    let connected = |monitor: &mut Client, count: usize| {
        monitor.line("INFO").contains(&format!("|connected_clients:{count}|"))
    };
    for behind in ["", "PING\r\nGET x\r\n"] {
        let mut client = Client::connect(server.address());
        client.send(b"SET x 1\r\n");
        assert_eq!(client.next(), "+OK");
        client.send(b"WAIT 1 0\r\n");
        until("it is connected", || connected(&mut monitor, 2));
        // What is sent while it waits must not hide that it left.
        client.send(behind.as_bytes());
        until("it is connected", || connected(&mut monitor, 2));
        drop(client);
        until("it is noticed", || connected(&mut monitor, 1));
    }
    server.stop();
}

#[test]
fn an_own_write_is_answered_and_not_pushed() {
    let (server, mut other, mut client) = two();
    assert_eq!(client.line("JOIN 1"), "+joined server 1");
    assert_eq!(client.line("JOIN 1"), "+joined server 1", "once more changes nothing");
    client.send(b"WRITE x 1\r\nSET x 2\r\nMSET x 3 y 3\r\nDEL x y\r\nDEL x\r\n");
    for reply in ["+replicate x 1 (1, 1)", "+OK", "+OK", ":2", ":0"] {
        assert_eq!(client.next(), reply);
    }
    client.assert_silent();
    assert_eq!(other.line("MSET x 5 y 5"), "+OK");
    assert_eq!(client.next(), "+replicate x 5 (5, 1)");
    assert_eq!(client.next(), "+replicate y 5 (5, 1)");
    assert_eq!(client.line("CONTEXT"), "+(5, 1)", "a push is a read");
    server.stop();
}

/// The number at the end of a version's timestamp in `+replicate key value (ts, id)`.
fn timestamp(text: &str) -> u64 {
    let (_, version) = text.rsplit_once('(').expect("a version");
    version.split(',').next().and_then(|number| number.parse().ok()).expect("a timestamp")
}

#[test]
fn pushes_and_replies_come_in_one_order() {
    let server = start(options());
    let address = server.address();
    let mut client = Client::connect(address);
    assert_eq!(client.line("JOIN 1"), "+joined server 1");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = Client::connect(address);
            for number in 0..2000 {
                assert_eq!(writer.line(&format!("SET x {number}")), "+OK");
            }
        });
        let (mut last, mut replies, mut pushes) = (0, 0, 0);
        while last < 2000 {
            client.send(b"GET x\r\nGET x\r\nREAD x\r\nECHO e\r\n");
            loop {
                let text = client.next();
                if text == "$1|e" {
                    break;
                }
                if text == "+missing x" || text == "$-1" {
                    assert_eq!(last, 0);
                    continue;
                }
                if let Some((_, number)) = text.split_once('|') {
                    // The first of these writes has timestamp 1.
                    assert_eq!(number.parse(), Ok(last - 1), "{text} behind {last}");
                    continue;
                }
                // A reply shows what was pushed last; a push shows what was never shown before.
                let shown = timestamp(&text);
                assert!(shown == last || shown == last + 1, "{text} behind {last}");
                if shown == last {
                    replies += 1;
                } else {
                    pushes += 1;
                }
                last = shown;
            }
        }
        assert!(replies > 1 && pushes == 2000, "{replies} replies, {pushes} pushes");
    });
    server.stop();
}

#[test]
fn a_pipeline_sees_its_own_writes_and_is_answered_in_order() {
    let (server, mut client, _) = two();
    let requests: [(&[&str], &str); 14] = [
        (&["SET", "x", "1"], "+OK"),
        (&["GET", "x"], "$1|1"),
        (&["SET", "x", "2"], "+OK"),
        (&["GET", "x"], "$1|2"),
        (&["MGET", "x", "y"], "*2|$1|2|$-1"),
        (&["DEL", "x", "y"], ":1"),
        (&["GET", "x"], "$-1"),
        (&["WRITE", "x", "3"], "*4|$9|replicate|$1|x|$1|3|$6|(4, 1)"),
        (&["STRLEN", "x"], ":1"),
        (&["MSET", "x", "4", "y", "4", "x", "5"], "+OK"),
        (&["GET", "x"], "$1|5"),
        (&["NONSENSE"], "-ERR unknown command 'NONSENSE'"),
        (&["CONTEXT"], "$6|(5, 1)"),
        (&["DBSIZE"], ":2"),
    ];
    let stream: Vec<u8> = requests.iter().flat_map(|(words, _)| array(words)).collect();
    client.send(&stream);
    for (words, reply) in requests {
        assert_eq!(client.next(), reply, "{words:?}");
    }
    server.stop();
}

/// Reads that follow each other are looked up in one go: they must be answered, and seen, before what
/// comes behind them.
#[test]
fn a_run_of_reads_is_answered_in_order_and_before_what_follows() {
    let (server, mut other, mut client) = two();
    for number in 0..50 {
        other.array(&["SET", &format!("k{number}"), &number.to_string()]);
    }
    let followers: [(&[&str], &str); 6] = [
        (&["PING"], "+PONG"),
        (&["SET", "x", "1"], "+OK"),
        (&["NONSENSE"], "-ERR unknown command 'NONSENSE'"),
        (&["GET"], "-ERR wrong number of arguments for 'get' command"),
        (&["MGET", "k1"], "*1|$1|1"),
        (&["STRLEN", "k10"], ":2"),
    ];
    for run in [1, 2, 15, 16, 17, 40] {
        for (follower, reply) in followers {
            let mut stream = Vec::new();
            for number in 0..run {
                stream.extend(array(&["GET", &format!("k{number}")]));
            }
            stream.extend(array(&["GET", "none"]));
            stream.extend(array(follower));
            client.send(&stream);
            for number in 0..run {
                assert!(client.next().ends_with(&format!("|{number}")), "{number} of {run}");
            }
            assert_eq!((client.next(), client.next()), ("$-1".into(), reply.into()));
        }
    }
    let long = "v".repeat(100 << 10);
    other.array(&["SET", "long", &long]);
    client.send(&array(&["GET", "long"]).repeat(14));
    client.send(&array(&["GET", "k3"]));
    for _ in 0..14 {
        assert_eq!(client.next(), format!("${}|{long}", long.len()));
    }
    assert_eq!(client.next(), "$1|3");
    client.send(b"GET k0\r\nGET k49\r\nGET none\r\n*1\r\n:");
    assert_eq!([client.next(), client.next(), client.next()], ["$1|0", "$2|49", "$-1"]);
    assert_eq!(client.next(), "-ERR Protocol error: expected '$', got ':'");
    server.stop();
}

#[test]
fn a_run_of_reads_before_a_write_is_its_dependency() {
    let (server, mut other, mut client) = two();
    for key in ["x", "y", "z"] {
        other.line(&format!("SET {key} 1"));
    }
    client.send(b"GET x\r\nGET z\r\nGET y\r\nCONTEXT\r\n");
    let replies = [client.next(), client.next(), client.next(), client.next()];
    assert_eq!(replies, ["$1|1", "$1|1", "$1|1", "+(3, 1)"]);
    server.stop();
}

#[test]
fn a_read_before_a_write_in_one_pipeline_is_its_dependency_and_one_behind_it_is_not() {
    let (server, mut other, mut client) = two();
    other.line("SET x 1");
    client.send(b"GET x\r\nSET y 1\r\nGET x\r\nCONTEXT\r\n");
    let replies = [client.next(), client.next(), client.next(), client.next()];
    assert_eq!(replies, ["$1|1", "+OK", "$1|1", "+(2, 1)"], "one chain, one entry");
    client.send(b"SET y 2\r\nGET x\r\nDEL nothing\r\nCONTEXT\r\n");
    let replies = [client.next(), client.next(), client.next(), client.next()];
    assert_eq!(replies, ["+OK", "$1|1", ":0", "+(3, 1)"]);
    server.stop();
}
