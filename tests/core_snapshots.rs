//! Directed cases around the core: a snapshot is taken in, in one step (rule R7).

mod cases;
mod shared;

use cases::{
    asks_again, change, entangled, log_of, narrow, orders, receive, receive_all, server, shows,
    update, v, write,
};
use causal_kv::core::{Applied, Context, Limits, Refusal, Update, Version};
use shared::{Server, Snapshot};

fn applied(text: &str) -> Applied {
    text.parse().expect("well formed")
}

/// A server that has applied these, in this order.
fn with<'a>(id: u32, updates: impl IntoIterator<Item = &'a Update>) -> Server {
    let mut server = Server::start(id, Vec::new(), Limits::default());
    receive_all(&mut server, updates);
    server
}

/// Every prefix of the log of one server, taken in as a snapshot by another that was sent any other
/// of the updates before, in any order, ends in what one by one ends in.
#[test]
fn a_snapshot_stands_for_the_updates_that_it_has() {
    let all = entangled();
    let sender = with(8, &all);
    assert_eq!(sender.log.len(), all.len());
    for count in 0..=all.len() {
        let snapshot = with(8, &sender.log[..count]).snapshot();
        for order in orders(&all) {
            let mut nine = with(9, &order[..3]);
            nine.install(&snapshot, 100).expect("an honest snapshot");
            assert!(nine.replica.pending().iter().all(|held| {
                let applied = nine.replica.applied();
                !applied.covers(held.update.version) && !applied.covers(held.missing)
            }));
            receive_all(&mut nine, &order[3..]);
            nine.install(&snapshot, 100).expect("old news");
            assert_eq!(nine.replica.pending().len(), 0);
            assert_eq!(nine.replica.applied(), sender.replica.applied(), "{count} {order:?}");
            assert_eq!(nine.store, sender.store);
        }
    }
}

/// Case 9, one half: what was held back and is in the snapshot is held no longer, what waited for
/// something in it is shown behind it, in causal order, and what waits for more goes on waiting.
#[test]
fn case_9_held_updates_are_purged_or_released() {
    let chain = [update(v(10, 1), 0, &[]), update(v(20, 1), 10, &[]), update(v(30, 1), 20, &[])];
    let effect = update(v(40, 2), 0, &[v(20, 1)]);
    let later = update(v(50, 3), 0, &[v(40, 2), v(30, 1)]);
    let stuck = update(v(60, 4), 0, &[v(55, 5)]);
    let mut nine = with(9, [&chain[1], &later, &effect, &stuck]);
    assert_eq!((nine.log.len(), nine.replica.pending().len()), (0, 4));
    let snapshot = with(8, &chain[..2]).snapshot();
    nine.install(&snapshot, 100).expect("an honest snapshot");
    assert_eq!(log_of(&nine), [v(40, 2)], "what has its cause in the snapshot");
    assert_eq!(nine.replica.pending().len(), 2, "what has more causes");
    receive(&mut nine, &chain[2]);
    assert_eq!(log_of(&nine), [v(40, 2), v(30, 1), v(50, 3)]);
    receive(&mut nine, &update(v(55, 5), 0, &[]));
    assert_eq!(nine.replica.pending().len(), 0);
}

/// Case 9, the other half: a write lands between the copying of two keys. Replayed from the copy's
/// beginning, the log makes the copy exact; without that it would have an effect without its cause.
#[test]
fn case_9_a_write_between_the_copying_of_two_keys() {
    let mut one = server(1);
    let mut session = Context::default();
    write(&mut one, &mut session, "a", "old", 10);
    write(&mut one, &mut session, "b", "old", 11);
    let begun = one.log.len();
    let mut copy = Snapshot::default();
    let copy_key = |one: &Server, copy: &mut Snapshot, key| {
        let (value, version) = (shows(one, key), one.store.read(key).version());
        copy.store.apply(key, value, version.expect("it was written"));
    };
    copy_key(&one, &mut copy, "a");
    write(&mut one, &mut session, "a", "the cause", 12);
    write(&mut one, &mut session, "b", "the effect", 13);
    copy_key(&one, &mut copy, "b");
    assert!(copy.store != one.store, "the effect without the cause");
    one.log[begun..].iter().for_each(|update| copy.store.apply_update(update));
    assert_eq!(copy.store, one.store);
}

