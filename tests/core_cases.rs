//! Directed cases around the core: the histories that random search finds late or never, and one
//! test for each invariant of `core/mod.rs`. The name of a test is its claim.

mod cases;
mod shared;

use cases::{
    asks_again, chain, change, entangled, log_of, narrow, open, orders, read, receive, receive_all,
    send_and_answer, server, shows, update, v, write,
};
use causal_kv::core::{Applied, Change, Context, Limits, Loading, Refusal, Shown, Update};
use shared::Server;

/// Case 1: an update that depends on k waits for exactly that write of k, and so for what came
/// before it, even where the store already shows a newer k.
#[test]
fn the_stored_version_trap() {
    let (mut one, mut two, mut three) = (server(1), server(2), server(3));
    let (mut at_one, mut at_two) = (Context::default(), Context::default());
    let j = write(&mut one, &mut at_one, "j", "from 1", 10);
    let k = write(&mut one, &mut at_one, "k", "from 1", 11);
    write(&mut three, &mut Context::default(), "k", "newer, from 3", 50);
    receive_all(&mut two, [&j, &k]);
    assert_eq!(read(&two, &mut at_two, "k"), Some("from 1"));
    let y = write(&mut two, &mut at_two, "y", "from 2", 60);

    receive(&mut three, &y);
    assert_eq!(
        (shows(&three, "y"), shows(&three, "j")),
        (None, None),
        "y must not be shown without j"
    );
    receive(&mut three, &k);
    assert_eq!(shows(&three, "y"), None, "k itself waits for j");
    receive(&mut three, &j);
    assert_eq!(log_of(&three)[1..], [j.version, k.version, y.version]);
    assert_eq!(shows(&three, "k"), Some("newer, from 3"), "the last writer still wins");
}

/// Case 2: who has read something of a server's old life and something of its new life depends on
/// both, for the new chain says nothing of the old one.
#[test]
fn case_2_a_reader_of_two_lives_depends_on_both() {
    let (mut two, mut three) = (server(2), server(3));
    let a = write(&mut server(1), &mut Context::default(), "a", "old life", 10);
    receive(&mut two, &a);
    let mut one = Server::start(1, Vec::new(), Limits::default());
    one.replica.witness(three.replica.clock().last(), 20).expect("not ahead");
    one.replica.open();
    let b = write(&mut one, &mut Context::default(), "b", "new life", 20);
    receive(&mut two, &b);
    receive(&mut three, &b);

    let mut session = Context::default();
    read(&two, &mut session, "a");
    read(&two, &mut session, "b");
    let y = write(&mut two, &mut session, "y", "after both", 30);
    receive(&mut three, &y);
    assert_eq!((shows(&three, "y"), shows(&three, "b")), (None, Some("new life")));
    receive(&mut three, &a);
    assert_eq!((shows(&three, "y"), shows(&three, "a")), (Some("after both"), Some("old life")));
}

/// Case 3: a session that wrote in a server's old life and writes again in its new life makes the
/// new write depend on the old one.
#[test]
fn case_3_a_session_carries_the_old_life_into_the_new_one() {
    let mut session = Context::default();
    let (mut two, mut three) = (server(2), server(3));
    let old = write(&mut server(1), &mut session, "a", "old life", 10);
    receive(&mut two, &old);
    let mut one = Server::start(1, Vec::new(), Limits::default());
    one.replica.witness(two.replica.clock().last(), 20).expect("not ahead");
    one.replica.open();
    receive(&mut one, &old); // until then the session is not served
    let new = write(&mut one, &mut session, "b", "new life", 20);
    assert_eq!((new.predecessor, &new.dependencies[..]), (0, &[old.version][..]));
    receive(&mut three, &new);
    assert_eq!(shows(&three, "b"), None);
    receive(&mut three, &old);
    assert_eq!((shows(&three, "a"), shows(&three, "b")), (Some("old life"), Some("new life")));
}

