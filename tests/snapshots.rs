//! Snapshots between servers: who lacks what no log has any more gets it all, in one step, while
//! everybody goes on.

mod cluster;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use causal_kv::protocol::reply::Reply;
use causal_kv::server::Options;
use cluster::client::Client;
use cluster::{Enough, Node, addresses, converged, linked, settled, shows, until};

/// A log in memory that soon forgets.
fn forgetful(options: &mut Options) {
    options.tail_bytes_max = 1 << 20;
}

/// Writes `count` keys with values of 100 bytes, and waits until that is done.
fn fill(address: SocketAddr, prefix: &str, count: usize) {
    let mut client = Client::connect(address);
    let value = "v".repeat(100);
    for first in (0..count).step_by(1_000) {
        let many = count.min(first + 1_000) - first;
        for number in first..first + many {
            client.send(&["SET", &format!("{prefix}{number}"), &value]);
        }
        for _ in 0..many {
            assert_eq!(client.reply(), Reply::Line("OK".to_owned()));
        }
    }
}

fn snapshots_taken(address: SocketAddr) -> u64 {
    Client::connect(address).info()["snapshots_taken"].parse().expect("a number")
}

#[test]
fn a_joiner_gets_what_no_log_has() {
    let one = Node::start(1, &[], forgetful);
    fill(one.address, "k", 30_000);
    one.client().ok(&["SET", "x", "1"]);
    assert_eq!(one.client().integer(&["DEL", "k7", "k8"]), 2);
    let two = Node::start(2, &[one.address], forgetful);
    settled(&[one.address, two.address]);
    shows(two.address, "x", "1");
    assert_eq!(snapshots_taken(two.address), 1);
    assert_eq!(two.client().get("k7"), None);
    // What comes behind it goes on as usual, both ways, and on to a third: 2 has no log of it either.
    one.client().write("y", "from 1");
    shows(two.address, "y", "from 1");
    two.client().write("y", "from 2");
    shows(one.address, "y", "from 2");
    drop(one);
    let three = Node::start(3, &[two.address], forgetful);
    shows(three.address, "y", "from 2");
    assert_eq!((snapshots_taken(three.address), snapshots_taken(two.address)), (1, 1));
    assert_eq!(converged(&[two.address, three.address]).len(), 30_001);
}

/// Two servers offer; one snapshot is taken.
#[test]
fn of_two_offers_one_is_taken() {
    let one = Node::start(1, &[], forgetful);
    let two = Node::start(2, &[one.address], forgetful);
    settled(&[one.address, two.address]);
    fill(one.address, "k", 20_000);
    let mut nodes = vec![one, two];
    converged(&addresses(&nodes));
    nodes.push(Node::start(3, &addresses(&nodes), forgetful));
    settled(&addresses(&nodes));
    assert_eq!(converged(&addresses(&nodes)).len(), 20_001);
    nodes[1].client().write("x", "1");
    shows(nodes[2].address, "x", "1");
    let taken: Vec<u64> = addresses(&nodes).into_iter().map(snapshots_taken).collect();
    assert_eq!(taken, [0, 0, 1]);
}

#[test]
fn a_server_joins_while_all_others_are_written_to() {
    let one = Node::start(1, &[], forgetful);
    let two = Node::start(2, &[one.address], forgetful);
    settled(&[one.address, two.address]);
    fill(one.address, "k", 20_000);
    fill(two.address, "l", 20_000);
    let enough = AtomicBool::new(false);
    let written = AtomicU64::new(0);
    let mut nodes = vec![one, two];
    thread::scope(|scope| {
        let ended = Enough(&enough);
        for address in addresses(&nodes) {
            let (enough, written) = (&enough, &written);
            scope.spawn(move || {
                let mut client = Client::connect(address);
                let value = "w".repeat(1_000);
                while !enough.load(Ordering::SeqCst) {
                    let number = written.fetch_add(1, Ordering::SeqCst) % 5_000;
                    client.ok(&["MSET", &format!("k{number}"), &value, "last", &value]);
                }
            });
        }
        until("the logs forget", || written.load(Ordering::SeqCst) > 4_000);
        nodes.push(Node::start(3, &addresses(&nodes), forgetful));
        until("the snapshot", || snapshots_taken(nodes[2].address) > 0);
        let seen = written.load(Ordering::SeqCst);
        until("more writes", || written.load(Ordering::SeqCst) > seen + 2_000);
        linked(nodes[2].address, 2);
        drop(ended);
    });
    assert_eq!(converged(&addresses(&nodes)).len(), 40_002);
}

