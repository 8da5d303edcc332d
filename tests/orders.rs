//! Servers that follow the other delivery rules: that each does what `core/order.rs` says, over real
//! links, and that even the wrong ones lose nothing.

mod cluster;

use std::thread;
use std::time::{Duration, Instant};

use causal_kv::core::Order;
use causal_kv::protocol::reply::Reply;
use cluster::client::Client;
use cluster::{FOREVER_MS, Node, addresses, free, linked, settled, shows, stays_missing, until};

/// Three linked servers that follow a rule.
fn mesh(order: Order) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for id in 1..=3 {
        let peers = addresses(&nodes);
        nodes.push(Node::start(id, &peers, |options| options.order = order));
    }
    settled(&addresses(&nodes));
    nodes
}

#[test]
fn servers_of_different_rules_are_not_linked() {
    let one = Node::start(1, &[], |options| options.order = Order::Total);
    let two = Node::start(2, &[one.address], |options| options.order = Order::Arrival);
    // Its peer does not answer its hello with another, so it opens late, and alone.
    linked(two.address, 0);
    assert_eq!(two.client().info()["order"], "arrival");
    assert_eq!(one.client().info()["linked_servers"], "0");
}

#[test]
fn arrival_shows_the_effect_without_its_cause_and_loses_nothing() {
    let nodes = mesh(Order::Arrival);
    let mut alice = nodes[0].client();
    alice.ok(&["DELAY", "3", FOREVER_MS, "y"]);
    alice.write("y", "found");
    alice.write("q", "overtakes");
    shows(nodes[2].address, "q", "overtakes");
    assert_eq!(nodes[2].client().get("y"), None);
    // The link breaks, and is made again: what was overtaken is still to come.
    alice.ok(&["CUT", "3"]);
    until("the cut", || nodes[2].client().info()["linked_servers"] == "1");
    alice.ok(&["HEAL", "3"]);
    shows(nodes[2].address, "y", "found");
    until("acknowledgements", || alice.call(&["WAIT", "2", "10"]) == Reply::Integer(2));
}

#[test]
fn original_stamps_a_late_update_anew() {
    let nodes = mesh(Order::Original);
    let mut alice = nodes[0].client();
    let mut reader = Client::joined(nodes[2].address);
    alice.ok(&["DELAY", "3", "300", "y"]);
    let y = alice.write("y", "found");
    let z = alice.write("z", "glad");
    let first = reader.push();
    assert_eq!(first, ("z".to_owned(), Some("glad".to_owned()), z));
    let (key, _, version) = reader.push();
    assert!(key == "y" && version > z && version != y, "{key} {version}");
    assert_eq!(reader.read("y"), Some(("found".to_owned(), version)));
    until("acknowledgements", || alice.call(&["WAIT", "2", "10"]) == Reply::Integer(2));
}

#[test]
fn no_lww_leaves_servers_apart() {
    let nodes = mesh(Order::NoLww);
    let (mut alice, mut bob) = (nodes[0].client(), nodes[2].client());
    alice.ok(&["DELAY", "3", "200"]);
    bob.ok(&["DELAY", "1", "200"]);
    alice.write("x", "Alice's");
    bob.write("x", "Bob's");
    shows(nodes[0].address, "x", "Bob's");
    shows(nodes[2].address, "x", "Alice's");
}

/// The trap, over real links: the keys of dependencies travel with the updates.
#[test]
fn stored_version_falls_into_the_trap() {
    let nodes = mesh(Order::StoredVersion);
    let (mut alice, mut bob) = (nodes[0].client(), nodes[1].client());
    alice.ok(&["DELAY", "3", FOREVER_MS]);
    nodes[2].client().ok(&["DELAY", "2", FOREVER_MS]);
    alice.write("j", "missing");
    alice.write("k", "Alice's");
    let mut eve = nodes[2].client();
    eve.write("k", "newer");
    bob.follow(&mut alice);
    assert!(bob.read("k").is_some());
    bob.write("y", "effect");
    shows(nodes[2].address, "y", "effect");
    assert_eq!(eve.get("j"), None);
}

#[test]
fn last_dependency_forgets_all_but_one() {
    let nodes = mesh(Order::LastDependency);
    let (mut alice, mut bob, mut eve) = (nodes[0].client(), nodes[1].client(), nodes[2].client());
    alice.ok(&["DELAY", "3", FOREVER_MS]);
    alice.write("a", "cause");
    bob.follow(&mut alice);
    eve.write("b", "newer cause");
    bob.follow(&mut eve);
    assert!(bob.read("a").is_some() && bob.read("b").is_some());
    bob.write("y", "effect");
    shows(nodes[2].address, "y", "effect");
    assert_eq!(eve.get("a"), None);
}

