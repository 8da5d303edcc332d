//! What servers forget: deletes, updates that can never be shown, and servers that do not come back
//! (rules R8 to R10).

mod cluster;

use causal_kv::core::{Applied, Version};
use causal_kv::protocol::link::Status;
use causal_kv::protocol::reply::Reply;
use causal_kv::protocol::snapshot::{End, begin_into, end_into, entry_into};
use causal_kv::server::Options;
use cluster::client::Client;
use cluster::folder::Folder;
use cluster::process::Process;
use cluster::{
    FOREVER_MS, Node, addresses, converged, forgotten, free, linked, mesh, raw, settled, shows,
    until,
};

fn v(timestamp: u64, server: u32) -> Version {
    Version { timestamp, server }
}

/// A few looks of a server that could forget.
fn looks() {
    std::thread::sleep(std::time::Duration::from_millis(2_500));
}

#[test]
fn a_delete_is_forgotten_when_all_have_it() {
    let nodes = mesh(3);
    let mut one = nodes[0].client();
    for n in 0..100 {
        one.write(&format!("k{n}"), "v");
    }
    for n in 0..100 {
        assert_eq!(one.integer(&["DEL", &format!("k{n}")]), 1);
    }
    one.write("done", "yes");
    for node in &nodes {
        shows(node.address, "done", "yes");
        forgotten(node.address);
        assert_eq!(node.client().read("k7"), None);
    }
    // Who joins now does not get them back, nor does anybody else.
    let four = Node::start(4, &[nodes[1].address], |_| {});
    shows(four.address, "done", "yes");
    assert_eq!(converged(&[nodes[0].address, four.address]).len(), 1 + 1);
}

#[test]
fn a_lone_server_forgets_its_deletes() {
    let node = Node::start(1, &[], |_| {});
    let mut client = node.client();
    client.write("k", "v");
    assert_eq!(client.integer(&["DEL", "k"]), 1);
    forgotten(node.address);
}

#[test]
fn while_a_server_is_down_its_deletes_are_kept_until_it_is_forgotten() {
    let mut nodes = mesh(3);
    let three = nodes.pop().expect("there are three");
    let address = three.address;
    drop(three);
    let mut one = nodes[0].client();
    one.write("k", "v");
    assert_eq!(one.integer(&["DEL", "k"]), 1);
    looks();
    assert_eq!(one.info()["deletes_kept"], "1");
    assert_eq!(one.error(&["FORGET", "7"]), "ERR server 7 is not known; SERVERS lists all");
    assert_eq!(one.error(&["FORGET", "1"]), "ERR a server cannot forget itself; ask another one");
    assert_eq!(
        one.error(&["FORGET", "2"]),
        "ERR server 2 is alive: server 1 is linked to it; SHUTDOWN it first"
    );
    assert_eq!(
        one.error(&["FORGET", "x"]),
        "ERR argument 1, 'x', is not an integer or out of range"
    );
    one.ok(&["FORGET", "3"]);
    for node in &nodes {
        forgotten(node.address);
        assert!(!node.client().call(&["SERVERS"]).texts().iter().any(|l| l.contains("id=3")));
    }
    assert_eq!(one.error(&["FORGET", "3"]), "ERR server 3 is forgotten already");
    // It may come back without its data, as a new server.
    let listener = std::net::TcpListener::bind(address).expect("it is free again");
    let three = Node::start_on(listener, 3, &[nodes[0].address], |_| {});
    linked(three.address, 2);
    three.client().write("new", "from 3");
    shows(nodes[1].address, "new", "from 3");
}

/// One that is linked to another server only is alive, too.
#[test]
fn a_server_that_another_is_linked_to_is_not_forgotten() {
    let nodes = mesh(3);
    let mut one = nodes[0].client();
    one.ok(&["CUT", "3"]);
    nodes[2].client().ok(&["CUT", "1"]);
    until("the cut", || one.line_about(3).contains("link=down"));
    assert_eq!(
        one.error(&["FORGET", "3"]),
        "ERR server 3 is alive: server 2 is linked to it; SHUTDOWN it first"
    );
}