/// Two servers that were apart for too long, while both were written to.
#[test]
fn who_was_away_for_too_long_keeps_what_it_wrote() {
    let one = Node::start(1, &[], forgetful);
    let two = Node::start(2, &[one.address], forgetful);
    settled(&[one.address, two.address]);
    one.client().ok(&["MSET", "both", "old", "gone", "old"]);
    shows(two.address, "gone", "old");
    one.client().ok(&["CUT", "2"]);
    linked(one.address, 0);
    fill(one.address, "k", 20_000);
    let mut held = two.client();
    held.write("both", "at 2, meanwhile");
    held.write("mine", "at 2, meanwhile");
    assert_eq!(one.client().integer(&["DEL", "gone"]), 1);
    one.client().write("both", "at 1, later");
    one.client().ok(&["HEAL", "2"]);
    shows(two.address, "both", "at 1, later");
    shows(one.address, "mine", "at 2, meanwhile");
    assert_eq!(two.client().get("gone"), None);
    assert_eq!((snapshots_taken(one.address), snapshots_taken(two.address)), (0, 1));
    assert_eq!(converged(&[one.address, two.address]).len(), 20_003);
    // The same with much written on both sides: each takes the other's.
    one.client().ok(&["CUT", "2"]);
    linked(one.address, 0);
    fill(one.address, "k", 20_000);
    fill(two.address, "l", 20_000);
    one.client().ok(&["HEAL", "2"]);
    assert_eq!(converged(&[one.address, two.address]).len(), 40_003);
    one.client().write("x", "on it goes");
    shows(two.address, "x", "on it goes");
}

/// Nobody sees half of a snapshot: neither half of an `MSET` nor an effect without its cause.
#[test]
fn a_snapshot_is_seen_whole_or_not_at_all() {
    let one = Node::start(1, &[], forgetful);
    let mut client = one.client();
    fill(one.address, "k", 200_000);
    let enough = AtomicBool::new(false);
    let enough = &enough;
    let two = Node::start(2, &[], forgetful);
    two.client().write("here", "before");
    thread::scope(|scope| {
        let ended = Enough(enough);
        scope.spawn(move || {
            let mut number = 0;
            while !enough.load(Ordering::SeqCst) {
                number += 1;
                let text = number.to_string();
                client.ok(&["MSET", "a", &text, "b", &text, "c", &text, "d", &text]);
                client.ok(&["SET", "cause", &text]);
                client.ok(&["SET", "effect", &text]);
            }
        });
        for _ in 0..2 {
            let address = two.address;
            scope.spawn(move || watch(address, enough));
        }
        // Dialled only now, so that the watchers see the moment.
        thread::sleep(Duration::from_millis(50));
        let introduce = Node::start(3, &[one.address, two.address], |_| {});
        until("the snapshot", || snapshots_taken(two.address) == 1);
        shows(two.address, "here", "before");
        let seen = two.client().get("a");
        until("the log behind it", || two.client().get("a") != seen);
        drop((ended, introduce));
    });
    until("all keys", || two.client().integer(&["DBSIZE"]) == 200_007);
}

