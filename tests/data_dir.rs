//! Servers with a data directory: nothing acknowledged is lost, whatever they are killed at, and
//! what is damaged is told.

mod cluster;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use causal_kv::log::disk::Fsync;
use causal_kv::protocol::encode::array_into;
use causal_kv::protocol::reply::Reply;
use causal_kv::server::{Options, Server};
use cluster::client::Client;
use cluster::folder::Folder;
use cluster::process::Process;
use cluster::{Node, converged, free, settled, shows, until};

#[test]
fn a_stopped_server_starts_with_all_it_had() {
    let folder = Folder::create("stop");
    let node = folder.start(1);
    let mut client = node.client();
    let x = client.write("x", "1");
    client.ok(&["MSET", "a", "1", "b", "2"]);
    client.write("gone", "soon");
    assert_eq!(client.integer(&["DEL", "gone"]), 1);
    let context = client.context();
    drop(node);

    let node = folder.start(1);
    let mut client = node.client();
    assert_eq!(client.read("x"), Some(("1".to_owned(), x)));
    assert_eq!([client.get("a"), client.get("b")], ["1", "2"].map(|v| Some(v.to_owned())));
    assert_eq!(client.get("gone"), None);
    client.ok(&["AFTER", &context]);
    let later = client.write("x", "2");
    assert!(later > x);
}

/// Pipelined runs that write, delete and look, while nothing of them is shown yet, with a data
/// directory and without. The second run is shorter than the first.
#[test]
fn a_group_sees_itself_before_it_is_shown() {
    let folder = Folder::create("group");
    let [node, in_memory] = [folder.start(1), Node::start(2, &[], |_| {})];
    let words = ["SET x 1", "DEL x old", "DEL x", "SET x 2", "DEL x", "SET x 3"];
    let ok = || Reply::Line("OK".to_owned());
    let expected = [ok(), Reply::Integer(2), Reply::Integer(0), ok(), Reply::Integer(1), ok()];
    for node in [&node, &in_memory] {
        let mut client = node.client();
        client.ok(&["SET", "old", "1"]);
        for length in [words.len(), 3] {
            let mut stream = Vec::new();
            for request in &words[..length] {
                array_into(&mut stream, &request.split(' ').collect::<Vec<_>>());
            }
            client.send_bytes(&stream);
            let replies: Vec<Reply> = (0..length).map(|_| client.reply()).collect();
            assert_eq!(replies, expected[..length]);
            client.ok(&["MSET", "x", "3", "old", "1"]);
        }
    }
    drop(node);
    assert_eq!(folder.start(1).client().get("x").as_deref(), Some("3"));
}

#[test]
fn a_directory_has_one_server() {
    let folder = Folder::create("lock");
    let node = folder.start(1);
    let mut options = Options::new(1);
    folder.keep(&mut options, Fsync::Always);
    let second =
        Server::start(free(), options.clone()).expect_err("the first one lives").to_string();
    assert!(second.contains("in use by another server"), "{second}");
    drop(node);
    options.id = 2;
    let other = Server::start(free(), options).expect_err("it is another's").to_string();
    assert!(other.contains("belongs to server 1"), "{other}");
}

#[test]
fn a_torn_tail_is_cut_and_damage_before_it_is_refused() {
    let folder = Folder::create("damage");
    let node = folder.start(1);
    let mut client = node.client();
    for n in 0..10 {
        client.write(&format!("k{n}"), "value");
    }
    drop(node);
    let log = folder.logs().pop().expect("there is a log");
    let bytes = fs::read(&log).expect("it can be read");
    let key = |name: &str| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.find(&format!("\r\n{name}\r\n")).expect("it is logged")
    };
    fs::write(&log, &bytes[..key("k9")]).expect("it can be written");
    let node = folder.start(1);
    assert_eq!(node.client().get("k9"), None);
    assert_eq!(node.client().get("k8").as_deref(), Some("value"));
    drop(node);

    let mut damaged = bytes.clone();
    damaged[key("k3") + 2] ^= 1;
    let logs = folder.logs();
    logs.iter().skip(1).for_each(|path| fs::remove_file(path).expect("it can be removed"));
    fs::write(&log, &damaged).expect("it can be written");
    let mut options = Options::new(1);
    folder.keep(&mut options, Fsync::Always);
    let refused = Server::start(free(), options).expect_err("it is damaged").to_string();
    assert!(
        refused.contains(&log.display().to_string()) && refused.contains("offset"),
        "{refused}"
    );
    fs::write(&log, &bytes).expect("it can be written");
    assert_eq!(folder.start(1).client().integer(&["DBSIZE"]), 10, "and nothing was changed");
}

/// Kills a process again and again while clients write; what was acknowledged is there afterwards.
#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    let folder = Folder::create("kill");
    let directory = folder.0.display().to_string();
    let mut acknowledged = 0;
    for round in 0..5 {
        let server = Process::start(1, 0, &[], &["--data-dir", &directory, "--fsync", "always"]);
        let mut client = Client::connect(server.address);
        let seen = client.get("counter").map_or(0, |n| n.parse().expect("a number"));
        assert!(seen >= acknowledged, "{seen} of {acknowledged}; round {round}");
        acknowledged = thread::scope(|scope| {
            let writer = scope.spawn(|| count_up(&mut client, seen));
            thread::sleep(Duration::from_millis(50 + 37 * round));
            server.kill();
            writer.join().expect("it ends with its server")
        });
    }
    assert!(acknowledged > 20, "{acknowledged}: nothing happened");
}

