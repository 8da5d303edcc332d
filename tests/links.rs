//! Links between servers: how they are made, kept to one, broken and made again, and relayed round.

mod cluster;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use causal_kv::core::Version;
use causal_kv::protocol::link::Linked;
use causal_kv::server::Options;
use cluster::client::Client;
use cluster::proxy::Proxy;
use cluster::raw;
use cluster::{Enough, Node, PATIENCE, addresses, converged, free, linked, settled, shows, until};

/// Two servers whose only link, which the second dials, leads through a proxy.
fn proxied() -> (Node, Node, Proxy) {
    let one = Node::start(1, &[], |options| options.discovery = false);
    let proxy = Proxy::to(one.address);
    let two = Node::start(2, &[proxy.address], |options| options.discovery = false);
    settled(&[one.address, two.address]);
    (one, two, proxy)
}

/// Writes at both servers while `misbehave` plays with the proxy, then checks that a client of the
/// other server was pushed each write once, in the order in which they were made.
fn survives(misbehave: impl FnOnce(&Proxy)) {
    let (one, two, proxy) = proxied();
    let (mut at_one, mut at_two) = (Client::joined(one.address), Client::joined(two.address));
    let done = AtomicBool::new(false);
    let write_all = |address: SocketAddr, key: &str| {
        let mut client = Client::connect(address);
        let mut written = Vec::new();
        while !done.load(Ordering::SeqCst) {
            written.push(client.write(key, &written.len().to_string()));
            thread::sleep(Duration::from_millis(2));
        }
        written
    };
    let (of_one, of_two) = thread::scope(|scope| {
        let enough = Enough(&done);
        let of_one = scope.spawn(|| write_all(one.address, "a"));
        let of_two = scope.spawn(|| write_all(two.address, "b"));
        misbehave(&proxy);
        drop(enough);
        (of_one.join().expect("it writes"), of_two.join().expect("it writes"))
    });
    for client in [&mut at_one, &mut at_two] {
        let mut pushed: BTreeMap<String, Vec<Version>> = BTreeMap::new();
        for _ in 0..of_one.len() + of_two.len() {
            let (key, _, version) = client.push();
            pushed.entry(key).or_default().push(version);
        }
        assert_eq!(pushed["a"], of_one);
        assert_eq!(pushed["b"], of_two);
    }
    converged(&[one.address, two.address]);
    assert!(at_one.pushes.is_empty() && at_two.pushes.is_empty(), "nothing is pushed twice");
    for node in [&one, &two] {
        let total: usize = ["updates_local", "updates_remote"]
            .map(|name| node.client().info()[name].parse::<usize>().expect("a number"))
            .iter()
            .sum();
        assert_eq!(total, of_one.len() + of_two.len(), "each update is applied once");
    }
}

#[test]
fn a_link_that_breaks_again_and_again_loses_nothing_and_shows_nothing_twice() {
    survives(|proxy| {
        for _ in 0..15 {
            proxy.cut();
            thread::sleep(Duration::from_millis(80));
        }
    });
}

#[test]
fn a_link_that_crumbles_every_frame_loses_nothing() {
    survives(|proxy| {
        proxy.crumble(true);
        thread::sleep(Duration::from_millis(500));
        proxy.crumble(false);
    });
}

#[test]
fn a_link_that_is_silent_for_three_seconds_is_made_again() {
    survives(|proxy| {
        proxy.stall(true);
        thread::sleep(Duration::from_millis(3600));
        proxy.stall(false);
        until("the new link", || proxy.live() == 1);
    });
}

#[test]
fn a_silent_link_counts_as_down_after_three_seconds() {
    let (one, _two, proxy) = proxied();
    let mut client = one.client();
    proxy.stall(true);
    let began = Instant::now();
    until("link=down", || client.line_about(2).contains("link=down"));
    let noticed = began.elapsed();
    assert!(noticed >= Duration::from_millis(2400), "heartbeats come twice a second: {noticed:?}");
    assert!(noticed < Duration::from_millis(3800), "{noticed:?}");
}