/// Case 4: a server that is given back its own old update after its start, but before its first
/// write, does not make others take that update for applied.
#[test]
fn case_4_a_life_is_named_by_its_first_write_not_by_its_start() {
    let (mut two, mut three) = (server(2), server(3));
    let old = write(&mut server(1), &mut Context::default(), "a", "old life", 10);
    receive(&mut two, &old);
    let mut one = Server::start(1, Vec::new(), Limits::default());
    one.replica.witness(8, 8).expect("not ahead");
    one.replica.open(); // at 8, below the old update
    receive(&mut one, &old);
    let new = write(&mut one, &mut Context::default(), "b", "new life", 9);
    assert_eq!((new.version, new.predecessor), (v(11, 1), 0));
    receive(&mut three, &new);
    assert!(!three.replica.applied().covers(old.version) && shows(&three, "a").is_none());
    let sent = three.replica.applied().clone();
    assert_eq!(two.unknown_to(&sent), [&old], "so it is sent");
    receive(&mut three, &old);
    assert_eq!(shows(&three, "a"), Some("old life"));
    assert_eq!(one.replica.check_peer(3, three.replica.applied()), Ok(()));
}

/// Case 4 on links: peers supply a life with what it does not claim to write itself. One that was
/// opened before it had heard of its older lives must not claim what those wrote.
#[test]
fn case_4_a_life_does_not_claim_what_older_ones_wrote() {
    let mut two = server(2);
    let old = write(&mut server(1), &mut Context::default(), "a", "old life", 10);
    receive(&mut two, &old);
    let (mut late, mut early) = (server(1), server(1));
    assert_eq!(late.replica.writes_above(), Some(0));
    write(&mut early, &mut Context::default(), "b", "new life", 20);
    for (one, above) in [(&mut late, 10), (&mut early, 19)] {
        one.replica.witness(two.replica.clock().last(), 20).expect("not ahead");
        assert_eq!(one.replica.check_peer(2, two.replica.applied()), Ok(()));
        assert_eq!(one.replica.writes_above(), Some(above));
    }
}

/// Case 5: what a server wrote and lost with the tail of its log comes back from those who have it
/// and stays apart from what it writes after its restart.
#[test]
fn case_5_a_lost_tail_comes_back_and_stays_apart_from_the_new_life() {
    let (mut one, mut two, mut three) = (server(1), server(2), server(3));
    let mut session = Context::default();
    let old: Vec<Update> = (1..=5)
        .map(|n| write(&mut one, &mut session, &format!("u{n}"), "old life", 10 + n))
        .collect();
    receive_all(&mut two, &old);
    receive_all(&mut three, &old[..3]);
    let mut one = Server::start(1, one.log[..3].to_vec(), Limits::default());
    one.replica.witness(two.replica.clock().last(), 20).expect("not ahead");
    one.replica.open();
    let new = write(&mut one, &mut Context::default(), "v", "new life", 14);
    assert_eq!((new.version, new.predecessor), (v(16, 1), 0), "above the lost u5, a new chain");
    receive(&mut two, &new);
    receive(&mut three, &new);
    assert!(!three.replica.applied().covers(old[3].version), "v does not stand for u4");
    receive_all(&mut three, &old[3..]);
    receive_all(&mut one, &old[3..]);
    assert!(one.store == two.store && two.store == three.store && one.store.len() == 6);
    assert_eq!(one.replica.applied(), two.replica.applied());
    assert_eq!(two.replica.applied(), three.replica.applied());
}

/// Case 8: a local write made while an update with a high timestamp is held is above that one, and
/// what is released later changes nothing of that.
#[test]
fn case_8_a_write_made_while_a_higher_update_is_held_is_above_it() {
    let mut one = server(1);
    let (first, held) = (update(v(100, 2), 0, &[]), update(v(500, 2), 100, &[]));
    receive(&mut one, &held);
    let between = write(&mut one, &mut Context::default(), &held.changes[0].key, "mine", 200);
    assert_eq!(between.version, v(501, 1));
    receive(&mut one, &first);
    assert_eq!(log_of(&one), [between.version, first.version, held.version]);
    assert_eq!(shows(&one, &held.changes[0].key), Some("mine"), "the higher version");
    let after = write(&mut one, &mut Context::default(), "k", "mine", 200);
    assert_eq!((after.version, after.predecessor), (v(502, 1), 501));
}

