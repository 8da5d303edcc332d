//! Snapshots where deletes were forgotten, and who is sent what (rules R7, R8 and R10), with peers
//! that say what the test wants.

mod cluster;

use std::time::Duration;

use causal_kv::core::{Applied, Version};
use causal_kv::protocol::link::{Hello, Status};
use causal_kv::protocol::reply::Reply;
use causal_kv::protocol::snapshot::{End, begin_into, end_into, entry_into, offer_into, take_into};
use cluster::client::Client;
use cluster::{Node, forgotten, free, raw, settled, shows, until};

fn v(timestamp: u64, server: u32) -> Version {
    Version { timestamp, server }
}

fn applied(text: &str) -> Applied {
    text.parse().expect("well formed")
}

/// Reads what a server says until it says this.
#[track_caller]
fn hear(peer: &mut Client, what: &str) -> Reply {
    let mut heard = None;
    until(what, || {
        heard = Some(peer.reply());
        heard.as_ref().is_some_and(|reply| reply.texts().first() == Some(&what))
    });
    heard.expect("it was heard")
}

/// A peer that gives a snapshot of what it has applied, with one key.
fn give_snapshot(peer: &mut Client, has: &str, key: &str, version: Version) {
    let mut out = Vec::new();
    offer_into(&mut out, &applied(has));
    peer.send_bytes(&std::mem::take(&mut out));
    hear(peer, "TAKE");
    begin_into(&mut out);
    entry_into(&mut out, key, Some("whole"), version);
    let clock = version.timestamp;
    end_into(&mut out, &End { applied: applied(has), clock, floor: 0, entries: 1 });
    peer.send_bytes(&out);
}

/// What is here, and not in the snapshot although its server has applied it, was deleted there.
#[test]
fn what_a_snapshot_has_forgotten_goes() {
    let node = Node::start(1, &[], |_| {});
    let mut peer = raw::link(node.address, &raw::hello(9));
    peer.send_bytes(&raw::update(v(10, 9), 0, &[]));
    shows(node.address, "raw-10", "raw");
    node.client().write("own", "stays");
    give_snapshot(&mut peer, "(10, 9)..(20, 9)", "k", v(20, 9));
    shows(node.address, "k", "whole");
    assert_eq!(node.client().get("raw-10"), None, "it was deleted and forgotten");
    assert_eq!(node.client().get("own").as_deref(), Some("stays"), "it is news to the peer");
}

/// What the snapshot has, and this server has applied and does not show, was deleted here.
#[test]
fn what_was_forgotten_here_does_not_come_by_snapshot() {
    let node = Node::start(1, &[], |_| {});
    let old = node.client().write("k", "old");
    assert_eq!(node.client().integer(&["DEL", "k"]), 1);
    forgotten(node.address);
    let mut peer = raw::link(node.address, &raw::hello(9));
    let has = format!("{old}..{old} (10, 9)..(20, 9)");
    give_snapshot(&mut peer, &has, "k", old);
    until("the snapshot", || node.client().info()["snapshots_taken"] == "1");
    assert_eq!(node.client().get("k"), None);
}

/// Up to where deletes are forgotten comes with a snapshot: whoever has it lets no stranger in either.
#[test]
fn a_snapshot_tells_up_to_where_deletes_are_forgotten() {
    let one = Node::start(1, &[], |_| {});
    let below = one.client().write("k", "v");
    one.client().write("x", "1");
    assert_eq!(one.client().integer(&["DEL", "k"]), 1);
    forgotten(one.address);
    let two = Node::start(2, &[one.address], |_| {});
    settled(&[one.address, two.address]);
    shows(two.address, "x", "1");
    let mut hello = raw::hello(7);
    let first = v(below.timestamp - 1, 7);
    let written = applied(&format!("{first}..{first}"));
    hello.status = Status { above: Some(first.timestamp - 1), applied: written, ..hello.status };
    let (_, answer) = raw::greet(two.address, &hello);
    assert!(matches!(answer, Some(Reply::Error(_))), "it is let in: {answer:?}");
}

/// A peer without data that does not write yet is sent nothing one by one, until it has a snapshot or
/// begins with nothing.
#[test]
fn who_waits_for_a_snapshot_is_sent_nothing_one_by_one() {
    let node = Node::start(1, &[], |_| {});
    node.client().write("k", "v");
    let hello = raw::hello(9);
    let joining = Status { above: None, ..hello.status.clone() };
    let mut peer = raw::link(node.address, &Hello { status: joining.clone(), ..hello.clone() });
    for _ in 0..3 {
        peer.send_bytes(&raw::status(&joining));
        let said = peer.reply();
        assert!(!said.texts()[0].starts_with('('), "{said:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
    let mut out = Vec::new();
    take_into(&mut out);
    peer.send_bytes(&out);
    hear(&mut peer, "SNAPSHOT");
    hear(&mut peer, "END");
    // And one that begins with nothing is sent everything.
    let mut other = raw::link(node.address, &raw::hello(8));
    until("the update", || other.reply().texts()[0].starts_with('('));
}

/// Who was told of a server that has not answered since the start does not know whom it does not know.
#[test]
fn who_has_not_heard_from_all_forgets_nothing() {
    let mute = free();
    let peers = [mute.local_addr().expect("it is bound")];
    let node = Node::start(1, &peers, |_| {});
    let mut client = node.client();
    until("writes", || client.call(&["SET", "k", "v"]).text() == Some("OK"));
    assert_eq!(client.integer(&["DEL", "k"]), 1);
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(node.client().info()["deletes_kept"], "1");
}

/// A client that joined a server without data is told to join anew when a later snapshot comes.
#[test]
fn only_the_first_snapshot_is_pushed() {
    let node = Node::start(1, &[], |_| {});
    let two = Node::start(2, &[node.address], |_| {});
    settled(&[node.address, two.address]);
    let mut joined = Client::joined(two.address);
    let mut peer = raw::link(two.address, &raw::hello(9));
    give_snapshot(&mut peer, "(10, 9)..(20, 9)", "k", v(20, 9));
    let end = joined.try_reply();
    assert!(matches!(&end, Some(Reply::Error(text)) if text.contains("connect again")), "{end:?}");
}
