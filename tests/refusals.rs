//! Whom a server refuses as a peer: itself, a second server with a live one's id, another clock or
//! order, a clock far ahead, junk. And what it must not refuse.

mod cluster;

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use causal_kv::core::{ClockKind, Version};
use causal_kv::log::Batch;
use causal_kv::protocol::changes::Written;
use causal_kv::protocol::link::{Frame, Head};
use causal_kv::protocol::resp::{ARGUMENTS_MAX, Decoder};
use causal_kv::server::Options;
use cluster::raw;
use cluster::{Node, PATIENCE, addresses, free, linked, mesh, settled, shows, until};

#[test]
fn ones_own_address_among_the_peers_is_ignored() {
    let listener = free();
    let own = listener.local_addr().expect("bound");
    let began = Instant::now();
    // The second name leads to the same server, which only dialling shows.
    let change = |options: &mut Options| {
        options.peers.push(format!("localhost:{}", own.port()));
    };
    let node = Node::start_on(listener, 1, &[own], change);
    linked(node.address, 0);
    assert!(began.elapsed() < Duration::from_secs(2), "nobody is waited for");
    assert_eq!(node.client().call(&["SERVERS"]).texts().len(), 1);
}

#[test]
fn a_second_server_with_a_live_ones_id_gives_up_and_the_first_goes_on() {
    let nodes = mesh(2);
    let began = Instant::now();
    let second = Node::start(1, &[nodes[1].address], |_| {});
    let error = second.client().error(&["SET", "k", "from the impostor"]);
    assert!(error.starts_with("LOADING "), "{error}");
    let why = second.wait().expect_err("it must not go on");
    assert!(why.contains("id 1"), "{why}");
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(9), "{took:?}");
    settled(&addresses(&nodes));
    nodes[0].client().write("k", "from the first");
    shows(nodes[1].address, "k", "from the first");
}

/// They meet directly, without a third. It is the younger that has to go.
#[test]
fn of_two_servers_with_one_id_the_younger_gives_up() {
    let older = Node::start(1, &[], |_| {});
    let younger = Node::start(1, &[older.address], |_| {});
    assert!(younger.wait().is_err());
    older.client().write("k", "v");
}

#[test]
fn a_peer_with_another_clock_or_order_is_refused() {
    let node = Node::start(1, &[], |_| {});
    let logical = Node::start(2, &[node.address], |options| options.clock = ClockKind::Logical);
    until("it takes writes alone", || {
        logical.client().call(&["SET", "k", "v"]).text() == Some("OK")
    });
    assert_eq!(node.client().info()["linked_servers"], "0");
    let mut arrival = raw::hello(3);
    arrival.order = "arrival".to_owned();
    let (_peer, answer) = raw::greet(node.address, &arrival);
    let answer = answer.expect("an answer");
    let text = answer.text().unwrap_or_default();
    assert!(text.starts_with("ERR ") && text.contains("arrival"), "{answer:?}");
}

#[test]
fn a_peer_whose_clock_is_far_ahead_is_refused_and_drags_no_clock() {
    let node = Node::start(1, &[], |_| {});
    linked(node.address, 0);
    let ahead = raw::now_us() + 120_000_000;
    let mut hello = raw::hello(9);
    hello.status.clock = ahead;
    let (_peer, answer) = raw::greet(node.address, &hello);
    let answer = answer.expect("an answer");
    let text = answer.text().unwrap_or_default();
    assert!(text.starts_with("ERR ") && text.contains("ahead"), "{answer:?}");

    let mut peer = raw::link(node.address, &raw::hello(9));
    peer.send_bytes(&raw::update(Version { timestamp: ahead, server: 9 }, 0, &[]));
    while peer.next().is_some() {}
    let mut peer = raw::link(node.address, &raw::hello(9));
    hello.status.clock = u64::MAX;
    peer.send_bytes(&raw::status(&hello.status));
    while peer.next().is_some() {}
    let version = node.client().write("k", "v");
    assert!(version.timestamp <= raw::now_us(), "{version}");
    assert_eq!(node.client().get(&format!("raw-{ahead}")), None);
}

