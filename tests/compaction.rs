//! Data directories whose logs are compacted into snapshots, and snapshots of peers that are kept.

mod cluster;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use causal_kv::log::disk::Fsync;
use causal_kv::protocol::reply::Reply;
use causal_kv::server::{Options, Server};
use cluster::client::Client;
use cluster::folder::Folder;
use cluster::process::Process;
use cluster::{Node, converged, free, settled, shows, until};

/// Compacts soon, and forgets soon what it has in memory.
fn keep(folder: &Folder, options: &mut Options) {
    folder.keep(options, Fsync::Interval);
    options.compact_bytes_min = 256 << 10;
    options.tail_bytes_max = 1 << 20;
}

fn start(folder: &Folder, id: u32, peers: &[SocketAddr]) -> Node {
    Node::start(id, peers, |options| keep(folder, options))
}

/// Writes values of 1 kB to `count` keys in turn.
fn write(address: SocketAddr, count: usize, rounds: usize) {
    let mut client = Client::connect(address);
    for round in 0..rounds {
        for number in 0..count {
            client.send(&["SET", &format!("k{number}"), &format!("{round}-{}", "v".repeat(1_000))]);
        }
        (0..count).for_each(|_| assert_eq!(client.reply(), Reply::Line("OK".to_owned())));
    }
}

fn compacted(folder: &Folder) {
    until("a snapshot", || !folder.files("snapshot-0").is_empty());
    until("the log to be trimmed", || !folder.logs()[0].ends_with("log-00000000000000000000"));
}

/// The newest snapshot, once there is one and nothing more is written.
fn quiet(folder: &Folder) -> PathBuf {
    compacted(folder);
    let mut last = Vec::new();
    until("it to be quiet", || {
        thread::sleep(Duration::from_millis(100));
        let now = [folder.files("snapshot-"), folder.logs()].concat();
        let same = now == last && folder.files("snapshot-").len() == 1;
        last = now;
        same
    });
    folder.files("snapshot-").pop().expect("there is one")
}

#[test]
fn a_log_is_compacted_and_a_start_needs_no_more_than_what_is_left() {
    let folder = Folder::create("compact");
    let node = start(&folder, 1, &[]);
    let mut client = node.client();
    client.write("gone", "soon");
    assert_eq!(client.integer(&["DEL", "gone"]), 1);
    let x = client.write("x", "1");
    write(node.address, 100, 100);
    let snapshot = quiet(&folder);
    let bytes = |path: &PathBuf| fs::metadata(path).expect("it is there").len();
    let logs: u64 = folder.logs().iter().map(bytes).sum();
    assert!(logs + bytes(&snapshot) < 2 << 20, "{logs} bytes of log are left of 10 MB");
    let context = client.context();
    drop(node);

    let node = start(&folder, 1, &[]);
    let mut client = node.client();
    client.ok(&["AFTER", &context, "TIMEOUT", "0"]);
    assert_eq!(client.integer(&["DBSIZE"]), 101);
    assert_eq!(client.get("gone"), None);
    assert!(client.get("k99").is_some_and(|value| value.starts_with("99-")));
    assert_eq!(client.read("x"), Some(("1".to_owned(), x)), "with the version it had");
    assert!(client.write("x", "2") > x);
    drop(node);
    assert_eq!(start(&folder, 1, &[]).client().get("x").as_deref(), Some("2"));
}

/// Peers of a server whose logs, in memory and on disk, no longer have what they lack.
#[test]
fn a_joiner_gets_a_snapshot_and_keeps_it() {
    let folders = [1, 2].map(|id| Folder::create(&format!("join-{id}")));
    let one = start(&folders[0], 1, &[]);
    one.client().write("first", "1");
    write(one.address, 100, 100);
    quiet(&folders[0]);
    drop(one);
    let one = start(&folders[0], 1, &[]);
    let two = start(&folders[1], 2, &[one.address]);
    settled(&[one.address, two.address]);
    shows(two.address, "first", "1");
    assert_eq!(two.client().info()["snapshots_taken"], "1");
    // Depends on what came by snapshot.
    let mut session = two.client();
    assert!(session.get("first").is_some());
    session.write("mine", "after it");
    assert_eq!(converged(&[one.address, two.address]).len(), 103);
    drop((one, two));
    let two = start(&folders[1], 2, &[]);
    let mut client = two.client();
    assert_eq!(client.integer(&["DBSIZE"]), 102);
    assert_eq!(client.get("mine").as_deref(), Some("after it"));
    // It has no log of what it was sent, so it sends a snapshot, too.
    let three = Node::start(3, &[two.address], |_| {});
    shows(three.address, "mine", "after it");
    assert_eq!(three.client().info()["snapshots_taken"], "1");
    // And compacts what it has.
    write(two.address, 100, 30);
    quiet(&folders[1]);
    assert_eq!(folders[1].files("install-").len(), 0);
    assert_eq!(converged(&[two.address, three.address]).len(), 103);
    drop((two, three));
    assert_eq!(start(&folders[1], 2, &[]).client().integer(&["DBSIZE"]), 102);
}

