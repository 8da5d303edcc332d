//! The delivery rules of `core/order.rs`: what each shows when, and that none loses an update. The
//! anomalies that the wrong ones cause are played in `tests/scripts`.

use causal_kv::core::{
    Change, ClockKind, Effect, Limits, Order, Replica, Shown, Store, Update, Version, Waited,
};

/// A server that follows a rule.
struct Server {
    replica: Replica,
    store: Store,
    /// What became visible, in that order.
    shown: Vec<Version>,
    /// What links would send on, in that order.
    log: Vec<Update>,
}

fn v(timestamp: u64, server: u32) -> Version {
    Version { timestamp, server }
}

fn server(id: u32, order: Order) -> Server {
    let mut replica = Replica::new(id, ClockKind::Logical, order, Limits::default());
    replica.open();
    Server { replica, store: Store::new(order), shown: Vec::new(), log: Vec::new() }
}

impl Server {
    fn write(&mut self, key: &str, mut dependencies: Vec<Version>, now_us: u64) -> Update {
        let stamp = self.replica.write(&mut dependencies, now_us).expect("it was opened");
        let (version, predecessor) = (stamp.version, stamp.predecessor);
        let dependency_keys = self.replica.keys_of(&dependencies);
        let value = Some(format!("{key} of {}", version.server));
        let changes = vec![Change { key: key.to_owned(), value }];
        let update =
            Update { version, predecessor, dependencies, dependency_keys, told: true, changes };
        self.log.push(update.clone());
        if self.replica.wrote(&update, now_us) {
            self.store.apply_update(&update);
            self.shown.push(version);
        }
        update
    }

    fn receive(&mut self, update: &Update, now_us: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.replica.receive(update.clone(), now_us, &mut effects).expect("an honest update");
        self.follow(effects)
    }

    fn stable(&mut self, known: &[u32], now_us: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.replica.show_stable(known, now_us, &mut effects);
        self.follow(effects)
    }

    fn wake(&mut self, now_us: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.replica.wake(now_us, &mut effects);
        self.follow(effects)
    }

    fn follow(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        for effect in &effects {
            let (update, shown_as) = match effect {
                Effect::Apply { update, shown_as, .. } => {
                    self.log.push(update.clone());
                    (update, *shown_as)
                }
                Effect::Show { update, .. } => (update, update.version),
                Effect::Hold { .. } | Effect::AskAgain => continue,
            };
            self.store.apply_update(&Update { version: shown_as, ..update.clone() });
            self.shown.push(shown_as);
        }
        effects
    }

    fn shows(&self, key: &str) -> Option<&str> {
        match self.store.read(key) {
            Shown::Value(value, _) => Some(value),
            Shown::Nothing(_) => None,
        }
    }
}

/// Everyone but `arrival` and `original` keeps a chain in order; those two close the gap later, and
/// so acknowledge everything in the end.
#[test]
fn no_rule_loses_an_update_that_was_overtaken() {
    for order in Order::ALL {
        let (mut one, mut two) = (server(1, order), server(2, order));
        let updates = ["a", "b", "c"].map(|key| one.write(key, Vec::new(), 0));
        for number in [2, 1, 2, 0, 1] {
            two.receive(&updates[number], 0);
        }
        two.replica.promise(1, 3);
        two.stable(&[1], 0);
        two.wake(1_000_000);
        assert!(two.replica.applied().covers(updates[2].version), "{order}");
        assert_eq!((two.shown.len(), two.log.len()), (3, 3), "{order}");
        assert!(two.replica.pending().is_empty(), "{order}");
    }
}

#[test]
fn arrival_shows_at_once_and_acknowledges_when_the_gap_is_closed() {
    let (mut one, mut two) = (server(1, Order::Arrival), server(2, Order::Arrival));
    let [a, b, c] = ["a", "b", "c"].map(|key| one.write(key, Vec::new(), 0));
    two.receive(&c, 0);
    assert_eq!((two.shows("c"), two.shows("a")), (Some("c of 1"), None));
    assert!(two.replica.is_shown(c.version) && !two.replica.applied().covers(c.version));
    two.receive(&a, 0);
    assert!(!two.replica.applied().covers(c.version), "b is still missing");
    two.receive(&b, 0);
    assert!(two.replica.applied().covers(c.version), "the gap is closed");
    assert_eq!(two.shown, [c.version, a.version, b.version]);
}

#[test]
fn original_delays_what_is_late_and_stamps_it_anew() {
    let (mut one, mut two) = (server(1, Order::Original), server(2, Order::Original));
    let (y, z) = (one.write("y", Vec::new(), 0), one.write("z", Vec::new(), 0));
    two.receive(&z, 100);
    assert_eq!(two.shows("z"), Some("z of 1"), "the newest so far is shown at once");
    let held = two.receive(&y, 200);
    assert!(matches!(held[..], [Effect::Hold { missing, .. }] if missing == z.version));
    assert_eq!(two.replica.due(), Some(1_000_200));
    assert!(two.wake(1_000_199).is_empty());
    two.wake(1_000_200);
    assert_eq!(two.shown, [z.version, v(3, 1)], "y has a version above z now");
    assert_eq!((two.shows("y"), two.replica.due()), (Some("y of 1"), None));
    assert_eq!(two.log[1].version, y.version, "links send on what it was");
}

