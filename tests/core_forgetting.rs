//! Directed cases around the core: what may be forgotten, and what not yet (rules R9 and R10).

mod cases;
mod shared;

use std::collections::{BTreeMap, BTreeSet};

use cases::{log_of, open, receive, receive_all, server, shows, update, v, write};
use causal_kv::core::{Change, Context, Limits, Record, Refusal, Settled, Update, Version};
use shared::Server;

/// Servers that tell each other everything at once, each in the life of this number.
struct Cluster {
    servers: Vec<Server>,
    lives: BTreeMap<u32, u64>,
    gone: BTreeSet<u32>,
}

impl Cluster {
    fn new(servers: Vec<Server>) -> Self {
        let lives = servers.iter().map(|server| (server.replica.id(), 1)).collect();
        Self { servers, lives, gone: BTreeSet::new() }
    }

    fn records(&self) -> BTreeMap<u32, Record> {
        let record = |server: &Server| (server.replica.id(), server.record(&self.lives));
        self.servers.iter().map(record).collect()
    }

    /// One after the other, all forget what they may, with fresh records. Gives the dropped updates
    /// and the number of deletes for each server.
    fn forget(&mut self) -> Vec<(Vec<(Version, Version)>, usize)> {
        let place = 0..self.servers.len();
        place.map(|place| self.forget_at(place)).collect()
    }

    fn forget_at(&mut self, place: usize) -> (Vec<(Version, Version)>, usize) {
        let own = self.servers[place].replica.id();
        let settled = Settled::new(own, self.records(), self.gone.clone()).expect("all agree");
        self.servers[place].forget(&settled)
    }

    /// Twice: first all say that they would, then they do. Gives the number of deletes.
    fn forget_deletes(&mut self) -> Vec<usize> {
        let (first, second) = (self.forget(), self.forget());
        first.into_iter().zip(second).map(|((_, one), (_, other))| one + other).collect()
    }
}

/// A write of `k`, and a delete of it with a higher version, which does not depend on it.
fn write_and_delete() -> (Update, Update) {
    let mut written = update(v(10, 3), 0, &[]);
    written.changes = cases::change("k", "old");
    let mut delete = update(v(20, 1), 0, &[]);
    delete.changes = vec![Change { key: "k".to_owned(), value: None }];
    (written, delete)
}

/// Servers 1, 2 and 3, which have received these, and write above 40.
fn three(updates: [&[&Update]; 3]) -> Cluster {
    let with = |(id, updates): (u32, &[&Update])| {
        let mut server = Server::start(id, Vec::new(), Limits::default());
        receive_all(&mut server, updates.iter().copied());
        server.replica.witness(40, 40).expect("not far ahead");
        open(server)
    };
    Cluster::new((1..).zip(updates).map(with).collect())
}

fn nothing_kept(cluster: &Cluster) {
    for server in &cluster.servers {
        assert_eq!((shows(server, "k"), server.store.delete_count()), (None, 0));
    }
}

/// I9: a delete is forgotten when all have it and nothing older is anywhere.
#[test]
fn i9_a_delete_is_forgotten_in_the_end() {
    let (u1, delete) = write_and_delete();
    let mut all = three([&[&u1, &delete], &[&delete, &u1], &[&u1, &delete]]);
    for place in 0..3 {
        assert_eq!(all.forget_at(place).1, 0, "not before all have said that they would");
    }
    assert_eq!(all.forget_deletes(), [1, 1, 1]);
    nothing_kept(&all);
    receive(&mut all.servers[1], &u1);
    nothing_kept(&all);
}

/// While one server lacks the delete, nobody forgets it.
#[test]
fn a_delete_that_one_lacks_is_kept() {
    let (u1, delete) = write_and_delete();
    let mut all = three([&[&u1, &delete], &[&u1, &delete], &[&u1]]);
    assert_eq!(all.forget_deletes(), [0, 0, 0]);
    receive(&mut all.servers[2], &delete);
    assert_eq!(all.forget_deletes(), [1, 1, 1]);
}

/// Case 6: u1 is under way to server 1, the delete is everywhere. Server 1 keeps it until u1 came.
#[test]
fn case_6_a_write_under_way_does_not_bring_the_key_back() {
    let (u1, delete) = write_and_delete();
    let mut all = three([&[&delete], &[&u1, &delete], &[&u1, &delete]]);
    assert_eq!(all.forget_deletes(), [0, 0, 0], "server 1 has not said that it would");
    receive(&mut all.servers[0], &u1);
    assert_eq!(shows(&all.servers[0], "k"), None, "it stays deleted");
    assert_eq!(all.forget_deletes(), [1, 1, 1]);
    nothing_kept(&all);
}