/// Releasing n held updates costs about n: what would be quadratic takes minutes here.
#[test]
fn releasing_many_held_updates_is_not_quadratic() {
    const COUNT: u64 = 20_000;
    // Each of 2 follows its chain and the one before it of 1; 1 needs its own chain only.
    let one = (1..=COUNT).map(|n| update(v(n * 10, 1), n.saturating_sub(1) * 10, &[]));
    let two = (1..=COUNT).map(|n| {
        let predecessor = if n > 1 { n * 10 - 5 } else { 0 };
        update(v(n * 10 + 5, 2), predecessor, &[v(n * 10, 1)])
    });
    let mut all: Vec<Update> = one.chain(two).collect();
    all.sort_by_key(|update| std::cmp::Reverse(update.version));
    let mut nine = server(9);
    receive_all(&mut nine, &all);
    assert_eq!((nine.log.len() as u64, nine.replica.pending().len()), (2 * COUNT, 0));
}

/// I1: an update waits for its predecessor and for each dependency: the exact writes, although the
/// store shows newer ones under the same keys.
#[test]
fn i1_an_update_waits_for_its_predecessor_and_for_every_dependency() {
    let wanted = [update(v(10, 1), 0, &[]), update(v(10, 2), 0, &[]), update(v(10, 3), 0, &[])];
    let last = update(v(20, 1), 10, &[v(10, 2), v(10, 3)]);
    for order in orders(&wanted) {
        let mut nine = server(9);
        for wanted in &wanted {
            write(&mut nine, &mut Context::default(), &wanted.changes[0].key, "newer", 30);
        }
        receive(&mut nine, &last);
        for before in &order {
            assert_eq!(shows(&nine, &last.changes[0].key), None);
            receive(&mut nine, before);
        }
        assert_eq!(shows(&nine, &last.changes[0].key), Some("value"));
    }
}

/// I2: an update that comes often is applied once, before, while and after it is held; and what
/// is said to be applied of a chain has no gap.
#[test]
fn i2_an_update_is_applied_once_and_a_chain_has_no_gap() {
    let chain = [update(v(10, 1), 0, &[]), update(v(11, 1), 10, &[]), update(v(12, 1), 11, &[])];
    let mut nine = server(9);
    receive_all(&mut nine, [&chain[2], &chain[2], &chain[0], &chain[0], &chain[2]]);
    assert_eq!(log_of(&nine), [v(10, 1)]);
    assert_eq!((nine.replica.pending().len(), nine.replica.delayed_total()), (1, 1));
    assert!(!nine.replica.applied().covers(v(11, 1)) && !nine.replica.applied().covers(v(12, 1)));
    receive_all(&mut nine, [&chain[1], &chain[2], &chain[1], &chain[0]]);
    assert_eq!(log_of(&nine), [v(10, 1), v(11, 1), v(12, 1)]);

    let mut applied = Applied::default();
    assert!(!applied.advance(v(12, 1), 11) && applied == Applied::default(), "no chain at all");
    assert!(applied.advance(v(10, 1), 0));
    assert!(!applied.advance(v(12, 1), 11), "the chain ends at 10");
    assert_eq!(applied.to_string(), "(10, 1)..(10, 1)");
}

/// I3: a local write is above what was applied, held, repeated or announced before it and above
/// the log; and there is no write before that is known.
#[test]
fn i3_a_local_write_is_above_everything_received() {
    let mut nine = Server::start(9, vec![update(v(50, 9), 0, &[])], Limits::default());
    assert_eq!(nine.write(Vec::new(), change("k", "early"), 10), Err(Loading));
    nine.replica.open();
    let next = |nine: &mut Server| nine.write(Vec::new(), Vec::new(), 10).expect("open").version;
    assert_eq!(next(&mut nine), v(51, 9), "the log");
    receive(&mut nine, &update(v(100, 1), 0, &[]));
    assert_eq!(next(&mut nine), v(101, 9), "applied");
    receive(&mut nine, &update(v(200, 1), 150, &[]));
    assert_eq!(next(&mut nine), v(201, 9), "held back");
    nine.replica.witness(300, 10).expect("not ahead");
    assert_eq!(next(&mut nine), v(301, 9), "announced");
    assert_eq!(next(&mut nine), v(302, 9), "nothing happened");
    assert_eq!(nine.replica.writes_above(), Some(50));
    let reused = nine.receive(&update(v(303, 9), 302, &[]), 400);
    assert_eq!(reused.err(), Some(Refusal::Reused(v(303, 9))));
}

