//! What must hold while several clients write at several servers at once.

mod cluster;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use causal_kv::core::Version;
use causal_kv::protocol::reply::Reply;
use cluster::client::{Client, is_push, told};
use cluster::{Enough, addresses, converged, mesh};

const LOAD: Duration = Duration::from_millis(1500);

/// Runs `work` again and again, on a connection of its own, until `done`.
fn repeat(done: &AtomicBool, address: SocketAddr, mut work: impl FnMut(&mut Client, u64)) {
    let mut client = Client::connect(address);
    for round in 0.. {
        if done.load(Ordering::SeqCst) {
            return;
        }
        work(&mut client, round);
    }
}

#[test]
fn no_server_ever_shows_half_of_an_mset() {
    let nodes = mesh(3);
    let done = &AtomicBool::new(false);
    let pairs = thread::scope(|scope| {
        let enough = Enough(done);
        for (node, name) in nodes.iter().zip(["one", "two"]) {
            let address = node.address;
            scope.spawn(move || {
                repeat(done, address, |client, round| {
                    let value = format!("{name} {round}");
                    client.ok(&["MSET", "left", &value, "right", &value]);
                });
            });
        }
        let readers = addresses(&nodes).into_iter().map(|address| {
            scope.spawn(move || {
                let mut pairs = 0;
                repeat(done, address, |client, _| {
                    let reply = client.call(&["MGET", "left", "right"]);
                    let Reply::Array(values) = reply else { panic!("{reply:?}") };
                    assert_eq!(values[0], values[1], "torn");
                    pairs += usize::from(values[0] != Reply::Null);
                });
                pairs
            })
        });
        let readers: Vec<_> = readers.collect();
        thread::sleep(LOAD);
        drop(enough);
        readers.into_iter().map(|reader| reader.join().expect("no reader failed")).min()
    });
    assert!(pairs >= Some(20), "every server showed pairs: {pairs:?}");
    converged(&addresses(&nodes));
}

/// The versions that a session saw of each key, in the order in which replies and pushes came.
#[derive(Default)]
struct Seen {
    newest: HashMap<String, Version>,
    pushes: usize,
    replies: usize,
}

impl Seen {
    fn take(&mut self, reply: &Reply) {
        let (key, value, version) = if let Some(push) = told(reply) {
            self.pushes += 1;
            push
        } else {
            let [kind, key, value, version] = reply.texts()[..] else { return };
            assert_eq!(kind, "replicate", "{reply:?}");
            self.replies += 1;
            (key.to_owned(), Some(value.to_owned()), version.parse().expect("a version"))
        };
        let newest = self.newest.entry(key.clone()).or_insert(version);
        assert!(*newest <= version, "{key} went back from {newest} to {version}");
        *newest = version;
        // Every answer names the question that its writer had read.
        if let (Some(question), true) = (value, key.starts_with("answer")) {
            let question: Version = question.parse().expect("a version");
            let seen = self.newest.get("question").expect("an answer, and no question");
            assert!(*seen >= question, "{key} answers {question}; only {seen} was shown");
        }
    }
}

/// A client of server 1 asks; one of server 2 reads the question and answers with its version. A
/// session that joined server 3, and reads both, sees no key go back and no answer before its
/// question.
#[test]
fn pushes_and_reads_of_one_session_never_go_back_nor_against_causal_order() {
    let nodes = mesh(3);
    let done = &AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let _enough = Enough(done);
        let (asker, answerer) = (nodes[0].address, nodes[1].address);
        scope.spawn(move || {
            repeat(done, asker, |client, round| {
                client.write("question", &round.to_string());
            });
        });
        scope.spawn(move || {
            repeat(done, answerer, |client, round| {
                if let Some((_, question)) = client.read("question") {
                    client.write(&format!("answer {}", round % 3), &question.to_string());
                }
            });
        });
        let mut session = Client::joined(nodes[2].address);
        let mut seen = Seen::default();
        let began = Instant::now();
        let mut round = 0;
        while began.elapsed() < LOAD {
            let key = ["answer 0", "question", "answer 1", "answer 2"][round % 4];
            round += 1;
            session.send(&["READ", key]);
            loop {
                let reply = session.next().expect("the stream goes on");
                seen.take(&reply);
                if !is_push(&reply) {
                    break;
                }
            }
        }
        seen
    });
    assert!(seen.pushes > 50 && seen.replies > 50, "{} {}", seen.pushes, seen.replies);
}

#[test]
fn concurrent_writes_and_deletes_end_alike_on_all_servers() {
    let nodes = mesh(3);
    let done = &AtomicBool::new(false);
    thread::scope(|scope| {
        let _enough = Enough(done);
        for (node, name) in nodes.iter().zip(["one", "two", "three"]) {
            let address = node.address;
            scope.spawn(move || {
                repeat(done, address, |client, round| {
                    let key = format!("k{}", round * 7 % 10);
                    match round % 3 {
                        0 => drop(client.integer(&["DEL", &key])),
                        1 => client.ok(&["MSET", &key, name, "shared", name]),
                        _ => client.ok(&["SET", &key, &format!("{name} {round}")]),
                    }
                });
            });
        }
        // Links that come late, and break, make the orders of arrival differ.
        let mut lab = nodes[0].client();
        for _ in 0..3 {
            lab.ok(&["DELAY", "2", "50"]);
            lab.ok(&["CUT", "3"]);
            thread::sleep(LOAD / 6);
            lab.ok(&["HEAL", "2"]);
            lab.ok(&["HEAL", "3"]);
            thread::sleep(LOAD / 6);
        }
    });
    assert!(converged(&addresses(&nodes)).len() > 1);
}