/// A server comes back with its data although it was forgotten: it is told, puts its data aside and
/// takes the cluster's state. What was deleted and forgotten meanwhile does not come back with it.
#[test]
fn who_returns_though_forgotten_begins_anew() {
    let folder = Folder::create("forgotten");
    let data = folder.path("three");
    let nodes = mesh(2);
    let with_data = ["--data-dir", &data, "--fsync", "always"];
    let three = Process::start(3, 0, &addresses(&nodes), &with_data);
    let port = three.address.port();
    let all = [nodes[0].address, nodes[1].address, three.address];
    settled(&all);
    nodes[0].client().write("k", "old");
    shows(three.address, "k", "old");
    // Nobody hears of this write.
    let both = |word: &str| {
        for node in &nodes {
            node.client().ok(&[word, "3"]);
        }
    };
    both("CUT");
    three.client().write("lonely", "from 3");
    three.kill();
    both("HEAL");
    nodes[0].client().ok(&["FORGET", "3"]);
    assert_eq!(nodes[0].client().integer(&["DEL", "k"]), 1);
    nodes[0].client().write("done", "yes");
    forgotten(nodes[0].address);
    shows(nodes[1].address, "done", "yes");
    let three = Process::start(3, port, &addresses(&nodes), &with_data);
    // It closes its connections when it is told.
    let shows_done = || {
        let mut client = Client::try_connect(three.address).ok()?;
        client.send(&["GET", "done"]);
        Some(client.try_reply()?.text() == Some("yes"))
    };
    until("the cluster's state", || shows_done() == Some(true));
    settled(&all);
    assert_eq!(converged(&all).len(), 1 + 1, "neither k nor what nobody had heard of");
    let aside = std::fs::read_dir(&data).expect("it is there").flatten();
    let aside: Vec<_> = aside.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    three.client().write("new", "from 3");
    shows(nodes[1].address, "new", "from 3");
    // The new data is its own, and is there after another restart.
    three.kill();
    let three = Process::start(3, port, &addresses(&nodes), &with_data);
    shows(three.address, "new", "from 3");
    settled(&all);
}

/// After a restart with data, a server still knows for whom it has to wait.
#[test]
fn a_restart_does_not_forget_who_is_known() {
    let folder = Folder::create("known");
    let listener = free();
    let address = listener.local_addr().expect("it is bound");
    let keeps = |options: &mut Options| folder.keep(options, causal_kv::log::disk::Fsync::Always);
    let one = Node::start_on(listener, 1, &[], keeps);
    let two = Node::start(2, &[address], |_| {});
    settled(&[address, two.address]);
    drop(two);
    drop(one);
    let listener = std::net::TcpListener::bind(address).expect("it is free again");
    let one = Node::start_on(listener, 1, &[], keeps);
    assert!(one.client().line_about(2).contains("link=down"));
    one.client().write("k", "v");
    assert_eq!(one.client().integer(&["DEL", "k"]), 1);
    looks();
    assert_eq!(
        Client::connect(address).info()["deletes_kept"],
        "1",
        "server 2 may have what this delete is about"
    );
    one.client().ok(&["FORGET", "2"]);
    forgotten(address);
    drop(one);
    let listener = std::net::TcpListener::bind(address).expect("it is free again");
    let one = Node::start_on(listener, 1, &[], keeps);
    assert_eq!(one.client().error(&["FORGET", "2"]), "ERR server 2 is forgotten already");
}

/// A write dies with its server; what depends on it is held, and dropped when that server is back.
#[test]
fn what_waits_for_a_lost_write_is_dropped_in_the_end() {
    let first = Process::start(1, 0, &[], &["--lab"]);
    let second = Process::start(2, 0, &[first.address], &["--lab"]);
    let third = Process::start(3, 0, &[first.address, second.address], &["--lab"]);
    settled(&[first.address, second.address, third.address]);
    // 2 gets x of 1 and writes y behind it; 3 gets y only. Then both die.
    first.client().ok(&["DELAY", "3", FOREVER_MS]);
    second.client().ok(&["DELAY", "3", "0"]);
    first.client().write("x", "lost");
    shows(second.address, "x", "lost");
    let mut session = second.client();
    assert!(session.read("x").is_some());
    session.write("y", "found");
    until("y at 3", || third.client().pending().len() == 1);
    first.kill();
    second.kill();
    looks();
    assert_eq!(third.client().pending().len(), 1, "1 may come back with it");
    let first = Process::start(1, 0, &[third.address], &[]);
    let second = Process::start(2, 0, &[third.address], &[]);
    settled(&[first.address, second.address, third.address]);
    until("dropping", || third.client().pending().is_empty());
    assert_eq!(third.client().get("y"), None, "never shown without x");
    first.client().write("y", "new");
    shows(third.address, "y", "new");
}