/// I4: in whatever order updates come, nothing is held that could be shown, and in the end nothing
/// is held at all.
#[test]
fn i4_what_could_be_shown_is_not_held() {
    for order in orders(&entangled()) {
        let mut nine = server(9);
        for update in &order {
            receive(&mut nine, update);
            let applied = nine.replica.applied();
            for held in nine.replica.pending().iter() {
                let mut before =
                    held.update.predecessor().into_iter().chain(held.update.dependencies.clone());
                assert!(before.any(|version| !applied.covers(version)), "{}", held.update.version);
                assert!(!applied.covers(held.missing), "{} waits for nothing", held.update.version);
            }
        }
        assert_eq!((nine.log.len(), nine.replica.pending().len()), (order.len(), 0), "{order:?}");
    }
}

/// I5: the same updates in any order end in the same store, deletes and equal timestamps included.
#[test]
fn i5_the_same_updates_in_any_order_end_in_the_same_store() {
    let write = |at, value: Option<&str>, deleted: Option<&str>| {
        let change = |key: &str, value: Option<&str>| Change {
            key: key.to_owned(),
            value: value.map(str::to_owned),
        };
        let changes = vec![change("written", value), change("deleted", deleted)];
        Update { changes, ..update(at, 0, &[]) }
    };
    let updates = [
        write(v(5, 1), Some("early"), Some("early")),
        write(v(6, 2), None, Some("later")),
        write(v(7, 3), Some("tie"), None),
        write(v(7, 4), Some("tie, won"), None),
        write(v(7, 2), None, Some("tie")),
    ];
    for order in orders(&updates) {
        let mut nine = server(9);
        receive_all(&mut nine, &order);
        assert_eq!(nine.store.read("written"), Shown::Value("tie, won", v(7, 4)), "{order:?}");
        assert_eq!(nine.store.read("deleted"), Shown::Nothing(Some(v(7, 4))), "{order:?}");
    }
}

/// I6: a write depends on what its session saw: of every chain the highest, of its own chain
/// nothing, and nothing that another session saw; afterwards the context is the write alone.
#[test]
fn i6_a_write_depends_on_all_that_its_session_saw_and_nothing_else() {
    let mut nine = open(Server::start(9, vec![update(v(5, 9), 0, &[])], Limits::default()));
    receive_all(&mut nine, &entangled());
    let own = write(&mut nine, &mut Context::default(), "own", "value", 30);
    let mut session = Context::default();
    for version in [v(12, 1), v(10, 1), v(20, 1), v(5, 9)] {
        read(&nine, &mut session, &version.to_string());
    }
    read(&nine, &mut session, "own");
    let mut next = write(&mut nine, &mut session, "next", "value", 31);
    next.dependencies.sort();
    assert_eq!(next.dependencies, [v(5, 9), v(12, 1), v(20, 1)]);
    assert_eq!((next.predecessor, own.version), (30, v(30, 9)));
    assert_eq!(session.versions().collect::<Vec<_>>(), [next.version]);

    session.see_all(nine.replica.applied());
    let mut last = write(&mut nine, &mut session, "last", "value", 32);
    last.dependencies.sort();
    assert_eq!(last.dependencies, [v(5, 9), v(11, 2), v(12, 1), v(20, 1), v(21, 3)]);
}