/// What came by snapshot between two updates of the log comes back between them.
#[test]
fn who_was_away_too_long_keeps_what_it_wrote() {
    let folders = [1, 2].map(|id| Folder::create(&format!("away-{id}")));
    let one = start(&folders[0], 1, &[]);
    let two = start(&folders[1], 2, &[one.address]);
    settled(&[one.address, two.address]);
    two.client().write("early", "from 2");
    shows(one.address, "early", "from 2");
    drop(two);
    write(one.address, 100, 100);
    quiet(&folders[0]);
    // Away, it writes alone; then it hears of the others.
    let two = Node::start(2, &[], |options| {
        keep(&folders[1], options);
        options.compact_bytes_min = 64 << 20;
    });
    two.client().write("alone", "from 2");
    let three = Node::start(3, &[one.address, two.address], |_| {});
    until("the snapshot", || two.client().info()["snapshots_taken"] == "1");
    shows(one.address, "alone", "from 2");
    let mut session = two.client();
    assert!(session.get("k99").is_some());
    session.write("late", "from 2");
    shows(one.address, "late", "from 2");
    assert_eq!(folders[1].files("install-").len(), 1);
    let all = [one.address, two.address, three.address];
    assert_eq!(converged(&all).len(), 104);
    drop((one, two, three));
    let two = start(&folders[1], 2, &[]);
    assert_eq!(two.client().integer(&["DBSIZE"]), 103);
    assert_eq!(two.client().get("late").as_deref(), Some("from 2"));
}

#[test]
fn a_damaged_snapshot_is_refused_if_the_log_does_not_make_up_for_it() {
    let folder = Folder::create("damage");
    let node = start(&folder, 1, &[]);
    write(node.address, 100, 50);
    let snapshot = quiet(&folder);
    drop(node);
    let bytes = fs::read(&snapshot).expect("it can be read");
    let refused = || {
        let mut options = Options::new(1);
        keep(&folder, &mut options);
        Server::start(free(), options).expect_err("it is damaged").to_string()
    };
    let name = snapshot.display().to_string();
    for at in [0, 40, 100, bytes.len() / 2, bytes.len() - 3] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&snapshot, &damaged).expect("it can be written");
        let text = refused();
        assert!(text.contains(&name) && text.contains("is damaged at offset"), "{at}: {text}");
    }
    for length in [0, 70, 71, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&snapshot, &bytes[..length]).expect("it can be written");
        assert!(refused().contains(&name), "{length}");
    }
    fs::write(&snapshot, [&bytes[..], b"x"].concat()).expect("it can be written");
    assert!(refused().contains("more behind its end"));
    // Under another number it would stand for other updates.
    fs::remove_file(&snapshot).expect("it is there");
    let other = folder.0.join("snapshot-00000000000000004999");
    fs::write(&other, &bytes).expect("it can be written");
    assert!(refused().contains("not that of its name"));
    fs::remove_file(&other).expect("it is there");
    let text = refused();
    assert!(text.contains("the log lacks the updates from number 0"), "{text}");
    fs::write(&snapshot, &bytes).expect("it can be written");
    assert_eq!(start(&folder, 1, &[]).client().integer(&["DBSIZE"]), 100, "nothing was changed");
}