/// Rule R8: a server without data takes the snapshot of the peer that has most, and nothing one by
/// one before that.
#[test]
fn a_server_without_data_takes_a_snapshot_first() {
    let link_to = |id: u32, applied: &str| {
        let (listener, mut hello) = (free(), raw::hello(id));
        hello.who.address = listener.local_addr().expect("it is bound").to_string();
        hello.status.applied = applied.parse().expect("well formed");
        (listener, hello)
    };
    let (behind, behind_hello) = link_to(8, "(10, 1)..(10, 1)");
    let (ahead, ahead_hello) = link_to(9, "(10, 1)..(20, 1)");
    let addresses = [&behind, &ahead].map(|l| l.local_addr().expect("it is bound"));
    let node = Node::start(2, &addresses, |_| {});
    let mut peers = Vec::new();
    for (listener, hello) in [(behind, behind_hello), (ahead, ahead_hello)] {
        let mut peer = Client::over(listener.accept().expect("it dials").0);
        assert_eq!(peer.reply().texts().first(), Some(&"PEER"));
        let mut out = Vec::new();
        hello.encode_into(&mut out);
        out.extend_from_slice(&raw::update(v(10, 1), 0, &[]));
        peer.send_bytes(&out);
        peers.push(peer);
    }
    let mut ahead = peers.pop().expect("there are two");
    until("a TAKE", || ahead.reply().texts() == ["TAKE"]);
    assert_eq!(node.client().get("raw-10"), None, "nothing one by one");
    assert!(node.client().error(&["SET", "x", "1"]).starts_with("LOADING"));
    let mut out = Vec::new();
    begin_into(&mut out);
    entry_into(&mut out, "k", Some("whole"), v(20, 1));
    ahead.send_bytes(&std::mem::take(&mut out));
    let mut client = node.client();
    until("progress", || client.line_about(9).ends_with(" received=1"));
    assert!(client.line_about(8).ends_with(" lag=0") && client.get("k").is_none());
    let applied: Applied = "(10, 1)..(20, 1)".parse().expect("well formed");
    end_into(&mut out, &End { applied, clock: 20, floor: 15, entries: 1 });
    ahead.send_bytes(&out);
    shows(node.address, "k", "whole");
    until("writes", || node.client().call(&["SET", "x", "1"]).text() == Some("OK"));
    // What was deleted and forgotten does not come back one by one either.
    ahead.send_bytes(&raw::update(v(10, 1), 0, &[]));
    ahead.send_bytes(&raw::update(v(30, 1), 20, &[]));
    shows(node.address, "raw-30", "raw");
    assert_eq!(node.client().get("raw-10"), None);
}

/// A client that joins such a server is pushed what the snapshot brings, in causal order.
#[test]
fn a_client_may_join_before_the_snapshot() {
    let one = Node::start(1, &[], |_| {});
    one.client().write("x", "older");
    one.client().write("z", "old");
    one.client().write("x", "old");
    // The second peer never answers, so it takes three seconds.
    let mute = free();
    let peers = [one.address, mute.local_addr().expect("it is bound")];
    let two = Node::start(2, &peers, |_| {});
    let mut joined = Client::joined(two.address);
    shows(two.address, "x", "old");
    linked(two.address, 1);
    one.client().write("y", "new");
    let pushes = [joined.push(), joined.push(), joined.push()];
    assert_eq!(pushes.map(|(key, ..)| key), ["z", "x", "y"]);
    assert_eq!(joined.get("x").as_deref(), Some("old"), "nothing else was pushed before");
}

/// A server that wrote before it met the cluster, below a delete that is forgotten, is not let in.
#[test]
fn a_stranger_is_refused() {
    let node = Node::start(1, &[], |_| {});
    let below = node.client().write("k", "v");
    assert_eq!(node.client().integer(&["DEL", "k"]), 1);
    forgotten(node.address);
    let mut hello = raw::hello(7);
    let first = v(below.timestamp - 1, 7);
    hello.status = Status {
        above: Some(first.timestamp - 1),
        applied: format!("{first}..{first}").parse().expect("well formed"),
        ..hello.status
    };
    let (_, answer) = raw::greet(node.address, &hello);
    let answer = answer.expect("an answer");
    let Reply::Error(text) = answer else { panic!("it is let in: {answer:?}") };
    assert!(text.contains("start it again without its data"), "{text}");
}
