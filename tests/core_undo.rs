//! Groups that the disk refuses: the core takes them back.

mod cases;
mod shared;

use cases::{open, receive, receive_all, server, update, v, write};
use causal_kv::core::{Context, Limits};
use shared::Server;

/// A group that the disk refused is as if it had never come, but that its versions are used up. What
/// was released by it has to come again.
#[test]
fn what_the_disk_refused_is_undone() {
    let mut one = server(1);
    let first = write(&mut one, &mut Context::default(), "x", "kept", 10);
    let held = update(v(30, 2), 20, &[]);
    receive(&mut one, &held);
    let before = one.replica.checkpoint();

    let refused = write(&mut one, &mut Context::default(), "x", "refused", 40);
    receive(&mut one, &update(v(20, 2), 0, &[]));
    assert!(one.replica.applied().covers(held.version), "it released what was held");
    one.replica.undo(before);
    assert_eq!(one.replica.applied().to_string(), "(10, 1)..(10, 1)");
    let next = write(&mut one, &mut Context::default(), "x", "again", 0);
    assert!(next.version > refused.version, "a version is given out once");
    assert_eq!(next.predecessor, first.version.timestamp, "and the chain has no gap");
    receive_all(&mut one, [&update(v(20, 2), 0, &[]), &held]);
    assert!(one.replica.applied().covers(held.version));

    let mut fresh = open(Server::start(3, Vec::new(), Limits::default()));
    let before = fresh.replica.checkpoint();
    write(&mut fresh, &mut Context::default(), "x", "refused", 50);
    fresh.replica.undo(before);
    let first = write(&mut fresh, &mut Context::default(), "x", "first", 0);
    assert_eq!((first.predecessor, first.version.timestamp), (0, 51), "it names the chain");
}
