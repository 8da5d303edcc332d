//! The trace of a server: what it says of a held update, and that it says it at once.

mod cluster;

use causal_kv::trace::{Event, What};
use cluster::folder::Folder;
use cluster::{Node, addresses, settled, shows, until};

fn trace(id: u32) -> String {
    format!("{id}.trace")
}

fn events(folder: &Folder, id: u32) -> Vec<Event> {
    folder.read(&trace(id)).lines().map(|line| line.parse().expect("a whole line")).collect()
}

/// An event in a few words.
fn words(event: &Event) -> String {
    match &event.what {
        What::Start { name, order, clock_kind } => format!("start {name} {order} {clock_kind}"),
        What::Stop => "stop".to_owned(),
        What::Write { client, update } => format!("{client} writes {}", update.key),
        What::Read { client, key, found } => format!("{client} reads {key} {}", found.is_some()),
        What::Receive { from, update } => format!("receive {} from {from}", update.key),
        What::Hold { version, missing } => format!("hold {version} for {missing}"),
        What::Apply { version, waited_us, released_by, .. } => {
            let by = released_by.map_or_else(String::new, |by| format!(" by {by}"));
            format!("apply {version} {}{by}", waited_us.is_some())
        }
        What::Snapshot { from, entries, applied } => {
            format!("snapshot of {from}: {entries} keys, {applied}")
        }
        What::Link { peer, up } => format!("link {peer} {up}"),
    }
}

#[test]
fn a_trace_tells_why_an_update_waited_and_what_released_it() {
    let folder = Folder::create("trace");
    let mut nodes: Vec<Node> = Vec::new();
    for (id, name) in (1..).zip(["West", "Central", "East"]) {
        let peers = addresses(&nodes);
        nodes.push(Node::start(id, &peers, |options| {
            options.name = name.to_owned();
            options.trace = Some(folder.path(&trace(id)));
        }));
    }
    settled(&addresses(&nodes));
    let [mut alice, mut bob] = [0, 1].map(|place: usize| nodes[place].client());
    alice.ok(&["CLIENT", "SETNAME", "Alice"]);
    alice.ok(&["DELAY", "3", "500", "y"]);
    let y = alice.write("y", "found");
    bob.follow(&mut alice);
    bob.ok(&["CLIENT", "SETNAME", "Bob"]);
    bob.read("y");
    let z = bob.write("z", "glad");
    shows(nodes[2].address, "z", "glad");

    let east: Vec<Event> = events(&folder, 3);
    let told: Vec<String> =
        east.iter().filter(|e| !matches!(e.what, What::Link { .. })).map(words).collect();
    let expected = [
        "start East causal physical".to_owned(),
        "receive z from 2".to_owned(),
        format!("hold {z} for {y}"),
        "receive y from 1".to_owned(),
        format!("apply {y} false"),
        format!("apply {z} true by {y}"),
    ];
    assert_eq!(told, expected);
    assert!(east.iter().all(|event| event.server == 3 && event.time_us > 0));
    assert!(east.is_sorted_by_key(|event| event.clock), "a Lamport clock never goes back");
    let told = |id| events(&folder, id).iter().map(words).collect::<Vec<_>>();
    assert!(told(1).contains(&"Alice writes y".to_owned()));
    assert!(told(2).contains(&"Bob reads y true".to_owned()));
    drop(nodes.pop());
    until("the news", || told(1).contains(&"link 3 false".to_owned()));
}

#[test]
fn a_trace_tells_of_a_snapshot() {
    let folder = Folder::create("trace-snapshot");
    let one = Node::start(1, &[], |options| options.tail_bytes_max = 1 << 20);
    let mut client = one.client();
    let first = client.write("x", "1");
    let value = "v".repeat(1_000_000);
    let versions = [0, 1, 2, 3].map(|number| client.write(&format!("k{number}"), &value));
    let two = Node::start(2, &[one.address], |options| {
        options.trace = Some(folder.path(&trace(2)));
    });
    shows(two.address, "x", "1");
    let told: Vec<String> = events(&folder, 2).iter().map(words).collect();
    let expected = format!("snapshot of 1: 5 keys, {first}..{}", versions[3]);
    assert!(told.contains(&expected), "{told:?}");
}

#[test]
fn a_trace_that_cannot_be_opened_is_said_at_the_start() {
    let mut options = causal_kv::server::Options::new(1);
    options.trace = Some("/no/such/folder/trace".to_owned());
    let started = causal_kv::server::Server::start(cluster::free(), options);
    assert!(started.is_err());
}