/// The same even if all others have forgotten: what one lacks binds that one.
#[test]
fn case_6_who_lacks_a_write_keeps_the_delete_whatever_the_others_do() {
    let (u1, delete) = write_and_delete();
    let mut all = three([&[&delete], &[&u1, &delete], &[&u1, &delete]]);
    all.servers.iter_mut().for_each(|server| server.replica.raise_floor(20));
    let deletes: Vec<usize> = all.forget().into_iter().map(|(_, deletes)| deletes).collect();
    assert_eq!(deletes, [0, 1, 1]);
    receive(&mut all.servers[0], &u1);
    assert_eq!(shows(&all.servers[0], "k"), None, "it stays deleted");
}

/// Case 7: u1 is held at a third server, and nobody has applied it.
#[test]
fn case_7_a_held_write_does_not_bring_the_key_back() {
    let (mut u1, delete) = write_and_delete();
    let cause = update(v(5, 4), 0, &[]);
    u1.dependencies = vec![cause.version];
    let mut all = three([&[&delete], &[&delete], &[&u1, &delete]]);
    assert_eq!(all.servers[2].replica.pending().len(), 1);
    assert_eq!(all.forget_deletes(), [0, 0, 0]);
    for server in &mut all.servers {
        receive_all(server, [&cause, &u1]);
        assert_eq!(shows(server, "k"), None, "it stays deleted");
    }
    assert_eq!(all.forget_deletes(), [1, 1, 1]);
    nothing_kept(&all);
}

/// Case 7: u1 comes from a dead server's old life. As long as one has not heard of that server's new
/// life, it may still take u1; so nobody forgets.
#[test]
fn case_7_a_write_of_an_old_life_does_not_bring_the_key_back() {
    let (u1, delete) = write_and_delete();
    let all = three([&[&delete], &[&delete], &[&delete]]);
    let mut records = all.records();
    let newer = BTreeMap::from([(1, 1), (2, 1), (3, 2)]);
    records.get_mut(&3).expect("it is there").lives.clone_from(&newer);
    records.get_mut(&1).expect("it is there").lives.clone_from(&newer);
    for own in 1..=3 {
        assert!(
            Settled::new(own, records.clone(), BTreeSet::new()).is_none(),
            "2 does not know the new life"
        );
    }
    // What 2 took of the old life meanwhile is in its record, and binds the others.
    let mut all = all;
    receive(&mut all.servers[1], &u1);
    all.lives = newer;
    assert_eq!(all.forget_deletes(), [0, 0, 0]);
    for server in &mut all.servers {
        receive(server, &u1);
    }
    assert_eq!(all.forget_deletes(), [1, 1, 1]);
    nothing_kept(&all);
}

/// A server that is known, and of which there is no record, may have anything.
#[test]
fn without_a_record_of_everyone_nothing_is_forgotten() {
    let (u1, delete) = write_and_delete();
    let mut all = three([&[&u1, &delete], &[&u1, &delete], &[&u1, &delete]]);
    all.lives.insert(4, 1);
    assert!(Settled::new(1, all.records(), BTreeSet::new()).is_none());
    // It is forgotten itself, by `FORGET`.
    all.lives.remove(&4);
    assert_eq!(all.forget_deletes(), [1, 1, 1]);
}

/// Case 7: a server without data takes u1 one by one, and then a snapshot in which neither u1 nor the
/// delete is any more. And the other way round: what was deleted and forgotten here comes by
/// snapshot.
#[test]
fn case_7_a_snapshot_takes_along_what_was_deleted_and_forgotten() {
    let (u1, delete) = write_and_delete();
    let mut all = three([&[&u1, &delete], &[&u1, &delete], &[&u1, &delete]]);
    assert_eq!(all.forget_deletes(), [1, 1, 1]);
    let mut fresh = Server::start(4, Vec::new(), Limits::default());
    receive(&mut fresh, &u1);
    assert_eq!(shows(&fresh, "k"), Some("old"));
    let old = fresh.snapshot();
    fresh.install(&all.servers[0].snapshot(), 100).expect("an honest snapshot");
    assert_eq!((shows(&fresh, "k"), fresh.store.delete_count()), (None, 0));
    assert_eq!(fresh.replica.floor(), 20, "what is told to strangers comes with it");
    all.servers[0].install(&old, 100).expect("an honest snapshot");
    assert_eq!(shows(&all.servers[0], "k"), None);
    // What the other side has not applied is news, and stays.
    let mut news = update(v(30, 5), 0, &[]);
    news.changes = cases::change("k", "new");
    receive(&mut fresh, &news);
    fresh.install(&all.servers[1].snapshot(), 100).expect("an honest snapshot");
    assert_eq!(shows(&fresh, "k"), Some("new"));
    all.servers[1].install(&fresh.snapshot(), 100).expect("an honest snapshot");
    assert_eq!(shows(&all.servers[1], "k"), Some("new"));
}

