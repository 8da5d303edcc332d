//! Replication between servers, as clients see it: what is held back, what is not, and what the
//! commands about it tell. Delays that must outlast a test are undone, not waited for.

mod cluster;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use causal_kv::core::Version;
use causal_kv::protocol::reply::Reply;
use cluster::client::Client;
use cluster::raw;
use cluster::{
    Enough, FOREVER_MS, Node, PATIENCE, addresses, converged, free, linked, mesh, settled, shows,
    stays_missing, until,
};

/// Alice writes x and y at West; Bob reads y at Central and writes z. y is late to East.
#[test]
fn the_demonstration_shows_y_before_z_everywhere() {
    let nodes = mesh(3);
    let [west, central, east] = &nodes[..] else { unreachable!() };
    let mut observer = Client::joined(east.address);
    let (mut alice, mut bob, mut lab) = (west.client(), central.client(), west.client());
    lab.ok(&["DELAY", "3", FOREVER_MS, "y"]);
    let x = alice.write("x", "lost");
    let y = alice.write("y", "found");
    shows(central.address, "y", "found");
    assert_eq!(bob.read("y"), Some(("found".to_owned(), y)));
    let z = bob.write("z", "glad");

    let mut at_east = east.client();
    until("z is held at East", || at_east.pending().len() == 1);
    let held = at_east.pending().remove(0);
    assert!(held.starts_with(&format!("z {z} waits for {y} since ")), "{held}");
    assert!(held.ends_with(" ms"), "{held}");
    assert_eq!((at_east.read("z"), at_east.read("y")), (None, None));
    assert_eq!(at_east.read("x"), Some(("lost".to_owned(), x)), "x is not held back");

    lab.ok(&["DELAY", "3", "0", "y"]);
    let pushed = [observer.push(), observer.push(), observer.push()];
    assert_eq!(pushed.map(|(_, _, version)| version), [x, y, z]);
    assert!(at_east.pending().is_empty());
    assert_eq!(at_east.info()["delayed_total"], "1");
    converged(&addresses(&nodes));
}

/// An update that lost to a higher version is applied and never pushed; of one that lost in part,
/// only the rest is (rule R11).
#[test]
fn what_lost_to_a_higher_version_is_not_pushed() {
    let nodes = mesh(2);
    let (mut west, mut central) = (nodes[0].client(), nodes[1].client());
    let mut observer = Client::joined(nodes[1].address);
    west.ok(&["DELAY", "2", FOREVER_MS]);
    west.write("k", "older, and late");
    west.ok(&["MSET", "k", "older, too", "m", "wins"]);
    let newest = central.write("k", "newest");
    west.ok(&["DELAY", "2", "0"]);
    shows(nodes[1].address, "m", "wins");
    let last = west.write("end", "of it");

    assert_eq!(observer.push(), ("k".to_owned(), Some("newest".to_owned()), newest));
    let (key, value, _) = observer.push();
    assert_eq!((key.as_str(), value.as_deref()), ("m", Some("wins")));
    assert_eq!(observer.push(), ("end".to_owned(), Some("of it".to_owned()), last));
    assert_eq!(central.read("k"), Some(("newest".to_owned(), newest)));
    converged(&addresses(&nodes));
}