#[test]
fn junk_on_a_link_closes_it_and_harms_nobody() {
    let node = Node::start(1, &[], |_| {});
    linked(node.address, 0);
    let now = raw::now_us();
    let v = |timestamp, server| Version { timestamp, server };
    let forked = [
        raw::update(v(now - 50, 9), 0, &[]),
        raw::update(v(now - 40, 9), now - 50, &[]),
        raw::update(v(now - 30, 9), now - 50, &[]),
    ];
    let junk: [Vec<u8>; 9] = [
        b"*1\r\n$5\r\nHELLO\r\n".to_vec(),
        b"GET k\r\n".to_vec(),
        b"*2\r\n$3\r\nACK\r\n$4\r\nnone\r\n".to_vec(),
        b"*2\r\n$7\r\n(1, 9) \r\n$1\r\nk\r\n".to_vec(),
        b"*3\r\n$10\r\n(10, 9) 11\r\n$1\r\nk\r\n$1\r\nv\r\n".to_vec(),
        b"*3\r\n$-1\r\n$1\r\nk\r\n$1\r\nv\r\n".to_vec(),
        b"*-7\r\n$$$\r\n\x00\xff".to_vec(),
        raw::update(v(now, 9), 0, &[v(now + 1, 8)]),
        forked.concat(),
    ];
    for (number, junk) in junk.iter().enumerate() {
        let mut peer = raw::link(node.address, &raw::hello(9));
        peer.send_bytes(junk);
        let deadline = Instant::now() + PATIENCE;
        while peer.next().is_some() {
            assert!(Instant::now() < deadline, "junk {number} left the link open");
            peer.send_bytes(&raw::status(&raw::hello(9).status));
        }
        node.client().write("k", "the server goes on");
    }
    linked(node.address, 0);
}

/// The peer that said so is gone; a start must not wait for its word for ever.
#[test]
fn a_start_forgets_that_its_id_was_taken_when_nobody_says_so_any_more() {
    let listener = free();
    let address = listener.local_addr().expect("bound");
    let node = Node::start(1, &[address], |_| {});
    let (mut peer, _) = listener.accept().expect("it dials");
    drop(listener);
    let mut hello = [0; 4096];
    let length = peer.read(&mut hello).expect("its hello");
    let hello = String::from_utf8_lossy(&hello[..length]).into_owned();
    let life = hello.lines().skip_while(|line| *line != "life").nth(2).expect("its life");
    let refusal = format!("-DUPLICATE 1 {life} a live server has this id\r\n");
    peer.write_all(refusal.as_bytes()).expect("it listens");
    drop(peer);
    linked(node.address, 0);
}

#[test]
fn a_peer_that_sends_junk_is_dialled_ever_more_seldom() {
    let listener = free();
    let _node = Node::start(1, &[listener.local_addr().expect("bound")], |_| {});
    let mut answer = Vec::new();
    raw::hello(9).encode_into(&mut answer);
    answer.extend_from_slice(b"*1\r\n$4\r\njunk\r\n");
    let until = Instant::now() + Duration::from_secs(2);
    listener.set_nonblocking(true).expect("a socket");
    let mut dialled = 0;
    while Instant::now() < until {
        if let Ok((mut peer, _)) = listener.accept() {
            dialled += 1;
            peer.write_all(&answer).expect("it reads");
        }
        thread::sleep(Duration::from_millis(5));
    }
    assert!((2..8).contains(&dialled), "{dialled} times in two seconds");
}

/// A client may delete as many keys as a request has arguments; in an update each has a null
/// beside it. If peers refused that update, nothing behind it would ever arrive.
#[test]
fn the_largest_delete_passes_over_a_link() {
    let keys: Vec<String> = (0..ARGUMENTS_MAX - 1).map(|number| number.to_string()).collect();
    let mut batch = Batch::default();
    let version = Version { timestamp: 1, server: 1 };
    let head =
        Head { version, predecessor: 0, told: false, dependencies: &[], dependency_keys: &[] };
    let changes = Written::new(keys.iter().map(|key| (key.as_str(), None)));
    batch.push(head, changes.changes());
    let mut decoder = Decoder::default();
    decoder.expect_peer();
    decoder.extend(batch.frames());
    let found = decoder.next_request().expect("well framed").expect("it is whole");
    let Ok(Frame::Update(update)) = Frame::decode(found) else { panic!("not an update") };
    assert_eq!(update.changes.len(), keys.len());
}

/// Rule R4: a start writes above every clock that it was told of, though physical time is not there.
#[test]
fn a_start_waits_for_its_peers_clocks_and_writes_above_them() {
    let listener = free();
    let began = Instant::now();
    let node = Node::start(1, &[listener.local_addr().expect("bound")], |_| {});
    let (mut peer, _) = listener.accept().expect("it dials");
    let mut hello = raw::hello(9);
    hello.status.clock = raw::now_us() + 30_000_000;
    let mut answer = Vec::new();
    hello.encode_into(&mut answer);
    peer.write_all(&answer).expect("it reads");
    let mut client = node.client();
    until("writes", || {
        let _ = peer.write_all(&raw::status(&hello.status));
        client.call(&["SET", "k", "v"]).text() == Some("OK")
    });
    assert!(began.elapsed() >= Duration::from_millis(2900), "it waits, but three seconds at most");
    let version = client.write("k", "v");
    assert!(version.timestamp > hello.status.clock, "{version}");
}
