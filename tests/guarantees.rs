//! The session guarantees (Terry 1994), for sessions that move between servers while the link
//! between these is delayed. Each test first shows the guarantee broken by a session that moves
//! without its context: so the test can fail.

mod cluster;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use causal_kv::Client as Library;
use causal_kv::client::{Event, Options};
use causal_kv::core::Version;
use cluster::client::Client;
use cluster::{FOREVER_MS, Node, addresses, converged, mesh, shows};

/// Two servers; what 1 writes is late at 2.
fn late() -> Vec<Node> {
    let nodes = mesh(2);
    nodes[0].client().ok(&["DELAY", "2", FOREVER_MS]);
    nodes
}

/// Moves a session to server 2: `AFTER` its context. It must not succeed before the delay ends.
fn move_to_two(session: &mut Client, nodes: &[Node]) -> Client {
    let context = session.context();
    let mut moved = nodes[1].client();
    let error = moved.error(&["AFTER", &context, "TIMEOUT", "0"]);
    assert!(error.starts_with("NOTYET "), "{error}");
    nodes[0].client().ok(&["HEAL", "2"]);
    moved.ok(&["AFTER", &context, "TIMEOUT", "10000"]);
    moved
}

#[test]
fn read_your_writes() {
    let nodes = late();
    let mut session = nodes[0].client();
    let written = session.write("k", "mine");
    assert_eq!(nodes[1].client().read("k"), None, "without AFTER it is broken");
    let mut moved = move_to_two(&mut session, &nodes);
    assert_eq!(moved.read("k"), Some(("mine".to_owned(), written)));
}

#[test]
fn monotonic_reads() {
    let nodes = mesh(2);
    let mut writer = nodes[0].client();
    writer.write("k", "old");
    shows(nodes[1].address, "k", "old");
    nodes[0].client().ok(&["DELAY", "2", FOREVER_MS]);
    let new = writer.write("k", "new");

    let mut session = nodes[0].client();
    assert_eq!(session.read("k"), Some(("new".to_owned(), new)));
    let without = nodes[1].client().read("k");
    assert_eq!(without.map(|(value, _)| value).as_deref(), Some("old"), "without AFTER: backwards");
    let mut moved = move_to_two(&mut session, &nodes);
    assert_eq!(moved.read("k"), Some(("new".to_owned(), new)));
}

/// The nil that hides a delete is a read, too.
#[test]
fn monotonic_reads_of_what_is_deleted() {
    let nodes = mesh(2);
    let mut writer = nodes[0].client();
    writer.write("k", "old");
    shows(nodes[1].address, "k", "old");
    nodes[0].client().ok(&["DELAY", "2", FOREVER_MS]);
    assert_eq!(writer.integer(&["DEL", "k"]), 1);

    let mut session = nodes[0].client();
    assert_eq!(session.get("k"), None);
    assert!(nodes[1].client().get("k").is_some(), "without AFTER it is back from the dead");
    let mut moved = move_to_two(&mut session, &nodes);
    assert_eq!(moved.get("k"), None);
}

/// A third server must not show a session's second write without its first.
#[test]
fn monotonic_writes() {
    let nodes = mesh(3);
    let mut lab = nodes[0].client();
    lab.ok(&["DELAY", "3", FOREVER_MS]);
    let mut session = nodes[0].client();
    session.write("first", "v");
    shows(nodes[1].address, "first", "v");

    let mut without = nodes[1].client();
    without.write("without", "v");
    shows(nodes[2].address, "without", "v");
    assert_eq!(nodes[2].client().get("first"), None, "without AFTER the order is lost");

    let mut moved = nodes[1].client();
    moved.follow(&mut session);
    let second = moved.write("second", "v");
    let mut third = nodes[2].client();
    assert!(third.error(&["AFTER", &second.to_string()]).starts_with("NOTYET "));
    assert_eq!(third.read("second"), None);
    lab.ok(&["HEAL", "3"]);
    third.ok(&["AFTER", &second.to_string(), "TIMEOUT", "10000"]);
    assert!(third.get("first").is_some() && third.get("second").is_some());
}