#[test]
fn when_both_sides_dial_exactly_one_link_stays() {
    let listeners = [free(), free()];
    let addresses = listeners.each_ref().map(|l| l.local_addr().expect("bound"));
    let proxies = addresses.map(Proxy::to);
    let mut nodes = Vec::new();
    for (index, listener) in listeners.into_iter().enumerate() {
        let other = proxies[1 - index].address;
        let id = u32::try_from(index + 1).expect("small");
        nodes.push(Node::start_on(listener, id, &[other], |options| options.discovery = false));
    }
    settled(&addresses);
    for round in 0..5 {
        let made: usize = proxies.iter().map(Proxy::made).sum();
        // Both sides lose the link at the same moment, and dial at the same moment.
        proxies.iter().for_each(Proxy::cut);
        until("a new link", || proxies.iter().map(Proxy::made).sum::<usize>() > made);
        settled(&addresses);
        nodes[0].client().write("k", &round.to_string());
        shows(addresses[1], "k", &round.to_string());
        let live = || proxies.iter().map(Proxy::live).sum::<usize>();
        until("one connection", || live() == 1);
        let end = Instant::now() + Duration::from_millis(100);
        while Instant::now() < end {
            assert_eq!(live(), 1, "and no other is made");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Two connections at the same moment: both sides must decide alike, or they close both for ever.
#[test]
fn of_two_connections_the_one_dialled_by_the_lower_id_stays() {
    for (other, own_dial_stays) in [(1, false), (3, true)] {
        let listener = free();
        let node = Node::start(2, &[listener.local_addr().expect("bound")], |_| {});
        let (dialled, _) = listener.accept().expect("it dials");
        let mut dialled = Client::over(dialled);
        let asked = dialled.next().expect("its hello");
        assert_eq!(asked.texts()[0], "PEER");
        let hello = raw::hello(other);
        let accepted = raw::link(node.address, &hello);
        let mut answer = Vec::new();
        hello.encode_into(&mut answer);
        dialled.send_bytes(&answer);
        let (mut stays, mut goes) =
            if own_dial_stays { (dialled, accepted) } else { (accepted, dialled) };
        while goes.next().is_some() {}
        for _ in 0..3 {
            stays.send_bytes(&raw::status(&hello.status));
            assert!(stays.next().is_some(), "{other} dialled, or was: the wrong link was closed");
        }
        linked(node.address, 1);
        if own_dial_stays {
            let (_peer, answer) = raw::greet(node.address, &hello);
            let answer = answer.expect("an answer");
            assert!(answer.text().is_some_and(|text| text.starts_with("LINKED 2 ")), "{answer:?}");
        }
    }
}

#[test]
fn naming_one_live_server_joins_the_whole_mesh() {
    let mut nodes: Vec<Node> = Vec::new();
    for id in 1..=5 {
        let last: Vec<SocketAddr> = nodes.last().map(|node| node.address).into_iter().collect();
        nodes.push(Node::start(id, &last, |_| {}));
    }
    settled(&addresses(&nodes));
    for (index, node) in nodes.iter().enumerate() {
        node.client().write(&format!("from {index}"), "v");
    }
    assert_eq!(converged(&addresses(&nodes)).len(), 1 + 5);
}

/// The servers may start in any order: the first names only servers that are not there yet.
#[test]
fn peers_that_come_later_are_found() {
    let later = free();
    let address = later.local_addr().expect("bound");
    drop(later);
    let one = Node::start(1, &[address], |_| {});
    thread::sleep(Duration::from_millis(200));
    let listener = std::net::TcpListener::bind(address).expect("it was free a moment ago");
    let two = Node::start_on(listener, 2, &[], |_| {});
    settled(&[one.address, two.address]);
}

#[test]
fn without_discovery_a_line_of_servers_relays() {
    let quiet = |options: &mut Options| options.discovery = false;
    let mut nodes: Vec<Node> = vec![Node::start(1, &[], quiet)];
    for id in 2..=4 {
        let last = nodes[nodes.len() - 1].address;
        nodes.push(Node::start(id, &[last], quiet));
    }
    for (node, links) in nodes.iter().zip([1, 2, 2, 1]) {
        linked(node.address, links);
    }
    nodes[0].client().write("there", "v");
    nodes[3].client().write("back", "v");
    shows(nodes[3].address, "there", "v");
    shows(nodes[0].address, "back", "v");
    assert_eq!(nodes[0].client().line_about(3), "", "nobody told 1 of 3");
    converged(&addresses(&nodes));
}

/// What a server relays follows from what the receiver says about its links, and ends with it.
#[test]
fn a_relay_starts_and_stops_with_what_the_receiver_says_of_its_links() {
    let nodes = cluster::mesh(2);
    let mut hello = raw::hello(9);
    let any = Linked { life: 5, above: Some(6) };
    hello.status.links = BTreeMap::from([(1, any), (2, any)]);
    let mut peer = raw::link(nodes[1].address, &hello);
    let mut writer = nodes[0].client();
    let linked = writer.write("k", "9 has a link to 1");
    let heard = |peer: &mut Client, within_ms: u64| {
        let until = Instant::now() + Duration::from_millis(within_ms);
        let mut heard = Vec::new();
        while Instant::now() < until {
            peer.send_bytes(&raw::status(&hello.status));
            let frame = peer.next().expect("the link stays");
            let first = frame.texts().first().map(ToString::to_string).unwrap_or_default();
            let version = first.rsplit_once(')').and_then(|(v, _)| format!("{v})").parse().ok());
            heard.extend(version.filter(|v: &Version| v.server == 1));
        }
        heard
    };
    assert_eq!(heard(&mut peer, 1600), [], "1 supplies it");
    let mut alone = raw::hello(9);
    alone.who.life = hello.who.life;
    alone.status.links = BTreeMap::from([(2, any)]);
    peer.send_bytes(&raw::status(&alone.status));
    let began = Instant::now();
    let relayed = loop {
        assert!(began.elapsed() < PATIENCE, "never relayed");
        peer.send_bytes(&raw::status(&alone.status));
        let frame = peer.next().expect("the link stays");
        if frame.texts()[0].starts_with(&linked.to_string()) {
            break began.elapsed();
        }
    };
    assert!(relayed < Duration::from_secs(2), "{relayed:?}");
    peer.send_bytes(&raw::status(&hello.status));
    thread::sleep(Duration::from_millis(700));
    writer.write("k", "9 has a link to 1 again");
    let late = heard(&mut peer, 1200);
    assert!(late.iter().all(|&version| version <= linked), "{late:?}");
}

/// `0.0.0.0` is no address to dial: told on, it would lead everybody to themselves.
#[test]
fn a_server_that_listens_everywhere_is_known_by_the_address_it_was_seen_at() {
    let everywhere = || std::net::TcpListener::bind("0.0.0.0:0").expect("there is a free port");
    let at = |node: &Node| SocketAddr::from(([127, 0, 0, 1], node.address.port()));
    let one = Node::start_on(everywhere(), 1, &[], |_| {});
    let two = Node::start_on(everywhere(), 2, &[at(&one)], |_| {});
    settled(&[at(&one), at(&two)]);
    for (of, id, known) in [(&one, 2, &two), (&two, 1, &one)] {
        let line = Client::connect(at(of)).line_about(id);
        assert!(line.contains(&format!(" address={} ", at(known))), "{line}");
    }
}

#[test]
fn a_stop_does_not_wait_for_a_peer_that_never_answers_the_hello() {
    let silent = free();
    let node = Node::start(1, &[silent.local_addr().expect("bound")], |_| {});
    let _dialled = silent.accept().expect("it dials");
    let began = Instant::now();
    drop(node);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