/// I7: a refused update leaves no trace, and no clock is dragged more than a minute ahead.
#[test]
fn i7_a_refused_update_changes_nothing() {
    const MINUTE_US: u64 = 60_000_000;
    let mut nine = server(9);
    write(&mut nine, &mut Context::default(), "k", "value", 10);
    let refused = [
        update(v(20, 1), 20, &[]),
        update(v(20, 1), 0, &[v(20, 2)]),
        update(v(11, 9), 10, &[]),
        update(v(101 + MINUTE_US, 1), 0, &[]),
        update(v(101 + MINUTE_US, 1), 100, &[]),
    ];
    for update in &refused {
        let before = format!("{nine:?}");
        assert!(nine.receive(update, 100).is_err(), "{update:?}");
        assert_eq!(format!("{nine:?}"), before);
    }
    assert!(nine.replica.witness(101 + MINUTE_US, 100).is_err());
    nine.receive(&update(v(100 + MINUTE_US, 1), 0, &[]), 100).expect("just a minute ahead");
    assert_eq!(nine.replica.clock().last(), 100 + MINUTE_US);
}

/// I8: a full hold-back drops an origin's newest updates, and asks for them when there is room.
#[test]
fn i8_what_was_dropped_is_asked_for_again() {
    let mut updates = chain(1, 6);
    updates.rotate_left(1); // the first comes last: four of five are held, the newest is dropped
    let mut nine = narrow(4);
    receive_all(&mut nine, &updates[..5]);
    assert_eq!(nine.replica.pending().len(), 4);
    assert!(!nine.replica.pending().contains(v(60, 1)));
    let effects = receive(&mut nine, &updates[5]);
    assert!(asks_again(&effects) && nine.log.len() == 5);
    assert!(!asks_again(&receive(&mut nine, &updates[4])), "once");
    assert_eq!(nine.log.len(), 6);

    let mut small = Server::start(9, Vec::new(), Limits { bytes_max: 1, ..Limits::default() });
    assert!(send_and_answer(&mut small, &updates) > 0 && small.log.len() == 6);
}

/// I8: it asks as soon as half of the room is free, not for one update after the other.
#[test]
fn i8_it_asks_when_half_of_the_room_is_free() {
    let mut updates = chain(1, 6);
    updates[3].dependencies.push(v(35, 2));
    let mut nine = narrow(4);
    receive_all(&mut nine, &updates[1..]); // 2 to 5 are held, 6 is dropped
    assert!(asks_again(&receive(&mut nine, &updates[0])));
    assert_eq!((nine.log.len(), nine.replica.pending().len()), (3, 2));
}

/// I8: another origin's updates that still wait do not keep a dropped one from being asked for;
/// they may be waiting for it.
#[test]
fn i8_a_full_origin_does_not_silence_another() {
    let two = chain(2, 4);
    let three = update(v(45, 3), 0, &[v(40, 2)]);
    let one = [update(v(50, 1), 0, &[v(45, 3)]), update(v(60, 1), 50, &[])];
    let updates = [&one[..], &[three], &two[1..], &two[..1]].concat();
    let mut nine = narrow(2);
    assert!(send_and_answer(&mut nine, &updates) > 0);
    assert_eq!((nine.log.len(), nine.replica.pending().len()), (updates.len(), 0));
}

/// I8: newer updates that filled the room in the meantime do not either.
#[test]
fn i8_newer_updates_do_not_take_the_place_of_a_dropped_one() {
    let mut one = chain(1, 9);
    let gates: Vec<Update> =
        (3..=5).zip(11..).map(|(n, id)| update(v(n * 10 - 5, id), 0, &[])).collect();
    for (update, gate) in one[2..5].iter_mut().zip(&gates) {
        update.dependencies.push(gate.version);
    }
    // u2 to u5 fill the room, u6 is dropped; then each gate lets one go and a newer one comes in.
    let [u1, u7, u8, u9] = [&one[0], &one[6], &one[7], &one[8]];
    let mut updates: Vec<Update> = one[1..6].to_vec();
    updates.extend([u1, u7, &gates[0], u8, &gates[1], u9, &gates[2]].map(Clone::clone));
    let mut nine = narrow(4);
    assert!(send_and_answer(&mut nine, &updates) > 0);
    assert_eq!((nine.log.len(), nine.replica.pending().len()), (updates.len(), 0));
}