/// A late update comes by itself when its delay is over.
#[test]
fn a_delayed_key_comes_when_its_time_has_come_and_not_before() {
    let nodes = mesh(2);
    nodes[0].client().ok(&["DELAY", "2", "700", "y"]);
    let began = Instant::now();
    let mut writer = nodes[0].client();
    writer.write("y", "late");
    writer.write("z", "behind it, in its chain");
    writer.ok(&["SET", "other", "also behind it"]);
    shows(nodes[1].address, "z", "behind it, in its chain");
    assert!(began.elapsed() >= Duration::from_millis(690), "{:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// DESIGN.md, the trap: 3's own k is newer than the k that y depends on, but j came before that k.
#[test]
fn the_stored_version_trap_between_real_servers() {
    let nodes = mesh(3);
    let (mut one, mut two, mut three) = (nodes[0].client(), nodes[1].client(), nodes[2].client());
    nodes[0].client().ok(&["DELAY", "3", FOREVER_MS]);
    nodes[2].client().ok(&["DELAY", "2", FOREVER_MS]);
    let j = one.write("j", "from 1");
    let old_k = one.write("k", "from 1");
    let new_k = three.write("k", "newer, from 3");
    assert!(new_k > old_k);
    shows(nodes[1].address, "k", "from 1");
    assert_eq!(two.read("k"), Some(("from 1".to_owned(), old_k)));
    let y = two.write("y", "from 2");

    until("y is held at 3", || three.pending().len() == 1);
    assert_eq!((three.read("y"), three.read("j")), (None, None), "y must not be shown without j");
    nodes[0].client().ok(&["HEAL", "3"]);
    shows(nodes[2].address, "y", "from 2");
    assert_eq!(three.read("j"), Some(("from 1".to_owned(), j)));
    assert_eq!(three.read("k"), Some(("newer, from 3".to_owned(), new_k)), "the last writer wins");
    assert_eq!(three.read("y"), Some(("from 2".to_owned(), y)));
    nodes[2].client().ok(&["HEAL", "2"]);
    converged(&addresses(&nodes));
}

/// A session depends on what it saw, not on all that its server happened to hold.
#[test]
fn who_saw_nothing_is_not_held_back_and_who_saw_y_is() {
    let nodes = mesh(3);
    nodes[0].client().ok(&["DELAY", "3", FOREVER_MS]);
    nodes[0].client().write("y", "late");
    shows(nodes[1].address, "y", "late");
    nodes[1].client().write("free", "saw nothing");
    let mut reader = nodes[1].client();
    reader.read("y").expect("it is here");
    reader.write("bound", "saw y");

    shows(nodes[2].address, "free", "saw nothing");
    let mut c = nodes[2].client();
    until("the other is held", || c.pending().len() == 1);
    assert!(c.pending()[0].starts_with("bound "), "{:?}", c.pending());
    assert_eq!(c.read("bound"), None);
    nodes[0].client().ok(&["HEAL", "3"]);
    shows(nodes[2].address, "bound", "saw y");
}

#[test]
fn a_delayed_link_counts_as_up_keeps_its_order_and_nothing_is_relayed_round_it() {
    let nodes = mesh(3);
    let mut observer = Client::joined(nodes[2].address);
    let mut lab = nodes[0].client();
    lab.ok(&["DELAY", "3", "2500"]);
    let began = Instant::now();
    let mut writer = nodes[0].client();
    let written: Vec<_> = (0..50).map(|n| writer.write(&format!("k{n}"), "late")).collect();
    shows(nodes[1].address, "k49", "late");
    // A relay would have begun by now.
    stays_missing(nodes[2].address, "k0", 2000);
    assert!(lab.line_about(3).contains(" link=up "), "{}", lab.line_about(3));
    assert!(lab.line_about(3).contains(" lag=50"), "{}", lab.line_about(3));
    assert!(nodes[2].client().line_about(1).contains(" link=up "));
    let pushed: Vec<_> = (0..50).map(|_| observer.push().2).collect();
    assert_eq!(pushed, written);
    assert!(began.elapsed() >= Duration::from_millis(2490), "{:?}", began.elapsed());
}

#[test]
fn round_a_cut_link_updates_go_through_the_third_within_two_seconds() {
    let nodes = mesh(3);
    let (mut one, mut three) = (nodes[0].client(), nodes[2].client());
    one.ok(&["CUT", "3"]);
    until("both know", || {
        one.line_about(3).contains("link=down") && three.line_about(1).contains("link=down")
    });
    let began = Instant::now();
    one.write("a", "round the cut");
    three.write("b", "back round it");
    shows(nodes[2].address, "a", "round the cut");
    shows(nodes[0].address, "b", "back round it");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // It is cut in both directions, and stays so.
    assert!(one.line_about(3).contains("link=down") && three.line_about(1).contains("link=down"));

    one.ok(&["HEAL", "3"]);
    settled(&addresses(&nodes));
    one.write("c", "healed");
    shows(nodes[2].address, "c", "healed");
    converged(&addresses(&nodes));
}

#[test]
fn wait_counts_peers_that_have_applied_and_not_those_that_hold() {
    let nodes = mesh(3);
    let (mut alice, mut bob) = (nodes[0].client(), nodes[1].client());
    assert_eq!(bob.integer(&["WAIT", "5", "1"]), 2, "before any write: the linked peers");
    nodes[0].client().ok(&["DELAY", "3", FOREVER_MS, "y"]);
    alice.write("y", "late");
    bob.follow(&mut alice);
    bob.write("z", "depends on y");
    let mut east = nodes[2].client();
    until("z is held at 3", || east.pending().len() == 1);
    assert_eq!(bob.integer(&["WAIT", "2", "600"]), 1, "3 has received it and not applied it");
    nodes[0].client().ok(&["HEAL", "3"]);
    let began = Instant::now();
    assert_eq!(bob.integer(&["WAIT", "2", "10000"]), 2);
    assert!(began.elapsed() < Duration::from_secs(3), "it returns as soon as they have");
    assert_eq!(alice.integer(&["WAIT", "2", "0"]), 2, "0 waits without end");
}

/// The next frame of a link that begins so.
fn frame(peer: &mut Client, begins: &str) -> Vec<String> {
    let end = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < end, "no {begins} came");
        let frame = peer.next().expect("the link stays");
        if frame.texts()[0] == begins {
            return frame.texts().iter().map(ToString::to_string).collect();
        }
    }
}