#[test]
fn last_dependency_waits_for_one_only() {
    let order = Order::LastDependency;
    let (mut one, mut two, mut three) = (server(1, order), server(2, order), server(3, order));
    let a = one.write("a", Vec::new(), 0);
    two.receive(&a, 0);
    let b = two.write("b", Vec::new(), 0);
    let y = server(4, order).write_after("y", &[a.version, b.version]);
    three.receive(&y, 0);
    assert_eq!(three.shows("y"), None);
    three.receive(&b, 0);
    assert_eq!((three.shows("y"), three.shows("a")), (Some("y of 4"), None));
}

impl Server {
    /// A write that comes after some others.
    fn write_after(&mut self, key: &str, versions: &[Version]) -> Update {
        for version in versions {
            self.replica.witness(version.timestamp, 0).expect("not ahead");
        }
        self.write(key, versions.to_vec(), 0)
    }
}

#[test]
fn stored_version_takes_any_newer_write_of_the_key_for_the_one_it_waits_for() {
    let order = Order::StoredVersion;
    let (mut one, mut two, mut three) = (server(1, order), server(2, order), server(3, order));
    let (j, k) = (one.write("j", Vec::new(), 0), one.write("k", Vec::new(), 0));
    two.receive(&j, 0);
    two.receive(&k, 0);
    let y = two.write("y", vec![k.version], 0);
    assert_eq!(y.dependency_keys, ["k"]);

    let mut careful = server(4, order);
    careful.receive(&y, 0);
    assert_eq!(careful.shows("y"), None, "it has no k at all");

    three.replica.witness(5, 0).expect("not ahead");
    three.write("k", Vec::new(), 0);
    three.receive(&y, 0);
    assert_eq!((three.shows("y"), three.shows("j")), (Some("y of 2"), None), "the trap");
}

#[test]
fn no_lww_keeps_what_came_last() {
    let order = Order::NoLww;
    let (mut one, mut two) = (server(1, order), server(2, order));
    let (x1, x2) = (one.write("x", Vec::new(), 0), two.write("x", Vec::new(), 0));
    one.receive(&x2, 0);
    two.receive(&x1, 0);
    assert_eq!((one.shows("x"), two.shows("x")), (Some("x of 2"), Some("x of 1")));
}

#[test]
fn total_shows_in_the_order_of_versions_what_nothing_can_precede() {
    let (mut one, mut two) = (server(1, Order::Total), server(2, Order::Total));
    let (a, b) = (one.write("a", Vec::new(), 0), two.write("b", Vec::new(), 0));
    let c = two.write("c", Vec::new(), 0);
    one.receive(&b, 10);
    assert_eq!(one.shown, [], "2 may still send something older");
    assert!(one.replica.applied().covers(a.version) && !one.replica.is_shown(a.version));

    one.replica.promise(2, 1);
    let shown = one.stable(&[2], 30);
    assert_eq!(one.shown, [a.version, b.version], "c can still be preceded by (2, 1)");
    let waited = |us| Waited { us, released_by: None };
    assert!(matches!(&shown[0], Effect::Show { waited: w, .. } if *w == waited(30)));
    assert!(matches!(&shown[1], Effect::Apply { waited: w, .. } if *w == Some(waited(20))));

    one.receive(&c, 40);
    assert!(one.stable(&[2], 40).is_empty());
    one.replica.promise(2, 2);
    one.replica.promise(2, 1); // is not taken back
    assert!(one.stable(&[2, 3], 50).is_empty(), "3 is known and has promised nothing");
    one.replica.promise(3, 2);
    one.stable(&[2, 3], 60);
    assert_eq!(one.shown, [a.version, b.version, c.version]);
}

#[test]
fn total_shows_at_once_when_there_is_nobody_else() {
    let mut one = server(1, Order::Total);
    let a = one.write("a", Vec::new(), 0);
    one.stable(&[], 0);
    assert_eq!(one.shown, [a.version]);
}

/// A late update of a life that lost its data comes through a third server. Nothing is shown
/// without what it depends on even then.
#[test]
fn total_never_shows_an_effect_without_its_cause() {
    let (mut one, mut two, mut three) =
        (server(1, Order::Total), server(2, Order::Total), server(3, Order::Total));
    let a = one.write("a", Vec::new(), 0);
    two.receive(&a, 0);
    two.replica.promise(1, 9);
    two.replica.promise(3, 9);
    two.stable(&[1, 3], 0);
    let b = two.write("b", vec![a.version], 0);
    three.receive(&b, 0);
    three.replica.promise(1, 9);
    three.replica.promise(2, 9);
    assert!(three.stable(&[1, 2], 0).is_empty());
    // What does not depend on it goes on, or a write that died would stop everything for ever.
    let c = one.write("c", Vec::new(), 0);
    let other = server(4, Order::Total).write_after("d", &[v(5, 9)]);
    three.receive(&Update { dependencies: Vec::new(), ..other.clone() }, 0);
    three.receive(&c, 0);
    three.stable(&[1, 2], 0);
    assert_eq!(three.shown, [other.version]);
    three.receive(&a, 0);
    three.stable(&[1, 2], 0);
    assert_eq!(three.shown, [other.version, a.version, c.version, b.version]);
}
