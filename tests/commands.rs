//! The table of commands, row by row and to the letter: what is asked in a line, and in an array.
//! `|` stands for the line breaks between the parts of a reply.

mod support;

use support::{Client, array, options, start, until};

/// A client of a fresh server that takes writes.
fn fresh() -> (causal_kv::server::Server, Client) {
    let server = start(options());
    let client = Client::connect(server.address());
    (server, client)
}

/// Asks line after line.
fn lines(client: &mut Client, cases: &[(&str, &str)]) {
    for (line, reply) in cases {
        assert_eq!(client.line(line), *reply, "{line}");
    }
}

/// Asks array after array. The words are separated by spaces; `_` in a word stands for a space.
fn arrays(client: &mut Client, cases: &[(&str, &str)]) {
    for (request, reply) in cases {
        let words: Vec<String> = request.split(' ').map(|word| word.replace('_', " ")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(client.array(&words), *reply, "{request}");
    }
}

#[test]
fn write_and_read_answer_a_line_with_a_line() {
    let (server, mut client) = fresh();
    lines(
        &mut client,
        &[
            ("READ x", "+missing x"),
            ("WRITE x lost", "+replicate x lost (1, 1)"),
            ("read x", "+replicate x lost (1, 1)"),
            ("write x found  it \"here\" ", "+replicate x found  it \"here\"  (2, 1)"),
            ("READ x", "+replicate x found  it \"here\"  (2, 1)"),
            ("WRITE 'a key' v", "+replicate a key v (3, 1)"),
            ("WRITE \"a\\nb\" v", "$22|replicate a\nb v (4, 1)"),
            ("READ \"a\\nb\"", "$22|replicate a\nb v (4, 1)"),
            ("READ \"no\\nkey\"", "$14|missing no\nkey"),
            ("DEL x", ":1"),
            ("READ x", "+missing x"),
        ],
    );
    server.stop();
}

#[test]
fn write_and_read_answer_an_array_with_a_frame() {
    let (server, mut client) = fresh();
    arrays(
        &mut client,
        &[
            ("READ x", "*2|$7|missing|$1|x"),
            ("WRITE x lost", "*4|$9|replicate|$1|x|$4|lost|$6|(1, 1)"),
            ("READ x", "*4|$9|replicate|$1|x|$4|lost|$6|(1, 1)"),
            ("WRITE x a\r\nb", "*4|$9|replicate|$1|x|$4|a|b|$6|(2, 1)"),
            ("READ x", "*4|$9|replicate|$1|x|$4|a|b|$6|(2, 1)"),
        ],
    );
    assert_eq!(client.array(&["WRITE", "", ""]), "*4|$9|replicate|$0||$0||$6|(3, 1)");
    assert_eq!(client.array(&["READ", ""]), "*4|$9|replicate|$0||$0||$6|(3, 1)");
    server.stop();
}

#[test]
fn the_commands_of_redis_answer_as_redis_however_they_are_asked() {
    for in_lines in [true, false] {
        let (server, mut client) = fresh();
        let cases = [
            ("SET x 1", "+OK"),
            ("GET x", "$1|1"),
            ("GET y", "$-1"),
            ("MSET a 1 b 2 a 3", "+OK"),
            ("MGET a b c a", "*4|$1|3|$1|2|$-1|$1|3"),
            ("EXISTS a b c a", ":3"),
            ("DBSIZE", ":3"),
            ("STRLEN a", ":1"),
            ("STRLEN c", ":0"),
            ("TYPE a", "+string"),
            ("TYPE c", "+none"),
            ("TTL a", ":-1"),
            ("TTL c", ":-2"),
            ("DEL a c a", ":1"),
            ("DEL a", ":0"),
            ("GET a", "$-1"),
            ("DBSIZE", ":2"),
            ("KEYS [x]", "*1|$1|x"),
            ("KEYS z*", "*0"),
            ("PING", "+PONG"),
            ("PING hi", "$2|hi"),
            ("ECHO hi", "$2|hi"),
            ("SELECT 0", "+OK"),
            ("SELECT 1", "-ERR DB index is out of range: there is only database 0"),
            ("COMMAND", "*0"),
            ("CONFIG GET save", "*2|$4|save|$0|"),
            ("CONFIG GET nothing", "*0"),
            ("CLIENT GETNAME", "$-1"),
            ("CLIENT SETNAME me", "+OK"),
            ("CLIENT GETNAME", "$2|me"),
            ("CLIENT SETINFO lib-name x", "+OK"),
            ("WAIT 0 0", ":0"),
            ("QUIT", "+OK"),
        ];
        if in_lines {
            lines(&mut client, &cases);
        } else {
            arrays(&mut client, &cases);
        }
        client.assert_closed();
        server.stop();
    }
}

#[test]
fn under_resp3_a_nil_and_a_map_have_signs_of_their_own() {
    let (server, mut client) = fresh();
    let hello = client.line("HELLO");
    assert!(hello.starts_with("*14|$6|server|$5|redis|"), "{hello}");
    assert!(client.line("HELLO 2").contains("|$5|proto|:2|"));
    let hello = client.array(&["HELLO", "3", "SETNAME", "me"]);
    assert!(hello.starts_with("%7|$6|server|") && hello.contains("|$5|proto|:3|"), "{hello}");
    lines(
        &mut client,
        &[
            ("GET x", "_"),
            ("MGET x", "*1|_"),
            ("CLIENT GETNAME", "$2|me"),
            ("CONFIG GET appendonly", "%1|$10|appendonly|$2|no"),
            ("READ x", "+missing x"),
        ],
    );
    assert_eq!(client.array(&["READ", "x"]), "*2|$7|missing|$1|x");
    assert!(client.line("CLIENT LIST").contains(" name=me "), "HELLO's name is listed");
    assert!(client.line("HELLO 2").starts_with("*14|"));
    assert_eq!(client.line("GET x"), "$-1");
    assert!(client.line("HELLO 4").starts_with("-NOPROTO "));
    server.stop();
}

#[test]
fn scan_and_keys_tell_every_key_once() {
    let (server, mut client) = fresh();
    for number in 0..500 {
        client.send(&array(&["SET", &format!("key:{number}"), "v"]));
    }
    for _ in 0..500 {
        assert_eq!(client.next(), "+OK");
    }
    let mut found = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        client.send(&array(&["SCAN", &cursor, "MATCH", "key:*", "COUNT", "10", "TYPE", "string"]));
        let causal_kv::protocol::reply::Reply::Array(reply) = client.reply() else {
            panic!("an array was expected")
        };
        found.extend(reply[1].texts().into_iter().map(str::to_owned));
        cursor = reply[0].text().expect("a cursor").to_owned();
        if cursor == "0" {
            break;
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 500);
    client.send(b"KEYS key:*\r\n");
    let mut keys: Vec<String> = client.reply().texts().into_iter().map(str::to_owned).collect();
    keys.sort();
    assert_eq!(keys, found);
    let replies = [
        ("SCAN 0 TYPE list", "*2|$1|1|*0"),
        ("SCAN 99999999999", "*2|$1|0|*0"),
        ("SCAN x", "-ERR invalid cursor"),
        ("SCAN 0 SORT yes", "-ERR syntax error"),
        ("SCAN 0 COUNT x", "-ERR argument 3, 'x', is not an integer or out of range"),
    ];
    lines(&mut client, &replies);
    server.stop();
}

#[test]
fn join_and_the_pushes_behind_it_follow_the_form_that_asked() {
    let (server, mut writer) = fresh();
    let mut line = Client::connect(server.address());
    let mut frames = Client::connect(server.address());
    let mut resp3 = Client::connect(server.address());
    assert_eq!(line.line("JOIN 7"), "+joined server 1");
    assert_eq!(frames.array(&["JOIN", "8"]), "*3|$6|joined|$6|server|$1|1");
    assert!(resp3.line("HELLO 3").starts_with('%'));
    assert_eq!(resp3.array(&["JOIN", "9"]), "*3|$6|joined|$6|server|$1|1");
    assert_eq!(writer.line("WRITE x a b"), "+replicate x a b (1, 1)");
    assert_eq!(writer.line("DEL x"), ":1");
    assert_eq!(writer.array(&["SET", "y", "a\nb"]), "+OK");
    assert_eq!(line.next(), "+replicate x a b (1, 1)");
    assert_eq!(line.next(), "+deleted x (2, 1)");
    assert_eq!(line.next(), "$22|replicate y a\nb (3, 1)");
    for (client, sign) in [(&mut frames, '*'), (&mut resp3, '>')] {
        let write = format!("{sign}5|$4|push|$9|replicate|$1|x|$3|a b|$6|(1, 1)");
        assert_eq!(client.next(), write);
        assert_eq!(client.next(), format!("{sign}4|$4|push|$7|deleted|$1|x|$6|(2, 1)"));
        let write = format!("{sign}5|$4|push|$9|replicate|$1|y|$3|a\nb|$6|(3, 1)");
        assert_eq!(client.next(), write);
    }
    server.stop();
}

#[test]
fn pending_and_servers_are_one_entry_a_line() {
    let server = start(causal_kv::server::Options { name: "West".into(), ..options() });
    let mut client = Client::connect(server.address());
    let row = format!("id=1 name=West address={} link=self applied=(0, 1) lag=0", server.address());
    assert_eq!(client.line("PENDING"), "*0");
    assert_eq!(client.line("SERVERS"), format!("*1|+{row}"));
    assert_eq!(client.array(&["SERVERS"]), format!("*1|${}|{row}", row.len()));
    assert_eq!(client.line("SET x 1"), "+OK");
    assert!(client.line("SERVERS").contains(" applied=(1, 1) "));
    server.stop();
}

#[test]
fn info_tells_what_the_contract_promises() {
    let server = start(causal_kv::server::Options { name: "West".into(), ..options() });
    let mut client = Client::connect(server.address());
    assert_eq!(client.line("MSET a 1 b 2"), "+OK");
    client.send(b"INFO\r\nINFO server\r\n");
    let reply = client.reply();
    let text = reply.text().expect("a text");
    let value = |name: &str| {
        let mut lines = text.split("\r\n").filter_map(|line| line.split_once(':'));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value)
    };
    let expected = [
        ("server_id", "1"),
        ("name", "West"),
        ("order", "causal"),
        ("clock", "logical"),
        ("applied", "(1, 1)"),
        ("keys", "2"),
        ("pending", "0"),
        ("delayed_total", "0"),
        ("updates_local", "1"),
        ("updates_remote", "0"),
        ("connected_clients", "1"),
    ];
    for (name, expected) in expected {
        assert_eq!(value(name), Some(expected), "{name}");
    }
    for name in ["uptime_in_seconds", "used_memory_log"] {
        assert!(value(name).is_some_and(|value| value.parse::<u64>().is_ok()), "{name}");
    }
    server.stop();
}

#[test]
fn faults_need_a_server_of_the_lab() {
    let (server, mut client) = fresh();
    for fault in ["DELAY 2 100", "DELAY 2 100 key", "CUT 2", "HEAL 2"] {
        let refused = "-ERR DELAY, CUT and HEAL need a server that was started with --lab";
        assert_eq!(client.line(fault), refused, "{fault}");
    }
    server.stop();
    let server = start(causal_kv::server::Options { lab: true, ..options() });
    let mut client = Client::connect(server.address());
    for fault in ["DELAY 2 100", "DELAY 2 100 key", "CUT 2", "HEAL 2"] {
        assert_eq!(client.line(fault), "+OK", "{fault}");
    }
    assert_eq!(client.line("CUT 1"), "-ERR a server has no link to itself");
    server.stop();
}

#[test]
fn shutdown_closes_the_connection_and_ends_the_server() {
    let (server, mut client) = fresh();
    client.send(b"SET x 1\r\nSHUTDOWN\r\nSET x 2\r\n");
    assert_eq!(client.next(), "+OK");
    let address = server.address();
    assert_eq!(server.wait(), Ok(()));
    client.assert_closed();
    until("nobody listens any more", || std::net::TcpStream::connect(address).is_err());
}