/// A third server must not show an answer without the question it was read from.
#[test]
fn writes_follow_reads() {
    let nodes = mesh(3);
    let mut lab = nodes[0].client();
    lab.ok(&["DELAY", "3", FOREVER_MS]);
    nodes[0].client().write("question", "?");
    shows(nodes[1].address, "question", "?");
    let mut reader = nodes[0].client();
    reader.read("question").expect("it is here");

    nodes[1].client().write("without", "!");
    shows(nodes[2].address, "without", "!");
    assert_eq!(nodes[2].client().get("question"), None, "without AFTER: an answer to nothing");

    let mut moved = nodes[1].client();
    moved.follow(&mut reader);
    let answer = moved.write("answer", "!");
    let mut third = nodes[2].client();
    assert!(third.error(&["AFTER", &answer.to_string()]).starts_with("NOTYET "));
    assert_eq!(third.get("answer"), None);
    lab.ok(&["HEAL", "3"]);
    third.ok(&["AFTER", &answer.to_string(), "TIMEOUT", "10000"]);
    assert!(third.get("question").is_some() && third.get("answer").is_some());
}

/// A push is a read: what was pushed is in the context, and goes along.
#[test]
fn what_was_pushed_goes_along() {
    let nodes = mesh(2);
    let mut session = Client::joined(nodes[0].address);
    nodes[0].client().ok(&["DELAY", "2", FOREVER_MS]);
    let version: Version = nodes[0].client().write("k", "pushed");
    assert_eq!(session.push(), ("k".to_owned(), Some("pushed".to_owned()), version));
    assert_eq!(session.context(), version.to_string());
    let mut moved = move_to_two(&mut session, &nodes);
    assert_eq!(moved.read("k"), Some(("pushed".to_owned(), version)));
    converged(&addresses(&nodes));
}

/// A push is a read, also one that overtakes the reply to a write that was asked for before it: in
/// the session it comes first. So the write must not be shown where what was pushed is missing.
#[test]
fn writes_follow_pushes_that_come_while_they_are_under_way() {
    let nodes = mesh(3);
    let servers = vec![nodes[0].address.to_string()];
    let mut session = Library::connect(Options::new(servers)).expect("it listens");
    session.join("1").expect("it joins");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| keep_busy(&nodes[0], &done));
        let _done = Raised(&done);
        let mut count = 0;
        for _ in 0..200 {
            count += usize::from(write_both(&nodes, &mut session));
            // Some of them had been pushed before the write was looked at; hardly all.
            if count == 12 {
                break;
            }
        }
        assert!(count > 0, "the server was never busy at the right moment");
    });
}

/// Raised in the end, also if the test fails.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Gives a server much to look up, and nothing to write.
fn keep_busy(node: &Node, done: &AtomicBool) {
    let missing: Vec<String> = (0..20_000).map(|number| format!("missing-{number}")).collect();
    let words: Vec<&str> = ["DEL"].into_iter().chain(missing.iter().map(String::as_str)).collect();
    let mut client = node.client();
    while !done.load(Ordering::Relaxed) {
        assert_eq!(client.integer(&words), 0);
    }
}

/// Writes at server 2, late at server 3, and then in a session that joined server 1. Gives whether
/// the first write was pushed while the second was under way.
fn write_both(nodes: &[Node], session: &mut Library) -> bool {
    nodes[1].client().ok(&["DELAY", "3", FOREVER_MS]);
    let pushed = nodes[1].client().write("cause", "new");
    thread::sleep(Duration::from_millis(2));
    let early = session.next_event(Duration::ZERO).expect("it is connected").is_some();
    let written = session.write("effect", "new").expect("it is written");
    let push = |event| matches!(event, Event::Push { version, .. } if version == pushed);
    let overtaken = session.earlier_events().any(push) && !early;
    let mut third = nodes[2].client();
    let [cause, effect] = [pushed, written].map(|version| version.to_string());
    if overtaken && third.call(&["AFTER", &effect, "TIMEOUT", "30"]).text() == Some("OK") {
        third.ok(&["AFTER", &cause, "TIMEOUT", "0"]);
    }
    nodes[1].client().ok(&["HEAL", "3"]);
    third.ok(&["AFTER", &effect, "TIMEOUT", "10000"]);
    third.ok(&["AFTER", &cause, "TIMEOUT", "10000"]);
    overtaken
}