/// Deletes travel with a snapshot: an older write that comes behind it changes nothing.
#[test]
fn a_deleted_key_stays_deleted_behind_a_snapshot() {
    let old = update(v(10, 1), 0, &[]);
    let key = old.changes[0].key.clone();
    let mut delete = update(v(20, 2), 0, &[]);
    delete.changes = vec![causal_kv::core::Change { key: key.clone(), value: None }];
    let mut nine = with(9, []);
    nine.install(&with(8, [&delete]).snapshot(), 100).expect("an honest snapshot");
    receive(&mut nine, &old);
    assert_eq!(shows(&nine, &key), None);
    // And the other way round: it is here, and the snapshot has deleted it.
    let mut nine = with(9, [&old]);
    nine.install(&with(8, [&delete]).snapshot(), 100).expect("an honest snapshot");
    assert_eq!((shows(&nine, &key), nine.store.read(&key).version()), (None, Some(v(20, 2))));
    // A newer value here stays.
    let mut newer = update(v(30, 1), 10, &[]);
    newer.changes = change(&key, "newer");
    let mut nine = with(9, [&old, &newer]);
    nine.install(&with(8, [&delete]).snapshot(), 100).expect("an honest snapshot");
    assert_eq!(shows(&nine, &key), Some("newer"));
}

/// A local write is above all that came by snapshot, also above the clock that it tells.
#[test]
fn a_write_is_above_what_came_by_snapshot() {
    let mut nine = server(9);
    let snapshot = Snapshot { clock: 70, ..with(8, [&update(v(50, 1), 0, &[])]).snapshot() };
    nine.install(&snapshot, 1).expect("an honest snapshot");
    let next = write(&mut nine, &mut Context::default(), "k", "mine", 2);
    assert_eq!(next.version, v(71, 9));
}

/// What is dropped from a full hold-back is asked for again when a snapshot has made room.
#[test]
fn a_snapshot_makes_room() {
    let chain: Vec<Update> = (1..=6).map(|n| update(v(n * 10, 1), (n - 1) * 10, &[])).collect();
    let mut nine = narrow(2);
    receive_all(&mut nine, &chain[1..]);
    assert_eq!(nine.replica.pending().len(), 2, "the rest was dropped");
    let taken = nine.install(&with(8, &chain[..3]).snapshot(), 100);
    assert!(asks_again(&taken.expect("an honest snapshot")));
    assert_eq!(nine.replica.pending().len(), 0);
    receive_all(&mut nine, &chain[3..]);
    assert_eq!(nine.replica.applied(), &applied("(10, 1)..(60, 1)"));
}

/// A snapshot that is refused changes nothing.
#[test]
fn what_must_not_be_is_refused() {
    let mut nine = server(9);
    write(&mut nine, &mut Context::default(), "k", "mine", 100);
    receive(&mut nine, &update(v(10, 1), 0, &[]));
    receive(&mut nine, &update(v(20, 1), 10, &[]));
    let before = nine.snapshot();
    let mut refused = |text: &str, clock| {
        let snapshot = Snapshot { applied: applied(text), clock, ..Snapshot::default() };
        let refused = nine.install(&snapshot, 1_000).expect_err("it must not be");
        let after = nine.snapshot();
        assert_eq!((&after.store, &after.applied), (&before.store, &before.applied));
        assert_eq!(after.clock, before.clock);
        refused
    };
    let own = |version: Version| Refusal::Reused(version);
    assert_eq!(refused("(50, 9)..(120, 9)", 0), own(v(120, 9)), "into this life");
    assert_eq!(refused("(100, 9)..(120, 9)", 0), own(v(120, 9)), "beyond its last write");
    assert_eq!(refused("(110, 9)..(120, 9)", 0), own(v(120, 9)), "a chain within it");
    assert_eq!(refused("(15, 1)..(30, 1)", 0), Refusal::Forked(v(15, 1)));
    let far = 1_001 + 60_000_000;
    assert!(matches!(refused("", far), Refusal::Clock(error) if error.timestamp == far));
    let text = format!("({far}, 3)..({far}, 3)");
    assert!(matches!(refused(&text, 0), Refusal::Clock(error) if error.timestamp == far));
}

/// What is undone behind a snapshot does not take the snapshot away.
#[test]
fn a_snapshot_is_not_undone() {
    let mut nine = server(9);
    let mut checkpoint = nine.replica.checkpoint();
    let snapshot = with(8, [&update(v(10, 1), 0, &[])]).snapshot();
    receive(&mut nine, &update(v(20, 2), 0, &[v(10, 1)]));
    nine.install(&snapshot, 100).expect("an honest snapshot");
    assert_eq!(log_of(&nine), [v(20, 2)]);
    checkpoint.install(&snapshot.applied);
    nine.replica.undo(checkpoint);
    assert_eq!(nine.replica.applied(), &snapshot.applied, "what it released has to come again");
}
