//! The store behind locks: 60 parts, each with a lock of its own.
//!
//! One big map would stall every reader for a tenth of a second when it grows. The apply thread is
//! the only writer and applies updates one after the other. Locks of several parts are taken in the
//! order of their numbers, each once. So whoever holds the locks of all keys it reads sees one
//! causally consistent snapshot: the writer cannot be past an update that waits for one of them.

use std::hint::black_box;
use std::ops::Deref;

use parking_lot::{RwLock, RwLockWriteGuard};

use crate::core::{Applied, Hashed, Horizon, Order, Shown, Store, Version};

/// How many parts there are. A `SCAN` cursor is a part's number.
pub(super) const PARTS: usize = 60;

/// So much of a part is copied under one lock, in keys and in bytes.
const TAKEN_KEYS_MAX: usize = 1_000;
const TAKEN_BYTES_MAX: usize = 256 << 10;

/// A change, with its update's version.
type Versioned<'a> = (Version, (&'a str, Option<&'a str>));

/// Parts that are held, each in the place of its number.
type Held<G> = [Option<G>; PARTS];

#[derive(Debug)]
pub(super) struct Parts {
    parts: Vec<RwLock<Store>>,
    /// What every part was in the beginning: so all of them hash alike.
    empty: Store,
}

/// Of each of the 510 places that keys are spread over, the part. The parts come in ten groups of six;
/// the first of a group has 6 places, the second 7, and so on.
///
/// A map has a power of two of slots, and twice as many when 7/8 are taken. If all parts were as
/// large, all would double at once, and then half of the slots would be empty; a slot takes 65 bytes.
const PART_AT: [u8; 510] = {
    let mut parts = [0; 510];
    let (mut part, mut next, mut place) = (0, 6, 0);
    while place < 510 {
        if place == next {
            part += 1;
            next += 6 + part as usize % 6;
        }
        parts[place] = part;
        place += 1;
    }
    parts
};

/// The number of a key's part.
fn part_at(hashed: &Hashed<'_>) -> usize {
    usize::from(PART_AT[hashed.draw(PART_AT.len())])
}

/// Of stores that are to become the [parts](Parts::apart), the one for a key.
pub(super) fn store_of<'s>(stores: &'s mut [Store], key: &str) -> &'s mut Store {
    let number = part_at(&stores[0].hash(key));
    &mut stores[number]
}

impl Parts {
    /// An empty store that settles conflicts as this rule does.
    pub(super) fn new(order: Order) -> Self {
        let empty = Store::new(order);
        let parts = vec![empty.clone(); PARTS].into_iter().map(RwLock::new).collect();
        Self { parts, empty }
    }