/// Writes numbers until the server is gone; gives the last one that was acknowledged.
fn count_up(client: &mut Client, from: u64) -> u64 {
    let mut number = from;
    loop {
        client.send(&["SET", "counter", &(number + 1).to_string()]);
        match client.try_reply() {
            Some(Reply::Line(_)) => number += 1,
            _ => return number,
        }
    }
}

/// A limit on the size of files stands for a full disk.
#[test]
fn a_full_disk_refuses_writes_and_serves_reads() {
    let folder = Folder::create("full");
    let directory = folder.0.display().to_string();
    let mut shell = Command::new("sh");
    // Without the trap, the signal that comes with the error would end the server.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""]);
    shell.arg(env!("CARGO_BIN_EXE_causal-server"));
    let arguments = ["--data-dir", &directory, "--fsync", "always"];
    let server = Process::start_by(shell, 1, 0, &[], &arguments);
    let (mut client, value) = (server.client(), "v".repeat(3_000));
    let mut written = 0;
    let refused = loop {
        match client.call(&["SET", &format!("k{written}"), &value]) {
            Reply::Error(text) => break text,
            _ => written += 1,
        }
        assert!(written < 100, "the limit does not work");
    };
    assert!(refused.starts_with("MISCONF cannot write to ") && refused.contains(&directory));
    assert_eq!(client.get("k0").as_deref(), Some(&value[..]));
    assert_eq!(client.get(&format!("k{written}")), None, "what is refused is not shown");
    assert_eq!(client.integer(&["DBSIZE"]), written);
    // What is small still has room, and gets a version of its own.
    client.write("small", "1");
    server.kill();
    let server = Process::start(1, 0, &[], &arguments);
    assert_eq!(server.client().integer(&["DBSIZE"]), written + 1);
}

/// Three servers, of which one is stopped, misses updates, and comes back with its log.
#[test]
fn a_server_catches_up_from_where_its_log_ends() {
    let folders = [1, 2, 3].map(|id| Folder::create(&format!("catch-{id}")));
    let mut nodes: Vec<Node> = Vec::new();
    for (id, folder) in (1..).zip(&folders) {
        let peers = cluster::addresses(&nodes);
        nodes.push(Node::start(id, &peers, |o| folder.keep(o, Fsync::Interval)));
    }
    settled(&cluster::addresses(&nodes));
    nodes[0].client().write("x", "1");
    shows(nodes[2].address, "x", "1");
    drop(nodes.pop());
    nodes[0].client().write("y", "2");
    nodes[1].client().write("x", "3");
    let peers = cluster::addresses(&nodes);
    let back = Node::start(3, &peers, |options| folders[2].keep(options, Fsync::Interval));
    assert!(back.client().get("x").is_some(), "it begins with what it had");
    nodes.push(back);
    let all = cluster::addresses(&nodes);
    settled(&all);
    shows(nodes[2].address, "y", "2");
    nodes[2].client().write("z", "4");
    shows(nodes[0].address, "z", "4");
    assert_eq!(converged(&all).len(), 4);
    // All of them at once: what each has is what all have.
    drop(nodes);
    let mut nodes: Vec<Node> = Vec::new();
    for (id, folder) in (1..).zip(&folders) {
        let peers = cluster::addresses(&nodes);
        nodes.push(Node::start(id, &peers, |o| folder.keep(o, Fsync::Interval)));
    }
    assert_eq!(converged(&cluster::addresses(&nodes)).len(), 4);
}

/// A server joins when the others have long forgotten, in memory, what it lacks.
#[test]
fn a_joiner_gets_from_disk_what_memory_no_longer_has() {
    let folder = Folder::create("join");
    let keep = |options: &mut Options| {
        folder.keep(options, Fsync::Never);
        options.tail_bytes_max = 1 << 20;
    };
    let one = Node::start(1, &[], keep);
    let mut client = one.client();
    let value = "v".repeat(10_000);
    for n in 0..800 {
        client.send(&["SET", &format!("k{}", n % 500), &format!("{n}{value}")]);
    }
    for _ in 0..800 {
        assert_eq!(client.reply(), Reply::Line("OK".to_owned()));
    }
    let two = Node::start(2, &[one.address], |_| {});
    settled(&[one.address, two.address]);
    client.write("last", "1");
    shows(two.address, "last", "1");
    assert_eq!(converged(&[one.address, two.address]).len(), 502);
    drop((one, two));

    // The same after a start, when nothing was ever in memory.
    let one = Node::start(1, &[], keep);
    let three = Node::start(3, &[one.address], |_| {});
    settled(&[one.address, three.address]);
    shows(three.address, "last", "1");
    assert_eq!(converged(&[one.address, three.address]).len(), 502);
}

/// What is not synced at once is synced within a second or so, without a further write.
#[test]
fn an_interval_ends_without_further_writes() {
    let folder = Folder::create("interval");
    let node = Node::start(1, &[], |options| folder.keep(options, Fsync::Interval));
    node.client().write("x", "1");
    let log = folder.logs().pop().expect("there is a log");
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let before = bytes(&log);
    // The mark that says so.
    until("the sync", || bytes(&log) > before);
}

/// A program that is started holds all files of its parent, the lock among them, until it runs.
#[test]
fn who_restarts_a_server_may_start_other_programs_meanwhile() {
    let folder = Folder::create("fork");
    let others = thread::spawn(|| {
        for _ in 0..500 {
            drop(Command::new("true").status());
        }
    });
    while !others.is_finished() {
        drop(folder.start(1));
    }
}