/// An acknowledgement wakes threads at both ends. Under load there would be one for each group of
/// updates, and hardly ever does anybody wait for it.
#[test]
fn updates_are_acknowledged_now_and_then_and_at_once_to_who_asks() {
    const UPDATES: u64 = 30;
    let node = Node::start(1, &[], |_| {});
    let mut peer = raw::link(node.address, &raw::hello(9));
    let mut took = [Duration::ZERO; 2];
    for (asks, took) in [true, false].into_iter().zip(&mut took) {
        let first = if asks { 1 } else { UPDATES + 1 };
        let began = Instant::now();
        for timestamp in first..first + UPDATES {
            let version = Version { timestamp, server: 9 };
            peer.send_bytes(&raw::update(version, timestamp - 1, &[]));
            if asks {
                peer.send(&["ASK", &version.to_string()]);
            }
            assert_eq!(frame(&mut peer, "ACK")[1], version.to_string());
        }
        *took = began.elapsed();
    }
    let [asked, unasked] = took;
    assert!(unasked > Duration::from_millis(200) && asked * 2 < unasked, "{asked:?}, {unasked:?}");
}

#[test]
fn wait_asks_the_peers() {
    let node = Node::start(1, &[], |_| {});
    let mut peer = raw::link(node.address, &raw::hello(9));
    let mut writer = node.client();
    let version = writer.write("x", "1").to_string();
    let waiter = thread::spawn(move || writer.integer(&["WAIT", "1", "60000"]));
    assert_eq!(frame(&mut peer, "ASK")[1], version);
    peer.send(&["ACK", &version]);
    assert_eq!(waiter.join().expect("it is answered"), 1);
}

#[test]
fn after_waits_for_what_was_seen_elsewhere() {
    let nodes = mesh(2);
    let (mut here, mut there) = (nodes[0].client(), nodes[1].client());
    assert_eq!(there.context(), "");
    there.ok(&["AFTER"]);
    nodes[0].client().ok(&["DELAY", "2", FOREVER_MS]);
    let seen = here.write("k", "v");
    assert_eq!(here.context(), seen.to_string());
    let text = seen.to_string();
    let began = Instant::now();
    assert_eq!(there.error(&["AFTER", &text, "TIMEOUT", "0"]), format!("NOTYET {seen}"));
    assert!(began.elapsed() < Duration::from_millis(200), "0 does not wait");
    assert_eq!(there.error(&["AFTER", &text]), format!("NOTYET {seen}"));
    assert!(began.elapsed() >= Duration::from_millis(990), "the default is a second");
    assert_eq!(there.context(), "", "what is not applied is not seen");

    there.send(&["AFTER", &text.replace(' ', ""), "TIMEOUT", "10000"]);
    nodes[0].client().ok(&["HEAL", "2"]);
    assert_eq!(there.reply(), Reply::Line("OK".to_owned()));
    assert_eq!(there.read("k"), Some(("v".to_owned(), seen)));
    assert_eq!(there.context(), text, "it joined the session's dependencies");
    let error = there.error(&["AFTER", "(5, 77)", "TIMEOUT", "10000"]);
    assert!(error.starts_with("ERR ") && error.contains("77"), "{error}");
}