    /// The number of a key's part, and the key with its hash.
    fn place<'k>(&self, key: &'k str) -> (usize, Hashed<'k>) {
        let hashed = self.empty.hash(key);
        (part_at(&hashed), hashed)
    }

    /// The number of a key's part.
    pub(super) fn part_of(&self, key: &str) -> usize {
        self.place(key).0
    }

    /// What would be the parts of an empty store, for a [`swap`](Self::swap) with these.
    pub(super) fn apart(&self) -> Vec<Store> {
        vec![self.empty.clone(); PARTS]
    }

    /// Puts other stores into the place of all parts, in one step, and gives the old ones back. Only
    /// the apply thread does. Whoever reads waits for no more than the exchange.
    pub(super) fn swap(&self, stores: &mut [Store]) {
        // In the order of their numbers, as readers take them.
        let mut guards: Vec<_> = self.parts.iter().map(RwLock::write).collect();
        for (guard, store) in guards.iter_mut().zip(stores) {
            std::mem::swap(&mut **guard, store);
        }
    }

    /// Merges other stores into the parts, one by one; see [`Store::merge`]. Only for a start, when
    /// nobody reads.
    pub(super) fn merge(&self, applied: &Applied, stores: &[Store], theirs: &Applied) {
        for (part, store) in self.parts.iter().zip(stores) {
            part.write().merge(applied, store, theirs);
        }
    }

    /// Drops from other stores what was deleted and forgotten here; see [`Store::drop_forgotten`].
    pub(super) fn drop_forgotten(&self, stores: &mut [Store], applied: &Applied) {
        for (part, store) in self.parts.iter().zip(stores) {
            store.drop_forgotten(applied, |key| part.read().has(key));
        }
    }

    /// Forgets deletes, see [`Store::forget`]: part after part, as none is needed any more.
    pub(super) fn forget(&self, horizon: &Horizon) -> (u64, usize) {
        self.parts.iter().fold((0, 0), |(floor, count), part| {
            let (highest, forgotten) = part.write().forget(horizon);
            (floor.max(highest), count + forgotten)
        })
    }

    /// How many deletes are kept.
    pub(super) fn delete_count(&self) -> usize {
        self.parts.iter().map(|part| part.read().delete_count()).sum()
    }

    /// The keys of one part, deleted ones among them.
    pub(super) fn keys(&self, number: usize) -> Vec<String> {
        self.parts[number].read().entries().map(|(key, ..)| key.to_owned()).collect()
    }

    /// Takes keys of one part from the end of `keys` and shows `show` what they have; a deleted one
    /// has no value. Breaks off when that was much, so that writers need not wait for long.
    pub(super) fn take(
        &self,
        number: usize,
        keys: &mut Vec<String>,
        mut show: impl FnMut(&str, Option<&str>, Version),
    ) {
        let part = self.parts[number].read();
        let (mut count, mut bytes) = (0, 0);
        while count < TAKEN_KEYS_MAX && bytes < TAKEN_BYTES_MAX {
            let Some(key) = keys.pop() else { return };
            let value = match part.read(&key) {
                Shown::Value(value, version) => Some((Some(value), version)),
                Shown::Nothing(version) => version.map(|version| (None, version)),
            };
            if let Some((value, version)) = value {
                show(&key, value, version);
                bytes += key.len() + value.map_or(0, str::len);
            }
            count += 1;
        }
    }

    /// Shows `show` what the key shows, while nobody can change it.
    pub(super) fn read<T>(&self, key: &str, show: impl FnOnce(Shown<'_>) -> T) -> T {
        let (number, key) = self.place(key);
        show(self.parts[number].read().read_hashed(key))
    }

    /// Shows `show` what each of the keys shows, all at one moment.
    pub(super) fn read_all(&self, keys: &[&str], mut show: impl FnMut(Shown<'_>)) {
        let places: Vec<_> = keys.iter().map(|key| self.place(key)).collect();
        let held = self.hold(&places, |part| Some(part.read())).expect("it was waited for");
        look_ahead(&held, &places);
        for (number, key) in places {
            show(held[number].as_ref().expect("all were taken").read_hashed(key));
        }
    }

    /// Applies changes in their order, those of one update so that nobody sees half of it: `changes`
    /// has each with its update's version. The places of those that did not become visible are added
    /// to `hidden`. Only the apply thread writes. Blocks while readers hold one of the parts.
    ///
    /// All keys are hashed first: see [`crate::core::hashed`]. Nearly always all locks are taken first,
    /// too: an atomic operation between two look-ups would have the second one wait for the first.
    pub(super) fn apply(&self, changes: &[Versioned<'_>], hidden: &mut Vec<usize>) {
        let places: Vec<_> = changes.iter().map(|&(_, (key, _))| self.place(key)).collect();
        if let Some(mut held) = self.hold(&places, RwLock::try_write) {
            let mut ahead = owned_ahead(&held, changes, &places).into_iter();
            // If a key was deleted in between, none is found, nor any more: that is as well.
            let owned = |place: usize| ahead.find(|(at, _)| *at == place).map(|(_, owned)| owned);
            return apply_held(&mut held, 0, changes, &places, owned, hidden);
        }
        // Some reader may hold its parts for long. It must not keep others from what it does not hold.
        let mut start = 0;
        for update in changes.chunk_by(|(one, _), (other, _)| one == other) {
            let places = &places[start..start + update.len()];
            let held = self.hold(places, |part| Some(part.write()));
            let mut held = held.expect("it was waited for");
            apply_held(&mut held, start, update, places, |_| None, hidden);
            start += update.len();
        }
    }

    /// Holds all of some parts, each once and in the order of their numbers; `None` if one is not
    /// had.
    fn hold<'a, G>(
        &'a self,
        places: &[(usize, Hashed<'_>)],
        lock: impl Fn(&'a RwLock<Store>) -> Option<G>,
    ) -> Option<Held<G>> {
        let needed = places.iter().fold(0u64, |needed, (number, _)| needed | 1 << number);
        let mut held = [const { None }; PARTS];
        for (number, part) in self.parts.iter().enumerate() {
            if needed >> number & 1 == 1 {
                held[number] = Some(lock(part)?);
            }
        }
        Some(held)
    }

    /// How many keys have a value.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.read().len()).sum()
    }

    /// Shows `show` every key of one part that has a value.
    pub(super) fn scan(&self, number: usize, mut show: impl FnMut(&str, &str, Version)) {
        for (key, value, version) in self.parts[number].read().iter() {
            show(key, value, version);
        }
    }
}

/// Looks keys up, only to have them at hand when they are read. A look-up alone is less than half as
/// long as one and what is done with it, so the processor waits for more of them at once. That saves a
/// fifteenth of the time of pipelined `GET`s.
fn look_ahead<G: Deref<Target = Store>>(held: &Held<G>, places: &[(usize, Hashed<'_>)]) {
    for &(number, key) in places {
        black_box(held[number].as_ref().is_some_and(|store| store.has_value(key)));
    }
}

/// Makes the keys and values to keep of changes whose keys are new. Gives each with its change's place.
///
/// All keys are looked up for that, so they are at hand when they are written: that saves a tenth of the
/// time of a replica, as [`look_ahead`] does for reads. And the allocator's lock is an atomic operation,
/// which waits for all that was written before it. Between two inserts that was a third of the apply
/// thread's time while a store fills.
fn owned_ahead<G: Deref<Target = Store>>(
    held: &Held<G>,
    changes: &[Versioned<'_>],
    places: &[(usize, Hashed<'_>)],
) -> Vec<(usize, (String, String))> {
    let mut new = Vec::new();
    for (place, &(number, key)) in places.iter().enumerate() {
        if held[number].as_ref().is_some_and(|store| !store.has_value(key)) {
            new.push(place);
        }
    }
    new.into_iter().map(|place| (place, owned(changes[place]))).collect()
}

/// Key and value of a change, to keep.
fn owned((_, (key, value)): Versioned<'_>) -> (String, String) {
    (key.to_owned(), value.unwrap_or_default().to_owned())
}

/// Applies changes to parts that are held: those with these numbers. `first` is the place of the first
/// change. `ahead` gives what was made ahead for a change.
fn apply_held(
    held: &mut Held<RwLockWriteGuard<'_, Store>>,
    first: usize,
    changes: &[Versioned<'_>],
    places: &[(usize, Hashed<'_>)],
    mut ahead: impl FnMut(usize) -> Option<(String, String)>,
    hidden: &mut Vec<usize>,
) {
    for (index, (&change, &(number, key))) in changes.iter().zip(places).enumerate() {
        let (version, (_, value)) = change;
        let store = held[number].as_mut().expect("all were taken");
        let owned = || ahead(index).unwrap_or_else(|| owned(change));
        if !store.apply_hashed(key, value, version, owned) {
            hidden.push(first + index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn keys_are_spread_as_parts_are_large() {
        let parts = Parts::new(Order::Causal);
        let mut counts = [0; PARTS];
        for number in 0..51_000 {
            counts[parts.part_of(&format!("key:{number:012}"))] += 1;
        }
        for (part, count) in counts.into_iter().enumerate() {
            let share = 100 * (6 + part % 6);
            assert!((share * 4 / 5..share * 6 / 5).contains(&count), "{part}: {counts:?}");
        }
    }

    /// A key that is in none of the parts of others.
    fn elsewhere(parts: &Parts, others: &[&str]) -> String {
        let taken: Vec<usize> = others.iter().map(|key| parts.part_of(key)).collect();
        let mut keys = (0..).map(|number: u32| number.to_string());
        keys.find(|key| !taken.contains(&parts.part_of(key))).expect("there are 60 parts")
    }

    /// If they did not, a key would be looked for where it is not, and an older write would win.
    #[test]
    fn stores_that_are_swapped_in_hash_as_those_before() {
        let parts = Parts::new(Order::Causal);
        let mut stores = parts.apart();
        let version = |timestamp| Version { timestamp, server: 1 };
        store_of(&mut stores, "key").apply("key", Some("newer"), version(2));
        parts.swap(&mut stores);
        parts.apply(&[(version(1), ("key", Some("older")))], &mut Vec::new());
        parts.read("key", |shown| assert_eq!(shown, Shown::Value("newer", version(2))));
    }

    /// What comes before an update that waits for a reader is shown; what lost is told by its place.
    #[test]
    fn a_reader_keeps_the_writer_only_from_what_it_reads() {
        let parts = Parts::new(Order::Causal);
        let version = |timestamp| Version { timestamp, server: 1 };
        let b = &elsewhere(&parts, &["a", "c"])[..];
        let mut hidden = Vec::new();
        parts.apply(&[(version(5), ("c", Some("newer")))], &mut hidden);
        let reader = parts.parts[parts.part_of(b)].read();
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let write = |timestamp, key| (version(timestamp), (key, Some("new")));
                parts.apply(&[write(1, "a"), write(2, b), write(3, "c")], &mut hidden);
            });
            while parts.read("a", |shown| shown.version()).is_none() {
                thread::yield_now();
            }
            drop(reader);
            writer.join().expect("it waited");
        });
        parts.read(b, |shown| assert_eq!(shown.version(), Some(version(2))));
        assert_eq!(hidden, [2]);
    }

    /// Keys and values that were made ahead go where they belong, whatever the changes before them did.
    #[test]
    fn changes_of_one_go_see_each_other() {
        let parts = Parts::new(Order::Causal);
        let version = |timestamp| Version { timestamp, server: 1 };
        let mut hidden = Vec::new();
        parts.apply(&[(version(1), ("old", Some("0")))], &mut hidden);
        let changes = [
            (2, "new", Some("1")),
            (3, "new", Some("22")),
            (4, "old", None),
            (5, "gone", None),
            (6, "other", Some("333")),
            (7, "old", Some("4444")),
            (1, "other", Some("late")),
            (8, "gone", Some("5")),
        ];
        let changes = changes.map(|(timestamp, key, value)| (version(timestamp), (key, value)));
        parts.apply(&changes, &mut hidden);
        assert_eq!(hidden, [6]);
        let shown = [("new", "22", 3), ("other", "333", 6), ("old", "4444", 7), ("gone", "5", 8)];
        for (key, value, timestamp) in shown {
            let expected = Shown::Value(value, version(timestamp));
            parts.read(key, |shown| assert_eq!(shown, expected, "{key}"));
        }
        assert_eq!((parts.len(), parts.delete_count()), (shown.len(), 0));
    }

    /// A reader that holds one key's part keeps the writer from showing the update's other key.
    #[test]
    fn no_half_of_an_update_shows_while_the_other_half_waits() {
        let parts = Parts::new(Order::Causal);
        let first = "a";
        let second = &elsewhere(&parts, &[first])[..];
        let reader = parts.parts[parts.part_of(second)].read();
        thread::scope(|scope| {
            scope.spawn(|| {
                let changes = [(first, Some("new")), (second, Some("new"))];
                let version = Version { timestamp: 1, server: 1 };
                parts.apply(&changes.map(|change| (version, change)), &mut Vec::new());
            });
            let enough = Instant::now() + Duration::from_millis(100);
            while Instant::now() < enough {
                if let Some(store) = parts.parts[parts.part_of(first)].try_read() {
                    assert_eq!(store.read(first), Shown::Nothing(None));
                }
                thread::yield_now();
            }
            drop(reader);
        });
        let mut shown = Vec::new();
        parts.read_all(&[first, second], |found| shown.push(found.version().is_some()));
        assert_eq!(shown, [true, true]);
    }
}
