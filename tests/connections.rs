//! Connections that come, stay, misbehave and go; and a server that stops under them.

mod support;

use std::time::{Duration, Instant};

use causal_kv::server::Options;
use support::{Client, array, options, start, until};

#[test]
fn one_connection_too_many_is_told_so_and_a_place_is_free_again_after_a_close() {
    let server = start(Options { connections_max: 3, ..options() });
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(server.address())).collect();
    for client in &mut clients {
        assert_eq!(client.line("PING"), "+PONG");
    }
    for _ in 0..3 {
        let mut refused = Client::connect(server.address());
        assert_eq!(refused.next(), "-ERR max number of clients reached");
        refused.assert_closed();
    }
    assert_eq!(clients[0].line("PING"), "+PONG", "those who are in stay in");
    drop(clients.pop());
    until("a place is free", || {
        let mut client = Client::connect(server.address());
        client.try_send(b"PING\r\n");
        client.try_next().is_some_and(|reply| reply == "+PONG")
    });
    server.stop();
}

#[test]
fn a_server_stops_at_once_under_clients_of_every_kind() {
    let server = start(options());
    let address = server.address();
    let idle: Vec<Client> = (0..20).map(|_| Client::connect(address)).collect();
    let mut joined = Client::connect(address);
    assert_eq!(joined.line("JOIN 1"), "+joined server 1");
    let mut waiting = Client::connect(address);
    waiting.send(b"SET x 1\r\nWAIT 1 0\r\n");
    assert_eq!(waiting.next(), "+OK");
    let mut after = Client::connect(address);
    after.send(b"PING\r\nAFTER (99, 1) TIMEOUT 60000\r\n");
    assert_eq!(after.next(), "+PONG");
    let mut half = Client::connect(address);
    half.send(b"*2\r\n$3\r\nGET\r\n$1");
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(joined.next(), "+replicate x 1 (1, 1)");
    for client in idle.into_iter().chain([joined, waiting, after, half]) {
        client.assert_closed();
    }
}

#[test]
fn a_server_stops_soon_under_a_client_that_reads_nothing() {
    let server = start(options());
    let mut client = Client::connect(server.address());
    assert_eq!(client.array(&["SET", "x", &"v".repeat(1 << 20)]), "+OK");
    client.send(&b"GET x\r\n".repeat(64));
    let mut other = Client::connect(server.address());
    assert_eq!(other.line("SET y 1"), "+OK", "it slows nobody");
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn writes_under_way_are_answered_when_the_server_stops() {
    let server = start(options());
    let mut client = Client::connect(server.address());
    let value = "v".repeat(100);
    let stream: Vec<u8> =
        (0..100).flat_map(|number| array(&["SET", &number.to_string(), &value])).collect();
    client.send(&stream);
    assert_eq!(client.next(), "+OK");
    server.stop();
    for number in 1..100 {
        assert_eq!(client.next(), "+OK", "{number}");
    }
    client.assert_closed();
}

#[test]
fn a_client_that_closes_its_half_still_gets_its_replies() {
    let server = start(options());
    let mut client = Client::connect(server.address());
    client.send(b"SET x 1\r\nGET x\r\nREAD x\r\n");
    client.finish();
    assert_eq!([client.next(), client.next()], ["+OK", "$1|1"]);
    assert_eq!(client.next(), "+replicate x 1 (1, 1)");
    client.assert_closed();
    server.stop();
}

#[test]
fn a_client_that_sends_byte_by_byte_is_understood() {
    let server = start(options());
    let mut client = Client::connect(server.address());
    let stream = [&array(&["SET", "x", "a\r\nb"])[..], b"GET x\r\n\r\nREAD x\r\n"].concat();
    for byte in stream {
        client.send(&[byte]);
    }
    assert_eq!([client.next(), client.next()], ["+OK", "$4|a|b"]);
    assert_eq!(client.next(), "$23|replicate x a|b (1, 1)");
    server.stop();
}

#[test]
fn junk_closes_its_own_connection_and_nothing_else() {
    let server = start(options());
    let mut steady = Client::connect(server.address());
    let mut state = 7u64;
    for _ in 0..300 {
        let mut client = Client::connect(server.address());
        let junk: Vec<u8> = (0..200)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state.to_be_bytes()[0]
            })
            .collect();
        client.try_send(&junk);
        client.try_send(b"*1\r\n:1\r\n");
    }
    assert_eq!(steady.line("PING"), "+PONG");
    until("the others are gone", || steady.line("INFO").contains("|connected_clients:1|"));
    server.stop();
}

#[test]
fn five_hundred_clients_are_served_side_by_side() {
    let server = start(options());
    let mut clients: Vec<Client> = (0..500).map(|_| Client::connect(server.address())).collect();
    for client in &mut clients {
        client.send(b"SET x 1\r\nGET x\r\n");
    }
    for client in &mut clients {
        assert_eq!([client.next(), client.next()], ["+OK", "$1|1"]);
    }
    assert!(clients[0].line("INFO").contains("|connected_clients:500|"));
    drop(clients);
    let mut last = Client::connect(server.address());
    until("they are gone", || last.line("INFO").contains("|connected_clients:1|"));
    server.stop();
}