#[test]
fn a_server_whose_peer_is_silent_answers_reads_at_once_and_writes_after_three_seconds() {
    // A port where nobody answers: bound, and nothing accepts.
    let silent = free();
    let began = Instant::now();
    let node = Node::start(1, &[silent.local_addr().expect("bound")], |_| {});
    let mut client = node.client();
    assert_eq!(client.read("k"), None);
    assert_eq!(client.context(), "");
    let error = client.error(&["WRITE", "k", "v"]);
    assert!(error.starts_with("LOADING "), "{error}");
    assert_eq!(client.get("k"), None, "what is refused is not done");
    assert!(began.elapsed() < Duration::from_secs(1), "all at once");
    until("writes", || client.call(&["SET", "k", "v"]).text() == Some("OK"));
    let loaded = began.elapsed();
    assert!(loaded >= Duration::from_millis(2900), "{loaded:?}");
    assert!(loaded < Duration::from_millis(4500), "{loaded:?}");
}

/// It must not take a pause in what peers send for a start to end.
#[test]
fn a_start_ends_while_its_peer_never_pauses() {
    let one = Node::start(1, &[], |_| {});
    linked(one.address, 0);
    let done = AtomicBool::new(false);
    let (took, error) = thread::scope(|scope| {
        let _enough = Enough(&done);
        scope.spawn(|| {
            let mut writer = one.client();
            while !done.load(Ordering::SeqCst) {
                writer.write("busy", "busy");
                thread::sleep(Duration::from_millis(1));
            }
        });
        let began = Instant::now();
        let two = Node::start(2, &[one.address], |_| {});
        let mut client = two.client();
        let mut error = None;
        while began.elapsed() < Duration::from_secs(6) {
            error = Some(client.call(&["SET", "k", "v"])).filter(|r| r.text() != Some("OK"));
            if error.is_none() {
                break;
            }
        }
        (began.elapsed(), error)
    });
    assert_eq!(error, None, "after {took:?}");
}

#[test]
fn servers_info_and_pending_tell_what_is() {
    let one = Node::start(1, &[], |options| options.name = "West".to_owned());
    let two = Node::start(2, &[one.address], |options| options.name = "Central".to_owned());
    settled(&[one.address, two.address]);
    let mut client = one.client();
    let first = client.write("k", "v");
    assert_eq!(client.integer(&["WAIT", "1", "5000"]), 1);
    two.client().write("own", "v");
    shows(one.address, "own", "v");
    let (own, other) = (client.line_about(1), client.line_about(2));
    let expected =
        format!("id=2 name=Central address={} link=up applied={first} lag=0", two.address);
    assert!(other.starts_with(&expected), "{other}");
    assert!(own.starts_with(&format!("id=1 name=West address={}", one.address)), "{own}");

    let info = client.info();
    let told = |name: &str| info.get(name).map(String::as_str);
    assert_eq!(
        ["server_id", "name", "order", "clock"].map(told),
        [Some("1"), Some("West"), Some("causal"), Some("physical")]
    );
    assert_eq!(
        ["keys", "pending", "delayed_total", "updates_local", "updates_remote"].map(told),
        [Some("2"), Some("0"), Some("0"), Some("1"), Some("1")]
    );
    assert!(info["applied"].contains(&first.to_string()), "{}", info["applied"]);
    assert!(info["connected_clients"].parse::<u32>().is_ok_and(|count| count >= 1));
    assert!(info["uptime_in_seconds"].parse::<u32>().is_ok_and(|seconds| seconds < 60));
    assert!(info["used_memory_log"].parse::<u64>().is_ok_and(|bytes| bytes > 0));
}