#[test]
fn total_pushes_the_same_order_everywhere() {
    let nodes = mesh(Order::Total);
    let mut readers: Vec<Client> = nodes.iter().map(|n| Client::joined(n.address)).collect();
    nodes[0].client().ok(&["DELAY", "2", "30"]);
    let writers = nodes.iter().map(|node| {
        let mut client = node.client();
        thread::spawn(move || (0..10).map(|n| client.write("x", &n.to_string())).max())
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.join().expect("every write is answered");
    }
    let pushes: Vec<Vec<_>> =
        readers.iter_mut().map(|reader| (0..30).map(|_| reader.push()).collect()).collect();
    assert!(pushes[0].is_sorted_by_key(|(_, _, version)| *version), "in the order of versions");
    assert!(pushes[0] == pushes[1] && pushes[1] == pushes[2]);
}

/// A server's promise does not overtake an update that it still holds for a delay.
#[test]
fn total_shows_nothing_before_an_older_update_that_is_late() {
    let nodes = mesh(Order::Total);
    let mut alice = nodes[0].client();
    alice.ok(&["DELAY", "3", FOREVER_MS, "y"]);
    alice.write("y", "late");
    // Bob depends on nothing, but his write is younger than y.
    shows(nodes[1].address, "y", "late");
    nodes[1].client().write("q", "younger");
    stays_missing(nodes[2].address, "q", 1_500);
    alice.write("r", "overtakes");
    stays_missing(nodes[2].address, "r", 200);
    let mut reader = Client::joined(nodes[2].address);
    alice.ok(&["DELAY", "3", "0", "y"]);
    assert_eq!([(); 3].map(|()| reader.push().0), ["y", "q", "r"]);
}

#[test]
fn total_does_not_answer_a_write_in_a_partition() {
    let nodes = mesh(Order::Total);
    let (mut alice, mut joined) = (nodes[0].client(), Client::joined(nodes[0].address));
    alice.ok(&["CUT", "3"]);
    until("the cut", || nodes[0].client().info()["linked_servers"] == "1");
    let began = Instant::now();
    let refused = alice.error(&["WRITE", "x", "lost"]);
    assert!(refused.starts_with("NOTYET (") && refused.ends_with(", 1)"), "{refused}");
    assert!(began.elapsed() >= Duration::from_secs(5));
    assert_eq!(alice.get("x"), None, "it is not shown where it was written, either");
    let version = refused.trim_start_matches("NOTYET ");
    let after = nodes[0].client().error(&["AFTER", version, "TIMEOUT", "100"]);
    assert!(after.starts_with("NOTYET"), "and nobody can come after it yet: {after}");
    // Pipelined, the read must not show what the write before it was not granted.
    let began = Instant::now();
    alice.send(&["SET", "x", "found"]);
    alice.send(&["GET", "x"]);
    assert!(matches!(alice.reply(), Reply::Error(text) if text.starts_with("NOTYET")));
    assert_eq!(alice.reply(), Reply::Null);
    assert!(began.elapsed() >= Duration::from_secs(5));
    let options = causal_kv::client::Options::new(vec![nodes[0].address.to_string()]);
    let mut bob = causal_kv::Client::connect(options).expect("it runs");
    let unsure = bob.write("y", "perhaps");
    assert!(matches!(unsure, Err(causal_kv::client::Error::NotYet(_))), "{unsure:?}");
    alice.ok(&["HEAL", "3"]);
    assert_eq!([joined.push().1, joined.push().1], [Some("lost".into()), Some("found".into())]);
    assert_eq!(alice.get("x").as_deref(), Some("found"));
    alice.write("x", "stable again");
}

/// Servers that name each other open as soon as they are linked, whoever was quicker to dial. Under
/// `total` no time-out helps them, as a server that nobody knows must not write.
#[test]
fn total_opens_when_all_know_each_other() {
    let listeners: Vec<_> = (0..3).map(|_| free()).collect();
    let all: Vec<_> = listeners.iter().map(|l| l.local_addr().expect("it is bound")).collect();
    let mut nodes: Vec<Node> = Vec::new();
    for (id, listener) in (1..).zip(listeners) {
        nodes.push(Node::start_on(listener, id, &all, |options| options.order = Order::Total));
    }
    settled(&all);
    let version = nodes[2].client().write("x", "1");
    assert!(nodes[2].client().read("x").is_some_and(|(_, shown)| shown == version));
    shows(nodes[0].address, "x", "1");
    let mut client = nodes[2].client();
    let began = Instant::now();
    (0..20).for_each(|n| client.ok(&["SET", "x", &n.to_string()]));
    // A promise goes out when there is one; with the next heartbeat, this would take ten seconds.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    // Whom it was told of does not answer: it never writes, and says so.
    let mute = free();
    let peer = mute.local_addr().expect("it is bound");
    let alone = Node::start(9, &[peer], |options| options.order = Order::Total);
    thread::sleep(Duration::from_millis(3_500));
    assert!(alone.client().error(&["SET", "x", "1"]).starts_with("LOADING"));
}

/// The reply to a joined client's write comes behind the pushes of all that was shown before it.
#[test]
fn total_answers_a_joined_client_in_order() {
    let nodes = mesh(Order::Total);
    let mut joined = Client::joined(nodes[0].address);
    let mut other = nodes[1].client();
    for round in 0..20 {
        other.send(&["SET", "a", &round.to_string()]);
        let own = joined.write("b", &round.to_string());
        let before: Vec<_> = joined.pushes.drain(..).collect();
        for push in before {
            let version = push.texts().last().and_then(|text| text.parse().ok());
            assert!(version.is_some_and(|version: causal_kv::core::Version| version < own));
        }
        assert_eq!(other.reply(), Reply::Line("OK".to_owned()));
    }
}

/// A joiner writes only once every server knows of it: one that does not might already have shown
/// what the joiner's write would have to precede.
#[test]
fn total_keeps_a_joiner_from_writing_until_all_know_it() {
    let one = Node::start(1, &[], |options| options.order = Order::Total);
    let two = Node::start(2, &[one.address], |options| options.order = Order::Total);
    settled(&[one.address, two.address]);
    two.client().ok(&["CUT", "3"]);
    let three = Node::start(3, &[one.address], |options| options.order = Order::Total);
    until("a link", || three.client().info()["linked_servers"] == "1");
    thread::sleep(Duration::from_millis(3_500));
    let mut client = three.client();
    assert!(client.error(&["SET", "x", "1"]).starts_with("LOADING"), "2 has not heard of it");
    two.client().ok(&["HEAL", "3"]);
    settled(&[one.address, two.address, three.address]);
    client.ok(&["SET", "x", "1"]);
}