/// A damaged snapshot does not matter where the log has it all; nor does what a crash left.
#[test]
fn a_snapshot_that_is_not_needed_is_passed_over() {
    let folder = Folder::create("fallback");
    let node = folder.start(1);
    write(node.address, 100, 3);
    drop(node);
    let other = Folder::create("other");
    let node = start(&other, 1, &[]);
    write(node.address, 100, 20);
    let snapshot = quiet(&other);
    drop(node);
    fs::copy(&snapshot, folder.0.join("snapshot-00000000000000000150")).expect("it can be copied");
    for name in ["snapshot-new", "install-new"] {
        fs::write(folder.0.join(name), "half").expect("it can be written");
    }
    fs::write(folder.0.join("install-00000000000000000000.bak"), "mine").expect("it can be, too");
    assert_eq!(folder.start(1).client().integer(&["DBSIZE"]), 100);
    assert_eq!(folder.files("snapshot-new").len() + folder.files("install-new").len(), 0);
    assert_eq!(folder.files("install-").len(), 1, "what is not ours is left alone");
}

/// A compaction that fails costs nothing but room, and is tried again.
#[test]
fn a_failed_compaction_is_tried_again() {
    let folder = Folder::create("fail");
    let node = start(&folder, 1, &[]);
    let in_the_way = folder.0.join("snapshot-new");
    fs::create_dir(&in_the_way).expect("it can be made");
    write(node.address, 100, 10);
    thread::sleep(Duration::from_millis(200));
    write(node.address, 100, 1);
    assert_eq!(folder.files("snapshot-0").len(), 0, "nothing was in the way");
    fs::remove_dir(&in_the_way).expect("it is empty");
    until("a second try", || {
        write(node.address, 1, 1);
        thread::sleep(Duration::from_millis(50));
        !folder.files("snapshot-0").is_empty()
    });
}

/// Kills a process again and again while it writes and compacts: what was acknowledged is there.
#[test]
fn nothing_acknowledged_is_lost_by_a_kill_in_a_compaction() {
    let folder = Folder::create("kill");
    let directory = folder.0.display().to_string();
    let mut acknowledged = [0; 2];
    let (mut drafts, mut snapshots) = (0, 0);
    for round in 0..12_u64 {
        let arguments = ["--data-dir", &directory, "--fsync", "always"];
        let server = Process::start(1, 0, &[], &arguments);
        let addresses = [server.address; 2];
        for (writer, known) in acknowledged.iter().enumerate() {
            let shown = Client::connect(server.address).get(&format!("last{writer}"));
            let shown = shown.map_or(0, |text| text.parse::<u64>().expect("a number"));
            assert!(shown >= *known, "{shown} of {known} in round {round}");
            assert_whole(server.address, writer, *known);
        }
        acknowledged = thread::scope(|scope| {
            let writers = [0, 1].map(|writer| {
                let (address, from) = (addresses[writer], acknowledged[writer]);
                scope.spawn(move || count_up(address, writer, from))
            });
            // Some while a snapshot is being written, some when it has just got its name, some at once.
            let before = folder.files("snapshot-0");
            until("its moment", || match round % 3 {
                0 => folder.0.join("snapshot-new").exists(),
                1 => folder.files("snapshot-0") != before,
                _ => true,
            });
            thread::sleep(Duration::from_millis(round * 13 % 70));
            server.kill();
            writers.map(|writer| writer.join().expect("it ends with its server"))
        });
        drafts += folder.files("snapshot-new").len();
        snapshots = snapshots.max(folder.files("snapshot-0").len());
    }
    assert!(drafts > 0 && snapshots > 0, "{drafts} drafts, {snapshots} snapshots: it was too tame");
}

/// Checks that each of the large values is as new as it was when this number was acknowledged.
fn assert_whole(address: SocketAddr, writer: usize, acknowledged: u64) {
    let mut client = Client::connect(address);
    for number in acknowledged.saturating_sub(100)..acknowledged {
        let value = client.get(&format!("k{writer}-{}", number % 100));
        let shown = value.and_then(|value| value.split_once(':')?.0.parse::<u64>().ok());
        assert!(shown >= Some(number), "{shown:?} where {number} was acknowledged");
    }
}

/// Writes numbers, each with a large value, until the server is gone; gives the last acknowledged.
fn count_up(address: SocketAddr, writer: usize, from: u64) -> u64 {
    let mut client = Client::connect(address);
    let value = "v".repeat(200_000);
    let mut number = from;
    loop {
        let (last, large) = (format!("last{writer}"), format!("k{writer}-{}", number % 100));
        let value = format!("{number}:{value}");
        client.send(&["MSET", &last, &(number + 1).to_string(), &large, &value]);
        match client.try_reply() {
            Some(Reply::Line(_)) => number += 1,
            _ => return number,
        }
    }
}