/// Whoever wrote before it met the cluster, below a delete that is forgotten, is not let in. Who wrote
/// above, or was known, is.
#[test]
fn a_stranger_cannot_bring_a_deleted_key_back() {
    let (u1, delete) = write_and_delete();
    let mut all = three([&[&u1, &delete], &[&u1, &delete], &[&u1, &delete]]);
    all.forget();
    let stranger = |at: u64| {
        let mut four = server(4);
        write(&mut four, &mut Context::default(), "k", "old", at);
        four
    };
    let one = &all.servers[0].replica;
    let refused = one.check_stranger(4, stranger(15).replica.applied());
    assert_eq!(refused, Err(Refusal::Stranger(v(15, 4))));
    assert_eq!(one.check_stranger(4, stranger(21).replica.applied()), Ok(()));
    assert_eq!(one.check_stranger(2, all.servers[1].replica.applied()), Ok(()));
    // Others may lack it all the same: they have met the stranger where it was let in.
    assert_eq!(one.check_stranger(2, stranger(15).replica.applied()), Ok(()));
}

/// Case 10: m died with server 1, its only holder but for server 2, which wrote y behind it and died
/// as well; y is held at server 3. It is never shown, and dropped when 1 and 2 are back in new lives.
#[test]
fn case_10_what_depends_on_a_lost_write_is_dropped_in_the_end() {
    let m = update(v(10, 1), 0, &[]);
    let y = update(v(20, 2), 0, &[m.version]);
    let behind_y = [update(v(30, 2), 20, &[]), update(v(31, 3), 0, &[v(30, 2)])];
    let apart = update(v(25, 4), 0, &[]);
    let mut three = Server::start(3, Vec::new(), Limits::default());
    receive_all(&mut three, [&behind_y[0], &y, &behind_y[1], &apart]);
    assert_eq!(log_of(&three), [apart.version], "what does not depend on it goes on");
    let fresh = |id| {
        let mut server = Server::start(id, Vec::new(), Limits::default());
        server.replica.witness(40, 40).expect("not far ahead");
        server
    };
    let mut all = Cluster::new(vec![fresh(1), fresh(2), three]);
    // Server 3 is in a new life itself: its older one wrote the last of them.
    all.servers[2].replica.witness(40, 40).expect("not far ahead");
    all.lives.insert(1, 2);
    assert_eq!(all.forget_at(2), (Vec::new(), 0), "1 may still write below");
    all.servers[0].replica.open();
    assert_eq!(all.forget_at(2), (Vec::new(), 0), "2 may still write below");
    all.servers[1].replica.open();
    all.servers[2].replica.open();
    let (lost, _) = all.forget_at(2);
    let pairs = [(y.version, m.version), (v(30, 2), y.version), (v(31, 3), v(30, 2))];
    assert_eq!(lost, pairs);
    assert!(all.servers[2].replica.pending().is_empty());
    assert_eq!(log_of(&all.servers[2]), [apart.version], "never shown without it");
}

/// I9: nothing is dropped while somebody has what it waits for, holds it, or might.
#[test]
fn i9_nothing_is_dropped_that_could_still_be_shown() {
    let m = update(v(10, 1), 0, &[v(5, 5)]);
    let y = update(v(20, 2), 0, &[m.version]);
    let mut all = three([&[], &[&m], &[&y]]);
    let (lost, _) = all.forget_at(2);
    assert_eq!(lost, [], "server 2 holds it");
    assert_eq!(all.forget_at(1).0, [], "server 5 is not known, and may come");
    // It is forgotten: server 2 finds that what m waits for is lost; then m is lost, too.
    all.gone.insert(5);
    assert_eq!(all.forget_at(1).0, [(m.version, v(5, 5))]);
    assert_eq!(all.forget_at(2).0, [(y.version, m.version)]);
    let cause = update(v(5, 5), 0, &[]);
    let mut all = three([&[], &[&cause, &m], &[&y]]);
    assert_eq!(all.forget_at(2).0, [], "server 2 has applied it");
    // Nobody has m, but server 1 may be in the life that wrote it.
    let mut all = three([&[], &[], &[&y]]);
    all.servers[0] = server(1);
    assert_eq!(all.forget_at(2).0, []);
}

/// I8: what was dropped for want of room is asked for again when a lost update makes room.
#[test]
fn i8_a_lost_update_makes_room() {
    let limits = Limits { updates_max: 1, ..Limits::default() };
    let mut nine = Server::start(9, Vec::new(), limits);
    nine.replica.open();
    receive_all(&mut nine, [&update(v(20, 1), 10, &[]), &update(v(30, 1), 20, &[])]);
    assert_eq!(nine.replica.pending().len(), 1, "the newest was dropped");
    let mut one = Server::start(1, Vec::new(), Limits::default());
    one.replica.witness(40, 40).expect("not far ahead");
    let all = Cluster::new(vec![open(one), nine]);
    let settled = Settled::new(9, all.records(), BTreeSet::new()).expect("all agree");
    let mut effects = Vec::new();
    let mut nine = all.servers.into_iter().nth(1).expect("it is there");
    assert_eq!(nine.replica.drop_lost(&settled, &mut effects), [(v(20, 1), v(10, 1))]);
    assert!(cases::asks_again(&effects), "{effects:?}");
}
