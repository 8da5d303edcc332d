//! A start: from when on a server takes writes, and what it says until then.

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use causal_kv::server::Options;
use support::{Client, options, start};

const LOADING: &str =
    "-LOADING this server has started and waits to hear from its peers; try again soon";

#[test]
fn a_server_without_peers_takes_writes_from_the_first_moment() {
    for _ in 0..20 {
        let server = start(Options { clock: causal_kv::core::ClockKind::Physical, ..options() });
        assert_eq!(Client::connect(server.address()).line("SET x 1"), "+OK");
        server.stop();
    }
}

#[test]
fn a_server_opens_after_three_seconds_however_many_writes_it_has_to_refuse() {
    // Somebody who takes connections and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let peer = mute.local_addr().expect("it is bound").to_string();
    let server = start(Options { peers: vec![peer], ..options() });
    let began = Instant::now();
    let mut client = Client::connect(server.address());
    assert_eq!(client.line("GET x"), "$-1", "it reads");
    let mut refused = 0;
    while client.line("SET x 1") == LOADING {
        refused += 1;
        assert!(began.elapsed() < Duration::from_secs(8), "it never opens");
    }
    assert!(refused > 100 && began.elapsed() > Duration::from_secs(2), "{refused} refused");
    assert_eq!(client.line("WRITE x 2"), "+replicate x 2 (2, 1)");
    server.stop();
}

#[test]
fn a_write_that_is_refused_is_not_read_behind_it_and_takes_no_dependency_away() {
    let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let peer = mute.local_addr().expect("it is bound").to_string();
    let server = start(Options { peers: vec![peer], ..options() });
    let mut client = Client::connect(server.address());
    client.send(b"SET x 1\r\nGET x\r\nDEL x\r\nWRITE x 1\r\nREAD x\r\nCONTEXT\r\n");
    let replies: Vec<String> = (0..6).map(|_| client.next()).collect();
    assert_eq!(replies, [LOADING, "$-1", LOADING, LOADING, "+missing x", "+"]);
    server.stop();
}