/// Looks again and again at what must go together.
fn watch(address: SocketAddr, enough: &AtomicBool) {
    let (mut client, mut fresh) = (Client::connect(address), Client::connect(address));
    let number = |text: Option<String>| text.map_or(0, |text| text.parse::<u64>().expect("one"));
    let (mut seen, began) = (false, Instant::now());
    // A watcher that gets no processor meanwhile looks once more.
    while !(seen && enough.load(Ordering::SeqCst)) {
        assert!(began.elapsed() < Duration::from_secs(60), "the snapshot never came");
        let Reply::Array(values) = client.call(&["MGET", "a", "b", "c", "d"]) else {
            panic!("an array was expected")
        };
        assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "half of an MSET: {values:?}");
        seen |= values[0] != Reply::Null;
        // Without a context: what the server shows to anybody.
        let effect = number(fresh.get("effect"));
        let cause = number(fresh.get("cause"));
        assert!(cause >= effect, "effect {effect} without its cause, {cause}");
        let keys = client.integer(&["DBSIZE"]);
        assert!(!seen || keys > 200_000, "{keys} keys behind the snapshot");
    }
}

/// 3 is linked to 2 alone, and has been, when 2 takes a snapshot of 1: 2 has no log of that to send.
#[test]
fn what_came_by_snapshot_goes_on_to_others() {
    let one = Node::start(1, &[], forgetful);
    fill(one.address, "k", 20_000);
    let apart = |options: &mut Options| {
        forgetful(options);
        options.discovery = false;
    };
    let two = Node::start(2, &[], apart);
    let three = Node::start(3, &[two.address], apart);
    settled(&[two.address, three.address]);
    two.client().write("x", "before");
    shows(three.address, "x", "before");
    let introduce = Node::start(4, &[one.address, two.address], |options| {
        options.discovery = false;
    });
    until("4 has it", || introduce.client().integer(&["DBSIZE"]) == 20_001);
    let mut session = two.client();
    until("2 has it", || session.get("k7").is_some());
    session.write("x", "after");
    shows(three.address, "x", "after");
    assert!(three.client().get("k7").is_some());
    let all = [one.address, two.address, three.address];
    assert_eq!(converged(&all).len(), 20_002);
}

/// What a snapshot brings cannot be pushed in causal order, key by key.
#[test]
fn a_client_that_had_joined_is_told_to_join_anew() {
    let one = Node::start(1, &[], forgetful);
    fill(one.address, "k", 20_000);
    let two = Node::start(2, &[], forgetful);
    let mut joined = Client::joined(two.address);
    let introduce = Node::start(3, &[one.address, two.address], |_| {});
    let told = joined.next();
    let text = "ERR this client does not keep up with its pushes; connect again";
    assert_eq!(told, Some(Reply::Error(text.to_owned())));
    assert_eq!(joined.next(), None);
    let mut joined = Client::joined(two.address);
    one.client().write("x", "1");
    assert_eq!(joined.push().0, "x");
    drop(introduce);
}

/// A link that breaks while a snapshot is on its way: the next one begins anew.
#[test]
fn a_broken_link_only_costs_time() {
    let one = Node::start(1, &[], forgetful);
    fill(one.address, "k", 50_000);
    let proxy = cluster::proxy::Proxy::to(one.address);
    let two = Node::start(2, &[proxy.address], |options| {
        forgetful(options);
        options.discovery = false;
    });
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(120));
        proxy.cut();
    }
    until("the snapshot", || snapshots_taken(two.address) > 0);
    one.client().write("x", "1");
    shows(two.address, "x", "1");
    assert_eq!(two.client().integer(&["DBSIZE"]), 50_001);
}

/// What others have overtaken, as its key is delayed, is kept for its turn: no snapshot is needed.
#[test]
fn an_update_that_was_overtaken_is_kept() {
    let nodes = cluster::mesh(2);
    let (one, two) = (nodes[0].address, nodes[1].address);
    nodes[0].client().ok(&["DELAY", "2", cluster::FOREVER_MS, "late"]);
    nodes[0].client().ok(&["SET", "late", "1"]);
    // Another chain than the one of what is delayed: it is shown meanwhile.
    fill(two, "k", 60_000);
    shows(one, "k59999", &"v".repeat(100));
    nodes[0].client().ok(&["DELAY", "2", "0", "late"]);
    shows(two, "late", "1");
    assert_eq!(snapshots_taken(two), 0);
}
