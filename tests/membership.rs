//! Who belongs to the cluster, at its edges: what must hold when servers come, go and are forgotten
//! while other things happen (rules R8 to R10).

mod cluster;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use causal_kv::core::Version;
use causal_kv::log::disk::Fsync;
use causal_kv::protocol::reply::Reply;
use causal_kv::server::Options;
use cluster::client::Client;
use cluster::folder::Folder;
use cluster::{Enough, Node, forgotten, free, raw, settled, shows, until};

/// A joined client's commands are run while the replica is held. That of `FORGET` speaks to the apply
/// thread, which waits for the replica.
#[test]
fn a_joined_client_forgets_servers_under_load() {
    let node = Node::start(1, &[], |_| {});
    let strangers = 10..60;
    for id in strangers.clone() {
        drop(raw::link(node.address, &raw::hello(id)));
    }
    let mut joined = Client::joined(node.address);
    for id in strangers.clone() {
        until("the end of a link", || node.client().line_about(id).contains("link=down"));
    }
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        let _enough = Enough(&enough);
        for number in 0..300 {
            let (node, enough) = (&node, &enough);
            scope.spawn(move || {
                let mut client = node.client();
                let key = number.to_string();
                while !enough.load(Ordering::SeqCst) {
                    client.send(&["SET", &key, "v"]);
                    if client.try_reply().is_none() {
                        return;
                    }
                }
            });
        }
        for id in strangers {
            joined.ok(&["FORGET", &id.to_string()]);
        }
    });
}

/// Rule R8: a link that breaks while a snapshot comes over it is no reason to begin with nothing.
#[test]
fn a_joiner_does_not_begin_with_nothing_when_a_snapshot_breaks_off() {
    let listener = free();
    let address = listener.local_addr().expect("it is bound");
    let mut hello = raw::hello(9);
    hello.who.address = address.to_string();
    hello.status.applied = "(10, 1)..(20, 1)".parse().expect("well formed");
    let node = Node::start(2, &[address], |_| {});
    for _ in 0..3 {
        let mut peer = Client::over(listener.accept().expect("it dials").0);
        let theirs = peer.reply();
        let texts = theirs.texts();
        let above = texts.iter().position(|&text| text == "above").expect("it is told");
        assert_eq!(texts[above + 1], "-", "it takes no writes yet");
        let mut out = Vec::new();
        hello.encode_into(&mut out);
        peer.send_bytes(&out);
        until("a TAKE", || peer.reply().texts() == ["TAKE"]);
        assert!(node.client().error(&["SET", "x", "1"]).starts_with("LOADING"));
    }
}

/// A delete is forgotten when all have said that they would, and that they let nobody in who has older
/// writes. That holds after a restart, too, which brings the delete back with the log.
#[test]
fn a_stranger_is_refused_after_a_restart() {
    let folder = Folder::create("floor");
    let one = Node::start(1, &[], |_| {});
    let keeps = |options: &mut Options| folder.keep(options, Fsync::Always);
    let two = Node::start(2, &[one.address], keeps);
    settled(&[one.address, two.address]);
    let below = one.client().write("raw-1", "v");
    let key = format!("raw-{}", below.timestamp - 1);
    one.client().write(&key, "v");
    assert_eq!(one.client().integer(&["DEL", &key]), 1);
    for node in [&one, &two] {
        forgotten(node.address);
    }
    one.client().ok(&["CUT", "2"]);
    drop(two);
    let two = Node::start(2, &[one.address], keeps);
    until("writes", || two.client().info()["loading"] == "0");
    let mut hello = raw::hello(7);
    let first = Version { timestamp: below.timestamp - 1, server: 7 };
    hello.status.above = Some(first.timestamp - 1);
    hello.status.applied = format!("{first}..{first}").parse().expect("well formed");
    let (mut stranger, answer) = raw::greet(two.address, &hello);
    stranger.send_bytes(&raw::update(first, 0, &[]));
    one.client().ok(&["HEAL", "2"]);
    two.client().write("done", "yes");
    shows(one.address, "done", "yes");
    let stores = [&one, &two].map(|node| node.client().get(&key));
    assert_eq!(stores, [None, None]);
    assert!(matches!(answer, Some(Reply::Error(_))), "it is let in: {answer:?}");
}

/// Whatever a peer calls itself, the file that keeps it can be read again.
#[test]
fn a_name_of_two_lines_does_not_keep_a_server_from_starting() {
    let folder = Folder::create("name");
    let node = folder.start(1);
    let mut hello = raw::hello(7);
    hello.who.name = "East\nof".to_owned();
    drop(raw::link(node.address, &hello));
    until("the end of the link", || node.client().line_about(7).contains("link=down"));
    drop(node);
    let node = folder.start(1);
    assert!(node.client().line_about(7).contains("East"));
}

/// A server that was killed while it put its old data aside goes on with that, and begins anew.
#[test]
fn putting_aside_is_finished_at_the_next_start() {
    let folder = Folder::create("aside");
    fs::write(folder.path("cluster"), "born 5\nserver 2 7 127.0.0.1:1 Central\n").expect("room");
    fs::write(folder.path("log-00000000000000000000"), "of no use any more").expect("room");
    fs::create_dir(folder.path("forgotten-5")).expect("room");
    let node = folder.start(1);
    assert_eq!(node.client().call(&["SERVERS"]).texts().len(), 1, "it knows nobody");
    node.client().write("k", "new");
    for name in ["cluster", "log-00000000000000000000"] {
        assert!(Path::new(&folder.path(&format!("forgotten-5/{name}"))).is_file(), "{name}");
    }
    drop(node);
    assert_eq!(folder.start(1).client().get("k").as_deref(), Some("new"));
}
